package review

import (
	"context"
	"io"
	"net/http"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

const (
	fieldWindow = "window"
	fieldUntil  = "until"
	fieldOld    = "old" // when the window would have closed, as the reader saw it
)

// calendar is the windows of a programme.
type calendar struct {
	windows    []claims.Window
	amendments []claims.Amendment
}

func (d *Desk) calendar(r *http.Request) (c calendar, err error) {
	if c.windows, err = d.Store.Windows(r.Context(), d.Programme); err == nil {
		c.amendments, err = d.Store.Amendments(r.Context(), d.Programme.Name)
	}
	return c, err
}

// windows shows when something can be handed in, and what was extended.
func (d *Desk) windows(w http.ResponseWriter, r *http.Request, who Staff) {
	d.showWindows(w, r, http.StatusOK, d.view(w, r, who))
}

func (d *Desk) showWindows(w http.ResponseWriter, r *http.Request, status int, v *view) {
	c, err := d.calendar(r)
	if err != nil {
		d.fail(w, r, v.who, err)
		return
	}
	v.here = v.root + "claims/windows"
	d.html(w, status, func(out io.Writer) error { return v.page(out, v.say("기간", "Windows"), v.calendar(&c)...) })
}

// extend extends a window, after it was said once more what that means.
func (d *Desk) extend(w http.ResponseWriter, r *http.Request, who Staff) {
	e, why, err := d.readExtension(r, &who)
	v := d.view(w, r, who)
	switch {
	case err != nil:
	case r.PostForm.Get(fieldSure) == "":
		if err = d.possible(r, &e); err == nil {
			d.html(w, http.StatusOK, func(out io.Writer) error {
				return v.page(out, v.say("기간 연장", "Extend a window"), v.confirmExtension(&e, why))
			})
			return
		}
	default:
		_, err = d.once(r, &who, "", func(ctx context.Context) error {
			_, err := d.Store.Extend(ctx, d.Programme, e, store.Actor{Name: who.Name, Duty: claims.Secretary}, why)
			return err
		})
	}
	if err == nil {
		w.Header().Set("Location", "windows")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	if status, goOn := d.problem(w, r, v, err); goOn {
		d.showWindows(w, r, status, v)
	}
}

func (d *Desk) readExtension(r *http.Request, who *Staff) (e store.Extension, why string, err error) {
	if !who.has(claims.Secretary) {
		return e, "", claims.Illegal("windows are extended by the secretary")
	}
	if why, err = readWhy(r); err != nil {
		return e, why, err
	}
	if why == "" {
		return e, why, claims.Refuse(ErrForm, "say why it is extended")
	}
	e.Window = r.PostForm.Get(fieldWindow)
	if e.New, err = d.Programme.AfterLast(r.PostForm.Get(fieldUntil)); err != nil {
		return e, why, claims.Refuse(ErrForm, "until when? %w", err)
	}
	if e.Old, err = time.Parse(time.RFC3339, r.PostForm.Get(fieldOld)); err != nil {
		return e, why, claims.Refuse(ErrForm, "open the page again")
	}
	return e, why, nil
}

// possible fails when an extension would not be one, as things are.
func (d *Desk) possible(r *http.Request, e *store.Extension) error {
	list, err := d.Store.Amendments(r.Context(), d.Programme.Name)
	if err != nil {
		return err
	}
	_, err = d.Programme.Amended(append(list, claims.Amendment{Window: e.Window, Old: e.Old, New: e.New, Who: "?", Why: "?"}))
	return err
}

func kindName(k claims.WindowKind) tell.Text {
	switch k {
	case claims.ReportWindow:
		return tell.Text{KO: "피해 신고", EN: "reports"}
	case claims.DocumentsWindow:
		return tell.Text{KO: "서류 제출", EN: "documents"}
	case claims.ObjectionWindow:
		return tell.Text{KO: "이의 신청", EN: "objections"}
	default:
		return tell.Text{KO: string(k), EN: string(k)}
	}
}

func (v *view) calendar(c *calendar) []g.Node {
	rows := make(g.Group, 0, len(c.windows))
	var forms, past g.Group
	for i := range c.windows {
		w := &c.windows[i]
		rows = append(rows, h.Tr(h.Th(h.Scope("row"), g.Text(w.Name)), h.Td(g.Text(kindName(w.Kind).In(v.Lang))),
			h.Td(g.Text(v.second(w.Opens))), h.Td(g.Text(v.second(w.Closes.Add(-time.Second)))), h.Td(v.phase(w))))
		if v.who.has(claims.Secretary) {
			forms = append(forms, v.extendForm(w))
		}
	}
	for i := len(c.amendments) - 1; i >= 0; i-- {
		a := &c.amendments[i]
		past = append(past, h.Tr(h.Th(h.Scope("row"), g.Text(v.second(a.At))), h.Td(g.Text(a.Who)), h.Td(g.Text(a.Window)),
			h.Td(g.Text(v.second(a.Old.Add(-time.Second)))), h.Td(g.Text(v.second(a.New.Add(-time.Second)))),
			h.Td(g.Text(a.Why))))
	}
	out := []g.Node{h.Section(h.Class("card"), h.Aria("labelledby", "title"), h.H1(h.ID("title"), v.t("기간", "Windows")),
		h.P(h.Class("note"), v.t("기간은 연장할 수만 있고 줄일 수 없습니다. 규칙과 규칙의 해시값은 바뀌지 않습니다.",
			"A window can be extended and never shortened. The rules and their hash stay as they are.")),
		v.table("title", h.Tr(v.th("이름", "Name"), v.th("종류", "Kind"), v.th("시작", "Opens"), v.th("마지막 순간", "Last second"),
			v.th("지금", "Now")), rows))}
	if len(forms) > 0 {
		out = append(out, v.section("extend", "연장하기", "Extend a window", forms))
	}
	if len(past) > 0 {
		out = append(out, v.section("amendments", "연장 기록", "What was extended", v.table("amendments", h.Tr(v.th("언제", "When"),
			v.th("누가", "Who"), v.th("기간", "Window"), v.th("전", "Until, before"), v.th("후", "Until, now"), v.th("왜", "Why")),
			past)))
	}
	return out
}

// table is one that can be scrolled where the page is narrow; label is the ID of what names it.
func (v *view) table(label string, head, rows g.Node) g.Node {
	return scrolled("scroll", label, head, rows)
}

func scrolled(class, label string, head, rows g.Node) g.Node {
	return h.Div(h.Class(class), h.TabIndex("0"), h.Role("group"), h.Aria("labelledby", label),
		h.Table(h.THead(head), h.TBody(rows)))
}

func (v *view) phase(w *claims.Window) g.Node {
	switch w.Phase(v.now) {
	case claims.Open:
		return h.Span(h.Class("chip"), h.Data("tone", "good"), v.t("열림", "open"))
	case claims.Coming:
		return h.Span(h.Class("chip"), v.t("시작 전", "to come"))
	default:
		return h.Span(h.Class("chip"), v.t("닫힘", "closed"))
	}
}

// second is a time to the second, in the programme's zone.
func (v *view) second(t time.Time) string { return t.In(v.desk.Programme.Zone).Format(time.DateTime) }

func (v *view) extendForm(w *claims.Window) g.Node {
	id := func(field string) string { return field + "-" + w.Name }
	form, last := "extend-"+w.Name, w.Closes.Add(-time.Second).In(v.desk.Programme.Zone).Format("2006-01-02T15:04:05")
	return v.folded(g.Text(w.Name+" · "+kindName(w.Kind).In(v.Lang)), v.root+"claims/windows", form,
		hidden(fieldWindow, w.Name), hidden(fieldOld, w.Closes.UTC().Format(time.RFC3339)),
		h.Label(h.For(id("until")), g.Text(v.say("새 마지막 순간 (", "The new last second (")+v.desk.Programme.Zone.String()+")")),
		h.Input(h.ID(id("until")), h.Type("datetime-local"), h.Name(fieldUntil), h.Step("1"), h.Required(),
			h.Value(v.written(form, fieldUntil, last)), h.Min(last)),
		v.askWhy(form, id("why")),
		h.Button(h.Type("submit"), h.Class("danger"), v.t("연장", "Extend")))
}

func (v *view) confirmExtension(e *store.Extension, why string) g.Node {
	return h.Section(h.Class("card"), h.Aria("labelledby", "confirm"),
		h.H1(h.ID("confirm"), v.t("확인해 주세요", "Please confirm")),
		h.Dl(h.Class("pairs"), v.pair("기간", "Window", g.Text(e.Window)),
			v.pair("지금 마지막 순간", "Last second now", g.Text(v.second(e.Old.Add(-time.Second)))),
			v.pair("새 마지막 순간", "New last second", g.Text(v.second(e.New.Add(-time.Second)))),
			v.pair("이유", "Why", g.Text(why))),
		h.P(v.t("연장은 되돌릴 수 없습니다. 신청인의 페이지와 접수, 알림이 곧바로 따릅니다.",
			"This cannot be taken back. Owners' pages, intake and notices follow it at once.")),
		v.sure(v.root+"claims/windows", v.root+"claims/windows", "", v.t("연장", "Extend")))
}
