package exclusion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listed is a campaign with a list in a file, on a Redis in the process.
type listed struct {
	*testing.T
	campaign *grant.Campaign
	store    *ledger.Store
	notes    *ledger.Coordination
	reader   *ledger.Reader
	acts     *ledger.Acts
	path     string
}

func newListed(t *testing.T, rows ...string) *listed {
	t.Helper()
	l := newListedOf(t, grant.IDsDense)
	l.write(rows...)
	return l
}

func newListedOf(t *testing.T, ids grant.IDs) *listed {
	t.Helper()
	client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	l := &listed{T: t, path: filepath.Join(t.TempDir(), "out.csv"), campaign: &grant.Campaign{
		Name: "sorry", Hash: strings.Repeat("a1", 32), Canonical: []byte("spec"),
		Exclude: []grant.Exclude{{File: "out.csv", Reason: "listed"}}, Input: grant.Input{IDs: ids}, Population: 1000,
	}}
	l.store, err = ledger.Open(client, l.campaign, ledger.Config{RetryFor: time.Second})
	require.NoError(t, err)
	l.notes, l.reader = ledger.NewCoordination(l.store), ledger.NewReader(l.store)
	l.acts = ledger.NewActs(l.store, grant.NewRunID(time.Now()))
	return l
}

func (l *listed) write(rows ...string) {
	l.Helper()
	require.NoError(l, os.WriteFile(l.path, []byte(strings.Join(rows, "\n")+"\n"), 0o600))
}

// replica is one of those who settle the lists; after so many calls it is killed, below zero: never.
type replica struct {
	*ledger.Reader
	*ledger.Acts
	calls int
}

var errKilled = errors.New("killed")

func (r *replica) Do(ctx context.Context, acts []ledger.UserAct, dry bool) ([]ledger.ActResult, error) {
	if r.calls == 0 {
		half := len(acts) / 2
		if _, err := r.Acts.Do(ctx, acts[:half], dry); err != nil {
			return nil, err
		}
		return nil, errKilled
	}
	r.calls--
	return r.Acts.Do(ctx, acts, dry)
}

func (l *listed) replica(calls int) *Settler {
	return &Settler{
		Lists: &Reader{Campaign: l.campaign, Folder: filepath.Dir(l.path)}, Notes: l.notes, Run: 7,
		Log:    slog.New(slog.DiscardHandler),
		Ledger: &replica{l.reader, ledger.NewActs(l.store, grant.NewRunID(time.Now())), calls},
	}
}

func (l *listed) settle() Outcome {
	l.Helper()
	o, err := l.replica(-1).Settle(l.Context())
	require.NoError(l, err)
	return o
}

// grants gives users the campaign as a run does, and returns who was withheld.
func (l *listed) grants(users ...uint64) (withheld []uint64) {
	l.Helper()
	g := ledger.NewGrants(l.store, grant.NewRunID(time.Now()))
	require.NoError(l, g.EnsureSpec(l.Context(), l.campaign))
	_, err := g.Begin(l.Context(), grant.TopicID{})
	require.NoError(l, err)
	for i, user := range users {
		chunk, low := dense.Split(user)
		members := new(dense.Bitmap)
		members.Set(low)
		f := &dense.Flush{Seq: uint64(i + 1), Deltas: []dense.Delta{{Chunk: chunk, Members: members, Count: 1}}}
		require.NoError(l, g.Grant(l.Context(), f))
		if f.Deltas[0].Withheld != nil {
			withheld = append(withheld, user)
		}
	}
	return withheld
}

func (l *listed) act(kind grant.ActKind, user uint64) error {
	l.Helper()
	return l.actOn(kind, grant.NumberID(user))
}

func (l *listed) actOn(kind grant.ActKind, user grant.UserID) error {
	l.Helper()
	results, err := l.acts.Do(l.Context(), []ledger.UserAct{{User: user, Act: grant.Act{
		ID: fmt.Sprint(kind, user), Kind: kind, Who: "mira", Via: "cli", Reason: "ticket 7",
	}}}, false)
	return errors.Join(err, results[0].Err)
}

func (l *listed) proven() {
	l.Helper()
	proof, err := l.reader.Prove(l.Context())
	require.NoError(l, err)
	require.True(l, proof.Holds(), "%+v", proof.Violations)
}

