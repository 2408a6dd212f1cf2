package tell

import "github.com/granter/granter/grant/claims"

// State is what owners call the state of a claim.
func State(s claims.State) Text { return states[s].name }

// Next is what a state means for the owner, and what happens next.
func Next(s claims.State) Text { return states[s].next }

var states = map[claims.State]struct{ name, next Text }{
	claims.Draft: {Text{"작성 중", "Not handed in"}, Text{"아직 제출하지 않았습니다.", "You have not handed it in yet."}},
	claims.Received: {Text{"접수됨", "Received"}, Text{
		"사업자와 계좌를 확인한 뒤 결과를 알려 드립니다. 지금 하실 일은 없습니다.",
		"We check business and account, then tell you the result. You need to do nothing now."}},
	claims.Checking: {Text{"확인 중", "Being checked"}, Text{
		"사업자 정보, 계좌와 매출을 확인하고 있습니다. 지금 하실 일은 없습니다.",
		"We are checking the business, the account and the sales. You need to do nothing now."}},
	claims.DocumentsMissing: {Text{"서류 필요", "Documents needed"}, Text{
		"아래 서류를 보내 주셔야 계속할 수 있습니다.", "To go on we need the documents below."}},
	claims.Asked: {Text{"추가 확인 필요", "We have a question"}, Text{
		"담당자가 더 알아야 할 것이 있습니다. 아래 질문에 답해 주세요.", "We need to know more. Please answer the question below."}},
	claims.OnHold: {Text{"담당자 확인 중", "A person is looking at it"}, Text{
		"담당자가 직접 확인하고 있습니다. 거절된 것은 아닙니다. 지금 하실 일은 없습니다.",
		"A person is looking at your claim. It has not been declined. You need to do nothing now."}},
	claims.InReview: {Text{"심사 중", "Being reviewed"}, Text{
		"심사 담당자가 금액을 결정합니다. 지금 하실 일은 없습니다.", "People decide on the amount. You need to do nothing now."}},
	claims.BeforeCouncil: {Text{"심의위원회 심의 중", "Before the council"}, Text{
		"소비자, 소상공인, 학계 위원들이 함께 결정합니다. 위원은 이름과 연락처를 보지 않습니다. 지금 하실 일은 없습니다.",
		"A council decides together. Its members do not see your name or how to reach you. You need to do nothing now."}},
	claims.Approved: {Text{"지급 결정", "Approved"}, Text{
		"지급하기로 결정했습니다. 다음 지급 때 아래 계좌로 보내 드립니다.", "We have decided to pay. The money goes to your account with the next " +
			"payment run."}},
	claims.SecondLook: {Text{"지급 결정, 마지막 확인 중", "Approved, and looked at once more"}, Text{
		"지급하기로 결정했고, 무작위로 뽑혀 다른 담당자가 한 번 더 확인하고 있습니다. 지금 하실 일은 없습니다.",
		"We have decided to pay. Chance has somebody else look at the decision once more. You need to do nothing now."}},
	claims.Declined: {Text{"지급하지 않음", "Declined"}, Text{
		"지급하지 않기로 결정했습니다. 이유는 아래에 있습니다.", "We have decided not to pay. The reason is below."}},
	claims.Withdrawn: {Text{"취소함", "Withdrawn"}, Text{
		"신청을 취소하셨습니다. 접수 기간 안에는 다시 신청할 수 있습니다.", "You have withdrawn the claim. You can claim again while claims are taken."}},
	claims.PaymentSent: {Text{"은행에 지급 요청함", "Sent to the bank"}, Text{
		"은행에 지급을 요청했습니다. 은행이 처리하면 알려 드립니다.", "The bank has our order. We tell you when it has paid."}},
	claims.PaymentReturned: {Text{"지급되지 않고 돌아옴", "The payment came back"}, Text{
		"은행이 돈을 보내지 못했습니다. 계좌를 확인하고, 다르면 바꿔 주세요.", "The bank could not pay. Check the account, and change it if it is wrong."}},
	claims.Paid:     {Text{"지급 완료", "Paid"}, Text{"은행이 지급을 마쳤습니다.", "The bank has paid."}},
	claims.Recouped: {Text{"반환됨", "Given back"}, Text{"지급한 금액이 반환되었습니다.", "What was paid has been given back."}},
	claims.Objected: {Text{"이의 심사 중", "Your objection is being reviewed"}, Text{
		"처음 결정한 사람이 아닌 다른 담당자가 다시 봅니다.", "Somebody else than the person who decided first looks at it again."}},
	claims.ObjectionBeforeCouncil: {Text{"이의를 심의위원회에서 다시 심의 중", "The council decides about your objection"}, Text{
		"처음 표결한 위원을 뺀 심의위원회가 다시 결정합니다.", "The council decides again, without those who voted before."}},
	claims.Upheld: {Text{"이의 받아들임", "Your objection was upheld"}, Text{
		"이의를 받아들였습니다. 다음 지급 때 차액을 보내 드립니다.", "We pay the difference with the next payment run."}},
	claims.PartlyUpheld: {Text{"이의 일부 받아들임", "Your objection was partly upheld"}, Text{
		"이의를 일부 받아들였습니다. 다음 지급 때 차액을 보내 드립니다.", "We pay the difference with the next payment run."}},
	claims.Rejected: {Text{"이의 받아들이지 않음", "Your objection was rejected"}, Text{
		"처음 결정이 그대로 유지됩니다.", "The first decision stands."}},
}

