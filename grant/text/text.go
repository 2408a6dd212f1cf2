// Package text writes numbers and times for people, the same in every command and report, finds the word that somebody meant, and
// decides the Korean particles behind words that are filled in.
package text

import (
	"fmt"
	"time"
)

// Number writes an integer with thousands separators.
func Number[T ~int | ~int64 | ~uint64](n T) string {
	s := fmt.Sprintf("%d", n)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Moment writes a time in its zone, with the zone. The zero time is never.
func Moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format("2006-01-02 15:04:05 -07:00")
}
