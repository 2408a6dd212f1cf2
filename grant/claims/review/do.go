package review

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/decide"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// The fields of the forms.
const (
	fieldAction = "action"
	fieldWhy    = "why"
	fieldAmount = "amount"
	fieldReason = "reason"
	fieldSeq    = "seq" // the entry up to which the claim was read: who decides about something else is told
	fieldTo     = "to"
	fieldSure   = "sure" // of what was shown to be confirmed
)

const maxWhy = 2000 // characters

// possible are the steps that somebody may take from where a claim is. Money is sent and settled by payments, and never here.
func possible(s claims.State, who *Staff) (out []claims.Transition) {
	for _, t := range claims.Transitions() {
		duty := dutyFor(&t, who)
		if t.From != s || decide.Reserved(t.Action) || duty == "" || duty == claims.CouncilDuty { // members vote elsewhere
			continue
		}
		out = append(out, t)
	}
	return out
}

// dutyFor is the duty in which somebody may take a step; empty: in none.
func dutyFor(t *claims.Transition, who *Staff) claims.Duty {
	for _, d := range t.By {
		if who.has(d) {
			return d
		}
	}
	return ""
}

// final are the steps that are shown once more before they are taken.
func final(a claims.Action) bool {
	switch a {
	case claims.Approve, claims.Decline, claims.Uphold, claims.PartlyUphold, claims.Reject, claims.Withdraw, claims.Recoup:
		return true
	default:
		return false
	}
}

func takesAmount(a claims.Action) bool {
	return a == claims.Approve || a == claims.Uphold || a == claims.PartlyUphold
}

// decisions are the forms of what the reader may do now.
func (v *view) decisions(k *known) g.Node {
	var forms g.Group
	for _, t := range possible(k.State, &v.who) {
		forms = append(forms, v.form(k, &t))
	}
	if len(v.who.Duties) > 0 && !k.State.Final() {
		forms = append(forms, v.form(k, &claims.Transition{From: k.State, Action: store.HandOver, To: k.State, Reason: true}))
	}
	if len(v.who.Duties) > 0 {
		forms = append(forms, v.form(k, &claims.Transition{From: k.State, Action: store.Note, To: k.State, Reason: true}))
	}
	if len(forms) == 0 {
		return nil
	}
	return v.section("decide", "할 수 있는 일", "What you can do", forms)
}

func (v *view) form(k *known, t *claims.Transition) g.Node {
	a := t.Action
	id := func(field string) string { return string(a) + "-" + field }
	name, form := actionName(a).In(v.Lang), "do-"+string(a)
	return v.folded(
		g.Text(name), v.root+"claims/"+k.ID+"/do", form,
		hidden(fieldAction, string(a)),
		hidden(fieldSeq, strconv.Itoa(k.Seq)),
		g.Iff(takesAmount(a), func() g.Node {
			value := ""
			switch {
			case k.First != nil:
				value = strconv.FormatInt(int64(*k.First), 10)
			case k.Proposal != nil && !k.Proposal.Review && k.Proposal.Pay > 0:
				value = strconv.FormatInt(int64(k.Proposal.Pay), 10)
			}
			return g.Group{
				h.Label(h.For(id(fieldAmount)), v.t("금액 (원)", "Amount (won)")),
				h.Input(
					h.ID(id(fieldAmount)),
					h.Name(fieldAmount),
					h.Value(v.written(form, fieldAmount, value)),
					g.Attr("inputmode", "numeric"),
					h.Required(),
				),
			}
		}),
		g.Iff(a == claims.Decline, func() g.Node {
			options := g.Map(claims.Reasons(), func(r claims.Reason) g.Node {
				return h.Option(
					h.Value(string(r)),
					g.If(v.chosen(form, fieldReason, string(r), r == claims.ReasonOther), h.Selected()),
					g.Text(tell.Reason(r).In(v.Lang)),
				)
			})
			return g.Group{h.Label(h.For(id(fieldReason)), v.t("신청인에게 알릴 사유", "The reason that the owner is told")),
				h.Select(h.ID(id(fieldReason)), h.Name(fieldReason), options)}
		}),
		g.Iff(a == store.HandOver, func() g.Node { return v.colleagues(form, id(fieldTo), k.Assigned) }),
		h.Label(h.For(id(fieldWhy)), v.whyLabel(a)),
		h.Textarea(
			h.ID(id(fieldWhy)),
			h.Name(fieldWhy),
			h.Rows("2"),
			h.MaxLength(strconv.Itoa(maxWhy)),
			g.If(t.Reason, h.Required()),
			g.Text(v.written(form, fieldWhy, "")),
		),
		v.whyStopped(a),
		h.Button(h.Type("submit"), g.If(!final(a), h.Class("primary")), g.If(final(a), h.Class("danger")), v.stopped(a),
			g.Text(name)),
	)
}

