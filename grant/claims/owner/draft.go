package owner

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/questions"
	"github.com/granter/granter/grant/claims/stagger"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// open is the window in which claims are handed in now.
func (v *visit) open() (claims.Window, bool) {
	w, _, ok := v.Programme.Open(v.windows, claims.ReportWindow, v.Now())
	return w, ok
}

// closed says that claims are not taken now, and when they are.
func (v *visit) closed() string {
	if next, ok := claims.Next(v.windows, claims.ReportWindow, v.Now()); ok {
		return tell.Text{KO: "지금은 신청 기간이 아닙니다. {from}부터 신청할 수 있습니다.", EN: "Claims are not taken now. They are from {from} on."}.
			Fill(v.lang, "{from}", v.lang.Moment(next.Opens, v.Programme.Zone))
	}
	return v.t("신청 기간이 끝났습니다. 이미 신청한 것은 아래에서 볼 수 있습니다.", "Claims are not taken any more. You can still see yours below.")
}

// notToday says that a business hands in on another day; empty: it may today, or its number is none.
func (v *visit) notToday(number string) string {
	unit, err := claims.ParseBusinessNumber(number)
	if err != nil {
		return ""
	}
	if not, ok := errors.AsType[*stagger.NotTodayError](stagger.Today(v.Programme, v.windows, unit, v.Now())); ok {
		return tell.NotToday(v.lang, not)
	}
	return ""
}

// begin makes a draft and a session of its owner.
func begin(v *visit) error {
	if !v.starts.Allow(v.address()) {
		return v.tooMany()
	}
	if _, ok := v.open(); !ok {
		return &refusal{http.StatusConflict, v.closed()}
	}
	id, err := v.Store.NewDraft(v.ctx(), v.Programme.Name)
	if err != nil {
		return err
	}
	if err := v.letIn(id); err != nil {
		return err
	}
	v.see("/claim/question/business")
	return nil
}

func (v *visit) letIn(id string) error {
	token, err := v.Store.NewSession(v.ctx(), id)
	if err != nil {
		return err
	}
	v.setCookie(cookie, token, store.SessionFor)
	return nil
}

func (v *visit) tooMany() error {
	v.w.Header().Set("Retry-After", "60")
	return &refusal{
		http.StatusTooManyRequests,
		v.t("너무 여러 번 시도했습니다. 1분 뒤에 다시 해 주세요.", "Too many attempts. Please wait a minute."),
	}
}

var enterFields = []questions.Field{
	{Name: "number", Label: tell.Text{KO: "접수번호", EN: "Claim number"}},
	{Name: "code", Label: tell.Text{KO: "비밀 코드", EN: "Secret code"}, Hint: tell.Text{
		KO: "16자리입니다. 대소문자와 줄표는 상관없습니다.", EN: "16 characters. Capitals and hyphens do not matter."}},
}

// enter asks for number and code.
func enter(v *visit) error { return v.enterPage("", nil) }

func (v *visit) enterPage(number string, wrong map[string]string) error {
	title := v.t("내 신청 보기", "See my claim")
	return v.page(title, len(wrong) > 0, questions.Summary(v.lang, enterFields, wrong), v.heading(title),
		h.P(g.Text(v.t("접수하거나 저장할 때 받은 접수번호와 비밀 코드를 적어 주세요.",
			"Write the claim number and the secret code that you got when you saved or handed in."))),
		h.Form(h.Method("post"), h.Action("/enter"), g.Attr("novalidate"),
			questions.Input(v.lang, &enterFields[0], number, wrong["number"]),
			questions.Input(v.lang, &enterFields[1], "", wrong["code"]),
			h.Div(h.Class("actions"), button(v.t("보기", "See it")))),
		h.H2(g.Text(v.t("코드를 잃어버렸다면", "If you have lost the code"))),
		h.P(g.Text(v.t("고객센터에 연락해 주세요. 본인 확인 뒤 새 코드를 드립니다. 예전 코드는 쓸 수 없게 됩니다.",
			"Contact the customer centre. Once we know that it is you, we give you another one, and the one before ends."))),
	)
}

// enterByLink is where a secret link leads to: a button, because a program that only looks at links must open nothing, and
// because
// whoever is sent somebody else's link should see whose claim it is before he writes into it.
func enterByLink(v *visit) error {
	title := v.t("내 신청 열기", "Open my claim")
	number := v.r.PathValue("number")
	return v.page(
		title,
		false,
		v.heading(title),
		h.P(
			g.Text(
				tell.Text{KO: "접수번호 {number}을(를) 엽니다.", EN: "This opens claim {number}."}.Fill(v.lang, "{number}", cut(number)),
			),
		),
		h.Form(h.Method("post"), h.Action("/enter"), h.Input(h.Type("hidden"), h.Name("number"), h.Value(number)),
			h.Input(h.Type("hidden"), h.Name("code"), h.Value(v.r.PathValue("code"))),
			h.Div(h.Class("actions"), button(v.t("열기", "Open")))),
	)
}

