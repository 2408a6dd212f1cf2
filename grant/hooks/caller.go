package hooks

import (
	"context"

	"github.com/granter/granter/grant/publish"
)

// caller makes the calls of a hook.
type caller struct {
	Hook
	sender *publish.Sender
}

func newCaller(h Hook) *caller {
	c := &caller{Hook: h}
	if h.Webhook.URL != "" {
		c.sender = publish.NewSender(h.Webhook)
	}
	return c
}

// call makes one attempt.
func (c *caller) call(ctx context.Context, e *Event) error {
	if c.sender == nil {
		return runProgram(ctx, c.Program, e, c.Timeout)
	}
	body, kind := fill(c.Body, e), "application/json; charset=UTF-8"
	if c.Body == "" {
		var err error
		if body, err = e.cloudEvent(); err != nil {
			return err
		}
		kind = "application/cloudevents+json; charset=UTF-8"
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return c.sender.Post(ctx, e.ID, kind, body)
}

func (c *caller) close() {
	if c.sender != nil {
		c.sender.Close()
	}
}

// Try calls a hook once with an event.
func (h *Hook) Try(ctx context.Context, e Event) error {
	c := newCaller(*h)
	defer c.close()
	return c.call(ctx, &e)
}
