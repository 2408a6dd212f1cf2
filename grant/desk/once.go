package desk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	onceHeader   = "Idempotency-Key"
	replayHeader = "Idempotency-Replayed"

	maxOnceKey = 255
	// answeredLife is how long an answer is kept: whoever repeats a request does so within a day.
	answeredLife = 24 * time.Hour
	// underWayLife is longer than any request takes, and short for whoever waits for one whose desk was killed.
	underWayLife = time.Minute
	onceWithin   = 2 * time.Second // for Redis to note what was answered
)

// Answers remember what was answered to requests with a key of their own, by whichever desk. Calls may overlap.
type Answers interface {
	// Begin notes a request, unless something is noted under its key: that it returns.
	Begin(ctx context.Context, key string, note []byte, life time.Duration) (found []byte, err error)
	Finish(ctx context.Context, key string, note []byte, life time.Duration) error
	Forget(ctx context.Context, key string) error
}

// note is what is kept of a request, and of its answer when there is one.
type note struct {
	Request string `json:"request"`          // hash of method, path, query and body
	Status  int    `json:"status,omitempty"` // 0: it is under way
	Type    string `json:"type,omitempty"`
	Body    []byte `json:"body,omitempty"`
}

// serving answers a request of somebody who may send it.
type serving = func(http.ResponseWriter, *http.Request, Principal)

// once carries a request out once that has a key: when it comes again, it is answered again. Keys are each principal's own.
func (a *api) once(serve serving) serving {
	return func(w http.ResponseWriter, r *http.Request, who Principal) {
		text := r.Header.Get(onceHeader)
		if len(r.Header.Values(onceHeader)) == 0 || a.cfg.Answers == nil {
			serve(w, r, who)
			return
		}
		odd := func(c rune) bool { return c < ' ' || c > '~' }
		if text == "" || len(text) > maxOnceKey || strings.ContainsFunc(text, odd) {
			newProblem(kindMalformed, onceHeader+": want 1 to 255 printable ASCII characters").write(w)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
		if err != nil {
			newProblem(kindTooLarge, "reading the body: "+err.Error()).write(w)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		key := digestOf(who.Name, text)
		this := note{Request: digestOf(r.Method, r.URL.RequestURI(), string(body), r.Header.Get("If-Match"))}
		found, err := a.cfg.Answers.Begin(r.Context(), key, this.bytes(), underWayLife)
		switch {
		case err != nil:
			newProblem(kindUnavailable, "nothing was done: "+err.Error()).write(w)
		case found != nil:
			this.again(w, found)
		default:
			a.carryOut(w, r, who, serve, key, this)
		}
	}
}

// again answers a request that has come before.
func (n *note) again(w http.ResponseWriter, found []byte) {
	var before note
	switch err := json.Unmarshal(found, &before); {
	case err != nil:
		newProblem(kindInconsistent, "what was answered cannot be read: "+err.Error()).write(w)
	case before.Request != n.Request:
		newProblem(kindKeyReused, "the "+onceHeader+" was sent with another request: make a new one for each").write(w)
	case before.Status == 0:
		w.Header().Set("Retry-After", "1")
		newProblem(kindUnderWay, "the request with this "+onceHeader+" is under way: ask again in a second").write(w)
	default:
		w.Header().Set("Content-Type", before.Type)
		w.Header().Set(replayHeader, "true")
		w.WriteHeader(before.Status)
		_, _ = w.Write(before.Body) // JSON of an earlier answer; and the client may have gone
	}
}

// carryOut serves a request, and notes what it was answered. What may succeed when it is sent again is forgotten.
func (a *api) carryOut(
	w http.ResponseWriter, r *http.Request, who Principal, serve serving, key string, this note,
) {
	kept := &keeping{ResponseWriter: w, status: http.StatusOK}
	serve(kept, r, who)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), onceWithin)
	defer cancel()
	var err error
	switch {
	case kept.status >= http.StatusInternalServerError, kept.status == http.StatusTooManyRequests,
		kept.status == http.StatusUnauthorized, kept.status == http.StatusForbidden:
		err = a.cfg.Answers.Forget(ctx, key)
	default:
		this.Status, this.Type, this.Body = kept.status, w.Header().Get("Content-Type"), kept.body.Bytes()
		err = a.cfg.Answers.Finish(ctx, key, this.bytes(), answeredLife)
	}
	if err != nil {
		a.cfg.Log.Warn("a request that comes again would not be recognised", "who", who.Name, "error", err)
	}
}

func (n *note) bytes() []byte {
	text, _ := json.Marshal(n) //nolint:errchkjson // texts and a number
	return text
}

// digestOf is one of some texts, which cannot be confused with others.
func digestOf(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		sum := sha256.Sum256([]byte(text))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// keeping keeps an answer while it is sent.
type keeping struct {
	http.ResponseWriter

	status int
	body   bytes.Buffer
}

func (k *keeping) WriteHeader(status int) {
	k.status = status
	k.ResponseWriter.WriteHeader(status)
}

func (k *keeping) Write(b []byte) (int, error) {
	k.body.Write(b)
	return k.ResponseWriter.Write(b)
}
