package owner

import (
	"strconv"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/tell"
)

var langNames = map[tell.Lang]string{tell.Korean: "한국어", tell.English: "English"}

// page renders a whole page. The title is its heading, too; a problem is said in it first, for those who hear it.
func (v *visit) page(title string, problem bool, body ...g.Node) error {
	shown := title + " – " + v.Programme.Title
	if problem {
		shown = v.t("오류: ", "Error: ") + shown
	}
	return h.Doctype(h.HTML(h.Lang(string(v.lang)),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("robots"), h.Content("noindex")),
			h.Meta(h.Name("format-detection"), h.Content("telephone=no")),
			h.TitleEl(g.Text(shown)),
			h.Link(h.Rel("stylesheet"), h.Href(styleName)),
			h.Link(h.Rel("icon"), h.Href("data:,")),
		),
		h.Body(
			h.A(h.Class("skip"), h.Href("#main"), g.Text(v.t("본문으로 가기", "Skip to the content"))),
			h.Header(h.Class("top"), h.P(h.Lang("ko"), g.Text(v.Programme.Title)), v.languages()),
			h.Main(h.ID("main"), h.TabIndex("-1"), g.Group(body)),
			h.Footer(h.Class("bottom"), v.foot()),
		),
	)).Render(v.w)
}

// languages are links to the same page, as far as it can be asked for again.
func (v *visit) languages() g.Node {
	path := v.r.URL.EscapedPath()
	if v.r.Pattern == "/" || strings.HasPrefix(path, "/enter/") {
		path = "/enter" // no code stands in a link
	}
	var out g.Group
	for _, l := range tell.Langs {
		if l == v.lang {
			out = append(out, h.Li(h.Span(h.Lang(string(l)), h.Aria("current", "true"), g.Text(langNames[l]))))
			continue
		}
		out = append(
			out,
			h.Li(h.A(h.Href(path+"?lang="+string(l)), h.Lang(string(l)), g.Attr("hreflang", string(l)), g.Text(langNames[l]))),
		)
	}
	return h.Nav(h.Aria("label", v.t("언어", "Language")), h.Ul(out))
}

func (v *visit) foot() g.Node {
	return g.Group{
		g.If(v.Contact != "", h.P(g.Text(v.t("도움: ", "Help: ")+v.Contact))),
		h.P(g.Text(v.t("주민등록번호는 어디에도 적지 마세요. 법에 따라 받지 않습니다.",
			"Never write a resident registration number. The law forbids it."))),
	}
}

// form posts to a path, as a form of this session.
func (v *visit) form(path string, body ...g.Node) g.Node {
	return h.Form(h.Method("post"), h.Action(path), g.Attr("novalidate"),
		g.If(v.token != "", h.Input(h.Type("hidden"), h.Name(proofField), h.Value(proof(v.token)))),
		g.Iff(v.claim != nil, func() g.Node {
			return h.Input(h.Type("hidden"), h.Name(seenField), h.Value(strconv.Itoa(v.claim.Seq)))
		}), g.Group(body))
}

func (v *visit) heading(text string) g.Node { return h.H1(g.Text(text)) }

func button(text string) g.Node { return h.Button(h.Type("submit"), g.Text(text)) }

func (v *visit) link(path, ko, en string) g.Node { return h.A(h.Href(path), g.Text(v.t(ko, en))) }

// problem is a page with nothing but what went wrong, and where to go on.
func (v *visit) problem(says string) error {
	title := v.t("처리하지 못했습니다", "That did not work")
	return v.page(title, true, v.heading(title), h.Div(h.Class("box bad"), h.Role("alert"), h.P(g.Text(says))),
		h.P(v.link("/claim", "내 신청으로 가기", "Go to my claim")), h.P(v.link("/", "처음으로", "Start page")))
}

// pair is a name and what it is.
func pair(name, value string) g.Node { return h.Div(h.Dt(g.Text(name)), h.Dd(g.Text(value))) }

// start is the page that everybody begins at.
func start(v *visit) error {
	p := v.Programme
	title := v.t("피해 지원 신청", "Claim for damage")
	window, open := v.open()
	var when g.Node
	if open {
		when = h.P(g.Text(tell.Text{KO: "{until}까지 신청할 수 있습니다.", EN: "Open until {until}."}.Fill(v.lang, "{until}",
			v.lang.Until(window.Closes, p.Zone))))
	} else {
		when = h.Div(h.Class("box bad"), h.P(g.Text(v.closed())))
	}
	return v.page(
		title,
		false,
		v.heading(title),
		h.P(g.Text(tell.Text{
			KO: "{days} 장애로 매출이 줄어든 소상공인을 위한 신청입니다. 3분이면 됩니다. 서류 없이: {tiers}.",
			EN: "For small businesses that lost sales in the outage of {days}. It takes 3 minutes. Without documents: {tiers}.",
		}.Fill(v.lang, "{days}", v.lang.Days(p.Outage.From, p.Outage.Through), "{tiers}", v.plainTiers()))),
		when,
		v.days(),
		h.H2(g.Text(v.t("준비하실 것", "What you need"))),
		h.Ul(
			h.Li(g.Text(v.t("사업자등록증 (번호, 대표자, 개업일)", "Registration certificate (number, representative, opening day)"))),
			h.Li(g.Text(v.t("장애 주간과 평소 주간의 매출", "Sales in the outage week and usual weeks"))),
			h.Li(g.Text(v.t("돈을 받을 계좌", "Your bank account"))),
		),
		g.If(
			open,
			h.Form(h.Method("post"), h.Action("/start"), h.Div(h.Class("actions"), button(v.t("신청 시작", "Start a claim")))),
		),
		h.H2(g.Text(v.t("이미 시작했다면", "Already begun?"))),
		h.P(h.A(h.Class("button second"), h.Href("/enter"), g.Text(v.t("내 신청 보기", "See my claim")))),
	)
}

// days says which businesses hand in on which of the days that are left, if the programme has such.
func (v *visit) days() g.Node {
	today := claims.Date(v.Now().In(v.Programme.Zone).Format(time.DateOnly))
	var list g.Group
	for i := range v.Programme.Stagger {
		if s := &v.Programme.Stagger[i]; s.On >= today {
			list = append(list, h.Li(g.Text(tell.Stagger(v.lang, s))))
		}
	}
	if len(list) == 0 {
		return nil
	}
	title := v.t("사업자등록번호 끝자리에 따라 접수합니다", "Your day depends on the last digit of your business number")
	return h.Div(h.Class("box"), h.H2(g.Text(title)),
		h.Ul(list), h.P(g.Text(v.t("그 밖의 날에는 누구나 접수할 수 있습니다.", "On all other days everybody can claim."))))
}

// plainTiers are the tiers that need no document.
func (v *visit) plainTiers() string {
	var out []string
	for i := range v.Programme.Tiers.Table {
		if t := &v.Programme.Tiers.Table[i]; !t.Review && len(t.Documents) == 0 {
			out = append(out, tell.Span(v.lang, v.Programme.Tiers.Table, i)+" → "+v.lang.Won(t.Pay))
		}
	}
	return strings.Join(out, ", ")
}
