package publish

import (
	"context"
	"iter"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// layout is how a ledger knows users: by their places in chunks, or, where IDs are not dense, by members of buckets. Whatever is
// said of chunks in this package holds for buckets.
type layout interface {
	// read reads an entry of a list as it is stored. item is that of a take. The Members of the entry are not used.
	read(at place, text string) (e *ledger.Entry, item int, who users, err error)
	// untold are those users of an act's piece of whom nobody is told any more why it was done.
	untold(ctx context.Context, p *piece) ([]grant.UserID, error)
	// roster makes an empty one.
	roster(chunk uint64) roster
	// page is how many entries are read at once where nothing else says it: some MiB.
	page() int
}

// layoutOf is that of a ledger.
func layoutOf(reader *ledger.Reader) layout {
	if reader.Buckets() {
		return &bucketLayout{reader}
	}
	return &chunkLayout{reader}
}

// users are those of an entry, in its order.
type users interface {
	// texts yields their IDs from one on, each of which is valid until the next.
	texts(from int) iter.Seq[[]byte]
	// meets reports whether somebody is among others, too, which are of the same layout.
	meets(o users) bool
	// pack says in the head of a compact record which users it has, from one on, and returns how many those are, and the bytes
	// behind the head.
	pack(from int, h *batchHead) (n int, body []byte)
	// form is the content type of compact records.
	form() string
}

// roster numbers the users of a chunk from 0 on, as its lists are read.
type roster interface {
	// seats appends the numbers of some users, in their order.
	seats(dst []int32, who users) []int32
	// size is above all numbers that it gave.
	size() int
	// few returns the users of ascending numbers, of which there is one at least.
	few(seats []int32) few
}

// few are users who wait for something: they take little memory.
type few interface {
	count() int
	// users returns them in the order in which an entry would have them.
	users() users
}
