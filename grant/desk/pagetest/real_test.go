//go:build integration

package pagetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	realdesk "github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
)

// book is a ledger's book of orders, and a status that follows it.
type book struct {
	campaign *grant.Campaign

	mu   sync.Mutex
	st   status.Status
	acts []grant.HistoryEntry
}

func (b *book) Order(_ context.Context, o grant.Order) (grant.HistoryEntry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.st.Control
	act := grant.HistoryEntry{At: time.Now().UTC(), Action: o.Action, Who: o.Who, Via: o.Via, Why: o.Why, Before: &before}
	after, err := before.Apply(&o, b.campaign, act.At)
	if err != nil {
		act.Refused = err.Error()
	} else {
		act.After, b.st.Control = &after, after
	}
	b.acts = append(b.acts, act)
	return act, err
}

func (b *book) Refuse(_ context.Context, act grant.HistoryEntry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts = append(b.acts, act)
	return nil
}

func (b *book) History(context.Context) ([]grant.HistoryEntry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.acts), nil
}

func (b *book) Control(context.Context) (grant.Control, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.st.Control, time.Now(), nil
}

func (b *book) Held(_ context.Context, _ *grant.Campaign, users []grant.UserID) ([]ledger.User, []grant.Holding, error) {
	found := make([]ledger.User, len(users))
	for i, user := range users {
		found[i] = ledger.User{User: user, Place: grant.PlaceNone}
	}
	return found, make([]grant.Holding, len(users)), nil
}

func (b *book) Runs(context.Context) ([]grant.RunRecord, error) { return nil, nil }

func (b *book) SpecKey() string { return "granter:{a-campaign}:spec" }

func (b *book) Spec(context.Context) (ledger.StoredSpec, bool, error) {
	return ledger.StoredSpec{}, false, nil
}

func (b *book) Totals(context.Context) (ledger.Totals, error) { return ledger.Totals{}, nil }

// Status is one of replicas that obey at once.
func (b *book) Status(context.Context) (*status.Status, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := b.st
	st.At, st.Runs = time.Now(), slices.Clone(b.st.Runs)
	for i := range st.Runs {
		r := &st.Runs[i]
		r.Control, r.UpdatedAt, r.Redis.ClockAhead = st.Control.Version, st.At, 0
		if st.Control.Paused && r.Live {
			r.Holds = []grant.Hold{{Cause: grant.CauseOperator, Detail: "paused by an operator", Since: st.At}}
			st.Holds, st.Phase = r.Holds, status.PhasePaused
		}
	}
	return &st, nil
}

// TestRealDesk uses the page as the desk serves it: with its policy, its types of files, its tokens and its events.
func TestRealDesk(t *testing.T) {
	access := filepath.Join(t.TempDir(), "access")
	line := func(name, role, token string) string {
		return fmt.Sprintf("%s %s sha256:%x\n", name, role, sha256.Sum256([]byte(token)))
	}
	lines := line("jiyoon", "operator", operatorToken) + line("wallboard", "viewer", viewerToken)
	require.NoError(t, os.WriteFile(access, []byte(lines), 0o600))
	st := running()
	b := &book{campaign: &grant.Campaign{Name: st.Campaign, StartsAt: st.StartsAt}, st: st}
	server, err := realdesk.Start(realdesk.Config{
		Addr: "127.0.0.1:0", Access: access,
		Subject: realdesk.Subject{
			Campaign: b.campaign, Coordination: b, Reader: b, Status: b.Status,
			Bounds: func(context.Context) (grant.Bounds, error) { return grant.Bounds{Ends: grant.Offsets{0: 5, 1: 6}}, nil },
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })

	p := openAt(t, server.URL()+"/")
	p.signIn("granter_wrong")
	p.shows("sign-in-error", "This token is not known here")
	p.signIn(operatorToken)
	p.await("document.getElementById('sections')?.hidden === false") // on the page of the one campaign
	require.Equal(t, "31 204 118", p.text("granted"))

	for i, order := range []string{"pause", "resume", "throttle", "finish", "abort"} {
		p.order(order)
		if p.visible("order-limit") {
			p.fill("order-limit", "200000")
		}
		if p.visible("order-name") {
			p.fill("order-name", "sorry-2022-emoticons")
		}
		p.fill("order-why", "to see whether it works")
		p.press("Enter")
		p.shows("order-obeyed", "2 of 2 replicas obey after ")
		p.press("Escape")
		p.shows("history-summary", fmt.Sprintf("%d entr", i+1))
	}
	p.shows("history", "Aborted by jiyoon")

	b.mu.Lock()
	b.st.Phase, b.st.StartsAt = status.PhaseWaiting, time.Now().Add(time.Hour).In(seoul)
	b.campaign.StartsAt = b.st.StartsAt
	b.mu.Unlock()
	p.await("document.querySelector('[data-order=postpone]')")
	p.order("postpone")
	p.setStart(time.Now().Add(2 * time.Hour))
	p.fill("order-why", "to see whether it works")
	p.press("Enter")
	p.shows("order-done-title", "Start moved: order 6, ")
}