// folded is a form for one thing that can be done, folded away until it is wanted.
func (v *view) folded(name g.Node, action, id string, parts ...g.Node) g.Node {
	return h.Details(h.Class("action"), g.If(v.refused(id), g.Attr("open")), h.Summary(name),
		v.posts(action, id, h.AutoComplete("off"), g.Group(parts)))
}

// colleagues chooses to whom a claim is handed over: one of those who are known or, where others sign in, any name.
func (v *view) colleagues(form, id, now string) g.Node {
	label := h.Label(h.For(id), v.t("누구에게", "To whom"))
	var options g.Group
	for _, name := range v.who.Colleagues {
		if name != now {
			options = append(options, h.Option(h.Value(name), g.If(v.chosen(form, fieldTo, name, false), h.Selected()),
				g.Text(name+v.me(name))))
		}
	}
	if !v.who.Others {
		return g.Group{label, h.Select(h.ID(id), h.Name(fieldTo), h.Required(), options)}
	}
	list := id + "-list"
	return g.Group{
		label, h.Input(h.ID(id), h.Name(fieldTo), h.Value(v.written(form, fieldTo, "")), h.List(list), h.Required()),
		h.DataList(h.ID(list), options),
	}
}

// me says behind a name that it is the reader's own.
func (v *view) me(name string) string {
	if name == v.who.Name {
		return v.say(" (나)", " (me)")
	}
	return ""
}

func hidden(name, value string) g.Node {
	return h.Input(h.Type("hidden"), h.Name(name), h.Value(value))
}

// whyBox is where somebody writes why, in a form.
func (v *view) whyBox(form, id string) g.Node {
	return h.Textarea(h.ID(id), h.Name(fieldWhy), h.Rows("2"), h.MaxLength(strconv.Itoa(maxWhy)), h.Required(),
		g.Text(v.written(form, fieldWhy, "")))
}

// askWhy asks why something is done that history keeps.
func (v *view) askWhy(form, id string) g.Node {
	return g.Group{
		h.Label(h.For(id), v.t("이유 (기록에 남음, 개인정보를 쓰지 말 것)", "Why (kept in history; write no personal data)")),
		v.whyBox(form, id),
	}
}

func (v *view) whyLabel(a claims.Action) g.Node {
	switch a {
	case claims.Ask:
		return v.t("신청인에게 보낼 질문", "The question to the owner")
	case claims.Decline, claims.Reject, claims.Approve, claims.Uphold, claims.PartlyUphold:
		return v.t("설명 (신청인이 읽음, 개인정보를 쓰지 말 것)", "Explanation (the owner reads it; write no personal data)")
	case store.Note:
		return v.t("메모 (다음 담당자가 읽음, 개인정보를 쓰지 말 것)", "Note (for the next colleague; write no personal data)")
	default:
		return v.t("이유 (기록에 남음, 개인정보를 쓰지 말 것)", "Why (kept in history; write no personal data)")
	}
}

// decision is what a form says.
type decision struct {
	action claims.Action
	why    string
	amount *claims.Won
	reason claims.Reason
	to     string
	seq    int
	sure   bool
}

// readWhy reads what history keeps for ever.
func readWhy(r *http.Request) (string, error) { return readableWhy(r.PostFormValue(fieldWhy)) }

