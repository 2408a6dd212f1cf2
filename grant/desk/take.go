package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/strict"
	"github.com/granter/granter/grant/take"
)

// The routes of takes. They have limits of their own: a service takes for whoever opens an app.
const (
	takeOne  = "POST " + ofCampaign + "/users/{id}/takes"
	takeMany = "POST " + ofCampaign + "/takes"

	maxTakes     = 10_000   // of one request
	maxTakesBody = 1 << 20  // bytes
	maxTakeBody  = 16 << 10 // bytes

	knownFor = time.Second // how long the spec that users are granted by is taken for the one that it was
)

// takeRequest is the body of a request to take an item.
type takeRequest struct {
	User string `json:"user,omitempty"` // of many only: the path says it otherwise
	Item string `json:"item"`
}

// Take is what became of it.
type Take struct {
	User    grant.UserID  `json:"user"`
	Item    string        `json:"item"`
	Outcome grant.Outcome `json:"outcome"`
	TakenAt *time.Time    `json:"taken_at,omitempty"` // whoever has it, since when
}

// takenOne is the answer about one user.
type takenOne struct {
	Campaign string `json:"campaign"`
	Take
}

// takenMany is the answer about many, in the order of the request.
type takenMany struct {
	Campaign string `json:"campaign"`
	Takes    []Take `json:"takes"`
}

// taking is how a campaign's items are taken, by the spec that is in force.
type taking struct {
	*take.Sharer
	items map[string]int
	as    time.Time // of
}

// takings are those of all campaigns.
type takings struct {
	timeout time.Duration

	mu     sync.Mutex
	byName map[string]*taking
}

// known returns the taking of a campaign as it was a moment ago, which costs Redis nothing; nil: it has to be looked at.
func (t *takings) known(name string) *taking {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.byName[name]; known != nil && time.Since(known.as) < knownFor {
		return known
	}
	return nil
}

// of returns the taking of a campaign.
func (t *takings) of(ctx context.Context, c *Subject) (*taking, error) {
	name := c.Campaign.Name
	if known := t.known(name); known != nil {
		return known, nil
	}
	camp, _, err := status.InForce(ctx, c.Coordination, c.Reader, c.Campaign)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.byName[name]; known != nil && known.Campaign.Hash == camp.Hash {
		fresh := *known // those who wait go on
		fresh.as = time.Now()
		t.byName[name] = &fresh
		return &fresh, nil
	}
	fresh := &taking{
		Sharer: &take.Sharer{Ledger: c.Takes, Campaign: camp, Timeout: t.timeout}, items: map[string]int{}, as: time.Now(),
	}
	for i := range camp.Items {
		if camp.Items[i].Offered() {
			fresh.items[camp.Items[i].ID] = i
		}
	}
	t.byName[name] = fresh
	return fresh, nil
}

// forget makes of look again.
func (t *takings) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byName, name)
}

// wish reads what a user wants.
func (t *taking) wish(user, item string) (ledger.Take, error) {
	id, err := readMember(t.Campaign, user)
	if err != nil {
		return ledger.Take{}, err
	}
	n, ok := t.items[item]
	if !ok {
		return ledger.Take{}, newProblem(kindItem,
			fmt.Sprintf("%s has no item %s that users take", t.Campaign.Name, cut(item, 100)))
	}
	return ledger.Take{User: id, Item: n}, nil
}

// answer says what became of a wish.
func (t *taking) answer(wish ledger.Take, taken ledger.Taken) Take {
	out := Take{User: wish.User, Item: t.Campaign.Items[wish.Item].ID, Outcome: taken.Outcome}
	if !taken.At.IsZero() {
		at := taken.At.In(t.Campaign.StartsAt.Location())
		out.TakenAt = &at
	}
	return out
}

