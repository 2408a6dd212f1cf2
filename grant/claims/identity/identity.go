// Package identity asks the tax office about businesses, and the bank about accounts, before money is owed. A service that does
// not answer makes a claim wait; it never makes one fail.
package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/text/width"

	"github.com/granter/granter/grant/claims"
)

// ErrAway means that a service gave no answer that can be used. Ask again later.
var ErrAway = errors.New("the service does not answer")

// service is one HTTP service, which is left alone for a while after it failed.
type service struct {
	name string
	base string
	auth func(*http.Request) // adds what says who asks
	http *http.Client
	now  func() time.Time

	lock     sync.Mutex
	failures int
	rests    time.Time
}

const (
	tries    = 3                // of one call
	patience = 10 * time.Second // for one answer
	failMost = 3                // calls in a row that fail before the service is left alone
	rest     = 30 * time.Second // for so long
	mostRead = 4 << 20          // bytes of an answer: one about 100 businesses has about 100 KB
)

// call posts a question and reads the answer. A failure that may pass is tried again, and is ErrAway in the end.
func (s *service) call(ctx context.Context, path string, question, answer any) error {
	s.lock.Lock()
	resting := s.now().Before(s.rests)
	s.lock.Unlock()
	if resting {
		return fmt.Errorf("%s: %w, and is left alone for a while", s.name, ErrAway)
	}
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, s.once(ctx, path, body, answer) },
		backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: 50 * time.Millisecond, Multiplier: 3,
			MaxInterval: time.Second}),
		backoff.WithMaxTries(tries))
	s.lock.Lock()
	defer s.lock.Unlock()
	switch {
	case err == nil:
		s.failures = 0
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		if s.failures++; s.failures >= failMost {
			s.failures, s.rests = 0, s.now().Add(rest)
		}
		return fmt.Errorf("%s: %w: %w", s.name, ErrAway, err)
	}
	return nil
}

func (s *service) once(ctx context.Context, path string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	s.auth(req)
	resp, err := s.http.Do(req)
	if err != nil {
		if at, ok := errors.AsType[*url.Error](err); ok {
			err = at.Err // the address may hold a key
		}
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostRead))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("its answer cannot be read: %w", err)
	}
	return nil
}

// connections are kept, as many as ask at once: most of a question's time goes into opening one.
const connections = 16

