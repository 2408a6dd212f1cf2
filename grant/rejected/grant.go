package rejected

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
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
			return cmp.Or(cmp.Compare(w.group(a.user), w.group(b.user)), a.user.Compare(b.user),
				cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		})
		for len(list) > 0 {
			group, n := w.group(list[0].user), 1
			for n < len(list) && w.group(list[n].user) == group {
				n++
			}
			if err := w.grantGroup(ctx, g, list[:n]); err != nil {
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

// group is the chunk, or bucket, that a user is in.
func (w *replaying) group(user grant.UserID) uint64 {
	if w.Campaign.Input.Opaque() {
		return ledger.LayoutOf(w.Campaign).Bucket(opaque.Hash(w.member(user)))
	}
	chunk, _ := dense.Split(user.Number())
	return chunk
}

// member is what the ledger knows a user by whose ID is not dense.
func (w *replaying) member(user grant.UserID) []byte {
	form := userid.FormOf(&w.Campaign.Input)
	member, _ := form.Member(nil, []byte(user.String())) // it was read by the same form
	return member
}

// grantGroup grants the users of a chunk, or bucket, in one flush, whose ranges are those letters, and no others: so the journal
// says of each user which record it was. Of several letters of a user the first one grants.
func (w *replaying) grantGroup(ctx context.Context, g *granting, list []claimed) error {
	var users []grant.UserID
	var places []Place
	for i, c := range list {
		if i == 0 || c.user != list[i-1].user {
			users, places = append(users, c.user), append(places, Place{c.Partition, c.Offset})
		}
	}
	if err := w.admit(ctx, int64(len(places))); err != nil {
		return err
	}
	grants := w.grantDense
	if w.Campaign.Input.Opaque() {
		grants = w.grantMembers
	}
	isNew, err := grants(ctx, g, users, ranges(places))
	if err != nil {
		return err
	}
	by, err := w.grantedBy(ctx, list, isNew)
	if err != nil {
		return err
	}
	var granted, duplicate []string
	outcomes := make([]Outcome, len(list))
	for i, c := range list {
		first := i == 0 || c.user != list[i-1].user
		if outcomes[i] = (Outcome{Result: Duplicate, User: &list[i].user}); isNew[c.user] && first || by[i] {
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

// grantDense grants users of one chunk, and returns those who had no place before.
func (w *replaying) grantDense(
	ctx context.Context, g *granting, users []grant.UserID, of []sharding.Range,
) (map[grant.UserID]bool, error) {
	var members dense.Bitmap
	for _, user := range users {
		_, low := dense.Split(user.Number())
		members.Set(low)
	}
	g.seq++
	deltas := []dense.Delta{{Chunk: w.group(users[0]), Members: &members, Count: len(users)}}
	if err := g.grants.Grant(ctx, &dense.Flush{Seq: g.seq, Ranges: of, Deltas: deltas}); err != nil {
		return nil, err
	}
	isNew := map[grant.UserID]bool{}
	for _, user := range users {
		_, low := dense.Split(user.Number())
		isNew[user] = members.Has(low)
	}
	return isNew, nil
}

// grantMembers is grantDense of one bucket.
func (w *replaying) grantMembers(
	ctx context.Context, g *granting, users []grant.UserID, of []sharding.Range,
) (map[grant.UserID]bool, error) {
	members := make([][]byte, len(users))
	for i, user := range users {
		members[i] = w.member(user)
	}
	granted, err := g.grants.AddSome(ctx, &g.seq, of, members)
	isNew := map[grant.UserID]bool{}
	for _, m := range granted {
		isNew[w.Store.UserOf(m)] = true
	}
	return isNew, err
}

// grantedBy reports which letters granted their users in a replay that was killed before it could say so, or in one that
// goes on beside this one: the journal has the user in an entry of a replay with the letter in its ranges.
func (w *replaying) grantedBy(ctx context.Context, list []claimed, isNew map[grant.UserID]bool) ([]bool, error) {
	out := make([]bool, len(list))
	var asked []int
	var users []grant.UserID
	for i, c := range list {
		if !isNew[c.user] {
			asked, users = append(asked, i), append(users, c.user)
		}
	}
	if len(asked) == 0 {
		return out, nil
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