func readableWhy(why string) (string, error) {
	why = strings.TrimSpace(why)
	if len([]rune(why)) > maxWhy {
		return "", claims.Refuse(ErrForm, "the text is longer than %d characters", maxWhy)
	}
	if err := resident.Refuse("the text", why, true); err != nil {
		return "", claims.Refuse(ErrForm, "%w", err)
	}
	return why, nil
}

// readAmount reads an amount as people write it; nil: there is none.
func readAmount(r *http.Request) (*claims.Won, error) {
	amount := strings.NewReplacer(",", "", " ", "", "원", "").Replace(r.PostForm.Get(fieldAmount))
	if amount == "" {
		return nil, nil
	}
	won, err := strconv.ParseInt(amount, 10, 64)
	if err != nil {
		return nil, claims.Refuse(ErrForm, "the amount is a number of won, such as 420000, and not %.40q", amount)
	}
	return (*claims.Won)(&won), nil
}

func readDecision(r *http.Request) (*decision, error) {
	if err := r.ParseForm(); err != nil {
		return nil, claims.Refuse(ErrForm, "the form cannot be read: %w", err)
	}
	d := &decision{
		action: claims.Action(r.PostForm.Get(fieldAction)),
		to:     strings.TrimSpace(r.PostForm.Get(fieldTo)),
		reason: claims.Reason(r.PostForm.Get(fieldReason)), sure: r.PostForm.Get(fieldSure) != "",
	}
	var err error
	if d.why, err = readWhy(r); err != nil {
		return nil, err
	}
	if d.amount, err = readAmount(r); err != nil {
		return nil, err
	}
	if d.seq, err = strconv.Atoi(cmp.Or(r.PostForm.Get(fieldSeq), "0")); err != nil {
		return nil, claims.Refuse(ErrForm, "open the claim again")
	}
	return d, nil
}

// step is what a decision of somebody about a claim comes to.
func (d *decision) step(p *claims.Programme, c *store.Claim, who *Staff) (store.Step, error) {
	if d.action == store.Note {
		if d.why == "" {
			return store.Step{}, claims.Refuse(ErrForm, "a note needs a text")
		}
		if len(who.Duties) == 0 {
			return store.Step{}, claims.Illegal("%s has no duty here", who.Name)
		}
		return store.Step{Claim: c, Action: store.Note, By: who.actor(), Reason: d.why}, nil
	}
	if d.action == store.HandOver {
		if err := mayHandOver(who, d.to); err != nil {
			return store.Step{}, err
		}
	}
	by := who.actor()
	for _, t := range claims.Transitions() {
		if t.From == c.State && t.Action == d.action {
			by.Duty = cmp.Or(dutyFor(&t, who), by.Duty)
		}
	}
	full := decide.Decision{Action: d.action, By: by, Why: d.why, Amount: d.amount, Reason: d.reason, To: d.to}
	if d.action != claims.Decline {
		full.Reason = ""
	}
	step, err := full.Step(p, c)
	if err != nil {
		return step, err
	}
	err = step.Allowed()
	return step, err
}

// mayHandOver refuses to hand a claim over to nobody that is known, by whom has no duty.
func mayHandOver(who *Staff, to string) error {
	switch {
	case len(who.Duties) == 0:
		return claims.Illegal("%s has no duty here", who.Name)
	case !who.Others && !contains(who.Colleagues, to):
		return claims.Illegal("%.40q is nobody with a duty here: possible are %s", to,
			strings.Join(who.Colleagues, ", "))
	}
	return nil
}

// do takes a step with one claim.
func (d *Desk) do(w http.ResponseWriter, r *http.Request, who Staff) {
	history, err := d.history(r)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	said, err := readDecision(r)
	v := d.view(w, r, who)
	if err != nil {
		d.refuse(w, r, v, err)
		return
	}
	if final(said.action) && !said.sure {
		claim, step, err := d.judge(history, said, &who)
		if err != nil {
			d.refuse(w, r, v, err)
			return
		}
		if err := d.reads(r, &who, store.ReadDone, "", claim.ID); err != nil {
			d.fail(w, r, who, err)
			return
		}
		d.html(w, http.StatusOK, func(out io.Writer) error {
			return v.page(out, actionName(said.action).In(v.Lang), v.confirm(claim, said, &step))
		})
		return
	}
	if _, _, err = d.take(r, history, said, &who); err != nil {
		d.refuse(w, r, v, err)
		return
	}
	w.Header().Set("Location", "../"+r.PathValue("claim"))
	w.WriteHeader(http.StatusSeeOther)
}

