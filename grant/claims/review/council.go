package review

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// The paths of the council.
const (
	pathCouncil = Path + "/council"
	pathMeeting = pathCouncil + "/{meeting}"
	pathItem    = pathMeeting + "/items/{item}"
	pathShown   = pathItem + "/documents/{digest}"
	pathVote    = pathCouncil + "/vote"
	pathMinutes = Path + "/minutes/{meeting}"
)

// ForCouncil reports whether a page is for members of the council, too: what is on it says nothing about who owners are.
func ForCouncil(pattern string) bool {
	_, path, _ := strings.Cut(pattern, " ")
	return path == Path || path == pathMinutes || path == pathCouncil || strings.HasPrefix(path, pathCouncil+"/")
}

// onlyCouncil reports whether somebody is here as a member of the council alone, and so sees its pages and no others.
func (s *Staff) onlyCouncil() bool {
	return len(s.Duties) > 0 && !slices.ContainsFunc(s.Duties, func(d claims.Duty) bool { return d != claims.CouncilDuty })
}

// start is where somebody begins: with the queues or, as a member, with the council.
func (d *Desk) start(w http.ResponseWriter, r *http.Request, who Staff) {
	if !who.onlyCouncil() {
		d.queue(w, r, who)
		return
	}
	w.Header().Set("Location", "claims/council")
	w.WriteHeader(http.StatusSeeOther)
}

// council shows who is on it, how it decides, and its meetings.
func (d *Desk) council(w http.ResponseWriter, r *http.Request, who Staff) {
	d.showCouncil(w, r, http.StatusOK, d.view(w, r, who))
}

func (d *Desk) showCouncil(w http.ResponseWriter, r *http.Request, status int, v *view) {
	c, err := d.Store.Council(r.Context(), d.Programme.Name)
	if err != nil {
		d.fail(w, r, v.who, err)
		return
	}
	v.here = v.root + "claims/council"
	d.html(w, status, func(out io.Writer) error {
		return v.page(out, v.say("심의위원회", "The council"), v.councilParts(c)...)
	})
}

func (v *view) councilParts(c *store.Council) []g.Node {
	title := h.H1(h.ID("title"), v.t("심의위원회", "The council"))
	rules := v.desk.Programme.Council
	if rules == nil {
		return []g.Node{h.Section(h.Class("card"), h.Aria("labelledby", "title"), title,
			h.P(v.t("이 지원사업에는 심의위원회가 없습니다.", "This programme has no council.")))}
	}
	sentences := g.Map(tell.Council(v.Lang, rules), func(s string) g.Node { return h.Li(g.Text(s)) })
	out := []g.Node{
		h.Section(h.Class("card"), h.Aria("labelledby", "title"), title, h.Ul(h.Class("plain-list"), sentences)),
		v.meetings(c), v.members(c),
	}
	if v.who.has(claims.Secretary) {
		out = append(
			out,
			v.section("secretary", "간사가 하는 일", "What the secretary does", v.callForm(), v.joinForm(), v.leaveForm(c)),
		)
	}
	return out
}

func (v *view) meetings(c *store.Council) g.Node {
	if len(c.Meetings) == 0 {
		return v.section("meetings", "회의", "Meetings", h.P(v.t("아직 회의가 없습니다.", "There has been no meeting yet.")))
	}
	var rows g.Group
	for i := len(c.Meetings) - 1; i >= 0; i-- {
		m := &c.Meetings[i]
		n := strconv.Itoa(m.Meeting)
		rows = append(rows, h.Tr(
			h.Th(h.Scope("row"), h.A(h.Href(v.root+"claims/council/"+n), g.Text(v.meetingName(m.Meeting)))),
			h.Td(g.Text(v.Lang.Moment(m.At, v.desk.Programme.Zone))), h.Td(g.Text(m.Place)),
			h.Td(h.Class("number"), g.Text(strconv.Itoa(len(m.Items)))), h.Td(v.meetingState(m.ClosedAt, len(m.Present)))))
	}
	return v.section("meetings", "회의", "Meetings", v.table(
		"meetings",
		h.Tr(
			v.th("회의", "Meeting"),
			v.th("언제", "When"),
			v.th("어디서", "Where"),
			v.numbers("안건", "Items"),
			v.th("지금", "Now"),
		),
		rows,
	))
}

