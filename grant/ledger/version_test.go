package ledger

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// A spec may be corrected as long as nobody is granted. What was read under the old one, and rejected perhaps, must be
// read again.
func TestACorrectedSpecStartsFromTheBeginning(t *testing.T) {
	ctx := context.Background()
	client, err := Connect(Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	defer client.Close()
	checkpoints := map[string]grant.Offsets{}
	for run, hash := range []string{"wrong", "right", "wrong"} {
		l, err := open(client, &grant.Campaign{Name: "c", Hash: hash, Canonical: []byte(hash)}, grant.RunID(run+1), Config{})
		require.NoError(t, err)
		require.NoError(t, l.EnsureSpec(ctx, l.campaign))
		found, err := l.Begin(ctx, aTopic)
		require.NoError(t, err)
		checkpoints[hash] = found.Next
		require.NoError(t, l.Checkpoint(ctx, grant.Offsets{0: 900}, nil))
		require.NoError(t, l.SaveRun(ctx, grant.RunRecord{Run: l.run, State: grant.RunStopped}))
	}
	require.Empty(t, checkpoints["right"])
	require.Equal(t, grant.Offsets{0: 900}, checkpoints["wrong"], "of the third run")
}

func TestTheFenceOfTimeIsExactToTheMillisecond(t *testing.T) {
	m := startMini(t)
	w := newWorld(t, Options{Addrs: []string{m.Addr()}})
	start := time.Date(2022, 11, 5, 0, 0, 0, 0, time.UTC)
	c := w.campaign()
	c.StartsAt, c.EndsAt = start, start.Add(time.Second+300*time.Microsecond)
	m.SetTime(start.Add(-time.Hour))
	p := w.play(c, time.Second)
	p.begin()
	for low, c := range []struct {
		at   time.Duration
		want string
	}{
		{-time.Millisecond, "the campaign starts at 2022-11-05"},
		{-time.Microsecond, "the campaign starts at 2022-11-05"},
		{0, ""},
		{time.Second - time.Microsecond, ""},
		{time.Second, grant.ErrEnded.Error()}, // a fraction of a millisecond before the end: nobody can be dated so
		{time.Second + 300*time.Microsecond, grant.ErrEnded.Error()},
		{time.Hour, grant.ErrEnded.Error()},
	} {
		m.SetTime(start.Add(c.at))
		require.NoError(t, p.EnsureSpec(w.ctx, p.campaign), "what is refused is not refused because the lease has lapsed")
		err := p.Grant(w.ctx, p.flush(low, delta(1, bitmap(uint16(low))), delta(2, span(low*100, 100, 1))))
		if c.want == "" {
			require.NoError(t, err, "%s", c.at)
		} else {
			require.ErrorContains(t, err, c.want, "%s", c.at)
		}
		require.Equal(t, c.want == "", w.client.GetBit(w.ctx, p.keys.granted(1), int64(low)).Val() == 1, "%s", c.at)
	}
	w.holds(p.parts, oracle{1: bitmap(2, 3), 2: span(200, 200, 1)})
}
