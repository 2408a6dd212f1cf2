package publish

import (
	"context"
	"iter"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/opaque"
)

// bucketLayout is the layout of IDs that are not dense: a user is a member of a bucket, in the bytes of the ID.
type bucketLayout struct{ reader *ledger.Reader }

func (l *bucketLayout) read(at place, text string) (*ledger.Entry, int, users, error) {
	e, members, err := l.reader.ReadBucket(at.list, text)
	if err != nil {
		return nil, 0, nil, err
	}
	return &e.Entry, e.Item, &bucketUsers{l.reader, at.chunk, members}, nil
}

func (l *bucketLayout) untold(ctx context.Context, p *piece) (out []grant.UserID, err error) {
	who := p.who.(*bucketUsers)
	all := make([][]byte, 0, who.members.Count())
	for member := range who.members.From(0) {
		all = append(all, member)
	}
	erased, err := l.reader.MemberErasures(ctx, p.chunk, all)
	if err != nil || len(erased) == 0 {
		return nil, err
	}
	for _, member := range all {
		if a := p.entry.Act; erased.Told(member, a) != a {
			out = append(out, l.reader.UserOf(member))
		}
	}
	return out, nil
}

func (l *bucketLayout) roster(bucket uint64) roster {
	return &bucketRoster{reader: l.reader, bucket: bucket, numbers: map[string]int32{}}
}

// page is 64: a run's entry of UUIDs has some 64 KiB; that of the longest strings 1 MiB.
func (l *bucketLayout) page() int { return 64 }

// bucketUsers are the members of an entry of a bucket.
type bucketUsers struct {
	reader  *ledger.Reader
	bucket  uint64
	members ledger.BucketMembers
}

func (u *bucketUsers) texts(from int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var text []byte
		for member := range u.members.From(from) {
			if text = u.reader.AppendUser(text[:0], member); !yield(text) {
				return
			}
		}
	}
}

func (u *bucketUsers) meets(o users) bool { return u.members.Meets(&o.(*bucketUsers).members) }

// How many users a compact record has at most. A record is then below a broker's default of 1 MiB even where each user needs a
// text of its own in the head: an ID that is a string has up to 256 bytes, which JSON may write as 1,536. It must never change:
// the IDs of records follow from it.
const (
	packedMembers = 8192
	packedStrings = 512
)

func (u *bucketUsers) pack(from int, h *batchHead) (int, []byte) {
	most := packedMembers
	if u.members.Width == 0 {
		most = packedStrings
	}
	n := min(most, u.members.Count()-from)
	h.Bucket, h.Begin = u.bucket, from
	return n, u.members.Span(from, n)
}

func (u *bucketUsers) form() string { return BucketContentType }

// bucketRoster has the users of a bucket whom its lists have named so far.
type bucketRoster struct {
	reader  *ledger.Reader
	bucket  uint64
	numbers map[string]int32
	members [][]byte
	width   opaque.Width // of members
}

func (r *bucketRoster) seats(dst []int32, who users) []int32 {
	entry := &who.(*bucketUsers).members
	r.width = entry.Width
	for member := range entry.From(0) {
		seat, known := r.numbers[string(member)]
		if !known {
			seat = int32(len(r.members))
			r.numbers[string(member)] = seat
			r.members = append(r.members, member)
		}
		dst = append(dst, seat)
	}
	return dst
}

func (r *bucketRoster) size() int { return len(r.members) }

func (r *bucketRoster) few(seats []int32) few {
	members := make([][]byte, len(seats))
	for i, seat := range seats {
		members[i] = r.members[seat]
	}
	return &bucketFew{bucketUsers{r.reader, r.bucket, ledger.BucketMembersOf(r.width, members)}}
}

// bucketFew are as an entry has them, which is as small as it gets.
type bucketFew struct{ all bucketUsers }

func (f *bucketFew) count() int { return f.all.members.Count() }

func (f *bucketFew) users() users { return &f.all }
