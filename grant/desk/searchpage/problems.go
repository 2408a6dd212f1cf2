package searchpage

import (
	"maps"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/lookup"
)

// NeedsReason is what Problem knows of more users than are looked up without a reason.
const NeedsReason = "needs_reason"

// problems say in Korean what went wrong, by the kind of the problem. In English the detail says it.
var problems = map[string]string{ //nolint:gosec // these are no credentials
	NeedsReason:           "한 번에 20명을 넘게 조회하려면 사유가 필요합니다. 사유를 입력하세요. 접근 기록에 남습니다.",
	"no_token":            "로그인이 필요합니다.",
	"wrong_token":         "토큰이 올바르지 않습니다.",
	"unknown_certificate": "인증서를 확인할 수 없습니다.",
	"session_ended":       "로그인이 만료되었습니다. 다시 로그인하세요.",
	"no_role":             "이 데스크를 이용할 권한이 없습니다.",
	"sign_in":             "로그인을 마치지 못했습니다. 처음부터 다시 시도하세요.",
	"provider":            "로그인 서버가 응답하지 않습니다. 잠시 후 다시 시도하세요.",
	"right":               "이 작업을 할 권한이 없습니다.",
	"campaign_right":      "이 캠페인에 대한 권한이 없습니다.",
	"cross_origin":        "다른 사이트에서 온 요청은 처리하지 않습니다.",
	"content_type":        "이 형식의 요청은 처리하지 않습니다.",
	"rate_limit":          "요청이 너무 많습니다. 잠시 후 다시 시도하세요.",
	"busy":                "처리 중인 요청이 너무 많습니다. 잠시 후 다시 시도하세요.",
	"listeners":           "열어 둔 화면이 너무 많습니다. 일부를 닫고 다시 시도하세요.",
	"full":                "이용자가 너무 많습니다. 잠시 후 다시 시도하세요.",
	"campaign":            "그런 캠페인이 없습니다.",
	"malformed":           "입력 형식이 올바르지 않습니다.",
	"too_large":           "너무 커서 처리할 수 없습니다.",
	"invalid_order":       "입력 내용을 확인하세요.",
	"refused":             "현재 상태에서는 할 수 없습니다.",
	"changed":             "조회한 뒤 다른 담당자가 변경했습니다. 다시 조회하세요.",
	"over_limit":          "이 캠페인의 사용자 ID보다 큰 값입니다. ID를 확인하세요.",
	"not_taken":           "받을 수 없는 상태입니다.",
	"other_topic":         "토픽이 예전 것과 다릅니다. 운영자에게 전달하세요.",
	"not_found":           "찾을 수 없습니다.",
	"unknown_item":        "그런 아이템이 없습니다.",
	"no_receipts":         "이 캠페인의 증명서가 없습니다.",
	"not_in_report":       "마지막 감사 때에는 지급되지 않은 사용자입니다.",
	"key_reused":          "같은 요청 키가 다른 요청에 쓰였습니다.",
	"under_way":           "같은 요청을 처리하고 있습니다. 잠시 후 확인하세요.",
	"method_not_allowed":  "이 주소에서는 할 수 없는 요청입니다.",
	"inconsistent":        "원장의 내용이 서로 맞지 않습니다. 엔지니어에게 전달하세요(granter status --prove).",
	"internal":            "데스크 내부 오류입니다. 엔지니어에게 전달하세요.",
	"unavailable":         "서버가 응답하지 않습니다. 잠시 후 다시 시도하세요.",
	"invalid_claim":       "신청 내용에 고칠 것이 있습니다.",
	"id_taken":            "같은 번호의 다른 신청이 이미 있습니다.",
	"business_claimed":    "이 사업자의 신청이 이미 있습니다.",
}

// Problems are what pages say in Korean of each kind of problem.
func Problems() map[string]string { return maps.Clone(problems) }

// Problem says what went wrong, in the language of the page; english is the detail, where that is in another one.
func Problem(l lookup.Lang, kind, detail string) (says, english string) {
	if says, ok := problems[kind]; ok && l == lookup.Korean {
		return says, detail
	}
	return detail, ""
}

// problem is what the page begins with, if there is something.
func (v *View) problem() g.Node {
	return g.If(v.Problem != "", h.P(h.ID("problem"), h.Class("error"), h.Role("alert"), v.says()))
}

func (v *View) says() g.Node {
	if v.English == "" {
		return g.Text(v.Problem)
	}
	return g.Group{g.Text(v.Problem + " "), h.Span(h.Class("note"), h.Lang("en"), g.Text(v.English))}
}
