package source

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
	"github.com/granter/granter/sharding/opaque/opaquetest"
)

func TestMembersOfRecords(t *testing.T) {
	const uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	for name, c := range map[string]struct {
		in     grant.Input
		value  string
		want   string
		reason Reason
	}{
		"text":    {grant.Input{IDs: grant.IDsUUID, Format: grant.FormatText}, "{" + uuid + "}", uuid, ""},
		"not one": {grant.Input{IDs: grant.IDsUUID, Format: grant.FormatText}, "7", "", ReasonNotUUID},
		"json": {grant.Input{IDs: grant.IDsUUID, Format: grant.FormatJSON, Path: "u.id"}, `{"u":{"id":"` + uuid +
			`"}}`, uuid, ""},
		"json, no field": {grant.Input{IDs: grant.IDsUUID, Format: grant.FormatJSON, Path: "u.id"}, `{}`, "", ReasonNoField},
		"json, twice": {grant.Input{IDs: grant.IDsString, Format: grant.FormatJSON, Path: "id"}, `{"id":"a","id":"b"}`,
			"", ReasonAmbiguous},
		"json, a number": {grant.Input{IDs: grant.IDsString, Format: grant.FormatJSON, Path: "id"}, `{"id":7}`, "",
			ReasonFieldType},
		"json, escapes": {grant.Input{IDs: grant.IDsString, Format: grant.FormatJSON, Path: "id"}, `{"id":"a\u0062\n"}`,
			"ab\n", ""},
		"number":      {grant.Input{IDs: grant.IDsInt64, Format: grant.FormatDecimal}, "-5", "-5", ""},
		"json number": {grant.Input{IDs: grant.IDsInt64, Format: grant.FormatJSON, Path: "id"}, `{"id":-5}`, "-5", ""},
		"json number, exact": {grant.Input{IDs: grant.IDsInt64, Format: grant.FormatJSON, Path: "id"}, `{"id":1e3}`, "",
			ReasonFieldType},
		"big-endian": {grant.Input{IDs: grant.IDsInt64, Format: grant.FormatInt64BE}, "\xff\xff\xff\xff\xff\xff\xff\xfb",
			"-5", ""},
		"big-endian, short": {grant.Input{IDs: grant.IDsInt64, Format: grant.FormatInt64BE}, "\xff", "", ReasonLength},
		"not UTF-8":         {grant.Input{IDs: grant.IDsString, Format: grant.FormatText}, "\xff", "", ReasonNotUTF8},
		"empty":             {grant.Input{IDs: grant.IDsString, Format: grant.FormatText}, "", "", ReasonEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			for from, record := range map[grant.Part][2][]byte{
				grant.FromValue: {[]byte("a key"), []byte(c.value)}, grant.FromKey: {[]byte(c.value), []byte("a value")},
			} {
				c.in.From = from
				d := newMemberDecoder(&c.in, nil)
				hash, reason := d.decode(&Parts{Key: record[0], Value: record[1]})
				require.Equal(t, c.reason, reason)
				if reason == "" {
					require.Equal(t, c.want, d.form.ID(d.member).String())
					require.Equal(t, opaque.Hash(d.member), hash)
				}
			}
			c.in.From = grant.FromKey
			_, reason := newMemberDecoder(&c.in, nil).decode(&Parts{Key: []byte(c.value)})
			require.Equal(t, ReasonTombstone, reason)
		})
	}
}

// No record makes the decoder fail, or a member that is none, whichever part of it holds the ID.
func FuzzMemberOfRecord(f *testing.F) {
	f.Add([]byte(`{"u":{"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}}`), []byte(`{"u":{"id":-5}}`))
	f.Add([]byte(`{"u":{"id":"a\u0062\n"},"u":1}`), []byte("\xff\xff\xff\xff\xff\xff\xff\xfb"))
	var decoders []*memberDecoder
	for _, ids := range []grant.IDs{grant.IDsUUID, grant.IDsInt64, grant.IDsString} {
		for _, format := range []grant.Format{grant.FormatText, grant.FormatDecimal, grant.FormatJSON, grant.FormatInt64BE} {
			if format == grant.FormatInt64BE && ids != grant.IDsInt64 {
				continue // no spec says that
			}
			for _, from := range []grant.Part{grant.FromValue, grant.FromKey} {
				in := &grant.Input{IDs: ids, Format: format, Path: "u.id", From: from}
				decoders = append(decoders, newMemberDecoder(in, nil))
			}
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		for _, d := range decoders {
			hash, reason := d.decode(&Parts{Key: key, Value: value, Header: value})
			if reason != "" {
				require.Contains(t, Reasons(), reason)
				continue
			}
			require.Equal(t, opaque.Hash(d.member), hash)
			member, _, err := opaque.Width(d.form.Width()).Next(opaque.Width(d.form.Width()).Append(nil, d.member))
			require.NoError(t, err)
			require.Equal(t, d.member, member)
		}
	})
}

// Of members, too, everybody else's records are accounted for in a canary. It is asked for the member and its hash.
func TestWhichMembersAreWithheldIsCounted(t *testing.T) {
	c := fakeKafka(t, 1)
	produce(t, c.ListenAddrs(), values(topicName, "minji", "x", "민지", "x", "jun")...)
	s, err := New(Config{
		Kafka: Kafka{Brokers: c.ListenAddrs()}, Campaign: "c", Run: 1, Pass: grant.Pass{Group: "g"},
		Topic: grant.Input{Topic: topicName, Format: grant.FormatText, IDs: grant.IDsString, MaxRejected: 1},
	})
	require.NoError(t, err)
	defer s.Close()
	sink := opaquetest.NewMemory()
	cfg := opaque.Config{Config: sharding.Config{Shards: 1}, Layout: opaque.Layout{Bits: opaque.MinBits}}
	cfg.Includes = func(uint64) bool { return false } // it is of dense IDs
	cfg.IncludesMember = func(hash uint64, member []byte) bool {
		require.Equal(t, opaque.Hash(member), hash)
		return string(member) == "x" || string(member) == "민지"
	}
	pool := opaque.New(cfg, sink, map[int]int64{0: 0})
	work, ctx := errgroup.WithContext(t.Context())
	work.Go(func() error { return pool.Run(ctx) })
	require.NoError(t, s.Consume(ctx, 0, 0, 5, pool.Lane(0)))
	pool.Close()
	require.NoError(t, work.Wait())
	require.ElementsMatch(t, []string{"x", "민지"}, sink.Users())
	positions, err := pool.Positions()
	require.NoError(t, err)
	require.Equal(t, sharding.Position{Next: 5, Consumed: 5, Granted: 2, Duplicate: 1, Withheld: 2}, positions[0])
}
