package campaign

import "strings"

// nearest returns the word that s most likely is a slip of, or "" when none is near: another case, hyphens for
// underscores, or up to one slip in three letters.
func nearest(s string, words []string) string {
	const longest = 40 // a word of the file may be a megabyte long; no known one is
	if len(s) > longest {
		return ""
	}
	s = strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(s))
	best, least := "", len(s)+1
	for _, w := range words {
		if n := distance(s, strings.ToLower(w)); n < least && n <= max(1, len(w)/3) {
			best, least = w, n
		}
	}
	return best
}

// distance counts the bytes to insert, delete, replace or swap with the next one to turn a into b (optimal string
// alignment).
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], 1+d[i-2][j-2])
			}
		}
	}
	return d[len(a)][len(b)]
}
