package review

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// together are the steps that can be taken with many claims of some states at once: those for which nobody reads each claim
// again. An amount that people choose is none of them.
func (v *view) together(states []claims.State) []claims.Action {
	if len(states) != 1 {
		return nil
	}
	var out []claims.Action
	for _, t := range possible(states[0], &v.who) {
		switch t.Action {
		case claims.Clear, claims.Approve, claims.Review, claims.Flag:
			out = append(out, t.Action)
		default:
		}
	}
	return out
}

// formMany is the form of what is done with those that are chosen of a queue, and fieldBack where that queue is.
const (
	formMany  = "do-many"
	fieldBack = "back"
)

// queueOf is the queue that a form was sent from; what cannot be read is the first one.
func queueOf(form url.Values) url.Values {
	q, _ := url.ParseQuery(strings.TrimPrefix(form.Get(fieldBack), "?"))
	return q
}

func (v *view) manyForm(list []claims.Action) g.Node {
	return h.FieldSet(h.Class("many"), h.Legend(v.t("고른 신청을 한꺼번에", "With those chosen")),
		h.Label(h.For("many-action"), v.t("하는 일", "What")),
		h.Select(h.ID("many-action"), h.Name(fieldAction), g.Map(list, func(a claims.Action) g.Node {
			return h.Option(h.Value(string(a)), g.If(v.stopped(a) != nil, h.Disabled()),
				g.If(v.chosen(formMany, fieldAction, string(a), false), h.Selected()), g.Text(actionName(a).In(v.Lang)))
		})),
		v.askWhy(formMany, "many-why"),
		h.Button(h.Type("submit"), v.t("먼저 확인하기", "See what would happen")))
}

// outcome is what became, or would become, of one of many claims.
type outcome struct {
	id     string
	seq    int // up to which it was read
	step   store.Step
	before bool // the same form had done it
	err    error
}

// many takes one step with several claims: first it only says what would happen to each. Each is committed by itself, as it was
// shown then, so that one that somebody else has changed meanwhile keeps none of the others back.
func (d *Desk) many(w http.ResponseWriter, r *http.Request, who Staff) {
	said, err := readDecision(r)
	ids := r.PostForm[fieldClaim]
	v := d.view(w, r, who)
	back := queueOf(v.sent)
	switch {
	case err != nil:
	case len(ids) == 0:
		err = claims.Refuse(ErrForm, "choose at least one claim")
	case len(ids) > perPage:
		err = claims.Refuse(ErrForm, "at most %d claims at once", perPage)
	case said.amount != nil:
		err = claims.Refuse(ErrForm, "an amount is decided for one claim at a time")
	}
	if err != nil {
		if status, goOn := d.problem(w, r, v, err); goOn {
			d.showQueue(w, r, status, v, back)
		}
		return
	}
	if err := d.reads(r, &who, store.ReadDone, said.why, ids...); err != nil {
		d.fail(w, r, who, err)
		return
	}
	list := make([]outcome, len(ids))
	for i, id := range ids {
		list[i] = d.oneOfMany(r, said, id, &who)
	}
	d.html(w, http.StatusOK, func(out io.Writer) error {
		return v.page(out, v.say("여러 신청", "Several claims"), v.outcomes(list, said))
	})
}

func (d *Desk) oneOfMany(r *http.Request, said *decision, id string, who *Staff) outcome {
	out := outcome{id: id}
	history, err := d.historyOf(r.Context(), id)
	if err != nil {
		out.err = err
		return out
	}
	this := *said
	if this.seq = len(history); said.sure { // it is as it was shown
		this.seq, _ = strconv.Atoi(r.PostForm.Get(seqOf(id))) // what is no number was not shown
		out.before, out.step, out.err = d.take(r, history, &this, who)
		return out
	}
	out.seq = this.seq
	_, out.step, out.err = d.judge(history, &this, who)
	return out
}

// outcomes is a table of what would happen, or has.
func (v *view) outcomes(list []outcome, said *decision) g.Node {
	rows, seen, good := make(g.Group, 0, len(list)), g.Group{}, []string{}
	for i := range list {
		o := &list[i]
		result := h.Span(h.Class("chip"), h.Data("tone", "good"), g.Text(v.result(o, said)))
		if o.err != nil {
			problem, _ := v.desk.explained(v.Lang, o.err)
			if problem == "" {
				problem = v.say("지금은 할 수 없습니다.", "This cannot be done now.")
				v.desk.Log.Error("one of several claims failed", "claim", o.id, "who", v.who.Name, "error", o.err)
			}
			result = g.Group{h.Span(h.Class("chip"), h.Data("tone", "bad"), v.t("안 됨", "FAILED")), g.Text(" " + problem)}
		} else {
			good = append(good, o.id)
			seen = append(seen, hidden(seqOf(o.id), strconv.Itoa(o.seq)))
		}
		rows = append(rows, h.Tr(h.Th(h.Scope("row"), h.A(h.Href(v.root+"claims/"+o.id), h.Code(g.Text(o.id)))), h.Td(result)))
	}
	all := v.say("모두 처리", "SUCCESS")
	switch {
	case len(good) == 0:
		all = v.say("처리할 수 없음", "FAILED")
	case len(good) < len(list):
		all = v.say("일부만 처리", "PARTIAL")
	}
	v.sent[fieldClaim] = good // of what is to be confirmed
	back := v.root + "claims?" + queueOf(v.sent).Encode()
	title := v.say("예상 결과: ", "This would happen: ")
	if said.sure {
		title = v.say("처리 결과: ", "Result: ")
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "title"),
		h.H1(h.ID("title"), g.Text(title+all)),
		h.P(h.Strong(g.Text(actionName(said.action).In(v.Lang))), g.Text(" · "+said.why)),
		h.Div(h.Class("scroll"), h.TabIndex("0"), h.Role("group"), h.Aria("labelledby", "title"),
			h.Table(h.THead(h.Tr(v.th("신청", "Claim"), v.th("결과", "Result"))), h.TBody(rows))),
		g.If(!said.sure && len(good) > 0, v.sure(v.root+"claims/many", back, said.action,
			g.Text(actionName(said.action).In(v.Lang)), seen)),
		g.If(said.sure || len(good) == 0, h.P(h.A(h.Href(back), v.t("목록으로", "Back to the queue")))))
}

// seqOf is the field up to where one of many claims was read.
func seqOf(id string) string { return fieldSeq + "-" + id }

func (v *view) result(o *outcome, said *decision) string {
	if o.before {
		return "✓ " + actionName(said.action).In(v.Lang) + v.say(" · 이미 처리됨", " · done already")
	}
	what := actionName(o.step.Action).In(v.Lang)
	if owed := o.step.Change.Owed; owed != nil {
		what += " " + v.Lang.Won(*owed)
	} else if first := o.step.Change.Approval; first != nil {
		what += " " + v.Lang.Won(*first)
	}
	if said.sure {
		return "✓ " + what
	}
	return what
}
