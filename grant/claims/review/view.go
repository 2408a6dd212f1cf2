package review

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// view is one page for one reader.
type view struct {
	desk    *Desk
	root    string // where the desk begins, from the page on: a proxy may have put it under a path of its own
	Lang    tell.Lang
	who     Staff
	now     time.Time
	Problem string // that the page begins with; empty: there is none
	at      string // path of this page, from the desk on
	here    string // where this page is or, of one that was posted, where to begin again
	query   url.Values
	frozen  *store.Freeze // why nothing is decided or paid now; nil: it is
	cookie  bool          // the sign-in can be taken back here
	once    string        // of the forms of this page
	sent    url.Values    // the form that was sent; nil: none was
}

const (
	fieldLang  = "lang"
	langCookie = "granter_lang" // as on the other pages of the desk
)

// view is the page before anything is on it, in the reader's language: as chosen just now, before, or in the browser.
func (d *Desk) view(w http.ResponseWriter, r *http.Request, who Staff) *view {
	v := &view{desk: d, who: who, now: d.Now(), once: newOnce(r)}
	v.sent = r.PostForm
	v.root = strings.Repeat("../", strings.Count(strings.Trim(r.URL.Path, "/"), "/"))
	if err := d.Store.Frozen(r.Context(), d.Programme.Name); err != nil {
		if frozen, ok := errors.AsType[*store.FrozenError](err); ok {
			v.frozen = &frozen.Freeze
		} else if r.Context().Err() == nil { // whoever decides is told by the database itself
			d.Log.Error("the review desk cannot ask whether decisions are frozen", "error", err)
		}
	}
	_, v.at, _ = strings.Cut(r.Pattern, " ")
	v.here = v.root + "claims"
	if r.Method == http.MethodGet { // what was sent is not sent again
		v.here, v.query = "", r.URL.Query()
	}
	for _, name := range []string{"granter_token", "granter_session"} { // the desk's
		if _, err := r.Cookie(name); err == nil {
			v.cookie = true
		}
	}
	chosen := r.URL.Query().Get(fieldLang)
	if c, err := r.Cookie(langCookie); err == nil && chosen == "" {
		v.Lang = tell.Parse(c.Value)
		return v
	}
	if chosen == "" {
		chosen, _, _ = strings.Cut(r.Header.Get("Accept-Language"), "-")
		v.Lang = tell.Parse(strings.ToLower(strings.TrimSpace(chosen)))
		return v
	}
	v.Lang = tell.Parse(chosen)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // it says a language, where there is no TLS too
		Name: langCookie, Value: string(v.Lang), MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode,
		HttpOnly: true, Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
	return v
}

// t is a text in the reader's language, and say the same as a string.
func (v *view) t(ko, en string) g.Node       { return g.Text(t(v.Lang, ko, en)) }
func (v *view) say(ko, en string) string     { return t(v.Lang, ko, en) }
func (v *view) th(ko, en string) g.Node      { return h.Th(h.Scope("col"), v.t(ko, en)) }
func t(l tell.Lang, ko, en string) string    { return tell.Text{KO: ko, EN: en}.In(l) }
func contains[T comparable](l []T, x T) bool { return slices.Contains(l, x) }

// state is where a claim is.
func (v *view) state(s claims.State) g.Node { return stateChip(v.Lang, s) }

func stateChip(l tell.Lang, s claims.State) g.Node {
	tone := ""
	switch s {
	case claims.OnHold, claims.PaymentReturned:
		tone = "bad"
	case claims.Approved, claims.SecondLook, claims.Paid, claims.Upheld, claims.PartlyUpheld:
		tone = "good"
	default:
	}
	return h.Span(h.Class("chip"), g.If(tone != "", h.Data("tone", tone)), g.Text(tell.State(s).In(l)))
}

