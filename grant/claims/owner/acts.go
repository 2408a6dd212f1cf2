package owner

import (
	"net/http"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/questions"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// objecting reports whether the owner can object now, and until when.
func (v *visit) objecting() (claims.Window, bool) {
	w, _, open := v.Programme.Open(v.windows, claims.ObjectionWindow, v.Now())
	return w, open && v.can(claims.Object)
}

var objectionField = questions.Field{
	Name:  "text",
	Kind:  questions.Area,
	Label: tell.Text{KO: "왜 다르다고 생각하시나요?", EN: "What do you think is wrong, and why?"},
	Hint: tell.Text{KO: "어느 금액이나 사실이 다른지 적어 주세요. 자료가 있으면 다음 화면에서 보낼 수 있습니다.",
		EN: "Say which amount or fact is wrong. You can send documents afterwards."},
}

func askObjection(v *visit) error { return v.objectionPage("", "") }

func (v *visit) objectionPage(value, wrong string) error {
	w, ok := v.objecting()
	if !ok {
		return &refusal{http.StatusConflict, v.t("지금은 이의를 제기할 수 없습니다. 결정이 난 뒤 이의 제기 기간 안에 할 수 있습니다.",
			"You cannot object now: it is possible after a decision, while objections are taken.")}
	}
	title := v.t("이의 제기", "Object to the decision")
	return v.page(title, wrong != "",
		questions.Summary(v.lang, []questions.Field{objectionField}, only(objectionField.Name, wrong)), v.heading(title),
		h.P(g.Text(tell.Text{KO: "처음 결정한 사람이 아닌 다른 사람이 다시 봅니다. {until}까지 할 수 있습니다.",
			EN: "Somebody else than the person who decided looks at it again. You can object until " +
				"{until}."}.Fill(v.lang, "{until}",
			v.lang.Until(w.Closes, v.Programme.Zone)))),
		v.form("/claim/objection", questions.Input(v.lang, &objectionField, value, wrong),
			h.Div(h.Class("actions"), button(v.t("이의 제기", "Object")), v.link("/claim", "돌아가기", "Go back"))))
}

func only(name, wrong string) map[string]string {
	if wrong == "" {
		return nil
	}
	return map[string]string{name: wrong}
}

// letter reads what the owner wrote in own words.
func (v *visit) letter() (text, wrong string) {
	const most = 4000 // characters
	text = strings.TrimSpace(strings.ReplaceAll(v.r.PostFormValue("text"), "\r\n", "\n"))
	switch {
	case text == "":
		return text, v.t("내용을 적어 주세요.", "Please write something.")
	case len([]rune(text)) > most:
		return text, v.t("4,000자까지 적을 수 있습니다.", "At most 4,000 characters, please.")
	case resident.In(text, true):
		return "", v.t("주민등록번호로 보이는 숫자가 있습니다. 지우고 다시 적어 주세요. 저장하지 않았습니다.",
			"This holds what looks like a resident registration number. Write it again without. It was not saved.")
	}
	return text, ""
}

func object(v *visit) error {
	text, wrong := v.letter()
	if wrong != "" {
		if _, ok := v.objecting(); ok {
			v.w.WriteHeader(http.StatusUnprocessableEntity)
		}
		return v.objectionPage(text, wrong)
	}
	return v.once(claims.Object, "objection", v.wrote(text), func() error {
		if _, ok := v.objecting(); !ok {
			return v.objectionPage("", "")
		}
		step := store.Step{Claim: v.claim, Action: claims.Object, By: store.Owner, Reason: "the owner objects, in a letter"}
		return v.Store.Write(v.ctx(), step, text)
	})
}

func reply(v *visit) error {
	text, wrong := v.letter()
	if wrong != "" {
		return &refusal{http.StatusUnprocessableEntity, wrong}
	}
	return v.once(claims.Complete, "reply", v.wrote(text), func() error {
		if v.claim.State != claims.Asked {
			return claims.ErrIllegal
		}
		step := store.Step{Claim: v.claim, Action: claims.Complete, By: store.Owner, Reason: "the owner answers, in a letter"}
		return v.Store.Write(v.ctx(), step, text)
	})
}

func askWithdraw(v *visit) error {
	title, what, do := v.t("신청 취소", "Withdraw the claim"), v.t(
		"취소하면 지급하지 않습니다. 되돌릴 수 없지만, 접수 기간 안에는 다시 신청할 수 있습니다.",
		"Nothing will be paid. This cannot be undone, but you can claim again while claims are taken.",
	), v.t("신청 취소", "Withdraw it")
	switch {
	case v.claim == nil:
		title, what, do = v.t("작성한 내용 지우기", "Delete what I wrote"), v.t("적은 내용을 모두 지웁니다.", "All that you wrote is deleted."),
			v.t("지우기", "Delete it")
	case !v.can(claims.Withdraw):
		return &refusal{http.StatusConflict, v.t("지금은 취소할 수 없습니다.", "It cannot be withdrawn now.")}
	case v.claim.State == claims.Objected:
		title, what, do = v.t("이의 취소", "Withdraw the objection"), v.t("처음 결정이 그대로 유지됩니다.", "The first decision stands."),
			v.t("이의 취소", "Withdraw it")
	}
	return v.page(title, false, v.heading(title), h.P(g.Text(what)),
		v.form("/claim/withdraw", h.Div(h.Class("actions"), h.Button(h.Type("submit"), h.Class("bad"), g.Text(do)),
			v.link("/claim", "돌아가기", "Go back"))))
}

func withdraw(v *visit) error {
	if v.claim == nil {
		if err := v.Store.AbandonDraft(v.ctx(), v.id); err != nil {
			return err
		}
		v.setCookie(cookie, "", -1)
		v.see("/")
		return nil
	}
	return v.once(claims.Withdraw, "withdrawn", nil, func() error {
		if seen, ok := v.seen(); ok && seen != v.claim.Seq { // it may be something else that would be withdrawn now
			return claims.ErrIllegal
		}
		return v.Store.Commit(v.ctx(), []store.Step{{Claim: v.claim, Action: claims.Withdraw, By: store.Owner}}, nil)
	})
}

func askAccount(v *visit) error { return v.accountPage(nil, nil) }

func (v *visit) accountPage(values, wrong map[string]string) error {
	if !v.movable() {
		return &refusal{http.StatusConflict, v.t("지금은 계좌를 바꿀 수 없습니다. 은행에 이미 지급을 요청했거나, 더 지급할 것이 없습니다.",
			"The account cannot be changed now: the bank has the order already, or nothing is to be paid any more.")}
	}
	title := v.t("받을 계좌 바꾸기", "Change the account")
	fields := questions.Account()
	return v.page(title, len(wrong) > 0, questions.Summary(v.lang, fields, wrong), v.heading(title),
		h.P(g.Text(v.t(
			"새 계좌는 하루 동안 보류하고, 은행에 예금주를 확인한 뒤에 지급합니다. 지금 연락처로 계좌가 바뀌었다고 알립니다.",
			"A new account is held for a day, and paid to only after the bank has confirmed its holder. We tell the contact "+
				"that we have that it was changed.",
		))),
		v.form("/claim/account", g.Map(fields, func(f questions.Field) g.Node {
			return questions.Input(v.lang, &f, values[f.Name], wrong[f.Name])
		}),
			h.Div(h.Class("actions"), button(v.t("바꾸기", "Change it")), v.link("/claim", "돌아가기", "Go back"))))
}

func changeAccount(v *visit) error {
	values, wrong := map[string]string{}, map[string]string{}
	for _, f := range questions.Account() {
		value, says := v.asked().Read(&f, v.r.PostFormValue(f.Name))
		values[f.Name] = value
		if says != "" {
			wrong[f.Name] = says
		}
	}
	if len(wrong) > 0 {
		if v.movable() {
			v.w.WriteHeader(http.StatusUnprocessableEntity)
		}
		return v.accountPage(values, wrong)
	}
	p, err := v.Store.Person(v.ctx(), v.id)
	if err != nil {
		return err
	}
	if p == nil {
		return claims.ErrIllegal
	}
	p.Bank, p.Account, p.Holder = values["bank"], values["account"], values["holder"]
	if p.Holder == "" {
		p.Holder = p.Representative
	}
	same := func(*store.Entry) (bool, error) {
		now, err := v.Store.Person(v.ctx(), v.id)
		return now != nil && *now == *p, err
	}
	return v.once(store.ChangeAccount, "account", same, func() error {
		if !v.movable() {
			return v.accountPage(values, nil)
		}
		return v.Store.ChangePerson(v.ctx(), v.claim, *p, store.Owner, "the owner gave another account")
	})
}

// seenField is the number of the last entry of history when a form was shown.
const seenField = "seen"

func (v *visit) seen() (seq int, ok bool) {
	seq, err := strconv.Atoi(v.r.PostFormValue(seenField))
	return seq, err == nil
}

// once does what a form asks for, and shows the claim. A button that is tapped twice sends its form twice, and a browser shows
// the second answer: where the form was done already, by an entry that is the same, that is what is said, and nothing is done
// again. Staff's forms are known by the page that they are of (store.Once). An owner's are not: who goes back gets the page anew,
// and who has it open twice sends both.
func (v *visit) once(action claims.Action, done string, same func(*store.Entry) (bool, error), do func() error) error {
	already, err := v.did(action, same)
	if err == nil && !already {
		err = do()
		if err != nil {
			if already, failed := v.did(action, same); failed == nil && already { // at the same time
				err = nil
			}
		}
	}
	if err != nil {
		return err
	}
	v.see("/claim?done=" + done)
	return nil
}

// did reports whether the owner did something just behind what a form has seen.
func (v *visit) did(action claims.Action, same func(*store.Entry) (bool, error)) (bool, error) {
	seen, ok := v.seen()
	if !ok {
		return false, nil
	}
	history, err := v.Store.History(v.ctx(), v.id)
	if err != nil {
		return false, err
	}
	for i := range history {
		e := &history[i]
		if e.Seq != seen+1 || e.Action != action || e.By.Duty != claims.Owner {
			continue
		}
		if same == nil {
			return true, nil
		}
		return same(e)
	}
	return false, nil
}

// wrote says whether an entry has a letter.
func (v *visit) wrote(text string) func(*store.Entry) (bool, error) {
	return func(e *store.Entry) (bool, error) {
		letters, err := v.Store.Letters(v.ctx(), v.id)
		return letters[e.Seq] == text, err
	}
}
