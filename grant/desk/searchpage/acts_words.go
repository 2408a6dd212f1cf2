package searchpage

import (
	"fmt"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/text"
)

func (t *words) do(kind grant.ActKind) string {
	switch kind {
	case grant.ActHand:
		return t.in("Grant by hand", "수동 지급")
	case grant.ActExclude:
		return t.in("Exclude", "제외")
	case grant.ActRevoke:
		return t.in("Revoke", "회수")
	case grant.ActReinstate:
		return t.in("Reinstate", "복원")
	case grant.ActExtend:
		return t.in("Change the end", "종료일 변경")
	case grant.ActMove:
		return t.in("Move to another account", "다른 계정으로 이전")
	case grant.ActRecall:
		return t.in("Recall the offer", "제공 철회")
	case grant.ActNote:
		return t.in("Add a note", "메모 추가")
	case grant.ActErase:
		return t.in("Erase reasons and notes", "사유·메모 삭제")
	}
	return string(kind)
}

func (t *words) mayDo(campaign string) string {
	return fmt.Sprintf(t.in("What to do, %s", "처리 – %s"), campaign)
}

func (t *words) yes(kind grant.ActKind, two bool) string {
	if two {
		return t.in("Propose it to a second person", "두 번째 담당자에게 승인 요청")
	}
	return t.in("Yes: ", "확인: ") + t.do(kind)
}

func (t *words) revocation(kind grant.RevocationKind) string {
	switch kind {
	case grant.RevokedMistake:
		return t.in("mistake", "착오")
	case grant.RevokedFraud:
		return t.in("fraud", "부정 사용")
	case grant.RevokedRequest:
		return t.in("the user’s request", "사용자 요청")
	case grant.RevokedErased:
		return t.in("erased", "삭제됨")
	}
	return string(kind)
}

func (t *words) sinceWhen(zone *time.Location) string {
	return fmt.Sprintf(t.in("Since when (%s); empty: now", "적용 시각(%s, 비우면 지금)"), zoneName(zone))
}

func (t *words) untilWhen(zone *time.Location) string {
	return fmt.Sprintf(t.in("The new end (%s)", "새 종료 시각(%s)"), zoneName(zone))
}

// zoneName is a zone's name or, where a spec gives none, its distance from UTC.
func zoneName(zone *time.Location) string {
	if name := zone.String(); name != "" && name != "Local" {
		return name
	}
	return time.Now().In(zone).Format("UTC-07:00")
}

// happensThen says what an act does, in sentences.
func (t *words) happensThen(a *Act) []string {
	user, campaign := t.user(a.User), a.Campaign.Name
	item := a.Fields[FieldItem]
	if item == "" {
		item = t.in("every item", "모든 아이템")
	}
	at := t.lang.Moment(a.At.In(a.zone()))
	var out []string
	say := func(en, ko string, args ...any) {
		out = append(out, text.Particles(fmt.Sprintf(t.in(en, ko), args...)))
	}
	switch a.Kind {
	case grant.ActHand:
		say("%s is granted %s now: %s.", "%s에게 %s 혜택을 지금 지급합니다: %s.", user, campaign, itemsOf(a.Campaign))
		say("The time that items are held counts from now.", "사용 기간은 지금부터 계산합니다.")
	case grant.ActExclude:
		say("%s never gets %s: runs withhold it, whatever the topic says.",
			"%s에게는 %s 혜택을 지급하지 않습니다. 토픽에 있어도 지급되지 않습니다.", user, campaign)
	case grant.ActRevoke:
		when := t.in("now", "지금")
		if !a.At.IsZero() {
			when = at
		}
		say(
			"%s loses %s (%s), from %s on: %s.",
			"%s의 %s 혜택(%s)을 회수합니다. 적용: %s, 종류: %s.",
			user,
			campaign,
			itemsOf(a.Campaign),
			when,
			t.revocation(grant.RevocationKind(a.Fields[FieldRevocation])),
		)
		say("No replay of the topic grants it again; only reinstating does.", "토픽을 다시 읽어도 지급되지 않으며, 복원해야만 되돌아옵니다.")
	case grant.ActReinstate:
		if a.Now != nil && !a.Now.Granted {
			say("%s is excluded no more, and is granted %s now.", "%s의 제외를 해제하고 %s 혜택을 지금 지급합니다.", user, campaign)
			break
		}
		say("%s has %s again, with the first dates.", "%s의 %s 혜택을 처음 날짜 그대로 복원합니다.", user, campaign)
	case grant.ActExtend:
		say("%s of %s in %s ends at %s.", "%[2]s의 %[3]s 혜택 중 %[1]s의 종료 시각을 %[4]s(으)로 바꿉니다.", item, user, campaign, at)
		if !a.At.After(a.View.Now) {
			say("That has passed: the user loses it at once.", "이미 지난 시각이므로 바로 만료됩니다.")
		}
	case grant.ActMove:
		say("%s loses %s, and %s gets it, with the same dates.", "%s의 %s 혜택을 %s에게 같은 날짜로 이전합니다.",
			user, campaign, t.userInside(a.To))
	case grant.ActRecall:
		say(
			"%s of %s that %s has not taken is offered no more.",
			"%[3]s이(가) 아직 받지 않은 %[2]s의 %[1]s 제공을 철회합니다.",
			item,
			campaign,
			t.userInside(a.User),
		)
	case grant.ActNote:
		say("Whoever looks %s up sees the note. It changes nothing.",
			"%s을(를) 조회하는 상담원이 메모를 봅니다. 혜택은 바뀌지 않습니다.",
			t.userInside(a.User))
	case grant.ActErase:
		out = append(out, t.erases()...)
	}
	if a.TakesTwo {
		say("It takes two people: it is proposed, and done when somebody else approves it.",
			"두 사람이 필요합니다. 승인 요청만 하고, 다른 담당자가 승인하면 실행됩니다.")
	}
	return out
}