func (v *view) meetingName(n int) string {
	return tell.Text{KO: "{n}차 회의", EN: "Meeting {n}"}.Fill(v.Lang, "{n}", strconv.Itoa(n))
}

func (v *view) meetingState(closed time.Time, there int) g.Node {
	switch {
	case !closed.IsZero():
		return h.Span(h.Class("chip"), v.t("마침", "closed"))
	case there > 0:
		return h.Span(h.Class("chip"), h.Data("tone", "good"), v.t("진행 중", "going on"))
	default:
		return h.Span(h.Class("chip"), v.t("예정", "to come"))
	}
}

func (v *view) members(c *store.Council) g.Node {
	rows := make(g.Group, 0, len(c.Members))
	for i := range c.Members {
		m := &c.Members[i]
		until := ""
		if !m.Until.IsZero() {
			until = v.Lang.Moment(m.Until, v.desk.Programme.Zone)
		}
		rows = append(rows, h.Tr(h.Th(h.Scope("row"), g.Text(council.ShownAs(m.Seat)+v.me(m.Name))),
			h.Td(g.Text(tell.Affiliation(m.Affiliation).In(v.Lang))),
			h.Td(g.Text(v.Lang.Moment(m.Since, v.desk.Programme.Zone))), h.Td(g.Text(until))))
	}
	if len(rows) == 0 {
		return v.section("members", "위원", "Members", h.P(v.t("아직 위원이 없습니다.", "Nobody has a seat yet.")))
	}
	return v.section("members", "위원", "Members", v.table("members",
		h.Tr(v.th("위원", "Member"), v.th("소속", "Speaks for"), v.th("위촉", "Since"), v.th("해촉", "Until")), rows))
}

// The fields of the secretary's forms.
const (
	fieldDo          = "do"
	fieldMeeting     = "meeting"
	fieldItem        = "item"
	fieldName        = "name"
	fieldShown       = "shown"
	fieldAffiliation = "affiliation"
	fieldBusiness    = "business"
	fieldAt          = "at"
	fieldPlace       = "place"
	fieldPresent     = "present"
	fieldChair       = "chair"
	fieldNoted       = "noted"
	fieldClaim       = "claim"
	fieldMotion      = "motion"
)

// What the secretary does.
const (
	doJoin   = "join"
	doLeave  = "leave"
	doCall   = "call"
	doAttend = "attend"
	doAgenda = "agenda"
	doClose  = "close"
)

// ofSecretary is the form of something that the secretary does.
func ofSecretary(do string) string { return "council-" + do }

// secretaryForm is one thing that the secretary can do, folded away until it is wanted.
func (v *view) secretaryForm(do, ko, en string, fields ...g.Node) g.Node {
	return v.folded(v.t(ko, en), v.root+"claims/council", ofSecretary(do), hidden(fieldDo, do), g.Group(fields),
		v.askWhy(ofSecretary(do), do+"-why"),
		h.Button(h.Type("submit"), h.Class("primary"), v.t(ko, en)))
}

// field is a line of text in a form of the secretary's.
func (v *view) field(do, name, ko, en string, more ...g.Node) g.Node {
	id := do + "-" + name
	return g.Group{
		h.Label(h.For(id), v.t(ko, en)),
		h.Input(h.ID(id), h.Name(name), h.Value(v.written(ofSecretary(do), name, "")), g.Group(more)),
	}
}

func (v *view) callForm() g.Node {
	return v.secretaryForm(doCall, "회의 소집", "Call a meeting",
		h.Label(h.For("call-at"), g.Text(v.say("언제 (", "When (")+v.desk.Programme.Zone.String()+")")),
		h.Input(h.ID("call-at"), h.Type("datetime-local"), h.Name(fieldAt), h.Value(v.written(ofSecretary(doCall), fieldAt, "")),
			h.Required()),
		v.field(doCall, fieldPlace, "어디서", "Where", h.Required()))
}

