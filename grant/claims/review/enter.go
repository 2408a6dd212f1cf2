package review

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"slices"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/questions"
	"github.com/granter/granter/grant/claims/stagger"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// pathEnter is where somebody enters a claim for its owner, who calls or stands at the counter: the questions of the owner's page
// on one page, the answers once more, and a receipt to hand over.
const pathEnter = Path + "/enter"

// The fields of the form that are no answers.
const (
	fieldNumber = "number" // of the claim to be: the same form twice is one claim
	fieldNotice = "notices"
	fieldChange = "change" // go back to the answers
)

// entering is a claim that somebody enters.
type entering struct {
	*questions.Asked
	topics []questions.Topic
	wrong  map[string]string // by field
	other  string            // the claim that the business has
}

// noticesIn asks in which language the owner is told.
var noticesIn = questions.Field{
	Name: fieldNotice, Kind: questions.Choice, Label: tell.Text{KO: "알림을 받을 언어", EN: "Language of notices to the owner"},
	Options: []questions.Option{{Value: "ko", Label: tell.Text{KO: "한국어", EN: "Korean"}},
		{Value: "en", Label: tell.Text{KO: "영어", EN: "English"}}},
	Example: tell.Text{KO: "언어를 골라 주세요.", EN: "Choose a language."},
}

func (d *Desk) entering(l tell.Lang, number string) *entering {
	e := &entering{
		Asked: &questions.Asked{
			Programme: d.Programme, Lang: l, ID: number, All: true, Answers: map[string]string{fieldNotice: string(tell.Korean)},
		},
		wrong: map[string]string{},
	}
	e.topics = e.Topics()
	at := slices.IndexFunc(e.topics, func(t questions.Topic) bool { return t.Name == "contact" })
	e.topics[at].Fields = append(slices.Clip(e.topics[at].Fields), noticesIn)
	return e
}

// fields are all, in their order.
func (e *entering) fields() (out []questions.Field) {
	for i := range e.topics {
		out = append(out, e.topics[i].Fields...)
	}
	return out
}

// read reads what was posted, and says what is wrong.
func (e *entering) read(r *http.Request) {
	for _, f := range e.fields() {
		value, says := e.Read(&f, r.PostFormValue(f.Name))
		if e.Answers[f.Name] = value; says != "" {
			e.wrong[f.Name] = says
		}
	}
}

// form is what every channel hands over.
func (e *entering) form() (*intake.Form, error) {
	f, err := e.Form()
	if f != nil {
		f.Language = e.Answers[fieldNotice]
	}
	return f, err
}

// mayEnter refuses whoever does not take claims in.
func mayEnter(who *Staff) error {
	if !who.has(claims.Intake) {
		return claims.Illegal("claims are entered in the duty %s", claims.Intake)
	}
	return nil
}

// askEnter shows the questions.
func (d *Desk) askEnter(w http.ResponseWriter, r *http.Request, who Staff) {
	if err := mayEnter(&who); err != nil {
		d.fail(w, r, who, err)
		return
	}
	v := d.view(w, r, who)
	d.showEntering(w, r, http.StatusOK, v, d.entering(v.Lang, store.NewNumber()))
}

// showEntering shows the questions, with what was answered.
func (d *Desk) showEntering(w http.ResponseWriter, r *http.Request, status int, v *view, e *entering) {
	v.here = v.root + "claims/enter"
	windows, err := d.Store.Windows(r.Context(), d.Programme)
	if err != nil {
		d.fail(w, r, v.who, err)
		return
	}
	d.html(w, status, func(out io.Writer) error {
		return v.page(out, v.say("대신 접수", "Enter a claim"), v.enterForm(e, v.whenTaken(windows)))
	})
}

// whenTaken says that no claims are taken now, and when they are.
func (v *view) whenTaken(windows []claims.Window) g.Node {
	if _, _, open := v.desk.Programme.Open(windows, claims.ReportWindow, v.now); open {
		return nil
	}
	says := v.say("접수 기간이 끝났습니다.", "Claims are not taken any more.")
	if next, later := claims.Next(windows, claims.ReportWindow, v.now); later {
		says = tell.Text{KO: "지금은 접수 기간이 아닙니다. {from}부터 접수합니다.", EN: "Claims are not taken now. They are from {from} on."}.
			Fill(v.Lang, "{from}", v.Lang.Moment(next.Opens, v.desk.Programme.Zone))
	}
	return h.P(h.Class("error"), g.Text(says))
}

