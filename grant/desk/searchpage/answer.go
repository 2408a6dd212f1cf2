package searchpage

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
)

func digits(user grant.UserID) string { return user.String() }

// answers are those of one user in full, or of many in a table.
func (v *View) answers() g.Node {
	switch len(v.Answers) {
	case 0:
		return nil
	case 1:
		return v.one(v.Pasted.Users[0].User, v.Answers[0])
	}
	t := v.words()
	return h.Div(h.Class("card"),
		h.Div(h.Class("heading"), h.H2(h.ID("answers-title"), g.Text(t.users(len(v.Answers))))),
		h.Div(h.Class("scroll"), h.Role("region"), h.Aria("labelledby", "answers-title"), h.TabIndex("0"),
			h.Table(h.Class("answers"),
				h.THead(h.Tr(h.Th(h.Scope("col"), g.Text(t.userColumn)), h.Th(h.Scope("col"), g.Text(t.hasColumn)),
					h.Th(h.Scope("col"), g.Text(t.lacksColumn)))),
				h.TBody(g.Map(v.Answers, v.row)),
			),
		),
	)
}

// row is one user of many.
func (v *View) row(answers []lookup.Answer) g.Node {
	var has, lacks g.Group
	for i := range answers {
		a := &answers[i]
		if a.Granted && a.Lost() == "" {
			has = append(has, h.Li(v.title(a), g.Text(" "), v.when(*a.GrantedAt, a.Zone())))
			continue
		}
		lacks = append(lacks, h.Li(v.title(a), g.Text(": "), g.Text(a.Reasons[0].Says.In(v.Lang))))
	}
	user := v.userOf(answers)
	return h.Tr(h.Th(h.Scope("row"), h.A(h.Href(v.address(user)), g.Text(digits(user)))),
		h.Td(h.Ul(has)), h.Td(h.Ul(lacks)))
}

func (v *View) userOf(answers []lookup.Answer) grant.UserID {
	if len(answers) == 0 {
		return grant.NumberID(0)
	}
	return answers[0].User
}

// one is everything about one user: the answer first.
func (v *View) one(user grant.UserID, answers []lookup.Answer) g.Node {
	t := v.words()
	if len(answers) == 0 {
		return h.Section(h.Class("card"), h.H2(g.Text(t.user(user))), h.P(g.Text(t.noCampaigns)))
	}
	granted, unknown := 0, 0
	for i := range answers {
		if !answers[i].Known {
			unknown++
		}
		if answers[i].Granted && answers[i].Lost() == "" {
			granted++
		}
	}
	return g.Group{
		h.Section(h.Class("card"), h.Aria("labelledby", "user-title"),
			h.Div(h.Class("heading"), h.H2(h.ID("user-title"), g.Text(t.user(user))),
				h.A(h.Href(v.address(user)), g.Text(t.link))),
			h.P(h.ID("verdict"), h.Class("verdict"), g.Text(t.verdict(granted, unknown, len(answers)))),
			g.Map(numbered(answers), func(n numberedAnswer) g.Node { return v.answer(n) }),
		),
		v.timeline(answers),
	}
}

type numberedAnswer struct {
	*lookup.Answer
	id string // prefix of IDs on the page
}

func numbered(answers []lookup.Answer) []numberedAnswer {
	out := make([]numberedAnswer, len(answers))
	for i := range answers {
		out[i] = numberedAnswer{&answers[i], fmt.Sprintf("a%d", i)}
	}
	return out
}

// answer is one campaign: whether it was granted, the items or the reasons, and folded away what that follows from.
func (v *View) answer(a numberedAnswer) g.Node {
	t := v.words()
	state, tone := t.notGranted, "warn"
	switch {
	case !a.Known:
		state, tone = t.notKnown, "bad"
	case a.Lost() != "":
		state, tone = t.lost(a.Lost()), "bad"
	case a.Granted:
		state, tone = t.granted, "good"
	case len(a.Reasons) > 0 && a.Reasons[0].Code == lookup.Excluded:
		state, tone = t.excluded(), "bad"
	}
	return h.Article(h.Class("answer"), h.Data("campaign", a.Campaign), h.Aria("labelledby", a.id),
		h.H3(h.ID(a.id), h.Span(h.Class("chip"), h.Data("tone", tone), g.Text(state)), g.Text(" "), v.title(a.Answer)),
		g.Iff(a.Granted, func() g.Node { return h.P(g.Text(t.since+" "), v.when(*a.GrantedAt, a.Zone())) }),
		g.If(len(a.Entitlements) > 0, h.Ul(h.Class("items"), g.Map(a.Entitlements, v.item))),
		g.If(len(a.Reasons) > 0, h.Ul(h.Class("reasons"), g.Map(a.Reasons, v.reason))),
		g.Iff(a.SpecDiffers != nil, func() g.Node { return h.P(h.Class("note"), g.Text(t.specDiffers)) }),
		v.acts(a.Answer),
		v.mayDo(a.Answer),
		v.reply(a),
		v.source(a.Answer),
		v.trace(a.Answer),
		v.receipt(a.Answer),
	)
}