func cut(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}

func entered(v *visit) error {
	if !v.enters.Allow(v.address()) {
		return v.tooMany()
	}
	if err := v.readForm(); err != nil {
		return err
	}
	number, token, err := v.Store.Enter(v.ctx(), v.r.PostFormValue("number"), v.r.PostFormValue("code"))
	if errors.Is(err, store.ErrNotFound) {
		v.Log.Warn("a wrong number or code", "address", v.address())
		v.w.WriteHeader(http.StatusForbidden)
		return v.enterPage(cut(v.r.PostFormValue("number")), map[string]string{"code": v.t("접수번호나 비밀 코드가 맞지 않습니다.",
			"The number or the code is wrong.")})
	}
	if err != nil {
		return err
	}
	v.Log.Info("an owner came in", "claim", number)
	v.setCookie(cookie, token, store.SessionFor)
	v.see("/claim")
	return nil
}

func signOut(v *visit) error {
	if err := v.Store.EndSession(v.ctx(), v.token); err != nil {
		return err
	}
	v.setCookie(cookie, "", -1)
	v.see("/")
	return nil
}

// asked are the questions, and what was answered so far.
func (v *visit) asked() *questions.Asked {
	return &questions.Asked{Programme: v.Programme, Lang: v.lang, ID: v.id, Answers: v.draft}
}

// question shows one page of questions.
func question(v *visit) error {
	for i, t := range v.asked().Topics() {
		if t.Name == v.r.PathValue("name") {
			return v.questionPage(i, &t, v.draft, nil)
		}
	}
	return v.notFound()
}

func (v *visit) questionPage(i int, t *questions.Topic, values, wrong map[string]string) error {
	title := t.Title.In(v.lang)
	topics := v.asked().Topics()
	return v.page(
		title,
		len(wrong) > 0,
		questions.Summary(v.lang, t.Fields, wrong),
		h.P(
			h.Class("step"),
			g.Text(strconv.Itoa(i+1)+" / "+strconv.Itoa(len(topics))),
		),
		v.heading(title),
		v.form(
			"/claim/question/"+t.Name,
			g.Map(t.Fields, func(f questions.Field) g.Node { return questions.Input(v.lang, &f, values[f.Name], wrong[f.Name]) }),
			g.If(v.r.URL.Query().Has("back"), h.Input(h.Type("hidden"), h.Name("back"), h.Value("check"))),
			h.Div(
				h.Class("actions"),
				button(v.t("계속", "Continue")),
				h.A(h.Href("/claim/code"), g.Text(v.t("나중에 계속", "Finish later"))),
			),
		),
		g.If(i > 0, h.P(h.A(h.Href("/claim/question/"+topics[max(0, i-1)].Name), g.Text(v.t("이전", "Back"))))),
	)
}

// answer keeps what was answered on one page, unless something is wrong with it, and goes on to the next.
func answer(v *visit) error {
	topics := v.asked().Topics()
	for i, t := range topics {
		if t.Name != v.r.PathValue("name") {
			continue
		}
		values, wrong := map[string]string{}, map[string]string{}
		for k := range t.Fields {
			f := &t.Fields[k]
			value, says := v.asked().Read(f, v.r.PostFormValue(f.Name))
			if says != "" {
				wrong[f.Name] = says
			}
			values[f.Name] = value
		}
		if says := v.notToday(values["business_number"]); t.Name == "business" && says != "" && len(wrong) == 0 {
			wrong["business_number"] = says
		}
		if len(wrong) > 0 {
			v.w.WriteHeader(http.StatusUnprocessableEntity)
			return v.questionPage(i, &t, values, wrong)
		}
		if err := v.Store.SaveDraft(v.ctx(), v.id, values); err != nil {
			return err
		}
		maps.Copy(v.draft, values)
		v.see(v.nextPage(t.Name, v.r.PostFormValue("back") != ""))
		return nil
	}
	return v.notFound()
}

// nextPage is where to go from a page: to the next one or, when answers were only changed, to the first that is not answered.
func (v *visit) nextPage(from string, changed bool) string {
	topics := v.asked().Topics()
	for i, t := range topics {
		if t.Name == from && !changed && i+1 < len(topics) && !v.asked().Answered(&topics[i+1]) {
			return "/claim/question/" + topics[i+1].Name
		}
	}
	for _, t := range topics {
		if !v.asked().Answered(&t) {
			return "/claim/question/" + t.Name
		}
	}
	return "/claim/check"
}

// check shows all answers before they are handed in.
func check(v *visit) error { return v.checkPage("") }

