package text

import (
	"strings"
	"unicode/utf8"
)

// Cell is a text that somebody wrote as the cell of a table: spreadsheets take one that begins like a formula for that, those of
// East Asia also in full width, and would run it (CWE-1236), so it gets an apostrophe in front.
func Cell(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}