func (t *words) erased(at, who string) string {
	return text.Particles(fmt.Sprintf(t.in("%s, reasons and notes erased by %s:", "%s, %s이(가) 사유와 메모 삭제:"), at, who))
}

// erases says what an erasure takes away, and what it leaves.
func (t *words) erases() []string {
	return []string{
		t.in("Every reason, kind of revocation and note about this user alone goes for good, in the journal and the "+
			"audit trail, and so do samples of rejected records that mean the user.",
			"이 사용자에 관한 모든 사유, 회수 종류, 메모와 이 사용자를 가리키는 거부 레코드 예시를 원장과 감사 기록에서 영구히 삭제합니다."),
		t.in("What the user has, had and lost stays, with the times and who acted: nobody is granted again.",
			"지급·회수 여부와 시각, 처리한 사람은 남습니다. 다시 지급되는 일은 없습니다."),
	}
}

func itemsOf(c *grant.Campaign) string {
	names := make([]string, len(c.Items))
	for i := range c.Items {
		names[i] = c.Items[i].ID
	}
	return strings.Join(names, ", ")
}

// Did says that an act was done.
func Did(l lookup.Lang, kind grant.ActKind) string {
	t := (&View{Lang: l}).words()
	return fmt.Sprintf(t.in("Done: %s.", "완료: %s."), t.do(kind))
}

// NotDone says why an act was not done.
func NotDone(l lookup.Lang, detail string) string {
	return (&View{Lang: l}).words().in("Nothing was done: "+detail, "아무것도 실행하지 않았습니다: "+detail)
}

// ConfirmAgain says that what was confirmed is not what came.
func ConfirmAgain(l lookup.Lang) string {
	return (&View{Lang: l}).words().
		in("Nothing was done yet: look at this, and confirm it.", "아직 실행하지 않았습니다. 내용을 확인한 뒤 다시 확인을 눌러 주세요.")
}

// Decided says what became of a decision.
func Decided(l lookup.Lang, p *grant.Proposal) string {
	t := (&View{Lang: l}).words()
	if p.Result != nil {
		return fmt.Sprintf(t.in("Approved and done: %s of %s users.", "승인하고 실행했습니다: %[2]s명 중 %[1]s명."),
			t.lang.Number(int64(p.Result.Done)), t.lang.Number(int64(p.Result.Users)))
	}
	return t.in("Rejected: nothing is done.", "거절했습니다. 실행하지 않습니다.")
}

func (t *words) waitingTitle() string {
	return t.in("Waiting for a second person", "두 번째 담당자의 승인 대기")
}

func (t *words) proposedBy(who, at string) string {
	return fmt.Sprintf(t.in("Proposed by %s, %s:", "요청: %s, %s:"), who, at)
}

func (t *words) expected(p *grant.Proposal) string {
	return fmt.Sprintf(
		t.in("When it was proposed, it would have been done to %s of %s users.", "요청 당시 예상: %[2]s명 중 %[1]s명에게 실행."),
		t.lang.Number(int64(p.Expected["done"])),
		t.lang.Number(int64(p.Users)),
	)
}

// details are what an act says beside its kind.
func (t *words) details(a *grant.Act, moment func(time.Time) string) string {
	var out []string
	if a.Revocation != "" {
		out = append(out, t.revocation(a.Revocation))
	}
	if a.Item != "" {
		out = append(out, a.Item)
	}
	for _, at := range []time.Time{a.Effective, a.Until} {
		if !at.IsZero() {
			out = append(out, moment(at))
		}
	}
	return strings.Join(out, ", ")
}

func (t *words) decideUntil(at string) string {
	return fmt.Sprintf(t.in("It can be approved until %s.", "%s까지 승인할 수 있습니다."), at)
}

func (t *words) approve(users int) string {
	return fmt.Sprintf(t.in("Approve, and do it to %s now", "승인하고 지금 실행(%s)"), t.users(users))
}
