package review

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// The fields by which somebody looks for some claims of a queue.
const (
	fieldFrom     = "from"
	fieldBefore   = "through"
	fieldLeast    = "least"
	fieldMost     = "most"
	fieldIndustry = "industry"
	fieldDays     = "days" // since they were received, at least
	fieldSignal   = "signal"
)

var filterFields = []string{fieldFrom, fieldBefore, fieldLeast, fieldMost, fieldIndustry, fieldDays, fieldSignal}

// signalKinds are those that a claim can be on hold for.
func signalKinds() []claims.SignalKind {
	return append(append([]claims.SignalKind{}, claims.Shared...), claims.JustBelow, claims.OpenedLater, claims.AbovePeers,
		claims.NotConfirmed)
}

// readFilter reads what is looked for; the fields that say so are returned as they were written.
func (d *Desk) readFilter(q url.Values, into *store.Queue) (url.Values, error) {
	said := url.Values{}
	for _, field := range filterFields {
		if value := strings.TrimSpace(q.Get(field)); value != "" {
			said.Set(field, value)
		}
	}
	var err error
	if into.From, err = readDay(said.Get(fieldFrom), d.Programme.Zone, false); err != nil {
		return said, err
	}
	if into.To, err = readDay(said.Get(fieldBefore), d.Programme.Zone, true); err != nil {
		return said, err
	}
	if text := said.Get(fieldDays); text != "" {
		days, err := strconv.Atoi(text)
		if err != nil || days < 0 || days > 10_000 {
			return said, claims.Refuse(ErrForm, "how many days? %.40q is no number of days", text)
		}
		if old := d.Now().AddDate(0, 0, -days); into.To.IsZero() || old.Before(into.To) {
			into.To = old
		}
	}
	for field, to := range map[string]**claims.Won{fieldLeast: &into.Least, fieldMost: &into.Most} {
		text := said.Get(field)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(strings.NewReplacer(",", "", "원", "", " ", "").Replace(text), 10, 64)
		if err != nil {
			return said, claims.Refuse(ErrForm, "a loss is a number of won, such as 420000, and not %.40q", text)
		}
		*to = (*claims.Won)(&n)
	}
	into.Industry = said.Get(fieldIndustry)
	into.Signal = claims.SignalKind(said.Get(fieldSignal))
	if into.Signal != "" && !contains(signalKinds(), into.Signal) {
		return said, claims.Refuse(ErrForm, "there is no signal %.40q", string(into.Signal))
	}
	return said, nil
}

// readDay is when a day begins, or ends, in a zone; zero: none is said.
func readDay(text string, zone *time.Location, end bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.ParseInLocation(time.DateOnly, text, zone)
	if err != nil {
		return at, claims.Refuse(ErrForm, "%.40q is no day such as 2023-03-02", text)
	}
	if end {
		at = at.AddDate(0, 0, 1)
	}
	return at, nil
}

// filters chooses some claims of a queue. It is open while some are chosen.
func (v *view) filters(a *asked) g.Node {
	field := func(name, ko, en string, attributes ...g.Node) g.Node {
		return h.Div(h.Label(h.For("filter-"+name), v.t(ko, en)),
			h.Input(h.ID("filter-"+name), h.Name(name), h.Value(a.filter.Get(name)), h.AutoComplete("off"), g.Group(attributes)))
	}
	won := g.Attr("inputmode", "numeric")
	chosen := a.filter.Get(fieldSignal)
	kept := url.Values{"queue": {a.queue.name}}
	if a.whose != "" {
		kept.Set(fieldWhose, a.whose)
	}
	return h.Details(h.Class("card action"), g.If(len(a.filter) > 0, g.Attr("open")), h.ID("filters"),
		h.Summary(v.t("골라 보기: 날짜, 금액, 업종, 신호", "Filter: dates, losses, industry, signals")),
		h.Form(h.Method("get"), h.Action(v.root+"claims"),
			hidden("queue", a.queue.name), g.If(a.whose != "", hidden(fieldWhose, a.whose)),
			g.If(a.tier > 0, hidden("tier", strconv.Itoa(a.tier))),
			h.Div(h.Class("search-row"),
				field(fieldFrom, "접수일, 이 날부터", "Received from", h.Type("date")),
				field(fieldBefore, "접수일, 이 날까지", "Received through", h.Type("date")),
				field(fieldDays, "접수한 지 (일, 이상)", "Received so many days ago, or more", won)),
			h.Div(h.Class("search-row"),
				field(fieldLeast, "매출 손실 (원, 이상)", "Sales loss of at least (won)", won),
				field(fieldMost, "매출 손실 (원, 이하)", "Sales loss of at most (won)", won),
				field(fieldIndustry, "업종", "Industry", h.List("industries")),
				h.DataList(h.ID("industries"), g.Map(v.desk.Programme.Industries(), func(name string) g.Node {
					return h.Option(h.Value(name))
				}))),
			h.Label(h.For("filter-signal"), v.t("보류한 신호", "On hold for this signal")),
			h.Select(h.ID("filter-signal"), h.Name(fieldSignal), h.Option(h.Value(""), v.t("모두", "Any")),
				g.Map(signalKinds(), func(kind claims.SignalKind) g.Node {
					return h.Option(h.Value(string(kind)), g.If(string(kind) == chosen, h.Selected()),
						g.Text(signalName(kind).In(v.Lang)))
				})),
			h.Div(h.Class("search-row"), h.Button(h.Type("submit"), h.Class("primary"), v.t("골라 보기", "Show these")),
				g.If(len(a.filter) > 0, h.A(h.Href(v.root+"claims?"+kept.Encode()), v.t("모두 보기", "Show all"))))))
}
