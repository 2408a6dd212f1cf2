package claims

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBusinessNumbersAreReadAsPeopleWriteThem(t *testing.T) {
	for _, s := range []string{"120-81-47521", "1208147521", " 120 81 47521 ", "１２０－８１－４７５２１", "120‑81‑47521", "120.81.47521"} {
		n, err := ParseBusinessNumber(s)
		require.NoError(t, err, s)
		require.Equal(t, BusinessNumber("1208147521"), n)
		require.Equal(t, "120-81-47521", n.String())
	}
	for _, s := range []string{"124-81-00998", "220-81-62517"} {
		_, err := ParseBusinessNumber(s)
		require.NoError(t, err, s)
	}
}

func TestWhatIsNoBusinessNumberIsRefused(t *testing.T) {
	for s, want := range map[string]string{
		"":                 "it has 0 digits",
		"000-00-00000":     "no tax office gives such a number", // its sum is right
		"100-81-47521":     "no tax office gives such a number",
		"120-00-47521":     "no tax office gives such a number",
		"120-81-00001":     "no tax office gives such a number",
		"120-81-47522":     "its check digit does not fit",
		"210-81-47521":     "its check digit does not fit",
		"120-81-4752":      "it has 9 digits",
		"120-81-475211":    "it has 11 digits",
		"120-81-4752a":     "want digits",
		"120-81-4752१":     "want digits", // a digit of another script
		"900101-1234567":   "must not be written here",
		"120/81/47521":     "want digits",
		"+120-81-47521":    "want digits",
		"120-81-47521\x00": "want digits",
	} {
		_, err := ParseBusinessNumber(s)
		require.ErrorContains(t, err, want, "%q", s)
	}
	_, err := ParseBusinessNumber("900101-1234567")
	require.NotContains(t, err.Error(), "900101", "a resident registration number is not repeated")
}

// One wrong digit is always noticed where its weight has no common factor with ten; a weight of 5 lets even differences pass
// to the rest of the sum, which is why the ninth digit counts twice.
func TestOneWrongDigitIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := []byte(rapid.StringMatching(`[1-9][1-9][1-9][1-9][1-9][1-9][1-9][1-9][0-9]`).Draw(t, "nine digits"))
		whole := string(append(digits, checkDigit(string(digits))))
		_, err := ParseBusinessNumber(whole)
		require.NoError(t, err)
		at := rapid.IntRange(0, 9).Draw(t, "position")
		to := '0' + (whole[at]-'0'+byte(rapid.IntRange(1, 9).Draw(t, "more")))%10 // another digit
		_, err = ParseBusinessNumber(whole[:at] + string(to) + whole[at+1:])
		require.Error(t, err)
	})
}
