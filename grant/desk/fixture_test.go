package desk

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// world is a desk that serves a campaign whose ledger is in miniredis, with a principal for each role.
type world struct {
	*testing.T
	cfg          Config
	redis        *miniredis.Miniredis
	grants       *ledger.Grants
	coordination *ledger.Coordination
	reader       *ledger.Reader
	registry     *prometheus.Registry
	log          *text
	ca           *authority
	server       *Server
	tokens       map[Role]string
	clients      []string // lines of those with a certificate
	connection   redis.UniversalClient
	gathered     atomic.Int64
}

// text is what has been written so far.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

var (
	seoul = time.FixedZone("KST", 9*60*60)
	began = time.Date(2022, 11, 5, 9, 0, 0, 0, seoul)
)

// base is in front of the paths of that campaign.
const base = "/api/v1/campaigns/sorry-2022"

func aCampaign() *grant.Campaign {
	return &grant.Campaign{
		Name: "sorry-2022", Title: "Three emoticons for everybody", Hash: strings.Repeat("5f", 32), StartsAt: began,
		Population: 4,
		Items: []grant.Item{
			{ID: "thank-you", Kind: grant.KindEmoticon},
			{ID: "cheer-up", Kind: grant.KindEmoticon, Validity: grant.Validity{Length: 90 * 24 * time.Hour}},
			{ID: "cash", Kind: grant.KindCredit, Amount: 50_000, Currency: "KRW"},
		},
	}
}

// topic is what a status asks Kafka.
type topic struct{}

func (topic) Bounds(context.Context) (grant.Bounds, error) {
	return grant.Bounds{Firsts: grant.Offsets{0: 0, 1: 10}, Ends: grant.Offsets{0: 4, 1: 10}}, nil
}

func (topic) Identify(context.Context) (grant.TopicID, error) {
	return grant.TopicID{Cluster: "c"}, nil
}
func (topic) Intact(context.Context, grant.Checkpoint) error { return nil }

// newWorld starts a desk, with TLS, after changes to its configuration.
func newWorld(t *testing.T, changes ...func(*world)) *world {
	t.Helper()
	w := &world{
		T: t, redis: miniredis.RunT(t), registry: prometheus.NewRegistry(), log: &text{}, ca: newAuthority(t),
		tokens:  map[Role]string{},
		clients: []string{"jihoon operator cert:Ji-hoon Park"},
	}
	cert, key := w.ca.issue("desk", x509.ExtKeyUsageServerAuth)
	w.cfg = Config{
		Addr: "127.0.0.1:0", AccessGrace: patience, Access: filepath.Join(t.TempDir(), "access"), Cert: cert, Key: key,
		ClientCA: w.ca.file,
		Subject: Subject{
			Campaign: aCampaign(),
			Status: func(ctx context.Context) (*status.Status, error) {
				w.gathered.Add(1)
				return status.NewGatherer(aCampaign(), w.coordination, w.reader, topic{}).Gather(ctx)
			},
			Bounds: topic{}.Bounds,
		},
		Log:        slog.New(slog.NewJSONHandler(io.MultiWriter(w.log, t.Output()), nil)),
		Registerer: w.registry, pace: usual,
	}
	w.serve(aCampaign())
	w.rotate()
	for _, change := range changes {
		change(w)
	}
	var err error
	w.server, err = Start(w.cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.server.Close()) })
	return w
}

// aRun is the run that the world grants by.
const aRun grant.RunID = 7

// serve makes the desk serve the ledger of a campaign, and the world write to it.
func (w *world) serve(campaign *grant.Campaign) {
	w.Helper()
	w.openLedger(campaign)
	w.cfg.Coordination, w.cfg.Reader, w.cfg.Checks = w.coordination, w.reader, w.reader
	w.cfg.Takes = ledger.NewTakes(w.reader.Store, aRun)
}

// openLedger makes the world write to the ledger of a campaign.
func (w *world) openLedger(campaign *grant.Campaign) {
	w.Helper()
	client, err := ledger.Connect(ledger.Options{Addrs: []string{w.redis.Addr()}})
	require.NoError(w, err)
	w.Cleanup(func() { require.NoError(w, client.Close()) })
	w.connection = client
	store, err := ledger.Open(client, campaign, ledger.Config{RetryFor: 200 * time.Millisecond})
	require.NoError(w, err)
	w.grants, w.coordination, w.reader = ledger.NewGrants(store, aRun), ledger.NewCoordination(store), ledger.NewReader(store)
}

// secure is how a client speaks TLS to the desk.
func (w *world) secure(certificates ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: w.ca.pool(), MinVersion: tls.VersionTLS12, Certificates: certificates}
}

// plain makes the desk speak HTTP/1.1, without TLS.
func plain(w *world) {
	w.cfg.Cert, w.cfg.Key, w.cfg.ClientCA = "", "", ""
	w.clients = nil
	w.rotate()
}

// roleEraser may erase, beside what operators may.
var roleEraser = Role("operator,erase")

// rotate gives every principal another token.
func (w *world) rotate() {
	w.Helper()
	lines := append([]string{"# who may do what", ""}, w.clients...)
	for _, role := range append(slices.Clone(roles), RoleService, roleEraser) {
		token, line, err := NewToken("a-"+string(role), role)
		require.NoError(w, err)
		w.tokens[role] = token
		lines = append(lines, line)
	}
	w.allow(strings.Join(lines, "\n"))
}

