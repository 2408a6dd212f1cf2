package publish

import (
	"context"
	"iter"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
)

// chunkLayout is the layout of dense IDs: a user is a bit of a chunk.
type chunkLayout struct{ reader *ledger.Reader }

func (l *chunkLayout) read(at place, text string) (*ledger.Entry, int, users, error) {
	take := new(ledger.TakeEntry)
	var err error
	if at.list == ledger.ListJournal {
		err = take.Entry.UnmarshalBinary([]byte(text))
	} else {
		err = take.UnmarshalBinary([]byte(text))
	}
	return &take.Entry, take.Item, &chunkUsers{at.chunk, &take.Entry}, err
}

func (l *chunkLayout) untold(ctx context.Context, p *piece) (out []grant.UserID, err error) {
	members := &p.who.(*chunkUsers).entry.Members
	erased, err := l.reader.Erasures(ctx, p.chunk, members)
	if err != nil || len(erased) == 0 {
		return nil, err
	}
	for _, low := range members.Lows(nil) {
		if a := p.entry.Act; erased.Told(low, a) != a {
			out = append(out, grant.NumberID(dense.Join(p.chunk, low)))
		}
	}
	return out, nil
}

func (l *chunkLayout) roster(chunk uint64) roster { return &chunkRoster{chunk: chunk} }

// page is 256: an entry has up to 8 KiB, and 65,536 members.
func (l *chunkLayout) page() int { return 256 }

// chunkUsers are the members of an entry of a chunk.
type chunkUsers struct {
	chunk uint64
	entry *ledger.Entry
}

func (u *chunkUsers) texts(from int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var text [20]byte
		n := 0
		for user := range u.entry.Users(u.chunk) {
			if n++; n > from && !yield(user.Append(text[:0])) {
				return
			}
		}
	}
}

func (u *chunkUsers) meets(o users) bool {
	a, b := &u.entry.Members, &o.(*chunkUsers).entry.Members
	for i := range dense.Words {
		if a.Word(i)&b.Word(i) != 0 {
			return true
		}
	}
	return false
}

func (u *chunkUsers) pack(_ int, h *batchHead) (int, []byte) {
	h.Chunk, h.First = new(u.chunk), new(ledger.FirstUser(u.chunk))
	return u.entry.Count, u.entry.Roaring()
}

func (u *chunkUsers) form() string { return ContentType }

// chunkRoster has every user of a chunk, by the low 16 bits.
type chunkRoster struct {
	chunk uint64
	lows  []uint16
}

func (r *chunkRoster) seats(dst []int32, who users) []int32 {
	r.lows = who.(*chunkUsers).entry.Members.Lows(r.lows[:0])
	for _, low := range r.lows {
		dst = append(dst, int32(low))
	}
	return dst
}

func (r *chunkRoster) size() int { return dense.ChunkSize }

func (r *chunkRoster) few(seats []int32) few {
	lows := make([]uint16, len(seats))
	for i, seat := range seats {
		lows[i] = uint16(seat)
	}
	return &chunkFew{r.chunk, lows}
}

type chunkFew struct {
	chunk uint64
	lows  []uint16 // ascending
}

func (f *chunkFew) count() int { return len(f.lows) }

func (f *chunkFew) users() users {
	entry := &ledger.Entry{Count: len(f.lows)}
	for _, low := range f.lows {
		entry.Members.Set(low)
	}
	return &chunkUsers{f.chunk, entry}
}
