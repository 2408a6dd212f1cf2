package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
)

// kept is a campaign whose ledger is repaired, copied and made again by commands that are killed: on servers in this process, or
// on real ones.
type kept struct {
	*testing.T
	name    string // of campaign and topic
	brokers []string
	env     []string
	calls   func() int // how many Redis has had, but those of the test
	most    int        // a command is killed after so many at the latest
	rounds  int        // of kills of each command
	ids     grant.IDs  // dense where it is empty

	asked  *asked
	client *redis.Client
	rand   *rand.Rand
	dir    string
}

const keptSpec = `campaign: %[1]s
title: Anything
starts_at: 2023-01-05T00:00:00+09:00
population: 1000000
source: {topic: %[1]s, id: %[2]s, max_rejected: 100%%}
items: [{id: thing, kind: item, validity: permanent}]
`

func startKept(t *testing.T) *kept {
	t.Helper()
	servers, err := startInProcess()
	require.NoError(t, err)
	t.Cleanup(servers.close)
	k := &kept{T: t, name: "kept", brokers: servers.kafka.ListenAddrs(), env: servers.environment(), most: 240, rounds: 1}
	k.calls = servers.redis.CommandCount
	return k.open(servers.redis.Addr())
}

func (k *kept) open(addr string) *kept {
	k.Helper()
	seed := rand.Uint64()
	if repeated, err := strconv.ParseUint(os.Getenv("GRANTER_SEED"), 10, 64); err == nil {
		seed = repeated
	}
	k.Logf("GRANTER_SEED=%d", seed)
	k.dir, k.rand = k.TempDir(), rand.New(rand.NewPCG(seed, 1))
	k.client = redis.NewClient(&redis.Options{Addr: addr})
	k.Cleanup(func() { _ = k.client.Close() })
	k.asked = mustEndWithAnAudit(k.T)
	k.client.AddHook(k.asked)
	k.specify()
	return k
}

// specify writes the spec.
func (k *kept) specify() {
	k.Helper()
	ids := cmp.Or(k.ids, grant.IDsDense)
	require.NoError(k, os.WriteFile(k.file("spec.yaml"), fmt.Appendf(nil, keptSpec, k.name, ids), 0o600))
}

func (k *kept) file(name string) string { return filepath.Join(k.dir, name) }

// line is a command about the campaign; an import is about a file, which says what it is of.
func (k *kept) line(name string, args ...string) command {
	words := strings.Fields(name)
	if name != "import" {
		words = append(words, "-f", k.file("spec.yaml"))
	}
	return command{env: k.env, args: append(words, args...), of: k.asked}
}

// ends runs a command, which must end so, and returns what it says.
func (k *kept) ends(code int, name string, args ...string) string {
	k.Helper()
	p := granter(k.T, k.line(name, args...))
	require.Equal(k, code, p.wait(), "%s: %s%s", name, p.out.String(), p.err.String())
	return p.out.String() + p.err.String()
}

// prints is the answer of a command, which must end so.
func (k *kept) prints(code int, name string, args ...string) string {
	k.Helper()
	p := granter(k.T, k.line(name, args...))
	require.Equal(k, code, p.wait(), "%s: %s%s", name, p.out.String(), p.err.String())
	return p.out.String()
}

// does a command, which must succeed, and reads its answer if it is to be read.
func (k *kept) does(answer any, name string, args ...string) {
	k.Helper()
	p := granter(k.T, k.line(name, args...))
	require.Zero(k, p.wait(), "%s: %s", name, p.err.String())
	if answer != nil {
		require.NoError(k, json.Unmarshal([]byte(p.out.String()), answer))
	}
}

// load publishes users.
func (k *kept) load(users []string) {
	k.Helper()
	k.asked.note("users were published")
	load := k.line("load", "--ids", "-", "--partitions", "2")
	load.stdin = strings.Join(users, "\n") + "\n"
	p := granter(k.T, load)
	require.Zero(k, p.wait(), p.err.String())
}

// put publishes values of any kind.
func (k *kept) put(values []string) {
	k.Helper()
	k.asked.note("records were published")
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{
		Addr: kafka.TCP(k.brokers...), Topic: k.name, BatchTimeout: time.Millisecond, Transport: transport,
		RequiredAcks: kafka.RequireAll, // by default it waits for none
	}
	defer w.Close()
	list := make([]kafka.Message, len(values))
	for i, v := range values {
		list[i].Value = []byte(v)
	}
	require.NoError(k, w.WriteMessages(k.Context(), list...))
}

// through kills a command again and again, each time after it has asked Redis so much, and then lets it end.
func (k *kept) through(name string, args ...string) {
	k.Helper()
	var killed []int
	for round := range 4 * k.rounds {
		calls := 1 + k.rand.IntN(k.most>>(3-round%4))
		before := k.calls()
		p := start(k.T, k.line(name, args...))
		for p.running() && k.calls() < before+calls {
			select {
			case <-p.ended:
			case <-time.After(100 * time.Microsecond):
			}
		}
		p.kill()
		if p.cmd.ProcessState.ExitCode() < 0 {
			killed = append(killed, calls)
		}
	}
	k.Logf("granter %s was killed after these calls: %v", name, killed)
	require.NotEmpty(k, killed, "granter %s was over before each kill", name)
	p := granter(k.T, k.line(name, args...))
	if code := p.wait(); name != "rebuild" || !strings.Contains(p.err.String(), "not empty") { // it was over before it was killed
		require.Zero(k, code, "%s: %s", name, p.err.String())
	}
}

