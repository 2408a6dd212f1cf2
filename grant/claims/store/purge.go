package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/granter/granter/grant/claims"
)

// Class is a class of records that is kept for a time of its own.
type Class string

// The classes. All but the access log and earlier reports are kept until so long after a claim has ended.
const (
	ClassDocuments Class = "documents" // what owners sent, with the key that it is encrypted with
	ClassLetters   Class = "letters"   // what owners wrote
	ClassNotices   Class = "notices"   // what they were told
	ClassContact   Class = "contact"   // who they are, and by what they are found and come in
	ClassAccess    Class = "access"    // who has looked at whose data, and why; from then on
	ClassDecisions Class = "decisions" // what was reported, checked, decided and why. That it was, and how much was paid, stays
	ClassReports   Class = "reports"   // what was reported before claims could be filed, and by whom; from then on
)

// Classes are all of them, in the order in which they go.
func Classes() []Class {
	return []Class{ClassDocuments, ClassLetters, ClassNotices, ClassContact, ClassAccess, ClassReports, ClassDecisions}
}

// tablesOf are those whose rows of a claim go with a class.
var tablesOf = map[Class][]string{
	ClassDocuments: {"documents", "keys"},
	ClassLetters:   {"letters"},
	ClassNotices:   {"notices"},
	ClassContact:   {"owners", "marks", "codes", "sessions"},
}

// Gone is what went of a claim, of one class.
type Gone struct {
	Records int    `json:"records"`
	Digest  string `json:"digest,omitempty"`  // of the entries that were emptied: of their hashes, which the chain still has
	Through int    `json:"through,omitempty"` // the last of them
}

// emptied is who history says did something, when that was purged.
const emptied = "-"

// Due says of which classes something of a claim is to go, by when it ended and now; and up to when looks at it are. Of an
// earlier report it is asked by when that was made, and ClassReports counts.
type Due func(ended time.Time) (classes []Class, looksUntil time.Time)

// Purged is what a purge came to, or would.
type Purged struct {
	Claims  int           `json:"claims"`
	Records map[Class]int `json:"records"`
	Digest  string        `json:"digest"`            // of what went of each claim: the record of the purge in the chain has it
	Reads   *Gone         `json:"reads,omitempty"`   // of the access log, whose lines are of several claims; nil: none went
	Reports *Gone         `json:"reports,omitempty"` // earlier reports, which are of no claim; nil: none went
}

// Purge removes what need not be kept any longer, claim by claim: history says of each what went, and a record of the programme
// says it of all. Cut off, it goes on where it was when it is called again. With dry nothing is changed. It skips a claim that
// somebody else changes meanwhile: the next time has it.
func (s *Store) Purge(ctx context.Context, programme string, due Due, by Actor, why string, dry bool) (*Purged, error) {
	if by.Duty != claims.Privacy || by.Name == "" || why == "" {
		return nil, claims.Illegal("records are purged in the duty privacy, by somebody, for a reason")
	}
	out := &Purged{Records: map[Class]int{}}
	filter := Filter{Programme: programme, Limit: chunk}
	for {
		lines, err := s.List(ctx, filter)
		if err != nil {
			return out, err
		}
		if len(lines) == 0 {
			break
		}
		ids := IDs(lines)
		if err := s.purge(ctx, ids, due, by, why, dry, out); err != nil {
			return out, err
		}
		filter.After = ids[len(ids)-1]
	}
	var err error
	if _, looks := due(time.Time{}); dry {
		if _, err = out.countReports(ctx, s.db, programme, due); err == nil {
			err = out.countReads(ctx, s.db, programme, looks)
		}
	} else {
		err = s.recordPurge(ctx, programme, Record{By: by, Kind: RecordPurge, Why: why}, out, due)
	}
	return out, err
}

