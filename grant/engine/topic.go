package engine

import (
	"context"
	"errors"
	"time"

	"github.com/granter/granter/grant"
)

// watchEvery is how often a run looks whether its topic is still the one that it reads. Fetches notice by themselves; a
// run that is paused, or that has nothing assigned, does not fetch.
const watchEvery = 2 * time.Second

// watchTopic calls changed, with an ErrTopicChanged, once Kafka has another topic than the one that a run reads, until stop is
// called. That Kafka does not answer says nothing.
func watchTopic(ctx context.Context, source Identity, changed func(error)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := sameTopic(ctx, source); errors.Is(err, grant.ErrTopicChanged) {
				changed(err)
				return
			}
		}
	}()
	return func() { cancel(); <-over }
}

// sameTopic asks Kafka once.
func sameTopic(ctx context.Context, source Identity) error {
	ctx, stop := context.WithTimeout(ctx, watchEvery/2)
	defer stop()
	_, err := source.Bind(ctx)
	return err
}