// Reason is why a claim was declined, as far as the rules say it.
func Reason(r claims.Reason) Text {
	if t, ok := reasons[r]; ok {
		return t
	}
	return reasons[claims.ReasonOther]
}

var reasons = map[claims.Reason]Text{
	claims.ReasonNoLoss: {"장애 주간의 매출이 평소 주간보다 적지 않아, 계산된 손실이 없습니다.",
		"The sales in the week of the outage were not lower than in a usual week: there is no loss."},
	claims.ReasonOpenedLater: {"장애가 시작되기 전에 개업한 사업자만 대상입니다.", "Only businesses that had opened before the outage can claim."},
	claims.ReasonClosed:      {"장애가 시작되기 전에 폐업한 사업자는 대상이 아닙니다.", "A business that had closed before the outage cannot claim."},
	claims.ReasonIndustry:    {"지원 대상에서 제외된 업종입니다.", "The industry is excluded."},
	claims.ReasonExcluded:    {"지원 대상에서 제외되었습니다.", "The business is excluded."},
	claims.ReasonTwice:       {"같은 사업자의 신청이 이미 있습니다.", "The business has claimed before."},
	claims.ReasonDocuments:   {"기한까지 서류가 오지 않았습니다.", "The documents did not come in time."},
	claims.ReasonOther:       {"담당자의 설명을 보세요.", "See what the person who decided says."},
}

// Document is what a document is called, and what it can be.
func Document(kind string) (name, help Text) {
	if d, ok := kinds[kind]; ok {
		return d.name, d.help
	}
	return Text{kind, kind}, Text{}
}

var kinds = map[string]struct{ name, help Text }{
	"small_business_confirmation": {Text{"소상공인 확인서", "Small-business confirmation"}, Text{
		"중소기업현황정보시스템(sminfo.mss.go.kr)에서 발급합니다.", "Issued by sminfo.mss.go.kr."}},
	"proof_of_sales_damage": {Text{"매출 피해를 보여 주는 자료", "Proof of the sales damage"}, Text{
		"매출 장부, 카드 매출 내역, 세금 신고 자료 등", "Account books, card sales, tax returns or the like"}},
	"proof_of_service_use": {Text{"서비스를 이용한 자료", "Proof that you used the service"}, Text{
		"이용 내역, 주문 화면, 정산 내역 등", "Records of use, screens with orders, settlements or the like"}},
	claims.RateEvidence: {Text{"영업이익률을 보여 주는 자료", "Proof of the operating profit rate"}, Text{
		"손익계산서, 종합소득세 신고서 등", "An income statement, an income tax return or the like"}},
	OtherDocument: {Text{"그 밖의 자료", "Something else"}, Text{"도움이 될 다른 자료", "Whatever else may help"}},
}

// OtherDocument is a document that nobody asked for.
const OtherDocument = "other"

// Industry is what a branch of business is called; one that the words do not know is called what the programme calls it.
func Industry(name string) Text {
	if t, ok := industries[name]; ok {
		return t
	}
	return Text{name, name}
}

// OtherIndustry is that of a business that is of none of the programme's industries.
const OtherIndustry = "other"

var industries = map[string]Text{
	"restaurants": {"음식점·카페", "Restaurants and cafés"}, "retail": {"소매·온라인 판매", "Retail and online sales"},
	"taxis": {"택시", "Taxis"}, "transport": {"운송·대리운전", "Transport and drivers"}, "beauty": {"미용", "Beauty"},
	"lodging": {"숙박", "Lodging"}, "education": {"교육·학원", "Education"}, "games": {"게임", "Games"},
	"gambling": {"사행성 업종", "Gambling"}, OtherIndustry: {"그 밖의 업종", "Something else"},
}

// Channel is how a claim came.
func Channel(name string) Text {
	if t, ok := channels[name]; ok {
		return t
	}
	return Text{name, name}
}

var channels = map[string]Text{
	"page": {"홈페이지", "this page"}, "file": {"일괄 접수", "a file"}, "phone": {"전화", "phone"}, "post": {"우편", "post"},
	"chat": {"챗봇", "chat"}, "topic": {"다른 시스템", "another system"}, "api": {"다른 시스템", "another system"},
	"staff": {"상담원이 대신 접수", "staff, for the owner"},
}
