package review

import (
	"io"
	"net/http"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/tell"
)

// minutes are a page to print: who was there, and what was decided, how and why.
func (d *Desk) minutes(w http.ResponseWriter, r *http.Request, who Staff) {
	number, err := numberIn(r, fieldMeeting)
	var m *council.Minutes
	if err == nil {
		m, err = d.readMinutes(r.Context(), &who, number)
	}
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	v := d.view(w, r, who)
	parts := []g.Node{v.minutesHead(m)}
	for i := range m.Items {
		parts = append(parts, v.minutesItem(m, &m.Items[i]))
	}
	parts = append(
		parts,
		h.Section(h.Class("card signed"), h.P(v.t("의장 서명", "Signed, the chair")), h.P(v.t("간사 서명", "Signed, the secretary"))),
	)
	title := v.say("회의록", "Minutes") + " · " + v.meetingName(number)
	d.html(w, http.StatusOK, func(out io.Writer) error { return v.page(out, title, parts...) })
}

func (v *view) minutesHead(m *council.Minutes) g.Node {
	zone := v.desk.Programme.Zone
	rows := func(list []council.Attendee, there g.Node) (out g.Group) {
		for _, a := range list {
			chairs := g.If(a.Member == m.Chair, v.t(" (의장)", " (chair)"))
			out = append(out, h.Tr(h.Th(h.Scope("row"), g.Text(a.Name), chairs),
				h.Td(g.Text(tell.Affiliation(a.Affiliation).In(v.Lang))), h.Td(there)))
		}
		return out
	}
	closed := v.t("아직 마치지 않은 회의입니다.", "The meeting has not been closed yet.")
	if !m.ClosedAt.IsZero() {
		closed = g.Text(v.Lang.Moment(m.ClosedAt, zone) + " · " + m.ClosedBy)
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "title"),
		h.H1(h.ID("title"), v.t("회의록", "Minutes"), g.Text(" · "+v.meetingName(m.Meeting))), h.P(g.Text(m.Title)),
		h.P(h.Class("note screen"), v.t("인쇄하려면 브라우저의 인쇄를 쓰세요. 메뉴는 인쇄되지 않습니다.",
			"To print it use the browser’s print: menus are left out.")),
		h.Dl(h.Class("pairs"), v.pair("언제", "When", g.Text(v.Lang.Moment(m.At, zone))), v.pair("어디서", "Where", g.Text(m.Place)),
			v.pair("소집", "Called by", g.Text(m.CalledBy)), v.pair("마침", "Closed", closed)),
		h.H2(h.ID("there"), v.t("출석", "Who was there")),
		v.narrow("there", h.Tr(v.th("위원", "Member"), v.th("소속", "Speaks for"), v.th("출석", "There")),
			g.Group{rows(m.Present, v.t("출석", "yes")), rows(m.Absent, v.t("불참", "no"))}),
		h.H2(h.ID("rules"), v.t("결정하는 규칙", "How it decides")),
		h.Ul(h.Class("plain-list"), g.Map(tell.Council(v.Lang, &m.Rules), func(s string) g.Node { return h.Li(g.Text(s)) })))
}

func (v *view) minutesItem(m *council.Minutes, i *council.Item) g.Node {
	id := "item-" + strconv.Itoa(i.Number)
	body := g.Group{
		h.Dl(
			h.Class("pairs"),
			v.pair("신청", "Claim", h.Code(g.Text(i.Claim))),
			v.pair("업종", "Industry", g.Text(tell.Industry(i.Industry).In(v.Lang))),
			v.pair(
				"매출 손실",
				"Sales loss",
				g.Text(v.Lang.Won(i.Loss)),
			),
			v.pair("산정 손실", "Assessed loss", g.Text(v.Lang.Won(i.Assessed))),
			v.pair("제안", "Motion", g.Text(v.motion(&i.Motion))),
			v.pair("결과", "Result", v.decided(i)),
			v.pair("이유", "Why", g.Text(i.Why)),
		),
	}
	if o := i.Outcome; o != nil {
		if len(o.Recused) > 0 {
			body = append(body, h.H3(v.t("회피", "Recused")), v.recusals(m, o.Recused))
		}
		rows := g.Map(o.Ballots, func(b vote.Ballot) g.Node {
			return h.Tr(h.Th(h.Scope("row"), g.Text(v.memberName(m, b.Member))), h.Td(g.Text(tell.Choice(b.Choice).In(v.Lang))),
				h.Td(g.Text(b.Why)))
		})
		body = append(body, h.H3(h.ID(id+"-votes"), v.t("표결", "Votes")),
			v.narrow(id+"-votes", h.Tr(v.th("위원", "Member"), v.th("표", "Vote"), v.th("의견", "Opinion")), rows))
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", id), h.H2(h.ID(id), g.Text(v.itemName(i.Number))), body)
}

// decided is what became of an item, in a sentence.
func (v *view) decided(i *council.Item) g.Node {
	_, words := v.resultOf(i)
	if i.Outcome != nil && i.Outcome.Carried {
		words += v.say(": 결정 = ", ": decided: ") + v.motion(&i.Motion)
	}
	return h.Strong(g.Text(words))
}
