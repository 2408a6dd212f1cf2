package rejected

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// granting is the run of a replay that grants users out of letters of one topic: each topic has offsets of its own, and the
// record of a run says what those of its grants count in.
type granting struct {
	grants *ledger.Grants
	record grant.RunRecord
	seq    uint64
}

// open begins the run for a topic, and records it before it grants anybody: by that record its grants are known for those
// of a replay.
func (w *replaying) open(ctx context.Context, id grant.TopicID) (*granting, error) {
	if g := w.runs[id]; g != nil {
		return g, nil
	}
	g := &granting{record: w.Record}
	if len(w.runs) > 0 {
		g.record.Run = grant.NewRunID(time.Now())
	}
	g.record.Spec, g.record.Pass, g.record.Topic = w.Campaign.Hash, grant.ReplayPass, id
	g.record.State, g.record.StartedAt, g.record.Partitions = grant.RunRunning, time.Now(), []int{}
	g.grants = ledger.NewGrants(w.Store, g.record.Run)
	control, _, err := w.Coordination.Control(ctx)
	if err != nil {
		return nil, err
	}
	g.grants.NotBefore(control.Start(w.Campaign))
	if _, err := g.grants.Begin(ctx, id); err != nil {
		return nil, err
	}
	if err := g.grants.EnsureSpec(ctx, w.Campaign); err != nil {
		return nil, err
	}
	w.runs[id] = g
	err = g.save(ctx)
	return g, err
}

func (g *granting) save(ctx context.Context) error {
	g.record.UpdatedAt = time.Now()
	return g.grants.SaveRun(ctx, g.record)
}

// end records how the run ended, and gives its lease back.
func (g *granting) end(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if g.record.State = grant.RunFinished; err != nil {
		g.record.State, g.record.Error = grant.RunFailed, err.Error()
	}
	return g.save(ctx)
}

// claimed is a letter and the user that it is claimed for.
type claimed struct {
	letter

	user grant.UserID
}

// grantAll grants the users of claimed letters, and settles the letters.
func (w *replaying) grantAll(ctx context.Context, letters []letter, claims []ledger.Claim) error {
	byTopic := map[grant.TopicID][]claimed{}
	for i, l := range letters {
		byTopic[l.id] = append(byTopic[l.id], claimed{l, claims[i].User})
	}
	for id, list := range byTopic {
		g, err := w.open(ctx, id)
		if err != nil {
			return err
		}
		slices.SortStableFunc(list, func(a, b claimed) int {
			return cmp.Or(a.user.Compare(b.user), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		})
		for len(list) > 0 {
			chunk, n := chunkOf(list[0].user), 1
			for n < len(list) && chunkOf(list[n].user) == chunk {
				n++
			}
			if err := w.grantChunk(ctx, g, chunk, list[:n]); err != nil {
				return err
			}
			list = list[n:]
		}
		if err := g.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

func chunkOf(user grant.UserID) uint64 {
	chunk, _ := dense.Split(user.Number())
	return chunk
}

// grantChunk grants the users of a chunk in one flush, whose ranges are those letters, and no others: so the journal says
// of each user which record it was. Of several letters of a user the first one grants.
func (w *replaying) grantChunk(ctx context.Context, g *granting, chunk uint64, list []claimed) error {
	var members dense.Bitmap
	var places []Place
	for _, c := range list {
		if _, low := dense.Split(c.user.Number()); members.Set(low) {
			places = append(places, Place{c.Partition, c.Offset})
		}
	}
	if err := w.admit(ctx, int64(len(places))); err != nil {
		return err
	}
	g.seq++
	deltas := []dense.Delta{{Chunk: chunk, Members: &members, Count: len(places)}}
	f := &dense.Flush{Seq: g.seq, Ranges: ranges(places), Deltas: deltas}
	if err := g.grants.Grant(ctx, f); err != nil {
		return err
	}
	by, err := w.grantedBy(ctx, list, f.Deltas[0].Duplicates)
	if err != nil {
		return err
	}
	var granted, duplicate []string
	outcomes := make([]Outcome, len(list))
	done := map[grant.UserID]bool{}
	for i, c := range list {
		_, low := dense.Split(c.user.Number())
		isNew := members.Has(low) && !done[c.user] || by[i]
		done[c.user] = true
		if outcomes[i] = (Outcome{Result: Duplicate, User: &list[i].user}); isNew {
			outcomes[i].Result = Granted
			granted = append(granted, c.name)
		} else {
			duplicate = append(duplicate, c.name)
		}
	}
	if err := w.Coordination.SettleLetters(ctx, granted, duplicate); err != nil {
		return err
	}
	for i, o := range outcomes {
		w.tell(list[i].letter, o)
	}
	g.record.Tally.Consumed += int64(len(list))
	g.record.Tally.Granted += int64(len(granted))
	g.record.Tally.Duplicate += int64(len(duplicate))
	return nil
}

// grantedBy reports which letters granted their users in a replay that was killed before it could say so, or in one that
// goes on beside this one: the journal has the user in an entry of a replay with the letter in its ranges.
func (w *replaying) grantedBy(ctx context.Context, list []claimed, duplicates *dense.Bitmap) ([]bool, error) {
	out := make([]bool, len(list))
	if duplicates == nil {
		return out, nil
	}
	var asked []int
	var users []grant.UserID
	for i, c := range list {
		if _, low := dense.Split(c.user.Number()); duplicates.Has(low) {
			asked, users = append(asked, i), append(users, c.user)
		}
	}
	found, err := w.Reader.LookupAll(ctx, users)
	if err != nil {
		return nil, err
	}
	records, err := w.Coordination.Runs(ctx)
	if err != nil && !errors.Is(err, ledger.ErrInconsistent) {
		return nil, err
	}
	replays := map[grant.RunID]grant.TopicID{}
	for i := range records {
		if records[i].Pass == grant.ReplayPass {
			replays[records[i].Run] = records[i].Topic
		}
	}
	for n, i := range asked {
		if found[n] == nil {
			continue
		}
		topic, replay := replays[found[n].Run]
		out[i] = replay && topic == list[i].id && slices.ContainsFunc(found[n].Ranges, func(r sharding.Range) bool {
			return r.Partition == list[i].Partition && r.First <= list[i].Offset && list[i].Offset <= r.Last
		})
	}
	return out, nil
}

// ranges are where records are, neighbours together.
func ranges(places []Place) (out []sharding.Range) {
	slices.SortFunc(places, func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	for _, p := range places {
		if n := len(out) - 1; n >= 0 && out[n].Partition == p.Partition && out[n].Last == p.Offset-1 {
			out[n].Last = p.Offset
			continue
		}
		out = append(out, sharding.Range{Partition: p.Partition, First: p.Offset, Last: p.Offset})
	}
	return out
}

// admit waits until so many users may be granted under the operators' limit, and fails when they stop the campaign.
func (w *replaying) admit(ctx context.Context, n int64) error {
	for {
		if err := w.allowed(ctx); err != nil {
			return err
		}
		control, _, err := w.Coordination.Control(ctx)
		if err != nil || control.Throttle == 0 {
			return err
		}
		taken, err := w.Coordination.Take(ctx, n, control.Throttle)
		if n -= taken; err != nil || n <= 0 {
			return err
		}
		pause := time.NewTimer(20 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		}
	}
}
