package desk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
)

const (
	pathList = "/api/v1/checks/{item}"

	maxList      = 1 << 20      // users
	maxListBytes = 48 * maxList // as lines: UUIDs in the longest of their forms have 46
	listStep     = 1 << 16      // users that are answered at once
	listsAtOnce  = 4            // each takes up to 20 MB

	kindLines  = "text/plain"
	kindBinary = "application/octet-stream"
)

// checkList answers about one item and many users. The answer is sent when all of it is known: so it is whole or an error, and a
// client may send everything before it reads.
func (a *api) checkList(w http.ResponseWriter, r *http.Request, who Principal) {
	select {
	case a.lists <- struct{}{}:
		defer func() { <-a.lists }()
	default:
		a.gate.refuse(w, r, who, refuse(kindBusy, "too many lists at once: wait for those that are under way"))
		return
	}
	q, err := query(r, who, "")
	q.Item = r.PathValue("item")
	var many *entitle.Many
	if err == nil {
		many, err = a.checks.Many(r.Context(), q)
	}
	var answer []byte
	if err == nil {
		answer, err = a.answerList(r, many, http.MaxBytesReader(w, r.Body, maxListBytes))
	}
	if err != nil {
		a.cannotCheck(w, err)
		return
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	h := w.Header()
	h["Content-Type"], h[basisHeader] = []string{kind}, headerBases[many.Basis()]
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer) // states, of a type that no browser renders; and the client may have gone
}

// answerList reads users, and answers each by a line or a byte.
func (a *api) answerList(r *http.Request, many *entitle.Many, body io.Reader) ([]byte, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	next, write := lineUsers(body, many), appendLine
	if kind == kindBinary {
		next, write = binaryUsers(body, many), appendCode
	}
	users, states := make([]grant.UserID, 0, listStep), make([]grant.State, listStep)
	var answer []byte
	for total := 0; ; {
		var err error
		users, err = next(users[:0])
		if err != nil {
			return nil, listProblem(err)
		}
		if len(users) == 0 {
			return answer, nil
		}
		if total += len(users); total > maxList {
			return nil, newProblem(kindTooLarge, fmt.Sprintf("the list has more than %d users: send several lists", maxList))
		}
		if err := many.Check(r.Context(), users, states[:len(users)]); err != nil {
			return nil, err
		}
		for _, state := range states[:len(users)] {
			answer = write(answer, state)
		}
		a.metrics.Listed.WithLabelValues(string(many.Basis())).Add(float64(len(users)))
	}
}

func listProblem(err error) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return newProblem(kindTooLarge, fmt.Sprintf("the list has more than %d bytes: send several lists", large.Limit))
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return newProblem(kindMalformed, "reading the list: "+err.Error())
}

// lineUsers reads a user ID from each line, some at a time; none: there are no more.
func lineUsers(body io.Reader, many *entitle.Many) func([]grant.UserID) ([]grant.UserID, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), 64<<10)
	number := 0
	return func(into []grant.UserID) ([]grant.UserID, error) {
		for len(into) < listStep && lines.Scan() {
			number++
			id, err := many.Read(lines.Bytes())
			if err != nil {
				return nil, newProblem(kindMalformed, fmt.Sprintf("line %d: %s", number, cut(err.Error(), 300)))
			}
			into = append(into, id)
		}
		return into, lines.Err()
	}
}

// binaryUsers reads 8 bytes of each user ID, which is a number, the most significant first.
func binaryUsers(body io.Reader, many *entitle.Many) func([]grant.UserID) ([]grant.UserID, error) {
	const size = 8
	buf := make([]byte, listStep*size)
	return func(into []grant.UserID) ([]grant.UserID, error) {
		n, err := io.ReadFull(body, buf)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) && n%size == 0, errors.Is(err, io.EOF):
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("it ends with %d bytes of a user: each has %d", n%size, size)
		case err != nil:
			return nil, err
		}
		for at := 0; at < n; at += size {
			id := binary.BigEndian.Uint64(buf[at:])
			if id > grant.MaxUserID {
				return nil, fmt.Errorf("user %d: want at most %d", id, grant.MaxUserID)
			}
			into = append(into, grant.NumberID(id))
		}
		if len(into) > 0 && !many.Reads(into[0]) { // then they read no number
			return nil, errors.New("users of this item are no numbers: send lines, as text/plain")
		}
		return into, nil
	}
}

// appendLine writes a state as a line.
func appendLine(b []byte, state grant.State) []byte { return append(append(b, state...), '\n') }

// appendCode writes a state as a byte: its place in entitle.States.
func appendCode(b []byte, state grant.State) []byte { return append(b, stateCodes[state]) }

var stateCodes = func() map[grant.State]byte {
	all := map[grant.State]byte{}
	for i, state := range entitle.States() {
		all[state] = byte(i)
	}
	return all
}()

// wantsType is what a request with a body must say that it is.
func wantsType(pattern string) []string {
	if pattern == "POST "+pathList {
		return []string{kindLines, kindBinary}
	}
	if takesFile(pattern) {
		return []string{fileType, formType}
	}
	if searchArea.has(pattern) || claimsArea.has(pattern) {
		return []string{formType} // what other sites can send, too: where it comes from is asked before
	}
	return []string{"application/json"}
}

func rightType(r *http.Request) (want []string, ok bool) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	want = wantsType(r.Pattern)
	if kind == "" && r.ContentLength == 0 && r.Pattern == "POST "+pathList { // an empty list is one of lines
		r.Header.Set("Content-Type", kindLines)
		return want, true
	}
	return want, slices.Contains(want, kind)
}
