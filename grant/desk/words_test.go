package desk

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/granter/granter/grant/desk/searchpage"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/source"
)

// names are the same in every language: of programs, formats, units, and commands as they are typed.
var names = regexp.MustCompile(`\b(granter( [a-z]+)*|Redis|Kafka|Prometheus|JavaScript|API|JSON|UUID|UTF|UTC|ID|English|` +
	`[KMGT]?i?B|ms)\b|--[a-z-]+`)

var latin = regexp.MustCompile(`\pL*[A-Za-z]{2,}\pL*`)

// foreign are the words of a text that a reader of Korean would not expect.
func foreign(text string) []string { return latin.FindAllString(names.ReplaceAllString(text, ""), -1) }

func hangul(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Hangul, r) })
}

// The pages of operations are in the reader's language from their first byte: each text, and each attribute that is read out.
func TestPagesAreWrittenInEachLanguage(t *testing.T) {
	for _, file := range []string{"index.html", "campaign.html"} {
		for _, l := range lookup.Langs() {
			text := written(file, "../", l)
			require.NotRegexp(t, `\{\{|\}\}`, string(text), "what words are written with is all understood")
			inNoscript := html.ParseOptionEnableScripting(false)
			doc, err := html.ParseWithOptions(bytes.NewReader(text), inNoscript)
			require.NoError(t, err)
			for n := range doc.Descendants() {
				if n.Type == html.ElementNode && n.Data == "html" {
					require.Contains(t, n.Attr, html.Attribute{Key: "lang", Val: string(l)})
				}
				for _, says := range saidBy(n) {
					if l == lookup.Korean {
						require.Empty(t, foreign(says), "%s: %q has no Korean", file, says)
					} else {
						require.False(t, hangul(says), "%s: %q", file, says)
					}
				}
			}
		}
	}
}

// saidBy is what an element says to readers in the page's language.
func saidBy(n *html.Node) (all []string) {
	for e := n; e != nil; e = e.Parent {
		if e.Data == "code" || e.Data == "head" || e.Data == "svg" || e != n && langIn(e) != "" && e.Data != "html" {
			return nil
		}
	}
	if n.Type == html.TextNode {
		return []string{n.Data}
	}
	for _, a := range n.Attr {
		if slices.Contains([]string{"aria-label", "title", "alt", "placeholder", "data-label", "value"}, a.Key) {
			all = append(all, a.Val)
		}
	}
	return all
}

func langIn(n *html.Node) string {
	for _, a := range n.Attr {
		if a.Key == "lang" {
			return a.Val
		}
	}
	return ""
}

// plainCode are texts of scripts that look like words and are none: of HTTP, of HTML, and names.
var plainCode = regexp.MustCompile(`^(Accept|Authorization|Bearer \$|Content-Type|Idempotency-Key|Retry-After|POST|GET|` +
	`AbortError|Kafka|API|UTC|UTC\$|application/.*|http://www\.w3\.org/.*|[A-Z]?i?B|\$ ms|number replicas)$`)

// Every word that a script of these pages says has its Korean beside it: t("English", "한국어").
func TestEveryWordOfTheScriptsIsInKorean(t *testing.T) {
	count, wrong := 0, []string{}
	require.NoError(t, fs.WalkDir(page, "page", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".js" || name == "page/users.js" { // whose page the desk renders
			return err
		}
		text, err := page.ReadFile(name)
		require.NoError(t, err)
		for _, l := range readScript(string(text)) {
			says := ""
			switch {
			case l.arg == outside && l.isSaid():
				says = "has no Korean beside it: t(English, Korean)"
			case l.arg == 0 && hangul(l.text):
				says = "is in the place of the English words"
			case l.arg == 1 && len(foreign(strings.ReplaceAll(l.text, "\x00", " "))) > 0:
				says = "is in the place of the Korean words"
			case l.arg > 1:
				says = "is a third argument of t"
			}
			if count++; says != "" {
				wrong = append(wrong, fmt.Sprintf("%s:%d: %q %s", name, l.line, l.text, says))
			}
		}
		return nil
	}))
	require.Empty(t, wrong)
	require.Greater(t, count, 200, "scripts are read")
}

