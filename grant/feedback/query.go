package feedback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

const (
	queryEvery = 5 * time.Second // as often as most are scraped
	queryFor   = time.Second
)

// Query is a question that an operator asks Prometheus: while it returns anything, the run goes slower. So a threshold is
// part of it, as in an alert: histogram_quantile(0.99, …) > 0.5.
type Query struct {
	expr      string
	url       string // of Prometheus's query API
	transport *http.Transport
	client    http.Client
	log       *slog.Logger

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
	return &Query{
		expr: expr, url: to.JoinPath("api/v1/query").String(), log: log,
		transport: transport, client: http.Client{Transport: &bearer{transport, to, token}},
	}, nil
}

// Close releases its connections.
func (q *Query) Close() { q.transport.CloseIdleConnections() }

// Ask returns what the query returns, in words; empty: nothing. It asks at most every few seconds, and repeats the last
// answer in between.
func (q *Query) Ask(ctx context.Context) (detail string, err error) {
	if time.Since(q.askedAt) < queryEvery {
		return q.detail, q.err
	}
	ctx, cancel := context.WithTimeout(ctx, queryFor)
	defer cancel()
	asked := time.Now()
	value, warnings, err := q.ask(ctx, asked)
	q.askedAt = time.Now()
	if err != nil {
		if q.err == nil {
			q.log.Warn("the throttle query cannot be asked: the run does not get faster until it can", "query", q.expr, "error",
				err)
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

// ask asks Prometheus for the value at a time, by its HTTP API. Its own Go client is not used: through its JSON library it
// keeps the linker from removing any method that nobody calls, which is a third of the binary (docs/performance.md).
func (q *Query) ask(ctx context.Context, at time.Time) (value model.Value, warnings []string, err error) {
	seconds := strconv.FormatFloat(float64(at.UnixNano())/1e9, 'f', -1, 64)
	form := url.Values{"query": {q.expr}, "time": {seconds}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, q.url, strings.NewReader(form))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header["Idempotency-Key"] = nil // not sent: it says that a request on a connection that was just closed may be sent again
	status, body, err := q.send(req)
	switch status {
	case http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented: // of proxies that let GET pass only
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, q.url+"?"+form, http.NoBody); err != nil {
			return nil, nil, err
		}
		status, body, err = q.send(req)
	}
	if err != nil {
		return nil, nil, err
	}
	return parseAnswer(status, body)
}

func (q *Query) send(req *http.Request) (status int, body []byte, err error) {
	resp, err := q.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// parseAnswer reads an answer of Prometheus's query API.
func parseAnswer(status int, body []byte) (value model.Value, warnings []string, err error) {
	var answer struct {
		Status   string   `json:"status"`
		Error    string   `json:"error"`
		Warnings []string `json:"warnings"`
		Data     struct {
			ResultType string          `json:"resultType"` //nolint:tagliatelle // Prometheus's name for it
			Result     json.RawMessage `json:"result"`
		} `json:"data"`
	}
	err = json.Unmarshal(body, &answer)
	switch {
	case status/100 != 2 && (err != nil || answer.Error == ""):
		return nil, nil, fmt.Errorf("Prometheus answers %d %s", status, http.StatusText(status))
	case err != nil:
		return nil, nil, fmt.Errorf("Prometheus's answer: %w", err)
	case answer.Status != "success":
		return nil, answer.Warnings, errors.New(answer.Error)
	}
	switch answer.Data.ResultType {
	case "vector":
		value, err = decode[model.Vector](answer.Data.Result)
	case "scalar":
		value, err = decode[*model.Scalar](answer.Data.Result)
	case "matrix":
		value, err = decode[model.Matrix](answer.Data.Result)
	default:
		err = fmt.Errorf("unexpected value type %q", answer.Data.ResultType)
	}
	return value, answer.Warnings, err
}

func decode[V model.Value](data []byte) (value V, err error) {
	err = json.Unmarshal(data, &value)
	return value, err
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
