package review

import (
	"net/http"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
	"github.com/granter/granter/grant/text"
)

// readsReports is reads that names earlier reports, too.
func (d *Desk) readsReports(r *http.Request, who *Staff, what store.ReadWhat, list []store.Report, ids ...string) error {
	line := who.Reading(what, "", ids...)
	line.Programme, line.Reports = d.Programme.Name, store.ReportNumbers(list)
	return d.Store.Read(r.Context(), line)
}

// readReports reads the earlier reports of a claim's business and, for whoever may see who owners are, whether those who made
// them left the contact that the claim has; not that contact itself.
func (d *Desk) readReports(r *http.Request, who *Staff, k *known) (err error) {
	if k.Unit == "" { // purged
		return nil
	}
	k.reports, err = d.Store.Reports(r.Context(), store.ReportFilter{Programme: k.Programme, Unit: k.Unit})
	if err == nil && len(k.reports) > 0 && who.seesPeople() {
		k.owner, err = d.Store.Person(r.Context(), k.ID)
	}
	return err
}

// reported are the earlier reports of the business, beside what the claim says now.
func (v *view) reported(k *known) g.Node {
	if len(k.reports) == 0 {
		return nil
	}
	rows := g.Map(k.reports, func(r store.Report) g.Node {
		differs := g.Text("")
		if k.Assessment != nil {
			differs = g.Text(v.difference(int64(k.Assessment.SalesLoss - r.Loss)))
		}
		return h.Tr(h.Data("report", r.Number), h.Th(h.Scope("row"), h.Code(g.Text(r.Number))),
			h.Td(h.Class("number"), g.Text(v.Lang.Won(r.Loss))), h.Td(h.Class("number"), differs),
			h.Td(g.Text(v.Lang.Moment(r.At, v.desk.Programme.Zone))), h.Td(g.Text(v.sameContact(k, &r))))
	})
	return v.section("earlier", "이전 신고", "Earlier reports",
		h.P(h.Class("note"), v.t("신고는 지급 금액에 영향을 주지 않습니다.", "A report changes no amount.")),
		v.table("earlier", h.Tr(v.th("신고번호", "Report"), v.numbers("신고한 손실", "Reported loss"),
			v.numbers("신청과의 차이", "Claim less report"), v.th("신고한 때", "Reported"), v.th("연락처", "Contact")), rows))
}

// difference is by how much a claim says more or less than a report.
func (v *view) difference(won int64) string {
	if won > 0 {
		return tell.Text{KO: "+{n}원", EN: "+{n} won"}.Fill(v.Lang, "{n}", text.Number(won))
	}
	return tell.Text{KO: "{n}원", EN: "{n} won"}.Fill(v.Lang, "{n}", text.Number(won))
}

// sameContact says whether a report has the contact of the claim.
func (v *view) sameContact(k *known, r *store.Report) string {
	switch {
	case r.Reporter == nil:
		return v.say("삭제됨", "erased")
	case k.owner == nil:
		return ""
	case r.Reporter.Same(k.owner.Phone, k.owner.Email):
		return v.say("신청과 같음", "the claim’s")
	default:
		return v.say("신청과 다름", "not the claim’s")
	}
}

// reportItems are reports in a list of what was found.
func reportItems(l tell.Lang, root string, d *Desk, list []store.Report) g.Node {
	return g.Map(list, func(r store.Report) g.Node {
		filed := h.Span(h.Class("chip"), g.Text(t(l, "신청하지 않음", "no claim")))
		if r.Claim != "" {
			filed = g.Group{h.A(h.Href(root+"claims/"+r.Claim), h.Code(g.Text(r.Claim))), g.Text(" "), stateChip(l, r.State)}
		}
		return h.Li(h.Data("report", r.Number), g.Text(t(l, "이전 신고 ", "Earlier report ")), h.Code(g.Text(r.Number)),
			g.Text(" "+r.Unit.String()+" · "+t(l, "신고 ", "reported ")+l.Moment(r.At, d.Programme.Zone)+" · "+
				""+l.Won(r.Loss)+" · "), filed)
	})
}

// foundReports are the earlier reports of a business that somebody looked for.
func (v *view) foundReports(list []store.Report) g.Node {
	if len(list) == 0 {
		return nil
	}
	return v.section("earlier", "이전 신고", "Earlier reports",
		h.Ul(h.Class("plain-list"), reportItems(v.Lang, v.root, v.desk, list)))
}

// becameOfReports is what became of those who reported before claims could be filed.
func (v *view) becameOfReports(n *store.ReportCounts) g.Node {
	if n.Reports == 0 {
		return nil
	}
	of := func(count int) g.Node {
		share := tell.Text{KO: "{n} ({share}%)", EN: "{n} ({share}%)"}
		return g.Text(share.Fill(v.Lang, "{n}", text.Number(count), "{share}",
			strconv.FormatFloat(100*float64(count)/float64(max(n.Businesses, 1)), 'f', 1, 64)))
	}
	return v.section("reported", "먼저 신고한 사업자", "Businesses that reported before", h.Dl(h.Class("pairs"),
		v.pair("신고한 사업자", "Reported", g.Text(text.Number(n.Businesses)+v.say("곳, 신고 ", " businesses, in ")+
			text.Number(n.Reports)+v.say("건", " reports"))),
		v.pair("신고한 손실 합계", "Reported losses together", g.Text(v.Lang.Won(n.Loss))),
		v.pair("신청함", "Handed in a claim", of(n.Filed)),
		v.pair("지급받음", "Were paid", of(n.Paid)),
		v.pair("신청하지 않음", "Handed in none", of(n.NotFiled)),
		v.pair("안내를 보낸 신고", "Reports reminded of", g.Text(text.Number(n.Reminded)))))
}

// rows are the same for a spreadsheet, as simulate.Report has its own.
func reportRows(n *store.ReportCounts) [][]string {
	if n.Reports == 0 {
		return nil
	}
	row := func(name string, count int, won string) []string {
		return []string{"reported", "", name, strconv.Itoa(count), won}
	}
	return [][]string{
		row("reports", n.Reports, strconv.FormatInt(int64(n.Loss), 10)), row("businesses", n.Businesses, ""),
		row("filed", n.Filed, ""), row("paid", n.Paid, ""), row("not filed", n.NotFiled, ""), row("reminded", n.Reminded, ""),
	}
}