// page renders a page.
func (v *view) page(w io.Writer, title string, sections ...g.Node) error {
	other, name := tell.English, "English"
	if v.Lang == tell.English {
		other, name = tell.Korean, "한국어"
	}
	return h.Doctype(h.HTML(h.Lang(string(v.Lang)),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.Meta(h.Name("referrer"), h.Content("same-origin")),
			h.Meta(h.Name("robots"), h.Content("noindex")),
			h.TitleEl(g.Text(title+" – "+v.desk.Programme.Title)),
			h.Link(h.Rel("icon"), h.Href(v.root+"icon.svg"), h.Type("image/svg+xml")),
			h.Link(h.Rel("stylesheet"), h.Href(v.root+"app.css")),
			h.Link(h.Rel("stylesheet"), h.Href(v.root+"claims.css")),
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#main"), v.t("본문으로", "Skip to the content")),
			h.Header(h.Class("top"),
				h.A(
					h.Class("brand"),
					h.Href(v.root+"claims"),
					h.Img(
						h.Src(v.root+"icon.svg"),
						h.Alt(""),
						h.Width("24"),
						h.Height("24"),
					),
					h.Span(g.Text(v.desk.Programme.Title)),
				),
				v.places(),
				h.Div(
					h.Class("user"),
					h.Span(
						h.Strong(h.ID("user-name"), g.Text(v.who.Name)),
						g.Text(" "),
						h.Span(h.Class("note"), g.Text(v.duties())),
					),
					h.A(h.Href(v.inLang(other)), h.Lang(string(other)), g.Text(name)),
					g.If(v.cookie, h.Form(h.Method("post"), h.Action(v.root+"claims/sign-out"),
						h.Button(h.Type("submit"), h.ID("sign-out"), v.t("로그아웃", "Sign out")))),
				)),
			h.Main(h.ID("main"), h.TabIndex("-1"), h.Div(h.ID("sections"),
				v.banner(),
				g.If(v.Problem != "", h.P(h.Class("card error"), h.Role("alert"), h.ID("problem"), h.TabIndex("-1"),
					h.AutoFocus(), g.Text(v.Problem))),
				g.If(len(sections) == 0, h.Section(h.Class("card"), h.H1(v.t("처리하지 못했습니다", "That was not possible")),
					h.P(h.A(h.Href(v.root+"claims"), v.t("처음 화면으로", "Begin again"))))),
				g.Group(sections))),
			h.Footer(h.Class("bottom"), h.P(h.Class("note"),
				v.t("여기에서 하는 모든 일과 본 사람은 기록에 남습니다.", "Whatever is done here, and who looked at whom, is kept in history."))),
		),
	)).Render(w)
}

// banner says, while nothing is decided or paid, who stopped that, since when, and why.
func (v *view) banner() g.Node {
	if v.frozen == nil {
		return nil
	}
	zone := v.desk.Programme.Zone
	return h.Section(h.Class("card frozen"), h.Role("status"), h.ID("frozen"),
		h.P(h.Strong(v.t("결정과 지급이 중지되어 있습니다", "Nothing is decided or paid")), g.Text(" · "+untilWhen(v.Lang, v.frozen, zone))),
		h.P(g.Text(tell.Text{
			KO: "{who}님이 {at}에 중지했습니다: {why}", EN: "{who} stopped it on {at}: {why}",
		}.Fill(v.Lang, "{who}", v.frozen.Who, "{at}", v.Lang.Moment(v.frozen.At, zone), "{why}", v.frozen.Why))),
		h.P(h.Class("note"), v.t("접수, 질문, 보류, 메모는 그대로 할 수 있습니다.",
			"Claims are still taken in, asked about, put on hold and noted."),
			g.If(v.who.Stops && v.at != pathStop, g.Group{g.Text(" "),
				h.A(h.Href(v.root+"claims/freeze"), v.t("재개하기", "Go on with decisions"))})))
}

// stopped makes a button one that cannot be pressed, while what it does is frozen.
func (v *view) stopped(a claims.Action) g.Node {
	if v.frozen == nil || !store.Decides(a) {
		return nil
	}
	return g.Group{h.Disabled(), h.Aria("describedby", "frozen")}
}

// whyStopped says beside such a button why.
func (v *view) whyStopped(a claims.Action) g.Node {
	if v.stopped(a) == nil {
		return nil
	}
	why := tell.Text{KO: "지금은 중지되어 있습니다: {why}", EN: "Frozen now: {why}"}
	return h.P(h.Class("note"), g.Text(why.Fill(v.Lang, "{why}", v.frozen.Why)))
}

