package review

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// known is everything about one claim that its page shows.
type known struct {
	*store.Claim
	history []store.Entry
	letters map[int]string // what the owner wrote, by entry; only for whoever sees people
	kept    []store.Kept
	linked  []*store.Claim // those that share something with it
	reports []store.Report // of the business, before claims could be filed
	owner   *store.Person  // to compare with those who made them; only for whoever sees people
}

// history returns that of the request's claim, if it is one of this desk's programme.
func (d *Desk) history(r *http.Request) ([]store.Entry, error) {
	return d.historyOf(r.Context(), r.PathValue("claim"))
}

func (d *Desk) historyOf(ctx context.Context, id string) ([]store.Entry, error) {
	history, err := d.Store.History(ctx, id)
	if err == nil && store.Fold(history).Programme != d.Programme.Name {
		return nil, store.ErrNotFound
	}
	return history, err
}

func (d *Desk) read(r *http.Request, who *Staff) (*known, error) {
	id := r.PathValue("claim")
	history, err := d.history(r)
	if err != nil {
		return nil, err
	}
	k := &known{Claim: store.Fold(history), history: history}
	if k.kept, err = d.Store.Documents(r.Context(), id); err != nil {
		return nil, err
	}
	if who.seesPeople() {
		if k.letters, err = d.Store.Letters(r.Context(), id); err != nil {
			return nil, err
		}
	}
	var others []string
	for _, s := range slices.Concat(k.Signals, k.Cleared) {
		for _, o := range s.Others {
			if !contains(others, o) {
				others = append(others, o)
			}
		}
	}
	if len(others) > 20 {
		others = others[:20]
	}
	if len(others) > 0 {
		if k.linked, err = d.Store.Get(r.Context(), others...); err != nil {
			return nil, err
		}
	}
	return k, d.readReports(r, who, k)
}

// one shows a claim.
func (d *Desk) one(w http.ResponseWriter, r *http.Request, who Staff) {
	k, err := d.read(r, &who)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	d.show(w, r, http.StatusOK, d.view(w, r, who), k, nil)
}

// show answers with the page of a claim; person is who its owner is, if that was asked for. What other claims share with it is on
// the page, too.
func (d *Desk) show(w http.ResponseWriter, r *http.Request, status int, v *view, k *known, person *store.Person) {
	shown := make([]string, 0, 1+len(k.linked))
	shown = append(shown, k.ID)
	for _, other := range k.linked {
		shown = append(shown, other.ID)
	}
	if err := d.readsReports(r, &v.who, store.ReadClaim, k.reports, shown...); err != nil {
		d.fail(w, r, v.who, err)
		return
	}
	d.html(w, status, func(out io.Writer) error {
		return v.page(
			out,
			k.ID,
			v.headline(
				k,
			),
			v.signals(k),
			v.decisions(k),
			v.why(k),
			v.facts(k),
			v.reported(k),
			v.documents(k),
			v.payments(k),
			v.person(k, person),
			v.erasing(k),
			v.history(k),
		)
	})
}

func (v *view) section(id, ko, en string, body ...g.Node) g.Node {
	return h.Section(h.Class("card"), h.Aria("labelledby", id), h.H2(h.ID(id), v.t(ko, en)), g.Group(body))
}

// pair is one line of a list of facts.
func (v *view) pair(ko, en string, value g.Node) g.Node {
	return g.Group{h.Dt(v.t(ko, en)), h.Dd(value)}
}

