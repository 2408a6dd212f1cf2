package userid

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

// A UUID is one user in all the forms that people publish, and nothing else is one.
func TestAUUIDIsOneUserInAllItsForms(t *testing.T) {
	f := FormOf(&grant.Input{IDs: grant.IDsUUID})
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid")
		digits := hex.EncodeToString(raw)
		text := digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]
		for _, form := range []string{
			text, digits, strings.ToUpper(text), "{" + text + "}", "{" + digits + "}", "urn:uuid:" + text, "URN:UUID:" +
				strings.ToUpper(digits),
			string(raw),
		} {
			member, fault := f.Member([]byte("x"), []byte(form))
			require.Empty(t, fault, form)
			require.Equal(t, "x"+string(raw), string(member))
		}
		id, err := f.Parse(strings.ToUpper(text))
		require.NoError(t, err)
		require.Equal(t, text, id.String())
		require.Equal(t, id, f.ID(raw))
	})
	for text, want := range map[string]Fault{
		"": Empty, "7": NotUUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c": NotUUID, "6ba7b810-9dad-11d1-80b4-00c04fd430cg": NotUUID,
		"6ba7b8109-dad-11d1-80b4-00c04fd430c8": NotUUID, "{6ba7b810-9dad-11d1-80b4-00c04fd430c8)": NotUUID,
		"uri:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8": NotUUID, " 6ba7b810-9dad-11d1-80b4-00c04fd430c": NotUUID,
	} {
		_, fault := f.Member(nil, []byte(text))
		require.Equal(t, want, fault, text)
	}
	_, err := f.Parse("7")
	require.ErrorContains(t, err, "want a UUID")
}

// Eight digits are read at once: whatever stands at any place of a UUID of either form is found.
func TestEveryByteAtEveryPlaceOfAUUID(t *testing.T) {
	f := FormOf(&grant.Input{IDs: grant.IDsUUID})
	for _, form := range []string{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b8109dad11d180b400c04fd430c8"} {
		for at := range form {
			for c := range 256 {
				text := []byte(form)
				text[at] = byte(c)
				member, fault := f.Member([]byte("x"), text)
				want, err := hex.DecodeString(strings.ReplaceAll(string(text), "-", ""))
				if err != nil || len(form) == 36 && (form[at] == '-') != (c == '-') {
					require.Equal(t, NotUUID, fault, "%q", text)
					require.Equal(t, "x", string(member))
					continue
				}
				require.Empty(t, fault, "%q", text)
				require.Equal(t, "x"+string(want), string(member))
			}
		}
	}
}

func BenchmarkMember(b *testing.B) {
	text := []byte("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	f := FormOf(&grant.Input{IDs: grant.IDsUUID})
	var member []byte
	for b.Loop() {
		member, _ = f.Member(member[:0], text)
	}
}

func TestNumbersOf64BitsHaveASign(t *testing.T) {
	f := FormOf(&grant.Input{IDs: grant.IDsInt64})
	for text, want := range map[string]Fault{
		"0": "", "-1": "", "9223372036854775807": "", "-9223372036854775808": "", "9223372036854775808": OverLimit,
		"-9223372036854775809": OverLimit, "-0": LeadingZero, "007": LeadingZero, "-007": LeadingZero, "+1": Sign, " 1": Space,
		"--1": NotDecimal,
		"-":   NotDecimal, "1e3": NotDecimal, "": Empty,
	} {
		member, fault := f.Member(nil, []byte(text))
		require.Equal(t, want, fault, text)
		if want == "" {
			require.Len(t, member, 8)
			require.Equal(t, text, f.ID(member).String())
		}
	}
}

// A string is its bytes, unless the spec says what makes two spellings one.
func TestStringsAreTheirBytes(t *testing.T) {
	exact := FormOf(&grant.Input{IDs: grant.IDsString})
	for text, want := range map[string]Fault{
		"x": "", " x ": "", "민지": "", "\x00": "", strings.Repeat("x", MaxString): "", strings.Repeat("x", MaxString+1): TooLong,
		"\xff": NotUTF8, "": Empty,
	} {
		member, fault := exact.Member(nil, []byte(text))
		require.Equal(t, want, fault, text)
		if want == "" {
			require.Equal(t, text, string(member))
			require.Equal(t, grant.TextID(text), exact.ID(member))
		}
	}
	for normalise, want := range map[string]string{
		"trim": "MINJI\u1100\u1161", "lower": " minji\u1100\u1161 ", "nfc": " MINJI가 ", "trim lower nfc": "minji가",
	} {
		f := FormOf(&grant.Input{IDs: grant.IDsString, Normalise: normalise})
		member, fault := f.Member(nil, []byte(" MINJI\u1100\u1161 "))
		require.Empty(t, fault)
		require.Equal(t, want, string(member))
	}
	f := FormOf(&grant.Input{IDs: grant.IDsString, Normalise: "trim"})
	_, fault := f.Member(nil, []byte("  "))
	require.Equal(t, Empty, fault)
}

func TestMembersOfFixedWidthAllocateNothing(t *testing.T) {
	f := FormOf(&grant.Input{IDs: grant.IDsUUID})
	text, dst := []byte("{6BA7B810-9DAD-11D1-80B4-00C04FD430C8}"), make([]byte, 0, 16)
	require.Zero(t, testing.AllocsPerRun(100, func() { dst, _ = f.Member(dst[:0], text) }))
}

// Whatever a record says: if it is a member, the user whom it is printed as is that member again. So who is shown somewhere is
// found by what was shown.
func FuzzMember(f *testing.F) {
	for _, text := range []string{
		"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "{6BA7B810-9DAD-11D1-80B4-00C04FD430C8}",
		"urn:uuid:6ba7b8109dad11d180b400c04fd430c8",
		"-9223372036854775808", "7", "민지", " MINJI\u1100\u1161 ", "\u0130\u212b\u1e9e", "0123456789abcdef", "\u03a3\u0345",
	} {
		f.Add([]byte(text))
	}
	var forms []Form
	for _, in := range []grant.Input{
		{IDs: grant.IDsUUID}, {IDs: grant.IDsInt64}, {IDs: grant.IDsString}, {IDs: grant.IDsString, Normalise: "trim lower nfc"},
	} {
		forms = append(forms, FormOf(&in))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for i := range forms {
			member, fault := forms[i].Member(nil, text)
			if fault != "" {
				continue
			}
			if width := forms[i].Width(); width != 0 {
				require.Len(t, member, width)
			}
			id := forms[i].ID(member)
			again, fault := forms[i].Member(nil, []byte(id.String()))
			require.Empty(t, fault, "%q", id)
			require.Equal(t, member, again, "%q of %q", id, text)
		}
	})
}