// The test of scripts finds what it is for.
func TestWordsWithoutKoreanAreFound(t *testing.T) {
	said := func(script string) (all []string) {
		for _, l := range readScript(script) {
			if l.arg == outside && l.isSaid() || l.arg == 1 && len(foreign(l.text)) > 0 {
				all = append(all, strings.ReplaceAll(l.text, "\x00", "$"))
			}
		}
		return all
	}
	require.Equal(t, []string{"Nobody runs."}, said(`text($("x"), "Nobody runs.")`))
	require.Equal(t, []string{"$ of $ users"}, said("text(e, `${count(n)} of ${t(\"a\", \"b\")} users`)"))
	require.Equal(t, []string{"Lost"}, said(`say(yes ? t("Live", "연결됨") : "Lost") // "A comment"`))
	require.Equal(t, []string{"Lost"}, said(`t("Lost", "Lost")`))
	require.Equal(t, []string{" ago"}, said("t(`${a} ago`, `${a} 전`) + ` ago`"))
	require.Empty(t, said("t(`${f(\"one\", [1, 2])} of them`, `그중 ${g(2)}개`); /[\"a b c]/.test(x); const x = a / b;"))
	require.Empty(t, said(`h("p", { class: "note big" })`))
}

const outside = -1

// literal is a text in a script; arg says which argument of t it is in. What is put into a template is a NUL.
type literal struct {
	text, before string
	line, arg    int
}

var (
	wordy = regexp.MustCompile(`^[A-Z][a-z]+|[A-Za-z]{2,}[ ,.:;…’]+[A-Za-z]|[ ,;:][a-z]{2,}[ .,]?$|` +
		`^[ ,;:]*[a-z]{2,}[.,:;…] ?$|\x00 [a-z]{2,}`)
	markup = regexp.MustCompile(`(class|className|viewBox|d|preserveAspectRatio|style):? ?$|` +
		`(querySelector(All)?|find|closest|matches|svg|set\([^()]*|h)\($|(import|from) $|"d", $`)
)

// isSaid reports whether the text is for people, by all appearances.
func (l *literal) isSaid() bool {
	if markup.MatchString(l.before) || plainCode.MatchString(strings.ReplaceAll(l.text, "\x00", "$")) {
		return false
	}
	return wordy.MatchString(l.text)
}

// script is a text that is being read.
type script struct {
	text string
	at   int
	out  []literal
}

func readScript(text string) []literal {
	s := &script{text: text}
	s.code(outside)
	return s.out
}

// bracket is one that is open; arg counts the arguments of t, or is outside.
type bracket struct{ arg int }

// code reads up to a closing brace that nothing in it has opened, or the end. Arg is where the whole is.
func (s *script) code(arg int) {
	var open []bracket
	where := func() int {
		for _, b := range slices.Backward(open) {
			if b.arg != outside {
				return b.arg
			}
		}
		return arg
	}
	significant := byte('(')
	for s.at < len(s.text) {
		c := s.text[s.at]
		rest := s.text[s.at:]
		switch {
		case strings.HasPrefix(rest, "//"):
			s.at += strings.IndexByte(rest+"\n", '\n')
			continue
		case c == '"':
			s.quoted(where())
			significant = '"'
			continue
		case c == '`':
			s.template(where())
			significant = '"'
			continue
		case c == '/' && strings.IndexByte("(,=:[!&|?{};", significant) >= 0:
			s.regexp()
			significant = '"'
			continue
		case c == '(' || c == '[' || c == '{':
			b := bracket{outside}
			if c == '(' && calledT.MatchString(s.text[max(0, s.at-3):s.at]) {
				b.arg = 0
			}
			open = append(open, b)
		case c == ')' || c == ']' || c == '}':
			if len(open) == 0 {
				return
			}
			open = open[:len(open)-1]
		case c == ',' && len(open) > 0 && open[len(open)-1].arg != outside:
			open[len(open)-1].arg++
		}
		if !unicode.IsSpace(rune(c)) {
			significant = c
		}
		s.at++
	}
}

var calledT = regexp.MustCompile(`(^|[^A-Za-z0-9_$.])t$`)

func (s *script) add(from int, text string, arg int) {
	s.out = append(s.out, literal{
		text: text, before: s.text[max(0, from-40):from], line: 1 + strings.Count(s.text[:from], "\n"), arg: arg,
	})
}

