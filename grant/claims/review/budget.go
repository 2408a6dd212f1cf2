package review

import (
	"context"
	"io"
	"net/http"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// The fields of the forms about the budget, and what they do.
const (
	fieldProposal = "proposal"

	doPropose       = "propose"
	doConfirmBudget = "confirm"
	doRejectBudget  = "reject"
)

// budget shows what is left of a programme's budget, and how it was amended.
func (d *Desk) budget(w http.ResponseWriter, r *http.Request, who Staff) {
	d.showBudget(w, r, http.StatusOK, d.view(w, r, who), false)
}

// showBudget answers with the page; sure: the proposal that waits is to be confirmed on it.
func (d *Desk) showBudget(w http.ResponseWriter, r *http.Request, status int, v *view, sure bool) {
	b, err := d.Store.Budget(r.Context(), d.Programme)
	if err != nil {
		d.fail(w, r, v.who, err)
		return
	}
	v.here = v.root + "claims/budget"
	d.html(w, status, func(out io.Writer) error { return v.page(out, v.say("예산", "Budget"), v.budgetParts(b, sure)...) })
}

// rebudgeting is what one of the forms says.
type rebudgeting struct {
	do       string
	old, new claims.Won
	proposal int // that is answered or, of a proposal, the one that waited when it was written; 0: none
	why      string
}

// rebudget proposes another budget, or confirms or rejects a proposal, after it was said once more what that means.
func (d *Desk) rebudget(w http.ResponseWriter, r *http.Request, who Staff) {
	said, err := readRebudgeting(r)
	v := d.view(w, r, who)
	if err == nil && r.PostForm.Get(fieldSure) == "" && said.do == doConfirmBudget {
		var b *store.Budget
		if b, err = d.Store.Budget(r.Context(), d.Programme); err == nil {
			_, err = b.Open(said.proposal)
		}
		if err == nil {
			d.showBudget(w, r, http.StatusOK, v, true)
			return
		}
	}
	if err == nil {
		_, err = d.once(r, &who, "", func(ctx context.Context) error { return d.rebudgets(ctx, said, &who) })
	}
	if err == nil {
		w.Header().Set("Location", "budget")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	if status, goOn := d.problem(w, r, v, err); goOn {
		d.showBudget(w, r, status, v, false)
	}
}

func readRebudgeting(r *http.Request) (*rebudgeting, error) {
	why, err := readWhy(r)
	if err != nil {
		return nil, err
	}
	if why == "" {
		return nil, claims.Refuse(ErrForm, "say why")
	}
	said := &rebudgeting{do: r.PostForm.Get(fieldDo), why: why}
	if said.proposal, err = strconv.Atoi(r.PostForm.Get(fieldProposal)); err != nil {
		return nil, claims.Refuse(ErrForm, "open the page again")
	}
	if said.do != doPropose {
		return said, nil
	}
	amount, err := readAmount(r)
	if err != nil {
		return nil, err
	}
	old, err := strconv.ParseInt(r.PostForm.Get(fieldOld), 10, 64)
	if err != nil || amount == nil {
		return nil, claims.Refuse(ErrForm, "say how much the budget is to be")
	}
	said.old, said.new = claims.Won(old), *amount
	return said, nil
}

func (d *Desk) rebudgets(ctx context.Context, said *rebudgeting, who *Staff) (err error) {
	by := store.Actor{Name: who.Name}
	for _, duty := range []claims.Duty{claims.Approver, claims.Secretary} {
		if by.Duty == "" && who.has(duty) {
			by.Duty = duty
		}
	}
	switch {
	case by.Duty == "":
		return claims.Illegal("another budget is for the secretary to propose, and for an approver to confirm")
	case said.do == doPropose:
		_, err = d.Store.ProposeBudget(ctx, d.Programme, said.old, said.new, &said.proposal, by, said.why)
	case said.do == doConfirmBudget, said.do == doRejectBudget:
		_, err = d.Store.AnswerBudget(ctx, d.Programme, said.proposal, said.do == doConfirmBudget, by, said.why)
	default:
		err = claims.Refuse(ErrForm, "there is nothing to do")
	}
	return err
}

func (v *view) budgetParts(b *store.Budget, sure bool) []g.Node {
	title := h.H1(h.ID("title"), v.t("예산", "Budget"))
	if b.OfRules == 0 {
		return []g.Node{h.Section(h.Class("card"), h.Aria("labelledby", "title"), title,
			h.P(v.t("이 지원사업에는 예산이 없습니다.", "This programme has no budget.")))}
	}
	won := func(ko, en string, amount claims.Won) g.Node { return v.pair(ko, en, g.Text(v.Lang.Won(amount))) }
	out := []g.Node{h.Section(h.Class("card"), h.Aria("labelledby", "title"), title,
		h.Dl(h.Class("pairs"), won("규칙에 적힌 예산", "As in the rules", b.OfRules), won("지금 예산", "Now", b.Now),
			won("지급하기로 한 금액", "Promised", b.Promised), won("지급 완료", "Settled", b.Settled),
			won("지급 중", "Reserved, under way", b.Reserved), won("남은 예산", "Left", b.Left)),
		g.If(b.Promised > b.Now, h.P(h.Class("error"), g.Text(tell.Text{
			KO: "예산이 {n} 모자랍니다. 예산을 늘리기 전에는 그만큼 지급할 수 없습니다.",
			EN: "{n} more is promised than there is: it cannot be paid before the budget is raised.",
		}.Fill(v.Lang, "{n}", v.Lang.Won(b.Promised-b.Now))))),
		h.P(h.Class("note"), v.t("한 사람이 제안하고 다른 사람이 확인해야 예산이 바뀝니다. 규칙과 규칙의 해시값은 바뀌지 않습니다.",
			"One person proposes another budget, and it counts when another one confirms it. The rules and their hash stay.")))}
	if open := b.Waiting(); open != nil {
		out = append(out, v.proposal(open, sure))
	}
	if v.who.has(claims.Secretary, claims.Approver) {
		out = append(out, v.proposeForm(b))
	}
	if len(b.Amendments) > 0 {
		out = append(out, v.amendedBudget(b))
	}
	return out
}

// proposal is one that waits, with what the reader may do about it.
func (v *view) proposal(a *store.BudgetAmendment, sure bool) g.Node {
	what := h.Dl(h.Class("pairs"), v.pair("지금 예산", "Now", g.Text(v.Lang.Won(a.Old))),
		v.pair("제안한 예산", "Proposed", h.Strong(g.Text(v.Lang.Won(a.New)))),
		v.pair("제안한 사람", "By", g.Text(a.Who+v.me(a.Who)+" · "+v.Lang.Moment(a.At, v.desk.Programme.Zone))),
		v.pair("이유", "Why", g.Text(a.Why)))
	fields := func(do string) g.Node {
		return g.Group{hidden(fieldDo, do), hidden(fieldProposal, strconv.Itoa(a.Number))}
	}
	if sure {
		return v.section("confirm", "확인해 주세요", "Please confirm", what,
			h.P(v.t("확인하면 곧바로 이 예산으로 지급합니다.", "From then on payments go by this budget.")),
			v.sure(v.root+"claims/budget", v.root+"claims/budget", claims.Approve, v.t("예산 바꾸기", "Change the budget")))
	}
	var forms g.Group
	if v.who.has(claims.Approver) && !grant.SamePerson(v.who.Name, a.Who) {
		forms = append(forms, v.folded(v.t("확인", "Confirm"), v.root+"claims/budget", "do-confirm", fields(doConfirmBudget),
			v.askWhy("do-confirm", "confirm-why"), v.whyStopped(claims.Approve), h.Button(h.Type("submit"), h.Class("danger"),
				v.stopped(claims.Approve), v.t("확인", "Confirm"))))
	}
	if v.who.has(claims.Secretary, claims.Approver) {
		forms = append(forms, v.folded(v.t("거절", "Reject"), v.root+"claims/budget", "do-reject", fields(doRejectBudget),
			v.askWhy("do-reject", "reject-why"), h.Button(h.Type("submit"), h.Class("primary"), v.t("거절", "Reject"))))
	}
	return v.section("proposal", "다른 사람의 확인을 기다리는 제안", "A proposal that waits for another person", what, forms)
}

func (v *view) proposeForm(b *store.Budget) g.Node {
	waits := 0
	if open := b.Waiting(); open != nil {
		waits = open.Number
	}
	return v.section("propose", "다른 예산 제안하기", "Propose another budget",
		v.folded(v.t("제안", "Propose"), v.root+"claims/budget", "do-propose", hidden(fieldDo, doPropose),
			hidden(fieldOld, strconv.FormatInt(int64(b.Now), 10)), hidden(fieldProposal, strconv.Itoa(waits)),
			h.Label(h.For("budget-amount"), v.t("새 예산 (원)", "The new budget (won)")),
			h.Input(h.ID("budget-amount"), h.Name(fieldAmount), h.Value(v.written("do-propose", fieldAmount, "")),
				g.Attr("inputmode", "numeric"), h.Required(), h.AutoComplete("off")),
			v.askWhy("do-propose", "propose-why"), h.Button(h.Type("submit"), h.Class("primary"), v.t("제안", "Propose"))))
}

func (v *view) amendedBudget(b *store.Budget) g.Node {
	var rows g.Group
	for i := len(b.Amendments) - 1; i >= 0; i-- {
		a := &b.Amendments[i]
		became, second := v.say("다른 제안으로 바뀜", "another proposal took its place"), ""
		switch {
		case a == b.Waiting():
			became = v.say("확인을 기다림", "waits")
		case a.Confirmed:
			became = v.say("확인됨", "confirmed")
		case !a.Waits():
			became = v.say("거절됨", "rejected")
		}
		if !a.Waits() {
			second = a.AnsweredBy + v.me(a.AnsweredBy) + ": " + a.Because
		}
		rows = append(rows, h.Tr(h.Th(h.Scope("row"), g.Text(v.Lang.Moment(a.At, v.desk.Programme.Zone))),
			h.Td(g.Text(a.Who+v.me(a.Who))), h.Td(h.Class("number"), g.Text(v.Lang.Won(a.Old))),
			h.Td(h.Class("number"), g.Text(v.Lang.Won(a.New))), h.Td(g.Text(a.Why)), h.Td(g.Text(became)), h.Td(g.Text(second))))
	}
	return v.section("amendments", "예산 변경 기록", "How the budget was amended", v.table("amendments", h.Tr(
		v.th("언제", "When"), v.th("누가", "Who"), v.numbers("전", "Before"), v.numbers("후", "After"), v.th("왜", "Why"),
		v.th("결과", "Result"), v.th("두 번째 사람", "The second person")), rows))
}
