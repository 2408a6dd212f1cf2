package searchpage

import (
	"io"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
)

// Fields of the forms of acts.
const (
	FieldReason     = "reason"
	FieldRevocation = "revocation"
	FieldTime       = "time" // by the campaign's clock
	FieldItem       = "item"
	FieldTo         = "to"
	FieldAfterEnd   = "after_end"
	FieldConfirm    = "confirm" // of an erasure: the user once more
	FieldRequest    = "request"
	FieldSeen       = "seen"
	FieldSeal       = "seal" // of what was confirmed; empty: nothing has been yet
	FieldCampaign   = "campaign"
	FieldDecision   = "decision"
)

// TimeForm is how browsers write a time without a zone.
const TimeForm = "2006-01-02T15:04"

// Act is something that somebody is about to do about a user, on its form or to be confirmed.
type Act struct {
	View

	Campaign *grant.Campaign
	User     grant.UserID
	Kind     grant.ActKind
	Fields   map[string]string // as they were sent, and those that go along
	Now      *lookup.Answer    // how the user is now; nil: not known

	Many     bool // it is about the users of a file
	Confirm  bool // it is to be confirmed
	TakesTwo bool
	At       time.Time // of revoke and extend; zero: there is none
	To       grant.UserID
}

// Acts are what somebody may do about a user of an answer, by its state.
func Acts(a *lookup.Answer) []grant.ActKind {
	switch {
	case !a.Known:
		return nil
	case len(a.Reasons) > 0 && a.Reasons[0].Code == lookup.Excluded:
		return []grant.ActKind{grant.ActReinstate, grant.ActNote}
	case !a.Granted:
		return []grant.ActKind{grant.ActHand, grant.ActExclude, grant.ActNote}
	case a.State != nil && a.State.MovedTo != nil:
		return []grant.ActKind{grant.ActNote}
	case a.State != nil && a.State.Revoked != nil:
		return []grant.ActKind{grant.ActReinstate, grant.ActNote}
	}
	kinds := []grant.ActKind{grant.ActRevoke, grant.ActExtend, grant.ActMove}
	for i := range a.Entitlements {
		if a.Entitlements[i].State == grant.StateOffered {
			kinds = append(kinds, grant.ActRecall)
			break
		}
	}
	return append(kinds, grant.ActNote)
}

// hasWhy reports whether there is something of the user that an erasure takes away.
func hasWhy(a *lookup.Answer) bool { return a.By != nil || a.State != nil }

// mayDo are links to what may be done about the user.
func (v *View) mayDo(a *lookup.Answer) g.Node {
	if v.MayDo == nil {
		return nil
	}
	t := v.words()
	var links g.Group
	kinds := Acts(a)
	if hasWhy(a) {
		kinds = append(kinds, grant.ActErase)
	}
	for _, kind := range kinds {
		if v.MayDo(a.Campaign, kind) {
			links = append(links, h.Li(h.A(h.Class("act"), h.Href(v.address(a.User)+"/acts/"+a.Campaign+"/"+string(kind)),
				g.Text(t.do(kind)))))
		}
	}
	if len(links) == 0 {
		return nil
	}
	return h.Nav(h.Aria("label", t.mayDo(a.Campaign)), h.Ul(h.Class("todo"), links))
}

// Form renders the form of an act, or what is to be confirmed.
func (a *Act) Form(w io.Writer) error {
	t := a.words()
	title := t.do(a.Kind) + " – " + t.user(a.User)
	inside := g.Group{
		h.H1(h.ID("title"), g.Text(title)),
		h.P(a.title(&lookup.Answer{Campaign: a.Campaign.Name, Title: a.Campaign.Title})),
		a.problem(),
	}
	back := h.A(h.Href(a.address(a.User)), h.ID("back"), g.Text(t.in("Back to the user, nothing is done", "돌아가기(아무것도 하지 않음)")))
	form := h.Form(h.ID("act"), h.Method("post"), h.Action(a.address(a.User)+"/acts/"+a.Campaign.Name+"/"+string(a.Kind)),
		h.Aria("labelledby", "title"), a.fields(), h.Div(h.Class("act-row"), back))
	if a.Confirm {
		form = h.Form(
			h.ID("act"),
			h.Method("post"),
			h.Action(a.address(a.User)+"/acts/"+a.Campaign.Name+"/"+string(a.Kind)),
			h.Aria("labelledby", "title"),
			a.confirmation(),
			a.hidden(),
			h.Div(
				h.Class("act-row"),
				h.Button(h.Type("submit"), h.Class("primary"), h.ID("confirm"), g.Text(t.yes(a.Kind, a.TakesTwo))),
				back,
			),
		)
	}
	return a.framed(w, title, h.Section(h.Class("card"), h.Aria("labelledby", "title"), inside, form))
}

