package entitle

import (
	"context"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
)

const (
	// A chunk of which fewer users are asked about at once is not read whole: a glance costs Redis 0.6 µs, 8 KiB cost 5 µs.
	wholeFrom = 8
	// imageLife is how old what was read of a chunk may be while a long list is answered.
	imageLife = time.Second
	// imageChunks are read at once: 32 × 8 KiB hold up others in Redis for 0.2 ms.
	imageChunks = 32
	// maxImages bounds the memory of one list: 2,048 × 8 KiB = 16 MiB, which is 134 million users that are not far apart.
	maxImages = 2048
)

// Many answers about one item and many users. Answers are as of a moment between the call of Many and that of Check, which is at
// most a second ago. It is not safe for concurrent use.
type Many struct {
	checker   *Checker
	questions []question
	images    []map[uint64]*image // by question, then chunk
	basis     Basis
}

type image struct {
	ledger.Image

	read    time.Time
	state   grant.State // of whoever is granted, did not take the item, and has no act, if
	decided bool
	taken   grant.State // the same of whoever took it
	sure    bool
}

// Many begins to answer about an item; the query's user counts for nothing. Errors are those of Check.
func (c *Checker) Many(ctx context.Context, q Query) (*Many, error) {
	w := q.when()
	subjects, err := c.subjects(ctx)
	if err != nil {
		return nil, err
	}
	m := &Many{checker: c, basis: BasisLedger}
	if m.questions, err = subjects.ask(q.Item, q.In, w); err != nil {
		return nil, err
	}
	for range m.questions {
		m.images = append(m.images, map[uint64]*image{})
	}
	return m, nil
}

// Basis is what all answers so far rest on: when one does not rest on the ledger, it is that one's.
func (m *Many) Basis() Basis { return m.basis }

// Read reads a user of a list, by the form of the IDs of any of the campaigns: a *UserError, if it is of none.
func (m *Many) Read(text []byte) (grant.UserID, error) {
	n, fault := userid.Decimal(text, grant.MaxUserID)
	if fault == "" && !m.questions[0].opaque() {
		return grant.NumberID(n), nil // most lists, at once
	}
	if len(text) == 0 { // which is no ID, and would be taken for the number 0
		_, err := userid.Parse("", grant.MaxUserID)
		return grant.UserID{}, &UserError{err}
	}
	user := grant.TextID(string(text))
	if m.Reads(user) {
		return user, nil
	}
	_, err := readable(m.questions, user)
	return user, err
}

// Reads reports whether a user may be one of any of the campaigns.
func (m *Many) Reads(user grant.UserID) bool {
	for i := range m.questions {
		if m.questions[i].reads(user) {
			return true
		}
	}
	return false
}

// Check answers about some users, in their order, into states, which must be as long. Some tens of thousands at once are the most
// efficient, in any order.
func (m *Many) Check(ctx context.Context, users []grant.UserID, states []grant.State) error {
	for i := range states {
		states[i] = StateNone
	}
	for i := range m.questions {
		err := m.checker.rests()
		if err == nil {
			err = m.campaign(ctx, i, users, states)
		}
		if err = m.checker.orAway(err); err == nil {
			continue
		}
		return m.instead(users, states, err)
	}
	return nil
}

// instead answers all as declared.
func (m *Many) instead(users []grant.UserID, states []grant.State, err error) error {
	for i, user := range users {
		a, err := m.checker.instead(m.questions, user, Answer{At: m.questions[0].when.at, State: StateNone}, err)
		if err != nil {
			m.basis = BasisUnknown
			return err
		}
		states[i], m.basis = a.State, a.Basis
	}
	return nil
}

// campaign adds the answers of one campaign.
func (m *Many) campaign(ctx context.Context, i int, users []grant.UserID, states []grant.State) error {
	q := &m.questions[i]
	if q.opaque() {
		return m.inBuckets(ctx, i, users, states)
	}
	if err := m.read(ctx, i, users); err != nil {
		return err
	}
	var single []int // users to be looked at one by one
	for n, user := range users {
		chunk, low := ledger.Place(user)
		im := m.images[i][chunk]
		switch {
		case im == nil:
			single = append(single, n)
		case im.Granted == nil || !im.Granted.Has(low):
		case im.Acts != nil && im.Acts.Has(low):
			single = append(single, n)
		case im.Taken != nil && im.Taken.Has(low):
			if im.sure {
				merge(&states[n], im.taken)
			} else {
				single = append(single, n)
			}
		case im.decided:
			merge(&states[n], im.state)
		default:
			single = append(single, n)
		}
	}
	for len(single) > 0 {
		part := single[:min(len(single), pipelines.Items)]
		single = single[len(part):]
		if err := m.glance(ctx, q, users, part, states); err != nil {
			return err
		}
	}
	return nil
}