// countReads adds the lines of the access log that are old enough.
func (p *Purged) countReads(ctx context.Context, q querier, programme string, before time.Time) error {
	gone, err := oldReads(ctx, q, programme, before)
	if err == nil && gone.Records > 0 {
		p.Reads = &gone
		p.Records[ClassAccess] += gone.Records
	}
	return err
}

// recordPurge empties the lines of the access log and the earlier reports that are old enough, and adds the record of a purge. It
// counts them with the lock, so that of two purges at once one has them.
func (s *Store) recordPurge(ctx context.Context, programme string, r Record, out *Purged, due Due) error {
	_, looks := due(time.Time{})
	return s.begin(ctx, func(c *commit) error {
		reports, err := out.countReports(ctx, c.tx, programme, due)
		if err != nil {
			return err
		}
		err = out.countReads(ctx, c.tx, programme, looks)
		if err != nil || out.Claims == 0 && out.Reads == nil && out.Reports == nil {
			return err
		}
		before, err := records(ctx, c.tx, programme)
		if err != nil {
			return err
		}
		r.Change = Recorded{Purge: out}
		if err := c.record(programme, before, &r); err != nil {
			return err
		}
		if err := c.write(); err != nil { // before lines are emptied, a record says that they are
			return err
		}
		c.entries, c.records = nil, nil
		if err := c.emptyReports(programme, reports, r.Number); err != nil || out.Reads == nil {
			return err
		}
		_, err = c.tx.ExecContext(ctx, "UPDATE reads SET who = $3, origin = '', why = '', claims = '' "+
			"WHERE programme = $1 AND at < $2 AND claims <> ''", programme, looks.UnixMicro(), emptied)
		return err
	})
}

// purge purges some claims in one transaction or, when somebody else is at one of them, one by one.
func (s *Store) purge(ctx context.Context, ids []string, due Due, by Actor, why string, dry bool, out *Purged) error {
	list, err := s.going(ctx, ids, due)
	if err != nil || len(list) == 0 {
		return err
	}
	if dry {
		for _, g := range list {
			out.add(g)
		}
		return nil
	}
	parts := [][]*going{list}
	for len(parts) > 0 {
		part := parts[0]
		parts = parts[1:]
		err := s.remove(ctx, part, by, why)
		switch _, conflict := errors.AsType[*ConflictError](err); {
		case err == nil:
			for _, g := range part {
				out.add(g)
			}
		case !conflict:
			return err
		case len(part) > 1:
			parts = slices.Collect(slices.Chunk(list, 1))
		}
	}
	return nil
}

// going is a claim of which something goes.
type going struct {
	claim   *Claim
	classes map[Class]Gone
	empty   []Entry // as they are after
}

func (p *Purged) add(g *going) {
	p.Claims++
	parts := make([]string, 0, 2+3*len(g.classes))
	parts = append(parts, p.Digest, g.claim.ID)
	for _, class := range slices.Sorted(maps.Keys(g.classes)) {
		gone := g.classes[class]
		p.Records[class] += gone.Records
		parts = append(parts, string(class), fmt.Sprint(gone.Records), gone.Digest)
	}
	p.Digest = digestOf(parts...)
}

// going finds what is to go of some claims.
func (s *Store) going(ctx context.Context, ids []string, due Due) ([]*going, error) {
	histories, err := s.histories(ctx, ids)
	if err != nil {
		return nil, err
	}
	counts, err := s.counted(ctx, ids)
	if err != nil {
		return nil, err
	}
	var out []*going
	for _, id := range ids {
		history := histories[id]
		if len(history) == 0 {
			continue
		}
		g := &going{claim: Fold(history), classes: map[Class]Gone{}}
		classes, looks := due(ended(history, g.claim.State))
		for _, class := range classes {
			if n := counts[class][id]; n > 0 {
				g.classes[class] = Gone{Records: n}
			}
		}
		g.entries(history, ClassAccess, func(e *Entry) bool { return e.Action == Look && e.At.Before(looks) })
		if slices.Contains(classes, ClassDecisions) {
			g.entries(history, ClassDecisions, func(e *Entry) bool { return e.Action != Purge })
		}
		if len(g.classes) > 0 {
			out = append(out, g)
		}
	}
	return out, nil
}