// receipt is a link to what shows the user, or anybody, that it was granted.
func (v *View) receipt(a *lookup.Answer) g.Node {
	if !a.Granted || v.Receipts == nil || !v.Receipts(a.Campaign) {
		return nil
	}
	t := v.words()
	return h.P(h.A(h.Class("receipt"), h.Href(v.address(a.User)+"/receipts/"+a.Campaign), h.Download(""), g.Text(t.receipt)),
		g.Text(" "), h.Span(h.Class("note"), g.Text(t.receiptHelp)))
}

// title is a campaign's, in the language that it is written in.
func (v *View) title(a *lookup.Answer) g.Node {
	title := a.Title
	if title == "" {
		title = a.Campaign
	}
	if lang := languageOf(title); lang != "" && lang != v.Lang {
		return h.Span(h.Lang(string(lang)), g.Text(title))
	}
	return h.Span(g.Text(title))
}

// languageOf is the language of what people wrote, which need not be the page's; empty: it may be any.
func languageOf(text string) lookup.Lang {
	for _, r := range text {
		if r >= '가' && r <= '힣' {
			return lookup.Korean
		}
	}
	return ""
}

// when is a time by the campaign's clock and, if it shows another, by the reader's.
func (v *View) when(at time.Time, zone *time.Location) g.Node {
	at = at.In(zone)
	return g.Group{h.Time(h.DateTime(at.Format(time.RFC3339)), g.Text(v.Lang.Moment(at))), v.here(at)}
}

// here is a time by the reader's clock, if that shows another than where the time is from; else nothing.
func (v *View) here(at time.Time) g.Node {
	if v.Zone == nil {
		return nil
	}
	here := at.In(v.Zone)
	_, theirs := at.Zone()
	if _, mine := here.Zone(); mine == theirs {
		return nil
	}
	return h.Span(h.Class("note"), g.Text(" "+v.words().here(v.Lang.Moment(here))))
}

func (v *View) item(e lookup.Entitlement) g.Node {
	t := v.words()
	tone := "plain"
	switch e.State {
	case grant.StateActive:
		tone = "good"
	case grant.StateOffered:
		tone = "info"
	case grant.StateRevoked, grant.StateRecalled:
		tone = "bad"
	case grant.StateExpired, grant.StateLapsed, grant.StateExhausted:
	}
	what := t.kind(e.Kind)
	if e.Amount > 0 {
		what += " " + v.Lang.Number(e.Amount) + " " + e.Currency
	}
	return h.Li(h.Span(h.Class("chip"), h.Data("tone", tone), g.Text(t.state(e.State))), g.Text(" "), h.Strong(g.Text(e.ID)),
		g.Text(" · "+what+" · "+lookup.Standing(&e).In(v.Lang)+v.left(&e)), v.itemHere(&e))
}

// itemHere is the moment that an item's standing names by the reader's clock, if that shows another.
func (v *View) itemHere(e *lookup.Entitlement) g.Node {
	at := e.ExpiresAt
	switch e.State {
	case grant.StateActive, grant.StateExpired:
	case grant.StateOffered, grant.StateLapsed:
		at = e.TakeUntil
	case grant.StateExhausted, grant.StateRevoked, grant.StateRecalled:
		return nil
	}
	if at == nil {
		return nil
	}
	return v.here(*at)
}

// left says how long an item is still held.
func (v *View) left(e *lookup.Entitlement) string {
	if e.State != grant.StateActive || e.ExpiresAt == nil {
		return ""
	}
	return " " + v.words().left(int64(e.ExpiresAt.Sub(v.Now)/(24*time.Hour)))
}

func (v *View) reason(r lookup.Reason) g.Node {
	t := v.words()
	return h.Li(h.Data("code", string(r.Code)),
		h.P(h.Strong(g.Text(r.Says.In(v.Lang)))),
		h.P(g.Text(t.next+" "+r.Next.In(v.Lang))),
		g.If(r.Detail != "", h.P(h.Class("note"), g.Text(t.detail+" "),
			h.Span(h.Class("said"), h.Lang(string(cmp.Or(languageOf(r.Detail), lookup.English))), g.Text(r.Detail)))),
		g.Iff(r.Lag != nil, func() g.Node { return v.lag(r.Lag) }),
		h.P(h.Class("note"), h.Code(g.Text(string(r.Code)))),
	)
}

const mostPartitions = 12 // of a lag that are listed

func (v *View) lag(lag *lookup.Lag) g.Node {
	t := v.words()
	list := lag.Partitions
	rest := 0
	if len(list) > mostPartitions {
		list, rest = list[:mostPartitions], len(list)-mostPartitions
	}
	return folded("", t.lagTitle, h.Ul(h.Class("plain-list"),
		g.Map(list, func(b lookup.Behind) g.Node { return h.Li(g.Text(t.behind(&b))) }),
		g.If(rest > 0, h.Li(g.Text(t.more(rest)))),
	))
}

