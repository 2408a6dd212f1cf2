package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/programme"
)

// chance is what says which approved claims of a programme are looked at again.
type chance struct {
	share  int
	secret string
}

// drawn are the entries behind one that approves a claim: whichever process approves it, nothing comes between.
func (c *commit) drawn(claim *Claim) error {
	is, err := c.chance(claim.Programme, claim.Rules)
	if err != nil || !claims.SecondLooked([]byte(is.secret), claim.ID, is.share) {
		return err
	}
	return c.step(&Step{Claim: claim, Action: claims.Draw, By: Rules})
}

// bind binds the programmes of filings to their secrets, before anything is known of the first claim.
func (c *commit) bind(filings []Filing) error {
	for i := range filings {
		if o := &filings[i].Opening; i == 0 || o.Rules != filings[i-1].Opening.Rules {
			if _, err := c.chance(o.Programme, o.Rules); err != nil {
				return err
			}
		}
	}
	return nil
}

// chance returns that of a programme, which is chosen with its first claim, and kept from then on.
func (c *commit) chance(name, rules string) (chance, error) {
	if known, ok := c.store.chances.Load(rules); ok {
		return known.(chance), nil
	}
	var source string
	var is chance
	if err := c.tx.QueryRowContext(c.ctx, "SELECT source FROM programmes WHERE name = $1", name).Scan(&source); err != nil {
		return is, err
	}
	p, err := programme.Parse("programme "+name, []byte(source))
	if err != nil {
		return is, err
	}
	if is.share = p.SecondLook; is.share > 0 {
		is.secret, err = secretOf(c.ctx, c.tx, name)
		if errors.Is(err, sql.ErrNoRows) {
			return c.choose(name, is)
		}
		if err != nil {
			return is, err
		}
	}
	c.store.chances.Store(rules, is)
	return is, nil
}

// choose chooses a secret, and binds the programme to it. Until that is committed nobody goes by it.
func (c *commit) choose(name string, is chance) (chance, error) {
	is.secret = rand.Text() + rand.Text() // 260 bits
	if _, err := c.tx.ExecContext(c.ctx, "INSERT INTO secrets (programme, secret) VALUES ($1, $2)", name, is.secret); err != nil {
		return is, err
	}
	before, err := records(c.ctx, c.tx, name)
	if err != nil {
		return is, err
	}
	return is, c.record(name, before, &Record{
		By: Rules, Kind: RecordChance, Why: "what chance has looked at again is bound to a secret, which has this digest",
		Change: Recorded{Chance: digestOf(is.secret)},
	})
}

func secretOf(ctx context.Context, tx *sql.Tx, name string) (secret string, err error) {
	err = tx.QueryRowContext(ctx, "SELECT secret FROM secrets WHERE programme = $1", name).Scan(&secret)
	return secret, err
}

// fairness finds approved claims that chance should have had looked at again, and was not let to.
type fairness struct {
	records map[string]string // digests, by programme
	chances map[string]chance // of programmes that are bound to a secret
	decided bool              // the entry before approved the claim, when its programme was bound
}

// readFairness reads what programmes are bound to, and finds secrets that are others.
func readFairness(ctx context.Context, tx *sql.Tx, p *Proof) (*fairness, error) {
	f := &fairness{records: map[string]string{}, chances: map[string]chance{}}
	rows, err := tx.QueryContext(ctx, "SELECT p.name, p.source, COALESCE(s.secret, '') FROM programmes AS p "+
		"LEFT JOIN secrets AS s ON s.programme = p.name")
	if err != nil {
		return nil, err
	}
	found := map[string]chance{}
	if err := each(rows, func(scan func(...any) error) error {
		var name, source string
		var is chance
		if err := scan(&name, &source, &is.secret); err != nil {
			return err
		}
		if parsed, err := programme.Parse("programme "+name, []byte(source)); err == nil {
			is.share = parsed.SecondLook
		}
		found[name] = is
		return nil
	}); err != nil {
		return nil, err
	}
	for name, is := range found {
		list, err := records(ctx, tx, name)
		if err != nil && !errors.Is(err, errBody) { // that is found elsewhere
			return nil, err
		}
		for i := range list {
			if digest := list[i].Change.Chance; digest == digestOf(is.secret) {
				f.chances[name] = is
			} else if digest != "" {
				p.wrong(Finding{What: "the secret of programme " + name +
					", by which chance says what is looked at again, is another"})
			}
		}
	}
	return f, nil
}

// next judges an entry of a claim, as it is after the entry, or the end of one.
func (f *fairness) next(p *Proof, claim *Claim, e *Entry) {
	if f.decided && (e == nil || e.Action != claims.Draw) {
		p.wrong(Finding{Claim: claim.ID, Seq: claim.Seq, What: "chance has it looked at again, and it went on without that"})
	}
	f.decided = false
	if e == nil || e.Action != claims.Approve {
		return
	}
	is, bound := f.chances[claim.Programme]
	f.decided = bound && claims.SecondLooked([]byte(is.secret), claim.ID, is.share)
}
