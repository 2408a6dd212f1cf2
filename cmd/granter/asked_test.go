package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// asked is what a test has asked of a ledger, or done to it, since an audit whose verdict it judged. A scenario that ends with
// anything else fails: what it showed before would be believed, and not proven.
type asked struct {
	mu     sync.Mutex
	last   string // empty: an audit was the last question
	reason string // why no audit is possible
	calls  int    // of Redis by the test itself
}

// mustEndWithAnAudit makes a test fail unless an audit was the last question that it asked of a ledger.
func mustEndWithAnAudit(t *testing.T) *asked {
	t.Helper()
	a := &asked{last: "nothing yet"}
	t.Cleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.last != "" && a.reason == "" && !t.Failed() && !t.Skipped() {
			t.Errorf("the last question to the ledger was not an audit but %s. End with proven, finds or exactlyOnce, "+
				"or say by unauditable why there is nothing to prove", a.last)
		}
	})
	return a
}

// note keeps the last question. A scenario without a ledger that is looked at has nil.
func (a *asked) note(what string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = what
}

// audited is called when the verdict of an audit was judged.
func (a *asked) audited() { a.note("") }

// unauditable says why a test cannot end with an audit.
func (a *asked) unauditable(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reason = why
}

// began notes a granter that was started, and outlived one that is still there at the end of the test.
func (a *asked) began(c command)    { a.note("granter " + strings.Join(c.args, " ")) }
func (a *asked) outlived(c command) { a.note("granter " + c.args[0] + ", which nobody waited for") }

// What the test itself asks Redis is seen by a hook of its client.
var _ redis.Hook = (*asked)(nil)

func (a *asked) call(cmd redis.Cmder) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = cmd.FullName()
	a.calls++
}

func (a *asked) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (a *asked) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		a.call(cmd)
		return next(ctx, cmd)
	}
}

func (a *asked) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			a.call(cmd)
		}
		return next(ctx, cmds)
	}
}
