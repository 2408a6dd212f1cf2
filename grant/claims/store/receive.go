package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/granter/granter/grant/claims"
)

// Person is what is known of an owner as a person. It is kept apart, and can be erased.
type Person struct {
	Business       string `json:"business"` // its name
	Representative string `json:"representative"`
	Phone          string `json:"phone"`
	Email          string `json:"email,omitempty"`
	Address        string `json:"address,omitempty"`
	Bank           string `json:"bank"` // three digits
	Account        string `json:"account"`
	Holder         string `json:"holder"`             // of the account
	Language       string `json:"language,omitempty"` // ko or en; empty: ko
	User           string `json:"user,omitempty"`     // the owner's ID in the service, if the channel knows it
}

// Marks are by what other claims of the same person are found.
func (p *Person) Marks() []Mark {
	var out []Mark
	add := func(kind claims.SignalKind, text string) {
		if text != "" {
			out = append(out, Mark{kind, digestOf(string(kind), text)})
		}
	}
	add(claims.SameAccount, joined(p.Bank, onlyDigits(p.Account)))
	add(claims.SamePhone, nationalPhone(p.Phone))
	add(markUser, p.User)
	add(claims.SameAddress, strings.ToLower(strings.Join(strings.Fields(p.Address), "")))
	return out
}

func joined(bank, account string) string {
	if account == "" {
		return ""
	}
	return bank + ":" + account
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

func digestOf(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += len(p) + lengthOf
	}
	sum := sha256.Sum256(fields(make([]byte, 0, n), parts...))
	return hex.EncodeToString(sum[:])
}

// hash binds a person to history without telling who it is: the salt is erased with the person.
func (p *Person) hash(salt string) (text, hash string, err error) {
	data, err := json.Marshal(p)
	return string(data), digestOf(salt, string(data)), err
}

// Filing is a claim that is handed in.
type Filing struct {
	ID      string // chosen by whoever sends it, so that sending it again is harmless
	Opening Opening
	Facts   claims.Facts
	Person  Person
	By      Actor

	ready *readied
}

// readied is what storing a filing needs, and nothing but the filing says.
type readied struct {
	salt, person string // who the owner is, as it is kept
	change       Change
	body         string // the change, as history has it
	marks        []Mark
}

// Prepare computes what Receive needs that does not depend on any other claim, so that those who read filings do it side by
// side. Receive does it for those that it was not done for: they must not be changed afterwards.
func (f *Filing) Prepare() error {
	r := &readied{salt: rand.Text(), marks: f.Person.Marks()}
	var hash string
	var err error
	if r.person, hash, err = f.Person.hash(r.salt); err != nil {
		return err
	}
	opening, facts := f.Opening, f.Facts
	r.change = Change{Opening: &opening, Facts: &facts, Person: hash}
	body, err := json.Marshal(&r.change)
	if err != nil {
		return fmt.Errorf("claim %s: %w", f.ID, err)
	}
	r.body, f.ready = string(body), r
	return nil
}

// Outcome is what became of a filing.
type Outcome string

// The outcomes.
const (
	Taken     Outcome = "taken"
	Again     Outcome = "again"     // it is there already, the same
	Different Outcome = "different" // its number is there already, with something else in it
	Twice     Outcome = "twice"     // the business has another claim
)

// Filed is an outcome, and the claim that it is about.
type Filed struct {
	Outcome Outcome
	Claim   string
}

// Refused reports whether a filing is no claim, now or before.
func (f Filed) Refused() bool { return f.Outcome == Different || f.Outcome == Twice }

// Receive takes filings in, and returns what became of each, in their order. Receiving filings again takes none of them twice.
// When they are from a topic and each was taken, now or before, the same transaction says how far the topic is taken in.
func (s *Store) Receive(ctx context.Context, filings []Filing, at []Position) ([]Filed, error) {
	filings = slices.Clone(filings) // whoever has them may change them later
	for i := range filings {
		if filings[i].ready == nil {
			if err := filings[i].Prepare(); err != nil {
				return nil, err
			}
		}
	}
	var out []Filed
	return out, s.begin(ctx, func(c *commit) (err error) {
		if out, err = c.judge(filings); err != nil {
			return err
		}
		if err := c.bind(filings); err != nil {
			return err
		}
		owners := newRows("INSERT INTO owners (claim, salt, person) VALUES", "", 3)
		for i := range filings {
			if out[i].Outcome != Taken {
				continue
			}
			f := &filings[i]
			if err := c.open(f); err != nil {
				return err
			}
			owners.add(f.ID, f.ready.salt, f.ready.person)
		}
		c.later(statement{rows: owners})
		if !slices.ContainsFunc(out, Filed.Refused) {
			c.advance(at)
		}
		return nil
	})
}

// judge says which filings are new.
func (c *commit) judge(filings []Filing) ([]Filed, error) {
	ids, units := map[string]string{}, map[string]string{} // by number its digest, by programme and unit the number
	for part := range parts(c.store, filings) {
		if err := c.known(part, ids, units); err != nil {
			return nil, err
		}
	}
	out := make([]Filed, len(filings))
	for i := range filings {
		f := &filings[i]
		unit := f.Opening.Programme + "/" + string(f.Opening.Unit)
		digest, known := ids[f.ID]
		other, taken := units[unit]
		switch {
		case known && digest == f.Opening.Digest:
			out[i] = Filed{Again, f.ID}
		case known:
			out[i] = Filed{Different, f.ID}
		case taken:
			out[i] = Filed{Twice, other}
		default:
			out[i] = Filed{Taken, f.ID}
			ids[f.ID], units[unit] = f.Opening.Digest, f.ID
		}
	}
	return out, nil
}

