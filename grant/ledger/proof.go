package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/granter/granter/grant/digest"
)

// maxViolations is how many violations a Proof names.
const maxViolations = 1000

// Proof says whether the ledger agrees with itself: in every chunk the entries of the journal that grant or exclude are
// disjoint and together are the bitmap, what acts made of users is what the journal makes of them, and no key contradicts
// another. Then nobody was granted twice, nobody who was excluded was granted, and everybody has a time and an origin.
type Proof struct {
	Chunks     int         `json:"chunks"`     // looked at
	Granted    int64       `json:"granted"`    // users, by the bitmaps
	Excluded   int64       `json:"excluded"`   // users, by the bitmaps
	Entries    int64       `json:"entries"`    // of all journals
	Acts       int64       `json:"acts"`       // of those, what people did about single users
	Journaled  int64       `json:"journaled"`  // users granted, by the entries
	Taken      int64       `json:"taken"`      // bits of takes, of all items; see ProveTakes
	Takes      int64       `json:"takes"`      // entries of those
	Digest     string      `json:"digest"`     // of the users granted, by the bitmaps: digest.Users
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
	var members digest.Members
	opaque := l.campaign.Input.Opaque()
	for _, chunk := range slices.Compact(chunks) {
		var result chunkProof
		err := l.retry(ctx, fmt.Sprintf("proving chunk %d", chunk), func() (err error) {
			if opaque {
				result, err = l.proveBucket(ctx, chunk, &members)
			} else {
				result, err = l.proveChunk(ctx, chunk)
			}
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
		p.Excluded += result.excluded
		p.Acts += result.acts
		p.Entries += result.entries
		p.Journaled += result.journaled
		p.violated(fmt.Sprintf("chunk %d", chunk), result.violations...)
	}
	if p.Digest = users.Sum(); opaque {
		p.Digest = members.Sum()
	}
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
	moves, err := l.Moves(ctx)
	if err = p.found(l.keys.moves, err); err != nil {
		return err
	}
	for _, m := range moves {
		p.violated(l.keys.moves, fmt.Sprintf("the move of user %s to %s stopped half way: granter move --resume continues it",
			m.User, *m.Act.To))
	}
	checkpoint, err := l.Checkpoints(ctx, l.campaign)
	if err = p.found("checkpoint", err); err != nil {
		return err
	}
	var index Totals
	if err = p.found(l.keys.chunks, l.remembered(ctx, &index)); err != nil {
		return err
	}
	if index.Missing > 0 {
		p.violated(l.keys.chunks, fmt.Sprintf("it has had %d more chunks than it lists", index.Missing))
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