func (s *script) quoted(arg int) {
	from := s.at
	for s.at++; s.at < len(s.text) && s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	s.add(from, strings.Trim(s.text[from:s.at], `"`), arg)
}

func (s *script) template(arg int) {
	from := s.at
	var text strings.Builder
	for s.at++; s.at < len(s.text) && s.text[s.at] != '`'; {
		switch rest := s.text[s.at:]; {
		case strings.HasPrefix(rest, "${"):
			s.at += 2
			s.code(arg)
			s.at++ // the closing brace
			text.WriteByte(0)
		case rest[0] == '\\':
			s.at += 2
		default:
			text.WriteByte(rest[0])
			s.at++
		}
	}
	s.at++
	s.add(from, text.String(), arg)
}

func (s *script) regexp() {
	class := false
	for s.at++; s.at < len(s.text) && (class || s.text[s.at] != '/'); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '[':
			class = true
		case ']':
			class = false
		}
	}
	s.at++
}

// What scripts are given of the desk's own pages is whole.
func TestWordsThatScriptsShareAreWhole(t *testing.T) {
	for _, reason := range source.Reasons() {
		says := searchpage.Reasons()[reason]
		require.NotEmpty(t, says[0], reason)
		require.True(t, hangul(says[1]), "%s: %q", reason, says[1])
	}
	for k := range statuses {
		require.True(t, hangul(searchpage.Problems()[string(k)]), k)
	}
	w := newWorld(t)
	text := string(w.ask(to("GET /shared.js")).body)
	require.Contains(t, text, `"unusable_schema":["a schema of another format","다른 형식의 스키마"]`)
	require.Contains(t, text, `"rate_limit":"요청이 너무 많습니다.`)
}

// A page is in the language that its reader chose, before or just now, or that the browser asks for; and a choice is kept for
// all pages, and leads nowhere but back.
func TestAPageIsInItsReadersLanguage(t *testing.T) {
	w := newWorld(t)
	for _, at := range []string{"/", "/campaigns/sorry-2022/"} {
		tags := map[string]string{}
		for _, c := range []struct{ accepts, cookie, want string }{
			{"", "", "en"}, {"ko-KR,ko;q=0.9,en;q=0.5", "", "ko"}, {"en-GB", "granter_lang=ko", "ko"},
			{"ko", "granter_lang=en", "en"}, {"ko", "granter_lang=fr", "ko"}, {"de", "", "en"},
		} {
			r := to("GET " + at)
			r.header = map[string]string{"Accept-Language": c.accepts, "Cookie": c.cookie}
			answer := w.ask(r)
			answer.is(http.StatusOK)
			require.Contains(t, string(answer.body), `<html lang="`+c.want+`">`, "%+v", c)
			require.Equal(t, c.want, answer.header.Get("Content-Language"))
			require.Equal(t, "Accept-Language, Cookie", answer.header.Get("Vary"))
			tags[c.want] = answer.header.Get("ETag")
			other := map[string]string{"en": "ko", "ko": "en"}[c.want]
			r.header["If-None-Match"] = tags[other]
			w.ask(r).is(http.StatusOK) // what a browser keeps in one language is not the page in another
		}
		require.NotEqual(t, tags["en"], tags["ko"])
	}
	for next, to := range map[string]string{
		"": "./", "%3Fall": "./?all", "campaigns/sorry-2022/": "./campaigns/sorry-2022/", "users/17": "./users/17",
		"//evil.example": "./", "https://evil.example/": "./", "campaigns/../x/": "./", "\\\\evil": "./",
		"users/../..": "./users",
	} {
		answer := w.ask(request{method: http.MethodGet, path: "/?lang=ko&next=" + next})
		answer.is(http.StatusSeeOther)
		require.Equal(t, to, answer.header.Get("Location"), next)
		require.Regexp(t, `^granter_lang=ko; Max-Age=31536000; Secure; SameSite=Lax$`, answer.header.Get("Set-Cookie"))
	}
	answer := w.ask(request{method: http.MethodGet, path: "/?lang=fr"})
	answer.is(http.StatusOK)
	require.Empty(t, answer.header.Get("Set-Cookie"))
}
