package owner

import (
	"slices"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// How often the earlier reports of one business are looked for, by whomever: whoever tries phones with somebody else's business
// number is told nothing more after these.
const (
	reportsPerSecond, reportsAtOnce = 0.1, 20
)

// earlier returns the reports that a business made before claims could be filed, if the phone or the e-mail that is given here is
// the one that was left then. Anybody can type a business number: without that nothing is said, not even that there is a report.
func (v *visit) earlier(unit claims.BusinessNumber, phone, email string) ([]store.Report, error) {
	if unit == "" || !v.reports.Allow(string(unit)) {
		return nil, nil
	}
	list, err := v.Store.Reports(v.ctx(), store.ReportFilter{Programme: v.Programme.Name, Unit: unit})
	return slices.DeleteFunc(list, func(r store.Report) bool {
		return r.Reporter == nil || !r.Reporter.Same(phone, email)
	}), err
}

// reportedBefore tells an owner, before the claim is handed in, that it is linked to an earlier report. The sum is not said: a
// phone may be known to others, and nobody has asked who this is yet.
func (v *visit) reportedBefore() (g.Node, error) {
	form, err := v.asked().Form()
	if err != nil {
		return nil, nil //nolint:nilerr // what is wrong with the answers is said where they are handed in
	}
	unit, err := claims.ParseBusinessNumber(form.BusinessNumber)
	if err != nil {
		return nil, nil //nolint:nilerr // as above
	}
	list, err := v.earlier(unit, form.Phone, form.Email)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return h.Div(h.Class("box"), h.ID("earlier"), h.H2(g.Text(v.t("먼저 하신 신고", "Your earlier report"))),
		v.reportLines(list, false),
		h.P(g.Text(v.t("제출하시면 이 신고와 연결됩니다. 신고만으로는 지급되지 않으니, 꼭 제출해 주세요.",
			"When you hand this in, it is linked to that. A report alone is not paid, so please hand it in.")))), nil
}

// reportedThen are the earlier reports of a claim's owner. Sums are said once tax office and bank have confirmed who that is.
func (v *visit) reportedThen(p *store.Person) g.Node {
	c := v.claim
	if p == nil {
		return nil
	}
	list, err := v.earlier(c.Unit, p.Phone, p.Email)
	if err != nil {
		v.Log.Error("earlier reports cannot be read", "claim", c.ID, "error", err)
		return nil
	}
	if len(list) == 0 {
		return nil
	}
	confirmed := c.Identity != nil && c.Identity.Complete && c.Unconfirmed(c.Identity) == nil
	return h.Div(h.ID("earlier"), h.H2(g.Text(v.t("먼저 하신 신고", "Your earlier report"))), v.reportLines(list, confirmed),
		g.If(!confirmed, h.P(h.Class("note"), g.Text(v.t("신고하신 금액은 사업자와 계좌가 확인되면 보입니다.",
			"The sum that you reported is shown when business and account are confirmed.")))))
}

func (v *visit) reportLines(list []store.Report, sums bool) g.Node {
	return h.Ul(g.Map(list, func(r store.Report) g.Node {
		text := tell.Text{KO: "{at} 신고, 신고번호 {number}", EN: "Reported on {at}, number {number}"}
		return h.Li(g.Text(text.Fill(v.lang, "{at}", v.lang.Moment(r.At, v.Programme.Zone), "{number}", r.Number)),
			g.If(sums, g.Text(v.t(" · 신고한 손실 ", " · reported loss ")+v.lang.Won(r.Loss))))
	}))
}
