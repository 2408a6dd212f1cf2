// Package promtest runs a real Prometheus with granter's rules for a test, and says what the rules and dashboards ask
// it. It needs the program prometheus (Debian package prometheus), and fails the test without it.
package promtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/deploy/prometheus"
)

// Server is a Prometheus that scrapes, and evaluates the rules, every second.
type Server struct {
	URL string

	api     v1.API
	targets string // the file that says what is scraped
}

const (
	startTimeout = 30 * time.Second // it takes half a second; CI machines are busy
	askTimeout   = 10 * time.Second
)

// Start starts a Prometheus that scrapes /metrics of the targets (host:port) as the job granter, and ends it with the
// test.
func Start(tb devtest.TB, targets ...string) *Server {
	tb.Helper()
	return StartQuicker(tb, prometheus.Scale{Factor: 1}, targets...)
}

// StartQuicker is Start with quicker rules.
func StartQuicker(tb devtest.TB, scale prometheus.Scale, targets ...string) *Server {
	tb.Helper()
	scale.Interval = time.Second // it fits the interval of scraping, in production and here
	s, err := start(tb, scale.Rules(), targets)
	if err != nil {
		tb.Fatalf("starting Prometheus: %v", err)
	}
	return s
}

// config lets the targets change while Prometheus runs.
const config = `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: granter
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
`

func start(tb devtest.TB, rules []byte, targets []string) (*Server, error) {
	dir := tb.TempDir()
	s := &Server{targets: filepath.Join(dir, "targets.json")}
	if err := s.Scrape(targets...); err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{"prometheus.yml": []byte(config), "rules.yml": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s.URL = "http://" + addr
	client, err := api.NewClient(api.Config{Address: s.URL, RoundTripper: &http.Transport{DisableKeepAlives: true}})
	if err != nil {
		return nil, err
	}
	s.api = v1.NewAPI(client)

	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, childAttributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("install the Debian package prometheus: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its log says why it ended
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // its data is thrown away
		<-ended
	})
	if err := s.await(ended); err != nil {
		words, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", err, words)
	}
	return s, nil
}

// freeAddr is an address that was free a moment ago.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await polls until Prometheus can be asked.
func (s *Server) await(ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, _, _, err := s.api.Query(ctx, "1", time.Time{})
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// Scrape replaces the targets (host:port). Prometheus follows within a second or two.
func (s *Server) Scrape(targets ...string) error {
	text, err := json.Marshal([]map[string][]string{{"targets": append([]string{}, targets...)}})
	if err != nil {
		return err
	}
	// A half-written file must not be read.
	draft := s.targets + ".draft"
	if err := os.WriteFile(draft, text, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, s.targets)
}

// Query evaluates an expression now. A scalar comes as one sample without labels.
func (s *Server) Query(ctx context.Context, expr string) (model.Vector, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	value, warnings, _, err := s.api.Query(ctx, expr, time.Time{})
	switch v := value.(type) {
	case model.Vector:
		if len(warnings) > 0 {
			err = fmt.Errorf("Prometheus warns: %q", warnings)
		}
		return v, err
	case *model.Scalar:
		return model.Vector{{Value: v.Value, Timestamp: v.Timestamp}}, err
	}
	if err == nil {
		err = fmt.Errorf("the result is a %T", value)
	}
	return nil, err
}

// Value evaluates an expression that has exactly one sample.
func (s *Server) Value(ctx context.Context, expr string) (float64, error) {
	v, err := s.Query(ctx, expr)
	if err == nil && len(v) != 1 {
		err = fmt.Errorf("%s: %d samples, want one", expr, len(v))
	}
	if err != nil {
		return 0, err
	}
	return float64(v[0].Value), nil
}

// Fired returns which alerts of a campaign have fired since a moment, and for how many evaluations.
func (s *Server) Fired(ctx context.Context, campaign string, since time.Time) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	expr := fmt.Sprintf(`max by (alertname) (ALERTS{alertstate="firing", campaign=%q})`, campaign)
	value, _, _, err := s.api.QueryRange(ctx, expr, v1.Range{Start: since, End: time.Now(), Step: time.Second})
	if err != nil {
		return nil, err
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("the result is a %T", value)
	}
	out := map[string]int{}
	for _, series := range matrix {
		out[string(series.Metric["alertname"])] = len(series.Values)
	}
	return out, nil
}

// RuleStatus is what Prometheus says of one rule.
type RuleStatus struct {
	Name   string
	Health string // ok, err, or unknown: not evaluated yet
	Error  string // the last one
	Firing bool   // an alert that fires
}

// Rules returns how every rule is doing.
func (s *Server) Rules(ctx context.Context) ([]RuleStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	found, err := s.api.Rules(ctx, nil)
	if err != nil {
		return nil, err
	}
	var out []RuleStatus
	for _, g := range found.Groups {
		for _, r := range g.Rules {
			switch r := r.(type) {
			case v1.AlertingRule:
				out = append(out, RuleStatus{r.Name, string(r.Health), r.LastError, r.State == string(v1.AlertStateFiring)})
			case v1.RecordingRule:
				out = append(out, RuleStatus{r.Name, string(r.Health), r.LastError, false})
			}
		}
	}
	return out, nil
}
