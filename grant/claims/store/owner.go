package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Owner is the owner of a claim who acts himself.
var Owner = Actor{Name: "owner", Duty: claims.Owner}

// SessionFor is how long an owner stays in after the code was shown.
const SessionFor = 12 * time.Hour

const (
	draftFor = 30 * 24 * time.Hour // since it was changed last
	// alphabet is Crockford's: no letter in it looks like a digit, and none is needed to write a word.
	alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	numberOf = 10 // characters of a claim's number: 50 bits
	codeOf   = 16 // of its code: 80 bits, which nobody guesses
)

// random is a text of so many characters, in groups that people can read out.
func random(n, group int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return spell(raw, group)
}

func spell(raw []byte, group int) string {
	var b strings.Builder
	for i, c := range raw {
		if i > 0 && i%group == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(alphabet[int(c)%len(alphabet)])
	}
	return b.String()
}

// plainCode is a code without what people add or mistake when they write it.
func plainCode(code string) string {
	return strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
}

// NewNumber is a number for a claim that has none of its own.
func NewNumber() string { return random(numberOf, numberOf/2) }

// NewDraft begins a claim of an owner, and returns its number.
func (s *Store) NewDraft(ctx context.Context, programme string) (string, error) {
	id := NewNumber()
	_, err := s.db.ExecContext(ctx, "INSERT INTO drafts (id, programme, answers, changed_at) VALUES ($1, $2, '{}', $3)",
		id, programme, s.now().UnixMicro())
	return id, err
}

// Draft returns what an owner answered so far; ErrNotFound: there is no such draft, or it was handed in.
func (s *Store) Draft(ctx context.Context, id string) (map[string]string, error) {
	var text string
	err := s.db.QueryRowContext(ctx, "SELECT answers FROM drafts WHERE id = $1", id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("draft %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	answers := map[string]string{}
	err = json.Unmarshal([]byte(text), &answers)
	return answers, err
}

// SaveDraft keeps some answers beside those that are there.
func (s *Store) SaveDraft(ctx context.Context, id string, answers map[string]string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		query := "SELECT answers FROM drafts WHERE id = $1"
		if s.postgres {
			query += " FOR UPDATE"
		}
		var text string
		if err := tx.QueryRowContext(ctx, query, id).Scan(&text); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				err = ErrNotFound
			}
			return fmt.Errorf("draft %s: %w", id, err)
		}
		all := map[string]string{}
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return err
		}
		maps.Copy(all, answers)
		data, err := json.Marshal(all)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE drafts SET answers = $2, changed_at = $3 WHERE id = $1", id, string(data),
			s.now().UnixMicro())
		return err
	})
}

// DropDraft deletes a draft that became a claim. Sweep does so if nobody came to it.
func (s *Store) DropDraft(ctx context.Context, id string) error {
	_, err := s.db.ExecContext(ctx, dropHandedIn+" AND id = $1", id)
	return err
}

const dropHandedIn = "DELETE FROM drafts WHERE EXISTS (SELECT 1 FROM claims WHERE claims.id = drafts.id)"

// AbandonDraft deletes a draft that its owner does not want to hand in, and all that was kept for it.
func (s *Store) AbandonDraft(ctx context.Context, id string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM drafts WHERE id = $1", id); err != nil {
			return err
		}
		return closeDoors(ctx, tx, id)
	})
}

// closeDoors ends all ways by which an owner comes to a claim.
func closeDoors(ctx context.Context, tx *sql.Tx, id string) error {
	for _, table := range []string{"codes", "sessions"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE claim = $1", id); err != nil {
			return err
		}
	}
	return nil
}

// NewCode gives a draft or claim another secret code, and returns it: it is kept as a digest only. The code before it opens
// nothing any more and, if others is set, nobody stays who came in by it.
func (s *Store) NewCode(ctx context.Context, id string, others bool) (string, error) {
	code := random(codeOf, codeOf/4)
	return code, s.setCode(ctx, id, code, others)
}

// codeFrom is the code that follows from a secret: a session's token, and what for. Who asks again, because a button was tapped
// twice or the answer was lost, gets the same one, and not one that ends it.
func codeFrom(secret string) string {
	sum := sha256.Sum256([]byte("code of " + secret))
	return spell(sum[:codeOf], codeOf/4)
}

// GiveCode is NewCode with the code of a secret.
func (s *Store) GiveCode(ctx context.Context, id, secret string) (string, error) {
	code := codeFrom(secret)
	return code, s.setCode(ctx, id, code, false)
}

// GiveCodeOnce is GiveCode, unless another code was given after a moment. It reports whether the code of the secret is the one
// that opens the draft or claim now.
func (s *Store) GiveCodeOnce(ctx context.Context, id, secret string, after time.Time) (code string, opens bool, err error) {
	code = codeFrom(secret)
	if _, err := s.db.ExecContext(ctx, "INSERT INTO codes (claim, digest, at) VALUES ($1, $2, $3) ON CONFLICT (claim) DO UPDATE "+
		"SET digest = excluded.digest, at = excluded.at WHERE codes.at <= $4",
		id, digestOf("code", id, plainCode(code)), s.now().UnixMicro(), after.UnixMicro()); err != nil {
		return "", false, err
	}
	opens, err = s.opens(ctx, id, code)
	return code, opens, err
}

