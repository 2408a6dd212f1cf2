package population

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

// Order is the order in which a generated population names its users for the first time.
type Order string

// The orders.
const (
	Shuffled  Order = "shuffled"  // a permutation by the seed: consecutive IDs fall in unrelated chunks
	Ascending Order = "ascending" // by ID
)

// Plan describes a generated population. The same plan gives the same records in the same order on every machine.
type Plan struct {
	// Topic is where the population goes. Its limit bounds the IDs; its format decides which kinds of bad record exist.
	Topic grant.Input

	// UUID is the version of generated UUIDs: UUIDv4, the default, or UUIDv7.
	UUID string

	// Users is the number of distinct IDs, at least 1.
	Users int64

	// First is the lowest ID of the ID space. Of IDs that are not dense it is the number of the first user.
	First uint64

	// Spread is the size of the ID space, First to First+Spread−1. 0 means Users: every ID of the space is a user.
	// In a larger space each of Users equal sections holds one user, at a pseudo-random place in it.
	Spread int64

	// Order defaults to Shuffled.
	Order Order

	// Duplicates is how many records repeat a random earlier user, as a share of Users, 0 to 1. They come on top.
	Duplicates float64

	// Malformed is how many bad records there are, as a share of Users, 0 to 1. They come on top, one kind
	// after the other.
	Malformed float64

	// Seed selects the permutation, the places in a larger space, and the repeats.
	Seed uint64
}

// Validate reports everything that is wrong with the plan.
func (p Plan) Validate() error {
	var errs []error
	if p.Users < 1 {
		errs = append(errs, fmt.Errorf("users: %d: want at least 1", p.Users))
	}
	if p.Spread != 0 && p.Spread < p.Users {
		errs = append(errs, fmt.Errorf("spread: an ID space of %d cannot hold %d distinct users: want 0 or at least as many",
			p.Spread, p.Users))
	}
	if err := p.checkIDs(); err != nil {
		errs = append(errs, err)
	}
	if limit := userid.Limit(p.Topic.MaxID); p.First > limit || uint64(max(p.space(), 1)-1) > limit-p.First {
		errs = append(errs, fmt.Errorf("first: IDs from %d on, %d of them, exceed the topic's limit of %d",
			p.First, p.space(), limit))
	}
	if p.Order != "" && p.Order != Shuffled && p.Order != Ascending {
		errs = append(errs, fmt.Errorf("order: %q: want %s or %s", p.Order, Shuffled, Ascending))
	}
	errs = append(errs, checkShare("duplicates", p.Duplicates), checkShare("malformed", p.Malformed))
	if _, err := newPayload(p.Topic); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func checkShare(name string, share float64) error {
	if !isShare(share) {
		return fmt.Errorf("%s: a share of %v: want 0 to 1", name, share)
	}
	return nil
}

func isShare(v float64) bool { return v >= 0 && v <= 1 } // NaN is none

func (p Plan) space() int64 {
	if p.Spread == 0 {
		return p.Users
	}
	return p.Spread
}

// Counts returns what the population holds, without generating it.
func (p Plan) Counts() Counts {
	c := Counts{Distinct: p.Users, Repeats: portion(p.Users, p.Duplicates), Malformed: portion(p.Users, p.Malformed)}
	c.Records = c.Distinct + c.Repeats + c.Malformed
	return c
}

func portion(n int64, share float64) int64 { return min(n, int64(math.Round(float64(n)*share))) }

// Records yields the population in order; nothing if the plan is not valid.
func (p Plan) Records(yield func(Record) bool) {
	var block [256]Record
	for src := p.Source(); ; {
		n, err := src.Next(context.Background(), block[:])
		for _, r := range block[:n] {
			if !yield(r) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// IDs yields the distinct users in the order in which Records names them first; nothing if the plan is not valid.
func (p Plan) IDs(yield func(grant.UserID) bool) {
	p.Duplicates, p.Malformed = 0, 0
	for r := range p.Records {
		if !yield(r.ID) {
			return
		}
	}
}

// Source returns the population for Publish. If the plan is not valid, its first Next fails with what Validate says.
func (p Plan) Source() Source { return newGenerator(p) }

type generator struct {
	invalid error
	plan    Plan
	perm    permutation
	maker   maker // of IDs that are not dense
	kinds   []Kind
	users   uint64
	spread  uint64 // 0: dense
	next    uint64 // how many users have been named
	bad     uint64 // how many bad records have been handed out
	repeats uint64

	// Every user named adds the number of repeats (bad records) to a debt; a whole number of users in debt is due as
	// one record. So they are spread evenly, and after the last user exactly as many as planned have been handed out.
	repeatsPerUsers, repeatDebt uint64
	badPerUsers, badDebt        uint64
}

func newGenerator(p Plan) *generator {
	if err := p.Validate(); err != nil {
		return &generator{invalid: fmt.Errorf("population plan: %w", err)}
	}
	c := p.Counts()
	g := &generator{
		plan: p, kinds: kindsOf(p.Topic), users: uint64(p.Users),
		repeatsPerUsers: uint64(c.Repeats), badPerUsers: uint64(c.Malformed),
	}
	if p.Topic.Opaque() {
		g.maker = newMaker(&p)
	}
	if p.space() != p.Users {
		g.spread = uint64(p.Spread)
	}
	if p.Order != Ascending {
		g.perm = newPermutation(g.users, mix(p.Seed, 1))
	}
	return g
}

func (g *generator) Next(_ context.Context, dst []Record) (int, error) {
	if g.invalid != nil {
		return 0, g.invalid
	}
	for n := range dst {
		switch {
		case g.repeatDebt >= g.users:
			g.repeatDebt -= g.users
			earlier := below(mix(g.plan.Seed^0x52, g.repeats), g.next)
			g.repeats++
			dst[n] = Record{ID: g.id(earlier), Kind: KindRepeat}
		case g.badDebt >= g.users:
			g.badDebt -= g.users
			dst[n] = Record{ID: g.id(g.next - 1), Kind: g.kinds[g.bad%uint64(len(g.kinds))]}
			g.bad++
		case g.next < g.users:
			dst[n] = Record{ID: g.id(g.next)}
			g.next++
			g.repeatDebt += g.repeatsPerUsers
			g.badDebt += g.badPerUsers
		default:
			return n, io.EOF
		}
	}
	return len(dst), nil
}

// id returns the i-th user to be named.
func (g *generator) id(i uint64) grant.UserID {
	if g.perm.n != 0 {
		i = g.perm.at(i)
	}
	if g.plan.Topic.Opaque() {
		return g.maker.id(g.plan.First + i)
	}
	if g.spread != 0 {
		from, to := g.section(i), g.section(i+1)
		i = from + below(mix(g.plan.Seed^0x53, i), to-from)
	}
	return grant.NumberID(g.plan.First + i)
}

// section returns where the i-th of users equal sections of the space begins: ⌊i·spread/users⌋.
func (g *generator) section(i uint64) uint64 {
	if i == g.users {
		return g.spread
	}
	hi, lo := bits.Mul64(i, g.spread)
	q, _ := bits.Div64(hi, lo, g.users)
	return q
}
