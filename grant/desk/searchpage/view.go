// Package searchpage renders the page on which support looks up users. It is HTML that needs no script: what somebody pasted,
// how that was understood, the answer, and below it what the answer follows from.
package searchpage

import (
	"cmp"
	"io"
	"net/url"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
)

// View is one page.
type View struct {
	// Root is where the desk begins, from the page on: a proxy may have put it under a path of its own.
	Root string
	Lang lookup.Lang
	Zone *time.Location // the reader's; nil: not known
	Name string         // who is signed in; empty: nobody is
	// Cookie says that the sign-in can be taken back here.
	Cookie bool
	// SignInAt is where a token is sent to, from Root on.
	SignInAt string
	// ToClaims says that it is the pages of claims that people sign in to, and not the search.
	ToClaims bool
	// SignOnAt is where people sign in by the OpenID provider, from Root on; empty: they do not. Provider is what they call it.
	SignOnAt, Provider string
	Ask                string // whom to ask for a role; empty: whoever runs the desk

	refresh string // where the browser goes on to by itself

	Problem string // that the page begins with; empty: there is none
	English string // the detail of it, where that is in another language than the page

	Query  string // as it was pasted
	Why    string // the reason that was given with it
	Pasted lookup.Pasted
	Asked  bool // there is something to answer
	// Answers are those of each of Pasted.Users, in their order.
	Answers [][]lookup.Answer
	// SeesClaims says that claims are looked for, too, and SeesUsers that users are. Claims is what was found of them.
	SeesClaims, SeesUsers bool
	Claims                g.Node
	// Receipts reports whether there are receipts of a campaign; nil: of none.
	Receipts func(campaign string) bool
	// MayDo reports what whoever is signed in may do about users of a campaign; nil: nothing.
	MayDo func(campaign string, kind grant.ActKind) bool
	// MayDecide says that there is a queue of acts to decide about.
	MayDecide bool
	MayList   bool   // that whoever is signed in may do something about a list of users
	Notice    string // of what was done; empty: there is none
	Now       time.Time
}

// Fields of the forms.
const (
	FieldQuery = "q"
	FieldWhy   = "why"
	FieldLang  = "lang"
	FieldZone  = "tz"
	FieldToken = "token"
	FieldNext  = "next"
)

// SignIn renders the page for somebody who has shown no token. Next is where to go on.
func SignIn(w io.Writer, v *View, next string) error {
	t := v.words()
	title := t.signInTitle
	if v.ToClaims {
		title = t.in("granter: damage claims", "granter: 피해 지원 신청")
	}
	return v.page(w, t.signIn, h.Main(
		h.Class("sign-in"),
		h.Form(
			h.Method("post"),
			h.Action(v.Root+v.SignInAt),
			h.Class("card"),
			h.Aria("labelledby", "sign-in-title"),
			h.H1(h.ID("sign-in-title"), g.Text(title)),
			v.signOn(),
			h.Label(h.For("token"), g.Text(t.token)),
			h.Input(h.ID("token"), h.Name(FieldToken), h.Type("password"), h.AutoComplete("off"), h.Required(),
				g.If(v.SignOnAt == "", h.AutoFocus()), h.Aria("describedby", "token-help sign-in-error")),
			h.P(h.ID("token-help"), h.Class("note"), g.Text(t.tokenHelp)),
			h.P(h.ID("sign-in-error"), h.Class("error"), h.Role("alert"), v.says()),
			h.Input(h.Type("hidden"), h.Name(FieldNext), h.Value(next)),
			h.Button(h.Type("submit"), h.Class("primary"), g.Text(t.signIn)),
		),
		h.Form(h.Method("get"), h.Action(cmp.Or(v.Root, "./")), h.Aria("label", t.language),
			h.Input(h.Type("hidden"), h.Name(FieldNext), h.Value(next)), v.languages()),
	))
}

// Search renders the page with the search box and, if something was asked, the answer.
func Search(w io.Writer, v *View) error {
	t := v.words()
	title := t.title
	if len(v.Pasted.Users) == 1 {
		title = t.user(v.Pasted.Users[0].User) + " – " + t.title
	}
	return v.framed(w, title, v.box(), v.Claims, v.understood(), v.answers())
}

// framed is a page for somebody who is signed in.
func (v *View) framed(w io.Writer, title string, sections ...g.Node) error {
	t := v.words()
	return v.page(w, title,
		h.A(h.Class("skip"), h.Href("#main"), g.Text(t.skip)),
		h.Header(h.Class("top"),
			h.A(h.Class("brand"), h.Href(v.Root+"?all"),
				h.Img(h.Src(v.Root+"icon.svg"), h.Alt(""), h.Width("24"), h.Height("24")),
				h.Span(g.Text("granter"))),
			g.If(v.MayDecide, h.A(h.ID("waiting"), h.Href(v.Root+"users/waiting"), g.Text(t.waitingTitle()))),
			g.If(v.MayList, h.A(h.ID("lists"), h.Href(v.Root+"users/lists"), g.Text(t.listsTitle()))),
			h.Div(h.Class("user"),
				h.Span(h.Span(h.Class("visually-hidden"), g.Text(t.signedIn+" ")), h.Strong(h.ID("user-name"), g.Text(v.Name))),
				g.If(v.Cookie, h.Form(h.Method("post"), h.Action(v.Root+"users/sign-out"), h.Aria("label", t.signOut),
					h.Button(h.Type("submit"), h.ID("sign-out"), g.Text(t.signOut)))),
			),
		),
		h.Main(h.ID("main"), h.TabIndex("-1"), h.Div(h.ID("sections"), g.Group(sections))),
		h.Footer(h.Class("bottom"), h.P(h.Class("note"), g.Text(t.footer))),
	)
}

