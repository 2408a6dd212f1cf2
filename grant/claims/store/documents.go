package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Kept is a document that is kept, and where.
type Kept struct {
	Document
	Claim       string    `json:"claim"`
	Blob        string    `json:"-"`
	Quarantined bool      `json:"quarantined,omitempty"` // the scanner was away: nobody gets it before it was looked at
	At          time.Time `json:"at"`
}

// ErrFull means that a claim has as many documents as it may have.
var ErrFull = errors.New("the claim has as many documents as it may have")

// Key returns the secret that a claim's documents are encrypted with. Fresh is kept if there is none yet; an empty fresh makes
// none. ErrNotFound: there is none, or it was erased.
func (s *Store) Key(ctx context.Context, claim, fresh string) (secret string, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		if fresh != "" {
			if _, err := tx.ExecContext(ctx, "INSERT INTO keys (claim, secret) SELECT $1, $2 WHERE EXISTS "+
				"(SELECT 1 FROM owners WHERE claim = $1) ON CONFLICT DO NOTHING", claim, fresh); err != nil {
				return err
			}
		}
		err := tx.QueryRowContext(ctx, "SELECT secret FROM keys WHERE claim = $1", claim).Scan(&secret)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("the key of claim %s: %w", claim, ErrNotFound)
		}
		return err
	})
	return secret, err
}

// AddDocument adds a document that was put somewhere, unless the claim has most of them already, or more than so many bytes.
// That it is there becomes history when it is not quarantined.
func (s *Store) AddDocument(ctx context.Context, claim *Claim, k Kept, most int, bytes int64, by Actor) error {
	insert := func(tx *sql.Tx) error {
		// Whoever adds another one at the same time waits here.
		if _, err := tx.ExecContext(ctx, "UPDATE keys SET secret = secret WHERE claim = $1", claim.ID); err != nil {
			return err
		}
		var count int
		var size int64
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM documents WHERE "+
			"claim = $1 AND (redacts = '') = ($2 = '')", // versions for the council take nothing away from the owner
			claim.ID, k.Redacts).Scan(&count, &size); err != nil {
			return err
		}
		if count >= most || size+k.Size > bytes {
			return fmt.Errorf("claim %s: %w: %d of %d, %d bytes of %d", claim.ID, ErrFull, count, most, size, bytes)
		}
		state := "kept"
		if k.Quarantined {
			state = InQuarantine
		}
		_, err := tx.ExecContext(
			ctx,
			"INSERT INTO documents (claim, digest, kind, type, size, blob, state, at, redacts) VALUES ($1, $2, $3, "+
				"$4, $5, $6, $7, $8, $9)",
			claim.ID,
			k.Digest,
			k.Kind,
			k.Type,
			k.Size,
			k.Blob,
			state,
			s.now().UnixMicro(),
			k.Redacts,
		)
		return err
	}
	if k.Quarantined {
		return s.inTx(ctx, insert)
	}
	return s.Commit(ctx, documentSteps(claim, &k.Document, by), insert)
}

// documentSteps are the entries that a document makes: it is there and, when it was the last one that was missing, the claim goes
// on.
func documentSteps(c *Claim, d *Document, by Actor) []Step {
	if d.Redacts != "" {
		return []Step{{Claim: c, Action: ShowCouncil, By: by, Reason: "a redacted version", Change: Change{Document: d}}}
	}
	steps := []Step{{Claim: c, Action: AddDocument, By: by, Change: Change{Document: d},
		Marks: []Mark{{claims.SameDocument, digestOf(string(claims.SameDocument), d.Digest)}}}}
	if c.State == claims.DocumentsMissing && c.Proposal != nil {
		with := *c
		with.Documents = append(slices.Clip(with.Documents), *d)
		if len(with.Missing(c.Proposal)) == 0 {
			steps = append(steps, Step{Claim: c, Action: claims.Complete, By: Owner})
		}
	}
	return steps
}

// Missing are the documents that a proposal asks for and a claim has not.
func (c *Claim) Missing(p *claims.Proposal) []string {
	var out []string
	for _, kind := range p.Documents {
		found := false
		for i := range c.Documents {
			found = found || c.Documents[i].Kind == kind
		}
		if !found {
			out = append(out, kind)
		}
	}
	return out
}

// InQuarantine is what the malware scan of a document comes to that waits for the scanner. What it came to for the others is in
// history, with the document.
const InQuarantine = "quarantined"

