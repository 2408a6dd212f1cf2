package lookup

import (
	"cmp"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// acts fills in what people did about the user.
func (a *Answer) acts(u *ledger.User) {
	if len(u.State.Acts) > 0 {
		a.State = &u.State
	}
	if u.Settled != nil {
		a.By = u.Settled.Act
	}
}

// ofActs is the reason that what people did about the user gives; nil: it takes nothing away.
func ofActs(a *Answer) *Reason {
	s := a.State
	switch {
	case !a.Granted && a.By != nil:
		return excluded(a.By)
	case s == nil:
		return nil
	case s.MovedTo != nil:
		return moved(*s.MovedTo)
	case s.Revoked != nil:
		return revoked(s.Revoked, a.Zone())
	}
	return nil
}

func excluded(by *grant.Act) *Reason {
	return &Reason{
		Code: Excluded,
		Says: say("This user is excluded from the campaign.", "이 사용자는 캠페인 대상에서 제외되었습니다."),
		Next: say("Read the reason; if it does not apply, an operator can end it (granter reinstate), which grants at once.",
			"사유를 확인하세요. 사유가 맞지 않으면 운영자가 제외를 해제할 수 있으며(granter reinstate) 즉시 지급됩니다."),
		Detail: by.Who + ": " + why(by.Reason),
	}
}

// why is a reason, or that it was erased.
func why(reason string) string { return cmp.Or(reason, "(erased)") }

var revocationWords = map[grant.RevocationKind]Text{
	grant.RevokedMistake: {"by mistake granted", "착오 지급"},
	grant.RevokedFraud:   {"fraud", "부정 이용"},
	grant.RevokedRequest: {"at the user's request", "사용자 요청"},
	grant.RevokedErased:  {"why was erased", "사유 삭제됨"},
}

func revoked(r *grant.Revocation, zone *time.Location) *Reason {
	return &Reason{
		Code: Revoked,
		Says: say("The grant is revoked from %s on (%s).", "지급이 %s부터 회수되었습니다(%s).", r.Since.In(zone), revocationWords[r.Kind]),
		Next: say("Read the reason; if it does not apply, an operator can reinstate the grant, with its first dates.",
			"사유를 확인하세요. 사유가 맞지 않으면 운영자가 최초 기한 그대로 복원할 수 있습니다."),
		Detail: r.Who + ": " + why(r.Reason),
	}
}

func moved(to grant.UserID) *Reason {
	id := to.String()
	return &Reason{
		Code: Moved,
		Says: say("The grant was moved to the account %s.", "지급 내역이 계정 %s(으)로 이전되었습니다.", id),
		Next: say("Look at that account.", "해당 계정을 조회하세요."),
	}
}

func recalled(a *Answer, e *Entitlement) Reason {
	r := Reason{
		Code: Recalled, Item: e.ID,
		Says: say("The item %s was offered, and the offer was recalled before this user took it.",
			"%s 항목은 사용자가 받기 전에 제공이 철회되었습니다.", e.ID),
		Next: say("Tell the customer that it is not offered any more.", "고객에게 더 이상 제공되지 않음을 안내하세요."),
	}
	if a.State != nil {
		said := cmp.Or(a.State.Recalled[e.ID], a.State.Recalled[""])
		r.Detail = said.Who + ": " + why(said.Reason)
	}
	return r
}
