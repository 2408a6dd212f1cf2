package grant

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Action is what somebody did.
type Action string

// The actions. Those from ActionStartEarly on are no orders, which change the Control: they are recorded, and that is all.
const (
	ActionPause      Action = "pause"
	ActionResume     Action = "resume"
	ActionThrottle   Action = "throttle"
	ActionAbort      Action = "abort"
	ActionFinish     Action = "finish"
	ActionPostpone   Action = "postpone"
	ActionStartEarly Action = "start-early" // run --now before starts_at
	ActionForce      Action = "force"       // run --force although preflight failed
	ActionNewTopic   Action = "new-topic"   // run --new-topic began anew at the first record of a topic
	ActionExpire     Action = "expire"      // an order came to its end; by nobody, see Control.Expired
	ActionReplay     Action = "replay"      // rejected records were repaired and replayed
	ActionAct        Action = "act"         // something was done about single users: see HistoryEntry.Acted
	ActionPropose    Action = "propose"     // acts about users were proposed that take a second person
	ActionApprove    Action = "approve"     // such acts were approved by one
	ActionReject     Action = "reject"      // or not
	ActionExport     Action = "export"      // the ledger was copied to a file
	ActionImport     Action = "import"      // the ledger was made of such a file
	ActionRebuild    Action = "rebuild"     // the ledger was made again of the topic
	ActionReconcile  Action = "reconcile"   // users whom an audit missed were granted by hand
	ActionTake       Action = "take"        // somebody had users take items, or reads a topic of takes: see HistoryEntry.Acted
	ActionPurge      Action = "purge"       // classes of records are removed: see HistoryEntry.Purged
)

// Notes are the actions that are recorded, and change nothing that replicas obey.
func Notes() []Action {
	return []Action{
		ActionStartEarly, ActionForce, ActionNewTopic, ActionExpire, ActionReplay, ActionAct, ActionExport, ActionImport,
		ActionRebuild, ActionReconcile, ActionTake, ActionPropose, ActionApprove, ActionReject, ActionPurge,
	}
}

// unordered are the notes that no order makes.
var unordered = []Action{ActionExpire, ActionAct, ActionTake, ActionPropose, ActionApprove, ActionReject, ActionPurge}

// Noted reports whether an action is one of Notes.
func (a Action) Noted() bool { return slices.Contains(Notes(), a) }

// Order is what an operator wants. Its zero value orders nothing.
type Order struct {
	Action   Action     `json:"action"`
	Throttle int64      `json:"throttle,omitempty"`  // ActionThrottle: users per second; 0 lifts the limit
	StartsAt *time.Time `json:"starts_at,omitempty"` // ActionPostpone: the new start; nil goes back to the spec's
	// For is how long an ActionPause or ActionThrottle holds, by the clock of Redis; 0: until another order. One that comes
	// later replaces it, its end included.
	For time.Duration `json:"for,omitempty"`

	Ends  Offsets `json:"ends,omitempty"` // ActionFinish: where each partition ends
	Topic TopicID `json:"topic,omitzero"` // ActionFinish: what those offsets count in
	Who   string  `json:"who"`            // a person, or the name of a token
	Via   string  `json:"via"`            // how it came: "cli" or "api"
	If    *int64  `json:"if,omitempty"`   // the version of the control that it is for; nil: whatever is in force
	Why   string  `json:"why"`
}

// ErrRefused means that an order cannot be carried out as things are. Nothing was changed.
var ErrRefused = errors.New("refused")

// ErrChanged means that an order was refused because others have been given since the version that it is for.
var ErrChanged = fmt.Errorf("%w: something else was ordered meanwhile", ErrRefused)

// ErrUserChanged means that an act was refused because of another one since its sender looked at the user.
var ErrUserChanged = fmt.Errorf("%w: somebody did something about the user since you looked", ErrRefused)

const (
	// MaxWhy is how long a reason may be, in characters: in every language it is as long.
	MaxWhy = 500

	minFor = time.Second
	maxFor = 366 * 24 * time.Hour
)

// Validate reports what is wrong with an order in itself.
func (o *Order) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch o.Action {
	case ActionPause, ActionResume, ActionAbort, ActionFinish, ActionPostpone:
	case ActionThrottle:
		if o.Throttle < 0 {
			wrong("throttle %d: want users per second, or 0 for no limit", o.Throttle)
		}
	default:
		if o.Action.Noted() && !slices.Contains(unordered, o.Action) {
			break
		}
		wrong("action %q: want pause, resume, throttle, abort, finish or postpone", o.Action)
	}
	switch ends := o.Action == ActionPause || o.Action == ActionThrottle; {
	case o.For == 0:
	case !ends:
		wrong("%s for a time: only pause and throttle can end by themselves", o.Action)
	case o.Action == ActionThrottle && o.Throttle == 0:
		wrong("no limit for a time: the limit that is lifted does not come back, so order one without an end")
	case o.For < minFor || o.For > maxFor:
		wrong("for %s: want a time such as 30m or 2h, from %s to %d days", o.For, minFor, maxFor/(24*time.Hour))
	}
	if strings.TrimSpace(o.Who) == "" {
		wrong("who orders it is missing")
	}
	if err := ValidateWhy(o.Why); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ValidateWhy reports what is wrong with the reason that somebody gives for an order or an act.
func ValidateWhy(why string) error {
	switch {
	case strings.TrimSpace(why) == "":
		return errors.New("say why: the audit trail keeps it for those who ask tomorrow")
	case !utf8.ValidString(why), strings.ContainsRune(why, utf8.RuneError):
		return errors.New("the reason is no UTF-8, or was damaged on its way: a character of it is lost")
	case strings.ContainsFunc(why, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) }):
		return errors.New("the reason has a control character in it: leave it out")
	}
	if n := utf8.RuneCountInString(why); n > MaxWhy { // spaces too: they are stored
		return fmt.Errorf("the reason has %d characters: %d at most", n, MaxWhy)
	}
	return nil
}
