package text

import "strings"

// Cell is a text that somebody wrote as the cell of a table: spreadsheets take one that begins like a formula for that, and
// would run it (CWE-1236), so it gets an apostrophe in front.
func Cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