// acts are what colleagues did about the user, and noted for the next one.
func (v *View) acts(a *lookup.Answer) g.Node {
	t := v.words()
	moment := func(at time.Time) string { return v.Lang.Moment(at.In(a.Zone())) }
	said := func(lead, words string) g.Node {
		if words == "" {
			return h.Li(g.Text(lead+" "), h.Em(g.Text(t.in("(the reason was erased)", "(사유 삭제됨)"))))
		}
		return h.Li(g.Text(lead+" "), h.Q(g.If(languageOf(words) != v.Lang && languageOf(words) != "",
			h.Lang(string(languageOf(words)))), g.Text(words)))
	}
	var out g.Group
	if a.Granted && a.By != nil {
		out = append(out, said(t.by(moment(a.By.At), a.By), a.By.Reason))
	}
	if a.State != nil {
		if from := a.State.MovedFrom; from != nil {
			out = append(out, h.Li(h.A(h.Href(v.address(*from)), g.Text(t.movedFrom(*from)))))
		}
		if to := a.State.MovedTo; to != nil {
			out = append(out, h.Li(h.A(h.Class("moved"), h.Href(v.address(*to)), g.Text(t.movedTo(*to)))))
		}
		for _, n := range a.State.Notes {
			out = append(out, said(t.note(moment(n.At), n.Who), n.Reason))
		}
		if e := a.State.Erased; e != nil {
			out = append(out, said(t.erased(moment(e.At), e.Who), e.Reason))
		}
	}
	if len(out) == 0 {
		return nil
	}
	return h.Ul(h.Class("acts"), out)
}

// folded is something that is shown when somebody asks for it.
func folded(class, title string, inside ...g.Node) g.Node {
	return h.Details(g.If(class != "", h.Class(class)), h.Aria("label", title), h.Summary(g.Text(title)), g.Group(inside))
}

// reply is what to write to the customer, in each language, to be copied.
func (v *View) reply(a numberedAnswer) g.Node {
	t := v.words()
	langs := []lookup.Lang{v.Lang}
	for _, l := range lookup.Langs() {
		if l != v.Lang {
			langs = append(langs, l)
		}
	}
	out := make(g.Group, 0, len(langs))
	for _, l := range langs {
		id := a.id + "-reply-" + string(l)
		text := a.Reply(l)
		out = append(out, h.Div(h.Class("reply"),
			h.Label(h.For(id), g.Text(t.replyIn(l))),
			h.Textarea(h.ID(id), h.Lang(string(l)), h.ReadOnly(),
				h.Rows(strconv.Itoa(strings.Count(text, "\n")+2)), g.Text(text)),
			h.Button(h.Type("button"), h.Class("copy"), h.Data("copies", id), h.Hidden(""), g.Text(t.copyText)),
			h.Span(h.Class("note copied"), h.Role("status")),
		))
	}
	return folded("replies", t.replyTitle, out)
}

// source is where a grant came from, for engineers.
func (v *View) source(a *lookup.Answer) g.Node {
	if a.Source == nil {
		return nil
	}
	t, s := v.words(), a.Source
	row := func(name, value string) g.Node {
		return g.If(value != "", h.Div(h.Dt(g.Text(name)), h.Dd(h.Code(g.Text(value)))))
	}
	var ranges g.Group
	for _, r := range s.Offsets {
		ranges = append(ranges, row(t.record, fmt.Sprintf("%s %d: %d–%d", s.Topic, r.Partition, r.First, r.Last)))
	}
	return folded("", t.sourceTitle, h.Dl(h.Class("source"),
		row(t.run, s.Run.String()), row(t.replica, s.Replica), row(t.version, s.Version), row(t.pass, s.Pass),
		row(t.flush, fmt.Sprintf("%d/%d", s.Shard, s.Flush)), ranges, row(t.topicID, s.TopicID),
	))
}

// timeline is what happened to the user over all campaigns.
func (v *View) timeline(answers []lookup.Answer) g.Node {
	t := v.words()
	events := lookup.Timeline(answers)
	if len(events) == 0 {
		return nil
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "timeline-title"),
		h.H2(h.ID("timeline-title"), g.Text(t.timelineTitle)),
		h.Ol(h.ID("timeline"), h.Class("timeline"), g.Map(events, func(e lookup.Event) g.Node {
			a := lookup.Answer{Campaign: e.Campaign, Title: e.Title}
			return h.Li(g.If(e.At.After(v.Now), h.Class("coming")), h.Span(v.when(e.At, e.At.Location())),
				h.Span(h.Strong(g.Text(t.happens(e.What, e.At.After(v.Now)))), g.Text(" "), v.title(&a),
					g.If(e.Item != "", g.Text(" · "+e.Item))))
		})),
	)
}
