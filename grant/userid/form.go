package userid

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/granter/granter/grant"
)

// The faults of IDs that are not dense.
const (
	NotUUID Fault = "not_uuid" // in none of the forms of a UUID
	NotUTF8 Fault = "not_utf8"
	TooLong Fault = "too_long" // more than MaxString bytes
)

// MaxString is how many bytes an ID that is a string may have.
const MaxString = 256

// Form is what the IDs of a campaign are. Of IDs that are not dense it makes members: the bytes by which the ledger knows a user,
// the same for all spellings of one.
type Form struct {
	ids              grant.IDs
	limit            uint64
	trim, lower, nfc bool
}

// FormOf returns the form of the IDs of a topic.
func FormOf(in *grant.Input) Form {
	f := Form{ids: in.IDs, limit: Limit(in.MaxID)}
	for word := range strings.FieldsSeq(in.Normalise) {
		f.trim = f.trim || word == grant.NormaliseTrim
		f.lower = f.lower || word == grant.NormaliseLower
		f.nfc = f.nfc || word == grant.NormaliseNFC
	}
	return f
}

// Width is how many bytes each member has; 0: they differ.
func (f *Form) Width() int {
	switch f.ids {
	case grant.IDsUUID:
		return 16
	case grant.IDsInt64:
		return 8
	case grant.IDsDense, grant.IDsString:
	}
	return 0
}

// Spaced reports whether white space around a text is a part of the ID.
func (f *Form) Spaced() bool { return f.ids == grant.IDsString && !f.trim }

// Member appends the member that a text is; fault is empty if it is one. Of UUIDs and numbers it allocates nothing.
func (f *Form) Member(dst, text []byte) (_ []byte, fault Fault) {
	if len(text) == 0 {
		return dst, Empty
	}
	switch f.ids {
	case grant.IDsUUID:
		return appendUUID(dst, text)
	case grant.IDsInt64:
		n, fault := signed(text)
		return binary.BigEndian.AppendUint64(dst, uint64(n)), fault
	case grant.IDsDense, grant.IDsString:
	}
	return f.appendString(dst, text)
}

// ID returns the user that a member is.
func (f *Form) ID(member []byte) grant.UserID {
	if f.Width() == 0 {
		return grant.TextID(string(member))
	}
	var b [36]byte
	return grant.TextID(string(f.Append(b[:0], member)))
}

// Append appends the text of the user that a member is.
func (f *Form) Append(dst, member []byte) []byte {
	switch {
	case f.ids == grant.IDsUUID && len(member) == 16:
		var b [36]byte
		hex.Encode(b[:8], member[:4])
		for i, at := range [...]int{8, 13, 18, 23} {
			b[at] = '-'
			to := 4 + 2*(i+1)
			if i == 3 {
				to = 16
			}
			hex.Encode(b[at+1:], member[4+2*i:to])
		}
		return append(dst, b[:]...)
	case f.ids == grant.IDsInt64 && len(member) == 8:
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(member)), 10)
	}
	return append(dst, member...)
}

// Parse reads a user ID as people type it, by the same rules as a record.
func (f *Form) Parse(text string) (grant.UserID, error) {
	if f.Width() == 0 && f.ids != grant.IDsString {
		return Parse(text, f.limit)
	}
	member, fault := f.Member(nil, []byte(text))
	if fault == "" {
		return f.ID(member), nil
	}
	return grant.UserID{}, fmt.Errorf("user ID %q is malformed (%s): want %s", text, fault, f.want())
}

// Read reads a user ID by the same rules as a record in decimal or text format; fault is empty if it is one.
func (f *Form) Read(text []byte) (id grant.UserID, fault Fault) {
	if f.Width() == 0 && f.ids != grant.IDsString {
		n, fault := Decimal(text, f.limit)
		return grant.NumberID(n), fault
	}
	member, fault := f.Member(nil, text)
	if fault != "" {
		return id, fault
	}
	return f.ID(member), ""
}

