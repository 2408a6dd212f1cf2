package population

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

// judge reads an ID as grant.Input describes it, with nothing of the code under test.
func judge(topic grant.Input, part []byte) (grant.UserID, bool) {
	text := string(part)
	switch topic.Format {
	case grant.FormatAvro, grant.FormatProtobuf, grant.FormatJSONSchema:
		return grant.UserID{}, false // population writes none
	case grant.FormatText: // as it is
	case grant.FormatInt64BE:
		if len(part) != 8 {
			return grant.UserID{}, false
		}
		text = strconv.FormatInt(int64(binary.BigEndian.Uint64(part)), 10)
	case grant.FormatJSON:
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var at any
		if decoder.Decode(&at) != nil {
			return grant.UserID{}, false
		}
		for field := range strings.SplitSeq(topic.Path, ".") {
			object, _ := at.(map[string]any)
			at = object[field]
		}
		switch v := at.(type) {
		case json.Number:
			text = v.String()
		case string:
			text = v
		default:
			return grant.UserID{}, false
		}
	case grant.FormatDecimal:
	}
	if !decimal.MatchString(text) {
		return grant.UserID{}, false
	}
	id, err := strconv.ParseUint(text, 10, 63)
	return grant.NumberID(id), err == nil && (topic.MaxID == 0 || id <= topic.MaxID)
}

func drawID(t *rapid.T, limit uint64) grant.UserID {
	if limit == 0 {
		limit = grant.MaxUserID
	}
	digits := rapid.IntRange(1, 19).Draw(t, "digits") // so that every length comes up
	return grant.NumberID(min(limit, rapid.Uint64Range(0, uint64(math.Pow10(digits))-1).Draw(t, "id")))
}

func TestPayloadOfAValidIDIsThatID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic := drawTopic(t)
		p, err := newPayload(topic)
		require.NoError(t, err)
		id := drawID(t, topic.MaxID)
		part := make([]byte, p.size(id))
		p.put(part, id)
		got, ok := judge(topic, part)
		require.True(t, ok, "%q", part)
		require.Equal(t, id, got)
	})
}

func TestMalformedPayloadsAreMalformed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic := drawTopic(t)
		p, err := newPayload(topic)
		require.NoError(t, err)
		r := Record{ID: drawID(t, topic.MaxID), Kind: rapid.SampledFrom(kindsOf(topic)).Draw(t, "kind")}
		part := p.malformed(r)
		_, ok := judge(topic, part)
		require.False(t, ok, "%s: %q", r.Kind, part)
		require.Equal(t, r.Kind == KindTombstone, part == nil)
		require.Equal(t, part, p.malformed(r), "the same every time")
	})
}

func TestPayloadExamples(t *testing.T) {
	encode := func(topic grant.Input, r Record) string {
		p, err := newPayload(topic)
		require.NoError(t, err)
		if !r.Kind.Valid() {
			return string(p.malformed(r))
		}
		part := make([]byte, p.size(r.ID))
		p.put(part, r.ID)
		return string(part)
	}
	text := decimalTopic("t")
	document := grant.Input{Topic: "t", Format: grant.FormatJSON, Path: "user.id", MaxID: 999}
	binary := grant.Input{Topic: "t", Format: grant.FormatInt64BE, MaxID: 999}

	require.Equal(t, "0", encode(text, Record{ID: grant.NumberID(0)}))
	require.Equal(t, "9223372036854775807", encode(text, Record{ID: grant.NumberID(grant.MaxUserID)}))
	const bytes = `{"user":{"id":123}}`
	require.Equal(t, bytes, encode(document, Record{ID: grant.NumberID(123)})) //nolint:testifylint // byte for byte
	require.Equal(t, "\x00\x00\x00\x00\x00\x00\x01\x00", encode(binary, Record{ID: grant.NumberID(256)}))

	for kind, want := range map[Kind]string{
		KindEmpty: "", KindNegative: "-43", KindSign: "+42", KindSpaces: " 42", KindLetters: "user42",
		KindLeadingZeros: "042", KindFraction: "42.5", KindOverLimit: "9223372036854775850",
	} {
		require.Equal(t, want, encode(text, Record{ID: grant.NumberID(42), Kind: kind}), kind.String())
	}
	for kind, want := range map[Kind]string{
		KindSign: `{"user":{"id":"+42"}}`, KindFraction: `{"user":{"id":42.5}}`, KindOverLimit: `{"user":{"id":1042}}`,
		KindMissing: `{}`, KindNull: `{"user":{"id":null}}`, KindTruncated: `{"user":{"id":42`,
	} {
		require.Equal(t, want, encode(document, Record{ID: grant.NumberID(42), Kind: kind}), kind.String())
	}
}

func TestDecimalsOfEveryLength(t *testing.T) {
	for _, v := range []uint64{0, math.MaxUint64} {
		requireDecimal(t, v)
	}
	for _, p := range powersOf10[1:] {
		requireDecimal(t, p-1)
		requireDecimal(t, p)
		requireDecimal(t, p+1)
	}
	for b := range 64 {
		requireDecimal(t, 1<<b-1)
		requireDecimal(t, 1<<b)
	}
}

func requireDecimal(t *testing.T, v uint64) {
	t.Helper()
	text := make([]byte, decimalSize(v))
	putDecimal(text, v)
	require.Equal(t, strconv.FormatUint(v, 10), string(text))
}

func TestKindNames(t *testing.T) {
	require.Equal(t, "first", KindFirst.String())
	require.Equal(t, "truncated", KindTruncated.String())
	require.Equal(t, "kind(200)", Kind(200).String())
}
