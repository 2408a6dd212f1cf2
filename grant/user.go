package grant

import (
	"cmp"
	"errors"
	"strconv"
)

// UserID identifies one user of the service, and is what everybody reads and writes: the text of the ID in the one form that
// a campaign writes all its IDs in. Two are the same user exactly if they are equal, whatever campaign they come from. Text
// that is a number from 0 to MaxUserID, without leading zeros, is held as that number, which allocates nothing. The zero value
// is user 0.
type UserID struct {
	number uint64
	text   string // empty: it is the number
}

// MaxUserID is the largest number that is a user ID, and that of every campaign with dense IDs: the largest signed
// 64-bit integer, so that every language and database downstream can hold it.
const MaxUserID uint64 = 1<<63 - 1

// NumberID makes a user ID of a number up to MaxUserID.
func NumberID(n uint64) UserID { return UserID{number: n} }

// NumberIDs makes user IDs of numbers.
func NumberIDs(numbers ...uint64) []UserID {
	ids := make([]UserID, len(numbers))
	for i, n := range numbers {
		ids[i] = NumberID(n)
	}
	return ids
}

// TextID makes a user ID of its text, which is not checked: package userid reads what others wrote.
func TextID(text string) UserID {
	if n, ok := number(text); ok {
		return UserID{number: n}
	}
	return UserID{text: text}
}

// number reads text that is exactly how a number up to MaxUserID is written.
func number(text string) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > 19 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	for i := range len(text) {
		d := text[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	return n, n <= MaxUserID
}

// noNumber is what Number returns of an ID that is none.
const noNumber = 1<<64 - 1

// Number returns the number that the ID is. Of an ID that is none it returns one above MaxUserID, which no user has: so nobody
// is taken for somebody else where IDs are dense.
func (u UserID) Number() uint64 {
	if u.text != "" {
		return noNumber
	}
	return u.number
}

// IsNumber reports whether the ID is a number.
func (u UserID) IsNumber() bool { return u.text == "" }

// Compare orders IDs: numbers by their value, in front of all others by their text.
func (u UserID) Compare(other UserID) int {
	return cmp.Or(cmp.Compare(u.text, other.text), cmp.Compare(u.number, other.number))
}

// String returns the text of the ID.
func (u UserID) String() string {
	if u.text != "" {
		return u.text
	}
	return strconv.FormatUint(u.number, 10)
}

// Masked is the ID for logs: enough for whoever knows it to find a line, and for nobody else.
func (u UserID) Masked() string {
	text := []rune(u.String())
	if len(text) < 5 {
		return "…"
	}
	return "…" + string(text[len(text)-2:])
}

// Append appends the text of the ID.
func (u UserID) Append(dst []byte) []byte {
	if u.text != "" {
		return append(dst, u.text...)
	}
	return strconv.AppendUint(dst, u.number, 10)
}

// MarshalText makes a UserID a string in JSON, since JavaScript has no integers above 2⁵³.
func (u UserID) MarshalText() ([]byte, error) { return u.Append(nil), nil }

var errNoUserID = errors.New("a user ID is not empty")

// UnmarshalText reads what MarshalText wrote.
func (u *UserID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errNoUserID
	}
	*u = TextID(string(text))
	return nil
}
