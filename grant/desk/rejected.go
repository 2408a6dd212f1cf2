package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/granter/granter/grant/desk/searchpage"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/source"
)

// lastRejected is how many rejected records of each partition are listed.
const lastRejected = 20

// readRejected reads which rejected records somebody asks about: by reason, or one by its place in the topic.
func readRejected(query url.Values) (f rejected.Filter, err error) {
	if reason := source.Reason(query.Get("reason")); query.Has("reason") {
		if !slices.Contains(source.Reasons(), reason) {
			return f, newProblem(
				kindMalformed,
				fmt.Sprintf("reason %q: want one of %v", cut(string(reason), 40), source.Reasons()),
			)
		}
		f.Reasons = []source.Reason{reason}
	}
	if at := query.Get("at"); query.Has("at") {
		place, err := rejected.ParsePlace(at)
		if err != nil {
			return f, newProblem(kindMalformed, "at: want PARTITION/OFFSET of the record in the topic, such as 3/1207")
		}
		f.Places = []rejected.Place{place}
	}
	return f, nil
}

// letters returns the records of a campaign that held no valid user ID. What they hold may be of persons: who asks is logged.
func (a *api) letters(r *http.Request, who Principal) (*rejected.Listing, *Subject, error) {
	filter, err := readRejected(r.URL.Query())
	if err != nil {
		return nil, nil, err
	}
	c, err := a.readable(r)
	if err != nil {
		return nil, nil, err
	}
	if c.Rejected == nil {
		return nil, nil, newProblem(kindUnavailable, "topics are not read here: granter rejected list does")
	}
	var list *rejected.Listing
	err = a.searching(r.Context(), func(ctx context.Context) (err error) {
		a.cfg.Log.Info("rejected records were read", "who", who.Name, "remote", r.RemoteAddr, "campaign", c.Campaign.Name)
		list, err = c.Rejected(ctx, filter, lastRejected)
		return err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = newProblem(kindUnavailable, "the topic of rejected records is too large to be read here in time: granter rejected "+
			"list reads it")
	}
	return list, c, err
}

// rejectedRecords is the list for programs.
func (a *api) rejectedRecords(r *http.Request, who Principal) (any, error) {
	list, _, err := a.letters(r, who)
	if err != nil {
		return nil, err
	}
	return list, nil
}

// rejectedPage is the list, or one record, for people.
func (a *api) rejectedPage(w http.ResponseWriter, r *http.Request, who Principal) {
	v, code := a.view(w, r, who), http.StatusOK
	page := &searchpage.Rejected{
		Campaign: r.PathValue("campaign"),
		Reason:   r.URL.Query().Get("reason"),
		At:       r.URL.Query().Get("at"),
	}
	list, c, err := a.letters(r, who)
	if err != nil {
		problem := problemOf(err)
		if f := refused(err); f != nil {
			a.gate.note(w, r, who, f)
			problem = f.Problem
		}
		v.Problem, v.English = problem.on(v.Lang)
		code = problem.Status
	} else {
		page.Listing, page.Input = list, &c.Campaign.Input
		page.Kinds = slices.Sorted(maps.Keys(list.Reasons))
	}
	a.html(w, code, func(out io.Writer) error { return searchpage.RejectedRecords(out, v, page) })
}
