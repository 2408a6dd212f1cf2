package claims

import (
	"fmt"
	"strings"

	"golang.org/x/text/width"
)

// BusinessNumber is a Korean business registration number: ten digits, without hyphens. A parsed one is valid in itself; only
// the tax office knows whether the business exists.
type BusinessNumber string

// String is the form that people know: 000-00-00000.
func (n BusinessNumber) String() string {
	if len(n) != businessDigits {
		return string(n)
	}
	return string(n[:3] + "-" + n[3:5] + "-" + n[5:])
}

const businessDigits = 10

// The first three digits are the tax office, the next two the type, the next four a serial; the last one checks.
var businessWeights = [9]int{1, 3, 7, 1, 3, 7, 1, 3, 5}

// lowestOffice is the first tax office.
const lowestOffice = "101"

// ParseBusinessNumber reads what people write: with hyphens or spaces, or in full-width digits.
func ParseBusinessNumber(s string) (BusinessNumber, error) {
	digits := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '-', '‐', '‑', '–', '−', '.':
			return -1
		default:
			return r
		}
	}, width.Narrow.String(strings.TrimSpace(s)))
	switch n := BusinessNumber(digits); {
	case strings.Trim(digits, "0123456789") != "":
		return "", fmt.Errorf("business number %q: want digits, such as 120-81-47521", s)
	case len(digits) == 13:
		return "", fmt.Errorf("business number: 13 digits look like a resident registration number, " +
			"which must not be written here; a business number has 10, such as 120-81-47521")
	case len(digits) != businessDigits:
		return "", fmt.Errorf("business number %q: it has %d digits, want 10, such as 120-81-47521", s, len(digits))
	case digits[:3] < lowestOffice || digits[3:5] == "00" || digits[5:9] == "0000":
		return "", fmt.Errorf("business number %s: no tax office gives such a number", n)
	case digits[9] != checkDigit(digits):
		return "", fmt.Errorf("business number %s: one of its digits is wrong, its check digit does not fit", n)
	default:
		return n, nil
	}
}

// checkDigit returns the tenth digit of a number with these nine.
func checkDigit(digits string) byte {
	sum := int(digits[8]-'0') * businessWeights[8] / 10
	for i, weight := range businessWeights {
		sum += int(digits[i]-'0') * weight
	}
	return byte('0' + (10-sum%10)%10)
}