func (v *view) headline(k *known) g.Node {
	stays := make([]claims.Stay, 0, len(k.history))
	for i := range k.history {
		if e := &k.history[i]; e.Seq == 1 || e.From != e.To {
			stays = append(stays, claims.Stay{State: e.To, Since: e.At})
		}
	}
	return h.Section(
		h.Class("card"),
		h.Aria("labelledby", "title"),
		h.H1(h.ID("title"), h.Code(g.Text(k.ID)), g.Text(" "), v.state(k.State)),
		h.Dl(
			h.Class("pairs"),
			v.pair("사업자등록번호", "Business number", g.Text(k.Unit.String())),
			v.pair("업종", "Industry", g.Text(tell.Industry(k.Facts.Industry).In(v.Lang))),
			v.pair(
				"접수",
				"Received",
				g.Text(v.Lang.Moment(k.Received, v.desk.Programme.Zone)+" · "+tell.Channel(k.Channel).In(v.Lang)),
			),
			g.If(k.Assigned != "", v.pair("담당", "Seen to by", g.Text(k.Assigned+v.me(k.Assigned)))),
			g.If(k.EnteredBy != store.Owner.Name, v.pair("접수한 사람", "Entered by", g.Text(k.EnteredBy))),
			g.If(!k.State.Final(), v.pair("기다린 시간", "Waited", v.waited(claims.Waited(stays, v.now), k.State))),
			g.If(k.Owed > 0, v.pair("결정된 금액", "Owed", g.Text(v.Lang.Won(k.Owed)))),
			g.Iff(k.First != nil, func() g.Node {
				return v.pair(
					"첫 번째 결재",
					"First approval",
					g.Text(v.Lang.Won(*k.First)+v.say(" · 두 번째 결재가 필요함", " · a second person must approve")),
				)
			}),
			g.If(k.Declined != "", v.pair("거절 사유", "Declined because", g.Text(tell.Reason(k.Declined).In(v.Lang)))),
		),
		h.P(
			g.Text(tell.Next(k.State).In(v.Lang)),
			g.Text(" "),
			h.Span(h.Class("note"), v.t("(신청인이 보는 설명)", "(as the owner reads it)")),
		),
	)
}

func (v *view) signals(k *known) g.Node {
	if len(k.Signals)+len(k.Cleared) == 0 {
		return nil
	}
	line := func(s *claims.Signal, judged bool) g.Node {
		others := g.Map(s.Others, func(o string) g.Node {
			return g.Group{g.Text(" "), h.A(h.Href(v.root+"claims/"+o), h.Code(g.Text(o)))}
		})
		return h.Li(h.Strong(g.Text(signalName(s.Kind).In(v.Lang))), g.If(judged, h.Span(h.Class("chip"), v.t("확인함", "judged"))),
			g.Text(" "), h.Span(h.Class("note"), g.Text(reasonIn(v.Lang, s.What))), others)
	}
	var open, judged g.Group
	for i := range k.Signals {
		open = append(open, line(&k.Signals[i], false))
	}
	for i := range k.Cleared {
		judged = append(judged, line(&k.Cleared[i], true))
	}
	return v.section("signals", "신호", "Signals",
		h.P(h.Class("note"), v.t("신호는 살펴볼 이유이지 거절할 이유가 아닙니다.", "A signal is a reason to look, and none to decline.")),
		h.Ul(h.Class("plain-list"), open, judged), v.sideBySide(k))
}

// sideBySide compares a claim with those that share something with it.
func (v *view) sideBySide(k *known) g.Node {
	if len(k.linked) == 0 {
		return nil
	}
	var rows g.Group
	for _, c := range append([]*store.Claim{k.Claim}, k.linked...) {
		loss := g.Text("")
		if c.Assessment != nil {
			loss = g.Text(v.Lang.Won(c.Assessment.SalesLoss))
		}
		rows = append(rows, h.Tr(
			h.Th(
				h.Scope("row"),
				h.A(h.Href(v.root+"claims/"+c.ID), h.Code(g.Text(c.ID))),
			),
			h.Td(g.Text(c.Unit.String())),
			h.Td(v.state(c.State)),
			h.Td(g.Text(tell.Industry(c.Facts.Industry).In(v.Lang))),
			h.Td(g.Text(v.Lang.Day(c.Facts.Opened))),
			h.Td(h.Class("number"), loss),
			h.Td(h.Class("number"), g.If(c.Owed > 0, g.Text(v.Lang.Won(c.Owed)))),
			h.Td(g.Text(v.Lang.Moment(c.Received, v.desk.Programme.Zone))),
		))
	}
	return h.Div(h.Class("scroll"), h.TabIndex("0"), h.Role("group"), h.Aria("label", v.say("나란히 보기", "Side by side")),
		h.Table(h.THead(h.Tr(v.th("신청", "Claim"), v.th("사업자", "Business"), v.th("상태", "State"), v.th("업종", "Industry"),
			v.th("개업", "Opened"), v.numbers("매출 손실", "Sales loss"), v.numbers("결정", "Owed"), v.th("접수", "Received"))),
			h.TBody(rows)))
}

