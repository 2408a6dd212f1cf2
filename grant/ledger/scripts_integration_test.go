//go:build integration

package ledger

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// commandsOf finds the commands that a script may call, in its text: a new one cannot be forgotten here.
var commandsOf = regexp.MustCompile(`(?:[({]|\}, )'([A-Z]+)'`)

// scriptCase is one way through a script.
type scriptCase struct {
	name   string
	script *script
	before func(l *parts)
	keys   []string
	stage  []byte // what is put under the delta key
	args   []any
}

func scriptCases(w *world, l *parts) []scriptCase {
	keys := l.keys.chunk(1, "id")
	grants := func(name string, before func(*parts), members *dense.Bitmap) scriptCase {
		head := appendHead(nil, l.run, 1, 2)
		tail, count := appendTail(nil, head, []byte{0}, members)
		c := scriptCase{name: name, script: &chunkCall, before: before, keys: keys.all(), stage: members[:]}
		var offsets []byte
		if count <= smallDelta {
			offsets, c.stage = appendOffsets(nil, members, count), nil
		}
		c.args = []any{runBytes(l.run), "id", tail, offsets, "aa11", 0, 1 << 53}
		return c
	}
	none := func(*parts) {}
	publication := []string{l.keys.publisher("s"), l.keys.published("s")}
	leads := func(*parts) { require.NoError(w, w.client.Set(w.ctx, publication[0], "a", time.Hour).Err()) }
	published := func(l *parts) {
		leads(l)
		require.NoError(w, w.client.HSet(w.ctx, publication[1], "1", "x").Err())
	}
	other := func(*parts) {
		p := w.join()
		p.grant(1, delta(1, span(0, 50, 1)), delta(1<<20, bitmap(1)))
	}
	ours := func(l *parts) {
		other(l)
		require.NoError(w, w.client.HSet(w.ctx, keys.calls, string(runBytes(l.run)), "before").Err())
	}
	old := func(l *parts) {
		ours(l)
		require.NoError(w, w.client.HDel(w.ctx, keys.calls, "spec").Err())
	}
	crowded := func(l *parts) {
		other(l)
		for run := range 70 {
			require.NoError(w, w.client.HSet(w.ctx, keys.calls, fmt.Sprintf("run %04d", run), "x").Err())
		}
	}
	again := func(l *parts) {
		other(l)
		require.NoError(w, w.client.HSet(w.ctx, keys.calls, string(runBytes(l.run)), "id").Err())
	}
	tip, checkpoint := l.keys.tip(l.keys.anchors[0], "s"), l.keys.checkpoint(l.keys.anchors[0], l.keys.version)
	hasTip := func(*parts) { require.NoError(w, w.client.HSet(w.ctx, tip, "1", 5).Err()) }
	hasCheckpoint := func(*parts) {
		require.NoError(w, w.client.HSet(w.ctx, checkpoint, "topic", "old", "0", 7, "e0", 0).Err())
	}
	lapsed := func(*parts) {
		require.NoError(w, w.client.HSet(w.ctx, l.keys.leases, "gone", "1 aa11").Err())
	}
	replaced := func(*parts) {
		require.NoError(w, w.client.HSet(w.ctx, l.keys.spec, "hash", "old", "canonical", "old", "stored_at", "x").Err())
	}
	older := func(*parts) {
		require.NoError(w, w.client.HSet(w.ctx, l.keys.spec, "hash", "aa11", "canonical", "spec: one\n", "stored_at", "2022-11-05T00:00:00Z").Err())
	}
	control := func(*parts) { require.NoError(w, w.client.Set(w.ctx, l.keys.control, `{"version":1}`, 0).Err()) }
	budget := func(*parts) {
		require.NoError(w, w.client.HSet(w.ctx, l.keys.budget, "at", 1, "left", "3", "rate", 100).Err())
	}
	specKeys := []string{l.keys.spec, l.keys.chunks, l.keys.leases, l.keys.format}
	spec := func(searched string) []any {
		return []any{"aa11", "spec: one\n", "2022-11-05T00:00:00Z", "run", 30000, searched, format, formatSince}
	}
	orders := []string{l.keys.control, l.keys.history}
	acts := func(name string, kind grant.ActKind, before func(*parts), from, to string, args ...any) scriptCase {
		entry := appendAct(nil, entryKinds[kind], fmt.Appendf(nil, `{"id":"a","kind":%q}`, kind), bitmap(3, 4))
		c := scriptCase{name: name, script: &actCall, before: before, keys: append(keys.act(), "granter:{sorry-2022/1}:taken:0")}
		c.args = append([]any{"aa11", 0, 1 << 53, entry, appendOffsets(nil, bitmap(3, 4), 2), from, to}, args...)
		return c
	}
	excluded := func(*parts) { a := w.actor(); a.done(a.act(grant.ActExclude), users(1, 3, 4, 9)...) }
	withState := func(l *parts) {
		other(l)
		require.NoError(w, w.client.HSet(w.ctx, keys.state, "3", "old").Err())
	}
	mends := func(name string, journal []string, bits []uint16, args ...any) scriptCase {
		return scriptCase{name: name, script: &mendCall, keys: keys.act()[:3], args: args, before: func(*parts) {
			for _, text := range journal {
				require.NoError(w, w.client.RPush(w.ctx, keys.act()[2], text).Err())
			}
			for _, bit := range bits {
				require.NoError(w, w.client.SetBit(w.ctx, keys.act()[0], int64(bit), 1).Err())
			}
		}}
	}
	body := func(kind grant.ActKind, members *dense.Bitmap) string {
		return string(appendAct(nil, entryKinds[kind], fmt.Appendf(nil, `{"id":"a","kind":%q}`, kind), members))
	}
	entry := func(members ...uint16) string {
		return "\x02\x01\x02\x03\x04\x05\x06" + body(grant.ActHand, bitmap(members...))
	}
	gone := "\x02\x01\x02\x03\x04\x05\x06" + body(grant.ActExclude, bitmap(3, 4))
	two := appendOffsets(nil, bitmap(3, 4), 2)
	bucket := func(name string, before func(*parts), seen int) scriptCase {
		return scriptCase{name: name, script: &bucketCall, before: before, keys: []string{keys.journal, keys.calls},
			args: []any{seen, 2, "tail", "aa11", 0, 1 << 53, restEntries, MaxBucket}}
	}
	inBucket := func(*parts) {
		require.NoError(w, w.client.RPush(w.ctx, keys.journal, "entry").Err())
		require.NoError(w, w.client.HSet(w.ctx, keys.calls, "spec", "aa11", "count", 1).Err())
	}
	bucketActs := func(name string, before func(*parts), args ...any) scriptCase {
		c := scriptCase{name: name, script: &bucketActCall, before: before, keys: []string{keys.journal, keys.state, keys.calls}}
		c.args = append([]any{"aa11", 0, 1 << 53}, args...)
		return c
	}
	bucketState := func(l *parts) {
		inBucket(l)
		require.NoError(w, w.client.HSet(w.ctx, keys.state, "5", "old").Err())
		require.NoError(w, w.client.HSet(w.ctx, keys.calls, "excluded", 1).Err())
	}
	erases := func(name string, before func(*parts), args ...any) scriptCase {
		args = append([]any{"aa11", 1 << 53, "5"}, args...)
		return scriptCase{name: name, script: &eraseCall, before: before, keys: keys.act(), args: args}
	}
	inBuckets := func(c scriptCase) scriptCase { c.script = &bucketEraseCall; return c }
	noted := func(*parts) {
		require.NoError(w, w.client.RPush(w.ctx, keys.journal, entry(5)).Err())
		require.NoError(w, w.client.HSet(w.ctx, keys.state, "5", "old").Err())
	}
	listed := func(*parts) { require.NoError(w, w.client.RPush(w.ctx, l.keys.history, "a", "b", "c").Err()) }
	ran := func(*parts) { require.NoError(w, w.client.HSet(w.ctx, l.keys.runs, "r", "before").Err()) }
	proposals := []string{l.keys.proposals, l.keys.history}
	proposed := func(*parts) { require.NoError(w, w.client.HSet(w.ctx, l.keys.proposals, "a", "before").Err()) }
	return append(takeCases(w, l), []scriptCase{
		{name: "proposal", script: &proposalCall, keys: proposals, before: none, args: []any{"a", "", "{}", "{}", 0}},
		{name: "decision", script: &proposalCall, keys: proposals, before: proposed, args: []any{"a", "before", "{}", "{}", 1 << 53}},
		{name: "conclusion", script: &proposalCall, keys: proposals, before: proposed, args: []any{"a", "before", "{}", "", 0}},
		{name: "alone", script: &aloneCall, keys: []string{l.keys.alone + "mira"}, before: none, args: []any{5, 10, 600, 86400, 0}},
		erases("erasure", noted, "0", "old", "new", body(grant.ActErase, bitmap(5)), 0, entry(5), entry(5)+" "),
		erases("erasure of who has no state", none, "0", "", "new", body(grant.ActErase, bitmap(5))),
		erases("erasure with the other account of a move", noted, "", "", "", "", 0, entry(5), entry(5)+" "),
		inBuckets(erases("erasure in a bucket", noted, "1", "old", "new", "tail", 0, entry(5), entry(5)+" ")),
		{name: "swap", script: &swapCall, keys: orders[1:], before: listed, args: []any{1, "b", "B"}},
		{name: "replacement", script: &replaceCall, keys: []string{l.keys.runs}, before: ran, args: []any{"r", "before", "after"}},
		{name: "shorter", script: &shortenCall, keys: orders[1:], before: listed, args: []any{"a", "b"}},
		{name: "purge", script: &purgeCall, keys: []string{l.keys.format, l.keys.leases}, before: none, args: []any{purged, "{}", "0"}},
		bucket("first of the bucket", none, 0),
		bucket("bucket", inBucket, 1),
		bucket("bucket, others were first", inBucket, 0),
		{name: "look", script: &bucketLookCall, keys: []string{keys.journal}, before: inBucket, args: []any{0, 0, 1, 2}},
		bucketActs("hand, first of the bucket", none, 0, 2, 0, MaxBucket, "tail"),
		bucketActs("exclude in a bucket", inBucket, 1, 2, 2, MaxBucket, "tail"),
		bucketActs("exclusion lifted in a bucket", bucketState, 1, 0, -1, MaxBucket, "tail", "5", "new", "6", "new"),
		bucketActs("act in a bucket, others were first", inBucket, 0, 2, 0, MaxBucket, "tail"),
		mends("bits", []string{gone}, nil, 1, two, two, "", ""),
		mends("an entry", nil, []uint16{3, 4}, 0, "", "", body(grant.ActHand, bitmap(3, 4)), ""),
		mends("an entry less", []string{entry(5), entry(5)}, nil, 2, appendOffsets(nil, bitmap(5), 1), "", "", "", 1, entry(5), ""),
		mends("a member less", []string{entry(5), entry(5, 6)}, []uint16{5, 6}, 2, "", "", "", "", 1, entry(5, 6), entry(6)),
		acts("hand, first of the chunk", grant.ActHand, none, "0", "1"),
		acts("hand with state", grant.ActHand, none, "0", "1", "", "new", "", "new"),
		acts("exclude", grant.ActExclude, none, "0", "2"),
		acts("exclusion lifted", grant.ActReinstate, excluded, "2", "1", "", "new", "", "new"),
		acts("act", grant.ActExtend, withState, "1", "1", "old", "new", "", "new"),
		acts("act on others than were looked at", grant.ActHand, other, "0", "1"),
		acts("note", grant.ActNote, none, "", "", "", "new", "", "new"),
		grants("bitmap, first of the chunk", none, span(100, 3000, 1)),
		grants("bitmap", other, span(100, 3000, 1)),
		grants("bitmap, second of the run", ours, span(100, 3000, 1)),
		grants("bitmap, overlap", other, span(0, 3000, 1)),
		grants("bitmap, old chunk", old, span(100, 3000, 1)),
		grants("bitmap, many runs", crowded, span(100, 3000, 1)),
		grants("bitmap, sent again", again, span(0, 50, 1)),
		grants("offsets, first of the chunk", none, span(100, 9, 1)),
		grants("offsets", other, span(100, 9, 1)),
		grants("offsets, second of the run", ours, span(100, 9, 1)),
		grants("offsets, overlap", other, span(45, 9, 1)),
		grants("bitmap, excluded", excluded, span(0, 3000, 1)),
		grants("offsets, excluded", excluded, span(0, 9, 1)),
		{"first tip", &tipCall, none, []string{tip}, nil, []any{1, 0, 1, 60}},
		{"tip", &tipCall, hasTip, []string{tip}, nil, []any{1, 5, 6, 60}},
		{"first checkpoint", &checkpointCall, hasTip, []string{checkpoint, tip}, nil, []any{60, "topic", "", 1, 1, 5, 0, -1, 7, 0, 1, -1, 8, 0}},
		{"checkpoint anew", &anewCall, hasCheckpoint, []string{checkpoint}, nil, []any{"topic"}},
		{"first spec", &specCall, none, specKeys, nil, spec("searched ")},
		{"another spec", &specCall, replaced, specKeys, nil, spec("searched old")},
		{"spec of an older format", &specCall, older, specKeys, nil, spec("")},
		{"lapsed leases", &specCall, lapsed, specKeys, nil, spec("searched ")},
		{"first order", &controlCall, none, orders, nil, []any{"", `{"version":1}`, `{"action":"pause"}`}},
		{"order", &controlCall, control, orders, nil, []any{`{"version":1}`, `{"version":2}`, `{"action":"resume"}`}},
		{"order without effect", &controlCall, control, orders, nil, []any{`{"version":1}`, "", `{"action":"resume"}`}},
		{"first lead", &leadCall, none, publication[:1], nil, []any{"a", 60_000}},
		{"lead", &leadCall, leads, publication[:1], nil, []any{"a", 60_000}},
		{"end of a lead", &leadCall, leads, publication[:1], nil, []any{"a", 0}},
		{"first cursors", &advanceCall, leads, publication, nil, []any{"a", 60_000, "1", "", "x", "2", "", "y"}},
		{"cursors", &advanceCall, published, publication, nil, []any{"a", 60_000, "1", "x", "z"}},
		{"from a new budget", &budgetCall, none, []string{l.keys.budget}, nil, []any{5, 100}},
		{"from a budget", &budgetCall, budget, []string{l.keys.budget}, nil, []any{5, 100}},
	}...)
}