func (s *Store) opens(ctx context.Context, id, code string) (bool, error) {
	var digest string
	err := s.db.QueryRowContext(ctx, "SELECT digest FROM codes WHERE claim = $1", id).Scan(&digest)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return subtle.ConstantTimeCompare([]byte(digestOf("code", id, plainCode(code))), []byte(digest)) == 1, err
}

func (s *Store) setCode(ctx context.Context, id, code string, others bool) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		var there bool
		if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM claims WHERE id = $1) OR EXISTS (SELECT 1 FROM drafts "+
			"WHERE id = $1)", id).Scan(&there); err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("claim %s: %w", id, ErrNotFound)
		}
		if others {
			if _, err := tx.ExecContext(ctx, "DELETE FROM sessions WHERE claim = $1", id); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO codes (claim, digest, at) VALUES ($1, $2, $3) "+
			"ON CONFLICT (claim) DO UPDATE SET digest = excluded.digest, at = excluded.at",
			id, digestOf("code", id, plainCode(code)), s.now().UnixMicro())
		return err
	})
}

// Enter lets somebody in who knows number and code of a draft or claim. It returns the number as it is kept, and the token of a
// session; ErrNotFound: no such number, no code, or another one, and nobody learns which.
func (s *Store) Enter(ctx context.Context, id, code string) (number, token string, err error) {
	names := []string{strings.TrimSpace(id), spelled(id)}
	for _, name := range names {
		opens, err := s.opens(ctx, name, code)
		if err != nil {
			return "", "", err
		}
		if opens && number == "" {
			number = name
		}
	}
	if number == "" {
		return "", "", ErrNotFound
	}
	token, err = s.NewSession(ctx, number)
	return number, token, err
}

// spelled is a number of this program's own as it is kept, however somebody wrote it.
func spelled(id string) string {
	plain := plainCode(strings.TrimSpace(id))
	if len(plain) != numberOf {
		return id
	}
	return plain[:numberOf/2] + "-" + plain[numberOf/2:]
}

// NewSession begins a session of the owner of a draft or claim.
func (s *Store) NewSession(ctx context.Context, id string) (token string, err error) {
	token = rand.Text()
	_, err = s.db.ExecContext(ctx, "INSERT INTO sessions (digest, claim, until) VALUES ($1, $2, $3)",
		digestOf("session", token), id, s.now().Add(SessionFor).UnixMicro())
	return token, err
}

// Session returns whose session it is; ErrNotFound: nobody's, or it is over.
func (s *Store) Session(ctx context.Context, token string) (id string, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT claim FROM sessions WHERE digest = $1 AND until > $2",
		digestOf("session", token), s.now().UnixMicro()).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return id, err
}

// EndSession ends a session.
func (s *Store) EndSession(ctx context.Context, token string) error {
	_, err := s.db.ExecContext(ctx, "DELETE FROM sessions WHERE digest = $1", digestOf("session", token))
	return err
}

// Sweep deletes sessions that are over, and drafts that nobody went on with for a month, with their codes.
func (s *Store) Sweep(ctx context.Context) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		old := s.now().Add(-draftFor).UnixMicro()
		for _, query := range []string{
			"DELETE FROM codes WHERE claim IN (SELECT id FROM drafts WHERE changed_at < $1)",
			"DELETE FROM sessions WHERE claim IN (SELECT id FROM drafts WHERE changed_at < $1)",
			"DELETE FROM drafts WHERE changed_at < $1",
		} {
			if _, err := tx.ExecContext(ctx, query, old); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, dropHandedIn); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM sessions WHERE until <= $1", s.now().UnixMicro())
		return err
	})
}

// Write commits a step with what the owner wrote about it. History gets a hash of the text, which is kept apart and can be
// erased.
func (s *Store) Write(ctx context.Context, step Step, text string) error {
	salt := rand.Text()
	step.Change.Letter = digestOf(salt, text)
	seq := step.Claim.Seq + 1
	return s.Commit(ctx, []Step{step}, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO letters (claim, seq, salt, text) VALUES ($1, $2, $3, $4)",
			step.Claim.ID, seq, salt, text)
		return err
	})
}

// Letters returns what the owner of a claim wrote, by the entry of history that it belongs to.
func (s *Store) Letters(ctx context.Context, id string) (map[int]string, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT seq, text FROM letters WHERE claim = $1", id)
	if err != nil {
		return nil, err
	}
	out := map[int]string{}
	return out, each(rows, func(scan func(...any) error) error {
		var seq int
		var text string
		err := scan(&seq, &text)
		out[seq] = text
		return err
	})
}

// proveLetters compares what owners wrote with what history has of it.
func proveLetters(ctx context.Context, tx *sql.Tx, p *Proof) error {
	rows, err := tx.QueryContext(ctx, "SELECT l.claim, l.seq, l.salt, l.text, h.body FROM letters AS l "+
		"JOIN history AS h ON h.claim = l.claim AND h.seq = l.seq ORDER BY l.claim, l.seq")
	if err != nil {
		return err
	}
	return each(rows, func(scan func(...any) error) error {
		var f Finding
		var salt, text, body string
		if err := scan(&f.Claim, &f.Seq, &salt, &text, &body); err != nil {
			return err
		}
		var c Change
		if err := json.Unmarshal([]byte(body), &c); err != nil || c.Letter != digestOf(salt, text) {
			f.What = "what the owner wrote is not what history has the hash of"
			p.wrong(f)
		}
		return nil
	})
}
