// Package balance is the daily report of a programme's money: what was promised, what of it is ordered, sent, settled and
// returned, to the won. It is signed, names the report before it and the end of the history that it was made of, and is verified
// without a database, so that whoever has kept one can show what was said that day.
package balance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// Suffix is the end of a report's file name.
const Suffix = ".money"

// Verdict is what a report comes to.
type Verdict string

// The verdicts.
const (
	Agrees Verdict = "AGREES" // every sum agrees, to the won
	Doubts Verdict = "DOUBTS" // they do, and the bank says something that does not fit: a person must look
	Wrong  Verdict = "WRONG"  // sums do not agree
)

// Report is how a programme's money stood at a moment.
type Report struct {
	Format    int         `json:"format"` // 1
	Kind      string      `json:"kind"`   // "money of claims"
	Programme string      `json:"programme"`
	Rules     string      `json:"rules"` // hash of the programme
	At        time.Time   `json:"at"`
	Previous  *audit.Link `json:"previous,omitempty"`
	Verdict   Verdict     `json:"verdict"`

	store.Books
}

const kind = "money of claims"

// New makes a report of a programme. The bank should have answered within the given time.
func New(ctx context.Context, s *store.Store, p *claims.Programme, within time.Duration) (*Report, error) {
	books, err := s.Books(ctx, p.Name, within)
	if err != nil {
		return nil, err
	}
	r := &Report{Format: 1, Kind: kind, Programme: p.Name, Rules: p.Hash, At: books.At, Verdict: Agrees, Books: *books}
	switch {
	case len(books.Wrong) > 0:
		r.Verdict = Wrong
	case len(books.Doubts) > 0:
		r.Verdict = Doubts
	}
	return r, nil
}

// Sign signs the report, which follows another one unless that is nil.
func (r *Report) Sign(s note.Signer, before *Report, signed []byte) ([]byte, error) {
	if before != nil {
		r.Previous = &audit.Link{SHA256: audit.Name(signed), At: before.At}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: string(text) + "\n"}, s)
}

// Open verifies a signed report, and reads it.
func Open(signed []byte, v note.Verifier) (*Report, error) {
	text, err := audit.Text(signed, v)
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, fmt.Errorf("it is signed, and no report of money: %w", err)
	}
	if r.Format != 1 || r.Kind != kind {
		return nil, fmt.Errorf("it is signed, and has format %d of %q: this granter reads format 1 of %q", r.Format, r.Kind, kind)
	}
	return &r, nil
}

// Chain verifies signed reports, oldest first, each of which must name the one before: one that is left out, exchanged or put
// elsewhere is noticed by that.
func Chain(signed [][]byte, v note.Verifier) ([]*Report, error) {
	out := make([]*Report, 0, len(signed))
	for i, text := range signed {
		r, err := Open(text, v)
		if err == nil && i > 0 {
			err = r.follows(out[i-1], audit.Name(signed[i-1]))
		}
		if err != nil {
			return nil, fmt.Errorf("report %d: %w", i+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func (r *Report) follows(before *Report, name string) error {
	switch {
	case r.Programme != before.Programme:
		return fmt.Errorf("%w: it is of %s, and the one before of %s", audit.ErrChain, r.Programme, before.Programme)
	case r.Previous == nil || r.Previous.SHA256 != name:
		return fmt.Errorf("of %s: %w, of %s: one between them is missing, or one was exchanged", r.At.Format(time.RFC3339),
			audit.ErrChain, before.At.Format(time.RFC3339))
	case r.Commits < before.Commits:
		return fmt.Errorf("of %s: %w: history had %d commits then, and %d before: it was cut", r.At.Format(time.RFC3339),
			audit.ErrChain, r.Commits, before.Commits)
	}
	return nil
}

// FileName is what a report is called in a directory.
func (r *Report) FileName() string {
	return strings.TrimSuffix(audit.FileName(r.Programme, r.At), audit.ReportSuffix) + Suffix
}

// Err is what a report that does not agree ends a command with.
func (r *Report) Err() error {
	switch r.Verdict {
	case Agrees:
		return nil
	case Doubts:
		return fmt.Errorf("%d answers of the bank do not fit: a person must look", len(r.Books.Doubts))
	case Wrong:
		return fmt.Errorf("sums do not agree: %s", strings.Join(r.Books.Wrong, "; "))
	}
	return errors.New("the report has no verdict that this granter knows")
}
