package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/granter/granter/grant/ledger"
)

// ErrOther means that the ledger has the campaign, and is not what the file holds. Nothing was changed.
var ErrOther = errors.New("the ledger is not the one of the file")

// Imported says what an import did.
type Imported struct {
	Header  Header
	End     End
	Already bool // the ledger was the file's before: nothing was done
}

// Import makes an empty ledger the one of a file. While it is not complete, nobody can grant, answer or order anything by the
// ledger; after a kill it is done again with the same file, and goes on. A ledger that is the file's already is left as it is;
// one that is not is ErrOther. The file is read to its end, and checked, before anything is written, and the ledger when all
// is.
func Import(ctx context.Context, s Subject, path string, mark ledger.Import) (Imported, error) {
	var out Imported
	var checkpoints []Checkpoint
	var err error
	out.Header, out.End, err = ReadFile(path, Visit{Checkpoint: func(c Checkpoint) error {
		checkpoints = append(checkpoints, c)
		return nil
	}})
	if err != nil {
		return out, err
	}
	mark.Archive = out.End.SHA256
	r := ledger.NewRestorer(s.Store)
	switch err := r.Begin(ctx, mark); {
	case errors.Is(err, ledger.ErrOccupied):
		same, readErr := holds(ctx, s, out.End)
		if out.Already = same; same || readErr != nil {
			return out, readErr
		}
		return out, fmt.Errorf("%w (%w): an import is for a Redis that has no campaign %s, and never adds to one",
			ErrOther, err, out.Header.Campaign)
	case err != nil:
		return out, err
	}
	if err := writeParts(ctx, r, path); err != nil {
		return out, err
	}
	for _, c := range checkpoints {
		if err := r.Checkpoint(ctx, c.named()); err != nil {
			return out, err
		}
	}
	found, err := contents(ctx, s)
	if err != nil {
		return out, err
	}
	if found.Users != out.End.Users || found.Ledger != out.End.Ledger {
		return out, fmt.Errorf("%w: read back, it has %d users (digest %s, %s), and should have %d (%s, %s): do the import again",
			ErrOther, found.Granted, found.Users, found.Ledger, out.End.Granted, out.End.Users, out.End.Ledger)
	}
	return out, r.End(ctx, out.Header.Format, out.Header.Since, out.Header.Zone)
}

// writeParts writes what a file holds of keys.
func writeParts(ctx context.Context, r *ledger.Restorer, path string) error {
	var chunk []ledger.Part
	flush := func() error {
		if len(chunk) == 0 {
			return nil
		}
		err := r.Chunk(ctx, chunk[0].Chunk, chunk)
		chunk = chunk[:0]
		return err
	}
	begun := map[string]bool{}
	_, _, err := ReadFile(path, Visit{Part: func(p *ledger.Part) error {
		if !p.OfChunk {
			first := !begun[p.Name]
			begun[p.Name] = true
			return r.Page(ctx, *p, first)
		}
		if len(chunk) > 0 && chunk[0].Chunk != p.Chunk {
			if err := flush(); err != nil {
				return err
			}
		}
		chunk = append(chunk, *p)
		return nil
	}})
	if err != nil {
		return err
	}
	return flush()
}

// holds reports whether a ledger has what a file has.
func holds(ctx context.Context, s Subject, want End) (bool, error) {
	if _, _, err := s.Reader.Format(ctx); err != nil { // another import, or a newer granter's
		return false, err
	}
	found, err := contents(ctx, s)
	return err == nil && found.Users == want.Users && found.Ledger == want.Ledger && found.Chunks == want.Chunks, err
}

// contents are the counts and digests of a ledger as it is.
func contents(ctx context.Context, s Subject) (End, error) {
	var t tally
	_, err := s.Reader.ReadParts(ctx, func(p ledger.Part) error {
		if nobody(&p) {
			return nil
		}
		return t.add(&p)
	})
	return t.done(), err
}

// Digest returns the counts and digests that an export of the ledger would have now.
func Digest(ctx context.Context, s Subject) (End, error) {
	if _, _, err := s.Reader.Format(ctx); err != nil {
		return End{}, err
	}
	return contents(ctx, s)
}
