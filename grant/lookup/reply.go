package lookup

import (
	"strings"
	"time"

	"github.com/granter/granter/grant"
)

// Reply is what to write to the customer about one campaign: what they have, and until when; or that they have it not yet, or
// will not have it. It says nothing of runs, topics and operators.
func (a *Answer) Reply(l Lang) string {
	var lines []string
	add := func(t Text) { lines = append(lines, t.In(l)) }
	name := a.Title
	if name == "" {
		name = a.Campaign
	}
	switch {
	case !a.Known:
		add(say("We cannot look up “%s” for your account right now. Please allow us some time; we will write again.",
			"현재 “%s” 지급 내역을 확인할 수 없습니다. 확인되는 대로 다시 안내해 드리겠습니다.", name))
	case a.Granted && a.Lost() != "":
		add(say("“%s” is no longer on your account.", "“%s” 혜택은 현재 고객님 계정에 없습니다.", name))
		add(customer(&a.Reasons[0]))
	case a.Granted:
		add(say("“%s” was added to your account on %s.", "“%s” 혜택은 %s에 지급되었습니다.", name, *a.GrantedAt))
		for i := range a.Entitlements {
			add(say("- %s: %s", "- %s: %s", a.Entitlements[i].ID, Standing(&a.Entitlements[i])))
		}
	case len(a.Reasons) == 0:
		add(say("“%s” has not been added to your account.", "“%s” 혜택은 아직 지급되지 않았습니다.", name))
	default:
		add(say("“%s” has not been added to your account.", "“%s” 혜택은 아직 지급되지 않았습니다.", name))
		add(customer(&a.Reasons[0]))
	}
	return strings.Join(lines, "\n")
}

// Standing says how an item stands, to whoever has it or not.
func Standing(e *Entitlement) Text {
	switch e.State {
	case grant.StateOffered:
		if e.TakeUntil != nil {
			return say("waiting to be taken, before %s", "아직 받지 않음, %s 전까지 받을 수 있음", *e.TakeUntil)
		}
		return say("waiting to be taken", "아직 받지 않음")
	case grant.StateLapsed:
		return say("not taken in time (until %s)", "기한(%s) 안에 받지 않음", *e.TakeUntil)
	case grant.StateExhausted:
		return say("all gone before it was taken", "수량 소진")
	case grant.StateRevoked:
		return say("taken back", "회수됨")
	case grant.StateRecalled:
		return say("not offered any more", "제공 철회됨")
	case grant.StateExpired:
		if day, ok := e.lastDay(); ok {
			return say("expired at %s", "%s에 만료됨", dayEnd(day))
		}
		if e.ExpiresAt != nil {
			return say("expired on %s", "%s에 만료됨", *e.ExpiresAt)
		}
	case grant.StateActive:
		if day, ok := e.lastDay(); ok {
			return say("valid until %s", "%s까지 사용 가능", dayEnd(day))
		}
		if e.ExpiresAt != nil {
			return say("valid until %s", "%s까지 사용 가능", *e.ExpiresAt)
		}
		return say("yours without an end", "기간 제한 없음")
	}
	return say("%s", "%s", string(e.State))
}

func dayEnd(in time.Time) Text { return Text{EN: English.DayEnd(in), KO: Korean.DayEnd(in)} }

// lastDay is the last second of the last day on which the item is held, where its validity ends with one.
func (e *Entitlement) lastDay() (time.Time, bool) {
	if e.LastDay == "" || e.ExpiresAt == nil {
		return time.Time{}, false
	}
	return e.ExpiresAt.Add(-time.Second), true
}

// customer says a reason to the customer.
func customer(r *Reason) Text {
	switch r.Code {
	case NotStarted, Postponed:
		return say("It begins on %s.", "%s부터 지급됩니다.", *r.When)
	case Preflight, Paused, Held, Throttled, NobodyRuns, OnlyCanary, InLag, TopicReplaced, LedgerUnavailable, LedgerInconsistent,
		StatusUnknown:
		if r.When != nil {
			return say("It is being given out step by step, and should reach everybody by about %s.",
				"순차적으로 지급 중이며 %s쯤 완료될 예정입니다.", *r.When)
		}
		return say("It is being given out step by step. Please allow us some time.",
			"순차적으로 지급 중입니다. 조금만 기다려 주세요.")
	case Ended, Finished, Aborted:
		return say("It is not being given out any more. We have passed your case on and will write again.",
			"현재 지급이 종료된 상태입니다. 담당 부서에 전달하여 다시 안내해 드리겠습니다.")
	case Moved:
		return say("It was moved to another account at your request.", "요청에 따라 다른 계정으로 이전되었습니다.")
	case Revoked, Excluded:
		return say("We have passed your case on and will write again with the reason.",
			"담당 부서에 전달하여 사유를 확인한 뒤 다시 안내해 드리겠습니다.")
	case Recalled:
		return say("It is not offered any more.", "더 이상 제공되지 않습니다.")
	case OutsidePopulation, NeverInTopic, NotFound, Rejected, Unexplained, NotTakenYet, NotTakenInTime, QuotaExhausted:
	}
	return say("We are checking whether your account is among those it is for, and will write again.",
		"지급 대상 여부를 확인하여 다시 안내해 드리겠습니다.")
}

// Lost is why a user who was granted the campaign has it no longer, or will not; empty: nothing of the kind.
func (a *Answer) Lost() Code {
	for i := range a.Reasons {
		if c := a.Reasons[i].Code; c == Revoked || c == Moved {
			return c
		}
	}
	return ""
}
