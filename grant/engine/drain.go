package engine

import "context"

// drain is the first of the two stages in which a run stops: nothing more is read, and what is in hand is granted and
// checkpointed. (The second one is to cancel the context of Do.) It may be asked for at any time, by any goroutine; the
// first reason counts.
type drain struct {
	asked context.Context //nolint:containedctx // it is cancelled with the reason
	ask   context.CancelCauseFunc
}

func newDrain() *drain {
	d := &drain{}
	d.asked, d.ask = context.WithCancelCause(context.Background())
	return d
}

// reason returns why the run is to stop; nil: it is not.
func (d *drain) reason() error {
	if d.asked.Err() == nil {
		return nil
	}
	return context.Cause(d.asked)
}

// firstOf returns a context that ends with ctx, or with the first of others.
func firstOf(ctx context.Context, others ...context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stops := make([]func() bool, 0, len(others))
	for _, other := range others {
		stops = append(stops, context.AfterFunc(other, cancel))
		if other.Err() != nil {
			cancel() // AfterFunc does so in a goroutine of its own, some time
		}
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
