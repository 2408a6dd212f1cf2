package publish

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

func fakeKafka(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(3, "events"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestEachGrantIsOneEvent(t *testing.T) {
	onEachLayout(t, onEachGrantIsOneEvent, grant.IDsUUID, grant.IDsInt64)
}

func onEachGrantIsOneEvent(t *testing.T, ids grant.IDs) {
	c := fakeKafka(t)
	w := newWorld(t, miniredis.RunT(t).Addr(), ids)
	to := topicOf(t, c.ListenAddrs(), FormJSON)
	w.grant(w.span(41_231_000, 300)...)
	w.grant(w.span(41_231_300, 3)...)
	w.grant(w.id(7), w.id(1<<40))
	w.once(to)
	all := events(t, c.ListenAddrs())
	w.holds(all)
	require.Len(t, all, len(records(t, c.ListenAddrs())), "nothing twice")
	e := all[0]
	require.Equal(t, []string{"1.0", "granter.granted", "/granter/campaigns/sorry-2022", "application/json"},
		[]string{e.SpecVersion, e.Type, e.Source, e.ContentType})
	require.Regexp(t, `^sorry-2022/\d+/\d+-[0-9a-f]{12}/[^/]+$`, e.ID)
	require.WithinDuration(t, time.Now(), e.Time, time.Minute)
	require.Equal(t, "cheer-up", e.Data.Items[1].ID)
	require.Equal(t, e.Time.Add(90*24*time.Hour), e.Data.Items[1].ExpiresAt.UTC(), "from the entry, whenever it is published")
	require.Nil(t, e.Data.Items[0].ExpiresAt)
	require.Equal(t, 305, int(w.count("events_total")))

	w.once(to)
	require.Len(t, records(t, c.ListenAddrs()), 305, "it has them")
	w.grant(w.id(8))
	w.once(to)
	require.Len(t, records(t, c.ListenAddrs()), 306)
	w.holds(events(t, c.ListenAddrs()))
}

// More of everything than is read or sent at once: chunks, entries of a chunk, members of an entry.
func TestNothingIsCutOff(t *testing.T) { onEachLayout(t, onNothingIsCutOff) }

func onNothingIsCutOff(t *testing.T, ids grant.IDs) {
	c := fakeKafka(t)
	w := newWorld(t, miniredis.RunT(t).Addr(), ids)
	many := 1 << 16
	if w.reader.Buckets() {
		many = 1 << 14
	}
	w.grant(w.span(5<<16, many)...)
	for i := range 200 {
		w.grant(w.id(uint64(9<<16 + i)))
	}
	var sparse []grant.UserID
	for i := range 1100 {
		sparse = append(sparse, w.id(uint64(100+i)<<16))
	}
	for len(sparse) > 0 {
		n := min(200, len(sparse))
		w.grant(sparse[:n]...)
		sparse = sparse[n:]
	}
	w.once(topicOf(t, c.ListenAddrs(), FormJSON))
	w.holds(events(t, c.ListenAddrs()))
}

func TestTheCompactForm(t *testing.T) {
	onEachLayout(t, onTheCompactForm, grant.IDsUUID, grant.IDsInt64)
}

func onTheCompactForm(t *testing.T, ids grant.IDs) {
	c := fakeKafka(t)
	w := newWorld(t, miniredis.RunT(t).Addr(), ids)
	w.grant(w.span(5<<16, 20_000)...) // runs
	w.grant(w.id(6<<16+1), w.id(6<<16+9))
	var every []grant.UserID
	for i := range 10_000 { // bits
		every = append(every, w.id(uint64(7<<16+3*i)))
	}
	w.grant(every...)
	w.once(topicOf(t, c.ListenAddrs(), FormCompact))
	found := map[grant.UserID]bool{}
	for _, r := range records(t, c.ListenAddrs()) {
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		require.Equal(t, "granter.granted.batch", headers["ce_type"])
		text, members, ok := bytes.Cut(r.Value, []byte("\n"))
		require.True(t, ok)
		var head batchHead
		require.NoError(t, json.Unmarshal(text, &head))
		require.Len(t, head.Items, 2)
		if w.reader.Buckets() {
			require.Equal(t, BucketContentType, headers["content-type"])
			suffix := ""
			if head.Begin > 0 {
				suffix = fmt.Sprintf(`\+%d`, head.Begin)
			}
			require.Regexp(t, fmt.Sprintf(`^sorry-2022/%d/%d-[0-9a-f]{12}%s$`, head.Bucket, head.Index, suffix), headers["ce_id"])
			require.Equal(t, fmt.Sprint(head.Bucket), string(r.Key))
			require.Equal(t, ids, head.IDs)
			require.LessOrEqual(t, len(r.Value), 150_000)
			for _, user := range unpack(t, &head, members) {
				require.False(t, found[user], "twice")
				found[user] = true
			}
			continue
		}
		require.Equal(t, ContentType, headers["content-type"])
		require.Regexp(t, fmt.Sprintf(`^sorry-2022/%d/%d-[0-9a-f]{12}$`, *head.Chunk, head.Index), headers["ce_id"])
		set := roaring.New()
		require.NoError(t, set.UnmarshalBinary(members))
		require.EqualValues(t, head.Count, set.GetCardinality())
		for _, low := range set.ToArray() {
			found[w.id(head.First.Number()+uint64(low))] = true
		}
	}
	require.Equal(t, w.granted, found)
}

// unpack reads the users of a compact record of a bucket as docs/events.md has it.
func unpack(t *testing.T, h *batchHead, members []byte) (users []grant.UserID) {
	t.Helper()
	for range h.Count {
		n := uint64(16)
		switch h.IDs {
		case grant.IDsInt64:
			n = 8
		case grant.IDsString:
			var size int
			n, size = binary.Uvarint(members)
			members = members[size:]
		case grant.IDsUUID, grant.IDsDense:
		}
		text := string(members[:n])
		switch h.IDs {
		case grant.IDsUUID:
			text = fmt.Sprintf("%x-%x-%x-%x-%x", text[:4], text[4:6], text[6:8], text[8:10], text[10:])
		case grant.IDsInt64:
			text = strconv.FormatInt(int64(binary.BigEndian.Uint64(members)), 10)
		case grant.IDsString, grant.IDsDense:
		}
		users, members = append(users, grant.TextID(text)), members[n:]
	}
	require.Empty(t, members)
	return users
}

// A broker that refuses, or takes a batch and does not say so, must not make a cursor move.
func TestNothingIsSentBeforeItIsAcknowledged(t *testing.T) {
	onEachLayout(t, onNothingIsSentBeforeItIsAcknowledged)
}

func onNothingIsSentBeforeItIsAcknowledged(t *testing.T, ids grant.IDs) {
	c := fakeKafka(t)
	w := newWorld(t, miniredis.RunT(t).Addr(), ids)
	w.grant(w.span(1, 5000)...)
	refuse := func(err *kerr.Error, n int) {
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{1}, Err: err, Count: n})
	}
	refuse(kerr.TopicAuthorizationFailed, 1)
	err := w.publisher(topicOf(t, c.ListenAddrs(), FormJSON)).Once(context.Background())
	require.ErrorContains(t, err, "topic events, partition 1: [29] Topic Authorization Failed")
	cursors, err := w.coordination.Cursors(context.Background(), "s")
	require.NoError(t, err)
	require.Equal(t, map[string]string{beginField: "start"}, cursors)
	refuse(kerr.RequestTimedOut, 2)
	w.once(topicOf(t, c.ListenAddrs(), FormJSON))
	w.holds(events(t, c.ListenAddrs()))
}

