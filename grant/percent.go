package grant

import (
	"fmt"
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

// ParseShare reads a share as people write it, "0.01%" or "0.0001": 0 to 100%, 0 to 1.
func ParseShare(s string) (float64, error) {
	digits, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("share %q: want a percentage from 0%% to 100%%, such as 0.5%%, or a number from 0 to 1", s)
	}
	return v, nil
}
