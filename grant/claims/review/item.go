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

// before is an item of a meeting, with what the council sees of its claim.
type before struct {
	*known

	minutes *council.Minutes
	item    *council.Item
	all     *store.Council
}

// seat is that of the reader; nil: none.
func (b *before) seat(who *Staff) *vote.Seat {
	if seat, has := b.all.Seat(who.Name); has && who.has(claims.CouncilDuty) {
		return &seat
	}
	return nil
}

func (d *Desk) readItem(ctx context.Context, meeting, number int) (*before, error) {
	m, err := d.minutesOf(ctx, meeting)
	if err != nil {
		return nil, err
	}
	b := &before{minutes: m, known: &known{}}
	for i := range m.Items {
		if m.Items[i].Number == number {
			b.item = &m.Items[i]
		}
	}
	if b.item == nil {
		return nil, store.ErrNotFound
	}
	if b.history, err = d.Store.History(ctx, b.item.Claim); err != nil {
		return nil, err
	}
	b.Claim = store.Fold(b.history)
	if b.kept, err = d.Store.Documents(ctx, b.item.Claim); err != nil {
		return nil, err
	}
	b.all, err = d.Store.Council(ctx, d.Programme.Name)
	return b, err
}

// item shows a claim as the council sees it. History keeps which member has read it.
func (d *Desk) item(w http.ResponseWriter, r *http.Request, who Staff) {
	meeting, err := numberIn(r, fieldMeeting)
	number, numberErr := numberIn(r, fieldItem)
	if err != nil || numberErr != nil {
		d.fail(w, r, who, store.ErrNotFound)
		return
	}
	d.showItem(w, r, http.StatusOK, d.view(w, r, who), meeting, number, nil)
}

// showItem answers with the page of an item; sure is what is to be confirmed on it, if anything.
func (d *Desk) showItem(w http.ResponseWriter, r *http.Request, status int, v *view, meeting, number int, sure g.Node) {
	b, err := d.readItem(r.Context(), meeting, number)
	if err == nil {
		err = d.readsItem(r.Context(), &v.who, b)
	}
	if err != nil {
		d.fail(w, r, v.who, err)
		return
	}
	v.here = v.itemPath(meeting, number)
	d.html(w, status, func(out io.Writer) error {
		return v.page(out, v.itemName(number), v.itemHead(b), sure, v.ballot(b), v.why(b.known), v.facts(b.known), v.shown(b),
			v.toldCouncil(b))
	})
}

func (v *view) itemHead(b *before) g.Node {
	i := b.item
	pairs := g.Group{
		v.pair(
			"회의",
			"Meeting",
			h.A(h.Href(v.root+"claims/council/"+strconv.Itoa(i.Meeting)), g.Text(v.meetingName(i.Meeting))),
		),
		v.pair("신청", "Claim", h.Code(g.Text(b.ID))),
		v.pair("사업자등록번호", "Business number", g.Text(council.Masked(b.Unit))),
		v.pair("업종", "Industry", g.Text(tell.Industry(b.Facts.Industry).In(v.Lang))),
		v.pair("접수", "Received", g.Text(v.Lang.Moment(b.Received, v.desk.Programme.Zone))),
		v.pair(
			"매출 손실",
			"Sales loss",
			g.Text(v.Lang.Won(i.Loss)),
		),
		v.pair("산정 손실", "Assessed loss", g.Text(v.Lang.Won(i.Assessed))),
		v.pair("제안", "Motion", h.Strong(g.Text(v.motion(&i.Motion)))),
		v.pair("제안 이유", "Because", g.Text(i.Why)),
		v.pair("결과", "Result", v.became(i)),
	}
	recused := i.Recused
	if i.Outcome != nil {
		recused = i.Outcome.Recused
		pairs = append(pairs, v.pair("표결", "Votes", v.ballots(b.minutes, i.Outcome)))
	}
	if len(recused) > 0 {
		pairs = append(pairs, v.pair("회피", "Recused", v.recusals(b.minutes, recused)))
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "title"),
		h.H1(h.ID("title"), g.Text(v.itemName(i.Number)), g.Text(" "), v.state(b.State)), h.Dl(h.Class("pairs"), pairs))
}

// memberName is what minutes call a member, and for whom the member speaks.
func (v *view) memberName(m *council.Minutes, member string) string {
	for _, a := range slices.Concat(m.Present, m.Absent) {
		if a.Member == member {
			return a.Name + " (" + tell.Affiliation(a.Affiliation).In(v.Lang) + ")"
		}
	}
	return member
}

func (v *view) recusals(m *council.Minutes, list []vote.Recusal) g.Node {
	return h.Ul(h.Class("plain-list"), g.Map(list, func(r vote.Recusal) g.Node {
		why := r.Why
		if r.Rule {
			why = tell.Barred(why).In(v.Lang)
		}
		return h.Li(g.Text(v.memberName(m, r.Member) + ": " + why))
	}))
}