// places are the parts of the desk.
func (v *view) places() g.Node {
	to := func(path, ko, en string) g.Node {
		return h.Li(h.A(h.Href(v.root+path), g.If(v.at == "/"+path, h.Aria("current", "page")), v.t(ko, en)))
	}
	return h.Nav(h.Class("places"), h.Aria("label", v.say("메뉴", "Parts")), h.Ul(h.Class("queues"),
		g.If(!v.who.onlyCouncil(), g.Group{
			to("claims", "신청", "Claims"),
			g.If(v.who.has(claims.Intake), to("claims/enter", "대신 접수", "Enter a claim")),
			to("claims/windows", "기간", "Windows"), to("claims/budget", "예산", "Budget"),
			to("claims/statistics", "통계", "Statistics"), to("claims/freeze", "중지", "Freeze"),
		}),
		g.If(v.desk.Programme.Council != nil, to("claims/council", "심의위원회", "Council")),
		g.If(v.who.has(claims.Privacy), to("claims/access", "열람 기록", "Who looked"))))
}

// inLang is where this page is in another language.
func (v *view) inLang(l tell.Lang) string {
	query := url.Values{}
	maps.Copy(query, v.query)
	query.Set(fieldLang, string(l))
	return v.here + "?" + query.Encode()
}

func (v *view) duties() string {
	names := make([]string, len(v.who.Duties))
	for i, d := range v.who.Duties {
		names[i] = dutyName(d).In(v.Lang)
	}
	return strings.Join(names, ", ")
}

// called is what an actor is called: what is no person has no name.
func called(l tell.Lang, by store.Actor) string {
	switch {
	case by == store.Rules:
		return t(l, "자동 처리", "an automatic check")
	case by == store.Owner:
		return t(l, "신청인", "the owner")
	case by == store.InCouncil:
		return t(l, "심의위원회", "the council")
	case by.Duty == claims.Bank:
		return t(l, "은행", "the bank")
	}
	return by.Name
}

// polite is called, as a sentence does.
func polite(l tell.Lang, by store.Actor) string {
	if name := called(l, by); l == tell.English || name != by.Name {
		return name
	}
	return by.Name + "님"
}

// whoDid is who did something, and in which duty.
func (v *view) whoDid(by store.Actor) string {
	if name := called(v.Lang, by); name != by.Name {
		return name
	}
	return by.Name + v.me(by.Name) + " (" + dutyName(by.Duty).In(v.Lang) + ")"
}

func dutyName(d claims.Duty) tell.Text {
	switch d {
	case claims.Owner:
		return tell.Text{KO: "신청인", EN: "owner"}
	case claims.Intake:
		return tell.Text{KO: "접수", EN: "intake"}
	case claims.Rules:
		return tell.Text{KO: "자동 처리", EN: "rules"}
	case claims.Reviewer:
		return tell.Text{KO: "심사", EN: "reviewer"}
	case claims.Approver:
		return tell.Text{KO: "결정", EN: "approver"}
	case claims.Payer:
		return tell.Text{KO: "지급", EN: "payer"}
	case claims.Secretary:
		return tell.Text{KO: "간사", EN: "secretary"}
	case claims.Privacy:
		return tell.Text{KO: "개인정보", EN: "privacy"}
	case claims.CouncilDuty:
		return tell.Text{KO: "위원", EN: "council"}
	case claims.Bank:
		return tell.Text{KO: "은행", EN: "bank"}
	default:
		return tell.Text{KO: string(d), EN: string(d)}
	}
}

// actionName is what staff call an action.
func actionName(a claims.Action) tell.Text {
	if text, ok := actions[a]; ok {
		return text
	}
	return tell.Text{KO: string(a), EN: string(a)}
}

