package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant/digest"
	"github.com/granter/granter/sharding/dense"
)

// maxViolations is how many violations a Proof names.
const maxViolations = 1000

// Proof says whether the ledger agrees with itself: in every chunk the entries of the journal are disjoint and together
// are the bitmap, and no key contradicts another. Then nobody was granted twice, and everybody who was has a time and an
// origin.
type Proof struct {
	Chunks     int         `json:"chunks"`     // looked at
	Granted    int64       `json:"granted"`    // bits set
	Entries    int64       `json:"entries"`    // of all journals
	Journaled  int64       `json:"journaled"`  // members of all entries
	Digest     string      `json:"digest"`     // of the users whose bits are set: digest.Users
	Broken     int         `json:"broken"`     // chunks and other keys with violations
	Violations []Violation `json:"violations"` // the first 1,000
}

// Violation is one thing that is wrong.
type Violation struct {
	Where string `json:"where"` // "chunk 12", or a key that is of none
	What  string `json:"what"`
}

func (p *Proof) violated(where string, what ...string) {
	if len(what) > 0 {
		p.Broken++
	}
	for _, w := range what {
		if len(p.Violations) < maxViolations {
			p.Violations = append(p.Violations, Violation{where, w})
		}
	}
}

// Holds reports whether nothing is wrong.
func (p *Proof) Holds() bool { return p.Broken == 0 && p.Granted == p.Journaled }

// Prove reads the whole ledger, chunk by chunk: those of the index, and those that the masters have. Each chunk is seen at
// one moment, so a run may go on meanwhile; then different chunks are seen at different moments. It needs about 1.5 MiB of
// memory. What is wrong is in the Proof, whatever it is; an error means that the ledger could not be read.
func (l *Reader) Prove(ctx context.Context) (Proof, error) {
	var p Proof
	if _, _, err := l.coordination.Spec(ctx); err != nil && !misused(err) { // a newer format would look like damage
		return p, err
	}
	found, err := l.survey(ctx)
	if err != nil {
		return p, err
	}
	unlisted := map[uint64]bool{}
	if found.index != nil {
		p.violated(l.keys.chunks, found.index.Error())
	} else {
		for _, chunk := range found.unlisted {
			unlisted[chunk] = true
		}
	}
	listed, err := l.Chunks(ctx) // again: those that came meanwhile count
	if err != nil && !misused(err) {
		return p, err
	}
	chunks := append(found.chunks(), listed...)
	slices.Sort(chunks)
	var users digest.Users
	for _, chunk := range slices.Compact(chunks) {
		var result chunkProof
		err := l.retry(ctx, fmt.Sprintf("proving chunk %d", chunk), func() (err error) {
			result, err = l.proveChunk(ctx, chunk)
			return err
		})
		if err != nil {
			return p, err
		}
		if unlisted[chunk] {
			result.violated("%s does not list it: the next run repairs that", l.keys.chunks)
		}
		p.Chunks++
		users.Add(chunk, &result.members)
		p.Granted += result.granted
		p.Entries += result.entries
		p.Journaled += result.journaled
		p.violated(fmt.Sprintf("chunk %d", chunk), result.violations...)
	}
	p.Digest = users.Sum()
	err = l.proveRest(ctx, &p)
	return p, err
}

// proveRest looks at the keys that are of no chunk.
func (l *Reader) proveRest(ctx context.Context, p *Proof) error {
	spec, stored, err := l.coordination.Spec(ctx)
	if err == nil && !stored && p.Granted > 0 {
		p.violated(l.keys.spec, "it is gone, and users are granted")
	}
	if err = p.found(l.keys.spec, err); err != nil {
		return err
	}
	runs, err := l.coordination.Runs(ctx)
	if err = p.found(l.keys.runs, err); err != nil {
		return err
	}
	_, _, err = l.coordination.Control(ctx)
	if err = p.found(l.keys.control, err); err != nil {
		return err
	}
	_, err = l.coordination.History(ctx)
	if err = p.found(l.keys.history, err); err != nil {
		return err
	}
	checkpoint, err := l.Checkpoints(ctx, l.campaign)
	if err = p.found("checkpoint", err); err != nil {
		return err
	}
	missing, err := l.missing(ctx)
	if err = p.found(l.keys.chunks, err); err != nil {
		return err
	}
	if missing > 0 {
		p.violated(l.keys.chunks, fmt.Sprintf("it has had %d more chunks than it lists", missing))
	}
	if Contradiction(l.campaign.Name, Totals{Granted: p.Granted}, checkpoint.Next, runs, spec.Hash) == "" {
		return nil
	}
	totals, err := l.Totals(ctx) // a run may have begun after the chunks were looked at
	if err = p.found(l.keys.chunks, err); err != nil {
		return err
	}
	totals.Missing = 0
	if what := Contradiction(l.campaign.Name, totals, checkpoint.Next, runs, spec.Hash); what != "" {
		p.violated("checkpoint", what)
	}
	return nil
}

