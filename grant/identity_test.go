package grant

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestATopicIDIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var id TopicID
		id.Cluster = rapid.StringMatching(`[a-zA-Z0-9_/-]{0,30}`).Draw(t, "cluster")
		copy(id.Topic[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "topic"))
		got, err := ParseTopicID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, got)
		got, err = ParseTopicID(id.Weaker().String())
		require.NoError(t, err)
		require.Equal(t, id.Weaker(), got)
	})
	for _, bad := range []string{"x", "c/short", "c/AAAAAAAAAAAAAAAAAAAAAA==", "c/AAAAAAAAAAAAAAAAAAAAAB", "/", "/AAAAAAAAAAAAAAAAAAAAAA"} {
		_, err := ParseTopicID(bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseTopicID(f *testing.F) {
	f.Add("cluster/AAAAAAAAAAAAAAAAAAAAAQ")
	f.Add("cluster/")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseTopicID(s); err == nil {
			require.Equal(t, s, id.String())
		}
	})
}

func TestWhichCheckpointIsContinued(t *testing.T) {
	topic, again := TopicID{"c", [16]byte{1}}, TopicID{"c", [16]byte{2}}
	for _, c := range []struct {
		reader, stored TopicID
		want           bool
	}{
		{topic, topic, true},
		{topic, again, false},
		{topic, TopicID{"d", [16]byte{1}}, false},
		{topic, TopicID{}, true},
		{topic, TopicID{Cluster: "c"}, true},
		{topic, TopicID{Cluster: "d"}, false},
		{TopicID{Cluster: "c"}, TopicID{Cluster: "c"}, true},
		{TopicID{Cluster: "c"}, TopicID{Cluster: "d"}, false},
		{TopicID{Cluster: "c"}, topic, false},
		{TopicID{}, topic, false},
		{TopicID{}, TopicID{}, true},
	} {
		require.Equal(t, c.want, c.reader.Continues(c.stored), "%q after %q", c.reader, c.stored)
	}
}
