package text

import (
	"regexp"
	"strings"
	"unicode"
)

// ending is how a word ends when it is read aloud, by which Korean chooses the particle behind it.
type ending int

const (
	unknown ending = iota
	vowel
	consonant
	liquid // ㄹ, which is a consonant for all particles but one
)

// undecided are particles as texts write them behind something that is filled in.
var undecided = regexp.MustCompile(`을\(를\)|은\(는\)|이\(가\)|와\(과\)|\(이\)라는|\(으\)로`)

// Particles decides the Korean particles of a text that were written undecided because the word before them was filled in: 을(를),
// 은(는), 이(가), 와(과), (이)라는 and (으)로. Quotes between word and particle count for nothing, nor does what stands in brackets.
// Behind what nobody can say how to read, the text stays undecided, as Koreans write it then.
func Particles(s string) string {
	if !strings.Contains(s, "(") {
		return s
	}
	var out strings.Builder
	at := 0
	for _, found := range undecided.FindAllStringIndex(s, -1) {
		out.WriteString(s[at:found[0]])
		out.WriteString(particle(s[found[0]:found[1]], endingOf(s[:found[0]])))
		at = found[1]
	}
	out.WriteString(s[at:])
	return out.String()
}

// decided are the forms of each behind a vowel, and behind a consonant.
var decided = map[string][2]string{
	"을(를)": {"를", "을"}, "은(는)": {"는", "은"}, "이(가)": {"가", "이"}, "와(과)": {"와", "과"},
	"(이)라는": {"라는", "이라는"}, "(으)로": {"로", "으로"},
}

func particle(both string, e ending) string {
	switch {
	case e == unknown:
		return both
	case e == vowel, e == liquid && both == "(으)로":
		return decided[both][0]
	default:
		return decided[both][1]
	}
}

// endingOf is how a text ends. Digits and capitals are read one by one, small letters as a word.
func endingOf(s string) ending {
	for {
		s = strings.TrimRightFunc(s, func(r rune) bool {
			return strings.ContainsRune("'\"’”」』》〉]", r) || unicode.Is(unicode.Cf, r)
		})
		open := strings.LastIndex(s, "(")
		if !strings.HasSuffix(s, ")") || open < 1 {
			break
		}
		s = strings.TrimRight(s[:open], " ")
	}
	runes := []rune(s)
	if len(runes) == 0 {
		return unknown
	}
	last := runes[len(runes)-1]
	switch {
	case last >= '가' && last <= '힣':
		switch (last - '가') % 28 { // of the consonants at the end of a syllable, the first is none
		case 0:
			return vowel
		case 8:
			return liquid
		default:
			return consonant
		}
	case strings.ContainsRune("036MN", last), strings.ContainsRune("mn", last), strings.HasSuffix(s, "ng"):
		return consonant // 영, 삼, 육, 엠, 엔
	case strings.ContainsRune("178LRl", last):
		return liquid // 일, 칠, 팔, 엘, 알
	case last < unicode.MaxASCII && (unicode.IsDigit(last) || unicode.IsLetter(last)), last == '%':
		return vowel
	default:
		return unknown
	}
}
