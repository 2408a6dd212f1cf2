package ledger

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// everybody is wishes of users of chunk 1 for an item, in no order.
func everybody(item int, first, last uint16) (wishes []Take) {
	for low := first; low < last; low++ {
		wishes = append(wishes, Take{user(1, first+(low-first)*7%(last-first)), item})
	}
	return wishes
}

// Calls of many users work on bitmaps. They come to the same as those of few: also where some had taken the item, are not
// granted, excluded or revoked, and where a reply is lost.
func takesByMany(w *world) {
	p, t := w.offering()
	a := w.actorOf(p.campaign)
	a.done(a.act(grant.ActExclude), users(1, 3500)...)
	a.done(a.act(grant.ActRevoke), users(1, 6)...)
	a.done(a.act(grant.ActNote), users(1, 7)...) // stands in nobody's way
	early, err := t.Take(w.ctx, p.campaign, []Take{{user(1, 5), itemTaken}})
	require.NoError(w, err)
	wishes := everybody(itemTaken, 0, 4001)
	for round, share := range []float64{0, 1, -1} { // a call that did not come, one whose reply did not, and one more
		if share >= 0 {
			p.fault.once(share, nil)
		}
		got, err := t.Take(w.ctx, p.campaign, wishes)
		p.fault.never()
		require.NoError(w, err)
		for i, g := range got {
			_, low := Place(wishes[i].User)
			switch {
			case low == 5:
				require.Equal(w, Taken{grant.OutcomeAlready, early[0].At}, g)
			case low == 6:
				require.Equal(w, grant.OutcomeRevoked, g.Outcome)
			case low == 3500:
				require.Equal(w, grant.OutcomeExcluded, g.Outcome)
			case low >= 3000:
				require.Equal(w, grant.OutcomeNotGranted, g.Outcome)
			case round == 0:
				require.Equal(w, grant.OutcomeTaken, g.Outcome, "%d", low)
			default:
				require.Equal(w, grant.OutcomeAlready, g.Outcome, "%d", low)
				require.WithinDuration(w, time.Now(), g.At, time.Minute)
			}
		}
	}
	require.EqualValues(w, 2999, w.whole(p))
	k := p.takeKeys(p.campaign, 1, itemTaken)
	places, err := w.client.StrLen(w.ctx, k.many()).Result()
	require.NoError(w, err)
	require.EqualValues(w, placeBytes, places, "all but three came in one call")

	p.fault.once(1, nil) // what was lost is the reply
	got, err := t.Take(w.ctx, p.campaign, everybody(itemTimed, 100, 900))
	p.fault.never()
	require.NoError(w, err)
	require.Equal(w, grant.OutcomeTaken, got[0].Outcome)
	late := w.play(w.offers(time.Now().Add(-time.Minute)), time.Second)
	got, err = NewTakes(late.Store, 9).Take(w.ctx, late.campaign, everybody(itemTimed, 100, 2000))
	require.NoError(w, err)
	for i, g := range got {
		_, low := Place(everybody(itemTimed, 100, 2000)[i].User)
		require.Equal(w, low < 900, g.Outcome == grant.OutcomeAlready, "%d", low)
		require.Equal(w, low >= 900, g.Outcome == grant.OutcomeLapsed, "%d", low)
	}
	other := w.offers(time.Time{})
	other.Hash = "bb22"
	_, err = NewTakes(w.play(other, time.Second).Store, 9).Take(w.ctx, other, everybody(itemTaken, 100, 900))
	require.ErrorIs(w, err, ErrSpecChanged)
	w.findsWrongPlaces(p)
}

// findsWrongPlaces damages what says where the entries of many are.
func (w *world) findsWrongPlaces(p *player) {
	k, whole := p.takeKeys(p.campaign, 1, itemTaken), w.snapshot()
	key := k.many()
	for damage, what := range map[string]string{
		"":                  "by the entries, and at",
		"\x00\x00\x00\x63":  "take 99 is no entry of many",
		"\x00\x00\x00\x00x": "does not say where entries are",
	} {
		w.restore(whole)
		require.NoError(w, w.client.Set(w.ctx, key, damage, redis.KeepTTL).Err())
		proof, err := p.Prove(w.ctx)
		require.NoError(w, err)
		require.NoError(w, p.ProveTakes(w.ctx, p.campaign, &proof))
		require.Contains(w, fmt.Sprint(proof.Violations), what)
		_, err = p.TakenAt(w.ctx, p.campaign, []Take{{user(1, 8), itemTaken}})
		require.ErrorIs(w, err, ErrInconsistent)
	}
	w.restore(whole)
}
