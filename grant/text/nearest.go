package text

import "strings"

// Nearest returns the word that s most likely is a slip of, or "" when none is near: another case, hyphens or spaces for
// underscores, or up to one slip in three letters.
func Nearest(s string, words []string) string {
	const longest = 249 // of a topic's name, the longest word there is; what people write may be a megabyte
	if len(s) > longest {
		return ""
	}
	s = folded(s)
	best, least := "", len(s)+1
	for _, w := range words {
		most := min(least-1, max(1, len(w)/3))
		if len(w)-len(s) > most || len(s)-len(w) > most {
			continue // so many bytes are missing or too many
		}
		if n := distance(s, folded(w)); n <= most {
			best, least = w, n
		}
	}
	return best
}

func folded(s string) string {
	return strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(s))
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
