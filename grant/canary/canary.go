// Package canary chooses users who are granted before the others: a share of all, or a list. Everybody else is withheld
// in that pass, and granted by a later one.
package canary

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/dense"
)

// List is a list of users who are granted before the others.
type List struct {
	grant.Pass       // that grants them
	Listed     int64 // how many they are

	users   map[uint64]*dense.Bitmap // by chunk
	members *members                 // if IDs are not dense; nil: they are
}

// Reader knows who has been granted.
type Reader interface {
	// Bitmaps returns the granted users of some chunks; nil where there are none.
	Bitmaps(ctx context.Context, chunks []uint64) ([]*dense.Bitmap, error)
	// Absent returns which of some members, of a campaign whose IDs are not dense, are not granted, in any order.
	Absent(ctx context.Context, members [][]byte) ([][]byte, error)
}

// pageChunks is how many chunks are asked for at once: 2 MiB.
const pageChunks = 256

// Missing returns how many users of a list have not been granted, and the first of them, some at most, ascending. Only the
// ledger knows: this replica may have read a part of the topic, and another run may have granted the list before.
func (l *List) Missing(ctx context.Context, r Reader, some int) (missing int64, first []grant.UserID, err error) {
	if l.members != nil {
		return l.members.missing(ctx, r, some)
	}
	for page := range slices.Chunk(slices.Sorted(maps.Keys(l.users)), pageChunks) {
		granted, err := r.Bitmaps(ctx, page)
		if err != nil {
			return 0, nil, err
		}
		for i, chunk := range page {
			absent := *l.users[chunk]
			if granted[i] != nil {
				absent.Subtract(granted[i])
			}
			missing += int64(absent.Count())
			if len(first) == some {
				continue
			}
			for _, low := range absent.Lows(nil) {
				if first = append(first, grant.NumberID(dense.Join(chunk, low))); len(first) == some {
					break
				}
			}
		}
	}
	return missing, first, nil
}

// Share returns the pass that grants a share of all users, from above 0 to 1, by a hash of their ID that is seeded with the
// campaign's name: the same users in every replica and every run. A larger share includes all users of a smaller one. Where IDs
// are not dense, it is a hash of the hash that places a user in a bucket, so all spellings of a user are one.
func Share(all grant.Pass, campaign string, share float64) (grant.Pass, error) {
	if !(share > 0 && share <= 1) {
		return grant.Pass{}, fmt.Errorf("canary of %g: want a share above 0%% and up to 100%%", share)
	}
	name := percent(share)
	includes := func(uint64) bool { return true }
	if share < 1 {
		seed := seedOf(campaign)
		limit := uint64(math.Ldexp(share, 64))
		includes = func(id uint64) bool { return userid.Hash(id^seed) < limit }
	}
	pass := all.Some("canary "+name, "canary-"+name, includes)
	pass.IncludesMember = func(hash uint64, _ []byte) bool { return includes(hash) }
	return pass, nil
}

// percent writes a share as people do. 100 × 0.07 would be 7.000000000000001.
func percent(share float64) string {
	v, _ := strconv.ParseFloat(strconv.FormatFloat(share, 'f', -1, 64)+"e2", 64)
	return strconv.FormatFloat(v, 'f', -1, 64) + "%"
}

func seedOf(campaign string) uint64 {
	sum := sha256.Sum256([]byte("granter canary " + campaign))
	return binary.BigEndian.Uint64(sum[:])
}

// Only chooses the users of a list, one ID a line. A line that is no user ID is an error that names it.
func Only(ctx context.Context, all grant.Pass, list io.Reader, t grant.Input) (*List, error) {
	if t.Opaque() {
		return onlyMembers(ctx, all, list, &t)
	}
	users := map[uint64]*dense.Bitmap{}
	var n int64
	err := userid.ReadList(list, t.MaxID).Each(ctx, func(id grant.UserID) {
		chunk, low := dense.Split(id.Number())
		if users[chunk] == nil {
			users[chunk] = new(dense.Bitmap)
		}
		if users[chunk].Set(low) {
			n++
		}
	})
	if err := judge(n, err); err != nil {
		return nil, err
	}
	includes := func(id uint64) bool {
		chunk, low := dense.Split(id)
		b := users[chunk]
		return b != nil && b.Has(low)
	}
	return &List{Pass: all.Some(fmt.Sprintf("only %d users", n), "only-"+digest(users), includes), Listed: n, users: users}, nil
}

// judge returns what is wrong with a list of n users.
func judge(n int64, err error) error {
	switch {
	case errors.Is(err, userid.ErrBadLine):
		return fmt.Errorf("%w; correct the list: nobody is granted by half of one", err)
	case err == nil && n == 0:
		return errors.New("the list names nobody")
	}
	return err
}

// digest tells one set of users from another.
func digest(users map[uint64]*dense.Bitmap) string {
	h := sha256.New()
	var number [8]byte
	for _, chunk := range slices.SortedFunc(maps.Keys(users), cmp.Compare[uint64]) {
		binary.BigEndian.PutUint64(number[:], chunk)
		h.Write(number[:])
		h.Write(users[chunk][:])
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}
