package review

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
	"github.com/granter/granter/grant/text"
)

// looksShown is how many looks a page of the access log has.
const looksShown = 500

// access shows who has looked at whose data, and why.
func (d *Desk) access(w http.ResponseWriter, r *http.Request, who Staff) {
	q := r.URL.Query()
	f := store.AccessFilter{
		Programme: d.Programme.Name, Claim: strings.TrimSpace(q.Get("claim")), Who: strings.TrimSpace(q.Get("who")),
		Limit: looksShown,
	}
	var err error
	if !who.has(claims.Privacy) {
		err = claims.Illegal("who has looked at whose data is for the duty privacy")
	}
	for field, into := range map[string]*time.Time{fieldFrom: &f.From, fieldBefore: &f.To} {
		if err == nil {
			*into, err = readDay(q.Get(field), d.Programme.Zone, field == fieldBefore)
		}
	}
	var list []store.Looked
	if err == nil {
		list, err = d.Store.Access(r.Context(), f)
	}
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	v := d.view(w, r, who)
	d.html(w, http.StatusOK, func(out io.Writer) error {
		return v.page(out, v.say("열람 기록", "Who looked"), v.accessForm(), v.looks(list))
	})
}

func (v *view) accessForm() g.Node {
	field := func(name, kind, ko, en string) g.Node {
		return h.Div(h.Label(h.For("access-"+name), v.t(ko, en)),
			h.Input(h.ID("access-"+name), h.Type(kind), h.Name(name), h.Value(v.query.Get(name)), h.AutoComplete("off")))
	}
	return h.Form(h.Method("get"), h.Action(v.root+"claims/access"), h.Class("card"), h.Aria("label", v.say("고르기", "Filter")),
		h.Div(h.Class("search-row"), field("who", "text", "열람한 사람", "Who looked"), field("claim", "text", "신청 번호",
			"Claim number"),
			field(fieldFrom, "date", "이 날부터", "From this day"), field(fieldBefore, "date", "이 날까지", "Through this day"),
			h.Button(h.Type("submit"), h.Class("primary"), v.t("보기", "Show"))))
}

func (v *view) looks(list []store.Looked) g.Node {
	title := h.H1(h.ID("title"), v.t("누가 누구의 개인정보를 왜 보았는가", "Who has looked at whose data, and why"), g.Text(" "),
		h.Span(h.Class("note"), g.Text(text.Number(len(list)))))
	if len(list) == 0 {
		return h.Section(h.Class("card"), h.Aria("labelledby", "title"), title, h.P(v.t("아무도 보지 않았습니다.", "Nobody has looked.")))
	}
	rows := g.Map(list, func(l store.Looked) g.Node {
		return h.Tr(h.Td(g.Text(v.Lang.Moment(l.At, v.desk.Programme.Zone))), h.Td(g.Text(called(v.Lang, l.By)+v.me(l.By.Name))),
			h.Td(g.Text(dutyName(l.By.Duty).In(v.Lang))), h.Td(g.Text(l.From)),
			h.Th(h.Scope("row"), v.whoseLook(&l)), h.Td(g.Text(v.nameOf(l.What))), h.Td(g.Text(reasonIn(v.Lang, l.Why))))
	})
	return h.Section(h.Class("card"), h.Aria("labelledby", "title"), title, g.If(len(list) == looksShown, h.P(h.Class("note"),
		v.t("가장 최근의 것만 보입니다. 날짜로 좁혀 주세요.", "Only the latest are here: choose days."))),
		v.table("title", h.Tr(v.th("언제", "When"), v.th("누가", "Who"), v.th("업무", "Duty"), v.th("어디서", "From"),
			v.th("신청", "Claim"), v.th("무엇을", "What"), v.th("왜", "Why")), rows))
}

// whoseLook is the claim that somebody has read something of, or how many at once; and the earlier reports.
func (v *view) whoseLook(l *store.Looked) g.Node {
	var out g.Group
	several := func(ko, en string, list []string) g.Node {
		return h.Details(h.Summary(g.Text(tell.Text{KO: ko, EN: en}.Fill(v.Lang, "{n}", text.Number(len(list))))),
			g.Text(strings.Join(list, " ")))
	}
	switch {
	case l.Claim != "":
		out = append(out, h.A(h.Href(v.root+"claims/"+l.Claim), h.Code(g.Text(l.Claim))))
	case len(l.Claims) > 0:
		out = append(out, several("신청 {n}건", "{n} claims", l.Claims))
	}
	switch len(l.Reports) {
	case 0:
	case 1:
		out = append(out, g.Text(" "), v.t("이전 신고 ", "Earlier report "), h.Code(g.Text(l.Reports[0])))
	default:
		out = append(out, several("이전 신고 {n}건", "{n} earlier reports", l.Reports))
	}
	return out
}

// erasing is how somebody in the duty erases who the owner of a claim is.
func (v *view) erasing(k *known) g.Node {
	if !v.who.has(claims.Privacy) || k.Erased {
		return nil
	}
	if !k.State.Final() {
		return v.section("erase", "개인정보 삭제", "Erase the owner", h.P(v.t("신청이 끝나면 삭제할 수 있습니다.",
			"It can be erased when the claim has ended.")))
	}
	return v.section("erase", "개인정보 삭제", "Erase the owner",
		v.folded(v.t("개인정보 삭제", "Erase the owner"), v.root+"claims/"+k.ID+"/erase", "do-erase", v.askWhy("do-erase", "erase-why"),
			h.Button(h.Type("submit"), h.Class("danger"), v.t("삭제", "Erase"))))
}

// erase erases who the owner of a claim is, after it was said once more what that means.
func (d *Desk) erase(w http.ResponseWriter, r *http.Request, who Staff) {
	history, err := d.history(r)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	why, err := readWhy(r)
	switch {
	case err != nil:
	case !who.has(claims.Privacy):
		err = claims.Illegal("owners are erased in the duty privacy")
	case why == "":
		err = claims.Refuse(ErrForm, "say why it is erased")
	}
	v := d.view(w, r, who)
	if err != nil {
		d.refuse(w, r, v, err)
		return
	}
	claim := store.Fold(history)
	if r.PostForm.Get(fieldSure) == "" {
		d.html(w, http.StatusOK, func(out io.Writer) error {
			return v.page(out, v.say("확인", "Confirm"), v.confirmErasure(claim.ID, why))
		})
		return
	}
	if _, err := d.once(r, &who, "", func(ctx context.Context) error {
		return d.Store.Erase(ctx, claim, store.Actor{Name: who.Name, Duty: claims.Privacy}, why)
	}); err != nil {
		d.refuse(w, r, v, err)
		return
	}
	w.Header().Set("Location", "../"+claim.ID)
	w.WriteHeader(http.StatusSeeOther)
}

func (v *view) confirmErasure(id, why string) g.Node {
	return h.Section(h.Class("card"), h.Aria("labelledby", "confirm"), h.H1(h.ID("confirm"), v.t("확인해 주세요", "Please confirm")),
		h.Dl(h.Class("pairs"), v.pair("신청", "Claim", h.Code(g.Text(id))), v.pair("이유", "Why", g.Text(why))),
		h.P(v.t("이름, 연락처, 계좌, 서류, 글이 사라지고 되돌릴 수 없습니다. 결정과 지급 기록은 남습니다.",
			"Name, contact, account, documents and letters go, and do not come back. What was decided and paid stays.")),
		v.sure(v.root+"claims/"+id+"/erase", v.root+"claims/"+id, "", v.t("삭제", "Erase")))
}
