package review

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

const (
	fieldEnd  = "end"  // a freeze is ended
	fieldNext = "next" // the number that the line will have, if nobody else was first
)

// freezes shows who has stopped decisions and payments, and ended that.
func (d *Desk) freezes(w http.ResponseWriter, r *http.Request, who Staff) {
	d.showFreezes(w, r, http.StatusOK, d.view(w, r, who))
}

func (d *Desk) showFreezes(w http.ResponseWriter, r *http.Request, status int, v *view) {
	list, err := d.Store.Freezes(r.Context(), d.Programme.Name)
	if err != nil {
		d.fail(w, r, v.who, err)
		return
	}
	v.here = v.root + "claims/freeze"
	d.html(w, status, func(out io.Writer) error { return v.page(out, v.say("중지", "Freeze"), v.freezing(list)...) })
}

// freeze stops decisions and payments, or goes on with them, after it was said once more what that means.
func (d *Desk) freeze(w http.ResponseWriter, r *http.Request, who Staff) {
	f, err := d.readFreeze(r, &who)
	v := d.view(w, r, who)
	if err == nil && r.PostForm.Get(fieldSure) == "" {
		d.html(w, http.StatusOK, func(out io.Writer) error {
			return v.page(out, v.say("확인", "Confirm"), v.confirmFreeze(&f))
		})
		return
	}
	if err == nil {
		var before bool
		if before, err = d.once(r, &who, "", func(ctx context.Context) error {
			_, err := d.Store.SetFreeze(ctx, d.Programme.Name, f)
			return err
		}); err == nil && !before {
			d.Log.Warn("decisions and payments", "frozen", f.Frozen, "who", f.Who, "why", f.Why)
		}
	}
	if err != nil {
		if status, goOn := d.problem(w, r, v, err); goOn {
			d.showFreezes(w, r, status, v)
		}
		return
	}
	w.Header().Set("Location", "freeze")
	w.WriteHeader(http.StatusSeeOther)
}

func (d *Desk) readFreeze(r *http.Request, who *Staff) (f store.Freeze, err error) {
	if !who.Stops {
		return f, claims.Illegal("%s may not freeze decisions, or end that: it needs the right claims-freeze",
			who.Name)
	}
	f.Who = who.Name
	if f.Why, err = readWhy(r); err != nil {
		return f, err
	}
	if f.Why == "" {
		return f, claims.Refuse(ErrForm, "say why: whoever decides or pays is told")
	}
	f.Frozen = r.PostForm.Get(fieldEnd) == ""
	if f.Number, err = strconv.Atoi(r.PostForm.Get(fieldNext)); err != nil || f.Number < 1 {
		return f, claims.Refuse(ErrForm, "open the page again")
	}
	if until := r.PostForm.Get(fieldUntil); until != "" && f.Frozen {
		if f.Until, err = time.ParseInLocation("2006-01-02T15:04", until, d.Programme.Zone); err != nil {
			return f, claims.Refuse(ErrForm, "until when? %.40q is no time", until)
		}
		if !f.Until.After(d.Now()) {
			return f, claims.Refuse(ErrForm, "until %s: that is over", until)
		}
	}
	return f, nil
}

// freezing is the page: what holds, what the reader may do about it, and what was.
func (v *view) freezing(list []store.Freeze) []g.Node {
	state := v.t("결정과 지급이 진행되고 있습니다.", "Decisions and payments are made.")
	if v.frozen != nil {
		state = v.t("결정과 지급이 중지되어 있습니다.", "Nothing is decided or paid.")
	}
	out := []g.Node{h.Section(h.Class("card"), h.Aria("labelledby", "title"), h.H1(h.ID("title"), v.t("모든 결정과 지급의 중지",
		"Stopping all decisions and payments")), h.P(state),
		h.P(h.Class("note"), v.t("중지하면 화면, 명령줄, 자동 처리에서 결정과 지급이 곧바로 거절됩니다. 접수는 계속하고, 은행의 답도 계속 기록합니다.",
			"It is refused at once on the desk, on the command line, by the rules and by payout runs. Claims are still "+
				"taken in, and "+
				"what the bank says is noted.")))}
	if v.who.Stops {
		out = append(out, v.freezeForm(list))
	}
	if len(list) == 0 {
		return out
	}
	rows := g.Map(list, func(f store.Freeze) g.Node {
		what, until := v.say("재개", "ended"), ""
		if f.Frozen {
			what, until = v.say("중지", "froze"), untilWhen(v.Lang, &f, v.desk.Programme.Zone)
		}
		return h.Tr(h.Th(h.Scope("row"), g.Text(v.Lang.Moment(f.At, v.desk.Programme.Zone))),
			h.Td(g.Text(f.Who+v.me(f.Who))), h.Td(g.Text(what)),
			h.Td(g.Text(until)), h.Td(g.Text(f.Why)))
	})
	return append(out, v.section("past", "기록", "What was done", v.table("past", h.Tr(v.th("언제", "When"), v.th("누가", "Who"),
		v.th("내용", "What"), v.th("언제까지", "Until"), v.th("왜", "Why")), rows)))
}

func (v *view) freezeForm(list []store.Freeze) g.Node {
	next := 1
	if len(list) > 0 {
		next = list[0].Number + 1
	}
	label, button := v.say("모든 결정과 지급 중지하기", "Stop all decisions and payments"), v.say("중지하기", "Stop")
	if v.frozen != nil {
		label, button = v.say("결정과 지급 재개하기", "Go on with decisions and payments"), v.say("재개하기", "Go on")
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "do-freeze-title"), h.H2(h.ID("do-freeze-title"), g.Text(label)),
		v.posts(v.root+"claims/freeze", "do-freeze", h.Class("many"), h.AutoComplete("off"),
			hidden(fieldNext, strconv.Itoa(next)), g.If(v.frozen != nil, hidden(fieldEnd, "yes")),
			h.Label(h.For("freeze-why"), v.t("이유 (모두에게 보이고 기록에 남음, 개인정보를 쓰지 말 것)",
				"Why (everybody sees it, and history keeps it; write no personal data)")),
			v.whyBox("do-freeze", "freeze-why"),
			g.If(v.frozen == nil, g.Group{
				h.Label(h.For("freeze-until"), g.Text(v.say("자동으로 재개되는 때 (선택, ", "When it ends by itself (if it does, ")+
					v.desk.Programme.Zone.String()+")")),
				h.Input(h.ID("freeze-until"), h.Type("datetime-local"), h.Name(fieldUntil),
					h.Value(v.written("do-freeze", fieldUntil, ""))),
			}),
			h.Button(h.Type("submit"), h.Class("danger"), g.Text(button))))
}

func (v *view) confirmFreeze(f *store.Freeze) g.Node {
	what := v.say("모든 결정과 지급을 중지합니다", "All decisions and payments stop")
	if !f.Frozen {
		what = v.say("결정과 지급을 재개합니다", "Decisions and payments go on")
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "confirm"), h.H1(h.ID("confirm"), v.t("확인해 주세요", "Please confirm")),
		h.Dl(h.Class("pairs"), v.pair("하는 일", "What", g.Text(what)),
			g.If(f.Frozen, v.pair("언제까지", "Until", g.Text(untilWhen(v.Lang, f, v.desk.Programme.Zone)))),
			v.pair("이유", "Why", g.Text(f.Why))),
		v.sure(v.root+"claims/freeze", v.root+"claims/freeze", "", g.Text(what)))
}
