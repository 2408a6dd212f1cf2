package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a run that is to stop at once may take to say so. A server that does not answer, or a group that
// waits for a dead member, would keep it for longer, and is not worth waiting for: nothing is lost by a kill.
const stopGrace = time.Second

// endings returns the signals that end a command soon. A terminal that goes away is one, unless the command was started to
// outlive it (nohup).
func endings() []os.Signal {
	ends := []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	if !signal.Ignored(syscall.SIGHUP) {
		ends = append(ends, syscall.SIGHUP)
	}
	return ends
}

// untilSignal returns a context that ends with ctx, or at the first signal that ends a command.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, endings()...)
}

// onSignals drains at the first signal that ends a command, and stops at the second.
func onSignals(log *slog.Logger, drain, stop func()) (done func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, endings()...)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case s := <-signals:
				if n == 0 {
					log.Warn("stopping soon: granting what is in hand; a second signal stops at once", "signal", s.String())
					drain()
				} else {
					log.Warn("stopping at once; nothing is lost", "signal", s.String())
					stop()
					time.AfterFunc(stopGrace, func() { os.Exit(exitStopped) })
				}
			case <-quit:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		// Signals stay caught: one that comes now must not take the exit code from a run that has ended.
		close(quit)
		wg.Wait()
	})
}
