package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// documentRow is a row of the table of documents, as far as history says the same.
type documentRow struct {
	kind, typ, redacts string
	size               int64
}

func rowOfDocument(d *Document) documentRow { return documentRow{d.Kind, d.Type, d.Redacts, d.Size} }

// proveDocuments compares the documents of claims with those that history says came, and that nobody erased since. Whether their
// files are there the store cannot know: package documents compares those.
func proveDocuments(ctx context.Context, tx *sql.Tx, p *Proof) error {
	there, err := documentRows(ctx, tx, p)
	if err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, "SELECT claim, action, body FROM history WHERE action IN ($1, $2, $3, $4) "+
		"ORDER BY claim, seq", string(AddDocument), string(ShowCouncil), string(Erase), string(Purge))
	if err != nil {
		return err
	}
	claim, want, gone := "", map[string]documentRow{}, false
	end := func() {
		if claim != "" && (len(want) > 0 || len(there[claim]) > 0) {
			p.compareDocuments(claim, want, there[claim], gone)
		}
		delete(there, claim)
	}
	err = each(rows, func(scan func(...any) error) error {
		var id, action, body string
		if err := scan(&id, &action, &body); err != nil {
			return err
		}
		if id != claim {
			end()
			claim, gone = id, false
			clear(want)
		}
		var c Change
		_ = json.Unmarshal([]byte(body), &c) // what cannot be read is found elsewhere
		if c.Document != nil {
			want[c.Document.Digest] = rowOfDocument(c.Document)
		}
		_, purged := c.Purged[ClassDocuments]
		gone = gone || purged || action == string(Erase)
		return nil
	})
	end()
	for _, id := range slices.Sorted(maps.Keys(there)) {
		p.compareDocuments(id, nil, there[id], false)
	}
	return err
}

// documentRows are the documents of all claims that are in no quarantine, of which history says nothing, by claim and digest.
func documentRows(ctx context.Context, tx *sql.Tx, p *Proof) (map[string]map[string]documentRow, error) {
	rows, err := tx.QueryContext(ctx, "SELECT d.claim, d.digest, d.kind, d.type, d.size, d.redacts, d.state, k.claim IS NULL "+
		"FROM documents AS d LEFT JOIN keys AS k ON k.claim = d.claim ORDER BY d.claim, d.digest")
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]documentRow{}
	return out, each(rows, func(scan func(...any) error) error {
		var claim, digest, state string
		var r documentRow
		var lost bool
		if err := scan(&claim, &digest, &r.kind, &r.typ, &r.size, &r.redacts, &state, &lost); err != nil {
			return err
		}
		p.Documents++
		if lost {
			p.wrong(Finding{Claim: claim, What: fmt.Sprintf("the key of document %.12s is gone: nobody can open it", digest)})
		}
		if state == InQuarantine {
			return nil
		}
		if out[claim] == nil {
			out[claim] = map[string]documentRow{}
		}
		out[claim][digest] = r
		return nil
	})
}

func (p *Proof) compareDocuments(claim string, want, there map[string]documentRow, gone bool) {
	say := func(digest, what string) {
		p.wrong(Finding{Claim: claim, What: fmt.Sprintf("document %.12s %s", digest, what)})
	}
	if gone {
		want = nil
	}
	for _, digest := range slices.Sorted(maps.Keys(there)) {
		switch said, ok := want[digest]; {
		case gone:
			say(digest, "was erased, and is there")
		case !ok:
			say(digest, "is there, and history does not say that it came")
		case said != there[digest]:
			say(digest, fmt.Sprintf("is %+v, and history says %+v", there[digest], said))
		}
	}
	for _, digest := range slices.Sorted(maps.Keys(want)) {
		if _, ok := there[digest]; !ok {
			say(digest, "came, as history says, and is not there")
		}
	}
}