// proven requires that an audit proves.
func (k *kept) proven() (r audit.Report) {
	k.Helper()
	k.does(&r, "audit", "--complete", "--json")
	require.Equal(k, audit.Proven, r.Verdict)
	k.asked.audited()
	return r
}

// Whoever repairs, copies or makes a ledger again is killed in the middle, and does it again: it is done once, and counted once.
func TestWhoKeepsALedgerIsKilled(t *testing.T) {
	t.Run("dense", func(t *testing.T) { startKept(t).throughKills(2400) })
	t.Run("uuid", func(t *testing.T) {
		k := startKept(t)
		k.ids = grant.IDsUUID
		k.specify()
		k.throughKills(600)
	})
}

const keptChunks = 12

// user is the i-th user: numbers are in so many chunks.
func (k *kept) user(i int) string {
	if k.ids == grant.IDsUUID {
		return fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", i)
	}
	return strconv.Itoa((i%keptChunks+1)<<16 + i)
}

// throughKills grants so many users, and as many records again that are rejected at first.
func (k *kept) throughKills(users int) {
	k.Helper()
	letters := users / 2 * 2 // each user twice, and a fifth of them were granted before
	before := users / 10
	var valid, broken []string
	for i := range users {
		valid = append(valid, k.user(i))
	}
	for i := range letters {
		broken = append(broken, "u"+k.user(users-before+i/2))
	}
	fresh := int64(letters/2 - before)
	k.load(valid)
	k.put(broken)
	k.does(nil, "run")

	journals, err := k.client.Keys(k.Context(), "granter:{"+k.name+"/*}:journal").Result()
	require.NoError(k, err)
	slices.Sort(journals)
	for _, journal := range journals[:len(journals)/2] {
		prefix := strings.TrimSuffix(journal, "journal")
		require.NoError(k, k.client.Del(k.Context(), prefix+"granted", journal, prefix+"calls").Err())
	}
	var r audit.Report
	require.NoError(k, json.Unmarshal([]byte(k.prints(exitRefuted, "audit", "--json", "--ids", k.file("found.csv"))), &r))
	gone := int64(users) - r.Ledger.Granted
	require.InDelta(k, users/2, gone, float64(users)/10)
	k.through("reconcile", "--why=a test", k.file("found.csv"))
	r = k.proven()
	require.Equal(k, gone, r.Ledger.ByHand)
	require.EqualValues(k, users, r.Ledger.Granted)

	k.through("rejected replay", "--command=tr -d u", "--why=a test")
	r = k.proven()
	require.Equal(k, fresh, r.Ledger.ByReplay)
	require.Equal(k, int64(users)+fresh, r.Ledger.Granted)
	var status Status
	k.does(&status, "status", "--json")
	require.Equal(k, fresh, status.Replays.Granted, "each is counted once")
	require.Equal(k, int64(letters)-fresh, status.Replays.Duplicate)

	ledger := k.file("campaign.ledger")
	k.through("export", "--why=a test", ledger)
	var was, now exported
	k.does(&was, "digest", "--json")
	file := granter(k.T, command{args: []string{"digest", "--json", ledger}})
	require.Zero(k, file.wait(), file.err.String())
	require.Contains(k, file.out.String(), was.End.Ledger)
	for name, from := range map[string]string{"import": ledger, "rebuild": "--from=" + ledger} {
		require.NoError(k, k.client.FlushAll(k.Context()).Err())
		k.through(name, "--why=a test", from)
		k.does(&now, "digest", "--json")
		require.Equal(k, was.End.Users, now.End.Users)
		require.Equal(k, was.End.Ledger, now.End.Ledger, "acts and entries, too")
		k.marked(name == "rebuild", false)
		require.Equal(k, was.End.Granted, k.proven().Ledger.Granted)
	}

	require.NoError(k, k.client.FlushAll(k.Context()).Err())
	k.through("rebuild", "--why=a test")
	k.marked(true, true)
	require.EqualValues(k, users, k.proven().Ledger.ByRun, "of the topic alone")
}

// marked checks that the ledger says how often it was made again, once at most, and of what.
func (k *kept) marked(rebuilt, alone bool) {
	k.Helper()
	var status Status
	k.does(&status, "status", "--json")
	if !rebuilt {
		require.Empty(k, status.Rebuilt)
		return
	}
	require.Len(k, status.Rebuilt, 1)
	require.NotNil(k, status.Rebuilt[0].Done, "it came to its end")
	require.Equal(k, alone, status.Rebuilt[0].Export == nil)
}
