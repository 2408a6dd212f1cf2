package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/granter/granter/grant/claims"
)

// RecordKind is what a record is about.
type RecordKind string

// The kinds of records.
const (
	RecordWindow RecordKind = "window" // a window is extended
	RecordChance RecordKind = "chance" // second looks are bound to a secret
	RecordFreeze RecordKind = "freeze" // nothing is decided or paid, or it is again
	RecordPurge  RecordKind = "purge"  // records of claims went, because they need not be kept any longer
	// RecordCouncil is about the council: its members, meetings and their agendas.
	RecordCouncil RecordKind = "council"
	// RecordReports is about losses that were reported before claims could be filed: an import, reminders, an erasure.
	RecordReports RecordKind = "reports"
	// RecordBudget is that the budget should be another one, and a second person's answer.
	RecordBudget RecordKind = "budget"
)

// Record is what was done to a programme beside its rules, which it does not touch. Records are only added to, and the chain of
// commits covers them as it does the entries of claims.
type Record struct {
	Number int        `json:"number"` // from 1
	At     time.Time  `json:"at"`
	By     Actor      `json:"by"`
	Kind   RecordKind `json:"kind"`
	Why    string     `json:"why"`
	Change Recorded   `json:"change"`
	Prev   string     `json:"prev,omitempty"`
	Hash   string     `json:"hash"`

	programme, body string
}

// Recorded is what a record changes; only the field of its kind is there.
type Recorded struct {
	Window *Extension `json:"window,omitempty"`
	Chance string     `json:"chance,omitempty"` // digest of the secret
	Purge  *Purged    `json:"purge,omitempty"`
	Freeze *Freeze    `json:"freeze,omitempty"`

	Budget *Rebudgeted `json:"budget,omitempty"`

	Council *CouncilRecord `json:"council,omitempty"`
	Reports *ReportsRecord `json:"reports,omitempty"`
}

func (r *Record) sum() string {
	return digestOf(r.Prev, r.programme, strconv.Itoa(r.Number), strconv.FormatInt(r.At.UnixMicro(), 10), r.By.Name,
		string(r.By.Duty), string(r.Kind), r.Why, r.body)
}

const recordColumns = "number, at, who, duty, kind, why, body, prev, hash"

// Records returns what was done to a programme, the oldest first.
func (s *Store) Records(ctx context.Context, programme string) ([]Record, error) {
	return records(ctx, s.db, programme)
}

func records(ctx context.Context, q querier, programme string) ([]Record, error) {
	rows, err := q.QueryContext(ctx, "SELECT "+recordColumns+" FROM records WHERE programme = $1 ORDER BY number", programme)
	if err != nil {
		return nil, err
	}
	out := []Record{}
	return out, each(rows, func(scan func(...any) error) error {
		r, err := readRecord(scan)
		r.programme = programme
		out = append(out, r)
		return err
	})
}

func readRecord(scan func(...any) error, more ...any) (r Record, err error) {
	var at int64
	if err := scan(append([]any{&r.Number, &at, &r.By.Name, &r.By.Duty, &r.Kind, &r.Why, &r.body, &r.Prev, &r.Hash},
		more...)...); err != nil {
		return r, err
	}
	r.At = moment(at)
	if err := json.Unmarshal([]byte(r.body), &r.Change); err != nil {
		return r, fmt.Errorf("record %d: %w: %w", r.Number, errBody, err)
	}
	return r, nil
}

// addRecord adds a record to a programme. Judge sees those that are there, while nobody else can add one, and says what is added,
// or why not.
func (s *Store) addRecord(
	ctx context.Context, programme string, r Record, judge func(before []Record, at time.Time) (Recorded, error),
) (Record, error) {
	if r.By.Name == "" || r.Why == "" {
		return r, claims.Illegal("say who it is, and why")
	}
	err := s.begin(ctx, func(c *commit) error {
		before, err := records(ctx, c.tx, programme)
		if err != nil {
			return err
		}
		if r.Change, err = judge(before, c.at); err != nil {
			return err
		}
		return c.record(programme, before, &r)
	})
	return r, err
}

// record adds a record behind those that are there.
func (c *commit) record(programme string, before []Record, r *Record) error {
	if err := errors.Join(refuseResident("the reason", r.Why), refuseResident("the name", r.By.Name)); err != nil {
		return err
	}
	r.programme, r.At, r.Number = programme, c.at, len(before)+1
	if len(before) > 0 {
		r.Prev = before[len(before)-1].Hash
	}
	body, err := json.Marshal(r.Change)
	if err != nil {
		return err
	}
	r.body = string(body)
	r.Hash = r.sum()
	c.records = append(c.records, *r)
	return nil
}

// recordRows are the records of a commit, behind its entries.
func (c *commit) recordRows() *rows {
	out := newRows("INSERT INTO records (programme, commit_number, position, "+recordColumns+") VALUES", "", 12)
	for i := range c.records {
		r := &c.records[i]
		out.add(r.programme, c.number, len(c.entries)+i, r.Number, r.At.UnixMicro(), r.By.Name, string(r.By.Duty),
			string(r.Kind), r.Why, r.body, r.Prev, r.Hash)
	}
	return out
}

// proveRecords computes the hashes and the order of all records again. That none is missing is the chain's to say.
func proveRecords(ctx context.Context, tx *sql.Tx, p *Proof) error {
	list, err := tx.QueryContext(ctx, "SELECT "+recordColumns+", programme FROM records ORDER BY programme, number")
	if err != nil {
		return err
	}
	last := Record{}
	return each(list, func(scan func(...any) error) error {
		var programme string
		r, err := readRecord(scan, &programme)
		if err != nil && !errors.Is(err, errBody) { // its hash says that it was changed
			return err
		}
		r.programme = programme
		if r.programme != last.programme {
			last = Record{programme: programme}
		}
		p.Records++
		switch name := fmt.Sprintf("record %d of programme %s", r.Number, programme); {
		case r.sum() != r.Hash:
			p.wrong(Finding{What: name + " was changed: its hash is another"})
		case r.Number != last.Number+1 || r.Prev != last.Hash:
			p.wrong(Finding{What: name + " does not follow the one before it"})
		}
		last = r
		return nil
	})
}
