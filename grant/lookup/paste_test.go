package lookup

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

// What people paste, and what is made of it.
func TestWhatPeoplePaste(t *testing.T) {
	for text, want := range map[string]string{
		"41231007":                        "41231007",
		"  41231007\u00a0\r\n":            "41231007",
		"\ufeff41231007\u200b":            "41231007",
		"４１２３１００７":                        "41231007 full_width",
		"　４１，２３１，００７　":                    "41231007 full_width separators",
		"41,231,007":                      "41231007 separators",
		"41 231 007":                      "41231007 separators",
		"41.231.007":                      "41231007 separators",
		"41'231'007":                      "41231007 separators",
		"0041231007":                      "41231007 leading_zeros",
		"41231007.0":                      "41231007 decimals",
		"4123-1007":                       "41231007 hyphens",
		"0041-2310-07":                    "41231007 hyphens leading_zeros",
		"user: 41231007":                  "41231007 words",
		"회원번호 41231007번":                  "41231007 words",
		`"41231007",`:                     "41231007",
		"https://desk/users/41231007":     "41231007 words",
		"#41231007":                       "41231007",
		"0":                               "0",
		"000":                             "0 leading_zeros",
		"9223372036854775807":             "9223372036854775807",
		"1\n2\n\n3":                       "1; 2; 3",
		"1, 2, 3":                         "1; 2; 3",
		"1,2,3":                           "1; 2; 3",
		"12345 67890":                     "12345; 67890",
		"12345;67890|7\t8、9":              "12345; 67890; 7; 8; 9",
		"41,231,007 12,345,678":           "41231007 separators; 12345678 separators",
		"user 41231007 and 5":             "41231007; 5",
		"5 5 5":                           "5; again 2",
		"":                                "",
		"nobody":                          "",
		"010-1234-5678":                   "? phone 1012345678",
		"01012345678":                     "? phone 1012345678",
		"02-123-4567":                     "? phone 21234567",
		"+82 10-1234-5678":                "? phone",
		"2022-11-05":                      "? date 20221105",
		"4.1231E+07":                      "? rounded",
		"-5":                              "? signed 5",
		"+5":                              "? signed 5",
		"9223372036854775808":             "? too_large",
		"a1b2":                            "? no_id",
		"minji7@example.com":              "? no_id",
		"50%":                             "? no_id",
		"41231007\n010-1234-5678\nx12\n7": "41231007; 7; ? phone 1012345678; ? no_id",
		"이름\t회원번호\n민지\t41231007\n지훈\t41231008": "41231007; 41231008",
	} {
		require.Equal(t, want, described(Understand(text)), "%q", text)
	}
}

func described(p Pasted) string {
	var out []string
	for _, u := range p.Users {
		words := []string{u.User.String()}
		for _, how := range u.How {
			words = append(words, string(how))
		}
		out = append(out, strings.Join(words, " "))
	}
	for _, r := range p.Refused {
		s := "? " + string(r.Why)
		if r.Maybe != nil {
			s += fmt.Sprintf(" %s", *r.Maybe)
		}
		out = append(out, s)
	}
	if p.Repeated > 0 {
		out = append(out, fmt.Sprintf("again %d", p.Repeated))
	}
	return strings.Join(out, "; ")
}

func TestALongListIsCutAndSaysSo(t *testing.T) {
	var list strings.Builder
	for i := range MaxAtOnce + 7 {
		fmt.Fprintln(&list, i)
	}
	p := Understand(list.String())
	require.Len(t, p.Users, MaxAtOnce)
	require.Equal(t, 7, p.Surplus)
}

// Whatever is pasted, each user who is found is one that the text has the digits of, and a plain ID is always found.
func TestNothingIsInvented(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9 ,.\-+eE\n'０-９]{0,40}`)).Draw(t, "text")
		for _, u := range Understand(text).Users {
			require.LessOrEqual(t, u.User.Number(), grant.MaxUserID)
		}
		id := rapid.Uint64Range(0, grant.MaxUserID).Draw(t, "id")
		p := Understand(strconv.FormatUint(id, 10))
		require.Len(t, p.Users, 1)
		require.Equal(t, grant.NumberID(id), p.Users[0].User)
		require.Empty(t, p.Users[0].How)
	})
}

// A malformed record means whoever a person would think of.
func TestWhomAMalformedRecordMeans(t *testing.T) {
	for _, text := range []string{
		" 41231007", "41231007 ", "0041231007", "+41231007", "-41231007", "41,231,007", "４１２３１００７", "41231007.0", "user41231007",
		`{"user":{"id":"41231007"}`, `{"id":41231007,"id":5}`, "41231007;", "4123-1007",
	} {
		require.True(t, mentions(text, grant.NumberID(41_231_007)), text)
	}
	for _, text := range []string{"", "412310070", "141231007", "4123100", "nobody"} {
		require.False(t, mentions(text, grant.NumberID(41_231_007)), text)
	}
}