// Documents returns those of a claim, the oldest first, with the versions for the council, and what their malware scan came to.
func (s *Store) Documents(ctx context.Context, claim string) ([]Kept, error) {
	out, err := s.documents(ctx, "WHERE claim = $1 ORDER BY at, digest", claim)
	if err != nil || len(out) == 0 {
		return out, err
	}
	history, err := s.History(ctx, claim)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Quarantined {
			out[i].Scan = InQuarantine
		}
		for e := range history {
			if d := history[e].Change.Document; d != nil && d.Digest == out[i].Digest {
				out[i].Scan = d.Scan
			}
		}
	}
	return out, nil
}

// Sent are those of some documents that the owner sent.
func Sent(list []Kept) []Kept {
	return slices.DeleteFunc(slices.Clone(list), func(k Kept) bool { return k.Redacts != "" })
}

// ShowToCouncil lets the council read a document of the owner's as it is or, if hide is set, no version of it any more.
func (s *Store) ShowToCouncil(ctx context.Context, claim *Claim, digest string, hide bool, by Actor, why string) error {
	switch i := slices.IndexFunc(claim.Documents, func(d Document) bool { return d.Digest == digest }); {
	case by.Duty != claims.Reviewer:
		return claims.Illegal("what the council may read is for a reviewer to say, not for %s", by.Duty)
	case i < 0:
		return fmt.Errorf("document %.12s of claim %s: %w", digest, claim.ID, ErrNotFound)
	case why == "":
		return claims.Illegal("say why")
	}
	shown := Shown{Document: digest, As: digest}
	if hide {
		shown.As = ""
	}
	return s.Commit(ctx, []Step{{Claim: claim, Action: ShowCouncil, By: by, Reason: why, Change: Change{Shown: &shown}}}, nil)
}

// Quarantined returns documents that nobody has looked at for malware, the oldest first.
func (s *Store) Quarantined(ctx context.Context, most int) ([]Kept, error) {
	return s.documents(ctx, "WHERE state = 'quarantined' ORDER BY at, digest LIMIT $1", most)
}

func (s *Store) documents(ctx context.Context, which string, args ...any) ([]Kept, error) {
	rows, err := s.db.QueryContext(
		ctx,
		"SELECT claim, digest, kind, type, size, blob, state, at, redacts FROM documents "+which,
		args...)
	if err != nil {
		return nil, err
	}
	out := []Kept{}
	return out, each(rows, func(scan func(...any) error) error {
		var k Kept
		var state string
		var at int64
		err := scan(&k.Claim, &k.Digest, &k.Kind, &k.Type, &k.Size, &k.Blob, &state, &at, &k.Redacts)
		k.Quarantined, k.At = state == InQuarantine, moment(at)
		out = append(out, k)
		return err
	})
}

// Release ends the quarantine of a document that was found clean: from now on it counts.
func (s *Store) Release(ctx context.Context, claim *Claim, k Kept, by Actor) error {
	return s.Commit(ctx, documentSteps(claim, &k.Document, by), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(
			ctx,
			"UPDATE documents SET state = 'kept' WHERE claim = $1 AND digest = $2 AND state = 'quarantined'",
			claim.ID,
			k.Digest,
		)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(
				err,
				fmt.Errorf("document %.12s of claim %s was released by somebody else meanwhile", k.Digest, claim.ID),
			)
		}
		return nil
	})
}

// Reject removes a quarantined document that was found to hold malware. History says so, without what was in it.
func (s *Store) Reject(ctx context.Context, claim *Claim, k Kept, by Actor, why string) error {
	return s.Commit(ctx, []Step{{Claim: claim, Action: Note, By: by, Reason: why}}, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM documents WHERE claim = $1 AND digest = $2 AND state = 'quarantined'",
			claim.ID, k.Digest)
		return err
	})
}

// EveryDocument returns those of all claims, by claim.
func (s *Store) EveryDocument(ctx context.Context) ([]Kept, error) {
	return s.documents(ctx, "ORDER BY claim, at, digest")
}

// Identity tells a database from others: it is that of its first commit, which its backups have, too. Empty: it has no commit
// yet.
func (s *Store) Identity(ctx context.Context) (hash string, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT hash FROM commits WHERE number = 1").Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return hash, err
}

// Blobs are the places of all documents that are kept.
func (s *Store) Blobs(ctx context.Context) (map[string]bool, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT blob FROM documents")
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	return out, each(rows, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		out[name] = true
		return err
	})
}
