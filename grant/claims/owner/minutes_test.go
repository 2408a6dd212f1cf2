package owner

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/granter/granter/grant/claims/store/storetest"
)

// How fast an ordinary owner is, with the papers at hand: the average reader of either language, a phone's keyboard under the
// thumbs of somebody past fifty, and no page that was seen before.
const (
	koreanWords  = 202 // a minute, read silently: Rhiu and others, Korean Journal of Ophthalmology 31(3), 2017
	englishWords = 238 // a minute, of texts that tell facts: Brysbaert, Journal of Memory and Language 109, 2019
	keysEach     = time.Minute / (26 * 5)
	// 26 words of five keys a minute, those past fifty on phones: Palin and others, MobileHCI 2019.
	tapEach  = 1100*time.Millisecond + 1350*time.Millisecond // to point and to decide: Card, Moran and Newell, CACM 23(7), 1980
	pageEach = time.Second                                   // until the next page is there
)

// promised is what the issue of damage claims asks for, of a claim of a tier.
const (
	promisedAnswers = 7
	promisedTime    = 3 * time.Minute
)

// effort is what a way through pages takes.
type effort struct{ pages, answers, words, keys, taps int }

func (e *effort) takes(wordsAMinute int) time.Duration {
	return time.Duration(e.words)*time.Minute/time.Duration(wordsAMinute) + time.Duration(e.keys)*keysEach +
		time.Duration(e.taps)*tapEach + time.Duration(e.pages)*pageEach
}

// An owner of a tier claim answers at most seven questions, and needs at most three minutes from the first page to the receipt
// if all words of all pages are read. It is computed from the pages as they are served: nobody's clock is in it.
func TestATierClaimTakesSevenAnswersAndThreeMinutes(t *testing.T) {
	for i, of := range []struct {
		lang, name, done string
		words            int
	}{{"ko", "김사장", "접수했습니다", koreanWords}, {"en", "Kim Sajang", "We have your claim", englishWords}} {
		t.Run(of.lang, func(t *testing.T) {
			b := newWorld(t, nil).browser()
			b.get("/?lang=" + of.lang)
			e := &effort{}
			e.reads(t, b.page, true)
			e.goesOn(b, "/start")
			for _, answers := range [][]string{
				{"business_number", strings.ReplaceAll(storetest.Number(i).String(), "-", "")},
				{"representative", of.name, "opened", "20200301"},
				{"industry", "restaurants"},
				{"outage_sales", "1000000", "week_sales_1", "1290000"},
				{"phone", "01012345678"},
				{"bank", "088", "account", "110123456789"},
			} {
				require.True(t, strings.HasPrefix(b.path, "/claim/question/"), b.path)
				e.answers++
				for k := 0; k < len(answers); k += 2 {
					e.fills(t, b.page, answers[k], answers[k+1])
				}
				e.goesOn(b, b.path, answers...)
			}
			require.Equal(t, "/claim/check", b.path)
			e.goesOn(b, "/claim/check")
			b.shows(of.done)

			took := e.takes(of.words).Round(time.Second)
			t.Logf("%s: %+v take %s", of.lang, *e, took)
			require.LessOrEqual(t, e.answers, promisedAnswers)
			require.LessOrEqual(t, took, promisedTime, "%+v", *e)
		})
	}
}

// goesOn presses the button of a page, and reads the next one.
func (e *effort) goesOn(b *browser, path string, answers ...string) {
	b.t.Helper()
	e.taps++
	b.post(path, answers...)
	require.Equal(b.t, 200, b.status, b.page)
	e.reads(b.t, b.page, false)
}

// reads counts the words of a page: those above and below it once, since they are the same on each.
func (e *effort) reads(t *testing.T, page string, first bool) {
	t.Helper()
	e.pages++
	body := find(parsed(t, page), "body", "")
	for _, part := range []string{"header", "main", "footer"} {
		if part == "main" || first {
			e.words += countWords(find(body, part, ""))
		}
	}
}

// fills takes one tap to come to a field, and the keys of what is written. A list that opens takes another tap, and half of it is
// read.
func (e *effort) fills(t *testing.T, page, name, value string) {
	t.Helper()
	field := find(parsed(t, page), "", name)
	require.NotNil(t, field, name)
	e.taps++
	switch {
	case field.Data == "select":
		e.taps++
		e.words += wordsIn(field) / 2
	case attribute(field, "type") != "radio":
		for _, r := range value {
			e.keys += keysOf(r)
		}
	}
}

// keysOf is how many keys a letter takes; a Korean syllable is of two or three.
func keysOf(r rune) int {
	const first, finals = 0xAC00, 28
	if !unicode.Is(unicode.Hangul, r) {
		return 1
	}
	if (r-first)%finals == 0 {
		return 2
	}
	return 3
}

func parsed(t *testing.T, page string) *html.Node {
	t.Helper()
	n, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	return n
}

// find is the first element of a tag, or with a name, in a part of a page.
func find(n *html.Node, tag, name string) *html.Node {
	for c := range n.Descendants() {
		if c.Type == html.ElementNode && (tag == "" || c.Data == tag) && (name == "" || attribute(c, "name") == name) {
			return c
		}
	}
	return nil
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// countWords counts the words that are seen, those of a closed list not among them.
func countWords(n *html.Node) (words int) {
	for c := range n.ChildNodes() {
		if c.Type == html.TextNode {
			words += wordsOf(c.Data)
		} else if c.Data != "select" {
			words += countWords(c)
		}
	}
	return words
}

// wordsIn counts all words of an element, seen or not.
func wordsIn(n *html.Node) (words int) {
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			words += wordsOf(c.Data)
		}
	}
	return words
}

// wordsOf counts what stands between blanks and is more than a sign.
func wordsOf(text string) (words int) {
	for word := range strings.FieldsSeq(text) {
		if strings.ContainsFunc(word, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			words++
		}
	}
	return words
}
