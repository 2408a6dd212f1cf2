package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/digest"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// world is an empty Redis and ledgers of one campaign on it.
type world struct {
	*testing.T
	ctx     context.Context
	options Options
	ids     grant.IDs             // of its campaign; empty: dense
	client  redis.UniversalClient // for looking and meddling; it repeats nothing and is hurt by no fault
}

func newWorld(t *testing.T, options Options) *world {
	t.Helper()
	w := newWorldAs(t, options)
	w.flush()
	return w
}

// newWorldAs is a world whose Redis is left as it is, seen by a certain user.
func newWorldAs(t *testing.T, options Options) *world {
	t.Helper()
	w := &world{T: t, ctx: t.Context(), options: options}
	w.client = w.connect()
	return w
}

func (w *world) connect() redis.UniversalClient {
	w.Helper()
	c, err := Connect(w.options)
	require.NoError(w, err)
	w.Cleanup(func() { require.NoError(w, c.Close()) })
	return c
}

// each runs fn on every master.
func (w *world) each(fn func(c *redis.Client) error) {
	w.Helper()
	if cluster, ok := w.client.(*redis.ClusterClient); ok {
		require.NoError(w, cluster.ForEachMaster(w.ctx, func(_ context.Context, c *redis.Client) error { return fn(c) }))
		return
	}
	require.NoError(w, fn(w.client.(*redis.Client)))
}

// flush is what happens when somebody types FLUSHALL.
func (w *world) flush() {
	w.Helper()
	w.each(func(c *redis.Client) error { return c.FlushAll(w.ctx).Err() })
}

// parts are all that can be done with the ledger of a campaign, by one run.
type parts struct {
	*Store
	*Grants
	*Coordination
	*Reader

	numbers *numbers // nil: IDs are dense
}

func open(client redis.UniversalClient, c *grant.Campaign, run grant.RunID, cfg Config) (*parts, error) {
	s, err := Open(client, c, cfg)
	if err != nil {
		return nil, err
	}
	p := &parts{Store: s, Grants: NewGrants(s, run), Coordination: NewCoordination(s), Reader: NewReader(s)}
	if c.Input.IDs == grant.IDsInt64 {
		p.numbers = &numbers{grants: p.Grants}
	}
	return p, nil
}

// Grant implements dense.Sink, whatever the layout.
func (p *parts) Grant(ctx context.Context, f *dense.Flush) error {
	if p.numbers != nil {
		return p.numbers.Grant(ctx, f)
	}
	return p.Grants.Grant(ctx, f)
}

// Begin begins a session, of a new pool.
func (p *parts) Begin(ctx context.Context, topic grant.TopicID) (grant.Checkpoint, error) {
	if p.numbers != nil {
		p.numbers.forget()
	}
	return p.Grants.Begin(ctx, topic)
}

// What a run does where others do something of that name, too.
func (p *parts) SaveRun(ctx context.Context, r grant.RunRecord) error {
	return p.Grants.SaveRun(ctx, r)
}
func (p *parts) Checkpoints(ctx context.Context) (grant.Checkpoint, error) {
	return p.Grants.Checkpoints(ctx)
}

// player is one run, with a fault to inject and a flush counter.
type player struct {
	*parts
	w     *world
	fault *fault
	seen  *observed
	seqs  map[int]uint64
	start grant.Offsets // what Begin returned
	pools int           // of IDs that are not dense
	// withheld is how many records of the last of those were.
	withheld int64
}

func (w *world) campaign() *grant.Campaign {
	c := &grant.Campaign{Name: "sorry-2022", Hash: "aa11", Canonical: []byte("spec: one\n")}
	c.Input.IDs = w.ids
	return c
}

// join starts a run, with a session begun.
func (w *world) join() *player {
	w.Helper()
	return w.joinFor(5 * time.Second)
}

func (w *world) joinFor(retryFor time.Duration) *player {
	w.Helper()
	p := w.play(w.campaign(), retryFor)
	p.begin()
	return p
}

