package feedback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

const (
	queryEvery = 5 * time.Second // as often as most are scraped
	queryFor   = time.Second
)

// Query is a question that an operator asks Prometheus: while it returns anything, the run goes slower. So a threshold is
// part of it, as in an alert: histogram_quantile(0.99, …) > 0.5.
type Query struct {
	expr string
	api  v1.API
	http *http.Transport
	log  *slog.Logger

	askedAt time.Time
	detail  string
	err     error
}

// NewQuery makes a query to the Prometheus at a URL. The token may be empty. Close must be called.
func NewQuery(address, expr, token string, log *slog.Logger) (*Query, error) {
	to, err := url.Parse(address)
	if err == nil && (to.Scheme != "http" && to.Scheme != "https" || to.Host == "") {
		err = errors.New("want its URL, such as http://prometheus:9090")
	}
	if err != nil {
		return nil, fmt.Errorf("Prometheus at %q: %w", address, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	client, err := api.NewClient(api.Config{Address: address, RoundTripper: &bearer{transport, to, token}})
	if err != nil {
		return nil, fmt.Errorf("Prometheus at %q: %w", address, err)
	}
	return &Query{expr: expr, api: v1.NewAPI(client), http: transport, log: log}, nil
}

// Close releases its connections.
func (q *Query) Close() { q.http.CloseIdleConnections() }

// Ask returns what the query returns, in words; empty: nothing. It asks at most every few seconds, and repeats the last
// answer in between.
func (q *Query) Ask(ctx context.Context) (detail string, err error) {
	if time.Since(q.askedAt) < queryEvery {
		return q.detail, q.err
	}
	ctx, cancel := context.WithTimeout(ctx, queryFor)
	defer cancel()
	value, warnings, _, err := q.api.Query(ctx, q.expr, time.Now())
	q.askedAt = time.Now()
	if err != nil {
		if q.err == nil {
			q.log.Warn("the throttle query cannot be asked: the run does not get faster until it can", "query", q.expr, "error", err)
		}
		q.detail, q.err = "", err
		return "", err
	}
	for _, w := range warnings {
		q.log.Warn("the throttle query", "query", q.expr, "warning", w)
	}
	q.detail, q.err = inWords(q.expr, value), nil
	return q.detail, nil
}

// inWords says what a query returned; empty: nothing. A scalar cannot be nothing, so 0 counts as nothing.
func inWords(expr string, value model.Value) string {
	switch v := value.(type) {
	case model.Vector:
		if len(v) > 0 {
			return fmt.Sprintf("%s returns %d series: %s = %s", expr, len(v), v[0].Metric, v[0].Value)
		}
	case *model.Scalar:
		if v.Value != 0 {
			return fmt.Sprintf("%s = %s", expr, v.Value)
		}
	case model.Matrix:
		if len(v) > 0 {
			return fmt.Sprintf("%s returns %d series", expr, len(v))
		}
	}
	return ""
}

// bearer adds a token to every request to one server; none if it is empty. Where that server redirects to gets none.
type bearer struct {
	http.RoundTripper

	to    *url.URL
	token string
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" && r.URL.Scheme == b.to.Scheme && r.URL.Host == b.to.Host {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.RoundTripper.RoundTrip(r)
}