// glance looks at some users one by one.
func (m *Many) glance(ctx context.Context, q *question, users []grant.UserID, part []int, states []grant.State) error {
	within, cancel := context.WithTimeout(ctx, m.checker.cfg.Timeout)
	defer cancel()
	asked := make([]question, len(part))
	g := q.Ledger.Glances(within)
	for k, n := range part {
		asked[k] = *q
		asked[k].prepare(users[n])
		asked[k].add(g)
	}
	if err := g.Send(); err != nil {
		return err
	}
	for k, n := range part {
		state, err := asked[k].decide(ctx)
		if err != nil {
			return err
		}
		merge(&states[n], state)
	}
	return nil
}

// read reads the chunks of which many are asked about, unless they were read a moment ago.
func (m *Many) read(ctx context.Context, i int, users []grant.UserID) error {
	known := m.images[i]
	missing, last := map[uint64]int{}, ^uint64(0)
	fresh := false
	now := time.Now()
	for _, user := range users {
		chunk, _ := ledger.Place(user)
		if chunk != last {
			im := known[chunk]
			if im != nil && now.Sub(im.read) > imageLife {
				delete(known, chunk)
				im = nil
			}
			last, fresh = chunk, im != nil
		}
		if !fresh {
			missing[chunk]++
		}
	}
	var chunks []uint64
	for chunk, n := range missing {
		if n < wholeFrom {
			continue
		}
		if chunks = append(chunks, chunk); len(chunks) == imageChunks {
			if err := m.readChunks(ctx, i, chunks); err != nil {
				return err
			}
			chunks = chunks[:0]
		}
	}
	if len(chunks) == 0 {
		return nil
	}
	return m.readChunks(ctx, i, chunks)
}

func (m *Many) readChunks(ctx context.Context, i int, chunks []uint64) error {
	q := &m.questions[i]
	within, cancel := context.WithTimeout(ctx, m.checker.cfg.Timeout)
	defer cancel()
	read := time.Now()
	one := *q
	one.prepare(grant.NumberID(0))
	images, err := q.Ledger.Images(within, chunks, one.ask)
	if err != nil {
		return err
	}
	if len(m.images[i])+len(chunks) > maxImages {
		clear(m.images[i])
	}
	for k, chunk := range chunks {
		im := &image{Image: images[k], read: read}
		if im.Granted != nil {
			if err := im.decide(within, *q, chunk); err != nil {
				return err
			}
		}
		m.images[i][chunk] = im
	}
	return nil
}

// decide says how the item stands for all users of a chunk, as far as that is the same for all who took it, and for all who did
// not.
func (im *image) decide(ctx context.Context, q question, chunk uint64) (err error) {
	q.prepare(ledger.At(chunk, 0))
	if q.ask.Entries || q.ask.Take && im.Taken != nil {
		if q.bounds, err = q.subject.bounds(ctx, chunk, im.Entries); err != nil {
			return err
		}
	}
	if im.state, im.decided = q.within(time.Time{}); q.ask.Quota {
		im.decided = false // the last may have been taken by others
	}
	if im.Taken != nil {
		last := later(q.bounds.First, q.when.at)
		if until := q.Items[q.item].TakeUntil; !until.IsZero() && until.Before(last) {
			last = later(q.bounds.First, until)
		}
		first := q.holding(q.item, q.bounds.First, q.bounds.First)
		im.taken, im.sure = q.between(q.item, first, q.holding(q.item, q.bounds.Last, last), q.when)
		im.sure = im.sure && q.when.now // else some may have taken it since
	}
	return nil
}

func merge(into *grant.State, state grant.State) {
	if *into != grant.StateActive && state != StateNone {
		*into = state
	}
}
