// Package owner serves the page on which owners of small businesses see to their claims: a phone first, Korean and English,
// without an account and without scripts. An owner is known by a claim's number and a secret code. What a request may see or
// change is decided by
// its session alone: no address names a claim, so nobody can ask for somebody else's.
package owner

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
	"github.com/granter/granter/grant/ratelimit"
)

// Config is what a site serves.
type Config struct {
	Store     *store.Store
	Programme *claims.Programme
	Documents *documents.Keeper // nil: none are taken
	Secure    bool              // the browser speaks TLS, to this process or to a proxy in front of it
	Proxied   bool              // a proxy in front adds the client's address to X-Forwarded-For
	// what links begin with, such as https://claims.example.com; empty: whatever the browser asked for
	Public  string
	Contact string           // who helps: a phone number or an address
	Log     *slog.Logger     // nil: the default one
	Now     func() time.Time // nil: the clock
	// Filed is told what became of each claim that somebody wanted to hand in; nil: nobody is. It is called concurrently.
	Filed func(intake.Outcome)
}

// Site is an http.Handler.
type Site struct {
	Config
	mux    *http.ServeMux
	origin *http.CrossOriginProtection
	desk   intake.Desk

	enters *ratelimit.Limits // by address
	starts *ratelimit.Limits

	reports *ratelimit.Limits // by business number
}

const (
	// Many phones share one address of their carrier. A code has 80 random bits: at this rate one is guessed in 10^16 years.
	entersPerSecond, entersAtOnce = 0.5, 30
	startsPerSecond, startsAtOnce = 1, 60

	maxPosted = 64 << 10 // bytes of a form without a file
	maxDrain  = 64 << 20 // bytes of a file that is too big are read all the same, so that the browser shows why
	cookie    = "granter_claim"
	langIn    = "granter_lang"
)

//go:embed owner.css
var assets embed.FS

var styleName, styleText = func() (string, []byte) {
	text, err := fs.ReadFile(assets, "owner.css")
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(text)
	return "/owner-" + hex.EncodeToString(sum[:6]) + ".css", text
}()

// routes are all pages. What is behind /claim is of a session, and every form there carries its proof.
var routes = map[string]func(*visit) error{
	"GET /{$}":                    start,
	"POST /start":                 begin,
	"GET /enter":                  enter,
	"GET /enter/{number}/{code}":  enterByLink,
	"POST /enter":                 entered,
	"GET /claim":                  owned(overview),
	"GET /claim/question/{name}":  drafted(question),
	"POST /claim/question/{name}": drafted(answer),
	"GET /claim/check":            drafted(check),
	"POST /claim/check":           owned(handIn),
	"GET /claim/code":             owned(askCode),
	"POST /claim/code":            owned(newCode),
	"GET /claim/withdraw":         owned(askWithdraw),
	"POST /claim/withdraw":        owned(withdraw),
	"GET /claim/account":          handed(askAccount),
	"POST /claim/account":         handed(changeAccount),
	"GET /claim/objection":        handed(askObjection),
	"POST /claim/objection":       handed(object),
	"POST /claim/reply":           handed(reply),
	"GET /claim/documents":        handed(showDocuments),
	"POST /claim/documents":       upload,
	"GET /claim/documents/{name}": handed(download),
	"POST /sign-out":              owned(signOut),
	"/":                           func(v *visit) error { return v.notFound() },
}

// New returns a site.
func New(cfg Config) *Site {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Site{
		Config: cfg, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(),
		desk:   intake.Desk{Store: cfg.Store, Programme: cfg.Programme, Now: cfg.Now, Count: cfg.Filed},
		enters: ratelimit.New(entersPerSecond, entersAtOnce), starts: ratelimit.New(startsPerSecond, startsAtOnce),
		reports: ratelimit.New(reportsPerSecond, reportsAtOnce),
	}
	s.mux.HandleFunc("GET "+styleName, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(styleText) // the client went away
	})
	for pattern, handle := range routes {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, handle) })
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(
		"Content-Security-Policy",
		"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "+
			"frame-ancestors 'none'",
	)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // no code leaves by it
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if s.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	s.mux.ServeHTTP(w, r)
}

