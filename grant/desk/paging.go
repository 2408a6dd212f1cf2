package desk

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/lookup"
)

// Lists that can grow are asked for in pages. A page goes on from an element, not from a number: what comes or goes meanwhile
// moves nobody to another page, so that nothing is left out and nothing is there twice.

// paged is what a request says of the page that it wants.
type paged struct {
	limit int    // 0: not said
	from  string // the cursor: what to go on from; empty: from the beginning
}

// readPage reads limit and the cursor, which has a name that says the direction.
func readPage(r *http.Request, cursor string) (p paged, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return p, newProblem(kindMalformed, "the query: "+err.Error())
	}
	if text := query["limit"]; len(text) > 0 {
		p.limit, err = strconv.Atoi(text[0])
		if err != nil || p.limit < 1 || p.limit > lookup.MaxAtOnce || len(text) > 1 {
			return p, newProblem(kindMalformed, fmt.Sprintf("limit: want one whole number from 1 to %d", lookup.MaxAtOnce))
		}
	}
	if p.from = query.Get(cursor); p.from == "" && query.Has(cursor) {
		return p, newProblem(kindMalformed, cursor+": it is empty; leave it out to begin")
	}
	return p, nil
}

// byName takes a page out of names that are sorted, and returns the cursor of the next one; empty: there is none.
func (p paged) byName(names []string) (page []string, next string) {
	for _, name := range names {
		switch {
		case name <= p.from && p.from != "":
		case p.limit > 0 && len(page) == p.limit:
			return page, page[len(page)-1]
		default:
			page = append(page, name)
		}
	}
	return page, ""
}

// readNamePage is readPage of a list that goes by the names of campaigns.
func readNamePage(r *http.Request) (paged, error) {
	p, err := readPage(r, "after")
	if err == nil && p.from != "" && !campaign.ValidName(p.from) {
		err = newProblem(kindMalformed, "after: want what the page before says as next")
	}
	return p, err
}

// entryCursor stands for one entry of the audit trail.
var entryCursor = regexp.MustCompile(`^[0-9]{1,19}-[0-9a-f]{12}$`)

func cursorOf(e *grant.HistoryEntry) string {
	text, _ := json.Marshal(e) //nolint:errchkjson // it has been read as JSON
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%d-%x", e.At.UnixNano(), sum[:6])
}

// readHistoryPage is readPage of an audit trail, which is read from its end.
func readHistoryPage(r *http.Request) (paged, error) {
	p, err := readPage(r, "before")
	if err == nil && p.from != "" && !entryCursor.MatchString(p.from) {
		err = newProblem(kindMalformed, "before: want what the page after says as older")
	}
	if p.limit == 0 {
		p.limit = lookup.MaxAtOnce
	}
	return p, err
}

// last takes a page out of an audit trail, oldest first, and returns the cursor of the one before; empty: there is none. An
// entry that is gone, because of refused ones only the last are kept, is known by its time.
func (p paged) last(acts []grant.HistoryEntry) (page []grant.HistoryEntry, older string) {
	end := len(acts)
	if p.from != "" {
		nanos, _, _ := strings.Cut(p.from, "-")
		n, _ := strconv.ParseInt(nanos, 10, 64) // more than fits is the largest
		at := time.Unix(0, n)
		for end > 0 && !acts[end-1].At.Before(at) {
			end--
			if cursorOf(&acts[end]) == p.from {
				break
			}
		}
	}
	begin := max(0, end-p.limit)
	if page = acts[begin:end]; begin > 0 {
		older = cursorOf(&page[0])
	}
	return page, older
}
