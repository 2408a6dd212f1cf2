// Package ledgertest is what every ledger promises to a run, as tests: the one in Redis passes them, and so does each
// stand-in for it, except for what it says that it does not promise.
package ledgertest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/dense/densetest"
)

// Ledger is a ledger as one run sees it.
type Ledger interface {
	dense.Sink
	EnsureSpec(ctx context.Context, c *grant.Campaign) error
	NotBefore(at time.Time)
	Begin(ctx context.Context, topic grant.TopicID) (grant.Checkpoint, error)
	BeginAnew(ctx context.Context, topic grant.TopicID, lost *grant.TruncatedError) error
	Checkpoint(ctx context.Context, next grant.Offsets, epochs map[int]int32) error
	Checkpoints(ctx context.Context) (grant.Checkpoint, error)
	SaveRun(ctx context.Context, r grant.RunRecord) error
}

// Subject is a ledger under test. Nobody is granted in it yet.
type Subject struct {
	Join    func(run grant.RunID, c *grant.Campaign) Ledger // adds a run
	Granted func() []uint64                                 // the IDs of who is granted, in any order
	Lose    func()                                          // loses all that was written
	Now     func() time.Time                                // the ledger's clock
	// Without has the promises that the subject does not make, and why.
	Without map[Promise]string
}

// Promise is one thing that a run relies on.
type Promise string

// The promises.
const (
	GrantsOnce       Promise = "grants each user once, whichever run hands it in"
	GrantsInShards   Promise = "grants what several shards hand in at once"
	KeepsTheSpec     Promise = "refuses another spec once somebody is granted"
	KeepsTheStart    Promise = "grants nobody before the start, and the same flush from then on"
	KeepsTheEnd      Promise = "grants nobody from the end on"
	KeepsCheckpoints Promise = "keeps the highest checkpoint, for every run"
	KeepsEpochs      Promise = "keeps leader epochs"
	KeepsTopics      Promise = "refuses another topic's checkpoint"
	BeginsAnew       Promise = "begins anew behind a lost tail"
	NoticesLoss      Promise = "notices at a flush, and at a checkpoint, that it lost what it had acknowledged"
	ForgetsTheLost   Promise = "grants again what it lost, in a new session"
	Ends             Promise = "returns when the context is cancelled, and grants nobody"
)

var promises = []struct {
	promise Promise
	keeps   func(*subject)
}{
	{GrantsOnce, grantsOnce},
	{GrantsInShards, grantsInShards},
	{KeepsTheSpec, keepsTheSpec},
	{KeepsTheStart, keepsTheStart},
	{KeepsTheEnd, keepsTheEnd},
	{KeepsCheckpoints, keepsCheckpoints},
	{KeepsEpochs, keepsEpochs},
	{KeepsTopics, keepsTopics},
	{BeginsAnew, beginsAnew},
	{NoticesLoss, noticesLoss},
	{ForgetsTheLost, forgetsTheLost},
	{Ends, ends},
}

// Run tests every promise on a subject of its own. A promise that is not made must say so.
func Run(t *testing.T, fresh func(t *testing.T) Subject) {
	t.Helper()
	for _, p := range promises {
		t.Run(string(p.promise), func(t *testing.T) {
			s := subject{T: t, Subject: fresh(t)}
			if why, without := s.Without[p.promise]; without {
				require.NotEmpty(t, why)
				t.Logf("not promised: %s", why)
				return
			}
			p.keeps(&s)
		})
	}
}

type subject struct {
	*testing.T
	Subject
	runs grant.RunID
}

// aTopic and its successor of the same name.
var (
	aTopic     = grant.TopicID{Cluster: "a-cluster", Topic: [16]byte{1, 2, 3}}
	otherTopic = grant.TopicID{Cluster: "a-cluster", Topic: [16]byte{9}}
)

func aCampaign() *grant.Campaign {
	return &grant.Campaign{Name: "sorry-2022", Hash: "aa11", Canonical: []byte("spec: one\n")}
}

// member is a run that has begun.
type member struct {
	Ledger
	s       *subject
	flushes *densetest.Flushes
}

func (s *subject) join() *member { s.Helper(); return s.joinAs(aCampaign()) }

func (s *subject) joinAs(c *grant.Campaign) *member {
	s.Helper()
	s.runs++
	m := &member{Ledger: s.Join(s.runs, c), s: s}
	require.NoError(s, m.EnsureSpec(s.Context(), c))
	m.begin()
	return m
}

// begin begins a session, with a new pool, and returns where it starts.
func (m *member) begin() grant.Offsets {
	m.s.Helper()
	found, err := m.Begin(m.s.Context(), aTopic)
	require.NoError(m.s, err)
	m.flushes = new(densetest.Flushes)
	return found.Next
}

// grants hands in IDs in one shard, of which some had been granted before.
func (m *member) grants(ids []uint64, before ...uint64) {
	m.s.Helper()
	f := m.flushes.Next(1, ids...)
	require.NoError(m.s, m.Grant(m.s.Context(), f))
	densetest.Tells(m.s, f, ids, before)
}

func (s *subject) holds(ids ...uint64) {
	s.Helper()
	require.ElementsMatch(s, ids, s.Granted())
}