func (v *view) enterForm(e *entering, when g.Node) g.Node {
	parts := make(g.Group, 0, len(e.topics))
	for i := range e.topics {
		t := &e.topics[i]
		parts = append(parts, h.FieldSet(h.Class("choices"), h.Legend(g.Text(t.Title.In(v.Lang))),
			g.Map(t.Fields, func(f questions.Field) g.Node {
				return questions.Input(v.Lang, &f, e.Answers[f.Name], e.wrong[f.Name])
			})))
	}
	return h.Section(
		h.Class("card"), h.Aria("labelledby", "title"),
		h.H1(h.ID("title"), v.t("신청인을 대신해 접수", "Enter a claim for its owner")),
		h.P(h.Class("note"), v.t("신청인이 말한 그대로 적으세요. 접수한 사람은 이 신청을 결정할 수 없습니다. 주민등록번호는 어디에도 적지 마세요.",
			"Write what the owner says. Whoever enters a claim can never decide it. Write no resident registration number "+
				"anywhere.")),
		when, questions.Summary(v.Lang, e.fields(), e.wrong),
		g.Iff(e.other != "", func() g.Node {
			return h.P(h.Class("error"), h.Role("alert"), v.t("이 사업자의 신청이 이미 있습니다: ", "The business has a claim already: "),
				h.A(h.Href(v.root+"claims/"+e.other), h.Code(g.Text(e.other))))
		}),
		v.posts(v.root+"claims/enter", "enter", h.Class("asked"), h.AutoComplete("off"),
			g.Attr("novalidate"), hidden(fieldNumber, e.ID), parts,
			h.Button(h.Type("submit"), h.Class("primary"), v.t("확인으로", "Go on to the answers"))))
}

// enter reads the answers, shows them once more, and takes the claim in.
func (d *Desk) enter(w http.ResponseWriter, r *http.Request, who Staff) {
	if err := mayEnter(&who); err != nil {
		d.fail(w, r, who, err)
		return
	}
	v := d.view(w, r, who)
	e := d.entering(v.Lang, cmp.Or(r.PostFormValue(fieldNumber), store.NewNumber()))
	e.read(r)
	form, err := e.form()
	switch {
	case len(e.wrong) > 0 || err != nil: // what cannot be read is among what is wrong
		d.showEntering(w, r, http.StatusUnprocessableEntity, v, e)
		return
	case r.PostFormValue(fieldChange) != "":
		d.showEntering(w, r, http.StatusOK, v, e)
		return
	}
	desk, from := d.Intake(intake.ChannelStaff), intake.Channel{
		Name: intake.ChannelStaff, By: store.Actor{Name: who.Name, Duty: claims.Intake},
	}
	if r.PostFormValue(fieldSure) == "" {
		if _, err := desk.Read(r.Context(), form, from); err != nil {
			d.refuseEntering(w, r, v, e, err)
			return
		}
		d.html(w, http.StatusOK, func(out io.Writer) error {
			return v.page(out, v.say("답변 확인", "Check the answers"), v.checkEntering(e, form))
		})
		return
	}
	results, err := desk.Take(r.Context(), []*intake.Form{form}, from)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	got := &results[0]
	if !got.Taken() {
		if got.Outcome == store.Twice {
			e.other = got.Claim
		}
		d.refuseEntering(w, r, v, e, got.Err)
		return
	}
	if got.Outcome == store.Taken {
		d.Log.Info("a claim was entered", "claim", got.Claim, "who", who.Name)
	}
	code, err := d.handOver(r, got)
	if err != nil {
		d.fail(w, r, who, err)
		return
	}
	v.here = v.root + "claims/enter"
	d.html(w, http.StatusOK, func(out io.Writer) error {
		return v.page(out, v.say("접수증", "Receipt"), v.receipt(got.Claim, code))
	})
}

// handOver returns the code of a claim that was entered: the same one when the same form comes again, because its button was
// pressed twice or the answer was lost; empty, when another one was given since.
func (d *Desk) handOver(r *http.Request, got *intake.Result) (string, error) {
	once := r.PostFormValue(fieldOnce)
	if once == "" && got.Outcome != store.Taken {
		return "", nil
	}
	found, err := d.Store.Get(r.Context(), got.Claim)
	if err != nil {
		return "", err
	}
	code, opens, err := d.Store.GiveCodeOnce(r.Context(), got.Claim, cmp.Or(once, rand.Text())+" entered", found[0].Received)
	if !opens {
		code = ""
	}
	return code, err
}

// refuseEntering shows the questions again, with why the path of all channels does not take the claim.
func (d *Desk) refuseEntering(w http.ResponseWriter, r *http.Request, v *view, e *entering, err error) {
	fields := e.fields()
	not, elsewhen := errors.AsType[*stagger.NotTodayError](err)
	if elsewhen {
		v.Problem = tell.NotToday(v.Lang, not)
	}
	for _, p := range intake.Problems(err) {
		at := slices.IndexFunc(fields, func(f questions.Field) bool { return f.Name == p.Field })
		switch {
		case at >= 0 && fields[at].Example.In(v.Lang) != "":
			e.wrong[p.Field] = fields[at].Example.In(v.Lang)
		case at >= 0:
			e.wrong[p.Field] = p.Detail
		case p.Field != "received": // which the page says itself
			v.Problem = p.Error()
		}
	}
	if e.other != "" {
		delete(e.wrong, "business_number")
	}
	d.showEntering(w, r, http.StatusUnprocessableEntity, v, e)
}