// Each command of each script is refused once, and each key is of a wrong type once. Then nothing has changed; or, where the
// command only tidies up, everything has been done. Once it is allowed again, it is done.
func TestNoScriptLeavesHalfAChange(t *testing.T) { //nolint:tparallel // cases share their Redis
	t.Parallel()
	server := devtest.StartRedis(t)
	w := newWorld(t, Options{Addrs: []string{server.Addr}})
	admin := w.client.(*redis.Client)
	user := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "granter", Password: "secret", MaxRetries: -1, PoolSize: 1})
	defer user.Close()
	l, err := open(w.client, w.campaign(), 77, Config{RetryFor: time.Second})
	require.NoError(t, err)
	allow := func() { setUser(t, admin, "granter", "~*", "+@all") }
	run := func(c *scriptCase) (any, error) {
		if c.stage != nil {
			at := 3
			if c.script == &manyCall {
				at = 7
			}
			require.NoError(t, admin.Set(w.ctx, c.keys[at], c.stage, time.Minute).Err())
		}
		cmd := c.script.command(w.ctx, c.keys, c.args...)
		_ = user.Process(w.ctx, cmd)
		return cmd.Result()
	}
	prepare := func(c *scriptCase) snapshot {
		w.flush()
		require.NoError(t, l.loadScripts(w.ctx))
		allow()
		c.before(l)
		require.NoError(t, admin.Do(w.ctx, "acl", "log", "reset").Err())
		return w.lasting()
	}
	afterwards := func(c *scriptCase, whole any) {
		allow()
		reply, err := run(c)
		require.NoError(t, err)
		// The reply is a time.
		taking := slices.Contains([]*script{
			&takeCall, &manyCall, &judgeCall, &quotaCall, &bucketTakeCall, &bucketJudgeCall, &bucketQuotaCall,
		}, c.script)
		if !taking && c.script != &budgetCall && c.script != &specCall && c.script != &anewCall {
			require.Equal(t, whole, reply)
		}
		if c.script == &purgeCall {
			return // it is refused from then on
		}
		proof, err := l.Prove(w.ctx)
		require.NoError(t, err)
		for _, v := range proof.Violations { // the cases call scripts without what goes with them
			require.False(t, strings.HasPrefix(v.Where, "chunk ") && strings.Contains(v.What, " users "), "%+v", v)
		}
		for key := range w.snapshot() {
			require.NotContains(t, key, ":scratch")
		}
	}
	refused := map[*script]map[string]bool{}
	for _, c := range scriptCases(w, l) {
		prepare(&c)
		whole, err := run(&c)
		require.NoError(t, err, c.name)
		after := w.lasting()
		commands := map[string]bool{}
		for _, found := range commandsOf.FindAllStringSubmatch(c.script.text, -1) {
			commands[found[1]] = true
		}
		if refused[c.script] == nil {
			refused[c.script] = map[string]bool{}
		}
		for _, command := range slices.Sorted(maps.Keys(commands)) {
			t.Run(c.name+"/without "+command, func(t *testing.T) {
				before := prepare(&c)
				require.NoError(t, admin.Do(w.ctx, "acl", "setuser", "granter", "-"+strings.ToLower(command)).Err())
				_, err := run(&c)
				hit := strings.Contains(fmt.Sprint(admin.Do(w.ctx, "acl", "log").Val()), "object "+strings.ToLower(command)+" ")
				refused[c.script][command] = refused[c.script][command] || hit
				switch {
				case err != nil:
					require.True(t, hit)
					require.Equal(t, KindNoPerm, Kind(err), "%v", err)
					require.Empty(t, changed(before, w.lasting()))
					afterwards(&c, whole)
				case c.script == &actCall:
					now := w.lasting()
					require.Len(t, now[c.keys[2]], len(after[c.keys[2]].([]string)))
					for _, i := range []int{0, 1, 3} {
						require.Equal(t, after[c.keys[i]], now[c.keys[i]])
					}
				case c.script == &chunkCall || c.script == &controlCall:
					now := w.lasting()
					require.Equal(t, after[c.keys[0]], now[c.keys[0]])
					require.Len(t, now[c.keys[1]], len(after[c.keys[1]].([]string)))
				}
			})
		}
		for i, key := range c.keys {
			t.Run(c.name+"/wrong type of key "+fmt.Sprint(i+1), func(t *testing.T) {
				prepare(&c)
				require.NoError(t, admin.Del(w.ctx, key).Err())
				if key == l.keys.chunks || i == 3 {
					require.NoError(t, admin.LPush(w.ctx, key, "x").Err())
				} else {
					require.NoError(t, admin.SAdd(w.ctx, key, "x").Err())
				}
				before := w.lasting()
				if _, err := run(&c); err != nil {
					require.Contains(t, err.Error(), "WRONGTYPE")
					require.Empty(t, changed(before, w.lasting()))
				}
			})
		}
	}
	for _, s := range allScripts {
		hit := refused[s]
		for _, found := range commandsOf.FindAllStringSubmatch(s.text, -1) {
			undo := s == &chunkCall && found[1] == "HDEL" ||
				s == &bucketCall && found[1] == "DEL" ||
				(s == &actCall || s == &bucketActCall || s == &mendCall || s == &eraseCall ||
					s == &bucketEraseCall) && (found[1] == "BITPOS" || found[1] == "DEL") ||
				(s == &takeCall || s == &manyCall || s == &quotaCall || s == &bucketQuotaCall) &&
					slices.Contains([]string{"DEL", "BITPOS", "HDEL"}, found[1])
			require.True(t, hit[found[1]] || undo, "%s is in the script %.60q, and no case comes to it", found[1], s.text)
		}
	}
}

// lasting is all that counts in Redis: neither what is staged, nor zeros at the end of a bitmap.
func (w *world) lasting() snapshot {
	s := w.snapshot()
	for key, value := range s {
		switch name := w.name(key); {
		case name == "delta" || name == "scratch":
			delete(s, key)
		case name == "granted" || name == "excluded" || strings.Contains(key, ":taken:"):
			if text, ok := value.(string); ok {
				s[key] = strings.TrimRight(text, "\x00")
			}
		}
	}
	return s
}