// What somebody did about a user comes as it happened, in its order; the grant is what it was, although much has happened since.
func TestWhatPeopleDidIsPublishedAsItWas(t *testing.T) {
	onEachLayout(t, onWhatPeopleDidIsPublishedAsItWas)
}

func onWhatPeopleDidIsPublishedAsItWas(t *testing.T, ids grant.IDs) {
	c := fakeKafka(t)
	w := newWorld(t, miniredis.RunT(t).Addr(), ids)
	w.grant(w.id(5), w.id(6))
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{})
	require.NoError(t, err)
	acts := ledger.NewActs(store, 9)
	until := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	to := w.id(1<<16 + 5)
	done := 0
	do := func(user grant.UserID, a grant.Act) {
		done++
		a.ID, a.Who, a.Via, a.Reason = fmt.Sprint("act-", done), "mira", "cli", "ticket 7"
		results, err := acts.Do(t.Context(), []ledger.UserAct{{User: user, Act: a}}, false)
		require.NoError(t, err)
		require.NoError(t, results[0].Err, a.Kind)
	}
	do(w.id(5), grant.Act{Kind: grant.ActNote})
	do(w.id(5), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake})
	do(w.id(5), grant.Act{Kind: grant.ActReinstate})
	do(w.id(5), grant.Act{Kind: grant.ActExtend, Item: "cheer-up", Until: until})
	do(w.id(7), grant.Act{Kind: grant.ActExclude})
	do(w.id(8), grant.Act{Kind: grant.ActHand})
	w.once(topicOf(t, c.ListenAddrs(), FormJSON))
	byUser := map[string][]string{}
	for _, r := range records(t, c.ListenAddrs()) {
		var e event
		require.NoError(t, json.Unmarshal(r.Value, &e))
		byUser[e.Data.User] = append(byUser[e.Data.User], strings.TrimPrefix(e.Type, TypePrefix))
		require.NotContains(t, string(r.Value), "ticket 7", "who and why is for the audit trail")
		switch e.Type {
		case TypePrefix + "granted":
			require.Equal(t, grant.StateActive, e.Data.Items[1].State)
			require.Equal(t, e.Time.Add(90*24*time.Hour), e.Data.Items[1].ExpiresAt.UTC(), "it was not extended then")
		case TypePrefix + "extended":
			require.Contains(t, string(r.Value), `"item":"cheer-up","until":"`+until.Format(time.RFC3339))
		case TypePrefix + "revoked":
			require.Contains(t, string(r.Value), `"act":"act-2","revocation":"mistake","effective":"`)
		}
	}
	require.Equal(t, map[string][]string{
		w.id(5).String(): {"granted", "revoked", "reinstated", "extended"}, w.id(6).String(): {"granted"},
		w.id(7).String(): {"excluded"}, w.id(8).String(): {"granted"},
	}, byUser)

	do(w.id(6), grant.Act{Kind: grant.ActMove, To: &to})
	do(to, grant.Act{Kind: grant.ActHand, From: new(grant.UserID)})
	w.once(topicOf(t, c.ListenAddrs(), FormJSON), func(c *Config) { c.Name, c.Only = "moves", []Type{TypeMoved} })
	last := records(t, c.ListenAddrs())
	moved := 0
	for _, r := range last {
		if bytes.Contains(r.Value, []byte(`"type":"granter.moved"`)) {
			moved++
			quoted, err := json.Marshal(to)
			require.NoError(t, err)
			require.Contains(t, string(r.Value), `"to":`+string(quoted))
		}
	}
	require.Equal(t, 1, moved)
	require.Len(t, last, 8, "no other type")
}