func (v *view) ballots(m *council.Minutes, o *vote.Outcome) g.Node {
	return h.Ul(h.Class("plain-list"), g.Map(o.Ballots, func(b vote.Ballot) g.Node {
		return h.Li(g.Text(v.memberName(m, b.Member)+": "), h.Strong(g.Text(tell.Choice(b.Choice).In(v.Lang))),
			g.If(b.Why != "", g.Text(" · "+b.Why)))
	}))
}

// What is done with an item.
const (
	fieldChoice = "choice"
	fieldMember = "member"
	doVote      = DoesVote
	doRecuse    = DoesRecuse
	doCount     = DoesCount
)

// ballot is what the reader can do with an item.
func (v *view) ballot(b *before) g.Node {
	if !b.item.Open {
		return nil
	}
	seat := b.seat(&v.who)
	var forms g.Group
	if seat != nil {
		forms = append(forms, v.voteForm(b, seat))
	}
	if v.who.has(claims.Secretary) {
		options := g.Map(
			b.minutes.Present,
			func(a council.Attendee) g.Node {
				return h.Option(h.Value(a.Member),
					g.If(v.chosen(ofItem(doRecuse), fieldMember, a.Member, false), h.Selected()), g.Text(a.Name))
			},
		)
		forms = append(forms, v.itemForm(
			b,
			doRecuse,
			"위원의 회피 기록",
			"Note a member’s recusal",
			true,
			h.Label(
				h.For("recuse-member"),
				v.t("위원", "Member"),
			),
			h.Select(h.ID("recuse-member"), h.Name(fieldMember), options),
		))
	}
	if v.counts(b) {
		forms = append(forms, v.itemForm(b, doCount, "표결 종료 후 집계", "Close the vote and count it", false))
	}
	if len(forms) == 0 {
		return nil
	}
	return v.section("ballot", "표결", "The vote", forms)
}

// counts reports whether the reader can have an item counted.
func (v *view) counts(b *before) bool {
	seat := b.seat(&v.who)
	return v.who.has(claims.Secretary) || seat != nil && seat.Name == b.minutes.Chair
}

// voteForm takes a member's vote, or says why the member has none.
func (v *view) voteForm(b *before, seat *vote.Seat) g.Node {
	if r, is := b.Item.IsRecused(seat.Name); is {
		return h.P(g.Text(v.say("회피하셨습니다: ", "You are recused: ") + r.Why))
	}
	if why := b.Barred(seat); why != "" {
		return h.P(g.Text(v.say("규칙에 따라 표결하지 않습니다: ", "By the rules you have no vote: ") + tell.Barred(why).In(v.Lang)))
	}
	if !slices.ContainsFunc(b.minutes.Present, func(a council.Attendee) bool { return a.Member == seat.Name }) {
		return h.P(v.t("출석하지 않은 것으로 되어 있습니다. 출석하셨다면 간사에게 말씀해 주세요.",
			"You are not noted as being there. If you are, tell the secretary."))
	}
	var mine vote.Choice
	for _, ballot := range b.Item.Votes {
		if ballot.Member == seat.Name {
			mine = ballot.Choice
		}
	}
	boxes := g.Map(vote.Choices(), func(c vote.Choice) g.Node {
		id := "vote-" + string(c)
		return h.Div(h.Class("check"), h.Input(
			h.ID(id), h.Type("radio"), h.Name(fieldChoice), h.Value(string(c)), h.Required(),
			g.If(v.chosen(ofItem(doVote), fieldChoice, string(c), c == mine), h.Checked()),
		), h.Label(h.For(id), g.Text(tell.Choice(c).In(v.Lang))))
	})
	said := g.Node(nil)
	if mine != "" {
		said = h.P(h.Role("status"), h.ID("voted"), g.Text(tell.Text{
			KO: "표결하셨습니다: {choice}. 집계 전까지 바꿀 수 있습니다.", EN: "You voted: {choice}. Until it is counted you can change that.",
		}.Fill(v.Lang, "{choice}", tell.Choice(mine).In(v.Lang))))
	}
	return g.Group{
		said,
		v.posts(v.root+"claims/council/vote",
			ofItem(doVote),
			h.Class("many"),
			h.AutoComplete("off"),
			v.itemFields(b, doVote),
			h.FieldSet(h.Class("choices"), h.Legend(g.Text(v.motion(&b.item.Motion))), boxes),
			h.Label(h.For("vote-why"), v.t("의견 (회의록에 남음, 쓰지 않아도 됨)", "Your opinion (kept in the minutes; may be empty)")),
			h.Textarea(h.ID("vote-why"), h.Name(fieldWhy), h.Rows("2"), h.MaxLength(strconv.Itoa(maxWhy)),
				g.Text(v.written(ofItem(doVote), fieldWhy, ""))),
			h.Button(h.Type("submit"), h.Class("primary"), v.t("표결하기", "Vote")),
		),
		v.itemForm(b, doRecuse, "회피하기", "Recuse yourself", true),
	}
}

