//go:build integration

package main

import (
	"encoding/json"
	"strings"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// publishing is a publisher beside a scenario.
type publishing struct {
	*scenario
	process *process
	topic   string
}

// publishesUUIDs starts one where IDs are UUIDs, which are fewer; else it is nil.
func (s *scenario) publishesUUIDs() *publishing {
	s.Helper()
	if !s.campaign.Input.Opaque() {
		return nil
	}
	return s.publishes()
}

// publishes starts one, which follows the ledger.
func (s *scenario) publishes() *publishing {
	s.Helper()
	p := &publishing{scenario: s, topic: s.campaign.Name + "-events"}
	p.process = start(s.T, p.command(p.topic, "--listen=off"))
	return p
}

func (p *publishing) command(topic string, more ...string) command {
	p.Helper()
	return p.scenario.command("publish", append(more, "--topic="+topic, "--partitions=4", "--replicas=1", "--log-format=json")...)
}

// event is what an event says, as far as it is compared.
type event struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data struct {
		User string `json:"user"`
	} `json:"data"`
}

func (p *publishing) events(topic string) (all []event) {
	p.Helper()
	p.each(topic, func(r *kgo.Record) { // in the order of each partition, so of each user
		var e event
		require.NoError(p, json.Unmarshal(r.Value, &e))
		all = append(all, e)
	})
	return all
}

// sent is how many events the topic has; 0 while it does not exist.
func (p *publishing) sent() (n int64) {
	p.Helper()
	for _, end := range p.ends(p.topic) {
		n += end
	}
	return n
}

// agrees ends the publisher and compares what it sent with what the ledger holds, which is what somebody gets who subscribes now:
// of each user exactly what is there, once by its ID, and that last. Beside it there may be what the ledger has lost since.
func (p *publishing) agrees(users int64) {
	if p == nil {
		return
	}
	p.Helper()
	p.process.interrupt()
	require.Equal(p, exitStopped, p.process.wait(), p.process.err.String())
	p.Log(strings.TrimSpace(p.process.out.String()))
	for _, topic := range []string{p.topic, p.topic + "-again"} {
		once := granter(p.T, p.command(topic, "--once"))
		require.Zero(p, once.wait(), once.err.String())
	}
	holds, last := map[string]string{}, map[string]string{} // user → ID of the event
	for _, e := range p.events(p.topic + "-again") {
		if again := holds[e.Data.User]; again != "" { // the same event may come again
			require.Equal(p, again, e.ID, "user %s is granted twice", e.Data.User)
		}
		require.Equal(p, "granter.granted", e.Type)
		holds[e.Data.User] = e.ID
	}
	require.Len(p, holds, int(users))
	ids, all := map[string]bool{}, p.events(p.topic)
	for _, e := range all {
		ids[e.ID], last[e.Data.User] = true, e.ID
	}
	require.Equal(p, holds, last)
	p.Logf("%d events, %d of them came again, %d say what the ledger had lost", len(all), len(all)-len(ids), len(ids)-len(holds))
	p.proven()
}
