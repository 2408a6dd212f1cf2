package owner

import (
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/questions"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// overview says where a claim is, what its owner must do, and what was decided and why.
func overview(v *visit) error {
	if v.claim == nil {
		v.see(v.nextPage("", true))
		return nil
	}
	c := v.claim
	history, err := v.Store.History(v.ctx(), c.ID)
	if err != nil {
		return err
	}
	person, err := v.Store.Person(v.ctx(), c.ID)
	if err != nil {
		return err
	}
	all, err := v.Store.Documents(v.ctx(), c.ID)
	if err != nil {
		return err
	}
	kept := store.Sent(all)
	title := tell.State(c.State).In(v.lang)
	return v.page(
		title,
		false,
		v.done(),
		h.P(h.Class("step"), g.Text(v.t("접수번호 ", "Claim ")+c.ID)),
		v.heading(title),
		h.P(g.Text(tell.Next(c.State).In(v.lang))),
		v.ahead(history, kept),
		v.decision(history),
		v.money(person),
		h.H2(g.Text(v.t("지금까지의 일", "What happened so far"))),
		v.events(history),
		h.H2(g.Text(v.t("신청한 내용", "What you claimed"))),
		v.claimed(person), v.reportedThen(person),
		h.H2(g.Text(v.t("할 수 있는 일", "What you can do"))),
		v.actions(),
		v.form(
			"/sign-out",
			h.Div(h.Class("actions"), h.Button(h.Type("submit"), h.Class("second"), g.Text(v.t("나가기", "Sign out")))),
		),
	)
}

// said are what can be said once after something was done, by the name in the address.
var said = map[string]tell.Text{
	"withdrawn": {KO: "취소했습니다.", EN: "It is withdrawn."},
	"account": {KO: "계좌를 바꿨습니다. 하루 뒤에 은행에 확인하고, 확인된 뒤에만 지급합니다. 예전 연락처로도 알립니다.",
		EN: "The account is changed. In a day we ask the bank about it, and pay only after that. We tell the contact that " +
			"we had, too."},
	"objection": {KO: "이의를 접수했습니다.", EN: "We have your objection."},
	"reply":     {KO: "답변을 받았습니다.", EN: "We have your answer."},
}

func (v *visit) done() g.Node {
	text, ok := said[v.r.URL.Query().Get("done")]
	if !ok {
		return nil
	}
	return h.Div(h.Class("box good"), h.Role("status"), h.P(g.Text(text.In(v.lang))))
}

// ahead is what the owner is waited for, and until when.
func (v *visit) ahead(history []store.Entry, kept []store.Kept) g.Node {
	switch c := v.claim; c.State {
	case claims.DocumentsMissing:
		missing := v.missing(kept)
		list := make(g.Group, 0, len(missing))
		for _, kind := range missing {
			name, help := tell.Document(kind)
			list = append(
				list,
				h.Li(
					h.Strong(g.Text(name.In(v.lang))),
					g.If(help.In(v.lang) != "", h.P(h.Class("note"), g.Text(help.In(v.lang)))),
				),
			)
		}
		if len(list) == 0 {
			return h.Div(h.Class("box"), h.P(g.Text(v.t("서류를 모두 받았습니다. 악성코드 검사가 끝나면 계속됩니다.",
				"We have all documents. It goes on when they have been checked for malware."))))
		}
		return h.Div(h.Class("box"), h.H2(g.Text(v.t("보내 주실 서류", "Please send"))), h.Ul(list), v.deadline(),
			h.P(h.A(h.Class("button"), h.Href("/claim/documents"), g.Text(v.t("서류 보내기", "Send documents")))))
	case claims.Asked:
		return h.Div(h.Class("box"), h.H2(g.Text(v.t("질문", "Our question"))), h.P(g.Text(lastReason(history, claims.Ask))),
			v.form("/claim/reply", questions.Input(v.lang, &replyField, "", ""),
				h.Div(h.Class("actions"), button(v.t("답변 보내기", "Send my answer")),
					v.link("/claim/documents", "서류도 보내기", "Send documents, too"))))
	default:
		return nil
	}
}

// missing are the documents that are asked for, not counting those in quarantine.
func (v *visit) missing(kept []store.Kept) []string {
	if v.claim.Proposal == nil {
		return nil
	}
	return slices.DeleteFunc(v.claim.Missing(v.claim.Proposal), func(kind string) bool {
		return slices.ContainsFunc(kept, func(k store.Kept) bool { return k.Kind == kind })
	})
}

// deadline says until when documents are taken.
func (v *visit) deadline() g.Node {
	p := v.Programme
	window, _, open := p.Open(v.windows, claims.DocumentsWindow, v.Now())
	if open {
		return h.P(
			h.Strong(g.Text(tell.Text{KO: "{until}까지 보내 주세요.", EN: "Please send them until {until}."}.Fill(v.lang, "{until}",
				v.lang.Until(window.Closes, p.Zone)))),
		)
	}
	return h.P(h.Strong(g.Text(v.lateDocuments())))
}

func (v *visit) lateDocuments() string {
	p := v.Programme
	if next, ok := claims.Next(v.windows, claims.DocumentsWindow, v.Now()); ok {
		return tell.Text{KO: "{from}부터 보낼 수 있습니다.", EN: "You can send them from {from} on."}.Fill(v.lang, "{from}",
			v.lang.Moment(next.Opens, p.Zone))
	}
	return v.t("서류를 보내는 기간이 끝났습니다. 고객센터에 연락해 주세요.", "Documents are not taken any more. Please contact the customer centre.")
}

var replyField = questions.Field{Name: "text", Kind: questions.Area, Label: tell.Text{KO: "답변", EN: "Your answer"}}

func lastReason(history []store.Entry, action claims.Action) string {
	for _, e := range slices.Backward(history) {
		if e.Action == action {
			return e.Reason
		}
	}
	return ""
}

// decision is what was decided, and the whole computation.
func (v *visit) decision(history []store.Entry) g.Node {
	c := v.claim
	if c.Proposal == nil {
		return nil
	}
	var head g.Group
	switch {
	case c.Declined != "":
		head = g.Group{h.P(g.Text(tell.Reason(c.Declined).In(v.lang)))}
	case c.Owed > 0:
		head = g.Group{h.P(h.Class("amount"), g.Text(v.lang.Won(c.Owed)))}
	}
	if why, by := lastDecision(history); len(head) > 0 && by != claims.Rules && why != "" {
		head = append(head, h.P(g.Text(tell.Says(by).In(v.lang)), h.Q(g.Text(why))))
	}
	lines, err := tell.Why(v.lang, v.Programme, &c.Facts)
	if err != nil {
		v.Log.Error("a claim cannot be computed again", "claim", c.ID, "error", err)
		return head
	}
	return g.Group{g.If(len(head) > 0, h.H2(g.Text(v.t("결정", "Decision")))), head,
		h.Details(g.If(len(head) > 0, g.Attr("open")), h.Summary(g.Text(v.t("왜 이 금액인가요?", "Why this amount?"))),
			h.Dl(g.Map(lines, func(l tell.Line) g.Node {
				return h.Div(
					h.Dt(g.Text(l.What)),
					h.Dd(h.Class("note"), g.Text(l.How)),
					h.Dd(h.Class("result"), g.Text(l.Result)),
				)
			})))}
}

func lastDecision(history []store.Entry) (why string, by claims.Duty) {
	for _, e := range slices.Backward(history) {
		switch e.Action {
		case claims.Approve, claims.Decline, claims.Uphold, claims.PartlyUphold, claims.Reject:
			return e.Reason, e.By.Duty
		default:
		}
	}
	return "", claims.Rules
}

// money is where it goes, and where it is.
func (v *visit) money(p *store.Person) g.Node {
	c := v.claim
	if p == nil || c.Owed == 0 && c.State.Final() {
		return nil
	}
	held := g.If(c.MovedAt != nil && c.Identity == nil, h.P(h.Class("note"), g.Text(v.t("새 계좌입니다. 확인될 때까지 지급하지 않습니다.",
		"This account is new. Nothing is paid until it is confirmed."))))
	problem := g.Iff(c.Identity != nil && c.Unconfirmed(c.Identity) != nil && c.State == claims.PaymentReturned, func() g.Node {
		return h.P(h.Strong(g.Text(v.t("이 계좌는 확인되지 않았습니다. 계좌를 다시 확인해 주세요.",
			"The bank does not confirm this account. Please check it."))))
	})
	return g.Group{h.H2(g.Text(v.t("받을 계좌", "Where the money goes"))),
		h.P(g.Text(questions.Bank(v.lang, p.Bank) + " " + masked(p.Account) + " " + p.Holder)), held, problem}
}

// masked is an account's number of which the last four digits are shown: whoever looks over the shoulder learns no more.
func masked(account string) string {
	digits := 0
	out := []rune(account)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] < '0' || out[i] > '9' {
			continue
		}
		if digits++; digits > 4 {
			out[i] = '*'
		}
	}
	return string(out)
}

