package userid

import "encoding/binary"

// PlainDigits is how many digits Plain reads at most.
const PlainDigits = 16

// Plain reads the ID of some digits, 1 to PlainDigits, that end before an offset of data. ok is false where they are none up to
// the limit that Decimal would take, which is then to be asked why, and where fewer than 8 bytes are before the end: it looks at
// those whatever they are.
func Plain(data []byte, end, digits int, limit uint64) (id uint64, ok bool) {
	if digits < 1 || digits > PlainDigits || end < 8 || end < digits || end > len(data) || data[end-digits] == '0' {
		return 0, false
	}
	word := binary.LittleEndian.Uint64(data[end-8:])
	if digits <= 8 {
		id, ok = lastDigits(word, uint(digits))
		return id, ok && id <= limit
	}
	for _, c := range data[end-digits : end-8] {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		id = id*10 + uint64(d)
	}
	low, ok := lastDigits(word, 8)
	id = id*1e8 + low
	return id, ok && id <= limit
}

// lastDigits reads the last bytes of eight, and reports whether all of these are digits.
func lastDigits(word uint64, digits uint) (n uint64, ok bool) {
	const (
		zeros = 0x3030303030303030
		six   = 0x0606060606060606 // what a byte above 9 becomes more than 15 by
		high  = 0xf0f0f0f0f0f0f0f0
	)
	others := (64 - 8*digits) & 63
	n = (word ^ zeros) >> others << others // what is before the digits counts as zeros
	ok = (n|(n+six))&high == 0
	return pairs(n), ok
}

// pairs is the number that eight bytes are the digits of, the first one in the lowest byte.
func pairs(n uint64) uint64 {
	n = n * (10<<8 + 1) >> 8 // in every second byte a number of two digits
	n = (n & 0x00ff00ff00ff00ff) * (100<<16 + 1) >> 16
	return (n & 0x0000ffff0000ffff) * (10000<<32 + 1) >> 32
}
