package review

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/simulate"
	"github.com/granter/granter/grant/claims/tell"
	"github.com/granter/granter/grant/programme"
	"github.com/granter/granter/grant/text"
)

const (
	fieldProposed = "proposed"
	fieldFormat   = "format"
)

// statistics shows how losses are distributed, what each tier costs and, for a programme that somebody proposes, what would
// become of that. Nobody's name or number is in it, and nothing is changed.
func (d *Desk) statistics(w http.ResponseWriter, r *http.Request, who Staff) {
	v := d.view(w, r, who)
	source := r.PostFormValue(fieldProposed)
	proposed, err := d.Programme, error(nil)
	if strings.TrimSpace(source) != "" {
		proposed, err = programme.Parse(t(v.Lang, "제안", "proposal"), []byte(source))
		if err != nil {
			err = claims.Refuse(ErrForm, "the proposed programme cannot be read: %w", err)
		}
	}
	var report *simulate.Report
	if err == nil {
		report, err = simulate.Of(r.Context(), d.Store, d.Programme, proposed)
	}
	v.here = v.root + "claims/statistics"
	counts, countErr := d.Store.CountReports(r.Context(), d.Programme.Name)
	if err == nil || errors.Is(err, simulate.ErrNothing) {
		err = cmp.Or(countErr, err)
	}
	status := http.StatusOK
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		status, v.Problem = http.StatusServiceUnavailable, v.say(
			"신청이 많아 페이지에서 계산할 수 없습니다. granter claims simulate로 계산해 주세요.",
			"There are too many claims to compute this on a page: use granter claims simulate.")
	case errors.Is(err, ErrForm):
		v.Problem, status = d.explained(v.Lang, err)
	case err != nil && !errors.Is(err, simulate.ErrNothing):
		d.fail(w, r, who, err)
		return
	case r.FormValue(fieldFormat) == "csv":
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="statistics.csv"`)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		_ = report.WriteCSV(w, reportRows(&counts)...) // the client may have gone
		return
	}
	d.html(w, status, func(out io.Writer) error {
		return v.page(out, v.say("통계", "Statistics"), v.distribution(report), v.becameOfReports(&counts),
			v.costs(report, proposed), v.propose(source))
	})
}

// distribution is how losses are spread.
func (v *view) distribution(r *simulate.Report) g.Node {
	title := h.H1(h.ID("title"), v.t("통계", "Statistics"))
	if r == nil || r.Losses.Count == 0 {
		return h.Section(h.Class("card"), h.Aria("labelledby", "title"), title,
			h.P(v.t("아직 손실이 있는 신청이 없습니다.", "No claim has a loss yet.")), v.asCSV())
	}
	l := &r.Losses
	pairs := g.Group{
		v.pair("신청", "Claims", g.Text(text.Number(int64(r.Claims))+v.say("건, 취소 ", ", withdrawn ")+
			text.Number(int64(r.Withdrawn)))),
		v.pair("손실이 있는 신청", "With a loss", g.Text(text.Number(int64(l.Count)))),
		v.pair("매출 손실 합계", "Sales losses together", g.Text(v.Lang.Won(l.Sum))),
		v.pair("중앙값", "Median", g.Text(v.Lang.Won(l.Quantiles["p50"]))),
	}
	for _, q := range slices.Sorted(maps.Keys(l.Quantiles)) {
		if q != "p50" {
			pairs = append(pairs, v.pair("하위 "+q[1:]+"%", q[1:]+"% are at most", g.Text(v.Lang.Won(l.Quantiles[q]))))
		}
	}
	most := 0
	for _, b := range l.Histogram {
		most = max(most, b.Count)
	}
	rows := make(g.Group, 0, len(l.Histogram))
	for _, b := range l.Histogram {
		span := tell.Text{KO: "{from} 이상 {below} 미만", EN: "from {from}, below {below}"}
		if b.Below == 0 {
			span = tell.Text{KO: "{from} 이상", EN: "from {from}"}
		}
		rows = append(rows, h.Tr(
			h.Th(h.Scope("row"), g.Text(span.Fill(v.Lang, "{from}", v.Lang.Won(b.From), "{below}", v.Lang.Won(b.Below)))),
			h.Td(h.Class("number"), g.Text(text.Number(int64(b.Count)))),
			h.Td(g.El("meter", g.Attr("min", "0"), g.Attr("max", strconv.Itoa(most)), g.Attr("value", strconv.Itoa(b.Count)),
				h.Aria("label", strconv.Itoa(b.Count))))))
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "title"), title, h.Dl(h.Class("pairs"), pairs),
		h.H2(h.ID("losses"), v.t("매출 손실의 분포", "How the sales losses are spread")),
		v.narrow("losses", h.Tr(v.th("매출 손실", "Sales loss"), v.numbers("신청", "Claims"), v.th("막대", "Bar")), rows),
		v.asCSV())
}

func (v *view) asCSV() g.Node {
	return h.P(h.A(h.Href(v.root+"claims/statistics?"+fieldFormat+"=csv"), g.Attr("download"),
		v.t("CSV로 받기", "Download as CSV")))
}

// costs are what the programme in force comes to and, if there is one, a proposed one.
func (v *view) costs(r *simulate.Report, proposed *claims.Programme) g.Node {
	if r == nil {
		return nil
	}
	present := v.costOf("present", v.say("지금 규칙의 비용", "What the rules in force cost"), v.desk.Programme, &r.Present)
	if proposed == v.desk.Programme {
		return present
	}
	n := func(count int, won claims.Won) string { return text.Number(int64(count)) + " · " + v.Lang.Won(won) }
	change := g.Group{
		v.pair("더 받는 신청", "Would get more", g.Text(n(r.More, r.Gain))),
		v.pair("덜 받는 신청", "Would get less", g.Text(n(r.Less, r.Cut))),
		v.pair("그대로", "The same", g.Text(text.Number(int64(r.Same)))),
		v.pair("사람이 결정", "People decide", g.Text(text.Number(int64(r.Unknown)))),
	}
	return g.Group{present, v.costOf("proposed-cost", v.say("제안한 규칙의 비용", "What the proposed rules would cost"), proposed,
		&r.Proposed),
		v.section("change", "누가 더 받고 덜 받나", "Who would get more, and who less", h.Dl(h.Class("pairs"), change))}
}

// resultRows are what one programme comes to.
func (v *view) resultRows(p *claims.Programme, r *simulate.Result) (rows g.Group) {
	row := func(name, count string, won claims.Won, review bool) {
		amount := v.Lang.Won(won)
		if review {
			amount += v.say(" (사람이 결정)", " (people decide)")
		}
		rows = append(rows, h.Tr(h.Th(h.Scope("row"), g.Text(name)), h.Td(h.Class("number"), g.Text(count)),
			h.Td(h.Class("number"), g.Text(amount))))
	}
	for i, t := range r.Tiers {
		row(v.say("구간 ", "Tier ")+strconv.Itoa(t.Tier)+" · "+tell.Span(v.Lang, p.Tiers.Table, i),
			text.Number(int64(t.Claims)), t.Cost, t.Review)
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Declined)) {
		row(tell.Reason(claims.Reason(reason)).In(v.Lang), text.Number(int64(r.Declined[reason])), 0, false)
	}
	row(v.say("합계", "Together"), "", r.Cost+r.Reviewed, false)
	if r.Budget > 0 {
		row(v.say("남는 예산", "Left of the budget"), "", r.Left, false)
	}
	return rows
}

func (v *view) costOf(id, title string, p *claims.Programme, r *simulate.Result) g.Node {
	short := g.Node(nil)
	if r.Left < 0 {
		short = h.P(h.Class("error"), g.Text(v.say("예산이 모자랍니다: ", "The budget does not suffice, by ")+v.Lang.Won(-r.Left)))
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", id), h.H2(h.ID(id), g.Text(title)), short,
		v.narrow(id, h.Tr(v.th("구간", "Tier"), v.numbers("신청", "Claims"), v.numbers("비용", "Cost")), v.resultRows(p, r)))
}

// narrow is a table of few columns, which a phone shows whole.
func (v *view) narrow(label string, head, rows g.Node) g.Node {
	return scrolled("scroll few", label, head, rows)
}

// numbers is the heading of a column of numbers.
func (v *view) numbers(ko, en string) g.Node {
	return h.Th(h.Scope("col"), h.Class("number"), v.t(ko, en))
}

// propose takes a programme that somebody thinks of.
func (v *view) propose(source string) g.Node {
	return v.section("propose", "다른 규칙이면?", "What if the rules were others?",
		h.P(h.Class("note"), v.t("규칙 파일 전체를 붙여 넣으세요. 계산만 하고, 아무것도 바꾸지 않습니다.",
			"Paste a whole programme. It is only computed: nothing is changed.")),
		v.posts(v.root+"claims/statistics", "propose-form", h.Class("many"),
			h.Label(h.For(fieldProposed), v.t("제안하는 규칙 (YAML)", "The proposed programme (YAML)")),
			h.Textarea(h.ID(fieldProposed), h.Name(fieldProposed), h.Rows("10"), g.Attr("spellcheck", "false"), h.Required(),
				g.Text(source)),
			h.Div(h.Class("search-row"),
				h.Button(h.Type("submit"), h.Class("primary"), h.ID("compute"), v.t("계산하기", "Compute")),
				h.Button(h.Type("submit"), h.Name(fieldFormat), h.Value("csv"), v.t("CSV로 받기", "Download as CSV")))))
}