// judge is the step that somebody decided on who has read a claim's history up to some entry, and the claim as it is.
func (d *Desk) judge(history []store.Entry, said *decision, who *Staff) (*store.Claim, store.Step, error) {
	claim := store.Fold(history)
	if said.seq < 1 || said.seq > len(history) {
		return claim, store.Step{}, claims.Refuse(ErrForm, "open the claim again")
	}
	if e := since(history, said.seq, who); e != nil {
		return claim, store.Step{}, &store.ConflictError{Claim: claim.ID, By: e.By, Action: e.Action, At: e.At}
	}
	step, err := said.step(d.Programme, claim, who)
	return claim, step, err
}

// since is the first entry behind what somebody has read that may change what they think; nil: there is none. It is not that
// anybody looked at who the owner is, or at a document, nor what they noted themselves.
func since(history []store.Entry, seq int, who *Staff) *store.Entry {
	for i := range history[seq:] {
		e := &history[seq+i]
		own := e.Action == store.Note && e.By.Name == who.Name
		if e.Action != store.Look && !own {
			return e
		}
	}
	return nil
}

// take takes a step with a claim, once for each form. Before says that the form was done already.
func (d *Desk) take(
	r *http.Request, history []store.Entry, said *decision, who *Staff,
) (before bool, step store.Step, err error) {
	id := history[0].Claim
	before, err = d.once(r, who, id, func(ctx context.Context) (err error) {
		for range 5 {
			if _, step, err = d.judge(history, said, who); err != nil {
				return err
			}
			err = d.Store.Commit(ctx, []store.Step{step}, nil)
			if _, conflict := errors.AsType[*store.ConflictError](err); !conflict {
				return err
			}
			var failed error // what came between may be a look, which is in nobody's way
			if history, failed = d.historyOf(ctx, id); failed != nil {
				return failed
			}
		}
		return err
	})
	return before, step, err
}

// refuse says why a step was not taken, with the claim as it is now, and with what was written.
func (d *Desk) refuse(w http.ResponseWriter, r *http.Request, v *view, err error) {
	status, goOn := d.problem(w, r, v, err)
	if !goOn {
		return
	}
	k, err := d.read(r, &v.who)
	if err != nil {
		d.fail(w, r, v.who, err)
		return
	}
	d.show(w, r, status, v, k, nil)
}

// confirm says once more exactly what will happen.
func (v *view) confirm(k *store.Claim, said *decision, step *store.Step) g.Node {
	what := g.Group{
		v.pair("신청", "Claim", h.Code(g.Text(k.ID))),
		v.pair("하는 일", "What", g.Text(actionName(step.Action).In(v.Lang))),
	}
	switch {
	case step.Change.Approval != nil:
		what = append(what, v.pair("금액", "Amount", g.Text(v.Lang.Won(*step.Change.Approval)+
			v.say(" · 다른 사람이 한 번 더 결재해야 지급됩니다", " · it is paid when another person has approved it, too"))))
	case step.Change.Owed != nil:
		what = append(what, v.pair("금액", "Amount", g.Text(v.Lang.Won(*step.Change.Owed))))
	case step.Change.Declined != "":
		what = append(what, v.pair("사유", "Reason", g.Text(tell.Reason(step.Change.Declined).In(v.Lang))))
	}
	return h.Section(
		h.Class("card"),
		h.Aria("labelledby", "confirm"),
		h.H1(h.ID("confirm"), v.t("확인해 주세요", "Please confirm")),
		h.Dl(h.Class("pairs"), what, v.pair("설명", "Explanation", g.Text(said.why))),
		v.sure(v.root+"claims/"+k.ID+"/do", v.root+"claims/"+k.ID, step.Action, g.Text(actionName(step.Action).In(v.Lang))),
	)
}