// accessLine is the line of a role in the access file.
func (w *world) accessLine(role Role) string {
	w.Helper()
	text, err := os.ReadFile(w.cfg.Access)
	require.NoError(w, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "a-"+string(role)+" ") {
			return line
		}
	}
	require.FailNow(w, "no such line")
	return ""
}

func (w *world) allow(access string) {
	w.Helper()
	require.NoError(w, os.WriteFile(w.cfg.Access, []byte(access), 0o600))
}

// grant grants the campaign to user 2.
func (w *world) grant() {
	w.Helper()
	w.grantTo(2)
}

// grantTo grants the campaign to some users.
func (w *world) grantTo(users ...uint16) {
	w.Helper()
	_, err := w.grants.Begin(w.Context(), grant.TopicID{})
	require.NoError(w, err)
	members := new(dense.Bitmap)
	for _, user := range users {
		members.Set(user)
	}
	require.NoError(w, w.grants.Grant(w.Context(), &dense.Flush{
		Seq: 1, Deltas: []dense.Delta{{Chunk: 0, Members: members, Count: len(users)}},
		Ranges: []sharding.Range{{Partition: 0, First: 1, Last: 1}},
	}))
}

// request is what a test asks of the desk.
type request struct {
	method, path string
	token        string
	certificate  *tls.Certificate
	header       map[string]string
	body         string
	pause        time.Duration // in the middle of the body
}

// answer is what it says.
type answer struct {
	*testing.T
	status int
	header http.Header
	body   []byte
}

// open sends a request; the caller reads the answer and ends it.
func (w *world) open(ctx context.Context, r request) *http.Response {
	w.Helper()
	secure := w.secure()
	if r.certificate != nil {
		secure.Certificates = []tls.Certificate{*r.certificate}
	}
	transport := &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	w.Cleanup(transport.CloseIdleConnections)
	response, err := transport.RoundTrip(r.http(ctx, w.T, w.server.URL()))
	require.NoError(w, err)
	return response
}

// pause is a reader that has nothing, after a while.
type pause time.Duration

func (p pause) Read([]byte) (int, error) {
	<-time.After(time.Duration(p))
	return 0, io.EOF
}

func (r request) http(ctx context.Context, t *testing.T, base string) *http.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(ctx, r.method, base+r.path, strings.NewReader(r.body))
	require.NoError(t, err)
	if half := len(r.body) / 2; r.pause > 0 {
		first, second := strings.NewReader(r.body[:half]), strings.NewReader(r.body[half:])
		out.Body = io.NopCloser(io.MultiReader(first, pause(r.pause), second))
	}
	if r.token != "" {
		out.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.method == http.MethodPost {
		out.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		out.Header.Set(name, value)
	}
	return out
}

// ask sends a request, and holds it and its answer against the API's document.
func (w *world) ask(r request) answer {
	w.Helper()
	response := w.open(w.Context(), r)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(w, err)
	r.pause = 0
	conforms(w.T, r.http(w.Context(), w.T, ""), response, body)
	return answer{w.T, response.StatusCode, response.Header, body}
}

// get asks for a path with the token of a role.
func (w *world) get(role Role, path string) answer {
	w.Helper()
	return w.ask(request{method: http.MethodGet, path: path, token: w.tokens[role]})
}

// order sends an order with the token of a role.
func (w *world) order(role Role, body string) answer {
	w.Helper()
	return w.ask(request{method: http.MethodPost, path: base + "/orders", token: w.tokens[role], body: body})
}

// is requires a status code, and returns the detail of a problem.
func (a answer) is(code int) string {
	a.Helper()
	require.Equal(a, code, a.status, "%s", a.body)
	if code < http.StatusBadRequest {
		return ""
	}
	require.Equal(a, "application/problem+json", a.header.Get("Content-Type"))
	var p Problem
	a.into(&p)
	k := kind(strings.TrimPrefix(p.Type, problemType))
	require.Equal(a, code, statuses[k], p.Type)
	want := newProblem(k, p.Detail)
	want.Outcome, want.SignIn, want.Problems = p.Outcome, p.SignIn, p.Problems
	require.Equal(a, *want, p)
	require.NotEmpty(a, p.Detail)
	return p.Detail
}

func (a answer) into(v any) {
	a.Helper()
	require.NoError(a, json.Unmarshal(a.body, v), "%s", a.body)
}

// trail is the audit trail.
func (w *world) trail() []grant.HistoryEntry {
	w.Helper()
	acts, err := w.coordination.History(w.Context())
	require.NoError(w, err)
	return acts
}

// logged returns the log's lines with a message.
func (w *world) logged(message string) (lines []map[string]any) {
	w.Helper()
	for line := range strings.Lines(w.log.String()) {
		var fields map[string]any
		require.NoError(w, json.Unmarshal([]byte(line), &fields))
		if fields["msg"] == message {
			lines = append(lines, fields)
		}
	}
	return lines
}

// metric is the value of one of the desk's metrics; labels alternate names and values.
func (w *world) metric(name string, labels ...string) (value float64) {
	w.Helper()
	families, err := w.registry.Gather()
	require.NoError(w, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			fits := f.GetName() == "granter_desk_"+name
			for i := 0; i < len(labels); i += 2 {
				fits = fits && have[labels[i]] == labels[i+1]
			}
			if fits {
				value += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return value
}
