package preflight

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant/text"
)

// memory writes a number of bytes in the units of Redis: 1 kB is 1,024 bytes.
func memory[T ~int64 | ~float64](bytes T) string {
	value, unit := float64(bytes), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if value < 10 && unit != "B" {
		return fmt.Sprintf("%.1f %s", value, unit)
	}
	return fmt.Sprintf("%.0f %s", value, unit)
}

// share writes a part of a whole as a percentage with two significant digits. 0% and 100% are none and all.
func share(part, whole int) string {
	percent := 100 * float64(part) / float64(max(whole, 1))
	if part < whole && percent > 99 {
		return "over 99%"
	}
	return significant(percent) + "%"
}

// significant writes a number from 0 to 100 with two significant digits.
func significant(v float64) string {
	decimals := 0
	for step := 10.0; v > 0 && v < step && decimals < 6; step /= 10 {
		decimals++
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if decimals > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// span writes a duration with its two largest units.
func span(d time.Duration) string {
	units := []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	var words []string
	for _, u := range units {
		if n := d / u.length; n > 0 || len(words) > 0 {
			if n > 0 {
				words = append(words, fmt.Sprintf("%d %s", n, u.name))
			}
			d %= u.length
			if len(words) == 2 || n == 0 {
				break
			}
		}
	}
	if len(words) == 0 {
		return d.Round(time.Millisecond).String()
	}
	return strings.Join(words, " ")
}

// plural writes a number and a noun that takes an s.
func plural[T ~int | ~int64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return text.Number(n) + " " + noun + "s"
}

// few joins some words, and says how many more there are.
func few(words []string, most int) string {
	if len(words) <= most {
		return strings.Join(words, ", ")
	}
	return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", len(words)-most)
}
