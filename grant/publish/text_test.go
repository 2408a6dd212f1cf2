package publish

import (
	"strings"
	"testing"
	"unicode"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Users whose IDs are strings may be any text. Each is one event with an ID of its own, which may be in a header and has no dot
// in it, and says exactly who it is.
func TestAnyTextIsAUser(t *testing.T) {
	users := []grant.UserID{
		grant.TextID("."), grant.TextID(".."), grant.TextID(" "), grant.TextID("\n"), grant.TextID(`"`), grant.TextID(`\`),
		grant.TextID("a\r\nWebhook-Signature: v1,x"), grant.TextID("a"), grant.TextID("A"), grant.TextID("%61"),
		grant.TextID("%2E"),
		grant.TextID("/"), grant.TextID("../a"), grant.TextID("a/b"), grant.TextID("a+2"), grant.TextID("\u00e9"),
		grant.TextID("e\u0301"), grant.TextID("민지"), grant.TextID("\x00"), grant.TextID("\x7f"), grant.TextID("\ufffe"),
		grant.TextID("\U0001ffff"), grant.TextID("\ufffd"), grant.TextID("\u2028"), grant.TextID("<script>"), grant.TextID("007"),
		grant.TextID("7"), grant.TextID("-7"), grant.TextID(strings.Repeat("ä", 128)), grant.TextID(strings.Repeat("\x01", 256)),
		grant.TextID(`","data":{"user":"a`), grant.TextID("{}"), grant.TextID("null"),
	}
	h, w := newHook(t), newWorld(t, miniredis.RunT(t).Addr(), grant.IDsString)
	w.grant(users...)
	w.once(h.target(t, 1))
	w.holds(h.order)
	ids := map[string]bool{}
	for i, e := range h.order {
		e.conforms(t)
		id := h.ids[i]
		require.Equal(t, e.ID, id)
		require.NotContains(t, id, ".")
		require.Equal(t, -1, strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r >= unicode.MaxASCII }), "%q", id)
		require.False(t, ids[id])
		ids[id] = true
	}

	several := newHook(t)
	w.once(several.target(t, 100), func(c *Config) { c.Name = "several" })
	w.holds(several.order)

	c := fakeKafka(t)
	w.once(topicOf(t, c.ListenAddrs(), FormJSON), func(c *Config) { c.Name = "topic" })
	w.holds(events(t, c.ListenAddrs()))
}

// CloudEvents forbids some texts as a subject: those events have none, and the others have the user.
func TestWhoIsNoSubject(t *testing.T) {
	for user, is := range map[string]bool{
		"a": true, ".": true, "민지": true, " a ": true, `"`: true, "\ufffd": true, "\u2028": false, " ": false, "\u00a0": false,
		"a\n": false, "\x00": false, "\x7f": false, "a\u0085": false, "\ufffe": false, "\ufdd0": false, "\ufdf0": true,
		"\U0010ffff": false, "a\u2028": true,
	} {
		require.Equal(t, is, isAttribute([]byte(user)), "%q", user)
	}
}

// Subscribers have seen the IDs of events, and cursors were written, by older granters: neither may ever change.
func TestIDsAndCursorsStayWhatTheyAre(t *testing.T) {
	entry := "\x02\x01\x83\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x01\x01\x00" +
		"\x3a\x30\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x05\x00"
	member := "\x03\x01\x83\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x01\x01\x00" + "\x00\x03a.b"
	w := newWorld(t, miniredis.RunT(t).Addr(), grant.IDsDense)
	p, err := readPiece(w.publisher(newInbox(nil, 0)).layout, place{629, ""}, 12, entry, 0)
	require.NoError(t, err)
	require.Equal(t, "sorry-2022/629/12-1636a6954d0d", entryID(w.campaign, &p))
	c := cursor{}
	c = c.sent(0, p.head, 1, true)
	require.Equal(t, "1+0|0:1636a6954d0d", c.String())

	w = newWorld(t, miniredis.RunT(t).Addr(), grant.IDsString)
	p, err = readPiece(w.publisher(newInbox(nil, 0)).layout, place{300, ""}, 12, member, 0)
	require.NoError(t, err)
	text, err := (&writer{campaign: w.campaign}).template(&p, TypeGranted)
	require.NoError(t, err)
	for user := range p.texts() {
		event := string(text.append(nil, user))
		require.Contains(t, event, `"id":"sorry-2022/300/12-edb8affa3d73/a%2Eb","subject":"a.b","data":{"user":"a.b",`)
	}
}

// What is no entry of this campaign's buckets stops a publisher.
func TestDamagedMembersAreNotPublished(t *testing.T) {
	w := newWorld(t, miniredis.RunT(t).Addr(), grant.IDsString)
	l := w.publisher(newInbox(nil, 0)).layout
	head := "\x03\x01\x83\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x01"
	for says, text := range map[string]string{
		"not UTF-8": head + "\x01\x00" + "\x00\x01\xff", "members of 8 bytes": head + "\x01\x00" + "\x08abcdefgh",
		"1 members, and it says 2": head + "\x02\x00" + "\x00\x01a", "cut off": head + "\x01\x00" + "\x00\x02a",
		"version 2": "\x02" + head[1:] + "\x01\x00" + "\x00\x01a",
	} {
		_, err := readPiece(l, place{300, ""}, 0, text, 0)
		require.ErrorContains(t, err, says)
	}
}
