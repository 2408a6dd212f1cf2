package userid

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

const largest = grant.MaxUserID

func TestDecimalUserIDs(t *testing.T) {
	for _, c := range []struct {
		limit uint64
		text  string
		id    uint64
		fault Fault
	}{
		{largest, "0", 0, ""},
		{largest, "1", 1, ""},
		{largest, "48000000", 48_000_000, ""},
		{largest, "99999999999999999", 99999999999999999, ""},
		{largest, "999999999999999999", 999999999999999999, ""},   // 18 digits
		{largest, "1000000000000000000", 1000000000000000000, ""}, // 19
		{largest, "9223372036854775807", largest, ""},
		{largest, "9223372036854775808", 0, OverLimit},
		{largest, "9999999999999999999", 0, OverLimit},
		{largest, "18446744073709551615", 0, OverLimit},
		{largest, "18446744073709551616", 0, OverLimit}, // 2^64, which wraps to 0
		{largest, "18446744073709551617", 0, OverLimit},
		{largest, "10000000000000000000", 0, OverLimit},
		{largest, strings.Repeat("9", 1_000_000), 0, OverLimit},
		{100, "99", 99, ""},
		{100, "100", 100, ""},
		{100, "101", 0, OverLimit},
		{100, "1000", 0, OverLimit},
		{1, "1", 1, ""},
		{1, "2", 0, OverLimit},
		{1, "0", 0, ""},
		{999999999999999999, "999999999999999999", 999999999999999999, ""},
		{999999999999999999, "1000000000000000000", 0, OverLimit},
		{999999999999999998, "999999999999999999", 0, OverLimit},
		{1000000000000000000, "1000000000000000000", 1000000000000000000, ""},
		{1000000000000000000, "1000000000000000001", 0, OverLimit},
		{largest, "", 0, Empty},
		{largest, "00", 0, LeadingZero},
		{largest, "007", 0, LeadingZero},
		{largest, "0" + strings.Repeat("9", 30), 0, LeadingZero},
		{largest, "-1", 0, Negative},
		{largest, "-0", 0, Negative},
		{largest, "-9223372036854775809", 0, Negative},
		{largest, "+1", 0, Sign},
		{largest, "-", 0, NotDecimal},
		{largest, "+", 0, NotDecimal},
		{largest, "--1", 0, NotDecimal},
		{largest, "-1.5", 0, NotDecimal},
		{largest, "1-", 0, NotDecimal},
		{largest, " 1", 0, Space},
		{largest, "1 ", 0, Space},
		{largest, "1\n", 0, Space},
		{largest, "1\r\n", 0, Space},
		{largest, "\t1", 0, Space},
		{largest, "1 000", 0, Space},
		{largest, " ", 0, Space},
		{largest, "- 1", 0, Space},
		{largest, "1\u00a0", 0, NotDecimal},
		{largest, "1,000", 0, NotDecimal},
		{largest, "1_000", 0, NotDecimal},
		{largest, "1.0", 0, NotDecimal},
		{largest, "1e3", 0, NotDecimal},
		{largest, "0x1f", 0, NotDecimal},
		{largest, "12a", 0, NotDecimal},
		{largest, "user12", 0, NotDecimal},
		{largest, "NaN", 0, NotDecimal},
		{largest, "null", 0, NotDecimal},
		{largest, "\x00", 0, NotDecimal},
		{largest, "1\x00", 0, NotDecimal},
		{largest, "٣", 0, NotDecimal},  // a digit, in Arabic
		{largest, "１２", 0, NotDecimal}, // digits as wide as letters
		{largest, "/", 0, NotDecimal},  // the bytes beside the digits
		{largest, ":", 0, NotDecimal},
		{largest, strings.Repeat("1", 30) + "x", 0, NotDecimal},
		{largest, "\"12\"", 0, NotDecimal},
		{largest, "\ufeff12", 0, NotDecimal},
	} {
		id, fault := Decimal([]byte(c.text), c.limit)
		require.Equal(t, c.fault, fault, "%.40q up to %d", c.text, c.limit)
		require.Equal(t, c.id, id, "%.40q up to %d", c.text, c.limit)
	}
	_, fault := Decimal(nil, largest)
	require.Equal(t, Empty, fault)
}

func TestParseTakesALimit(t *testing.T) {
	for _, c := range []struct {
		maxID uint64
		text  string
		valid bool
	}{
		{0, "9223372036854775807", true}, // 0: no limit of its own
		{0, "9223372036854775808", false},
		{7, "7", true},
		{7, "8", false},
		{math.MaxUint64, "9223372036854775808", false}, // a limit above what any campaign accepts changes nothing
	} {
		id, err := Parse(c.text, c.maxID)
		require.Equal(t, c.valid, err == nil, "%s up to %d", c.text, c.maxID)
		if c.valid {
			require.Equal(t, c.text, id.String())
		}
	}
	_, err := Parse("007", 0)
	require.ErrorContains(t, err, "leading_zero")
}

// Eight digits are read at once: whatever stands at any place of an ID of any length is found.
func TestEveryByteAtEveryPlaceOfADecimalID(t *testing.T) {
	for length := 1; length <= 20; length++ {
		for at := range length {
			for c := range 256 {
				data := []byte("12345678901234567890"[:length])
				data[at] = byte(c)
				id, fault := Decimal(data, largest)
				want, err := strconv.ParseUint(string(data), 10, 63)
				if err != nil || c == '+' || c == '-' || data[0] == '0' && length > 1 {
					require.NotEmpty(t, fault, "%q", data)
					require.Zero(t, id)
					continue
				}
				require.Empty(t, fault, "%q", data)
				require.Equal(t, want, id, "%q", data)
			}
		}
	}
}

func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"", "0", "7", "007", "+1", "-1", " 1", "9223372036854775807", "9223372036854775808",
		"18446744073709551616", "1_0", "0x1"} {
		f.Add([]byte(s), largest)
		f.Add([]byte(s), uint64(7))
	}
	f.Fuzz(func(t *testing.T, data []byte, limit uint64) {
		limit = min(limit, largest)
		id, fault := Decimal(data, limit)
		want, err := strconv.ParseUint(string(data), 10, 64)
		digits := len(data) > 0 && strings.Trim(string(data), "0123456789") == ""
		switch {
		case len(data) == 0:
			require.Equal(t, Empty, fault)
		case !digits:
			require.Contains(t, []Fault{Negative, Sign, Space, NotDecimal}, fault)
		case data[0] == '0' && len(data) > 1:
			require.Equal(t, LeadingZero, fault)
		case err != nil || want > limit:
			require.Equal(t, OverLimit, fault)
		default:
			require.Empty(t, fault)
			require.Equal(t, want, id)
		}
		if fault != "" {
			require.Zero(t, id)
		}
	})
}

func BenchmarkDecimal(b *testing.B) {
	for _, text := range []string{"1234567", "12345678", "123456789", "1234567890123456"} {
		b.Run(strconv.Itoa(len(text)), func(b *testing.B) {
			data := []byte(text)
			for b.Loop() {
				Decimal(data, largest)
			}
		})
	}
}
