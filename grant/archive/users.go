package archive

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

// UserForm is how a list of users is written.
type UserForm string

// The forms of a list of users.
const (
	UsersText   UserForm = "text"   // an ID a line, as granter load, run --only and verify read a list
	UsersJSON   UserForm = "json"   // an object a line, whose user is a string: not every reader has numbers of 64 bits
	UsersBinary UserForm = "binary" // 8 bytes a number, big-endian; 16 a UUID; a string behind its length, an unsigned LEB128
)

// atOnce is how many chunks or buckets are read at once.
const atOnce = 32

// WriteUsers writes who has, or had, what a campaign grants, each once, and returns how many they are: ascending where IDs are
// dense, else by bucket. Who is excluded is left out. A run may go on meanwhile: then each chunk is as of one moment.
func WriteUsers(ctx context.Context, r *ledger.Reader, c *grant.Campaign, form UserForm, w io.Writer) (users int64, err error) {
	if _, _, err := r.Format(ctx); err != nil {
		return 0, err
	}
	chunks, err := r.Chunks(ctx)
	if err != nil {
		return 0, err
	}
	slices.Sort(chunks)
	out := userWriter{Writer: bufio.NewWriterSize(w, 1<<20), form: form, members: userid.FormOf(&c.Input)}
	for part := range slices.Chunk(chunks, atOnce) {
		if c.Input.Opaque() {
			err = out.buckets(ctx, r, c, part)
		} else {
			err = out.chunks(ctx, r, part)
		}
		if err != nil {
			return out.users, err
		}
	}
	return out.users, out.Flush()
}

type userWriter struct {
	*bufio.Writer

	form    UserForm
	members userid.Form
	scratch []byte
	users   int64
}

func (w *userWriter) chunks(ctx context.Context, r *ledger.Reader, chunks []uint64) error {
	settled, excluded, err := r.Settled(ctx, chunks)
	if err != nil {
		return err
	}
	var lows []uint16
	for i, bits := range settled {
		if bits == nil {
			continue
		}
		if excluded[i] != nil {
			bits.Subtract(excluded[i])
		}
		lows = bits.Lows(lows[:0])
		for _, low := range lows {
			id := dense.Join(chunks[i], low)
			if err := w.write(grant.NumberID(id), binary.BigEndian.AppendUint64(w.scratch[:0], id)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *userWriter) buckets(ctx context.Context, r *ledger.Reader, c *grant.Campaign, buckets []uint64) error {
	stored, err := r.BucketMembers(ctx, buckets)
	if err != nil {
		return err
	}
	width := ledger.LayoutOf(c).Width
	for i, entries := range stored {
		excluded, err := width.Excluded(entries)
		if err != nil {
			return fmt.Errorf("%w: bucket %d: %w", ledger.ErrInconsistent, buckets[i], err)
		}
		for _, e := range entries {
			if e.Says == opaque.Admits {
				continue // they are in another entry, too
			}
			for rest := e.Members; len(rest) > 0; {
				var member []byte
				if member, rest, err = width.Next(rest); err != nil {
					return fmt.Errorf("%w: bucket %d: %w", ledger.ErrInconsistent, buckets[i], err)
				}
				if excluded[string(member)] {
					continue
				}
				if err := w.write(w.members.ID(member), width.Append(w.scratch[:0], member)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// write writes a user, of whom raw are the bytes of the binary form.
func (w *userWriter) write(id grant.UserID, raw []byte) (err error) {
	w.users++
	w.scratch = raw[:0]
	switch w.form {
	case UsersBinary:
	case UsersJSON:
		raw, err = json.Marshal(struct {
			User string `json:"user"`
		}{id.String()})
		if err != nil {
			return err
		}
		raw = append(raw, '\n')
	default:
		text := id.String()
		if strings.ContainsAny(text, "\r\n") {
			return fmt.Errorf("the user %q has a line break in it, and a list has a user a line: write json or binary", text)
		}
		raw = append(append(raw[:0], text...), '\n')
	}
	_, err = w.Write(raw)
	return err
}