// play makes a run of a campaign that has not begun.
func (w *world) play(c *grant.Campaign, retryFor time.Duration) *player {
	w.Helper()
	p := &player{w: w, fault: &fault{}, seen: &observed{kinds: map[string]int{}}}
	client := w.connect()
	client.AddHook(p.fault)
	var err error
	p.parts, err = open(client, c, grant.NewRunID(time.Now()), Config{RetryFor: retryFor, Observer: p.seen})
	require.NoError(w, err)
	return p
}

// aTopic is the topic of tests that do not care.
var aTopic = grant.TopicID{Cluster: "a-cluster", Topic: [16]byte{1, 2, 3}}

func (p *player) begin() {
	p.w.Helper()
	found, err := p.Begin(p.w.ctx, aTopic)
	require.NoError(p.w, err)
	require.NoError(p.w, p.EnsureSpec(p.w.ctx, p.campaign))
	p.start = found.Next
	p.seqs = map[int]uint64{}
}

// flush makes the next flush of a shard.
func (p *player) flush(shard int, deltas ...dense.Delta) *dense.Flush {
	p.seqs[shard]++
	return &dense.Flush{
		Shard: shard, Seq: p.seqs[shard], Deltas: deltas,
		Ranges: []sharding.Range{{Partition: shard, First: 10, Last: 19}, {Partition: 100, First: 5, Last: 5}},
	}
}

func (p *player) grant(shard int, deltas ...dense.Delta) *dense.Flush {
	p.w.Helper()
	f := p.flush(shard, deltas...)
	require.NoError(p.w, p.Grant(p.w.ctx, f))
	return f
}

func delta(chunk uint64, members *dense.Bitmap) dense.Delta {
	return dense.Delta{Chunk: chunk, Members: members, Count: members.Count()}
}

// oracle is who should be granted.
type oracle map[uint64]*dense.Bitmap

func (o oracle) add(chunk uint64, members *dense.Bitmap) {
	if o[chunk] == nil {
		o[chunk] = new(dense.Bitmap)
	}
	o[chunk].Or(members)
}

func (o oracle) count() (n int64) {
	for _, members := range o {
		n += int64(members.Count())
	}
	return n
}

// granted is who has been granted.
func (w *world) granted(l *parts) oracle {
	w.Helper()
	if w.ids == grant.IDsInt64 {
		return w.inBuckets(l)
	}
	got := oracle{}
	chunks, err := l.Chunks(w.ctx)
	require.NoError(w, err)
	bitmaps, err := l.Bitmaps(w.ctx, chunks)
	require.NoError(w, err)
	for i, granted := range bitmaps {
		if granted != nil {
			got.add(chunks[i], granted)
		}
	}
	return got
}

// journal is what a chunk's journal holds, oldest first.
func (w *world) journal(chunk uint64) []Entry {
	w.Helper()
	k := newKeys(w.campaign().Name, "", false)
	list, err := w.client.LRange(w.ctx, k.journal(chunk), 0, -1).Result()
	require.NoError(w, err)
	entries := make([]Entry, len(list))
	for i, text := range list {
		require.NoError(w, entries[i].UnmarshalBinary([]byte(text)))
	}
	return entries
}

// holds checks that exactly the users of the oracle are granted, each once.
func (w *world) holds(l *parts, want oracle) {
	w.Helper()
	got := w.granted(l)
	require.Equal(w, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)), "chunks")
	for chunk, members := range want {
		require.True(w, same(members, got[chunk]), "members of chunk %d", chunk)
	}
	proof, err := l.Prove(w.ctx)
	require.NoError(w, err)
	require.True(w, proof.Holds(), "%+v", proof)
	require.Equal(w, want.count(), proof.Granted)
	totals, err := l.Totals(w.ctx)
	require.NoError(w, err)
	require.Equal(w, want.count(), totals.Granted)
	if w.ids == grant.IDsInt64 {
		return
	}
	var users digest.Users
	for chunk, members := range want {
		users.Add(chunk, members)
	}
	require.Equal(w, users.Sum(), proof.Digest)
	require.Equal(w, len(want), totals.Chunks)
}

// observed is an Observer that counts.
type observed struct {
	mu      sync.Mutex
	kinds   map[string]int
	granted int
	calls   int
	onError func(kind string, n int)
}