func TestWhoIsListedIsExcludedBeforeAnybodyIsGranted(t *testing.T) {
	l := newListed(t, "user,reason", "5,foreign phone", "70000,", "5,another", "9000000,bot")
	require.Equal(t, Outcome{Listed: 3, Excluded: 3}, l.settle())
	require.Equal(t, []uint64{5, 70000}, l.grants(4, 5, 6, 70000))
	for user, reason := range map[uint64]string{5: "foreign phone", 70000: "listed", 9000000: "bot"} {
		found, err := l.reader.Users(t.Context(), grant.NumberIDs(user))
		require.NoError(t, err)
		require.Equal(t, grant.PlaceExcluded, found[0].Place)
		require.Equal(t, reason, found[0].Settled.Act.Reason)
		require.Equal(t, Who, found[0].Settled.Act.Who)
	}
	require.Equal(t, Outcome{Listed: 3, Before: 3}, l.settle(), "a second start finds it done")
	totals, err := l.reader.Totals(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, totals.Granted)
	require.EqualValues(t, 3, totals.Excluded)
	require.EqualValues(t, 3, totals.Listed.Users)
	history, err := l.notes.History(t.Context())
	require.NoError(t, err)
	require.Len(t, history, 1, "one line: the second start did nothing")
	require.Equal(t, 3, history[0].Acted.Done)
	l.proven()
}

// The list changes while the campaign runs: who was granted already is told, and never passed over in silence.
func TestAListThatChanges(t *testing.T) {
	l := newListed(t, "5", "6")
	l.settle()
	l.grants(7, 8)
	require.NoError(t, l.act(grant.ActReinstate, 6))
	l.write("6", "7", "9") // 5 is gone, 7 has been granted, 9 is new
	require.Equal(t, Outcome{Listed: 3, Excluded: 1, Granted: 1, Let: 1}, l.settle())
	require.Equal(t, []uint64{5, 9}, l.grants(5, 9, 10), "who is no longer listed stays excluded")
	totals, err := l.reader.Totals(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, totals.Listed.Granted)
	history, err := l.notes.History(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, history[len(history)-1].Acted.Refused)
	before := len(history)
	l.settle()
	history, err = l.notes.History(t.Context())
	require.NoError(t, err)
	require.Len(t, history, before, "what is known is not written again")
	l.proven()
}

// One replica dies in the middle of the list; another one, at the same time, grants nobody on it all the same.
func TestAReplicaThatIsKilledLeavesNobodyOut(t *testing.T) {
	rows := make([]string, 3000)
	for i := range rows {
		rows[i] = fmt.Sprint(i * 100)
	}
	l := newListed(t, rows...)
	_, err := l.replica(0).Settle(t.Context())
	require.ErrorIs(t, err, errKilled)
	listed, err := l.notes.Listed(t.Context())
	require.NoError(t, err)
	require.Nil(t, listed, "nobody says that it is done")
	var both errgroup.Group
	outcomes := make([]Outcome, 2)
	for i := range outcomes {
		both.Go(func() (err error) {
			outcomes[i], err = l.replica(-1).Settle(t.Context())
			return err
		})
	}
	require.NoError(t, both.Wait())
	require.EqualValues(t, len(rows)/2, outcomes[0].Excluded+outcomes[1].Excluded, "by one of them each")
	totals, err := l.reader.Totals(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(rows), totals.Excluded)
	l.proven()
}

func TestAListThatCannotBeReadIsRefusedWithEveryProblem(t *testing.T) {
	l := newListed(t, "user,reason", "x7,", "5,", `"6","two`, `lines"`, "99999999999999999999,")
	l.campaign.Exclude = append(l.campaign.Exclude,
		grant.Exclude{File: "none.csv"}, grant.Exclude{File: "bare.csv"}, grant.Exclude{File: "empty.csv"})
	for name, text := range map[string]string{"bare.csv": "8\n", "empty.csv": "user,reason\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(l.path), name), []byte(text), 0o600))
	}
	_, err := l.replica(-1).Settle(t.Context())
	require.True(t, Unreadable(err))
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 5)
	for i, want := range []string{
		"out.csv:2: ", "out.csv:6: ", "none.csv: no such file", "bare.csv:1: the user has no reason",
		"empty.csv: the file names no user",
	} {
		require.Contains(t, lines[i], want)
	}
	totals, err := l.reader.Totals(t.Context())
	require.NoError(t, err)
	require.Zero(t, totals.Excluded, "nothing of it is used")

	many := slices.Repeat([]string{"x"}, 50)
	l.campaign.Exclude = l.campaign.Exclude[:1]
	l.write(many...)
	_, err = l.replica(-1).Settle(t.Context())
	require.ErrorContains(t, err, "and 30 more lines that cannot be read")
}

// Whoever grants by hand before the lists were read might grant somebody on them.
func TestNobodyIsGrantedByHandBeforeTheListsAreRead(t *testing.T) {
	l := newListed(t, "5")
	err := l.act(grant.ActHand, 5)
	require.ErrorIs(t, err, grant.ErrRefused)
	require.ErrorContains(t, err, "granter exclude -f SPEC --listed")
	l.settle()
	require.ErrorContains(t, l.act(grant.ActHand, 5), "the user is excluded")
	require.NoError(t, l.act(grant.ActHand, 6))
}
