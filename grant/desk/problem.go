package desk

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Problem is an error as RFC 9457 describes it.
type Problem struct { //nolint:errname // that is its name in the RFC
	Type   string `json:"type"` // always about:blank: the status says it all
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // for people: what is wrong, and what to do
}

func newProblem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func (p *Problem) Error() string { return p.Detail }

// problemOf says what an error means to a client.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	status := http.StatusServiceUnavailable // what else can go wrong is that Redis or Kafka does not answer
	switch {
	case errors.Is(err, grant.ErrRefused):
		status = http.StatusConflict
	case errors.Is(err, ledger.ErrInconsistent):
		status = http.StatusInternalServerError
	}
	return newProblem(status, err.Error())
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	switch p.Status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, "application/problem+json", p.Status, p)
}

func writeJSON(w http.ResponseWriter, kind string, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		newProblem(http.StatusInternalServerError, err.Error()).write(w)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have gone
}