func (v *view) joinForm() g.Node {
	options := g.Map(v.desk.Programme.Council.Affiliations, func(a claims.Affiliation) g.Node {
		return h.Option(h.Value(string(a)), g.If(v.chosen(ofSecretary(doJoin), fieldAffiliation, string(a), false), h.Selected()),
			g.Text(tell.Affiliation(a).In(v.Lang)))
	})
	return v.secretaryForm(doJoin, "위원 위촉", "Give somebody a seat",
		v.field(doJoin, fieldName, "로그인하는 이름", "The name by which the member signs in", h.Required()),
		v.field(doJoin, fieldShown, "회의록에 쓸 이름", "The name in minutes"),
		h.Label(h.For("join-affiliation"), v.t("소속", "Speaks for")),
		h.Select(h.ID("join-affiliation"), h.Name(fieldAffiliation), options),
		v.field(doJoin, fieldBusiness, "위원 자신의 사업자등록번호 (있으면)", "A business number of the member’s own, if any",
			g.Attr("inputmode", "numeric")))
}

func (v *view) leaveForm(c *store.Council) g.Node {
	var options g.Group
	for i := range c.Members {
		if m := &c.Members[i]; m.Until.IsZero() {
			options = append(options, h.Option(h.Value(m.Name),
				g.If(v.chosen(ofSecretary(doLeave), fieldName, m.Name, false), h.Selected()), g.Text(council.ShownAs(m.Seat))))
		}
	}
	if len(options) == 0 {
		return nil
	}
	return v.secretaryForm(doLeave, "위원 해촉", "End a seat",
		h.Label(h.For("leave-name"), v.t("위원", "Member")), h.Select(h.ID("leave-name"), h.Name(fieldName), options))
}

// secretary does what one of the secretary's forms says.
func (d *Desk) secretary(w http.ResponseWriter, r *http.Request, who Staff) {
	act, err := readCouncilAct(r)
	if err == nil {
		_, err = d.once(r, &who, "", func(ctx context.Context) error { return d.DoSecretary(ctx, &who, act) })
	}
	v := d.view(w, r, who)
	if err == nil {
		to := "council"
		if act.Meeting > 0 {
			to += "/" + strconv.Itoa(act.Meeting)
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	status, goOn := d.problem(w, r, v, err)
	if !goOn {
		return
	}
	number, _ := strconv.Atoi(r.PostForm.Get(fieldMeeting)) // 0: it is about none
	if _, err := d.minutesOf(r.Context(), number); err == nil {
		d.showMeeting(w, r, status, v, number)
		return
	}
	d.showCouncil(w, r, status, v)
}

// readCouncilAct reads what one of the secretary's forms says.
func readCouncilAct(r *http.Request) (*CouncilAct, error) {
	why, err := readWhy(r)
	if err != nil {
		return nil, err
	}
	f := r.PostForm
	act := &CouncilAct{
		Do: f.Get(fieldDo), Why: why, Name: f.Get(fieldName), Shown: f.Get(fieldShown),
		Affiliation: claims.Affiliation(f.Get(fieldAffiliation)), At: f.Get(fieldAt), Place: f.Get(fieldPlace),
		Chair: f.Get(fieldChair), Present: f[fieldPresent], Claim: f.Get(fieldClaim),
	}
	act.Meeting, _ = strconv.Atoi(f.Get(fieldMeeting)) // what is no number is no meeting
	if b := strings.TrimSpace(f.Get(fieldBusiness)); b != "" {
		act.Businesses = []string{b}
	}
	if act.Do == doAttend {
		noted, err := strconv.Atoi(f.Get(fieldNoted))
		if err != nil {
			return nil, claims.Refuse(ErrForm, "open the page again")
		}
		act.Noted = &noted
	}
	if act.Do == doAgenda {
		var m vote.Motion
		m, err = readMotion(r)
		act.Motion = &m
	}
	return act, err
}

// readMotion reads what is moved. An amount, or a reason, of another motion is none of this one.
func readMotion(r *http.Request) (m vote.Motion, err error) {
	m.Action = claims.Action(r.PostForm.Get(fieldMotion))
	if m.Pays() {
		var amount *claims.Won
		if amount, err = readAmount(r); err == nil && amount != nil {
			m.Amount = *amount
		}
	}
	if m.Action == claims.Decline {
		m.Declined = claims.Reason(r.PostForm.Get(fieldReason))
	}
	return m, err
}
