// Package userid reads user IDs from text: decimal digits without sign, spaces or leading zeros, as a topic in decimal
// format, a list, a command line and the API hold them, because two spellings of one user would be a trap for whoever compares
// them. It also has the hash by which users are chosen.
package userid

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/granter/granter/grant"
)

// Fault is what keeps text from being a user ID. It is a metric label and a dead letter's header; the set is fixed.
type Fault string

// The faults.
const (
	Empty       Fault = "empty"
	Negative    Fault = "negative"     // a minus before the digits
	Sign        Fault = "sign"         // a plus before the digits
	Space       Fault = "space"        // white space anywhere
	LeadingZero Fault = "leading_zero" // digits that begin with a needless zero
	NotDecimal  Fault = "not_decimal"  // anything else that is not a digit
	OverLimit   Fault = "over_limit"
)

// ErrOverLimit says of an ID that it is well formed, and larger than any that a user can have.
var ErrOverLimit = errors.New(string(OverLimit))

// Limit returns a topic's limit; a topic that sets none has the general one.
func Limit(maxID uint64) uint64 {
	if maxID == 0 {
		return grant.MaxUserID
	}
	return min(maxID, grant.MaxUserID)
}

// Parse reads a user ID as people type it, by the same rules as a record in decimal format.
func Parse(s string, maxID uint64) (grant.UserID, error) {
	maxID = Limit(maxID)
	id, fault := Decimal([]byte(s), maxID)
	if fault != "" {
		why := errors.New(string(fault))
		if fault == OverLimit {
			why = ErrOverLimit
		}
		return grant.UserID{}, fmt.Errorf(
			"user ID %q is malformed (%w): want decimal digits from 0 to %d, without sign, spaces or leading "+
				"zeros",
			s,
			why,
			maxID,
		)
	}
	return grant.NumberID(id), nil
}

// Decimal reads a user ID up to a limit; fault is empty if it is one. It allocates nothing.
func Decimal(data []byte, limit uint64) (id uint64, fault Fault) {
	// 18 digits cannot overflow, and cover nearly every record.
	if len(data) == 0 || len(data) > 18 || data[0] == '0' {
		return decimalCarefully(data, limit)
	}
	rest := data
	if len(rest) >= 16 {
		n, digits := eightDigits(rest)
		if !digits {
			return 0, notDecimal(data)
		}
		id, rest = n, rest[8:]
	}
	if len(rest) >= 8 {
		n, digits := eightDigits(rest)
		if !digits {
			return 0, notDecimal(data)
		}
		id, rest = id*1e8+n, rest[8:]
	}
	for _, c := range rest {
		d := c - '0'
		if d > 9 {
			return 0, notDecimal(data)
		}
		id = id*10 + uint64(d)
	}
	if id > limit {
		return 0, OverLimit
	}
	return id, ""
}

// eightDigits reads the first eight bytes at once, and reports whether all are digits: most user IDs have eight or nine.
func eightDigits(data []byte) (n uint64, digits bool) {
	const (
		high  = 0xf0f0f0f0f0f0f0f0
		zeros = 0x3030303030303030
		six   = 0x0606060606060606 // what a byte above '9' becomes more than '?' by
	)
	n = binary.LittleEndian.Uint64(data)
	if n&high != zeros || (n+six)&high != zeros {
		return 0, false
	}
	return pairs(n - zeros), true
}

func decimalCarefully(data []byte, limit uint64) (uint64, Fault) {
	if len(data) == 0 {
		return 0, Empty
	}
	for _, c := range data {
		if c < '0' || c > '9' {
			return 0, notDecimal(data)
		}
	}
	if data[0] == '0' {
		if len(data) == 1 {
			return 0, ""
		}
		return 0, LeadingZero
	}
	var id uint64
	for _, c := range data {
		d := uint64(c - '0')
		if d > limit || id > (limit-d)/10 {
			return 0, OverLimit
		}
		id = id*10 + d
	}
	return id, ""
}

// notDecimal says what is wrong with data that hold something else than digits.
func notDecimal(data []byte) Fault {
	for _, c := range data {
		if c == ' ' || c >= '\t' && c <= '\r' {
			return Space
		}
	}
	digits := len(data) > 1
	for _, c := range data[1:] {
		digits = digits && c >= '0' && c <= '9'
	}
	switch {
	case digits && data[0] == '-':
		return Negative
	case digits && data[0] == '+':
		return Sign
	}
	return NotDecimal
}
