package balance

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/text"
)

// words are what a report says, in the language of who reads it.
type words struct {
	title, budget, promised, settled, sent, declared, owed, returned, left, unanswered, change, amended string
	verdicts                                                                                            map[Verdict]string
}

var english = words{
	"Money of %s at %s\n\n", "budget", "promised", "settled", "sent, not answered", "declared, not sent", "owed, not declared",
	"came back", "left of the budget", "payments to ask the bank about", "since the report before",
	"the budget was %s won, and is %s since %s: %s proposed it (%s), %s confirmed it (%s)\n",
	map[Verdict]string{
		Agrees: "AGREES: promised = settled + sent + declared + owed, to the won, by the claims, the payments and the books",
		Doubts: "DOUBTS: the sums agree, and answers of the bank do not fit:",
		Wrong:  "WRONG: sums do not agree:",
	},
}

var korean = words{
	"%s 지급 현황, %s\n\n", "예산", "지급 결정", "지급 완료", "송금 요청, 미확인", "지급 예정, 미송금", "결정, 미편성",
	"반송", "예산 잔액", "은행에 확인할 지급", "직전 보고 이후",
	"예산이 %s원에서 %s원으로 %s에 바뀌었습니다: %s님 제안 (%s), %s님 확인 (%s)\n",
	map[Verdict]string{
		Agrees: "일치: 지급 결정 = 완료 + 요청 + 예정 + 미편성, 신청·지급·장부 기준으로 1원까지 맞습니다",
		Doubts: "확인 필요: 합계는 맞지만 맞지 않는 은행 답변이 있습니다:",
		Wrong:  "불일치: 합계가 맞지 않습니다:",
	},
}

// Print writes a report for people, and how it differs from the one before, if there is one. Languages are ko and en.
func (r *Report) Print(w io.Writer, before *Report, lang string) error {
	s := &english
	if lang == "ko" {
		s = &korean
	}
	fmt.Fprintf(w, s.title, r.Programme, r.At.Format("2006-01-02 15:04:05 MST"))
	rows := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	var was []claims.Won
	if before != nil {
		was = before.amounts()
		fmt.Fprintf(rows, "\twon\t%s\t\n", s.change)
	}
	names := []string{s.budget, s.promised, s.settled, s.sent, s.declared, s.owed, s.returned, s.left}
	for i, amount := range r.amounts() {
		fmt.Fprintf(rows, "%s\t%s\t", names[i], text.Number(int64(amount)))
		if was != nil {
			fmt.Fprintf(rows, "%s\t", signed(amount-was[i]))
		}
		fmt.Fprintln(rows)
	}
	if err := rows.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s: %d\n%s\n", s.unanswered, len(r.Unanswered), s.verdicts[r.Verdict])
	for _, a := range r.Amended {
		fmt.Fprintf(w, s.amended, text.Number(int64(a.Old)), text.Number(int64(a.New)), text.Moment(a.AnsweredAt), a.Who, a.Why,
			a.AnsweredBy, a.Because)
	}
	for _, d := range r.Books.Doubts {
		fmt.Fprintf(w, "  %s, %s: %s\n", d.Payment, d.Answer, d.What)
	}
	for _, wrong := range r.Books.Wrong {
		fmt.Fprintf(w, "  %s\n", wrong)
	}
	return nil
}

// amounts are the lines of a report.
func (r *Report) amounts() []claims.Won {
	left := claims.Won(0)
	if r.Budget > 0 {
		left = r.Budget - r.Reserved - r.Settled
	}
	return []claims.Won{
		r.Budget, r.Promised, r.Settled, r.States["sent"].Gross, r.States["declared"].Gross, r.Owed,
		r.States["returned"].Gross, left,
	}
}

func signed(a claims.Won) string {
	if a > 0 {
		return "+" + text.Number(int64(a))
	}
	return text.Number(int64(a))
}