// visit is one request.
type visit struct {
	*Site
	w    http.ResponseWriter
	r    *http.Request
	lang tell.Lang

	token string // of the session
	id    string // whose it is
	draft map[string]string
	claim *store.Claim // nil: it is a draft

	windows []claims.Window // as they are now
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// t is a text in the reader's language.
func (v *visit) t(ko, en string) string { return tell.Text{KO: ko, EN: en}.In(v.lang) }

func (s *Site) serve(w http.ResponseWriter, r *http.Request, handle func(*visit) error) {
	v := &visit{Site: s, w: w, r: r, lang: tell.Korean}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if c, err := r.Cookie(langIn); err == nil {
		v.lang = tell.Parse(c.Value)
	}
	if r.Method == http.MethodGet && r.URL.Query().Has("lang") {
		v.setCookie(langIn, string(tell.Parse(r.URL.Query().Get("lang"))), 365*24*time.Hour)
		v.see(r.URL.EscapedPath()) // a backslash that is not escaped leads to another site
		return
	}
	var err error
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		err = s.origin.Check(r)
		if err != nil {
			err = &refusal{http.StatusForbidden, v.t("이 요청은 다른 사이트에서 왔습니다.", "This request came from another site.")}
		}
	}
	if err == nil {
		v.windows, err = s.Store.Windows(v.ctx(), s.Programme)
	}
	if err == nil {
		err = handle(v)
	}
	if err != nil {
		v.fail(err)
	}
}

// refusal is an error that the owner is told.
type refusal struct {
	status int
	says   string
}

func (r *refusal) Error() string { return r.says }

func (v *visit) fail(err error) {
	if r, ok := errors.AsType[*refusal](err); ok {
		v.w.WriteHeader(r.status)
		_ = v.problem(r.says) // the client went away
		return
	}
	if v.ctx().Err() != nil {
		return
	}
	if _, conflict := errors.AsType[*store.ConflictError](err); conflict || errors.Is(err, claims.ErrIllegal) {
		v.Log.Warn("the claim changed meanwhile", "claim", v.id, "error", err)
		v.w.WriteHeader(http.StatusConflict)
		_ = v.problem(v.t("그 사이에 신청 상태가 바뀌었습니다. 지금 상태를 확인하고 다시 해 주세요.",
			"Your claim has changed in the meantime. Look at where it is now, and try again."))
		return
	}
	v.Log.Error("the owner's page failed", "path", v.r.Pattern, "error", err)
	v.w.WriteHeader(v.broken(err))
	_ = v.problem(v.t("지금은 처리할 수 없습니다. 입력하신 내용은 그대로 있습니다. 잠시 뒤 다시 해 주세요.",
		"This does not work right now. What you entered before is kept. Please try again in a while."))
}

// broken is the status of an answer that cannot be given. What will pass is tried again, also by programs.
func (v *visit) broken(err error) int {
	if !store.Passing(err) {
		return http.StatusInternalServerError
	}
	v.w.Header().Set("Retry-After", "30")
	return http.StatusServiceUnavailable
}

func (v *visit) notFound() error {
	return &refusal{http.StatusNotFound, v.t("찾는 페이지가 없습니다.", "There is no such page.")}
}

// see sends the browser on to another page.
func (v *visit) see(path string) {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther) //nolint:gosec // callers name pages of this site
}

func (v *visit) setCookie(name, value string, lasts time.Duration) {
	http.SetCookie(v.w, &http.Cookie{ //nolint:gosec // Secure wherever the site is reached by TLS
		Name: name, Value: value, Path: "/", MaxAge: int(lasts / time.Second), HttpOnly: true, Secure: v.Secure,
		SameSite: http.SameSiteLaxMode, // a link in a message must find the session
	})
}

