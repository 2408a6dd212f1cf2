package source

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
)

// Each way to read a topic finds the ID in the header, and letters keep it: without it nobody could repair them.
func TestHeadersHoldUsersWhenTheSpecSaysSo(t *testing.T) {
	c := fakeKafka(t, 1)
	s := prepared(t, c, func(c *Config) { c.Topic.From, c.Observer = grant.FromHeader+"user-id", &witness{} })
	header := func(name, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: name, Value: []byte(value)} }
	list := []*kgo.Record{
		{Value: []byte("8"), Headers: []kgo.RecordHeader{header("user-id", "7")}},
		{Key: []byte("8"), Headers: []kgo.RecordHeader{header("user-id", "x"), header("other", "9"), header("user-id", "1"),
			header("user", "3")}},
		{Value: []byte("8"), Headers: []kgo.RecordHeader{header("User-ID", "5")}},
		{Value: []byte("8")},
		{Value: []byte("8"), Headers: []kgo.RecordHeader{{Key: "user-id"}}},
		{Value: []byte("8"), Headers: []kgo.RecordHeader{header("user-id", "2"), header("user-id", "007")}},
	}
	for _, r := range list {
		r.Topic = topicName
	}
	produce(t, c.ListenAddrs(), list...)
	r := read(t, s, 0, 0, 6)
	_, err := r.end()
	require.NoError(t, err)
	require.Equal(t, []int64{1, 7}, r.ids())

	var letters []string
	require.NoError(t, s.EachLetter(t.Context(), func(l *Letter) error {
		user, reason := s.Decode(l.Parts())
		require.Equal(t, l.Reason, reason, "%v", user)
		letters = append(letters, fmt.Sprintf("%d %s %q %v", l.Offset, l.Reason, l.Header, l.Header == nil))
		return nil
	}))
	require.Equal(t, []string{`2 missing_header "" true`, `3 missing_header "" true`, `4 empty "" false`,
		`5 leading_zero "007" false`}, letters)

	var reasons []Reason
	_, err = s.Read(t.Context(), 0, 0, 6, func(_ int64, p *Parts) error {
		_, reason := s.Decode(p)
		reasons = append(reasons, reason)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []Reason{"", "", ReasonNoHeader, ReasonNoHeader, ReasonEmpty, ReasonLeadingZero}, reasons)
	var found []int64
	isSeven := func(p *Parts) bool { user, _ := s.Decode(p); return user == grant.NumberID(7) }
	require.NoError(t, s.Find(t.Context(), 0, 0, 6, isSeven, func(r Record) error {
		user, _ := s.Decode(r.Parts(&s.cfg.Topic))
		require.EqualValues(t, 7, user.Number())
		found = append(found, r.Offset)
		return nil
	}, func(int64) {}))
	require.Equal(t, []int64{0}, found)
}

// A record of which the headers contradict its length is corrupt, and never one without an ID.
func TestHeadersThatDoNotFitTheirRecordAreCorrupt(t *testing.T) {
	good := kmsgRecord(0, rec{value: []byte("8"), headers: []kmsg.Header{{Key: "user-id", Value: []byte("7")}}}).AppendTo(nil)
	var r record
	_, err := readAny(good, &r)
	require.NoError(t, err)
	require.NoError(t, r.findHeader("user-id"))
	require.Equal(t, "7", string(r.Header))
	for cut := range len(r.headers) {
		broken := record{headers: r.headers[:cut]}
		require.ErrorIs(t, broken.findHeader("user-id"), errCorrupt, "%d bytes", cut)
	}
	lie := record{headers: []byte{0xfe, 0xff, 0xff, 0xff, 0x0f}}
	require.ErrorIs(t, lie.findHeader("user-id"), errCorrupt)
}