// why explains the amount, computed again now.
func (v *view) why(k *known) g.Node {
	lines, err := tell.Why(v.Lang, v.desk.Programme, &k.Facts)
	if err != nil {
		return v.section("why", "금액 계산", "Why this amount", h.P(h.Class("error"), g.Text(err.Error())))
	}
	var rows g.Group
	for _, l := range lines {
		rows = append(
			rows,
			h.Tr(h.Th(h.Scope("row"), g.Text(l.What)), h.Td(g.Text(l.How)), h.Td(h.Class("number"), g.Text(l.Result))),
		)
	}
	return v.section("why", "금액 계산", "Why this amount", h.Div(h.Class("scroll"), h.TabIndex("0"), h.Role("group"),
		h.Aria("labelledby", "why"), h.Table(h.THead(h.Tr(v.th("단계", "Step"), v.th("계산", "How"), v.numbers("결과", "Result"))),
			h.TBody(rows))))
}

func (v *view) facts(k *known) g.Node {
	f := &k.Facts
	weeks := make([]string, len(f.WeekSales))
	for i, w := range f.WeekSales {
		weeks[i] = v.Lang.Won(w)
	}
	yes := map[bool]string{true: v.say("예", "yes"), false: v.say("아니요", "no")}
	return v.section("facts", "신청 내용", "What the owner says", h.Dl(h.Class("pairs"),
		v.pair("개업", "Opened", g.Text(v.Lang.Day(f.Opened))),
		g.If(f.Closed != "", v.pair("폐업", "Closed", g.Text(v.Lang.Day(f.Closed)))),
		g.Iff(f.Reported != nil, func() g.Node { return v.pair("신고한 손실", "Reported loss", g.Text(v.Lang.Won(*f.Reported))) }),
		g.If(f.Reported == nil, v.pair("장애 주간 매출", "Sales in the outage week", g.Text(v.Lang.Won(f.OutageSales)))),
		g.If(len(weeks) > 0, v.pair("평소 주간 매출", "Sales in other weeks", g.Text(strings.Join(weeks, " · ")))),
		g.Iff(f.OwnRate != nil, func() g.Node { return v.pair("증빙한 이익률", "Own profit rate", g.Text(tell.Share(f.OwnRate))) }),
		v.pair("대체 서비스", "Another service", g.Text(yes[f.Alternative])),
		g.Iff(k.Identity != nil, func() g.Node {
			return v.pair("국세청 · 은행", "Tax office · bank", g.Text(reasonIn(v.Lang, k.Identity.Business)+" · "+
				reasonIn(v.Lang, k.Identity.Account)))
		})))
}

func (v *view) documents(k *known) g.Node {
	if len(k.kept)+len(k.Documents) == 0 && (k.Proposal == nil || len(k.Proposal.Documents) == 0) {
		return nil
	}
	var items g.Group
	for i := range k.kept {
		doc := &k.kept[i]
		name, _ := tell.Document(doc.Kind)
		label := g.Text(name.In(v.Lang))
		link := label
		if v.desk.Documents != nil && v.who.seesPeople() && !doc.Quarantined {
			link = h.A(h.Href(v.root+"claims/"+k.ID+"/documents/"+doc.Digest), g.Attr("download"), label)
		}
		about := doc.Type + " · " + size(doc.Size)
		if doc.Redacts != "" {
			about += v.say(" · 심의위원회용으로 가린 것", " · redacted for the council")
		}
		items = append(items, h.Li(link, g.Text(" "), h.Span(h.Class("note"), g.Text(about)), g.Text(" "), v.scan(doc),
			v.forCouncil(k, doc)))
	}
	if k.Proposal != nil {
		for _, kind := range k.Missing(k.Proposal) {
			name, _ := tell.Document(kind)
			items = append(
				items,
				h.Li(g.Text(name.In(v.Lang)), g.Text(" "), h.Span(h.Class("chip"), h.Data("tone", "bad"), v.t("없음", "missing"))),
			)
		}
	}
	return v.section("documents", "서류", "Documents", h.Ul(h.ID("documents-list"), h.Class("plain-list"), items))
}