// ended is when a claim came to its end; zero: it has not.
func ended(history []Entry, state claims.State) (at time.Time) {
	if !state.Final() {
		return at
	}
	for i := range history {
		if e := &history[i]; e.From != e.To {
			at = e.At
		}
	}
	return at
}

// entries empties those entries that are to be.
func (g *going) entries(history []Entry, class Class, which func(*Entry) bool) {
	var list []Entry
	for i := range history {
		if e := &history[i]; which(e) && !e.empty() {
			e.By.Name, e.Reason, e.Change = emptied, "", e.Change.bare()
			e.body = e.Change.text()
			list = append(list, *e)
		}
	}
	if len(list) > 0 {
		g.classes[class] = Gone{Records: len(list), Digest: remains(list), Through: list[len(list)-1].Seq}
		g.empty = append(g.empty, list...)
	}
}

// remains is the digest of what is left of entries that were emptied.
func remains(list []Entry) string {
	parts := make([]string, 0, 9*len(list))
	for i := range list {
		e := &list[i]
		parts = append(parts, e.Hash, e.Prev, fmt.Sprint(e.Seq), fmt.Sprint(e.At.UnixMicro()), string(e.By.Duty), string(e.From),
			string(e.Action), string(e.To), e.body)
	}
	return digestOf(parts...)
}

// bare is what of a change stays for good: nothing of it says who the owner is, what was reported, or what people thought of it.
func (ch *Change) bare() Change {
	out := Change{Owed: ch.Owed, Approval: ch.Approval, Declined: ch.Declined, Payment: ch.Payment, Purged: ch.Purged}
	if ch.Opening != nil {
		o := ch.Opening
		out.Opening = &Opening{Programme: o.Programme, Rules: o.Rules, Channel: o.Channel, Window: o.Window}
	}
	return out
}

// text is a change as it is stored.
func (ch *Change) text() string {
	data, _ := json.Marshal(ch) //nolint:errchkjson // what is bare has texts and numbers only
	return string(data)
}

// empty reports whether an entry was purged. Its hash is that of what it was.
func (e *Entry) empty() bool {
	bare := e.Change.bare()
	return e.By.Name == emptied && e.Reason == "" && bare.text() == e.body
}

