package review

import (
	"cmp"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
	"github.com/granter/granter/grant/text"
)

// queue is a list that somebody works through.
type queue struct {
	name   string
	title  tell.Text
	states []claims.State // none: all
}

var queues = []queue{
	{"on_hold", tell.Text{KO: "보류: 확인할 신호", EN: "On hold: signals to judge"}, []claims.State{claims.OnHold}},
	{"in_review", tell.Text{KO: "심사", EN: "In review"}, []claims.State{claims.InReview}},
	{"council", tell.Text{KO: "심의위원회", EN: "Before the council"},
		[]claims.State{claims.BeforeCouncil, claims.ObjectionBeforeCouncil}},
	{"second_look", tell.Text{KO: "무작위 재확인", EN: "Second looks"}, []claims.State{claims.SecondLook}},
	{"objections", tell.Text{KO: "이의 신청", EN: "Objections"}, []claims.State{claims.Objected}},
	{"rules", tell.Text{KO: "자동 확인 중", EN: "With the rules"}, []claims.State{claims.Received, claims.Checking}},
	{"owner", tell.Text{KO: "신청인 차례", EN: "Waiting for the owner"}, []claims.State{claims.DocumentsMissing, claims.Asked}},
	{"payment", tell.Text{KO: "지급 대기", EN: "To be paid"},
		[]claims.State{claims.Approved, claims.Upheld, claims.PartlyUpheld, claims.PaymentReturned}},
	{"bank", tell.Text{KO: "은행 처리 중", EN: "At the bank"}, []claims.State{claims.PaymentSent}},
	{"done", tell.Text{KO: "끝남", EN: "Done"},
		[]claims.State{claims.Paid, claims.Declined, claims.Withdrawn, claims.Recouped, claims.Rejected}},
	{"all", tell.Text{KO: "전체", EN: "All"}, nil},
}

const perPage = 50

// Whose claims of a queue are shown.
const (
	fieldWhose  = "whose"
	whoseMine   = "mine"
	whoseNobody = "nobody"
)

// asked is what somebody wants to see.
type asked struct {
	queue queue
	tier  int
	whose string // mine, nobody; empty: all
	find  string
	after store.Place

	filter url.Values // as it was written
}

func (a *asked) address(after *store.Place) string {
	q := url.Values{"queue": {a.queue.name}}
	if a.tier > 0 {
		q.Set("tier", strconv.Itoa(a.tier))
	}
	if a.whose != "" {
		q.Set(fieldWhose, a.whose)
	}
	maps.Copy(q, a.filter)
	if after != nil && after.ID != "" {
		q.Set("after", base64.RawURLEncoding.EncodeToString(
			[]byte(strconv.FormatInt(after.Received.UnixMicro(), 10)+" "+after.ID)))
	}
	return "?" + q.Encode()
}

func readAsked(q url.Values) (a asked, err error) {
	a.queue, a.find = queues[0], strings.TrimSpace(q.Get("find"))
	name := cmp.Or(q.Get("queue"), a.queue.name)
	for i := range queues {
		if queues[i].name == name {
			a.queue = queues[i]
		}
	}
	if a.queue.name != name {
		return a, claims.Refuse(ErrForm, "there is no queue %.40q", name)
	}
	if tier := q.Get("tier"); tier != "" {
		if a.tier, err = strconv.Atoi(tier); err != nil || a.tier < 0 {
			return a, claims.Refuse(ErrForm, "the tier is a number, not %.40q", tier)
		}
	}
	if a.whose = q.Get(fieldWhose); !contains([]string{"", whoseMine, whoseNobody}, a.whose) {
		return a, claims.Refuse(ErrForm, "whose wants to be %s or %s", whoseMine, whoseNobody)
	}
	if after := q.Get("after"); after != "" {
		data, err := base64.RawURLEncoding.DecodeString(after)
		micros, id, ok := strings.Cut(string(data), " ")
		n, numErr := strconv.ParseInt(micros, 10, 64)
		if err != nil || numErr != nil || !ok {
			return a, claims.Refuse(ErrForm, "this page of the list cannot be found: begin at the first one")
		}
		a.after = store.Place{Received: time.UnixMicro(n), ID: id}
	}
	return a, nil
}

// queue shows a queue, or leads to the claim whose number somebody typed.
func (d *Desk) queue(w http.ResponseWriter, r *http.Request, who Staff) {
	d.showQueue(w, r, http.StatusOK, d.view(w, r, who), r.URL.Query())
}

