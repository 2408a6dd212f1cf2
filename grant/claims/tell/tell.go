// Package tell has the words in which owners are told about their claims, in Korean and English: on the page, and in notices.
// What is
// computed or decided is told from the claim and the programme, never from a text that somebody translated by hand.
package tell

import (
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/stagger"
	"github.com/granter/granter/grant/text"
)

// Lang is a language that owners read.
type Lang string

// The languages; the first is that of whoever says none.
const (
	Korean  Lang = "ko"
	English Lang = "en"
)

// Langs are all languages.
var Langs = []Lang{Korean, English}

// Parse returns a language by its code; what is none is Korean.
func Parse(s string) Lang {
	if Lang(s) == English {
		return English
	}
	return Korean
}

// Text is the same in both languages.
type Text struct{ KO, EN string }

// In returns the text in a language.
func (t Text) In(l Lang) string {
	if l == English {
		return t.EN
	}
	return t.KO
}

// Fill returns a text with its placeholders, such as {until}, filled in. Particles behind them that the Korean text leaves
// undecided, as in "{number}을(를)", are decided.
func (t Text) Fill(l Lang, pairs ...string) string {
	filled := strings.NewReplacer(pairs...).Replace(t.In(l))
	if l == English {
		return filled
	}
	return text.Particles(filled)
}

// Won is an amount.
func (l Lang) Won(w claims.Won) string {
	return Text{"{n}원", "{n} won"}.Fill(l, "{n}", text.Number(int64(w)))
}

// Moment is a time to the minute, in the zone of a programme.
func (l Lang) Moment(t time.Time, zone *time.Location) string {
	t = t.In(zone)
	if l == English {
		return t.Format("2 January 2006, 15:04")
	}
	return t.Format("2006년 1월 2일 15:04")
}

// Until is the last minute before a window closes.
func (l Lang) Until(closes time.Time, zone *time.Location) string {
	return l.Moment(closes.Add(-time.Second), zone)
}

// Day is a day.
func (l Lang) Day(d claims.Date) string {
	t, err := time.Parse(time.DateOnly, string(d))
	switch {
	case err != nil:
		return string(d)
	case l == English:
		return t.Format("2 January 2006")
	default:
		return t.Format("2006년 1월 2일")
	}
}

// Days are the days from one to another; what both have in common is said once.
func (l Lang) Days(from, through claims.Date) string {
	a, err := time.Parse(time.DateOnly, string(from))
	b, err2 := time.Parse(time.DateOnly, string(through))
	if err != nil || err2 != nil || a.Equal(b) {
		return l.Day(from)
	}
	year, month := a.Year() == b.Year(), a.Year() == b.Year() && a.Month() == b.Month()
	first, last := "2006년 1월 2일~", "2006년 1월 2일"
	switch {
	case l == English && month:
		first, last = "2–", "2 January 2006"
	case l == English && year:
		first, last = "2 January – ", "2 January 2006"
	case l == English:
		first, last = "2 January 2006 – ", "2 January 2006"
	case month:
		last = "2일"
	case year:
		last = "1월 2일"
	}
	return a.Format(first) + b.Format(last)
}

// NotToday says that a business hands in on another day.
func NotToday(l Lang, n *stagger.NotTodayError) string {
	if n.Next == "" {
		return Text{"사업자등록번호 끝자리가 {digit}인 사업자는 오늘 접수할 수 없고, 남은 접수일이 없습니다. 고객센터에 연락해 주세요.",
			"A business whose number ends in {digit} cannot claim today, and no day of its own is left. Contact the customer " +
				"centre."}.
			Fill(l, "{digit}", strconv.Itoa(n.Digit))
	}
	return Text{"사업자등록번호 끝자리가 {digit}인 사업자는 {day}부터 접수할 수 있습니다. 그날 다시 와 주세요.",
		"A business whose number ends in {digit} can claim from {day} on. Please come back then."}.
		Fill(l, "{digit}", strconv.Itoa(n.Digit), "{day}", l.Day(n.Next))
}

// Stagger says which businesses hand in on a day.
func Stagger(l Lang, s *claims.Staggered) string {
	digits := make([]string, len(s.Digits))
	for i, d := range s.Digits {
		digits[i] = strconv.Itoa(d)
	}
	return Text{"{day}: 끝자리 {digits}", "{day}: numbers that end in {digits}"}.
		Fill(l, "{day}", l.Day(s.On), "{digits}", strings.Join(digits, ", "))
}

// amount is an exact amount; what is not whole is said to a hundredth, and that it goes on.
func (l Lang) amount(r *big.Rat) string {
	if r.IsInt() && r.Num().IsInt64() {
		return l.Won(claims.Won(r.Num().Int64()))
	}
	whole, rest, _ := strings.Cut(r.FloatString(2), ".")
	n, ok := new(big.Int).SetString(whole, 10)
	if ok && n.IsInt64() {
		whole = text.Number(n.Int64())
	}
	return Text{"{n}원", "{n} won"}.Fill(l, "{n}", whole+"."+rest)
}

// Share is a fraction as a percentage.
func Share(r *big.Rat) string {
	s := new(big.Rat).Mul(r, big.NewRat(100, 1)).FloatString(4)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".") + "%"
}