// checkEntering shows all answers, and what the rules make of them.
func (v *view) checkEntering(e *entering, form *intake.Form) g.Node {
	fields := e.fields()
	rows, kept := make(g.Group, 0, len(fields)), make(g.Group, 0, len(fields))
	for _, f := range fields {
		rows = append(rows, v.pair(f.Label.KO, f.Label.EN, g.Text(e.Shown(&f))))
		kept = append(kept, hidden(f.Name, e.Answers[f.Name]))
	}
	facts := form.Facts()
	return h.Section(
		h.Class("card"), h.Aria("labelledby", "confirm"),
		h.H1(h.ID("confirm"), v.t("신청인에게 읽어 주고 확인받으세요", "Read it to the owner, who says whether it is right")),
		h.Dl(h.Class("pairs"), rows), v.estimate(&facts),
		h.P(v.t("제출하면 국세청과 은행에 확인합니다. 신청인이 동의했는지 물어보세요.",
			"When it is handed in, the tax office and the bank are asked. Ask whether the owner agrees.")),
		v.posts(v.root+"claims/enter", "do-enter", hidden(fieldNumber, e.ID), kept,
			h.Div(h.Class("search-row"),
				h.Button(h.Type("submit"), h.Class("primary"), h.ID("sure"), h.Name(fieldSure), h.Value("yes"), h.AutoFocus(),
					v.t("제출", "Hand it in")),
				h.Button(h.Type("submit"), h.Name(fieldChange), h.Value("yes"), v.t("고치기", "Change something")))))
}

// estimate is what the rules make of facts, before anything is checked.
func (v *view) estimate(f *claims.Facts) g.Node {
	p := v.desk.Programme
	a, err := p.Assess(f)
	if err != nil {
		return nil // it was read before
	}
	line, proposal := tell.Tier(v.Lang, p, f, &a), p.Propose(f, &a)
	documents := g.Map(proposal.Documents, func(kind string) g.Node {
		name, _ := tell.Document(kind)
		return h.Li(g.Text(name.In(v.Lang)))
	})
	return g.Group{
		h.H2(v.t("예상 결과", "What the rules say")), h.P(g.Text(line.How+": "), h.Strong(g.Text(line.Result))),
		g.If(len(proposal.Documents) > 0, g.Group{
			h.P(v.t("제출한 뒤 신청인이 보내야 하는 서류:", "Documents that the owner must send afterwards:")),
			h.Ul(h.Class("plain-list"), documents),
		}),
	}
}

// receipt is what is handed over, this once.
func (v *view) receipt(number, code string) g.Node {
	again := h.P(v.t("이 신청은 이미 접수되어 있습니다. 코드는 처음에 한 번만 보여 줍니다. 잃어버렸다면 새 코드를 만들어 주세요: ",
		"This claim is in already. Its code was shown once, then. If it is lost, make another one: "),
		h.Code(g.Text("granter claims code "+number)))
	shown := g.Group{
		h.Dl(h.Class("pairs"), v.pair("접수번호", "Claim number", h.Strong(h.ID("number"), g.Text(number))),
			v.pair("비밀 코드", "Secret code", h.Strong(h.ID("code"), g.Text(code))),
			v.pair("접수 시각", "Received", g.Text(v.Lang.Moment(v.now, v.desk.Programme.Zone))),
			g.If(v.desk.Public != "", v.pair("내 신청 보기", "See my claim", g.Text(v.desk.Public)))),
		h.P(v.t("이 종이를 신청인에게 주거나, 번호와 코드를 불러 주세요. 코드를 아는 사람은 누구나 이 신청을 볼 수 있습니다. 다시 보여 드리지 않습니다.",
			"Hand this to the owner, or read number and code out. Whoever knows the code can see the claim. It is not shown "+
				"again.")),
	}
	if code != "" {
		again = shown
	}
	return h.Section(
		h.Class("card"), h.Aria("labelledby", "title"), h.H1(h.ID("title"), v.t("접수했습니다", "The claim is in")), again,
		h.P(h.Class("screen"), h.A(h.Href(v.root+"claims/"+number), v.t("이 신청 보기", "See this claim")), g.Text(" · "),
			h.A(h.Href(v.root+"claims/enter"), v.t("하나 더 접수", "Enter another one"))))
}
