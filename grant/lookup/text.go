package lookup

import (
	"fmt"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/granter/granter/grant/text"
)

// Lang is a language that people read: it is also what HTML's lang says.
type Lang string

// The languages.
const (
	English Lang = "en"
	Korean  Lang = "ko"
)

// Langs are all languages; the first is for whoever reads none of them.
func Langs() []Lang { return []Lang{English, Korean} }

var matcher = language.NewMatcher([]language.Tag{language.English, language.Korean})

// LangFor returns the language for somebody who reads some, in the form of the header Accept-Language.
func LangFor(accepts ...string) Lang {
	_, i := language.MatchStrings(matcher, accepts...)
	return Langs()[i]
}

var printers = map[Lang]*message.Printer{
	English: message.NewPrinter(language.English), Korean: message.NewPrinter(language.Korean),
}

// Number writes a number as readers of the language do.
func (l Lang) Number(n int64) string { return printers[l].Sprintf("%d", n) }

// Moment writes a time, in its zone, as readers of the language do, with the zone, to the second.
func (l Lang) Moment(t time.Time) string {
	if l == Korean {
		return t.Format("2006년 1월 2일 15:04:05 ") + zone(t)
	}
	return t.Format("2 January 2006, 15:04:05 ") + zone(t)
}

// Minute is Moment to the minute, for what is an estimate, or a date that people set.
func (l Lang) Minute(t time.Time) string {
	if l == Korean {
		return t.Format("2006년 1월 2일 15:04 ") + zone(t)
	}
	return t.Format("2 January 2006, 15:04 ") + zone(t)
}

// DayEnd writes the end of a day as readers of the language do, with the zone. In it is any moment of the day, in its zone.
func (l Lang) DayEnd(in time.Time) string {
	if l == Korean {
		return in.Format("2006년 1월 2일") + " 24시 " + zone(in)
	}
	return "the end of " + in.Format("2 January 2006 ") + zone(in)
}

func zone(t time.Time) string {
	if _, offset := t.Zone(); offset == 0 {
		return "UTC"
	}
	return t.Format("(UTC-07:00)")
}

// Text is the same in each language.
type Text struct {
	EN string `json:"en"`
	KO string `json:"ko"`
}

// In returns the text in a language.
func (t Text) In(l Lang) string {
	if l == Korean {
		return t.KO
	}
	return t.EN
}

// say makes a text of a format for each language. Numbers and times among the arguments are written as its readers do.
func say(en, ko string, args ...any) Text {
	in := func(l Lang, format string) string {
		words := make([]any, len(args))
		for i, arg := range args {
			words[i] = arg
			switch v := arg.(type) {
			case time.Time:
				words[i] = l.Minute(v)
			case int64:
				words[i] = l.Number(v)
			case int:
				words[i] = l.Number(int64(v))
			case Text:
				words[i] = v.In(l)
			}
		}
		return fmt.Sprintf(format, words...)
	}
	return Text{EN: in(English, en), KO: text.Particles(in(Korean, ko))}
}