func (o *observed) LedgerError(kind string) {
	o.mu.Lock()
	o.kinds[kind]++
	n, fn := o.kinds[kind], o.onError
	o.mu.Unlock()
	if fn != nil {
		fn(kind, n)
	}
}

func (o *observed) FlushDone(_, members, calls, _ int, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.granted += members
	o.calls += calls
}

var errCut = fmt.Errorf("the network was cut: %w", io.ErrUnexpectedEOF)

// fault is a hook that loses commands or replies. next says how many commands of the coming pipeline of chunk calls
// reach Redis before the connection breaks, and with all of them their replies are lost; −1 lets it pass.
type fault struct {
	mu   sync.Mutex
	next func(commands int) (reach int)
	then func() // runs once, right after the broken pipeline

	pages, entries atomic.Int64 // of journals that were read
	piped          atomic.Int64 // pages that were read in pipelines
}

// reads is how many pages were read.
func (f *fault) reads() int64 { return f.pages.Load() + f.piped.Load() }

func (f *fault) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *fault) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if list, ok := cmd.(*redis.StringSliceCmd); ok && cmd.Name() == "lrange" {
			f.pages.Add(1)
			f.entries.Add(int64(len(list.Val())))
		}
		return err
	}
}

func (f *fault) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if cmd.Name() == "lrange" {
				f.piped.Add(1)
			}
		}
		f.mu.Lock()
		reach := -1
		if f.next != nil && !opening(cmds) {
			reach = f.next(len(cmds))
		}
		then := f.then
		f.mu.Unlock()
		if reach < 0 {
			return next(ctx, cmds)
		}
		if reach > 0 {
			if err := next(ctx, cmds[:reach]); err != nil {
				return err
			}
		}
		for _, cmd := range cmds {
			cmd.SetErr(errCut)
		}
		if then != nil {
			then()
		}
		return errCut
	}
}

// opening reports whether go-redis is greeting on a new connection: hooks see that, too.
func opening(cmds []redis.Cmder) bool { return cmds[0].Name() == "client" }

// once breaks the coming pipeline after the given share of its commands.
func (f *fault) once(share float64, then func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = func(n int) int {
		f.next = nil
		return int(share * float64(n))
	}
	f.then = then
}

// always breaks every pipeline after the given share of its commands.
func (f *fault) always(share float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next, f.then = func(n int) int { return int(share * float64(n)) }, nil
}

// never ends all faults.
func (f *fault) never() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next, f.then = nil, nil
}

// snapshot is a copy of everything in Redis, as a restore from last night's backup would bring it back.
type snapshot map[string]any

func (w *world) snapshot() snapshot {
	w.Helper()
	s := snapshot{}
	var mu sync.Mutex
	w.each(func(c *redis.Client) error {
		keys, err := c.Keys(w.ctx, "*").Result()
		if err != nil {
			return err
		}
		for _, key := range keys {
			value, err := read(w.ctx, c, key)
			if err != nil {
				return err
			}
			mu.Lock()
			s[key] = value
			mu.Unlock()
		}
		return nil
	})
	return s
}

func read(ctx context.Context, c *redis.Client, key string) (any, error) {
	switch kind := c.Type(ctx, key).Val(); kind {
	case "string":
		return c.Get(ctx, key).Result()
	case "hash":
		return c.HGetAll(ctx, key).Result()
	case "list":
		return c.LRange(ctx, key, 0, -1).Result()
	case "set":
		return c.SMembers(ctx, key).Result()
	default:
		return nil, errors.New("a key of type " + kind)
	}
}

func (w *world) restore(s snapshot) {
	w.Helper()
	w.flush()
	for key, value := range s {
		var err error
		switch value := value.(type) {
		case string:
			err = w.client.Set(w.ctx, key, value, 0).Err()
		case map[string]string:
			err = w.client.HSet(w.ctx, key, value).Err()
		case []string:
			all := make([]any, len(value))
			for i := range value {
				all[i] = value[i]
			}
			if strings.HasSuffix(key, "}:chunks") {
				err = w.client.SAdd(w.ctx, key, all...).Err()
			} else {
				err = w.client.RPush(w.ctx, key, all...).Err()
			}
		}
		require.NoError(w, err)
	}
}

// seeded returns a source of randomness, and prints its seed in case the test fails.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
