package resident

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestResidentNumbersAreFound(t *testing.T) {
	for _, text := range []string{
		"900101-1234567", "900101 1234567", "900101 - 1234567", "９００１０１－１２３４５６７", "900101–1234567", "9001011234567",
		"주민번호는 900101-1234567 입니다", "id=000229-3123456.pdf", "90\u200b0101-1234567", "x900101-5234567y", "1 900101-1234567",
		"100212-3456789, 02-1234-5678",
	} {
		require.True(t, In(text, true), text)
		require.ErrorContains(t, Refuse("note", text, true), "note: it holds what looks like")
		require.NotContains(t, Refuse("note", text, true).Error(), "1234567")
	}
	require.True(t, In("900101-1234567", false), "written as such it is one in every field")
	require.True(t, In("9001011234568", false), "its check digit fits")
}

func TestNumbersThatOnlyLookAlikePass(t *testing.T) {
	for _, text := range []string{
		"120-81-47521", "1208147521", "010-1234-5678", "01012345678", "02-1234-5678", "+82 10 1234 5678",
		"110-123-456789",       // an account of one bank
		"1002-123-456789",      // of another: 13 digits, and the first six are a day
		"3333-01-1234567",      // of a third: written with other hyphens
		"3333011234567",        // there is no month 33
		"900101-1******",       // masked
		"19900101-1234567",     // longer than one
		"12345678901234",       // 14 digits
		"901301-1234567",       // month 13
		"900230-1234567",       // 30 February
		"2022-10-15 300000",    // a day and a sum
		"영수증 20221015.pdf", "", // nothing in it
	} {
		require.False(t, In(text, true), text)
		require.NoError(t, Refuse("note", text, true))
	}
	require.False(t, In("1002123456789", false), "an account's number, whose check digit does not fit")
}

// Wherever in a text it stands, it is found, as long as it is a number of its own.
func TestAResidentNumberIsFoundAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		around := rapid.StringMatching(`[^0-9]{0,20}`)
		text := around.Draw(t, "before") + "850317-2" + rapid.StringMatching(`[0-9]{6}`).Draw(t, "rest") + around.Draw(t, "after")
		require.True(t, In(text, true), text)
	})
}
