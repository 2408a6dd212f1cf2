package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/engine"
)

// screen is where logs and the progress bar go. On a terminal a log line goes above the bar.
type screen struct {
	terminal bool

	mu  sync.Mutex
	out io.Writer
	bar *progressbar.ProgressBar
}

func newScreen(out io.Writer) *screen {
	_, ok := terminal(out)
	return &screen{out: out, terminal: ok}
}

// Write writes a log line.
func (s *screen) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		s.bar.Clear() //nolint:errcheck // cosmetic
	}
	return s.out.Write(line)
}

// start shows a progress bar if this is a terminal. The returned function updates it: done of total.
func (s *screen) start(title string) (update func(done, total int64, detail string), stop func()) {
	if !s.terminal {
		return func(int64, int64, string) {}, func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(s.out), progressbar.OptionSetDescription(title),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("records"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
	update = func(done, total int64, detail string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bar.ChangeMax64(max(total, 1))
		s.bar.Describe(title + detail)
		s.bar.Set64(min(done, max(total-1, 0))) //nolint:errcheck // cosmetic
	}
	stop = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bar.Clear() //nolint:errcheck // cosmetic
		s.bar = nil
	}
	return update, stop
}

// progress keeps the progress bar of a run up to date.
type progress struct {
	quit chan struct{}
	wg   sync.WaitGroup
}

func (s *screen) follow(m *engine.Monitor, c *grant.Campaign) *progress {
	p := &progress{quit: make(chan struct{})}
	update, stop := s.start(c.Name)
	p.wg.Go(func() {
		defer stop()
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				snap := m.Snapshot()
				detail := ""
				if left := time.Until(c.StartsAt); snap.State == grant.RunWaiting {
					detail = fmt.Sprintf(" starts in %s", left.Round(time.Second))
				}
				update(snap.Done, snap.Work, detail)
			case <-p.quit:
				return
			}
		}
	})
	return p
}

func (p *progress) stop() {
	close(p.quit)
	p.wg.Wait()
}
