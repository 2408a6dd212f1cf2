// Package resident finds resident registration numbers in what people write, which the law lets nobody collect here. It never
// repeats one that it found.
package resident

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"
)

// written finds what is written like a resident registration number: six digits of a birthday, and seven more of which the
// first says century and sex. The digits before and after are looked at by the caller, because RE2 cannot.
var written = regexp.MustCompile(`\d{6}([ \t]*[-‐‑‒–—−._·/~:][ \t]*|[ \t]+)?[0-9]\d{6}`)

const numberDigits = 13

// In reports whether a text holds a resident registration number, which the law lets nobody collect here. A
// number without a hyphen is one if its birthday exists; in a field that is meant for other numbers (strict is false) its check
// digit must fit as well, which numbers given since October 2020 need not.
//
// Business numbers, phone numbers, and account numbers with their own hyphens are none, nor is a masked number.
func In(text string, strict bool) bool {
	digits := 0
	for _, r := range text {
		if unicode.IsDigit(r) { // those of full width, too
			digits++
		}
	}
	if digits < numberDigits { // so it is with nearly every text, and looking for one takes much longer
		return false
	}
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) { // invisible
			return -1
		}
		return r
	}, width.Narrow.String(text))
	for at := 0; at < len(plain); {
		found := written.FindStringSubmatchIndex(plain[at:])
		if found == nil {
			return false
		}
		from, to := at+found[0], at+found[1]
		at = from + 1
		if from > 0 && digit(plain[from-1]) || to < len(plain) && digit(plain[to]) {
			continue
		}
		digits := plain[from:from+6] + plain[to-7:to]
		if born(digits) && (found[2] >= 0 || strict || checks(digits)) {
			return true
		}
	}
	return false
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

// born reports whether the first seven digits say a day.
func born(digits string) bool {
	century := map[byte]string{'9': "18", '0': "18", '1': "19", '2': "19", '5': "19", '6': "19"}[digits[6]]
	if century == "" {
		century = "20"
	}
	_, err := time.Parse("20060102", century+digits[:6])
	return err == nil
}

func checks(digits string) bool {
	sum := 0
	for i, weight := range [12]int{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5} {
		sum += int(digits[i]-'0') * weight
	}
	rest := (11 - sum%11) % 10
	foreign := (13 - sum%11) % 10 // of foreigners, before 2020
	last := int(digits[12] - '0')
	return last == rest || digits[6] >= '5' && digits[6] <= '8' && last == foreign
}

// ErrNumber means that a field holds a resident registration number.
var ErrNumber = errors.New("it holds what looks like a resident registration number")

// Refuse returns an ErrNumber when a field holds a resident registration number. The number is not in it.
func Refuse(field, text string, strict bool) error {
	if !In(text, strict) {
		return nil
	}
	return fmt.Errorf("%s: %w, which must not be written here: remove it", field, ErrNumber)
}
