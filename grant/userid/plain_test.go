package userid

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Plain takes nothing that Decimal would not, as the same number; and of what is before the end far enough, everything up to 16
// digits but zero.
func TestPlainNumbersAreThoseOfDecimal(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	before := "\x00\xff9/:0123456789 \x80"
	taken := 0
	check := func(text string, limit uint64) {
		data := []byte(before + text + "12")
		end := len(before) + len(text)
		id, ok := Plain(data, end, len(text), limit)
		want, fault := Decimal([]byte(text), limit)
		if ok {
			taken++
			require.Empty(t, fault, "%q", text)
			require.Equal(t, want, id, "%q", text)
			return
		}
		require.True(t, fault != "" || text == "0" || len(text) > PlainDigits, "%q is left to Decimal", text)
	}
	for digits := range 19 {
		for range 3000 {
			text := ""
			for range digits {
				text += string(rune('0' + random.IntN(10)))
			}
			check(text, largest)
			check(text, 1<<random.IntN(60))
			if digits > 0 { // any byte in any place
				damaged := []byte(text)
				damaged[random.IntN(digits)] = byte(random.Uint32())
				check(string(damaged), largest)
			}
		}
	}
	require.Greater(t, taken, 50_000)
	for at := range 256 { // each byte in each place of eight
		for place := range 8 {
			text := []byte("12345678")
			text[place] = byte(at)
			check(string(text), largest)
		}
	}
	for digits := -1; digits < 20; digits++ { // it reads nothing that is not there
		for end := -1; end < 20; end++ {
			require.NotPanics(t, func() { Plain([]byte("12345678901234567"), end, digits, largest) }, fmt.Sprint(digits, end))
		}
	}
}