func (d *Desk) showQueue(w http.ResponseWriter, r *http.Request, status int, v *view, q url.Values) {
	who := v.who
	a, err := readAsked(q)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	filter := store.Queue{Programme: d.Programme.Name, States: a.queue.states, Tier: a.tier, After: a.after, Limit: perPage}
	if a.filter, err = d.readFilter(q, &filter); err != nil {
		d.fail(w, r, who, err)
		return
	}
	switch a.whose {
	case whoseMine:
		filter.Assigned = &who.Name
	case whoseNobody:
		filter.Assigned = new(string)
	}
	var earlier []store.Report
	if a.find != "" {
		unit, err := d.unitOf(r, a.find)
		if err != nil {
			d.fail(w, r, who, err)
			return
		}
		if unit == "" {
			w.Header().Set("Location", "claims/"+url.PathEscape(a.find))
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		a.queue = queues[len(queues)-1]
		filter = store.Queue{Programme: d.Programme.Name, Unit: unit, Limit: perPage}
		if earlier, err = d.Store.Reports(r.Context(), store.ReportFilter{Programme: d.Programme.Name, Unit: unit}); err != nil {
			d.fail(w, r, who, err)
			return
		}
	}
	lines, all, err := d.Store.InQueue(r.Context(), filter)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	ids := store.IDs(lines)
	if err := d.readsReports(r, &who, store.ReadList, earlier, ids...); err != nil {
		d.fail(w, r, who, err)
		return
	}
	stays, err := d.Store.Stays(r.Context(), ids)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	counts, err := d.Store.Counts(r.Context(), d.Programme.Name)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	v.query = q
	d.html(w, status, func(out io.Writer) error {
		return v.page(out, a.queue.title.In(v.Lang), v.finder(a.find), v.foundReports(earlier), v.queueLinks(&a, counts),
			v.whose(&a),
			v.filters(&a), v.list(&a, lines, all, stays))
	})
}

// unitOf is the business that a text means: by its number, or by that of an earlier report; empty: it is a claim's number, if
// any.
func (d *Desk) unitOf(r *http.Request, find string) (claims.BusinessNumber, error) {
	if unit, err := claims.ParseBusinessNumber(find); err == nil {
		return unit, nil
	}
	if lines, err := d.Store.Find(r.Context(), d.Programme.Name, store.ByClaim, find); err != nil || len(lines) > 0 {
		return "", err
	}
	report, err := d.Store.Report(r.Context(), d.Programme.Name, find)
	if errors.Is(err, store.ErrNoReport) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return report.Unit, nil
}

// finder takes a claim's number, a business number, or the number of an earlier report.
func (v *view) finder(find string) g.Node {
	return h.Form(h.Method("get"), h.Action(v.root+"claims"), h.Role("search"), h.Class("card"),
		h.Label(h.For("find"), v.t("신청 번호, 사업자등록번호 또는 신고번호", "Number of a claim, a business, or an earlier report")),
		h.Div(h.Class("search-row"),
			h.Input(h.ID("find"), h.Name("find"), h.Value(find), h.AutoComplete("off"), h.Required()),
			h.Button(h.Type("submit"), h.Class("primary"), v.t("찾기", "Find"))))
}

func (v *view) queueLinks(a *asked, counts map[claims.State]store.Count) g.Node {
	items := g.Map(queues, func(q queue) g.Node {
		n := 0
		for state, c := range counts {
			if len(q.states) == 0 || contains(q.states, state) {
				n += c.Claims
			}
		}
		to := asked{queue: q}
		return h.Li(h.A(h.Href(v.root+"claims"+to.address(nil)), g.If(q.name == a.queue.name, h.Aria("current", "page")),
			g.Text(q.title.In(v.Lang)), g.Text(" "), h.Span(h.Class("chip"), g.Text(text.Number(n)))))
	})
	return h.Nav(h.Class("card"), h.Aria("label", v.say("목록", "Queues")), h.Ul(h.Class("queues"), items))
}

// whose chooses among all claims of a queue, those that the reader sees to, and those that nobody does.
func (v *view) whose(a *asked) g.Node {
	choice := func(whose, ko, en string) g.Node {
		to := *a
		to.whose = whose
		return h.Li(h.A(h.Href(v.root+"claims"+to.address(nil)), g.If(whose == a.whose, h.Aria("current", "true")), v.t(ko, en)))
	}
	return h.Nav(h.Class("card"), h.Aria("label", v.say("담당", "Seen to by")), h.Ul(h.Class("queues"),
		choice("", "모두", "Everybody's"), choice(whoseMine, "내 담당", "Mine"), choice(whoseNobody, "담당 없음", "Nobody's")))
}

// list is a page of a queue; those that one decision can be given for together have boxes to tick.
func (v *view) list(a *asked, lines []store.Line, all int, stays map[string][]claims.Stay) g.Node {
	title := h.H1(h.ID("title"), g.Text(a.queue.title.In(v.Lang)), g.Text(" "),
		h.Span(h.Class("note"), g.Text(text.Number(int64(all)))))
	if len(lines) == 0 {
		return h.Section(
			h.Class("card"),
			h.Aria("labelledby", "title"),
			title,
			h.P(v.t("여기에는 아무것도 없습니다.", "There is nothing here.")),
		)
	}
	together := v.together(a.queue.states)
	head := h.Tr(
		g.If(len(together) > 0, h.Th(h.Scope("col"), h.Span(h.Class("visually-hidden"), v.t("고르기", "Choose")))),
		v.th("신청", "Claim"), v.th("사업자", "Business"), v.th("상태", "State"), v.th("구간", "Tier"), v.numbers("매출 손실", "Sales loss"),
		v.th("담당", "Seen to by"), v.th("접수", "Received"), v.th("기다린 시간", "Waited"))
	var rows g.Group
	for i := range lines {
		l := &lines[i]
		waited := claims.Waited(stays[l.ID], v.now)
		rows = append(rows, h.Tr(
			g.If(len(together) > 0, h.Td(h.Input(h.Type("checkbox"), h.Name(fieldClaim), h.Value(l.ID),
				g.If(v.chosen(formMany, fieldClaim, l.ID, false), h.Checked()), h.Aria("label", v.say("고르기 ", "Choose ")+l.ID)))),
			h.Th(h.Scope("row"), h.A(h.Href(v.root+"claims/"+l.ID), h.Code(g.Text(l.ID)))),
			h.Td(g.Text(l.Unit.String())),
			h.Td(v.state(l.State)),
			h.Td(g.If(l.Tier > 0, g.Text(strconv.Itoa(l.Tier)))),
			h.Td(h.Class("number"), g.If(l.Tier > 0, g.Text(v.Lang.Won(l.Loss)))),
			h.Td(g.Text(l.Assigned+v.me(l.Assigned))),
			h.Td(g.Text(v.Lang.Moment(l.Received, v.desk.Programme.Zone))),
			h.Td(v.waited(waited, l.State)),
		))
	}
	table := h.Div(h.Class("scroll"), h.TabIndex("0"), h.Role("group"), h.Aria("labelledby", "title"),
		h.Table(h.THead(head), h.TBody(rows)))
	var next g.Node
	if len(lines) == perPage {
		last := lines[len(lines)-1].Place()
		next = h.P(h.A(h.Rel("next"), h.Href(v.root+"claims"+a.address(&last)), v.t("다음 쪽", "Next page")))
	}
	if len(together) == 0 {
		return h.Section(h.Class("card"), title, table, next)
	}
	return h.Section(h.Class("card"), title, v.posts(v.root+"claims/many", formMany,
		hidden(fieldBack, a.address(&a.after)), table, next, v.manyForm(together)))
}

// waited is how long the owner has waited for others, and whether that is too long.
func (v *view) waited(d time.Duration, s claims.State) g.Node {
	if s.Final() {
		return nil
	}
	words := v.span(d)
	if v.desk.Within > 0 && d > v.desk.Within {
		return h.Span(h.Class("chip"), h.Data("tone", "bad"), g.Text(v.say("늦음: ", "late: ")+words))
	}
	if !s.Turn().Counts() {
		return h.Span(g.Text(words), h.Span(h.Class("note"), v.t(" (정지)", " (stopped)")))
	}
	return g.Text(words)
}

// span is a length of time to the largest unit that says enough.
func (v *view) span(d time.Duration) string {
	switch {
	case d < time.Hour:
		return tell.Text{KO: "{n}분", EN: "{n} min"}.Fill(v.Lang, "{n}", strconv.Itoa(int(d.Minutes())))
	case d < 48*time.Hour:
		return tell.Text{KO: "{n}시간", EN: "{n} h"}.Fill(v.Lang, "{n}", strconv.Itoa(int(d.Hours())))
	default:
		return tell.Text{KO: "{n}일", EN: "{n} days"}.Fill(v.Lang, "{n}", strconv.Itoa(int(d.Hours()/24)))
	}
}
