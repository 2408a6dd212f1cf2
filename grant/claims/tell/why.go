package tell

import (
	"github.com/granter/granter/grant/claims"
)

// Line is one line of a computation.
type Line struct {
	What   string // that is computed
	How    string // with the numbers in it
	Result string
}

// Why computes a claim again and says how, line by line, up to what the rules make of it. Facts that cannot be computed are the
// error of Assess.
func Why(l Lang, p *claims.Programme, f *claims.Facts) ([]Line, error) {
	a, err := p.Assess(f)
	if err != nil {
		return nil, err
	}
	var out []Line
	for i := range a.Steps {
		s := &a.Steps[i]
		if s.Kind == claims.StepRounded && s.Terms[0].IsInt() {
			continue // nothing was rounded
		}
		how := stepWords[s.Kind]
		out = append(out, Line{how.what.In(l), how.how.Fill(l, terms(l, s)...), l.amount(s.Value)})
	}
	return append(out, Tier(l, p, f, &a)), nil
}

// Tier says which row of the table a loss belongs to, and what that row pays.
func Tier(l Lang, p *claims.Programme, f *claims.Facts, a *claims.Assessment) Line {
	proposal := p.Propose(f, a)
	out := Line{What: Text{"결정 기준", "The rule"}.In(l)}
	switch {
	case proposal.Declined != "":
		out.How, out.Result = Reason(proposal.Declined).In(l), l.Won(0)
		return out
	case proposal.Review:
		out.Result = Text{"심사해서 결정", "decided in a review"}.In(l)
	default:
		out.Result = l.Won(proposal.Pay)
	}
	basis := Text{"매출 손실", "A sales loss"}
	if p.Tiers.Basis == claims.AssessedLoss {
		basis = Text{"산정 손실", "An assessed loss"}
	}
	out.How = basis.In(l) + " " + Span(l, p.Tiers.Table, proposal.Tier-1)
	if p.Cap > 0 && proposal.Pay == p.Cap {
		out.How += Text{" (신청 한 건에 최대 {cap})", " (one claim is paid {cap} at most)"}.Fill(l, "{cap}", l.Won(p.Cap))
	}
	return out
}

// Span says which losses belong to a row.
func Span(l Lang, table []claims.Tier, i int) string {
	out := ""
	if i > 0 {
		from := Text{"{n} 이상", "from {n}"}
		if table[i-1].Inclusive {
			from = Text{"{n} 초과", "above {n}"}
		}
		out = from.Fill(l, "{n}", l.Won(table[i-1].End))
	}
	if row := &table[i]; !row.Open {
		to := Text{"{n} 미만", "below {n}"}
		if row.Inclusive {
			to = Text{"{n} 이하", "up to {n}"}
		}
		if out != "" {
			out += Text{" ", " and "}.In(l)
		}
		out += to.Fill(l, "{n}", l.Won(row.End))
	}
	return out
}

var stepWords = map[claims.StepKind]struct{ what, how Text }{
	claims.StepHighestWeek: {
		Text{"평소 주간 매출", "A usual week"},
		Text{"적어 주신 {count}개 주 가운데 가장 높은 주", "the highest of the weeks that you gave ({count})"},
	},
	claims.StepMeanWeek: {
		Text{"평소 주간 매출", "A usual week"},
		Text{"적어 주신 {count}개 주의 평균", "the mean of the weeks that you gave ({count})"},
	},
	claims.StepReported: {Text{"매출 손실", "Sales loss"}, Text{"적어 주신 금액", "as you reported it"}},
	claims.StepLoss: {
		Text{"매출 손실", "Sales loss"},
		Text{"평소 주간 {a} − 장애 주간 {b}", "a usual week, {a}, less the week of the outage, {b}"},
	},
	claims.StepProfit: {
		Text{"영업이익", "Operating profit"},
		Text{"{a} × 업종의 영업이익률 {share}", "{a} × {share}, the profit rate of the industry"},
	},
	claims.StepOwnProfit: {
		Text{"영업이익", "Operating profit"},
		Text{"{a} × 증빙하신 영업이익률 {share}", "{a} × {share}, the profit rate that you showed"},
	},
	claims.StepShare: {
		Text{"서비스 비중", "Share of the service"},
		Text{"{a} × 회사 서비스의 비중 {share}", "{a} × {share}, the company’s share"},
	},
	claims.StepAlternative: {
		Text{"대체 서비스", "Another service"},
		Text{"{a} × {share}: 다른 서비스를 쓸 수 있었음", "{a} × {share}: another service could be used"},
	},
	claims.StepRounded: {Text{"원 단위", "Whole won"}, Text{"{a}을 원 단위로", "{a} in whole won"}},
}

// terms are what a step is computed from, for its words.
func terms(l Lang, s *claims.Step) []string {
	switch s.Kind {
	case claims.StepHighestWeek, claims.StepMeanWeek:
		return []string{"{count}", s.Terms[0].RatString()}
	case claims.StepReported:
		return nil
	case claims.StepLoss:
		return []string{"{a}", l.amount(s.Terms[0]), "{b}", l.amount(s.Terms[1])}
	case claims.StepRounded:
		return []string{"{a}", l.amount(s.Terms[0])}
	default:
		return []string{"{a}", l.amount(s.Terms[0]), "{share}", Share(s.Terms[1])}
	}
}