// scan says whether anybody has looked for malware in a document.
func (v *view) scan(doc *store.Kept) g.Node {
	var tone, what string
	switch doc.Scan {
	case documents.Clean:
		tone, what = "good", v.say("악성코드 없음", "no malware found")
	case documents.Quarantined:
		tone, what = "bad", v.say("격리됨: 악성코드 검사를 기다리는 중", "quarantined: waits for the malware scanner")
	default:
		tone, what = "warn", v.say("악성코드 검사 안 함: 검사기가 설정되지 않음", "not scanned for malware: no scanner is configured")
	}
	return h.Span(h.Class("chip"), h.Data("tone", tone), h.Data("scan", doc.Scan), g.Text(what))
}

func (v *view) payments(k *known) g.Node {
	if len(k.Payments) == 0 {
		return nil
	}
	var rows g.Group
	for i := range k.Payments {
		p := &k.Payments[i]
		rows = append(
			rows,
			h.Tr(
				h.Th(h.Scope("row"), h.Code(g.Text(p.ID))),
				h.Td(g.Text(strconv.Itoa(p.Attempt))),
				h.Td(h.Class("number"), g.Text(v.Lang.Won(p.Gross))),
				h.Td(h.Class("number"), g.Text(v.Lang.Won(p.Amount))),
			),
		)
	}
	return v.section("payments", "지급", "Payments",
		g.If(k.Settled > 0, h.P(v.t("은행이 지급한 금액: ", "Settled by the bank: "), g.Text(v.Lang.Won(k.Settled)))),
		h.Div(
			h.Class("scroll"),
			h.TabIndex("0"),
			h.Role("group"),
			h.Aria("labelledby", "payments"),
			h.Table(
				h.THead(h.Tr(v.th("지급", "Payment"), v.th("회차", "Attempt"), v.numbers("세전", "Gross"), v.numbers("실지급", "Net"))),
				h.TBody(rows),
			),
		))
}

func (v *view) history(k *known) g.Node {
	var rows g.Group
	for i := len(k.history) - 1; i >= 0; i-- {
		e := &k.history[i]
		what := g.Group{g.Text(actionName(e.Action).In(v.Lang))}
		if e.From != e.To {
			what = append(what, g.Text(" → "), v.state(e.To))
		}
		if e.Change.Assigned != "" {
			what = append(what, g.Text(" → "+e.Change.Assigned))
		}
		said := g.Group{g.Text(reasonIn(v.Lang, e.Reason))}
		if letter := k.letters[e.Seq]; letter != "" {
			said = append(said, h.BlockQuote(g.Text(letter)))
		} else if e.Change.Letter != "" {
			said = append(said, h.Span(h.Class("note"), v.t("신청인의 글이 있음", "the owner wrote something")))
		}
		rows = append(rows, h.Tr(h.Th(h.Scope("row"), g.Text(v.Lang.Moment(e.At, v.desk.Programme.Zone))), h.Td(what),
			h.Td(g.Text(v.whoDid(e.By))), h.Td(said)))
	}
	return v.section(
		"history",
		"기록",
		"History",
		h.Div(h.Class("scroll"), h.TabIndex("0"), h.Role("group"), h.Aria("labelledby", "history"),
			h.Table(h.THead(h.Tr(v.th("언제", "When"), v.th("무엇을", "What"), v.th("누가", "Who"), v.th("왜", "Why"))), h.TBody(rows))),
	)
}
