package review

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// number is a number in the path of a request.
func numberIn(r *http.Request, name string) (int, error) {
	n, err := strconv.Atoi(r.PathValue(name))
	if err != nil || n < 1 {
		return 0, store.ErrNotFound
	}
	return n, nil
}

// meeting shows what a meeting has before it.
func (d *Desk) meeting(w http.ResponseWriter, r *http.Request, who Staff) {
	number, err := numberIn(r, fieldMeeting)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	d.showMeeting(w, r, http.StatusOK, d.view(w, r, who), number)
}

func (d *Desk) showMeeting(w http.ResponseWriter, r *http.Request, status int, v *view, number int) {
	m, waiting, err := d.AskMeeting(r.Context(), &v.who, number)
	if err != nil {
		d.fail(w, r, v.who, err)
		return
	}
	parts := []g.Node{v.meetingHead(m), v.agenda(m)}
	if v.who.has(claims.Secretary) && m.ClosedAt.IsZero() {
		n := hidden(fieldMeeting, strconv.Itoa(m.Meeting))
		parts = append(parts, v.section("secretary", "간사가 하는 일", "What the secretary does",
			v.attendForm(m, n), v.agendaForm(waiting, n), v.secretaryForm(doClose, "회의 마치기", "Close the meeting", n)))
	}
	v.here = v.root + "claims/council/" + strconv.Itoa(number)
	d.html(w, status, func(out io.Writer) error { return v.page(out, v.meetingName(number), parts...) })
}

// waiting are claims that are before the council and of which nothing has been moved.
func (d *Desk) waiting(ctx context.Context) ([]*store.Claim, error) {
	lines, _, err := d.Store.InQueue(ctx, store.Queue{
		Programme: d.Programme.Name, States: []claims.State{claims.BeforeCouncil, claims.ObjectionBeforeCouncil}, Limit: 200,
	})
	if err != nil {
		return nil, err
	}
	list, err := d.Store.Get(ctx, store.IDs(lines)...)
	return slices.DeleteFunc(list, func(c *store.Claim) bool { return c.Item != nil }), err
}

func (v *view) meetingHead(m *council.Minutes) g.Node {
	there := g.Map(m.Present, func(a council.Attendee) g.Node {
		return h.Li(g.Text(a.Name+" · "+tell.Affiliation(a.Affiliation).In(v.Lang)),
			g.If(a.Member == m.Chair, g.Text(" ")), g.If(a.Member == m.Chair, h.Span(h.Class("chip"), v.t("의장", "chair"))))
	})
	who := h.Ul(h.Class("plain-list"), there)
	if len(m.Present) == 0 {
		who = v.t("간사가 아직 출석을 적지 않았습니다.", "The secretary has not noted yet who is there.")
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "title"),
		h.H1(h.ID("title"), g.Text(v.meetingName(m.Meeting)), g.Text(" "), v.meetingState(m.ClosedAt, len(m.Present))),
		h.Dl(h.Class("pairs"), v.pair("언제", "When", g.Text(v.Lang.Moment(m.At, v.desk.Programme.Zone))),
			v.pair("어디서", "Where", g.Text(m.Place)), v.pair("출석", "There", who)),
		h.P(h.A(h.Href(v.root+"claims/minutes/"+strconv.Itoa(m.Meeting)), v.t("회의록 (인쇄)", "Minutes, to print"))))
}

func (v *view) agenda(m *council.Minutes) g.Node {
	if len(m.Items) == 0 {
		return v.section("agenda", "안건", "Agenda", h.P(v.t("아직 안건이 없습니다.", "Nothing is on the agenda yet.")))
	}
	rows := make(g.Group, 0, len(m.Items))
	for i := range m.Items {
		item := &m.Items[i]
		rows = append(rows, h.Tr(
			h.Th(h.Scope("row"), h.A(h.Href(v.itemPath(m.Meeting, item.Number)), g.Text(v.itemName(item.Number)))),
			h.Td(h.Code(g.Text(item.Claim))), h.Td(h.Class("number"), g.Text(v.Lang.Won(item.Loss))),
			h.Td(g.Text(v.motion(&item.Motion))), h.Td(v.became(item))))
	}
	return v.section("agenda", "안건", "Agenda", v.table("agenda", h.Tr(v.th("안건", "Item"), v.th("신청", "Claim"),
		v.numbers("매출 손실", "Sales loss"), v.th("제안", "Motion"), v.th("결과", "Result")), rows))
}

func (v *view) itemPath(meeting, item int) string {
	return fmt.Sprintf("%sclaims/council/%d/items/%d", v.root, meeting, item)
}

func (v *view) itemName(n int) string {
	return tell.Text{KO: "안건 {n}", EN: "Item {n}"}.Fill(v.Lang, "{n}", strconv.Itoa(n))
}

// motion is what is moved.
func (v *view) motion(m *vote.Motion) string {
	out := actionName(m.Action).In(v.Lang)
	if m.Pays() {
		out += ": " + v.Lang.Won(m.Amount)
	}
	if m.Declined != "" {
		out += ": " + tell.Reason(m.Declined).In(v.Lang)
	}
	return out
}

