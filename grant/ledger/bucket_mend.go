package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// planMendBucket is planMend of a bucket. There is no bitmap that could contradict its journal: what can be wrong is that several
// entries settle a user. The first one stays.
func (l *Acts) planMendBucket(ctx context.Context, bucket uint64, users []*Mended) (*mending, error) {
	var texts []string
	stored, err := l.reader.Stored(ctx, bucket, func(at int64, text string) {
		if at == 0 {
			texts = texts[:0]
		}
		texts = append(texts, text)
	})
	switch {
	case err != nil:
		return nil, err
	case len(stored.Misused) > 0:
		return nil, fmt.Errorf("bucket %d: %s: restore it from a backup or an export", bucket, stored.Misused[0])
	}
	empty := new(dense.Bitmap)
	m := &mending{
		length: int64(len(texts)), set: empty, out: empty, hand: empty, excluded: empty,
		replaced: map[int]string{}, was: map[int]string{},
	}
	asked := make(map[string]*repeated, len(users))
	for _, u := range users {
		member, err := l.memberOf(u.User)
		if err != nil {
			return nil, err
		}
		u.Err = nil // what an attempt whose reply was lost has done stays said
		asked[string(member)] = &repeated{Mended: u}
	}
	if err := l.findRepeated(texts, asked); err != nil {
		return nil, fmt.Errorf("bucket %d: %w: restore it from a backup or an export", bucket, err)
	}
	taken := map[int]map[string]bool{} // of which entries who goes
	for member, r := range asked {
		r.decide()
		for _, number := range r.gone {
			if taken[number] == nil {
				taken[number] = map[string]bool{}
			}
			taken[number][member] = true
		}
	}
	for number, gone := range taken {
		m.was[number] = texts[number]
		if m.replaced[number], err = l.bucketEntryWithout(texts[number], gone); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// repeated is a user who may be in several entries.
type repeated struct {
	*Mended

	in       []int // entries that settle the user
	excluded bool  // by one of them, or moved here by one
	gone     []int // of in
}

func (l *Acts) findRepeated(texts []string, asked map[string]*repeated) error {
	var e Entry
	for number, text := range texts {
		members, err := e.UnmarshalBucket([]byte(text))
		if err == nil {
			err = e.readAct()
		}
		if err == nil && e.Kind.Settles() {
			err = members.Each(func(_ uint64, member []byte) bool {
				if r := asked[string(member)]; r != nil {
					r.in = append(r.in, number)
					r.excluded = r.excluded || e.Kind == EntryExclude || e.Kind == EntryHand && e.Act.From != nil
				}
				return true
			})
		}
		if err != nil {
			return fmt.Errorf("entry %d of the journal: %w", number, err)
		}
	}
	return nil
}

// decide says what is to be done about the user.
func (r *repeated) decide() {
	switch {
	case len(r.in) == 0:
		r.Err = fmt.Errorf("%w: no entry of the user's bucket has the user", grant.ErrRefused)
	case len(r.in) == 1:
	case r.excluded:
		r.Err = fmt.Errorf("%w: one of the entries excludes the user, or moved the grant here: "+
			"restore the bucket from a backup or an export", grant.ErrRefused)
	default:
		r.What, r.gone = MendedRepeat, r.in[1:]
	}
}

// bucketEntryWithout is entryWithout of an entry of a bucket.
func (l *Acts) bucketEntryWithout(text string, gone map[string]bool) (string, error) {
	var e Entry
	members, err := e.UnmarshalBucket([]byte(text))
	if err != nil {
		return "", err
	}
	var left [][]byte
	err = members.Each(func(_ uint64, member []byte) bool {
		if !gone[string(member)] {
			left = append(left, slices.Clone(member))
		}
		return true
	})
	if err != nil || len(left) == 0 {
		return "", err
	}
	stamp := append([]byte{bucketEntryVersion}, text[1:stampBytes]...)
	if e.Kind != EntryGrant {
		return string(appendBucketAct(stamp, e.Kind, e.act, members.Width, left)), nil
	}
	out, err := appendBucketGrant(stamp, &e, members.Width, left)
	return string(out), err
}
