package status

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func (w *world) Subscribers(context.Context) ([]grant.Subscriber, error) {
	return w.subscribers, w.errs["subscribers"]
}

func TestWhoeverPublishesMayBeGone(t *testing.T) {
	w := newWorld()
	w.subscribers = []grant.Subscriber{
		{Name: "webhook:billing", State: grant.SubscriberFailing, At: now},
		{Name: "webhook:gone", State: grant.SubscriberCurrent, At: now.Add(-time.Hour)},
	}
	s := w.gather(t)
	require.Equal(t, grant.SubscriberFailing, s.Subscribers[0].State)
	require.Equal(t, grant.SubscriberSilent, s.Subscribers[1].State, "by the clock of Redis")
}
