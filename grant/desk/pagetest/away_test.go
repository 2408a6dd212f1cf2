//go:build integration

package pagetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

// fails makes parts of the status fail; what is known of them is from a moment or, of the zero one, nothing is.
func (d *desk) lose(known time.Time, why string, parts ...status.PartName) {
	d.tell(func(st *status.Status) {
		st.Parts = told(time.Now())
		for i := range st.Parts {
			if p := &st.Parts[i]; slices.Contains(parts, p.Part) {
				p.Error = why
				if p.At = &known; known.IsZero() {
					p.At = nil
				}
			}
		}
	})
}

var widths = []screen{{name: "390", width: 390, height: 844, mobile: true}, {name: "1440", width: 1440, height: 900}}

// shots keeps pictures at the widths of a telephone and a desk, and holds the page against what every page must be.
func (p *page) shots(name string) {
	p.t.Helper()
	for _, s := range widths {
		p.show(s, "light")
		require.Empty(p.t, eval[[]string](p, check), "it fits")
		p.shot(name+"-"+s.name, true)
	}
}

// Kafka is away: what is known stays, with its age, and so do the controls.
func TestKafkaIsAway(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, operatorToken)
	require.False(t, p.visible("faults"))
	d.lose(time.Now().Add(-12*time.Second), "dial tcp 10.0.0.7:9092: connect: connection refused", status.PartKafka)
	p.shows("faults", "Kafka cannot be asked.")
	p.shows("faults", "Shown is what was known 1")
	require.Contains(t, p.text("faults"), "connection refused")
	require.Equal(t, "16 908 410", p.text("lag"))
	p.shows("announcer", "Kafka cannot be asked.")
	p.shots("kafka-away")

	p.order("pause")
	p.fill("order-why", "Kafka is away")
	p.press("Enter")
	p.shows("order-done-title", "Paused: order 1")
	p.press("Escape")
	d.tell(func(st *status.Status) { st.Parts = told(time.Now()) })
	p.await("document.querySelectorAll('#faults li').length === 0")
	p.shows("announcer", "No longer: Kafka cannot be asked.")
}

// A desk that was started while Kafka was away shows no zeros for what nobody knows.
func TestWhatIsNotKnownIsNoZero(t *testing.T) {
	st := running()
	st.Phase, st.Lag, st.Records, st.Partitions = status.PhaseUnknown, 0, 0, []status.Partition{}
	d := newDesk(t, st)
	d.lose(time.Time{}, "no broker", status.PartKafka)
	p := signedIn(t, d, operatorToken)
	p.shows("faults", "Nothing is known of it yet.")
	require.Equal(t, "–", p.text("lag"))
	require.Contains(t, p.text("phase"), "Not known")
	require.Equal(t, "31 204 118", p.text("granted"))
}

// Redis is away: nobody knows whether it is paused, so both orders are there.
func TestRedisIsAway(t *testing.T) {
	d := newDesk(t, running())
	p := signedIn(t, d, operatorToken)
	d.lose(time.Now().Add(-time.Minute), "cannot reach Redis", status.Parts()[:5]...)
	p.await("document.querySelectorAll('#faults li').length === 5")
	require.Equal(t, "31 204 118", p.text("granted"))
	p.await("document.querySelector('[data-order=pause]') && document.querySelector('[data-order=resume]')")
	p.shots("redis-away")
}

// Whoever is sent no events is in the banner: one that takes none, one whom nobody sends any, and a hook.
func TestASubscriberThatIsNotServed(t *testing.T) {
	st := running()
	at := time.Now().Add(-time.Hour)
	st.Subscribers = []grant.Subscriber{
		{Name: "webhook:billing", State: grant.SubscriberFailing, Since: at, Error: `it answers 503: "<b>later</b>"`, Behind: 12},
		{Name: "topic:events:json", State: grant.SubscriberSilent, Since: at},
		{Name: "hook:chat", State: grant.SubscriberSilent, Since: at},
		{Name: "webhook:shop", State: grant.SubscriberCurrent, Since: at},
	}
	d := newDesk(t, st)
	p := signedIn(t, d, viewerToken)
	p.await("document.querySelectorAll('#faults li').length === 3")
	for _, says := range []string{
		"webhook:billing is taking no events since", `it answers 503: "<b>later</b>"`,
		"topic:events:json is sent no events since", "is granter publish running?", "does a run, or granter hooks, go on?",
	} {
		require.Contains(t, p.text("faults"), says)
	}
	p.shots("subscribers")
	d.tell(func(st *status.Status) { st.Subscribers = st.Subscribers[3:] })
	p.await("document.querySelectorAll('#faults li').length === 0")
}

func TestTheDesksFileHasAnotherSpec(t *testing.T) {
	st := running()
	other := "77" + specHash[2:]
	st.SpecDiffers = &status.Differs{File: other, Ledger: specHash, Fields: "items[cheer-up-90d].validity: stored 90d, given 30d"}
	p := signedIn(t, newDesk(t, st), viewerToken)
	p.shows("faults", "The desk’s file has another spec than the ledger.")
	for _, says := range []string{specHash[:12], other[:12], "stored 90d, given 30d"} {
		require.Contains(t, p.text("faults"), says)
	}
	p.shots("other-spec")
}