// happened are the entries of history that owners see, and what they are called.
var happened = map[claims.Action]tell.Text{
	claims.HandIn:       {KO: "신청을 접수했습니다", EN: "We received your claim"},
	claims.Check:        {KO: "확인을 시작했습니다", EN: "We began to check it"},
	claims.MissDocument: {KO: "서류를 요청했습니다", EN: "We asked for documents"},
	store.AddDocument:   {KO: "서류를 받았습니다", EN: "We received a document"},
	claims.Complete:     {KO: "필요한 것을 모두 받았습니다", EN: "We have what we asked for"},
	claims.Ask:          {KO: "질문을 드렸습니다", EN: "We asked a question"},
	claims.Flag:         {KO: "담당자가 확인하기 시작했습니다", EN: "A person began to look at it"},
	claims.Clear:        {KO: "담당자의 확인이 끝났습니다", EN: "The person has looked at it"},
	claims.Review:       {KO: "심사를 시작했습니다", EN: "The review began"},
	claims.Refer:        {KO: "심의위원회에 넘겼습니다", EN: "It was referred to the council"},
	claims.TakeBack:     {KO: "심사 담당자가 다시 봅니다", EN: "It went back to the reviewers"},
	claims.Adjourn:      {KO: "심의위원회가 아직 결정하지 못했습니다", EN: "The council has not decided yet"},
	claims.Approve:      {KO: "지급을 결정했습니다", EN: "We decided to pay"},
	claims.Decline:      {KO: "지급하지 않기로 결정했습니다", EN: "We decided not to pay"},
	claims.Withdraw:     {KO: "취소하셨습니다", EN: "You withdrew it"},
	store.ChangeAccount: {KO: "받을 계좌가 바뀌었습니다", EN: "The account was changed"},
	claims.Send:         {KO: "은행에 지급을 요청했습니다", EN: "We sent the payment to the bank"},
	claims.Settle:       {KO: "은행이 지급했습니다", EN: "The bank paid"},
	claims.Return:       {KO: "은행이 지급하지 못했습니다", EN: "The bank could not pay"},
	claims.Recoup:       {KO: "금액이 반환되었습니다", EN: "The amount was given back"},
	claims.Object:       {KO: "이의를 제기하셨습니다", EN: "You objected"},
	claims.Uphold:       {KO: "이의를 받아들였습니다", EN: "We upheld your objection"},
	claims.PartlyUphold: {KO: "이의를 일부 받아들였습니다", EN: "We partly upheld your objection"},
	claims.Reject:       {KO: "이의를 받아들이지 않았습니다", EN: "We rejected your objection"},
}