func (v *View) page(w io.Writer, title string, body ...g.Node) error {
	return h.Doctype(h.HTML(h.Lang(string(v.Lang)),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.Meta(h.Name("referrer"), h.Content("same-origin")),
			h.Meta(h.Name("robots"), h.Content("noindex")),
			g.If(v.refresh != "", h.Meta(g.Attr("http-equiv", "refresh"), h.Content("0; url="+v.refresh))),
			h.TitleEl(g.Text(title)),
			h.Link(h.Rel("icon"), h.Href(v.Root+"icon.svg"), h.Type("image/svg+xml")),
			h.Link(h.Rel("stylesheet"), h.Href(v.Root+"app.css")),
			h.Link(h.Rel("stylesheet"), h.Href(v.Root+"users.css")),
			h.Script(h.Type("module"), h.Src(v.Root+"users.js")),
		),
		h.Body(g.Group(body)),
	)).Render(w)
}

// languages are buttons: what was pasted goes along, and is in no address.
func (v *View) languages() g.Node {
	var out g.Group
	for _, l := range lookup.Langs() {
		name := languageNames[l]
		if l == v.Lang {
			out = append(out, h.Span(h.Class("chip"), h.Lang(string(l)), h.Aria("current", "true"), g.Text(name)))
			continue
		}
		out = append(out, h.Button(h.Type("submit"), h.Name(FieldLang), h.Value(string(l)), h.Lang(string(l)), h.FormNoValidate(),
			g.Text(name)))
	}
	return h.Div(h.Class("languages"), h.Role("group"), h.Aria("label", v.words().language), out)
}

// box is the search box.
func (v *View) box() g.Node {
	t := v.words()
	zone := ""
	if v.Zone != nil {
		zone = v.Zone.String()
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "title"),
		h.H1(h.ID("title"), g.Text(t.title)),
		g.If(v.Notice != "", h.P(h.ID("notice"), h.Class("notice"), h.Role("status"), g.Text(v.Notice))),
		v.problem(),
		h.Form(h.ID("search"), h.Method("post"), h.Action(v.Root+"users"), h.Role("search"), h.Aria("labelledby", "title"),
			h.Label(h.For("q"), g.Text(v.ask())),
			h.Textarea(h.ID("q"), h.Name(FieldQuery), h.Rows("2"), h.AutoComplete("off"), g.Attr("spellcheck", "false"),
				h.Aria("describedby", "q-help"), g.If(!v.Asked, h.AutoFocus()), g.Text(v.Query)),
			h.P(h.ID("q-help"), h.Class("note"), g.Text(v.askHelp())),
			h.Label(h.For("why"), g.Text(t.why)),
			h.Input(h.ID("why"), h.Name(FieldWhy), h.Type("text"), h.MaxLength("200"), h.AutoComplete("off"),
				h.Aria("describedby", "why-help"), h.Value(v.Why)),
			h.P(h.ID("why-help"), h.Class("note"), g.Text(t.whyHelp)),
			h.Div(h.Class("search-row"),
				h.Div(h.Label(h.For("tz"), g.Text(t.zone)),
					h.Select(h.ID("tz"), h.Name(FieldZone), h.Option(h.Value(""), g.Text(t.campaignsZone)), zones(zone))),
				h.Button(h.Type("submit"), h.Class("primary"), g.Text(t.lookUp)),
				v.languages(),
			),
		),
	)
}

// usualZones are offered to whoever has no script that knows better.
var usualZones = []string{
	"Asia/Seoul", "UTC", "Asia/Tokyo", "Asia/Singapore", "Europe/Berlin", "Europe/London", "America/New_York",
	"America/Los_Angeles",
}

func zones(chosen string) g.Node {
	list, there := usualZones, chosen == ""
	for _, z := range list {
		there = there || z == chosen
	}
	if !there {
		list = append([]string{chosen}, list...)
	}
	return g.Map(list, func(z string) g.Node { return h.Option(h.Value(z), g.If(z == chosen, h.Selected()), g.Text(z)) })
}

// understood says how a text was understood, as far as that is not plain.
func (v *View) understood() g.Node {
	t := v.words()
	var out g.Group
	for _, u := range v.Pasted.Users {
		if len(u.How) > 0 {
			out = append(out, h.Li(g.Text(t.understood(u))))
		}
	}
	if n := v.Pasted.Repeated; n > 0 {
		out = append(out, h.Li(g.Text(t.repeated(n))))
	}
	if n := v.Pasted.Surplus; n > 0 {
		out = append(out, h.Li(h.Strong(g.Text(t.surplus(n)))))
	}
	for _, r := range v.Pasted.Refused {
		out = append(out, h.Li(h.Strong(g.Text(t.refused(&r))), g.Iff(r.Maybe != nil, func() g.Node {
			return g.Group{g.Text(" "), h.A(h.Href(v.address(*r.Maybe)), g.Text(t.insist(*r.Maybe)))}
		})))
	}
	if v.Asked && v.Claims == nil && len(v.Pasted.Users) == 0 && len(v.Pasted.Refused) == 0 {
		out = append(out, h.Li(h.Strong(g.Text(t.nothing))))
	}
	if len(out) == 0 {
		return nil
	}
	return h.Section(h.Class("card"), h.Aria("labelledby", "understood-title"),
		h.H2(h.ID("understood-title"), g.Text(t.understoodTitle)), h.Ul(h.ID("understood"), h.Class("plain-list"), out))
}

// address is the page of one user.
func (v *View) address(user grant.UserID) string {
	return v.Root + "users/" + url.PathEscape(digits(user))
}