// want is what an ID is, for people.
func (f *Form) want() string {
	return map[grant.IDs]string{
		grant.IDsUUID:   "a UUID, such as 6ba7b810-9dad-41d1-80b4-00c04fd430c8",
		grant.IDsInt64:  "a number from -9223372036854775808 to 9223372036854775807, without plus, spaces or leading zeros",
		grant.IDsString: fmt.Sprintf("1 to %d bytes of UTF-8", MaxString),
	}[f.ids]
}

// appendUUID reads a UUID in one of the forms that people publish: with hyphens or without, in braces, behind urn:uuid:, in
// either case; or its 16 bytes.
func appendUUID(dst, text []byte) ([]byte, Fault) {
	switch len(text) {
	case 16:
		return append(dst, text...), ""
	case 34, 38:
		if text[0] != '{' || text[len(text)-1] != '}' {
			return dst, NotUUID
		}
		text = text[1 : len(text)-1]
	case 41, 45:
		if !strings.EqualFold(string(text[:9]), "urn:uuid:") {
			return dst, NotUUID
		}
		text = text[9:]
	}
	var digits [4]uint64
	switch be := binary.BigEndian; {
	case len(text) == 32:
		for i := range digits {
			digits[i] = be.Uint64(text[8*i:])
		}
	case len(text) == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-':
		digits = [4]uint64{
			be.Uint64(text), uint64(be.Uint32(text[9:]))<<32 | uint64(be.Uint32(text[14:])),
			uint64(be.Uint32(text[19:]))<<32 | uint64(be.Uint32(text[24:])), be.Uint64(text[28:]),
		}
	default:
		return dst, NotUUID
	}
	a, okA := eightHexDigits(digits[0])
	b, okB := eightHexDigits(digits[1])
	c, okC := eightHexDigits(digits[2])
	d, okD := eightHexDigits(digits[3])
	if !(okA && okB && okC && okD) {
		return dst, NotUUID
	}
	dst = binary.BigEndian.AppendUint64(dst, a<<32|b)
	return binary.BigEndian.AppendUint64(dst, c<<32|d), ""
}

// eightHexDigits reads eight bytes, the first of them the highest, at once, and reports whether all are hexadecimal digits.
func eightHexDigits(c uint64) (n uint64, digits bool) {
	const each, high = 0x0101010101010101, 0x8080808080808080
	small := c | 0x20*each
	// The high bit of a byte says whether it is between two others. None of these sums carries, where no byte has that bit.
	decimal := (c + (0x80-'0')*each) &^ (c + (0x80-'9'-1)*each) & high
	letter := (small + (0x80-'a')*each) &^ (small + (0x80-'f'-1)*each) & high
	if c&high != 0 || decimal|letter != high {
		return 0, false
	}
	c = c&(0x0f*each) + letter>>7*9
	c = (c | c>>4) & 0x00ff00ff00ff00ff
	c = (c | c>>8) & 0x0000ffff0000ffff
	return uint64(uint32(c | c>>16)), true
}

// signed reads a number of 64 bits as Decimal does, which may have a minus in front.
func signed(text []byte) (int64, Fault) {
	if text[0] != '-' {
		n, fault := Decimal(text, 1<<63-1)
		return int64(n), fault
	}
	n, fault := Decimal(text[1:], 1<<63)
	switch {
	case fault == "" && n == 0:
		return 0, LeadingZero
	case fault == Empty, fault == Negative, fault == Sign:
		return 0, NotDecimal
	}
	return -int64(n), fault
}

func (f *Form) appendString(dst, text []byte) ([]byte, Fault) {
	if !utf8.Valid(text) {
		return dst, NotUTF8
	}
	if f.trim || f.lower || f.nfc {
		s := string(text)
		if f.trim {
			s = strings.TrimSpace(s)
		}
		if f.lower {
			s = strings.ToLower(s)
		}
		if f.nfc {
			s = norm.NFC.String(s)
		}
		text = []byte(s)
	}
	switch {
	case len(text) == 0:
		return dst, Empty
	case len(text) > MaxString:
		return dst, TooLong
	}
	return append(dst, text...), ""
}