// resultOf is how an item stands, or what became of it, and whether that is good.
func (v *view) resultOf(i *council.Item) (tone, words string) {
	switch {
	case i.Open:
		return "", tell.Text{KO: "표결 중 · {n}/{of}명", EN: "open · {n} of {of} have voted"}.Fill(v.Lang,
			"{n}", strconv.Itoa(i.Now.Voted), "{of}", strconv.Itoa(i.Now.MayVote))
	case i.Outcome == nil:
		return "", v.say("표결하지 않고 끝남", "ended without a count")
	case !i.Outcome.Quorum:
		return "bad", v.say("정족수 미달", "no quorum")
	case i.Outcome.Carried:
		return "good", v.say("가결 ", "carried ") + v.votes(i.Outcome)
	default:
		return "bad", v.say("부결 ", "not carried ") + v.votes(i.Outcome)
	}
}

func (v *view) became(i *council.Item) g.Node {
	tone, words := v.resultOf(i)
	return h.Span(h.Class("chip"), g.If(tone != "", h.Data("tone", tone)), g.Text(words))
}

func (v *view) votes(o *vote.Outcome) string {
	return tell.Text{
		KO: "(찬성 {for}, 반대 {against}, 기권 {abstain}, 무표결 {silent})",
		EN: "({for} for, {against} against, {abstain} abstained, {silent} no vote)",
	}.Fill(v.Lang, "{for}", strconv.Itoa(o.For), "{against}", strconv.Itoa(o.Against), "{abstain}", strconv.Itoa(o.Abstained),
		"{silent}", strconv.Itoa(o.Silent))
}

func (v *view) attendForm(m *council.Minutes, meeting g.Node) g.Node {
	var boxes, chairs g.Group
	add := func(a council.Attendee, there bool) {
		id := "there-" + strconv.Itoa(len(boxes))
		boxes = append(boxes, h.Div(h.Class("check"),
			h.Input(h.ID(id), h.Type("checkbox"), h.Name(fieldPresent), h.Value(a.Member),
				g.If(v.chosen(ofSecretary(doAttend), fieldPresent, a.Member, there), h.Checked())),
			h.Label(h.For(id), g.Text(a.Name+" · "+tell.Affiliation(a.Affiliation).In(v.Lang)))))
		if slices.Contains(m.Rules.Chair, a.Affiliation) {
			chairs = append(chairs, h.Option(h.Value(a.Member),
				g.If(v.chosen(ofSecretary(doAttend), fieldChair, a.Member, a.Member == m.Chair), h.Selected()), g.Text(a.Name)))
		}
	}
	for _, a := range m.Present {
		add(a, true)
	}
	for _, a := range m.Absent {
		add(a, false)
	}
	return v.secretaryForm(doAttend, "출석 기록", "Note who is there", meeting,
		hidden(fieldNoted, strconv.Itoa(m.Noted)),
		h.FieldSet(h.Class("many"), h.Legend(v.t("출석한 위원", "Members who are there")), boxes),
		h.Label(h.For("attend-chair"), v.t("의장", "Chair")), h.Select(h.ID("attend-chair"), h.Name(fieldChair), chairs))
}

func (v *view) agendaForm(waiting []*store.Claim, meeting g.Node) g.Node {
	if len(waiting) == 0 {
		return h.P(h.Class("note"), v.t("상정할 신청이 없습니다. 심사 담당자가 신청을 심의위원회에 넘겨야 합니다.",
			"No claim waits for the agenda: a reviewer refers claims to the council."))
	}
	chosen := func(field, value string, otherwise bool) g.Node {
		return g.If(v.chosen(ofSecretary(doAgenda), field, value, otherwise), h.Selected())
	}
	options := g.Map(waiting, func(c *store.Claim) g.Node {
		assessed := ""
		if c.Assessment != nil {
			assessed = " · " + v.say("산정 손실 ", "assessed loss ") + v.Lang.Won(c.Assessment.Assessed)
		}
		return h.Option(h.Value(c.ID), chosen(fieldClaim, c.ID, false),
			g.Text(c.ID+" · "+tell.State(c.State).In(v.Lang)+assessed))
	})
	var motions g.Group
	for _, s := range []claims.State{claims.BeforeCouncil, claims.ObjectionBeforeCouncil} {
		if slices.ContainsFunc(waiting, func(c *store.Claim) bool { return c.State == s }) {
			for _, a := range vote.Motions(s) {
				motions = append(motions, h.Option(h.Value(string(a)), chosen(fieldMotion, string(a), false),
					g.Text(actionName(a).In(v.Lang))))
			}
		}
	}
	reasons := g.Map(claims.Reasons(), func(r claims.Reason) g.Node {
		return h.Option(h.Value(string(r)), chosen(fieldReason, string(r), r == claims.ReasonOther),
			g.Text(tell.Reason(r).In(v.Lang)))
	})
	return v.secretaryForm(
		doAgenda,
		"안건 상정",
		"Put on the agenda",
		meeting,
		h.P(h.Class("note"), v.t("아래 이유는 가결되면 신청인이 읽습니다.", "The owner reads the reason below if the motion is carried.")),
		h.Label(h.For("agenda-claim"), v.t("신청", "Claim")),
		h.Select(h.ID("agenda-claim"), h.Name(fieldClaim), options),
		h.Label(h.For("agenda-motion"), v.t("제안", "Motion")),
		h.Select(h.ID("agenda-motion"), h.Name(fieldMotion), motions),
		v.field(
			doAgenda,
			fieldAmount,
			"금액 (원, 지급하는 제안)",
			"Amount (won, of a motion to pay)",
			g.Attr("inputmode", "numeric"),
		),
		h.Label(
			h.For("agenda-reason"),
			v.t("신청인에게 알릴 사유 (지급하지 않는 제안)", "The reason that the owner is told (of a motion to decline)"),
		),
		h.Select(h.ID("agenda-reason"), h.Name(fieldReason), reasons),
	)
}
