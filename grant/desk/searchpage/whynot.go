package searchpage

import (
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
)

// whyNots say in Korean why an act is not done to a user. In English the error itself says more.
var whyNots = map[grant.WhyNot]string{
	grant.WhyGranted:      "이미 지급된 사용자입니다.",
	grant.WhyNotGranted:   "지급된 적이 없는 사용자입니다. 지급하려면 수동 지급을 이용하세요.",
	grant.WhyExcluded:     "캠페인 대상에서 제외된 사용자입니다. 복원하면 제외가 해제되고 지급됩니다.",
	grant.WhyRevoked:      "지급이 회수된 사용자입니다. 먼저 복원하세요.",
	grant.WhyNotRevoked:   "회수된 상태가 아닙니다.",
	grant.WhyMoved:        "다른 계정으로 이전된 지급입니다. 그 계정을 조회하세요.",
	grant.WhyAsItIs:       "이미 요청한 상태입니다.",
	grant.WhyChanged:      "조회한 뒤 다른 담당자가 이 사용자를 처리했습니다. 다시 조회한 다음 결정하세요.",
	grant.WhyUnreadable:   "읽을 수 없는 줄입니다. 사용자 ID와 열을 확인하세요.",
	grant.WhySameAccount:  "같은 계정입니다.",
	grant.WhyTaken:        "이미 받은 아이템은 이전할 수 없습니다. 여기서 회수하고 다른 계정에 수동으로 지급하세요.",
	grant.WhyOtherAccount: "받을 계정의 상태로는 이전할 수 없습니다. 그 계정을 조회하세요.",
	grant.WhyNothing:      "삭제할 사유나 메모가 없습니다.",
	grant.WhyUnderWay:     "이 사용자에 관한 승인 요청이나 이전이 끝나지 않았습니다. 먼저 마무리하세요.",
}

// WhyNot says why an act is not done to a user, in the language of the page where there is a text.
func WhyNot(l lookup.Lang, code grant.WhyNot, detail string) string {
	if says, ok := whyNots[code]; ok && l == lookup.Korean {
		return says
	}
	return detail
}

// whyNot is that, with what the error says behind it where that is in another language.
func (t *words) whyNot(code grant.WhyNot, detail string) g.Node {
	says := WhyNot(t.lang, code, detail)
	switch {
	case t.lang == lookup.English || detail == "":
		return g.Text(says)
	case says == detail:
		return h.Span(h.Lang("en"), g.Text(detail))
	}
	return g.Group{g.Text(says + " "), h.Span(h.Class("note"), h.Lang("en"), g.Text(detail))}
}