var actions = map[claims.Action]tell.Text{
	claims.HandIn:       {KO: "접수", EN: "Hand in"},
	claims.Check:        {KO: "확인 시작", EN: "Begin to check"},
	claims.MissDocument: {KO: "서류 요청", EN: "Ask for documents"},
	claims.Complete:     {KO: "답변 완료", EN: "Answered"},
	claims.Ask:          {KO: "신청인에게 질문", EN: "Ask the owner"},
	claims.Flag:         {KO: "보류", EN: "Put on hold"},
	claims.Clear:        {KO: "보류 해제", EN: "Clear the signals"},
	claims.Review:       {KO: "심사로 넘김", EN: "Hand over to review"},
	claims.Refer:        {KO: "심의위원회에 넘김", EN: "Refer to the council"},
	claims.TakeBack:     {KO: "심의위원회에서 되돌림", EN: "Take back from the council"},
	claims.PutOnAgenda:  {KO: "안건 상정", EN: "Put on the agenda"},
	claims.Vote:         {KO: "표결", EN: "Vote"},
	claims.Recuse:       {KO: "회피", EN: "Recused"},
	claims.Adjourn:      {KO: "부결", EN: "Not carried"},
	claims.Approve:      {KO: "지급 결정", EN: "Approve"},
	claims.Draw:         {KO: "무작위 재확인 대상", EN: "Drawn for a second look"},
	claims.Confirm:      {KO: "재확인 완료", EN: "Confirm: it was looked at again"},
	claims.Decline:      {KO: "지급하지 않기로 결정", EN: "Decline"},
	claims.Withdraw:     {KO: "신청 취소", EN: "Withdraw"},
	claims.Send:         {KO: "지급 요청", EN: "Send the payment"},
	claims.Settle:       {KO: "지급 완료", EN: "Settled"},
	claims.Return:       {KO: "지급 반환", EN: "Returned"},
	claims.Recoup:       {KO: "환수", EN: "Recouped"},
	claims.Object:       {KO: "이의 신청", EN: "Object"},
	claims.Uphold:       {KO: "이의 받아들임", EN: "Uphold the objection"},
	claims.PartlyUphold: {KO: "이의 일부 받아들임", EN: "Partly uphold the objection"},
	claims.Reject:       {KO: "이의 받아들이지 않음", EN: "Reject the objection"},
	store.Note:          {KO: "메모", EN: "Note"},
	store.Identify:      {KO: "신원·계좌 확인", EN: "Identity asked about"},
	store.AddDocument:   {KO: "서류 받음", EN: "Document received"},
	store.ChangeAccount: {KO: "계좌 변경", EN: "Account changed"},
	store.FirstApproval: {KO: "첫 번째 결재", EN: "First approval of two"},
	store.Look:          {KO: "개인정보 열람", EN: "Looked at who it is"},
	store.HandOver:      {KO: "담당자에게 넘김", EN: "Hand over to a colleague"},
	store.ShowCouncil:   {KO: "심의위원회에 보일 서류", EN: "What the council may read"},
	store.Erase:         {KO: "개인정보 삭제", EN: "Erased"},
	store.Purge:         {KO: "보존 기간이 지나 삭제", EN: "Purged: kept for long enough"},
}

// signalName is what a signal is about.
func signalName(k claims.SignalKind) tell.Text {
	switch k {
	case claims.SameAccount:
		return tell.Text{KO: "다른 신청과 계좌가 같음", EN: "The account of another claim"}
	case claims.SamePhone:
		return tell.Text{KO: "다른 신청과 전화번호가 같음", EN: "The phone of another claim"}
	case claims.SameAddress:
		return tell.Text{KO: "다른 신청과 주소가 같음", EN: "The address of another claim"}
	case claims.SameDocument:
		return tell.Text{KO: "다른 신청과 서류가 같음", EN: "A document of another claim"}
	case claims.JustBelow:
		return tell.Text{KO: "경계 바로 아래의 손실", EN: "A loss just below the end of a tier"}
	case claims.OpenedLater:
		return tell.Text{KO: "장애 이후 개업", EN: "Opened during or after the outage"}
	case claims.AbovePeers:
		return tell.Text{KO: "같은 업종보다 훨씬 큰 손실", EN: "Much more than others of the industry"}
	case claims.NotConfirmed:
		return tell.Text{KO: "국세청이나 은행이 확인해 주지 않음", EN: "Not confirmed by the tax office or the bank"}
	default:
		return tell.Text{KO: string(k), EN: string(k)}
	}
}