// takeOne has one user take an item, together with all others who ask at the same time.
func (a *api) takeOne(r *http.Request, _ Principal) (any, error) {
	var body takeRequest
	if err := readBody(r, maxTakeBody, &body); err != nil {
		return nil, err
	}
	for again := false; ; again = true {
		t, err := a.takingOf(r)
		if err != nil {
			return nil, err
		}
		wish, err := t.wish(r.PathValue("id"), body.Item)
		if err != nil {
			return nil, err
		}
		taken, err := t.Take(wish)
		if err == nil {
			a.countTake(t.Campaign, wish, taken)
		}
		if errors.Is(err, ledger.ErrSpecChanged) && !again {
			a.takings.forget(t.Campaign.Name)
			continue
		}
		switch {
		case errors.Is(err, take.ErrBusy):
			return nil, newProblem(kindBusy, err.Error()+": wait a second")
		case err != nil:
			return nil, err
		case !taken.Outcome.Has():
			return nil, notTaken(t.Campaign, wish, taken.Outcome)
		}
		return takenOne{t.Campaign.Name, t.answer(wish, taken)}, nil
	}
}

// takingOf returns that of the campaign that a request names. Only once in a while it asks Redis, which judges each take anyway.
func (a *api) takingOf(r *http.Request) (*taking, error) {
	if known := a.takings.known(r.PathValue("campaign")); known != nil {
		return known, nil
	}
	c, err := a.readable(r)
	if err != nil {
		return nil, err
	}
	return a.takings.of(r.Context(), c)
}

// takeMany has many users take items.
func (a *api) takeMany(r *http.Request, _ Principal) (any, error) {
	var body struct {
		Takes []takeRequest `json:"takes"`
	}
	if err := readBody(r, maxTakesBody, &body); err != nil {
		return nil, err
	}
	if n := len(body.Takes); n == 0 || n > maxTakes {
		return nil, newProblem(kindMalformed, fmt.Sprintf("%d takes: want 1 to %d", n, maxTakes))
	}
	c, err := a.readable(r)
	if err != nil {
		return nil, err
	}
	t, err := a.takings.of(r.Context(), c)
	if err != nil {
		return nil, err
	}
	wishes := make([]ledger.Take, len(body.Takes))
	for i, w := range body.Takes {
		if wishes[i], err = t.wish(w.User, w.Item); err != nil {
			problem := problemOf(err)
			problem.Detail = fmt.Sprintf("takes[%d]: %s; nothing was taken", i, problem.Detail)
			return nil, problem
		}
	}
	taken, err := t.Ledger.Take(r.Context(), t.Campaign, wishes)
	if errors.Is(err, ledger.ErrSpecChanged) {
		a.takings.forget(c.Campaign.Name)
	}
	if err != nil {
		return nil, err
	}
	out := takenMany{c.Campaign.Name, make([]Take, len(wishes))}
	for i := range wishes {
		a.countTake(t.Campaign, wishes[i], taken[i])
		out.Takes[i] = t.answer(wishes[i], taken[i])
	}
	return out, nil
}

// countTake counts what became of a wish.
func (a *api) countTake(c *grant.Campaign, wish ledger.Take, taken ledger.Taken) {
	a.metrics.Takes.WithLabelValues(c.Items[wish.Item].ID, string(taken.Outcome)).Inc()
}

// notTaken says why a user did not get an item.
func notTaken(c *grant.Campaign, wish ledger.Take, outcome grant.Outcome) error {
	item := &c.Items[wish.Item]
	why := map[grant.Outcome]string{
		grant.OutcomeNotGranted: "the campaign has not been granted to this user, or not yet",
		grant.OutcomeExcluded:   "this user is excluded from the campaign",
		grant.OutcomeRevoked:    "the grant was revoked, or moved to another account",
		grant.OutcomeRecalled:   "the offer was taken back",
		grant.OutcomeLapsed:     "it could be taken before " + item.TakeUntil.Format(time.RFC3339),
		grant.OutcomeExhausted:  fmt.Sprintf("quota exhausted: the first %d have it", item.First),
	}[outcome]
	p := newProblem(kindNotTaken, fmt.Sprintf("%s: %s", item.ID, why))
	p.Outcome = outcome
	return p
}

// readBody reads the JSON of a request and nothing else.
func readBody(r *http.Request, most int64, v any) error {
	text, err := readAll(r, most)
	if err != nil {
		return err
	}
	return strictly("body", text, v)
}

// strictly reads the JSON of a body that has a name and nothing else.
func strictly(name string, text []byte, v any) error {
	err := strict.JSON(text, v)
	switch {
	case errors.Is(err, strict.ErrFollows):
		return newProblem(kindMalformed, "something comes after the "+name)
	case err != nil:
		return newProblem(kindMalformed, "the "+name+" is not what the API's document says: "+err.Error())
	}
	return nil
}
