package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/granter/granter/grant/ledger"
)

// Subject is a ledger that is exported, or imported into.
type Subject struct {
	Store        *ledger.Store
	Coordination *ledger.Coordination
	Reader       *ledger.Reader
}

// NewSubject makes a subject of a store.
func NewSubject(s *ledger.Store) Subject {
	return Subject{s, ledger.NewCoordination(s), ledger.NewReader(s)}
}

// Write writes the whole ledger to w. A run may go on meanwhile: then each chunk is as of one moment, and the checkpoints are
// older than all of them, so that whoever restores it reads again what was granted meanwhile. It needs memory for one chunk.
func Write(ctx context.Context, s Subject, h Header, w io.Writer) (Header, End, error) {
	spec, stored, err := s.Coordination.Spec(ctx)
	if err != nil {
		return h, End{}, err
	}
	if stored {
		h.Spec = spec.Hash
	}
	if h.Format, h.Since, err = s.Reader.Format(ctx); err != nil {
		return h, End{}, err
	}
	if _, h.At, err = s.Coordination.Control(ctx); err != nil && !errors.Is(err, ledger.ErrInconsistent) {
		return h, End{}, err
	}
	h.At, h.Zone = h.At.UTC(), h.At.In(s.Coordination.Zone(ctx)).Format("-07:00")
	checkpoints, err := s.Reader.AllCheckpoints(ctx) // before anything that they vouch for
	if err != nil {
		return h, End{}, err
	}
	out, err := newWriter(w)
	if err != nil {
		return h, End{}, err
	}
	if err := out.json('H', h); err != nil {
		return h, End{}, err
	}
	for _, c := range checkpoints {
		if err := out.json('C', Checkpoint{c.Version, c.Pass, c.Topic, c.Next, c.Epochs}); err != nil {
			return h, End{}, err
		}
	}
	var t tally
	_, err = s.Reader.ReadParts(ctx, func(p ledger.Part) error {
		if nobody(&p) {
			return nil
		}
		if err := t.add(&p); err != nil {
			return err
		}
		return out.part(&p)
	})
	if err != nil {
		return h, End{}, err
	}
	end, err := out.end(t.done())
	return h, end, err
}

// nobody reports whether a part is a bitmap with no user in it, which says nothing.
func nobody(p *ledger.Part) bool { return ofBits(p) && strings.Trim(p.Items[0], "\x00") == "" }

// Export writes the ledger to a file: under another name first, so that a file of the name is always a whole one, whoever is
// killed meanwhile.
func Export(ctx context.Context, s Subject, h Header, path string) (_ Header, end End, size int64, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return h, end, 0, err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			os.Remove(file.Name()) //nolint:errcheck // the first error is what counts
		}
	}()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if h, end, err = Write(ctx, s, h, buffered); err != nil {
		return h, end, 0, err
	}
	if err = errors.Join(buffered.Flush(), file.Sync()); err != nil {
		return h, end, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return h, end, 0, err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return h, end, 0, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return h, end, 0, err
	}
	err = errors.Join(dir.Sync(), dir.Close()) // or a power failure may take the name along
	return h, end, info.Size(), err
}

// Visit is called with what a file holds, in its order; a field may be nil.
type Visit struct {
	Checkpoint func(Checkpoint) error
	Part       func(*ledger.Part) error
}

// Read reads a file to its end, and checks it: that it is whole, unchanged, and what its last record says. What is visited before
// that is not to be believed yet.
func Read(r io.Reader, v Visit) (h Header, end End, err error) {
	in, err := newReader(r)
	if err != nil {
		return h, end, err
	}
	defer in.close()
	var t tally
	for n := 0; ; n++ {
		rec, err := in.next()
		if errors.Is(err, io.EOF) {
			return h, end, nil
		}
		if err == nil && (n == 0) != (rec.header != nil) {
			err = fmt.Errorf("%w: its header is not its first record", ErrDamaged)
		}
		switch {
		case err != nil:
		case rec.header != nil:
			h = *rec.header
		case rec.checkpoint != nil && v.Checkpoint != nil:
			err = v.Checkpoint(*rec.checkpoint)
		case rec.part != nil:
			if err = t.add(rec.part); err != nil {
				err = fmt.Errorf("%w: %w", ErrDamaged, err)
			} else if v.Part != nil {
				err = v.Part(rec.part)
			}
		case rec.end != nil:
			end = *rec.end
			found := t.done()
			if found.SHA256 = end.SHA256; found != end {
				err = fmt.Errorf("%w: it says %+v, and holds %+v", ErrDamaged, end, found)
			}
		}
		if err != nil {
			return h, end, err
		}
	}
}

// ReadFile is Read of a file.
func ReadFile(path string, v Visit) (Header, End, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return Header{}, End{}, err
	}
	defer file.Close()
	h, end, err := Read(bufio.NewReaderSize(file, 1<<20), v)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return h, end, err
}

// ReadHeader says what a file is of. The rest of it is not looked at.
func ReadHeader(path string) (Header, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return Header{}, err
	}
	defer file.Close()
	in, err := newReader(file)
	if err != nil {
		return Header{}, fmt.Errorf("%s: %w", path, err)
	}
	defer in.close()
	rec, err := in.next()
	if err == nil && rec.header == nil {
		err = ErrDamaged
	}
	if err != nil {
		return Header{}, fmt.Errorf("%s: %w", path, err)
	}
	return *rec.header, nil
}
