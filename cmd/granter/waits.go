package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/ledger"
)

// patiently is how a command opens a ledger that it changes: where Redis refuses, it says once for each kind of error that it
// goes on trying, so that nobody takes the wait for a hang.
func patiently(cmd *cobra.Command, retryFor time.Duration) ledger.Config {
	return ledger.Config{
		RetryFor: retryFor, Observer: &waits{out: cmd.ErrOrStderr(), retryFor: retryFor, told: map[string]bool{}},
	}
}

type waits struct {
	out      io.Writer
	retryFor time.Duration

	mu   sync.Mutex
	told map[string]bool
}

func (w *waits) LedgerError(kind string) {
	if kind == ledger.KindNoScript || !ledger.Retryable(kind) {
		return // scripts are loaded again at once, and what does not pass is the command's error
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told[kind] {
		return
	}
	w.told[kind] = true
	text := "granter: Redis refuses (" + kind + ")"
	if hint := ledger.Hint(kind); hint != "" {
		text += ": " + hint
	}
	fmt.Fprintf(w.out, "%s; trying again for %s\n", text, w.retryFor)
}

func (*waits) FlushDone(int, int, int, int, time.Duration) {}
