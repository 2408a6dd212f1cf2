package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/granter/granter/grant/ledger"
)

// patiently is how a command opens a ledger: where Redis does not answer, or refuses, it says once for each kind of error that it
// goes on trying, so that nobody takes the wait for a hang. Commands that go on for days say it again when it happens again.
func (c *connection) patiently(retryFor time.Duration) ledger.Config {
	cfg := ledger.Config{RetryFor: retryFor}
	if c.waited != nil {
		cfg.Observer = waiting{c.waited, retryFor}
	}
	return cfg
}

// patientlyLogging is for a command whose log is not to have lines of another form.
func (c *connection) patientlyLogging(log *slog.Logger) {
	if c.waited != nil {
		c.waited.log = log
	}
}

// waits is what a command has said about its waiting, whichever ledgers it has opened.
type waits struct {
	out io.Writer
	log *slog.Logger // nil: lines go to out

	mu   sync.Mutex
	last map[string]time.Time // kind → the last error
}

// calm is how long an error of a kind must not have come so that it is another event.
const calm = time.Minute

// waiting is the observer of a ledger whose calls are repeated for a time.
type waiting struct {
	*waits

	retryFor time.Duration
}

func (w waiting) LedgerError(kind string) {
	if kind == ledger.KindNoScript || !ledger.Retryable(kind) {
		return // scripts are loaded again at once, and what does not pass is the command's error
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	at, again := w.last[kind]
	w.last[kind] = time.Now()
	if again && time.Since(at) <= calm {
		return
	}
	text := "Redis refuses"
	if kind == ledger.KindNetwork || kind == ledger.KindTimeout {
		text = "Redis does not answer"
	}
	text += " (" + kind + ")"
	if hint := ledger.Hint(kind); hint != "" {
		text += ": " + hint
	}
	if w.log != nil {
		w.log.Warn(text, "trying_again_for", w.retryFor.String())
		return
	}
	fmt.Fprintf(w.out, "granter: %s; trying again for %s\n", text, w.retryFor)
}

func (waiting) FlushDone(int, int, int, int, time.Duration) {}