func (v *visit) events(history []store.Entry) g.Node {
	var out g.Group
	for _, e := range slices.Backward(history) {
		if text, ok := happened[e.Action]; ok {
			out = append(out, h.Li(h.Span(h.Strong(g.Text(text.In(v.lang)))), h.Span(h.Class("note"),
				g.Text(v.lang.Moment(e.At, v.Programme.Zone)))))
		}
	}
	return h.Ol(h.Class("events"), out)
}

func (v *visit) claimed(p *store.Person) g.Node {
	c := v.claim
	f := &c.Facts
	out := g.Group{pair(v.t("사업자등록번호", "Business number"), c.Unit.String())}
	if p != nil {
		out = append(out, pair(v.t("상호 / 대표자", "Business / representative"), p.Business+" / "+p.Representative),
			pair(v.t("연락처", "Contact"), strings.TrimSpace(p.Phone+" "+p.Email)))
	}
	out = append(
		out,
		pair(v.t("업종", "Industry"), tell.Industry(f.Industry).In(v.lang)),
		pair(v.t("개업일", "Opened"), v.lang.Day(f.Opened)),
	)
	if f.Reported != nil {
		out = append(out, pair(v.t("줄어든 매출", "Sales that you lost"), v.lang.Won(*f.Reported)))
	} else {
		weeks := make([]string, len(f.WeekSales))
		for i, w := range f.WeekSales {
			weeks[i] = v.lang.Won(w)
		}
		out = append(out, pair(v.t("장애 주간 매출", "Sales in the outage week"), v.lang.Won(f.OutageSales)),
			pair(v.t("평소 주간의 매출", "Sales in usual weeks"), strings.Join(weeks, ", ")))
	}
	if f.OwnRate != nil {
		out = append(out, pair(v.t("우리 사업의 영업이익률", "Operating profit rate of your business"), tell.Share(f.OwnRate)))
	}
	if f.Alternative {
		out = append(out, pair(v.t("다른 서비스", "Another service"), v.t("쓸 수 있었음", "could be used")))
	}
	out = append(out, pair(v.t("접수 경로", "It came by"), tell.Channel(c.Channel).In(v.lang)))
	return h.Dl(out)
}

func (v *visit) actions() g.Node {
	var out g.Group
	add := func(path, ko, en string) { out = append(out, h.Li(v.link(path, ko, en))) }
	if v.Documents != nil {
		add("/claim/documents", "서류 보기와 보내기", "See and send documents")
	}
	if v.movable() {
		add("/claim/account", "받을 계좌 바꾸기", "Change the account")
	}
	if _, ok := v.objecting(); ok {
		add("/claim/objection", "이의 제기하기", "Object to the decision")
	}
	if v.can(claims.Withdraw) {
		if v.claim.State == claims.Objected {
			add("/claim/withdraw", "이의 취소하기", "Withdraw the objection")
		} else {
			add("/claim/withdraw", "신청 취소하기", "Withdraw the claim")
		}
	}
	add("/claim/code", "새 비밀 코드 받기", "Get another secret code")
	return h.Ul(h.Class("plain links"), out)
}
