package grant

import (
	"reflect"
	"time"
)

// HistoryEntry is one entry of the audit trail: an order, what it changed, or that it was refused.
type HistoryEntry struct {
	At      time.Time `json:"at"` // by the clock of Redis
	Action  Action    `json:"action"`
	Who     string    `json:"who"`
	Via     string    `json:"via"`
	Why     string    `json:"why,omitempty"`
	Before  *Control  `json:"before,omitempty"`
	After   *Control  `json:"after,omitempty"`
	Refused string    `json:"refused,omitempty"` // why nothing was done; empty: it was done
	Acted   *Acted    `json:"acted,omitempty"`   // of ActionAct and ActionTake: what was done about users; and of proposals
	Purged  []Purged  `json:"purged,omitempty"`  // of ActionPurge
}

// Purged is what was removed of one class of records: the digest shows of an export that was kept that it has them.
type Purged struct {
	Class   string `json:"class"`
	Records int64  `json:"records"`
	Digest  string `json:"digest"` // hex of a SHA-256
}

// Acted sums up what one command or request did about single users. Who they are is in the journals alone. Of takes it
// counts items, and the request is the run that their entries name.
type Acted struct {
	Request   string  `json:"request"` // the ID of the acts
	Kind      ActKind `json:"kind"`
	Users     int     `json:"users"`
	Done      int     `json:"done"`
	Unchanged int     `json:"unchanged"`
	Refused   int     `json:"refused"`
	Untried   int     `json:"untried"`         // an error ended it before
	Topic     string  `json:"topic,omitempty"` // of takes: that they are read from; nothing is counted then
}

// Unchanged reports whether an order was carried out and there was nothing for it to change.
func (a *HistoryEntry) Unchanged() bool {
	if a.Refused != "" || a.Before == nil || a.After == nil || a.Action.Noted() {
		return false
	}
	before, after := *a.Before, *a.After
	before.Version, before.Resumed, before.Abort = after.Version, after.Resumed, after.Abort
	return reflect.DeepEqual(before, after)
}
