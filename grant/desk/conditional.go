package desk

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// versioned is an answer with a version of its own, which an order can be made conditional on.
type versioned interface{ version() int64 }

// tagOf is the strong ETag of an answer: its version or, without one, what identifies its bytes.
func tagOf(v any, text []byte) string {
	if v, ok := v.(versioned); ok {
		return strconv.Quote(strconv.FormatInt(v.version(), 10))
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf(`"%x"`, sum[:12])
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
