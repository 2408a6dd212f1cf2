package hooks

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

// Kind is what an event says.
type Kind string

// The kinds of events.
const (
	KindStart    Kind = "start"    // the first run grants
	KindHold     Kind = "hold"     // something slows or stops the campaign
	KindReleased Kind = "released" // it does no longer
	KindHalf     Kind = "half"     // half of all users are granted
	KindEnd      Kind = "end"      // it is finished or aborted, or its time is over
	KindFailure  Kind = "failure"  // a run ended with an error
	KindAlert    Kind = "alert"    // somebody should look at it
	KindTest     Kind = "test"     // somebody wants to know whether hooks work
)

// Kinds are all kinds that hooks can be for.
func Kinds() []Kind {
	return []Kind{KindStart, KindHold, KindReleased, KindHalf, KindEnd, KindFailure, KindAlert}
}

// Event is one thing that happened. It has no user in it.
type Event struct {
	ID        string       `json:"id"` // follows from what happened: the same, however often it is told
	Kind      Kind         `json:"kind"`
	At        time.Time    `json:"at"` // when it was seen
	Campaign  string       `json:"campaign"`
	Title     string       `json:"title"`
	Message   string       `json:"message"`    // one sentence
	MessageKo string       `json:"message_ko"` // the same, in Korean
	Phase     status.Phase `json:"phase"`
	Granted   int64        `json:"granted"`
	Expected  int64        `json:"expected,omitempty"`
	Lag       int64        `json:"lag"`              // records that are left
	Cause     string       `json:"cause,omitempty"`  // of a hold or an alert
	Detail    string       `json:"detail,omitempty"` // for operators: what was measured, the error of the run
	Run       string       `json:"run,omitempty"`    // of a failure
}

// fields are the texts of an event by name, for templates and for the environment of programs.
func (e *Event) fields() map[string]string {
	return map[string]string{
		"id": e.ID, "kind": string(e.Kind), "at": e.At.Format(time.RFC3339), "campaign": e.Campaign, "title": e.Title,
		"message": e.Message, "message_ko": e.MessageKo, "phase": string(e.Phase), "granted": strconv.FormatInt(e.Granted, 10),
		"expected": strconv.FormatInt(e.Expected, 10), "lag": strconv.FormatInt(e.Lag, 10), "cause": e.Cause, "detail": e.Detail,
		"run": e.Run,
	}
}

// cloudEvent is an event in the structured form of CloudEvents 1.0.
func (e *Event) cloudEvent() ([]byte, error) {
	return json.Marshal(struct {
		SpecVersion string    `json:"specversion"`
		Type        string    `json:"type"`
		Source      string    `json:"source"`
		ID          string    `json:"id"`
		Time        time.Time `json:"time"`
		ContentType string    `json:"datacontenttype"`
		Data        *Event    `json:"data"`
	}{"1.0", "granter.run." + string(e.Kind), "/granter/campaigns/" + e.Campaign, e.ID, e.At, "application/json", e})
}

// Test is an event by which somebody tries hooks.
func Test(c *grant.Campaign, now time.Time) Event {
	return Event{
		ID: c.Name + "/test/" + strconv.FormatInt(now.UnixMilli(), 10), Kind: KindTest, At: now.UTC(),
		Campaign: c.Name, Title: c.Title,
		Message: c.Name + ": this is a test of its hooks", MessageKo: c.Name + ": 훅 시험입니다", Phase: status.PhaseUnknown,
	}
}