// proof is what each form of a session carries, and what other sites cannot know.
func proof(token string) string {
	sum := sha256.Sum256([]byte("form " + token))
	return hex.EncodeToString(sum[:])
}

const proofField = "proof"

// address is who asks, as far as limits need it.
func (v *visit) address() string {
	if v.Proxied {
		list := strings.Split(strings.Join(v.r.Header.Values("X-Forwarded-For"), ","), ",")
		if last := strings.TrimSpace(list[len(list)-1]); last != "" { // what our own proxy added
			return last
		}
	}
	return ratelimit.AddressOf(v.r)
}

// enterSession finds out whose session it is. Nobody's is sent to where sessions begin.
func (v *visit) enterSession() (ok bool, err error) {
	c, err := v.r.Cookie(cookie)
	if err == nil && c.Value != "" {
		v.token = c.Value
		v.id, err = v.Store.Session(v.ctx(), v.token)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return false, err
		}
	}
	if v.id == "" {
		v.see("/enter")
		return false, nil
	}
	list, err := v.Store.Get(v.ctx(), v.id)
	switch {
	case err == nil:
		v.claim = list[0]
	case !errors.Is(err, store.ErrNotFound):
		return false, err
	default:
		if v.draft, err = v.Store.Draft(v.ctx(), v.id); err != nil {
			if errors.Is(err, store.ErrNotFound) { // it was given up
				v.see("/enter")
				return false, nil
			}
			return false, err
		}
	}
	return true, nil
}

// proven checks that a form came from a page of this session.
func (v *visit) proven(given string) error {
	if subtle.ConstantTimeCompare([]byte(given), []byte(proof(v.token))) != 1 {
		return &refusal{http.StatusForbidden, v.t("페이지가 너무 오래되었습니다. 다시 열어 주세요.", "This page is out of date. Open it again.")}
	}
	return nil
}

// owned is a page of whoever has a session. What changes something must come from a page of that session.
func owned(handle func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if ok, err := v.enterSession(); !ok || err != nil {
			return err
		}
		if v.r.Method == http.MethodPost {
			if err := v.readForm(); err != nil {
				return err
			}
			if err := v.proven(v.r.PostFormValue(proofField)); err != nil {
				return err
			}
		}
		return handle(v)
	}
}

func (v *visit) readForm() error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxPosted)
	if err := v.r.ParseForm(); err != nil {
		return &refusal{http.StatusBadRequest, v.t("보낸 내용을 읽을 수 없습니다.", "What you sent cannot be read.")}
	}
	return nil
}

// drafted is a page of a claim that was not handed in yet.
func drafted(handle func(*visit) error) func(*visit) error {
	return owned(func(v *visit) error {
		if v.claim != nil {
			v.see("/claim")
			return nil
		}
		return handle(v)
	})
}

// handed is a page of a claim that was handed in.
func handed(handle func(*visit) error) func(*visit) error {
	return owned(func(v *visit) error {
		if v.claim == nil {
			v.see("/claim")
			return nil
		}
		return handle(v)
	})
}

// can reports whether the owner can do something to the claim now.
func (v *visit) can(action claims.Action) bool {
	_, err := v.claim.State.Next(action, claims.Owner, "because")
	return err == nil
}

// movable are the states in which the money can still go to another account.
var movable = []claims.State{
	claims.Received, claims.Checking, claims.DocumentsMissing, claims.Asked, claims.OnHold, claims.InReview,
	claims.BeforeCouncil, claims.Approved, claims.SecondLook, claims.PaymentReturned, claims.Objected,
	claims.ObjectionBeforeCouncil, claims.Upheld, claims.PartlyUpheld,
}

func (v *visit) movable() bool { return slices.Contains(movable, v.claim.State) && !v.claim.Erased }

// drain reads what is left of a request, so that the browser reads the answer.
func (v *visit) drain() { _, _ = io.Copy(io.Discard, io.LimitReader(v.r.Body, maxDrain)) }
