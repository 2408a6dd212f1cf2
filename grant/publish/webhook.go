package publish

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Webhook is a subscriber that is told by HTTP: a POST for each batch of events, signed as Standard Webhooks has it.
type Webhook struct {
	URL     string
	Secret  []byte        // of the HMAC
	Batch   int           // events of a request at most; 1: each event is a body of its own
	Timeout time.Duration // of a request
	Calls   int           // requests at a time; those of one chunk, and so of a user, come one after the other
}

// The names of the headers of Standard Webhooks.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
	secretPrefix    = "whsec_"
	minSecret       = 24 // bytes
)

// ParseSecret reads a secret: whsec_ and base64, as Standard Webhooks writes it.
func ParseSecret(text string) ([]byte, error) {
	coded, ok := strings.CutPrefix(strings.TrimSpace(text), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(coded)
	if !ok || err != nil || len(key) < minSecret {
		return nil, fmt.Errorf("want %s and at least %d bytes in base64; echo %s$(head -c 32 /dev/urandom | base64) makes one",
			secretPrefix, minSecret, secretPrefix)
	}
	return key, nil
}

// sign is the signature of a body that is sent at a moment under an ID.
func sign(key []byte, id string, at int64, body []byte) string {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s.%d.", id, at)
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Sender makes the requests of a webhook. It is safe for concurrent use.
type Sender struct {
	Webhook
	client *http.Client
}

// NewSender makes a sender. Redirects are not followed: what is sent goes where it was meant to.
func NewSender(to Webhook) *Sender {
	return &Sender{to, &http.Client{
		Timeout:       to.Timeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: to.Calls, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close lets go of connections.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// CheckURL reports why a URL cannot be that of a webhook.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	local := err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return errors.New("want https://…, without a user; http only for this machine")
	}
	return nil
}

type webhook struct {
	*Sender
	breaker breaker
}

// NewWebhook makes the target of a webhook.
func NewWebhook(to Webhook) Target { return &webhook{Sender: NewSender(to)} }

func (h *webhook) limits() limits {
	return limits{chunks: 1, entries: 1, members: h.Batch, calls: h.Calls}
}

// statusError is an answer that is not a success.
type statusError struct {
	code int
	says string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("it answers %d %s: %s", e.code, http.StatusText(e.code), e.says)
}

func (h *webhook) transient(err error) bool {
	status, ok := errors.AsType[*statusError](err)
	return !ok || status.code >= 500 || status.code == http.StatusTooManyRequests || status.code == http.StatusRequestTimeout
}

func (h *webhook) deliver(ctx context.Context, w *writer, pieces []piece) error {
	for i := range pieces {
		id, kind, body, err := h.body(w, &pieces[i])
		if err != nil {
			return err
		}
		if err := h.breaker.enter(ctx, h.Timeout); err != nil {
			return err
		}
		err = h.Post(ctx, id, kind, body)
		h.breaker.leave(err)
		if err != nil {
			return err
		}
	}
	return nil
}

// body returns the ID, the content type and the body of a request. The ID follows from the events, as theirs do.
func (h *webhook) body(w *writer, p *piece) (id, kind string, body []byte, err error) {
	t, err := typeOf(p)
	if err != nil {
		return "", "", nil, err
	}
	template, err := w.template(p, t)
	if err != nil {
		return "", "", nil, err
	}
	sent := 0
	for user := range p.texts() {
		if sent++; sent == 1 {
			id = string(appendSegment([]byte(entryID(w.campaign, p)+"/"), user))
		} else {
			body = append(body, ',')
		}
		body = template.append(body, user)
	}
	if h.Batch == 1 {
		return id, "application/cloudevents+json; charset=UTF-8", body, nil
	}
	body = append(append([]byte{'['}, body...), ']')
	return id + "+" + strconv.Itoa(sent), "application/cloudevents-batch+json; charset=UTF-8", body, nil
}

// Post makes one request with a body of some content type, under an ID that is the same when it is made again. Without a secret
// it is not signed.
func (s *Sender) Post(ctx context.Context, id, kind string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", kind)
	Sign(r, s.Secret, id, time.Now(), body)
	answer, err := s.client.Do(r)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok { // its text has the URL, which may have a secret in it
			err = wrapped.Err
		}
		return fmt.Errorf("webhook: %w", err)
	}
	defer answer.Body.Close()
	says, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
	if answer.StatusCode/100 != 2 {
		return &statusError{answer.StatusCode, strconv.QuoteToASCII(string(says))}
	}
	return nil
}

// breaker spares a subscriber that fails: after some failures in a row there is one attempt at a time, and pauses in between
// that become longer.
type breaker struct {
	mu       sync.Mutex
	failures int
	next     time.Time // no attempt before it
}

const (
	breakAfter = 5
	minPause   = time.Second
	maxPause   = 2 * time.Minute
)

// enter waits until an attempt is allowed.
func (b *breaker) enter(ctx context.Context, attempt time.Duration) error {
	for {
		b.mu.Lock()
		wait := time.Until(b.next)
		if b.failures < breakAfter || wait <= 0 {
			if b.failures >= breakAfter {
				b.next = time.Now().Add(attempt + minPause) // the others wait for how this one ends
			}
			b.mu.Unlock()
			return nil
		}
		b.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *breaker) leave(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.failures, b.next = 0, time.Time{}
		return
	}
	if b.failures++; b.failures >= breakAfter {
		pause := minPause << min(b.failures-breakAfter, 10)
		b.next = time.Now().Add(min(pause, maxPause))
	}
}