// found takes an error for a violation if it says that a key is not what it should be, and returns it otherwise.
func (p *Proof) found(key string, err error) error {
	if err == nil || !misused(err) {
		return err
	}
	p.violated(key, err.Error())
	return nil
}

type chunkProof struct {
	members                     dense.Bitmap
	granted, entries, journaled int64
	violations                  []string
}

func (p *chunkProof) violated(format string, args ...any) {
	p.violations = append(p.violations, fmt.Sprintf(format, args...))
}

// state is what one look at a chunk finds.
type state struct {
	bitmap, calls, excluded string
	page                    []string
	entries                 int64
}

// look reads bitmap and journal of a chunk at one moment: the bitmap belongs to the journal when that is as long after
// reading as before, because each call that changes the one makes the other longer. (Redis allows no MULTI when it is out of
// memory, and that is a good time for a proof.) A key of a wrong type is a violation, and counts as empty.
func (l *Reader) look(ctx context.Context, keys *chunkKeys, p *chunkProof) (s state, err error) {
	for {
		pipe := l.client.Pipeline()
		before := pipe.LLen(ctx, keys.journal)
		bitmap, page := pipe.Get(ctx, keys.granted), pipe.LRange(ctx, keys.journal, 0, journalPage-1)
		after := pipe.LLen(ctx, keys.journal)
		excluded := l.excluded(ctx, pipe, keys)
		calls := pipe.HGet(ctx, keys.calls, "spec")
		exists := pipe.Exists(ctx, keys.calls)
		pipe.Exec(ctx) //nolint:errcheck // each command has its own
		p.violations = nil
		for _, cmd := range []redis.Cmder{bitmap, before, calls, excluded} {
			if err := cmd.Err(); misused(err) {
				p.violated("%s: %v", cmd.Args()[1], err)
			}
		}
		for _, cmd := range []redis.Cmder{before, bitmap, page, after, calls, excluded, exists} {
			if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) && !misused(err) {
				return s, fmt.Errorf("%v: %w", cmd.Args()[1], err)
			}
		}
		if before.Val() != after.Val() {
			continue
		}
		s = state{bitmap: bitmap.Val(), calls: calls.Val(), excluded: excluded.Val(), page: page.Val(), entries: after.Val()}
		if exists.Val() > 0 && s.bitmap == "" && s.entries == 0 && len(p.violations) == 0 {
			p.violated("calls have been applied (%s), and bitmap and journal are gone", keys.calls)
		}
		return s, nil
	}
}

func (l *Reader) proveChunk(ctx context.Context, chunk uint64) (p chunkProof, err error) {
	keys := l.keys.chunk(chunk, "")
	s, err := l.look(ctx, &keys, &p)
	if err != nil {
		return p, err
	}
	p.entries = s.entries
	var union dense.Bitmap
	granted := &p.members
	if copy(granted[:], s.bitmap) < len(s.bitmap) {
		p.violated("the bitmap has %d bytes, more than %d", len(s.bitmap), len(granted))
	}
	p.granted = int64(granted.Count())

	var e Entry
	texts := s.page
	for at := int64(0); at < p.entries; {
		if len(texts) == 0 {
			p.violated("%s became shorter", keys.journal)
			return p, nil
		}
		for _, text := range texts[:min(int64(len(texts)), p.entries-at)] {
			if err := e.UnmarshalBinary([]byte(text)); err != nil {
				p.violated("entry %d: %v", at, err)
			} else {
				p.journaled += int64(e.Count)
				p.join(&union, &e, chunk, at)
			}
			at++
		}
		if at < p.entries {
			if texts, err = l.client.LRange(ctx, keys.journal, at, at+journalPage-1).Result(); err != nil {
				return p, fmt.Errorf("%s: %w", keys.journal, err)
			}
		}
	}
	if n, first := without(granted, &union); n > 0 {
		p.violated("%d users are granted but in no entry, the first is %d", n, dense.Join(chunk, first))
	}
	if n, first := without(&union, granted); n > 0 {
		p.violated("%d users are in an entry but not granted, the first is %d", n, dense.Join(chunk, first))
	}
	return p, nil
}

// join adds an entry to the union of those before it, which it must not overlap.
func (p *chunkProof) join(union *dense.Bitmap, e *Entry, chunk uint64, at int64) {
	twice, first := 0, uint16(0)
	for i := range dense.Words {
		if both := union.Word(i) & e.Members.Word(i); both != 0 {
			if twice == 0 {
				first = uint16(i*64 + bits.LeadingZeros64(both))
			}
			twice += bits.OnesCount64(both)
		}
	}
	if twice > 0 {
		p.violated("entry %d: %d users are in an earlier entry too, the first is %d", at, twice, dense.Join(chunk, first))
	}
	union.Or(&e.Members)
}

// without counts the bits of a that b has not, and returns the first of them.
func without(a, b *dense.Bitmap) (n int, first uint16) {
	for i := range dense.Words {
		if only := a.Word(i) &^ b.Word(i); only != 0 {
			if n == 0 {
				first = uint16(i*64 + bits.LeadingZeros64(only))
			}
			n += bits.OnesCount64(only)
		}
	}
	return n, first
}
