package source

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant"
)

func TestLettersAreReadAsTheyWereRejected(t *testing.T) {
	c := fakeKafka(t, 2)
	s := prepared(t, c)
	id, err := s.Bind(t.Context())
	require.NoError(t, err)
	written := []*kgo.Record{
		{Value: []byte("7")},
		{Value: nil},
		{Key: []byte{}, Value: []byte("007"), Headers: []kgo.RecordHeader{{Key: "theirs", Value: []byte("x")}, {Key: "none"}}},
		{Key: []byte("k"), Value: []byte("\x00\xff 1")},
	}
	for _, r := range written {
		r.Topic, r.Partition = topicName, 1
	}
	produce(t, c.ListenAddrs(), written...)
	_, err = read(t, s, 1, 0, 4).end()
	require.NoError(t, err)
	produce(t, c.ListenAddrs(), &kgo.Record{Topic: letterTopic, Partition: 0, Value: []byte("of somebody else")})

	var got []*Letter
	require.NoError(t, s.EachLetter(t.Context(), func(l *Letter) error {
		got = append(got, l)
		return nil
	}))
	require.Len(t, got, 4)
	require.Nil(t, got[0])
	for i, offset := range []int64{1, 2, 3} {
		l, want := got[i+1], written[offset]
		require.Equal(t, &Letter{
			Partition: 1, Offset: offset, Topic: topicName, TopicID: id, Campaign: "sorry", Run: 0xabc,
			Reason: []Reason{ReasonEmpty, ReasonLeadingZero, ReasonSpace}[i], Key: want.Key, Value: want.Value,
		}, l)
	}

	original, err := s.Original(t.Context(), got[2])
	require.NoError(t, err)
	require.Equal(t, []Header{{"theirs", []byte("x")}, {"none", nil}}, original.Headers)
	gone := *got[2]
	gone.Offset = 4
	original, err = s.Original(t.Context(), &gone)
	require.NoError(t, err)
	require.Nil(t, original)
	gone = *got[2]
	gone.TopicID.Topic[0]++
	original, err = s.Original(t.Context(), &gone)
	require.NoError(t, err)
	require.Nil(t, original, "another topic's record is not it")

	enough := errors.New("enough")
	calls := 0
	require.Equal(t, enough, s.EachLetter(t.Context(), func(*Letter) error { calls++; return enough }))
	require.Equal(t, 1, calls)
}

func TestWithoutADeadLetterTopicThereAreNoLetters(t *testing.T) {
	c := fakeKafka(t, 1)
	s := newSource(t, c.ListenAddrs())
	require.True(t, NoTopic(s.EachLetter(t.Context(), func(*Letter) error { return nil })))
}

func TestALetterWhoseHeadersDoNotFitIsAnError(t *testing.T) {
	_, err := readLetter(&Record{Partition: 2, Headers: []Header{{HeaderOffset, []byte("x")}}}, &grant.Input{})
	require.ErrorContains(t, err, HeaderOffset)
}
