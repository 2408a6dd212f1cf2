package notices

import (
	"fmt"
	"strings"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// subjects and leads are the first words of each notice.
var subjects = map[store.NoticeKind]struct{ subject, lead tell.Text }{
	store.NoticeReceived: {tell.Text{KO: "피해 지원 신청을 접수했습니다", EN: "We have your claim"}, tell.Text{
		KO: "신청을 접수했습니다. 사업자 정보와 계좌를 확인한 뒤 결과를 알려 드립니다.", EN: "We have your claim. We check the business and the account, " +
			"and then tell you the result."}},
	store.NoticeMissing: {tell.Text{KO: "서류가 필요합니다", EN: "We need documents"}, tell.Text{
		KO: "신청하신 손실은 서류를 확인해야 합니다. 아래 서류를 보내 주세요.", EN: "For a loss like yours we need documents. Please send these:"}},
	store.NoticeAsked: {tell.Text{KO: "확인할 것이 있습니다", EN: "We have a question"}, tell.Text{
		KO: "신청에 대해 여쭙니다.", EN: "We have a question about your claim."}},
	store.NoticeApproved: {tell.Text{KO: "지급하기로 결정했습니다", EN: "We have decided to pay"}, tell.Text{
		KO: "신청하신 피해에 대해 지급하기로 결정했습니다.", EN: "We have decided to pay for your loss."}},
	store.NoticeDeclined: {tell.Text{KO: "지급하지 않기로 결정했습니다", EN: "We have decided not to pay"}, tell.Text{
		KO: "신청하신 피해에 대해 지급하지 않기로 결정했습니다.", EN: "We have decided not to pay for your loss."}},
	store.NoticePaid: {tell.Text{KO: "지급했습니다", EN: "You have been paid"}, tell.Text{
		KO: "은행이 지급을 마쳤습니다.", EN: "The bank has paid."}},
	store.NoticeReturned: {
		tell.Text{KO: "지급하지 못했습니다. 계좌를 확인해 주세요", EN: "The bank could not pay: please check the account"},
		tell.Text{
			KO: "은행이 돈을 보내지 못했습니다. 계좌를 확인하고, 다르면 바꿔 주세요.", EN: "The bank could not pay. Please check the account, and " +
				"change it if it is wrong."},
	},
	store.NoticeAccount: {tell.Text{KO: "받을 계좌가 바뀌었습니다", EN: "The account of your claim was changed"}, tell.Text{
		KO: "돈을 받을 계좌가 바뀌었습니다. 새 계좌는 하루 동안 보류합니다. 직접 바꾸지 않았다면 바로 연락해 주세요.",
		EN: "The account that the money goes to was changed. The new one is held for a day. If it was not you, contact us " +
			"at once."}},
	store.NoticeObjection: {tell.Text{KO: "이의를 심사했습니다", EN: "Your objection was decided"}, tell.Text{
		KO: "이의를 심사한 결과를 알려 드립니다.", EN: "This is what became of your objection."}},
	store.NoticeWithdrawn: {tell.Text{KO: "취소했습니다", EN: "It is withdrawn"}, tell.Text{
		KO: "요청하신 대로 취소했습니다.", EN: "It is withdrawn, as you asked."}},
	store.NoticeDeadline: {tell.Text{KO: "서류 제출 기한이 곧 끝납니다", EN: "Documents are due soon"}, tell.Text{
		KO: "아직 받지 못한 서류가 있습니다.", EN: "We have not received these documents yet:"}},
	store.NoticeReported: {tell.Text{KO: "피해 지원을 신청할 수 있습니다", EN: "You can claim for the loss that you reported"}, tell.Text{
		KO: "피해를 신고하셨지만, 아직 지원을 신청하지 않으셨습니다. 신고만으로는 지급되지 않습니다.",
		EN: "You reported a loss, and have not claimed for it. A report alone is not paid."}},
}

// render puts a notice into the owner's words. It holds no code and no account number: messages are read by others, too.
func (s *Sender) render(n *store.Notice, c *store.Claim, history []store.Entry, p *store.Person) (*Message, error) {
	l := tell.Parse(p.Language)
	words, ok := subjects[n.Kind]
	if !ok {
		return nil, fmt.Errorf("%w: there are no words for a notice of kind %s", ErrRefused, n.Kind)
	}
	t := func(ko, en string) string { return tell.Text{KO: ko, EN: en}.In(l) }
	lines := []string{words.lead.In(l), ""}
	switch n.Kind {
	case store.NoticeMissing, store.NoticeDeadline:
		lines = append(lines, s.missing(l, c)...)
	case store.NoticeAsked:
		lines = append(lines, last(history, claims.Ask).Reason, "")
	case store.NoticeApproved, store.NoticeDeclined, store.NoticeObjection:
		lines = append(lines, s.decided(l, c, history)...)
	case store.NoticePaid:
		if pay := last(history, claims.Settle).Change.Payment; pay != nil {
			lines = append(lines, t("받은 금액: ", "What you got: ")+l.Won(pay.Amount), "")
			if pay.Amount != pay.Gross {
				lines = append(lines, t("세금을 떼기 전: ", "Before tax: ")+l.Won(pay.Gross), "")
			}
		}
	case store.NoticeReceived, store.NoticeReturned, store.NoticeAccount, store.NoticeWithdrawn, store.NoticeReported:
	}
	lines = append(lines, t("접수번호: ", "Claim number: ")+n.Claim)
	if s.Public != "" {
		lines = append(lines, t("내 신청 보기: ", "See your claim: ")+strings.TrimSuffix(s.Public, "/")+"/enter"+
			t(" (접수번호와 비밀 코드로)", " (by its number and your secret code)"))
	}
	if s.Contact != "" {
		lines = append(lines, t("문의: ", "Help: ")+s.Contact)
	}
	return &Message{
		ID: n.ID, Claim: n.Claim, Kind: n.Kind, Language: l, Name: p.Business, Phone: p.Phone, Email: p.Email,
		Subject: "[" + s.Programme.Title + "] " + words.subject.In(l), Text: strings.Join(lines, "\n") + "\n",
	}, nil
}

func (s *Sender) missing(l tell.Lang, c *store.Claim) []string {
	var out []string
	if c.Proposal != nil {
		for _, kind := range c.Missing(c.Proposal) {
			name, _ := tell.Document(kind)
			out = append(out, "- "+name.In(l))
		}
	}
	for i := range s.windows {
		if w := &s.windows[i]; w.Kind == claims.DocumentsWindow && s.now().Before(w.Closes) {
			return append(
				out,
				tell.Text{KO: "기한: {until}", EN: "Until: {until}"}.Fill(l, "{until}", l.Until(w.Closes, s.Programme.Zone)),
				"",
			)
		}
	}
	return append(out, "")
}

// decided says what was decided, and why: the rules' computation, or the words of whoever decided.
func (s *Sender) decided(l tell.Lang, c *store.Claim, history []store.Entry) []string {
	t := func(ko, en string) string { return tell.Text{KO: ko, EN: en}.In(l) }
	var out []string
	e := last(history, claims.Approve, claims.Decline, claims.Uphold, claims.PartlyUphold, claims.Reject)
	switch e.Action {
	case claims.Uphold, claims.PartlyUphold, claims.Reject:
		out = append(out, tell.State(e.To).In(l))
	default:
	}
	if c.Owed > 0 {
		out = append(out, t("금액: ", "Amount: ")+l.Won(c.Owed))
	}
	if c.Declined != "" {
		out = append(out, tell.Reason(c.Declined).In(l))
	}
	if e.By.Duty != claims.Rules && e.Reason != "" {
		out = append(out, tell.Says(e.By.Duty).In(l)+e.Reason)
	}
	if lines, err := tell.Why(l, s.Programme, &c.Facts); err == nil { // or else it could not have been decided
		out = append(out, "", t("계산", "How it was computed"))
		for _, line := range lines {
			out = append(out, "- "+line.What+": "+line.How+" → "+line.Result)
		}
	}
	for i := range s.windows {
		if w := &s.windows[i]; w.Kind == claims.ObjectionWindow && s.now().Before(w.Closes) && c.Declined != "" {
			out = append(
				out,
				"",
				tell.Text{KO: "{until}까지 이의를 제기할 수 있습니다.", EN: "You can object until {until}."}.Fill(l, "{until}",
					l.Until(w.Closes, s.Programme.Zone)),
			)
		}
	}
	return append(out, "")
}