func (v *visit) checkPage(problem string) error {
	if next := v.nextPage("", true); next != "/claim/check" {
		v.see(next)
		return nil
	}
	title := v.t("제출하기 전에 확인해 주세요", "Check your answers")
	var list g.Group
	for _, t := range v.asked().Topics() {
		change := v.t("바꾸기", "Change")
		link := h.Dd(h.Class("change"), h.A(h.Href("/claim/question/"+t.Name+"?back=check"),
			h.Aria("label", change+": "+t.Title.In(v.lang)), g.Text(change)))
		for i := range t.Fields {
			f := &t.Fields[i]
			if f.Optional && v.asked().Shown(f) == v.asked().Empty() {
				continue // nothing to check: who wants to add it changes what stands beside it on its page
			}
			list = append(list, h.Div(h.Dt(g.Text(f.Label.In(v.lang))), h.Dd(g.Text(v.asked().Shown(f))), g.If(i == 0, link)))
		}
	}
	earlier, err := v.reportedBefore()
	if err != nil {
		return err
	}
	if problem != "" {
		v.w.WriteHeader(http.StatusUnprocessableEntity)
	}
	return v.page(title, problem != "",
		g.If(problem != "", h.Div(h.Class("box bad"), h.Role("alert"), h.P(g.Text(problem)))),
		v.heading(title), h.Dl(list), v.estimate(), earlier,
		v.form(
			"/claim/check",
			h.P(g.Text(v.t("제출하면 사실임을 확인하고, 국세청과 은행 조회에 동의하는 것입니다.",
				"By handing it in you confirm it, and let us ask the tax office and the bank."))),
			h.Div(
				h.Class("actions"),
				button(v.t("제출", "Hand it in")),
				v.link("/claim/code", "나중에 계속", "Finish later"),
			),
		),
		h.P(v.link("/claim/withdraw", "모두 지우기", "Delete all")),
	)
}

// estimate says what the rules make of the answers: no promise, but no surprise either.
func (v *visit) estimate() g.Node {
	form, err := v.asked().Form()
	if err != nil {
		return nil
	}
	facts := form.Facts()
	a, err := v.Programme.Assess(&facts)
	if err != nil {
		return nil
	}
	line := tell.Tier(v.lang, v.Programme, &facts, &a)
	proposal := v.Programme.Propose(&facts, &a)
	var documents g.Group
	for _, kind := range proposal.Documents {
		name, _ := tell.Document(kind)
		documents = append(documents, h.Li(g.Text(name.In(v.lang))))
	}
	return h.Div(
		h.Class("box"),
		h.H2(g.Text(v.t("예상 결과", "Likely result"))),
		h.P(g.Text(v.t("매출 손실 ", "Your sales loss: ")+v.lang.Won(a.SalesLoss))),
		h.P(g.Text(line.How+": "), h.Strong(g.Text(line.Result))),
		g.If(
			len(documents) > 0,
			g.Group{h.P(g.Text(v.t("제출한 뒤 이 서류를 보내 주셔야 합니다:", "After handing it in, please send these documents:"))),
				h.Ul(documents)},
		),
		h.P(
			h.Class("note"),
			g.Text(v.t("사업자와 계좌를 확인한 뒤 결정됩니다.", "Business and account are checked first.")),
		),
	)
}

// handIn makes a claim of a draft. Who taps twice gets the same receipt twice: which of them a browser shows, nobody knows.
func handIn(v *visit) error {
	if v.claim != nil {
		return v.handedIn(v.claim.Received)
	}
	began := v.Now()
	if v.nextPage("", true) != "/claim/check" {
		return v.checkPage("")
	}
	form, err := v.asked().Form()
	if err != nil {
		return err
	}
	results, err := v.desk.Take(v.ctx(), []*intake.Form{form}, intake.Channel{Name: intake.ChannelPage, By: store.Owner})
	if err != nil {
		return err
	}
	switch r := &results[0]; {
	case r.Taken():
	case r.Outcome == store.Twice:
		// Whose claim it is, and its number, is none of this visitor's business.
		return v.checkPage(v.t(
			"이 사업자의 신청이 이미 있습니다. 한 사업자는 한 번만 신청할 수 있습니다. 그 신청의 접수번호와 코드로 들어가거나, 고객센터에 연락해 주세요.",
			"There is a claim of this business already, and a business claims once. See it by its number and code, or "+
				"contact the customer centre.",
		))
	case r.Outcome == store.Different:
		return fmt.Errorf("draft %s was handed in as something else", v.id)
	default:
		return v.checkPage(v.refused(r.Err))
	}
	if err := v.Store.DropDraft(v.ctx(), v.id); err != nil {
		return err
	}
	v.Log.Info("a claim was handed in", "claim", v.id)
	return v.handedIn(began)
}

