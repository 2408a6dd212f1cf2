package desk

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/granter/granter/grant/lookup"
)

// versioned is an answer with a version of its own, which an order can be made conditional on.
type versioned interface{ version() int64 }

// tagOf is the strong ETag of an answer: its version or, without one, what identifies its bytes. That of an answer about one
// user begins with what an act is conditional on: the rest changes with the time, too, such as what has expired.
func tagOf(v any, text []byte) string {
	if v, ok := v.(versioned); ok {
		return strconv.Quote(strconv.FormatInt(v.version(), 10))
	}
	sum := sha256.Sum256(text)
	if a, ok := v.(lookup.Answer); ok && a.Seen != "" {
		return fmt.Sprintf(`"%s.%x"`, base64.RawURLEncoding.EncodeToString([]byte(a.Seen)), sum[:12])
	}
	return fmt.Sprintf(`"%x"`, sum[:12])
}

// ifSeen reads If-Match of an act: what was seen of the user when it was thought of. Empty: it holds in any case.
func ifSeen(r *http.Request) (string, error) {
	tags := r.Header.Values("If-Match")
	if len(tags) == 0 || len(tags) == 1 && strings.TrimSpace(tags[0]) == "*" {
		return "", nil
	}
	if len(tags) == 1 {
		text, notQuoted := strconv.Unquote(strings.TrimSpace(tags[0]))
		text, _, whole := strings.Cut(text, ".")
		if seen, err := base64.RawURLEncoding.DecodeString(text); notQuoted == nil && whole && err == nil && len(seen) > 0 {
			return string(seen), nil
		}
	}
	return "", newProblem(kindChanged, "If-Match: no user has this ETag, want that of GET "+
		"/api/v1/campaigns/CAMPAIGN/users/ID; nothing was done")
}

// writeTagged answers a GET. Whoever has the answer already is told so. Browsers keep none, since it may be about people: who
// asks again remembers it.
func writeTagged(w http.ResponseWriter, r *http.Request, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		newProblem(kindInternal, err.Error()).write(w)
		return
	}
	tag := tagOf(v, text)
	h := w.Header()
	h.Set("ETag", tag)
	if has(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(text) // the client may have gone
}

// has reports whether a list of tags, as in If-None-Match, has one: there weak ones count like strong ones.
func has(lists []string, tag string) bool {
	for _, list := range lists {
		for one := range strings.SplitSeq(list, ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// ifVersion reads If-Match of an order: the version of what was in force when it was thought of. Nil: it holds in any case.
func ifVersion(r *http.Request) (*int64, error) {
	tags := r.Header.Values("If-Match")
	if len(tags) == 0 || len(tags) == 1 && strings.TrimSpace(tags[0]) == "*" {
		return nil, nil
	}
	if len(tags) == 1 {
		text, err := strconv.Unquote(strings.TrimSpace(tags[0]))
		if version, wrong := strconv.ParseInt(text, 10, 64); err == nil && wrong == nil && version >= 0 {
			return &version, nil
		}
	}
	return nil, newProblem(kindChanged, "If-Match: no orders have this ETag, want one such as \"7\"; nothing was ordered")
}