func (a *Act) hidden() g.Node {
	var out g.Group
	for _, name := range []string{
		FieldReason, FieldRevocation, FieldTime, FieldItem, FieldTo, FieldAfterEnd, FieldConfirm, FieldRequest, FieldSeen,
		FieldSeal,
	} {
		if value := a.Fields[name]; value != "" {
			out = append(out, h.Input(h.Type("hidden"), h.Name(name), h.Value(value)))
		}
	}
	return out
}

// confirmation says exactly what will happen.
func (a *Act) confirmation() g.Node {
	t := a.words()
	out := g.Map(t.happensThen(a), func(line string) g.Node { return h.Li(g.Text(line)) })
	return h.Div(h.ID("happens"), h.H2(g.Text(t.in("This will happen", "다음이 실행됩니다"))), h.Ul(h.Class("plain-list"), out),
		h.P(g.Text(t.in("Reason:", "사유:")+" "), h.Q(g.Text(a.Fields[FieldReason]))))
}

// fields are those of the act.
func (a *Act) fields() g.Node {
	t := a.words()
	field := func(name, label string, input g.Node) g.Node {
		return h.Div(h.Class("field"), h.Label(h.For("f-"+name), g.Text(label)), input)
	}
	var out g.Group
	switch a.Kind {
	case grant.ActRevoke:
		kinds := []grant.RevocationKind{grant.RevokedMistake, grant.RevokedFraud, grant.RevokedRequest}
		options := append(make(g.Group, 0, len(kinds)+1), h.Option(h.Value(""), g.Text(t.in("choose", "선택"))))
		for _, kind := range kinds {
			options = append(
				options,
				h.Option(h.Value(string(kind)), g.If(a.Fields[FieldRevocation] == string(kind), h.Selected()),
					g.Text(t.revocation(kind))),
			)
		}
		out = append(out, field(FieldRevocation, t.in("Kind", "종류"),
			h.Select(h.ID("f-"+FieldRevocation), h.Name(FieldRevocation), h.Required(), options)),
			field(FieldTime, t.sinceWhen(a.zone()), a.time(false)))
	case grant.ActExtend:
		out = append(out, a.items(false), field(FieldTime, t.untilWhen(a.zone()), a.time(true)))
	case grant.ActRecall:
		out = append(out, a.items(true))
	case grant.ActMove:
		if a.Many {
			break // the file says it, of each
		}
		out = append(
			out,
			field(FieldTo, t.in("To user", "받을 사용자 ID"), h.Input(h.ID("f-"+FieldTo), h.Name(FieldTo), h.Type("text"),
				h.AutoComplete("off"), a.keyboard(), h.Required(), h.Value(a.Fields[FieldTo]))),
		)
	case grant.ActHand:
		if !a.Campaign.EndsAt.IsZero() {
			out = append(
				out,
				h.Div(h.Class("field check"), h.Input(h.ID("f-"+FieldAfterEnd), h.Name(FieldAfterEnd), h.Type("checkbox"),
					h.Value("yes"), g.If(a.Fields[FieldAfterEnd] != "", h.Checked())), h.Label(h.For("f-"+FieldAfterEnd),
					g.Text(t.in("Also after the campaign has ended", "캠페인이 끝난 뒤에도 지급")))),
			)
		}
	case grant.ActErase:
		out = append(out, h.Ul(h.Class("plain-list"), g.Map(t.erases(), func(line string) g.Node { return h.Li(g.Text(line)) })),
			field(FieldConfirm, t.in("The user’s ID once more: there is no way back", "사용자 ID를 한 번 더 입력(되돌릴 수 없음)"),
				h.Input(h.ID("f-"+FieldConfirm), h.Name(FieldConfirm), h.Type("text"), h.AutoComplete("off"),
					a.keyboard(), h.Required(), h.Value(a.Fields[FieldConfirm]))))
	case grant.ActExclude, grant.ActReinstate, grant.ActNote:
	}
	label := t.in("Reason: it stays with the user", "사유(사용자 기록에 남습니다)")
	if a.Kind == grant.ActNote {
		label = t.in("Note for the next colleague", "다음 상담원이 볼 메모")
	}
	if a.Kind == grant.ActErase {
		label = t.in("Ground: it stays, so name no details", "삭제 근거(기록에 남으므로 상세 내용은 쓰지 마세요)")
	}
	return append(out, field(FieldReason, label, h.Textarea(h.ID("f-"+FieldReason), h.Name(FieldReason), h.Rows("3"),
		h.MaxLength("500"), h.Required(), g.Text(a.Fields[FieldReason]))),
		h.Input(h.Type("hidden"), h.Name(FieldSeen), h.Value(a.Fields[FieldSeen])),
		h.Button(h.Type("submit"), h.Class("primary"), h.ID("next"), g.Text(t.in("Next: see what will happen", "다음: 실행될 내용 확인"))))
}

// keyboard is what phones show for a user's ID.
func (a *Act) keyboard() g.Node {
	if a.Campaign.Input.Opaque() {
		return nil
	}
	return g.Attr("inputmode", "numeric")
}

func (a *Act) time(required bool) g.Node {
	return h.Input(h.ID("f-"+FieldTime), h.Name(FieldTime), h.Type("datetime-local"), g.If(required, h.Required()),
		h.Value(a.Fields[FieldTime]))
}