// handedIn shows the receipt, while its code is the one that opens the claim, or none was given since it was handed in.
func (v *visit) handedIn(at time.Time) error {
	code, opens, err := v.Store.GiveCodeOnce(v.ctx(), v.id, v.token+" receipt", at)
	switch {
	case err != nil:
		return err
	case opens:
		return v.receipt(at, code)
	}
	v.see("/claim")
	return nil
}

func (v *visit) receipt(at time.Time, code string) error {
	title := v.t("접수했습니다", "We have your claim")
	return v.page(title, false, v.heading(title),
		h.Div(h.Class("box good"), h.P(g.Text(v.t("접수 시각: ", "Received: ")+v.lang.Moment(at, v.Programme.Zone)))),
		v.codeBox(code),
		h.P(g.Text(tell.Next(claims.Received).In(v.lang))),
		h.P(h.A(h.Class("button"), h.Href("/claim"), g.Text(v.t("내 신청 보기", "See my claim")))),
	)
}

// refused is why the path that all channels share does not take a form, in the owner's words.
func (v *visit) refused(err error) string {
	var out []string
	problems := intake.Problems(err)
	for _, t := range v.asked().Topics() {
		for _, f := range t.Fields {
			if slices.ContainsFunc(problems, func(p intake.Problem) bool { return p.Field == f.Name }) {
				out = append(out, f.Example.In(v.lang))
			}
		}
	}
	if not, ok := errors.AsType[*stagger.NotTodayError](err); ok {
		out = append(out, tell.NotToday(v.lang, not))
	} else if slices.ContainsFunc(problems, func(p intake.Problem) bool { return p.Field == "received" }) {
		out = append(out, v.closed())
	}
	if len(out) == 0 {
		v.Log.Error("a form that was checked is not taken", "error", err)
		return v.t("적은 내용을 다시 확인해 주세요.", "Please check your answers.")
	}
	return strings.Join(out, " ")
}

// askCode says what a code is for.
func askCode(v *visit) error {
	title := v.t("나중에 계속", "Finish later")
	what := v.t("지금까지 적은 내용은 저장되어 있습니다. 마지막으로 고친 날부터 30일 동안 보관합니다.",
		"What you wrote is kept, for 30 days after you changed it last.")
	if v.claim != nil {
		title, what = v.t("새 비밀 코드 받기", "Get another secret code"), v.t("새 코드를 받으면 예전 코드는 쓸 수 없습니다.",
			"The code that you have now will not work any more.")
	}
	return v.page(title, false, v.heading(title), h.P(g.Text(what)),
		h.P(g.Text(v.t("다른 기기에서 이어서 하거나 나중에 다시 보려면 접수번호와 비밀 코드가 필요합니다.",
			"To go on with another device, or later, you need the claim number and a secret code."))),
		v.form("/claim/code", h.Input(h.Type("hidden"), h.Name(onceField), h.Value(rand.Text())),
			h.Div(h.Class("actions"), button(v.t("접수번호와 코드 받기", "Get number and code")),
				v.link("/claim", "돌아가기", "Go back"))))
}

// onceField is of one form: sent twice, it gets the same code.
const onceField = "once"

func newCode(v *visit) error {
	once := v.r.PostFormValue(onceField)
	if once == "" {
		once = rand.Text()
	}
	code, err := v.Store.GiveCode(v.ctx(), v.id, v.token+" "+once)
	if err != nil {
		return err
	}
	title := v.t("접수번호와 비밀 코드", "Your number and secret code")
	return v.page(title, false, v.heading(title), v.codeBox(code), h.P(h.A(h.Class("button"), h.Href("/claim"),
		g.Text(v.t("계속하기", "Go on")))))
}

// codeBox shows a code, this once.
func (v *visit) codeBox(code string) g.Node {
	link := strings.TrimSuffix(v.Public, "/") + "/enter/" + v.id + "/" + code
	if v.Public == "" {
		scheme := "http://"
		if v.Secure {
			scheme = "https://"
		}
		link = scheme + v.r.Host + link
	}
	return h.Div(h.Class("box"), h.H2(g.Text(v.t("적어 두거나 화면을 저장하세요", "Write this down, or take a picture"))),
		h.P(g.Text(v.t("접수번호", "Claim number")), h.Br(), h.Span(h.Class("code"), h.ID("number"), g.Text(v.id))),
		h.P(g.Text(v.t("비밀 코드", "Secret code")), h.Br(), h.Span(h.Class("code"), h.ID("code"), g.Text(code))),
		h.P(g.Text(v.t("비밀 링크", "Secret link")), h.Br(),
			h.A(h.ID("link"), h.Href(link), g.Text(link))),
		h.P(h.Class("note"), g.Text(v.t("아는 사람은 누구나 이 신청을 볼 수 있습니다. 다시 보여 드리지 않습니다.",
			"Whoever has them sees this claim. They are shown only once."))))
}
