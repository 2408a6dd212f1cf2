package grant

import (
	"math"
	"strconv"
	"strings"
)

// Percent writes a share from 0 to 1 as a percentage: to the four decimals that a spec may have, without trailing zeros.
func Percent(share float64) string {
	const millionths = 1_000_000
	count := int64(math.Round(share * millionths))
	s := strconv.FormatInt(count/10_000, 10)
	if rest := count % 10_000; rest > 0 {
		s += "." + strings.TrimRight(strconv.FormatInt(10_000+rest, 10)[1:], "0")
	}
	return s + "%"
}