// known looks up what the database has by the numbers and the units of filings. Each query has its index: of one for both the
// database would read everything.
func (c *commit) known(filings []Filing, ids, units map[string]string) error {
	numbers := make([]string, 0, len(filings))
	businesses := map[string][]string{} // by programme
	for i := range filings {
		numbers = append(numbers, filings[i].ID)
		o := &filings[i].Opening
		businesses[o.Programme] = append(businesses[o.Programme], string(o.Unit))
	}
	which, args := c.store.among(1, numbers)
	rows, err := c.tx.QueryContext(c.ctx, "SELECT claim, body FROM history WHERE seq = 1 AND claim "+which, args...)
	if err != nil {
		return err
	}
	if err := each(rows, func(scan func(...any) error) error {
		var id, body string
		if err := scan(&id, &body); err != nil {
			return err
		}
		var change Change
		if err := json.Unmarshal([]byte(body), &change); err != nil {
			return err
		}
		ids[id] = change.Opening.Digest
		return nil
	}); err != nil {
		return err
	}
	for programme, numbers := range businesses {
		which, args := c.store.among(2, numbers)
		query := "SELECT id, unit FROM claims WHERE state <> 'withdrawn' AND programme = $1 AND unit " + which
		if c.store.postgres { // before it has statistics it would read all claims for the query above: of one of a unit it knows
			query = "SELECT c.id, c.unit FROM unnest($2::text[]) AS u(unit) CROSS JOIN LATERAL (SELECT id, unit FROM claims " +
				"WHERE state <> 'withdrawn' AND programme = $1 AND unit = u.unit LIMIT 1) AS c"
		}
		rows, err := c.tx.QueryContext(c.ctx, query, append([]any{programme}, args...)...)
		if err != nil {
			return err
		}
		if err := each(rows, func(scan func(...any) error) error {
			var id, unit string
			err := scan(&id, &unit)
			units[programme+"/"+unit] = id
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// open adds the first entry of a claim.
func (c *commit) open(f *Filing) error {
	to, err := claims.Draft.Next(claims.HandIn, f.By.Duty, "")
	if err != nil {
		return err
	}
	return c.add(&Claim{ID: f.ID}, Entry{
		Claim: f.ID, Seq: 1, At: c.at, By: f.By, From: claims.Draft, Action: claims.HandIn, To: to,
		Change: f.ready.change, body: f.ready.body,
	}, f.ready.marks)
}

// ChangePerson says anew who the owner is or where the money goes. The account is verified again.
func (s *Store) ChangePerson(ctx context.Context, claim *Claim, p Person, by Actor, why string) error {
	salt := rand.Text()
	text, hash, err := p.hash(salt)
	if err != nil {
		return err
	}
	if claim.Erased {
		return fmt.Errorf("claim %s: %w: its owner was erased", claim.ID, claims.ErrIllegal)
	}
	if claim.State == claims.PaymentSent {
		return fmt.Errorf("claim %s: %w: the bank has an order for the account as it is: wait for its answer", claim.ID,
			claims.ErrIllegal)
	}
	step := Step{Claim: claim, Action: ChangeAccount, By: by, Reason: why, Change: Change{Person: hash}, Marks: p.Marks()}
	return s.Commit(ctx, []Step{step}, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM marks WHERE claim = $1 AND kind <> $2", claim.ID,
			string(claims.SameDocument)); err != nil {
			return err
		}
		var before string
		if err := tx.QueryRowContext(ctx, "SELECT person FROM owners WHERE claim = $1", claim.ID).Scan(&before); err != nil {
			return err
		}
		if err := tellBefore(ctx, tx, s.postgres, claim.ID, claim.Seq, before, s.now().UnixMicro()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE owners SET salt = $2, person = $3 WHERE claim = $1", claim.ID, salt, text)
		return err
	})
}

// Erase deletes who the owner of a claim is. The claim, what was decided and paid, and its place in the chain stay. It is
// refused
// while the claim can still go on. To erase it again is harmless.
func (s *Store) Erase(ctx context.Context, claim *Claim, by Actor, why string) error {
	switch {
	case claim.Erased:
		return nil
	case !claim.State.Final():
		return fmt.Errorf("claim %s: %w", claim.ID, claims.Illegal("it is in state %s, and whoever is owed or asked "+
			"something must be known: erase it when it has ended", claim.State))
	case why == "":
		return fmt.Errorf("claim %s: say why it is erased", claim.ID)
	case by.Duty != claims.Privacy:
		return fmt.Errorf("claim %s: %w", claim.ID, claims.Illegal("owners are erased in the duty %s, and %s does it as %s",
			claims.Privacy, by.Name, by.Duty))
	}
	return s.Commit(ctx, []Step{{Claim: claim, Action: Erase, By: by, Reason: why}}, func(tx *sql.Tx) error {
		if err := eraseReporters(ctx, tx, claim.ID); err != nil {
			return err
		}
		for _, table := range []string{"owners", "marks", "letters", "codes", "sessions", "documents", "keys", "notices"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE claim = $1", claim.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