func newService(name, base string, auth func(*http.Request)) service {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // nobody replaces it
	transport.MaxIdleConnsPerHost = connections
	return service{
		name: name, base: strings.TrimRight(base, "/"), auth: auth, now: time.Now,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// MostBusinesses is how many the tax office answers about in one call.
const MostBusinesses = 100

// Business is what somebody says of his business.
type Business struct {
	Number         claims.BusinessNumber
	Opened         claims.Date
	Representative string
}

// Standing is what the tax office says of a business.
type Standing struct {
	State    string // active, suspended, closed; mismatch: number, opening day and representative do not belong together
	ClosedOn claims.Date
}

// The states of a business.
const (
	Active    = "active"
	Suspended = "suspended"
	Closed    = "closed"
	Mismatch  = "mismatch"
)

// Registry is the tax office's service for the standing of businesses, as data.go.kr offers it (nts-businessman).
type Registry struct{ service }

// NewRegistry returns a registry at an address, such as https://api.odcloud.kr/api/nts-businessman/v1.
func NewRegistry(base, key string) *Registry {
	return &Registry{newService("the tax office", base, func(r *http.Request) {
		q := r.URL.Query()
		q.Set("serviceKey", key)
		r.URL.RawQuery = q.Encode()
	})}
}

type validateQuestion struct {
	Businesses []validateBusiness `json:"businesses"`
}

type validateBusiness struct {
	Number         string `json:"b_no"`
	Opened         string `json:"start_dt"`
	Representative string `json:"p_nm"`
}

type validateAnswer struct {
	Status string `json:"status_code"`
	Data   []struct {
		Number string `json:"b_no"`
		Valid  string `json:"valid"`
		Status struct {
			Code string `json:"b_stt_cd"`
			End  string `json:"end_dt"`
		} `json:"status"`
	} `json:"data"`
}

// Ask returns the standing of businesses, at most MostBusinesses, by their numbers. One that the answer leaves out is not in it.
func (r *Registry) Ask(ctx context.Context, list []Business) (map[claims.BusinessNumber]Standing, error) {
	var q validateQuestion
	for _, b := range list {
		q.Businesses = append(q.Businesses, validateBusiness{string(b.Number), strings.ReplaceAll(string(b.Opened), "-", ""),
			b.Representative})
	}
	var a validateAnswer
	if err := r.call(ctx, "/validate", q, &a); err != nil {
		return nil, err
	}
	if a.Status != "OK" {
		return nil, fmt.Errorf("%s: %w: it says %.80q", r.name, ErrAway, a.Status)
	}
	out := make(map[claims.BusinessNumber]Standing, len(list))
	for _, d := range a.Data {
		var s Standing
		switch code := d.Status.Code; {
		case d.Valid == "02":
			s.State = Mismatch
		case code == "01":
			s.State = Active
		case code == "02":
			s.State = Suspended
		case code == "03":
			s.State = Closed
			if at, err := time.Parse("20060102", d.Status.End); err == nil {
				s.ClosedOn = claims.Date(at.Format(time.DateOnly))
			}
		default:
			continue // a code that nobody knows is no answer
		}
		out[claims.BusinessNumber(d.Number)] = s
	}
	return out, nil
}

// Account is where money would go.
type Account struct {
	Bank   string // three digits
	Number string
	Holder string // who is said to hold it
}

// The answers about an account.
const (
	Verified     = "verified"
	WrongHolder  = "mismatch"
	NoSuchNumber = "unknown"
)

// Bank is the banks' service that says who holds an account, as the open banking network offers it (inquiry/real_name).
type Bank struct{ service }

// NewBank returns the banks' service at an address.
func NewBank(base, token string) *Bank {
	return &Bank{newService("the bank", base, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })}
}

type nameQuestion struct {
	Bank    string `json:"bank_code_std"`
	Account string `json:"account_num"`
	Kind    string `json:"account_holder_info_type"` // N: nothing else about the holder is sent
	At      string `json:"tran_dtime"`
}

type nameAnswer struct {
	Code     string `json:"rsp_code"`      // A0000: the network answered
	BankCode string `json:"bank_rsp_code"` // 000: and so did the bank
	Holder   string `json:"account_holder_name"`
}

// noAccount are the codes by which banks say that there is no such account.
var noAccount = map[string]bool{"411": true, "412": true, "441": true}

// Ask says whether an account is held by whom it should be.
func (b *Bank) Ask(ctx context.Context, account Account) (string, error) {
	digits := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return r
		}
		return -1
	}, account.Number)
	var a nameAnswer
	q := nameQuestion{account.Bank, digits, "N", b.now().Format("20060102150405")}
	if err := b.call(ctx, "/v2.0/inquiry/real_name", q, &a); err != nil {
		return "", err
	}
	switch {
	case a.Code != "A0000":
		return "", fmt.Errorf("%s: %w: it says %.80q", b.name, ErrAway, a.Code)
	case noAccount[a.BankCode]:
		return NoSuchNumber, nil
	case a.BankCode != "000":
		return "", fmt.Errorf("%s: %w: it says %.80q", b.name, ErrAway, a.BankCode)
	case bare(a.Holder) == bare(account.Holder) && bare(a.Holder) != "":
		return Verified, nil
	default:
		return WrongHolder, nil
	}
}

// bare is a name without what banks and people write differently: blanks, width, case, and what kind of company it is.
func bare(name string) string {
	name = strings.ToLower(width.Narrow.String(width.Fold.String(name)))
	for _, kind := range []string{"주식회사", "(주)", "㈜", "유한회사"} {
		name = strings.ReplaceAll(name, kind, "")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, name)
}