func (v *view) itemFields(b *before, do string) g.Node {
	return g.Group{
		hidden(fieldDo, do), hidden(fieldMeeting, strconv.Itoa(b.item.Meeting)), hidden(fieldItem, strconv.Itoa(b.item.Number)),
	}
}

// ofItem is the form of something that is done with an item.
func ofItem(do string) string { return "do-" + do }

// itemForm is one thing that can be done with an item, folded away until it is wanted.
func (v *view) itemForm(b *before, do, ko, en string, why bool, fields ...g.Node) g.Node {
	asks := g.If(why, g.Group{
		h.Label(h.For(do+"-why"), v.t("이유 (회의록에 남음)", "Why (kept in the minutes)")),
		v.whyBox(ofItem(do), do+"-why"),
	})
	return v.folded(v.t(ko, en), v.root+"claims/council/vote", ofItem(do), v.itemFields(b, do), g.Group(fields), asks,
		g.Iff(do == doCount, func() g.Node { return v.whyStopped(claims.Approve) }),
		h.Button(h.Type("submit"), g.If(do == doCount, h.Class("danger")),
			g.Iff(do == doCount, func() g.Node { return v.stopped(claims.Approve) }), v.t(ko, en)))
}

// vote does what one of an item's forms says.
func (d *Desk) vote(w http.ResponseWriter, r *http.Request, who Staff) {
	why, err := readWhy(r)
	meeting, _ := strconv.Atoi(r.PostForm.Get(fieldMeeting)) // what is no number is no meeting
	number, _ := strconv.Atoi(r.PostForm.Get(fieldItem))
	v := d.view(w, r, who)
	b, failed := d.readItem(r.Context(), meeting, number)
	if failed != nil {
		d.fail(w, r, who, failed)
		return
	}
	if err == nil && r.PostForm.Get(fieldDo) == doCount && r.PostForm.Get(fieldSure) == "" && b.item.Open && v.counts(b) {
		d.showItem(w, r, http.StatusOK, v, meeting, number, v.confirmCount(b))
		return
	}
	if err == nil {
		act := VoteAct{
			Do: r.PostForm.Get(fieldDo), Meeting: meeting, Item: number, Choice: vote.Choice(r.PostForm.Get(fieldChoice)),
			Member: r.PostForm.Get(fieldMember), Why: why,
		}
		_, err = d.once(r, &who, "", func(ctx context.Context) error { return d.DoVote(ctx, &who, &act) })
	}
	if err == nil {
		w.Header().Set("Location", fmt.Sprintf("%d/items/%d", meeting, number))
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	if status, goOn := d.problem(w, r, v, err); goOn {
		d.showItem(w, r, status, v, meeting, number, nil)
	}
}

// confirmCount says once more what a count does.
func (v *view) confirmCount(b *before) g.Node {
	return h.Section(h.Class("card"), h.Aria("labelledby", "confirm"), h.H2(h.ID("confirm"), v.t("확인해 주세요", "Please confirm")),
		h.P(g.Text(tell.Text{
			KO: "표결할 수 있는 {of}명 가운데 {n}명이 표결했습니다. 집계한 뒤에는 아무도 표를 바꿀 수 없고, 가결되면 신청이 결정됩니다.",
			EN: "{n} of {of} who may vote have voted. When it is counted nobody can change a vote any more, and if it is " +
				"carried the claim is decided.",
		}.Fill(v.Lang, "{n}", strconv.Itoa(b.item.Now.Voted), "{of}", strconv.Itoa(b.item.Now.MayVote)))),
		v.sure(v.root+"claims/council/vote", v.itemPath(b.item.Meeting, b.item.Number), claims.Approve, v.t("집계", "Count it")))
}

// toldCouncil is what the council is told of what was done with a claim before.
func (v *view) toldCouncil(b *before) g.Node {
	var rows g.Group
	for i := len(b.history) - 1; i >= 0; i-- {
		e := &b.history[i]
		if !council.Sees(e) {
			continue
		}
		rows = append(rows, h.Tr(
			h.Th(h.Scope("row"), g.Text(v.Lang.Moment(e.At, v.desk.Programme.Zone))),
			h.Td(
				g.Text(actionName(e.Action).In(v.Lang)),
				g.Text(" → "),
				v.state(e.To),
			),
			h.Td(g.Text(dutyName(e.By.Duty).In(v.Lang))),
			h.Td(g.Text(reasonIn(v.Lang, e.Reason))),
		))
	}
	return v.section("so-far", "지금까지", "What was done before", v.table("so-far",
		h.Tr(v.th("언제", "When"), v.th("무엇을", "What"), v.th("누가", "By"), v.th("왜", "Why")), rows))
}
