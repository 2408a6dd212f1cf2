//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/deploy/prometheus/promtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/source"
)

// rehearsal is a scenario with everything around it that a night has: a desk, a Prometheus, and somebody at the page.
type rehearsal struct {
	*scenario
	topic      *source.Source
	addresses  []string // of the metrics of two replicas, and of the desk
	deskURL    string
	tokens     map[string]string // by role
	prometheus *promtest.Server
	page       *page
}

// startsIn is how long after its making a rehearsal's campaign starts: for check, dry run and canary.
const startsIn = 60 * time.Second

func newRehearsal(t *testing.T, users int64) *rehearsal {
	t.Helper()
	r := &rehearsal{scenario: newScenario(t, 8, devtest.StartRedis(t, durable()...).Addr), tokens: map[string]string{"": "granter_nobody"}}
	r.publish(r.users(0, users)) // before the time runs
	text, err := os.ReadFile(r.spec)
	require.NoError(t, err)
	start := time.Now().Add(startsIn).Truncate(time.Second).Format(time.RFC3339)
	text = regexp.MustCompile(`(?m)^starts_at: .*`).ReplaceAll(text, fmt.Appendf(nil, "starts_at: %s\npopulation: %d", start, users))
	require.NoError(t, os.WriteFile(r.spec, text, 0o600))
	r.campaign, err = campaign.Load(r.spec)
	require.NoError(t, err)
	r.useRedis(r.redis...)
	k := source.Kafka{Brokers: r.brokers, Timeout: patience}
	r.topic, err = source.New(source.Config{Kafka: k, Topic: r.campaign.Input, Campaign: r.campaign.Name})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.topic.Close()) })

	for range 4 {
		r.addresses = append(r.addresses, freeAddress(t))
	}
	r.openDesk()
	r.prometheus = promtest.Start(t, r.addresses[:3]...)
	return r
}

// freeAddress returns a loopback address with a port that nobody uses at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// openDesk starts a desk with a token for each role, and somebody who looks at the page.
func (r *rehearsal) openDesk() {
	r.Helper()
	var lines []string
	for _, role := range []desk.Role{"viewer", "support", "operator"} {
		token, line, err := desk.NewToken(string(role), role)
		require.NoError(r, err)
		r.tokens[string(role)] = token
		lines = append(lines, line)
	}
	access := filepath.Join(r.TempDir(), "access")
	require.NoError(r, os.WriteFile(access, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	r.deskURL = "http://" + r.addresses[3]
	p := start(r.T, r.command("desk", "--desk="+r.addresses[3], "--desk-access="+access, "--listen="+r.addresses[2]))
	p.awaitLog("serving the desk")
	r.page = openPage(r.T, r.deskURL+"/campaigns/"+r.campaign.Name, r.tokens["viewer"])
}

// replica starts one of the two replicas that Prometheus knows.
func (r *rehearsal) replica(i int, flags ...string) *process {
	r.Helper()
	flags = append(flags, "--session-timeout=2s", "--json", "--listen="+r.addresses[i])
	return start(r.T, r.command("run", flags...))
}

// order gives an order through the API, with the token of a role, and returns the status code.
func (r *rehearsal) order(role string, o grant.Order, act *grant.HistoryEntry) int {
	r.Helper()
	body, err := json.Marshal(map[string]any{"action": o.Action, "why": o.Why})
	require.NoError(r, err)
	done := struct{ Act *grant.HistoryEntry }{act}
	return r.call(http.MethodPost, "orders", role, body, &done)
}

func (r *rehearsal) get(role, what string, into any) int {
	r.Helper()
	return r.call(http.MethodGet, what, role, nil, into)
}

func (r *rehearsal) call(method, what, role string, body []byte, into any) int {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.deskURL+"/api/v1/campaigns/"+r.campaign.Name+"/"+what, bytes.NewReader(body))
	require.NoError(r, err)
	req.Header.Set("Authorization", "Bearer "+r.tokens[role])
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r, err)
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		require.NoError(r, json.NewDecoder(resp.Body).Decode(into))
	}
	return resp.StatusCode
}

// query returns what Prometheus says; −1: nothing.
func (r *rehearsal) query(expr string) float64 {
	r.Helper()
	values, err := r.prometheus.Query(r.Context(), expr)
	require.NoError(r, err, expr)
	if len(values) == 0 {
		return -1
	}
	require.Len(r, values, 1, expr)
	return float64(values[0].Value)
}

// evaluateEverything asks the real Prometheus, during the run, every rule and every query of a dashboard.
func (r *rehearsal) evaluateEverything() {
	r.Helper()
	expressions, err := promtest.Expressions()
	require.NoError(r, err)
	answered := 0
	for _, e := range expressions {
		values, err := r.prometheus.Query(r.Context(), e.Expr)
		require.NoError(r, err, "%s: %s", e.Where, e.Expr)
		if len(values) > 0 {
			answered++
		}
	}
	r.say("Prometheus evaluated %d rules and panel queries; %d returned data; alerts: %v", len(expressions), answered, r.alerts())
}

// alerts returns the alerts that fire. Every rule must be healthy.
func (r *rehearsal) alerts() []string {
	r.Helper()
	rules, err := r.prometheus.Rules(r.Context())
	require.NoError(r, err)
	require.NotEmpty(r, rules)
	firing := []string{}
	for _, rule := range rules {
		require.Equal(r, "ok", rule.Health, "%s: %s", rule.Name, rule.Error)
		if rule.Firing {
			firing = append(firing, rule.Name)
		}
	}
	return firing
}

// page is the operations page, in a real Chromium.
type page struct {
	*testing.T
	ctx context.Context
}

func openPage(t *testing.T, url, token string) *page {
	t.Helper()
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)...)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(func() { end(); stop() })
	p := &page{T: t, ctx: ctx}
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url+"/")))
	await(t, "the page asks who it is", func() bool { return p.eval(`String(!document.getElementById("sign-in").hidden)`) == "true" })
	p.eval(fmt.Sprintf(`(() => { document.getElementById("token").value = %q; document.getElementById("sign-in-form").requestSubmit(); return ""; })()`, token))
	await(t, "the page shows the campaign", func() bool { return p.eval(`String(!document.getElementById("sections").hidden)`) == "true" })
	return p
}

func (p *page) eval(expression string) string {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
	require.NoError(p, err, expression)
	return text
}

// shows waits until people read something in an element: the page has news once a second.
func (p *page) shows(id, words string) {
	p.Helper()
	await(p.T, "the page says "+words, func() bool { return strings.Contains(p.text(id), words) })
}

// text returns what people read in an element, with commas between thousands.
func (p *page) text(id string) string {
	p.Helper()
	text := p.eval(fmt.Sprintf(`document.getElementById(%q).innerText`, id))
	return strings.NewReplacer("\u202f", ",", "\u00a0", ",").Replace(text)
}