// items let choose one of the campaign's, or all.
func (a *Act) items(offered bool) g.Node {
	t := a.words()
	options := g.Group{h.Option(h.Value(""), g.Text(t.in("all of them", "전체")))}
	for i := range a.Campaign.Items {
		item := &a.Campaign.Items[i]
		if !offered || item.Offered() {
			options = append(
				options,
				h.Option(h.Value(item.ID), g.If(a.Fields[FieldItem] == item.ID, h.Selected()), g.Text(item.ID)),
			)
		}
	}
	return h.Div(h.Class("field"), h.Label(h.For("f-"+FieldItem), g.Text(t.in("Item", "아이템"))),
		h.Select(h.ID("f-"+FieldItem), h.Name(FieldItem), options))
}

func (a *Act) zone() *time.Location { return a.Campaign.StartsAt.Location() }

// Waiting is what waits for a second person in one campaign.
type Waiting struct {
	Campaign, Title string
	Zone            *time.Location
	Proposals       []grant.Proposal
	Unknown         string // why they could not be asked for; empty: they could
}

// Queue renders what waits for a second person.
func Queue(w io.Writer, v *View, all []Waiting, mayDecide bool) error {
	t := v.words()
	title := t.waitingTitle()
	var out g.Group
	waits := 0
	for i := range all {
		if all[i].Unknown != "" {
			out = append(out, h.P(h.Class("error"), g.Text(all[i].Campaign+": "+all[i].Unknown)))
		}
		for n := range all[i].Proposals {
			out = append(out, v.proposal(&all[i], &all[i].Proposals[n], "p"+strconv.Itoa(waits), mayDecide))
			waits++
		}
	}
	if waits == 0 {
		out = append(out, h.P(h.ID("nothing"), g.Text(t.in("Nothing waits for anybody.", "대기 중인 요청이 없습니다."))))
	}
	return v.framed(w, title, h.Section(h.Class("card"), h.Aria("labelledby", "title"), h.H1(h.ID("title"), g.Text(title)),
		g.If(v.Notice != "", h.P(h.ID("notice"), h.Class("notice"), h.Role("status"), g.Text(v.Notice))),
		v.problem(), out,
		h.P(h.A(h.Href(v.Root+"users"), g.Text(t.title)))))
}

func (v *View) proposal(of *Waiting, p *grant.Proposal, id string, mayDecide bool) g.Node {
	t := v.words()
	moment := func(at time.Time) string { return v.Lang.Moment(at.In(of.Zone)) }
	approved := p.State == grant.ProposalApproved
	return h.Article(
		h.Class("answer"),
		h.Data("request", p.Act.ID),
		h.Aria("labelledby", id),
		h.H2(
			h.ID(id),
			g.Text(t.do(p.Act.Kind)+" – "+t.users(p.Users)+" – "),
			v.title(&lookup.Answer{Campaign: of.Campaign, Title: of.Title}),
		),
		h.P(g.Text(t.proposedBy(p.Act.Who, moment(p.At))+" "), h.Q(g.Text(p.Act.Reason))),
		h.P(g.Text(t.expected(p)+" "), g.Text(t.details(&p.Act, moment))),
		h.P(h.Class("note"), g.Text(t.in("Who they are, and what it would do now:", "대상과 현재 예상 결과:")+" "),
			h.Code(g.Text("granter acts show --campaign "+of.Campaign+" "+p.Act.ID))),
		g.If(approved, h.P(h.Strong(g.Text(t.in("Approved, and not done to everybody yet: approve it again to continue.",
			"승인되었지만 아직 완료되지 않았습니다. 다시 승인하면 이어서 실행합니다."))))),
		g.If(!approved, h.P(g.Text(t.decideUntil(moment(p.Until))))),
		g.If(mayDecide, h.Form(h.Method("post"), h.Action(v.Root+"users/waiting"), h.Aria("label", t.in("Decide", "결정")),
			h.Input(h.Type("hidden"), h.Name(FieldCampaign), h.Value(of.Campaign)),
			h.Input(h.Type("hidden"), h.Name(FieldRequest), h.Value(p.Act.ID)),
			h.Div(
				h.Class("field"),
				h.Label(h.For(id+"-why"), g.Text(t.in("Reason", "사유"))),
				h.Input(
					h.ID(id+"-why"),
					h.Name(FieldReason),
					h.Type("text"),
					h.MaxLength("500"),
					h.Required(),
					h.AutoComplete("off"),
				),
			),
			h.Div(
				h.Class("act-row"),
				h.Button(
					h.Type("submit"),
					h.Name(FieldDecision),
					h.Value("approve"),
					h.Class("primary"),
					g.Text(t.approve(p.Users)),
				),
				g.If(
					!approved,
					h.Button(h.Type("submit"), h.Name(FieldDecision), h.Value("reject"), g.Text(t.in("Reject", "거절"))),
				),
			))),
	)
}
