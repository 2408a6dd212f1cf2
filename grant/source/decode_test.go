package source

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

const largest = grant.MaxUserID

func TestInt64UserIDs(t *testing.T) {
	for _, c := range []struct {
		limit  uint64
		data   []byte
		id     uint64
		reason Reason
	}{
		{largest, binary.BigEndian.AppendUint64(nil, 0), 0, ""},
		{largest, binary.BigEndian.AppendUint64(nil, 258), 258, ""},
		{largest, binary.BigEndian.AppendUint64(nil, math.MaxInt64), math.MaxInt64, ""},
		{largest, binary.BigEndian.AppendUint64(nil, 1<<63), 0, ReasonNegative},
		{largest, binary.BigEndian.AppendUint64(nil, math.MaxUint64), 0, ReasonNegative},
		{100, binary.BigEndian.AppendUint64(nil, 100), 100, ""},
		{100, binary.BigEndian.AppendUint64(nil, 101), 0, ReasonOverLimit},
		{100, binary.BigEndian.AppendUint64(nil, math.MaxUint64), 0, ReasonNegative},
		{largest, nil, 0, ReasonEmpty},
		{largest, []byte{}, 0, ReasonEmpty},
		{largest, []byte{1}, 0, ReasonLength},
		{largest, make([]byte, 7), 0, ReasonLength},
		{largest, make([]byte, 9), 0, ReasonLength},
		// eight digits are eight bytes as well: preflight's sample shows them
		{largest, []byte("12345678"), 0x3132333435363738, ""},
	} {
		id, reason := int64BE(c.data, c.limit)
		require.Equal(t, c.reason, reason, "%x", c.data)
		require.Equal(t, c.id, id, "%x", c.data)
	}
}

