package searchpage

import (
	"io"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// told is a page that says one thing to somebody who is not signed in.
func (v *View) told(w io.Writer, title string, body ...g.Node) error {
	return v.page(w, title, h.Main(
		h.Class("sign-in"),
		h.Section(
			h.Class("card told"),
			h.Aria("labelledby", "told-title"),
			h.H1(h.ID("told-title"), g.Text(title)),
			g.Group(body),
		),
	))
}

// signOn is the link by which people sign in by the OpenID provider; nothing: there is none.
func (v *View) signOn() g.Node {
	if v.SignOnAt == "" {
		return nil
	}
	t := v.words()
	text := t.in("Sign in with your organisation’s account", "조직 계정으로 로그인")
	if v.Provider != "" {
		text = t.in("Sign in with "+v.Provider, v.Provider+" 계정으로 로그인")
	}
	return h.P(h.A(h.ID("sign-on"), h.Class("button primary"), h.Href(v.Root+v.SignOnAt), g.Text(text)))
}

// byToken is where somebody signs in who has a token, which needs no provider.
func (v *View) byToken() g.Node {
	t := v.words()
	return h.P(h.Class("note"), g.Text(t.in("Who has a token can sign in by it: ", "토큰이 있으면 토큰으로 로그인할 수 있습니다: ")),
		h.A(h.Href(v.Root), g.Text(t.in("operations", "운영 화면"))), g.Text(" · "),
		h.A(h.Href(v.Root+"users"), g.Text(t.title)))
}

// NotSignedIn renders why somebody could not sign in by the provider. Away: nobody can, now.
func NotSignedIn(w io.Writer, v *View, away bool) error {
	t := v.words()
	does := t.in("Nothing was changed. Begin again.", "변경된 것은 없습니다. 처음부터 다시 로그인하세요.")
	if away {
		does = t.in("That is not your fault: try again in a minute, and tell whoever runs this desk if it stays so.",
			"사용자의 문제가 아닙니다. 잠시 후 다시 시도하고, 계속되면 이 데스크의 운영자에게 알리세요.")
	}
	return v.told(w, t.in("Not signed in", "로그인하지 못했습니다"),
		v.problem(), h.P(g.Text(does)), v.signOn(),
		g.If(away, v.byToken()))
}

// NoRole renders that somebody is known, and may do nothing here. The problem says who they are.
func NoRole(w io.Writer, v *View, _ bool) error {
	t := v.words()
	ask := t.in("Ask whoever runs this desk for a role: the access file of the desk says who may do what.",
		"이 데스크의 운영자에게 역할을 요청하세요. 누가 무엇을 할 수 있는지는 데스크의 접근 파일에 있습니다.")
	if v.Ask != "" {
		ask = t.in("Ask for a role: "+v.Ask, "역할 요청: "+v.Ask)
	}
	return v.told(w, t.in("You may do nothing here yet", "아직 아무 권한이 없습니다"),
		v.problem(),
		h.P(h.ID("ask"), h.Strong(g.Text(ask))), v.out(),
	)
}

// out signs somebody out, also at the provider, so that they can come back as somebody else.
func (v *View) out() g.Node {
	t := v.words()
	return h.Form(h.Method("post"), h.Action(v.Root+"oidc/sign-out"), h.Aria("label", t.signOut),
		h.Button(h.Type("submit"), h.ID("sign-out"),
			g.Text(t.in("Sign out, to sign in as somebody else", "로그아웃하고 다른 계정으로 로그인"))))
}

// SignedOut renders that somebody is signed out here, and goes on to the provider, to end the session there, too. It is a page
// and no redirect: browsers let no form lead to another site.
func SignedOut(w io.Writer, v *View, provider string) error {
	t := v.words()
	title := t.in("You are signed out", "로그아웃되었습니다")
	if provider == "" {
		return v.told(w, title, v.signOn(), v.byToken())
	}
	v.refresh = provider
	return v.told(
		w,
		title,
		h.P(g.Text(t.in("This browser is still signed in at the provider of your account. It is signed out there, too, by this:",
			"이 브라우저는 계정 제공자에는 아직 로그인되어 있습니다. 아래에서 함께 로그아웃합니다."))),
		h.P(
			h.A(
				h.ID("sign-out-there"),
				h.Class("button primary"),
				h.Href(provider),
				g.Text(t.in("Sign out there", "제공자에서 로그아웃")),
			),
		),
	)
}