// counted counts the rows of claims, by class and number.
func (s *Store) counted(ctx context.Context, ids []string) (map[Class]map[string]int, error) {
	out := map[Class]map[string]int{}
	for class, names := range tablesOf {
		out[class] = map[string]int{}
		for _, name := range names {
			rows, err := s.db.QueryContext(ctx, "SELECT claim, COUNT(*) FROM "+name+" WHERE claim IN "+list(1, len(ids))+
				" GROUP BY claim", texts(ids)...)
			if err != nil {
				return nil, err
			}
			if err := each(rows, func(scan func(...any) error) error {
				var id string
				var n int
				err := scan(&id, &n)
				out[class][id] += n
				return err
			}); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// remove removes, and says so in history, in one transaction.
func (s *Store) remove(ctx context.Context, list []*going, by Actor, why string) error {
	steps := make([]Step, len(list))
	for i, g := range list {
		steps[i] = Step{Claim: g.claim, Action: Purge, By: by, Reason: why, Change: Change{Purged: g.classes}}
	}
	return s.begin(ctx, func(c *commit) error {
		if err := c.unchanged(steps); err != nil {
			return err
		}
		for i := range steps {
			if err := c.step(&steps[i]); err != nil {
				return err
			}
		}
		if err := c.write(); err != nil { // before entries are emptied, history says that they are
			return err
		}
		c.entries, c.records = nil, nil
		for _, g := range list {
			if err := c.remove(g); err != nil {
				return fmt.Errorf("claim %s: %w", g.claim.ID, err)
			}
		}
		return nil
	})
}

func (c *commit) remove(g *going) error {
	exec := func(query string, args ...any) error {
		_, err := c.tx.ExecContext(c.ctx, query, args...)
		return err
	}
	for _, class := range slices.Sorted(maps.Keys(g.classes)) {
		if class == ClassContact { // the owner and the business are still there
			if err := eraseReporters(c.ctx, c.tx, g.claim.ID); err != nil {
				return err
			}
		}
		for _, table := range tablesOf[class] {
			if err := exec("DELETE FROM "+table+" WHERE claim = $1", g.claim.ID); err != nil {
				return err
			}
		}
	}
	for i := range g.empty {
		e := &g.empty[i]
		if err := exec("UPDATE history SET who = $3, reason = '', body = $4 WHERE claim = $1 AND seq = $2", e.Claim, e.Seq,
			emptied, e.body); err != nil {
			return err
		}
	}
	if _, all := g.classes[ClassDecisions]; !all {
		return nil
	}
	if err := exec("UPDATE answers SET why = '' WHERE payment IN (SELECT id FROM payments WHERE claim = $1)",
		g.claim.ID); err != nil {
		return err
	}
	return exec("UPDATE claims SET unit = $2, entered_by = $3 WHERE id = $1", g.claim.ID, purgedUnit(g.claim.ID), emptied)
}

// purgedUnit is what stands for a business number that was purged: each is another one.
func purgedUnit(id string) string { return "purged:" + id }

// purge notes what an entry says went.
func (c *Claim) purge(e *Entry) {
	for class := range e.Change.Purged {
		if !slices.Contains(c.Purged, class) {
			c.Purged = append(c.Purged, class)
		}
	}
	slices.Sort(c.Purged)
	_, contact := e.Change.Purged[ClassContact]
	c.Erased = c.Erased || contact
	if _, all := e.Change.Purged[ClassDecisions]; all {
		c.Opening = *(&Change{Opening: &c.Opening}).bare().Opening
		c.Facts, c.Identity, c.Assessment, c.Proposal = claims.Facts{}, nil, nil, nil
		c.Signals, c.Cleared, c.Documents, c.Hands, c.Assigned, c.Person = nil, nil, nil, nil, "", ""
	}
}

// blanks are the entries of a claim that were emptied, and those that say so.
type blanks struct{ entries, purges []Entry }

// see notes an entry, and reports whether it is what its hash says, or was emptied.
func (b *blanks) see(e *Entry) bool {
	if e.Action == Purge {
		b.purges = append(b.purges, *e)
	}
	if e.sum() == e.Hash {
		return true
	}
	if !e.empty() {
		return false
	}
	b.entries = append(b.entries, *e)
	return true
}

// end finds entries that somebody emptied without a purge, or changed since.
func (b *blanks) end(p *Proof) {
	p.Emptied += len(b.entries)
	for i := range b.purges {
		by := &b.purges[i]
		for _, class := range []Class{ClassAccess, ClassDecisions} {
			gone, ok := by.Change.Purged[class]
			if !ok {
				continue
			}
			var of, rest []Entry
			for _, e := range b.entries {
				if e.Seq <= gone.Through && (class == ClassDecisions || e.Action == Look) {
					of = append(of, e)
				} else {
					rest = append(rest, e)
				}
			}
			if len(of) != gone.Records || remains(of) != gone.Digest {
				p.wrong(Finding{Claim: by.Claim, Seq: by.Seq, What: "what is left of the entries that it emptied is not " +
					"what was"})
			}
			b.entries = rest
		}
	}
	for _, e := range b.entries {
		p.wrong(Finding{Claim: e.Claim, Seq: e.Seq, What: "the entry was emptied, and no purge in history says so"})
	}
	*b = blanks{}
}