func TestUserIDsInJSON(t *testing.T) {
	for _, c := range []struct {
		path, text string
		id         uint64
		reason     Reason
	}{
		{"id", `{"id":12}`, 12, ""},
		{"id", `{"id":"12"}`, 12, ""},
		{"id", ` { "a" : [1,{"id":3}] , "id" : 0 } `, 0, ""},
		{"id", `{"id":9223372036854775807}`, largest, ""},
		{"id", `{"id":9007199254740993}`, 9007199254740993, ""}, // no double holds it
		{"id", `{"id":9223372036854775808}`, 0, ReasonOverLimit},
		{"id", `{"id":18446744073709551617}`, 0, ReasonOverLimit},
		{"id", `{"id":"` + strings.Repeat("9", 1_000_000) + `"}`, 0, ReasonOverLimit},
		{"id", `{"id":1.0}`, 0, ReasonFieldType},
		{"id", `{"id":1e3}`, 0, ReasonFieldType},
		{"id", `{"id":1E+3}`, 0, ReasonFieldType},
		{"id", `{"id":0.5}`, 0, ReasonFieldType},
		{"id", `{"id":-1}`, 0, ReasonNegative},
		{"id", `{"id":-0}`, 0, ReasonNegative},
		{"id", `{"id":-1.5}`, 0, ReasonFieldType},
		{"id", `{"id":007}`, 0, ReasonJSON},
		{"id", `{"id":+1}`, 0, ReasonJSON},
		{"id", `{"id":"007"}`, 0, ReasonLeadingZero},
		{"id", `{"id":"+1"}`, 0, ReasonSign},
		{"id", `{"id":"-1"}`, 0, ReasonNegative},
		{"id", `{"id":" 1"}`, 0, ReasonSpace},
		{"id", `{"id":"1\n"}`, 0, ReasonSpace},
		{"id", `{"id":"1e3"}`, 0, ReasonNotDecimal},
		{"id", `{"id":""}`, 0, ReasonEmpty},
		{"id", `{"id":"\u0031\u0032"}`, 12, ""},
		{"id", `{"\u0069d":12}`, 12, ""},
		{"id", `{"id":null}`, 0, ReasonNoField},
		{"id", `{"id":true}`, 0, ReasonFieldType},
		{"id", `{"id":false}`, 0, ReasonFieldType},
		{"id", `{"id":{}}`, 0, ReasonFieldType},
		{"id", `{"id":[12]}`, 0, ReasonFieldType},
		{"id", `{}`, 0, ReasonNoField},
		{"id", `{"ID":12}`, 0, ReasonNoField},
		{"id", `{"a":{"id":12}}`, 0, ReasonNoField},
		{"id", `[{"id":12}]`, 0, ReasonNoField},
		{"id", `12`, 0, ReasonNoField},
		{"id", `"12"`, 0, ReasonNoField},
		{"id", `null`, 0, ReasonNoField},
		{"id", `{"id":12,"id":12}`, 0, ReasonAmbiguous},
		{"id", `{"id":12,"id":13}`, 0, ReasonAmbiguous},
		{"id", `{"id":null,"\u0069d":13}`, 0, ReasonAmbiguous},
		{"a.id", `{"a":{"id":12},"a":{}}`, 0, ReasonAmbiguous},
		{"a.id", `{"b":{"id":1,"id":2},"a":{"id":12}}`, 12, ""},
		{"id", `{"id":12`, 0, ReasonJSON},
		{"id", `{"id":12}x`, 0, ReasonJSON},
		{"id", `{"id":12}{"id":13}`, 0, ReasonJSON},
		{"id", `{"id":12,}`, 0, ReasonJSON},
		{"id", `{'id':12}`, 0, ReasonJSON},
		{"id", `{id:12}`, 0, ReasonJSON},
		{"id", "{\"id\":12}\x00", 0, ReasonJSON},
		{"id", "\ufeff{\"id\":12}", 0, ReasonJSON},
		{"id", ` `, 0, ReasonJSON},
		{"id", ``, 0, ReasonEmpty},
		{"user.id", `{"user":{"id":12}}`, 12, ""},
		{"user.id", `{"user.id":12}`, 0, ReasonNoField},
		{"user.id", `{"user":{"id":{"id":12}}}`, 0, ReasonFieldType},
		{"user.id", `{"user":[{"id":12}]}`, 0, ReasonNoField},
		{"user.id", `{"user":null}`, 0, ReasonNoField},
		{"user.id", `{"user":"id"}`, 0, ReasonNoField},
		{"a.b.c.d", `{"a":{"b":{"c":{"d":"12"}}}}`, 12, ""},
		// Names that mean something else in other path languages are nothing but names.
		{"a*b", `{"axb":1,"a*b":12}`, 12, ""},
		{"a*b", `{"axb":1}`, 0, ReasonNoField},
		{"a?b", `{"axb":1,"a?b":12}`, 12, ""},
		{"#", `{"#":12}`, 12, ""},
		{"#", `[12]`, 0, ReasonNoField},
		{"0", `{"0":12}`, 12, ""},
		{"0", `[12]`, 0, ReasonNoField},
		{"@this", `{"@this":12}`, 12, ""},
		{"@this", `12`, 0, ReasonNoField},
		{"a|b", `{"a":{"b":1},"a|b":12}`, 12, ""},
		{"{a,b}", `{"{a,b}":12,"a":1}`, 12, ""},
		{`a\`, `{"a\\":12}`, 12, ""},
		{`\u0069d`, `{"id":12}`, 0, ReasonNoField},
		{"!1", `{"!1":12}`, 12, ""},
		{"사용자", `{"사용자":12}`, 12, ""},
		{"사용자", `{"\uc0ac\uc6a9\uc790":12}`, 12, ""},
		{"😀", `{"\ud83d\ude00":12}`, 12, ""},
		{`"`, `{"\"":12}`, 12, ""},
	} {
		decode, err := newDecoder(grant.Input{Format: grant.FormatJSON, Path: c.path}, nil)
		require.NoError(t, err)
		id, reason := decode(&Parts{Value: []byte(c.text)})
		require.Equal(t, c.reason, reason, "%s in %.60q", c.path, c.text)
		require.Equal(t, c.id, id, "%s in %.60q", c.path, c.text)
	}
}

// gjson calls itself for every level: a record of millions of brackets would end the process.
func TestDeeplyNestedJSONIsRejectedAndNotFatal(t *testing.T) {
	deep := append([]byte(`{"id":12,"a":`), bytes.Repeat([]byte("["), 64<<20)...)
	_, reason := jsonField(deep, []string{"id"}, largest)
	require.Equal(t, ReasonJSON, reason)
	closed := `{"id":12,"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`
	id, reason := jsonField([]byte(closed), []string{"id"}, largest)
	require.Empty(t, reason)
	require.EqualValues(t, 12, id)
}

func TestLongJSONIsCheckedToItsEnd(t *testing.T) {
	for _, filler := range []string{strings.Repeat(" ", maxNested), `,"a":"` + strings.Repeat("x", maxNested) + `"`} {
		id, reason := jsonField([]byte(`{"id":12`+filler+`}`), []string{"id"}, largest)
		require.Empty(t, reason)
		require.EqualValues(t, 12, id)
		_, reason = jsonField([]byte(`{"id":12}`+filler+`x`), []string{"id"}, largest)
		require.Equal(t, ReasonJSON, reason)
	}
}

func TestLimitsOfATopic(t *testing.T) {
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
		decode, err := newDecoder(grant.Input{Format: grant.FormatDecimal, MaxID: c.maxID}, nil)
		require.NoError(t, err)
		_, reason := decode(&Parts{Value: []byte(c.text)})
		require.Equal(t, c.valid, reason == "", "%s up to %d", c.text, c.maxID)
	}
	_, err := newDecoder(grant.Input{Format: "csv"}, nil)
	require.ErrorContains(t, err, `source.format "csv": want decimal, json, int64be, avro, protobuf or json_schema`)
	_, err = New(Config{Topic: grant.Input{Format: "csv"}})
	require.Error(t, err)
}

// In a compacted topic of users a key without a value says that the user was deleted; an empty value says nothing.
func TestKeysWithoutAValueAreDeletedUsers(t *testing.T) {
	for _, c := range []struct {
		topic      grant.Input
		key, value []byte
		want       Reason
	}{
		{grant.Input{From: grant.FromKey}, []byte("7"), nil, ReasonTombstone},
		{grant.Input{From: grant.FromKey}, []byte("x"), nil, ReasonTombstone},
		{grant.Input{From: grant.FromKey}, []byte("7"), []byte{}, ""},
		{grant.Input{From: grant.FromKey}, []byte("x"), []byte{}, ReasonNotDecimal},
		{grant.Input{From: grant.FromKey}, nil, []byte("7"), ReasonEmpty},
		{grant.Input{From: grant.FromKey, Tombstones: grant.GrantTombstones}, []byte("7"), nil, ""},
		{grant.Input{From: grant.FromKey, Tombstones: grant.GrantTombstones}, nil, nil, ReasonEmpty},
		{grant.Input{From: grant.FromValue}, []byte("7"), nil, ReasonEmpty},
	} {
		c.topic.Format = grant.FormatDecimal
		decode, err := newDecoder(c.topic, nil)
		require.NoError(t, err)
		id, reason := decode(&Parts{Key: c.key, Value: c.value})
		require.Equal(t, c.want, reason, "%+v", c)
		if reason == "" {
			require.EqualValues(t, 7, id)
		}
	}
}

func TestEveryReasonIsListed(t *testing.T) {
	seen := map[Reason]bool{}
	for _, r := range Reasons() {
		require.NotEmpty(t, r)
		require.False(t, seen[r])
		seen[r] = true
	}
	require.Len(t, seen, 21)
}

func FuzzInt64BE(f *testing.F) {
	f.Add([]byte("12345678"), largest)
	f.Add([]byte{}, uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, limit uint64) {
		limit = min(limit, largest)
		id, reason := int64BE(data, limit)
		if len(data) != 8 {
			require.Contains(t, []Reason{ReasonEmpty, ReasonLength}, reason)
			return
		}
		want := int64(binary.BigEndian.Uint64(data))
		require.Equal(t, want >= 0 && uint64(want) <= limit, reason == "")
		if reason == "" {
			require.Equal(t, uint64(want), id)
		}
	})
}

func FuzzJSONField(f *testing.F) {
	for _, s := range []string{
		`{"id":12}`, `{"id":"12","a":[{"id":1}]}`, `{"a":{"id":12}}`, `{"id":1,"id":2}`, `{"id":null}`, `{"\u0069d":1}`,
		`{"id":"\ud800"}`,
		`[1]`, `1`, `{"id":1e3}`, `{"id":{"a":1}}`, `{"a":{"id":{}},"id":-1}`, "{\"id\":\"\x01\"}", `{"id":1}}`,
	} {
		f.Add([]byte(s), "id")
		f.Add([]byte(s), "a.id")
	}
	f.Fuzz(func(t *testing.T, data []byte, path string) {
		decode, err := newDecoder(grant.Input{Format: grant.FormatJSON, Path: path}, nil)
		require.NoError(t, err)
		id, reason := decode(&Parts{Value: data})
		if !json.Valid(data) {
			require.Contains(t, []Reason{ReasonJSON, ReasonEmpty}, reason)
			return
		}
		if !utf8.Valid(data) || strings.Contains(string(data), `\u`) {
			return // encoding/json replaces what is no character, in names as well
		}
		wantID, wantReason := slowJSONField(data, strings.Split(path, "."))
		require.Equal(t, wantReason, reason)
		require.Equal(t, wantID, id)
	})
}

// slowJSONField does what jsonField does, by encoding/json.
func slowJSONField(data []byte, path []string) (uint64, Reason) {
	for _, name := range path {
		d := json.NewDecoder(bytes.NewReader(data))
		if open, err := d.Token(); err != nil || open != json.Delim('{') {
			return 0, ReasonNoField
		}
		var found json.RawMessage
		times := 0
		for d.More() {
			key, _ := d.Token()
			var value json.RawMessage
			if err := d.Decode(&value); err != nil {
				return 0, ReasonJSON
			}
			if key == name {
				found = value
				times++
			}
		}
		switch times {
		case 0:
			return 0, ReasonNoField
		case 1:
			data = found
		default:
			return 0, ReasonAmbiguous
		}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return 0, ReasonJSON
	}
	switch value := value.(type) {
	case nil:
		return 0, ReasonNoField
	case string:
		return decimal([]byte(value), largest)
	case json.Number:
		id, reason := decimal([]byte(value), largest)
		if reason == ReasonNotDecimal {
			reason = ReasonFieldType
		}
		return id, reason
	}
	return 0, ReasonFieldType
}
