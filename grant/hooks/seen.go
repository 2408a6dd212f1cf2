package hooks

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
)

// seen is what was told of a campaign.
type seen struct {
	Started bool                 `json:"started,omitempty"`
	Half    bool                 `json:"half,omitempty"`
	Ended   string               `json:"ended,omitempty"`  // which end
	Failed  map[string]bool      `json:"failed,omitempty"` // runs
	Since   map[string]time.Time `json:"since,omitempty"`  // holds and alerts: when they began; told after a while
	Told    map[string]time.Time `json:"told,omitempty"`   // when they were seen last, of those that were told
}

func (s *seen) init() {
	if s.Failed == nil {
		s.Failed = map[string]bool{}
	}
	if s.Since == nil {
		s.Since = map[string]time.Time{}
	}
	if s.Told == nil {
		s.Told = map[string]time.Time{}
	}
}

const (
	// settle is how long something lasts before it is told, where it may pass by itself.
	settle = 15 * time.Second
	// quiet is how long something that was told has to be gone before it is over: what comes and goes is told once.
	quiet = time.Minute
)

// outlook is a campaign at a moment.
type outlook struct {
	*status.Status

	campaign *grant.Campaign
	lost     int // replicas
	now      time.Time
}

// first makes what was there before anybody watched be no news: of a campaign that is over nothing is told.
func first(o *outlook) *seen {
	s := new(seen)
	s.init()
	if o.Live() > 0 {
		return s
	}
	for i := range o.Runs {
		if o.Runs[i].State == grant.RunFailed {
			s.Failed[o.Runs[i].Run.String()] = true
		}
	}
	if end := o.end(); end != "" {
		s.Started, s.Half, s.Ended = true, true, end
	}
	return s
}

// learn compares an outlook with what was seen, and returns what is new.
func (s *seen) learn(o *outlook) []Event {
	var out []Event
	say := func(kind Kind, id, en, ko string, changes ...func(*Event)) {
		e := Event{
			ID: o.Campaign + "/" + string(kind) + id, Kind: kind, At: o.now.UTC(), Campaign: o.Campaign, Title: o.Title,
			Message: o.Campaign + ": " + en, MessageKo: o.Campaign + ": " + ko, Phase: o.Phase, Granted: o.Granted,
			Expected: o.Expected, Lag: o.ToGo(),
		}
		for _, change := range changes {
			change(&e)
		}
		out = append(out, e)
	}
	if !s.Started && o.grants() {
		s.Started = true
		say(KindStart, "", "it has started to grant", "지급을 시작했습니다")
	}
	for i := range o.Runs {
		r := &o.Runs[i]
		if run := r.Run.String(); r.State == grant.RunFailed && !s.Failed[run] {
			s.Failed[run] = true
			say(KindFailure, "/"+run, "run "+run+" on "+r.Host+" failed: "+r.Error,
				text.Particles(r.Host+"의 실행 "+run+"이(가)")+" 실패했습니다: "+r.Error,
				func(e *Event) { e.Run, e.Detail = run, r.Error })
		}
	}
	s.standing(o, say)
	if s.Started && !s.Half && o.Percentage >= 50 {
		s.Half = true
		say(KindHalf, "", fmt.Sprintf("half is done: %s users are granted", text.Number(o.Granted)),
			fmt.Sprintf("절반을 넘었습니다: %s명 지급", text.Number(o.Granted)))
	}
	if end := o.end(); end != s.Ended {
		if s.Ended = end; end != "" {
			en, ko := o.endWords()
			say(KindEnd, "/"+end, en, ko)
		}
	}
	return out
}

// standing tells of what lasts: holds and alerts. One that comes and goes is told once.
func (s *seen) standing(o *outlook, say func(Kind, string, string, string, ...func(*Event))) {
	now := map[string]bool{}
	note := func(kind Kind, cause, en, ko, detail string, after time.Duration) {
		key := string(kind) + "/" + cause
		now[key] = true
		if s.Since[key].IsZero() {
			s.Since[key] = o.now
		}
		if _, told := s.Told[key]; !told && o.now.Sub(s.Since[key]) >= after {
			say(kind, fmt.Sprintf("/%s/%d", cause, s.Since[key].UnixMilli()), en, ko,
				func(e *Event) { e.Cause, e.Detail = cause, detail })
			s.Told[key] = o.now
		}
	}
	for i := range o.Holds {
		h := &o.Holds[i]
		if h.Cause == grant.CauseSchedule || h.Cause == grant.CauseFinished {
			continue // that is how it is meant to be
		}
		after := settle
		if h.Cause.Stops() || h.Cause == grant.CauseThrottle {
			after = 0
		}
		en, ko := "it is slowed down", "지급이 느려졌습니다"
		if h.Cause.Stops() {
			en, ko = "it stands", "지급이 멈췄습니다"
		}
		why := " (" + string(h.Cause) + "): " + h.Detail
		note(KindHold, string(h.Cause), en+why, ko+why, h.Detail, after)
	}
	for _, a := range o.alerts() {
		note(KindAlert, a.cause, a.en, a.ko, a.detail, a.after)
	}
	for key, since := range s.Since {
		last, told := s.Told[key]
		switch {
		case now[key] && told:
			if o.now.Sub(last) > quiet/4 { // not each time: it is written to Redis
				s.Told[key] = o.now
			}
		case now[key]:
		case !told:
			delete(s.Since, key)
		case o.now.Sub(last) > quiet:
			delete(s.Since, key)
			delete(s.Told, key)
			if cause, ok := strings.CutPrefix(key, string(KindHold)+"/"); ok {
				say(KindReleased, fmt.Sprintf("/%s/%d", cause, since.UnixMilli()), "it goes on: "+cause+" is over",
					"다시 진행합니다: "+cause+" 해제", func(e *Event) { e.Cause = cause })
			}
		}
	}
}

// grants reports whether a run for everybody is at work.
func (o *outlook) grants() bool {
	for i := range o.Runs {
		r := &o.Runs[i]
		granting := r.Live && r.State == grant.RunRunning || r.State == grant.RunFinished
		if r.Pass == "" && granting && o.Phase != status.PhaseWaiting {
			return true
		}
	}
	return false
}

// end names the end of the campaign: the same one however often it is looked at. Empty: it goes on.
func (o *outlook) end() string {
	if o.Live() > 0 && o.Phase != status.PhaseAborted && o.Phase != status.PhaseFinished {
		return ""
	}
	switch o.Phase {
	case status.PhaseAborted:
		return "aborted/" + strconv.FormatInt(o.Control.AbortedBy.At.UnixMilli(), 10)
	case status.PhaseFinished, status.PhaseEnded:
		return string(o.Phase)
	default:
		return ""
	}
}

func (o *outlook) endWords() (en, ko string) {
	n := text.Number(o.Granted)
	switch o.Phase {
	case status.PhaseAborted:
		return "it was aborted; " + n + " users are granted", "중단되었습니다. " + n + "명 지급"
	case status.PhaseEnded:
		return "its time is over; " + n + " users are granted", "기간이 끝났습니다. " + n + "명 지급"
	default:
		return "it is finished: " + n + " users are granted", "완료되었습니다: " + n + "명 지급"
	}
}
