package claims

import (
	"errors"
	"fmt"
	"time"
)

// WindowKind is what may be handed in while a window is open.
type WindowKind string

// The kinds of windows.
const (
	ReportWindow    WindowKind = "report"
	DocumentsWindow WindowKind = "documents"
	ObjectionWindow WindowKind = "objection"
)

// Window is a time in which something may be handed in. Its first moment belongs to it. Its end is kept as the first moment
// that does not: a window until 23:59:59 closes at 24:00, because whoever reads the one expects the other.
type Window struct {
	Name   string     `json:"name"`
	Kind   WindowKind `json:"kind"`
	Opens  time.Time  `json:"opens"`
	Closes time.Time  `json:"closes"`
}

// Phase is where a window is at a moment.
type Phase string

// The phases of a window.
const (
	Coming Phase = "to come"
	Open   Phase = "open"
	Closed Phase = "closed"
)

// Phase says where a window is at a moment.
func (w *Window) Phase(at time.Time) Phase {
	switch {
	case at.Before(w.Opens):
		return Coming
	case at.Before(w.Closes):
		return Open
	default:
		return Closed
	}
}

// Amendment extends a window. It is recorded beside the programme, whose hash it does not touch.
type Amendment struct {
	Window string    `json:"window"`
	Old    time.Time `json:"old"` // when it would have closed
	New    time.Time `json:"new"`
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Why    string    `json:"why"`
}

// ErrNoExtension means that an amendment does not extend a window of the programme as it is.
var ErrNoExtension = errors.New("not an extension")

// Amended returns the windows with all amendments, in their order. A window is never shortened, and an amendment must know
// when the window would have closed: two people who extend it at once do not undo each other's work unseen.
func (p *Programme) Amended(amendments []Amendment) ([]Window, error) {
	windows := append([]Window(nil), p.Windows...)
	for _, a := range amendments {
		at := -1
		for i := range windows {
			if windows[i].Name == a.Window {
				at = i
			}
		}
		switch {
		case at < 0:
			return nil, Refuse(ErrNoExtension, "%s has no window %q", p.Name, a.Window)
		case !windows[at].Closes.Equal(a.Old):
			return nil, Refuse(ErrNoExtension, "window %s closes at %s, and the amendment says %s: "+
				"read it again, somebody else may have extended it", a.Window, p.Format(windows[at].Closes), p.Format(a.Old))
		case !a.New.After(a.Old):
			return nil, Refuse(ErrNoExtension, "window %s closes at %s, and %s is not later: a window is never shortened",
				a.Window, p.Format(a.Old), p.Format(a.New))
		case a.Who == "" || a.Why == "":
			return nil, Refuse(ErrNoExtension, "say who extends window %s, and why", a.Window)
		}
		for _, o := range windows {
			if o.Kind == windows[at].Kind && o.Name != a.Window && o.Opens.Before(a.New) && windows[at].Opens.Before(o.Closes) {
				return nil, Refuse(ErrNoExtension, "until %s window %s would overlap with %s, which opens at %s and is "+
					"of the same kind: extend %s", p.Format(a.New), a.Window, o.Name, p.Format(o.Opens), o.Name)
			}
		}
		windows[at].Closes = a.New
	}
	return windows, nil
}

// Open returns the window of a kind that is open at a moment. When none is, it returns false, and in words what the owner is to
// be told.
func (p *Programme) Open(windows []Window, kind WindowKind, at time.Time) (open Window, why string, ok bool) {
	var last Window
	for _, w := range windows {
		switch {
		case w.Kind != kind:
		case !at.Before(w.Opens) && at.Before(w.Closes):
			return w, "", true
		case !at.Before(w.Closes) && w.Closes.After(last.Closes):
			last = w
		}
	}
	next, later := Next(windows, kind, at)
	switch {
	case later:
		return Window{}, "it opens at " + p.Format(next.Opens), false
	case last.Name != "":
		return Window{}, "it closed at " + p.Format(last.Closes), false
	default:
		return Window{}, fmt.Sprintf("the programme has no window of kind %s", kind), false
	}
}

// Next returns the first window of a kind that opens after a moment.
func Next(windows []Window, kind WindowKind, at time.Time) (next Window, ok bool) {
	for _, w := range windows {
		if w.Kind == kind && at.Before(w.Opens) && (!ok || w.Opens.Before(next.Opens)) {
			next, ok = w, true
		}
	}
	return next, ok
}

// AfterLast reads the last second that is in time, as the programme's file says it, and returns the first moment that is not.
func (p *Programme) AfterLast(until string) (time.Time, error) {
	const seconds, minutes = "2006-01-02T15:04:05", "2006-01-02T15:04"
	form := seconds
	if len(until) == len(minutes) { // browsers leave out seconds that are 0
		form = minutes
	}
	t, err := time.ParseInLocation(form, until, p.Zone)
	if err != nil || t.Format(form) != until {
		return t, fmt.Errorf("%q is not a time of %s: write the last second that is in time, as in 2023-04-14T23:59:59", until,
			p.Zone)
	}
	return t.Add(time.Second), nil
}

// Format shows a moment in the programme's zone.
func (p *Programme) Format(t time.Time) string { return t.In(p.Zone).Format("2006-01-02 15:04:05 MST") }
