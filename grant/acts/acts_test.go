package acts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing is a ledger whose calls fail from a certain one on, as those of a process that is killed.
type failing struct {
	*ledger.Acts
	left int // calls; below zero: all
}

var errKilled = errors.New("killed")

func (f *failing) Do(ctx context.Context, acts []ledger.UserAct, dry bool) ([]ledger.ActResult, error) {
	if f.left == 0 {
		return make([]ledger.ActResult, len(acts)), errKilled
	}
	if f.left > 0 { // by one at a time; without a limit, several may do things at once
		f.left--
	}
	return f.Acts.Do(ctx, acts, dry)
}

func (f *failing) EndMove(ctx context.Context, m ledger.AccountMove) error {
	if f.left == 0 {
		return errKilled
	}
	return f.Acts.EndMove(ctx, m)
}

// desk is a campaign on a Redis in the process, and somebody who does things about users.
type desk struct {
	*testing.T
	*Doer
	reader *ledger.Reader
	ledger *failing
	trail  *ledger.Coordination
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	return newDeskOf(t, grant.IDsDense)
}

func newDeskOf(t *testing.T, ids grant.IDs) *desk {
	t.Helper()
	client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	c := &grant.Campaign{Name: "sorry", Hash: "aa11", Canonical: []byte("spec"), Items: []grant.Item{
		{ID: "given", Validity: grant.Validity{Length: 90 * 24 * time.Hour}},
		{ID: "offer", Validity: grant.Validity{Taken: true}},
	}}
	if c.Input.IDs = ids; c.Input.Opaque() {
		c.Items = c.Items[:1]
	}
	store, err := ledger.Open(client, c, ledger.Config{RetryFor: time.Second})
	require.NoError(t, err)
	d := &desk{T: t, reader: ledger.NewReader(store), trail: ledger.NewCoordination(store)}
	d.ledger = &failing{ledger.NewActs(store, grant.NewRunID(time.Now())), -1}
	d.Doer = &Doer{Campaign: c, Ledger: d.ledger, Reader: d.reader, Trail: d.trail, Proposals: d.trail}
	return d
}

func (d *desk) act(kind grant.ActKind, id string) grant.Act {
	return grant.Act{ID: id, Kind: kind, Who: "mira", Via: "cli", Reason: "ticket 7", Revocation: grant.RevokedFraud}
}

func (d *desk) run(act grant.Act, rows ...Row) *Report {
	d.Helper()
	r, err := d.Doer.Run(d.Context(), &Command{Act: act, Rows: rows})
	require.NoError(d, err)
	return r
}

func rows(users ...grant.UserID) (out []Row) {
	for _, user := range users {
		out = append(out, Row{User: user})
	}
	return out
}

func (d *desk) user(id grant.UserID) ledger.User {
	d.Helper()
	found, err := d.reader.Users(d.Context(), []grant.UserID{id})
	require.NoError(d, err)
	return found[0]
}

func (d *desk) proven() {
	d.Helper()
	proof, err := d.reader.Prove(d.Context())
	require.NoError(d, err)
	require.True(d, proof.Holds(), "%+v", proof.Violations)
}

// A file comes back as it was, with what became of each row; what is no ID does not keep the others from being done.
func TestAFileComesBackWithWhatBecameOfEachRow(t *testing.T) {
	d := newDesk(t)
	d.run(d.act(grant.ActHand, "1"), rows(grant.NumberID(3))...)
	f, err := ReadFile(strings.NewReader("\ufeffticket,User,Reason\r\n=1+1,7,foreign number\r\n@x,x7,\r\n,3,\r\n-2,8,\r\n"),
		new(grant.Input))
	require.NoError(t, err)
	r := d.run(d.act(grant.ActExclude, "2"), f.Rows...)
	require.Equal(t, Partial, r.Overall)
	require.Equal(t, map[Status]int{Done: 2, Invalid: 1, Refused: 1}, r.Counts)
	said, err := json.Marshal(r.Results[1])
	require.NoError(t, err)
	require.Contains(t, string(said), `{"line":3,"status":"invalid","why":`, "and not that it is user 0")
	require.NotContains(t, string(said), `"user"`)
	require.Equal(t, "user 7", r.Results[0].Whom())
	require.Equal(t, "line 3", r.Results[1].Whom())
	var out bytes.Buffer
	require.NoError(t, f.Write(&out, r.Results))
	lines := strings.Split(out.String(), "\n")
	require.Equal(t, "ticket,User,Reason,result,why", lines[0])
	require.Equal(t, "'=1+1,7,foreign number,done,", lines[1])
	require.Contains(t, lines[2], "'@x,x7,,invalid,")
	require.Contains(t, lines[3], ",3,,refused,")
	require.Contains(t, lines[3], "only revoke takes that back")
	require.Equal(t, "'-2,8,,done,", lines[4])
	require.Equal(t, "foreign number", d.user(grant.NumberID(7)).Settled.Act.Reason)
	require.Equal(t, "ticket 7", d.user(grant.NumberID(8)).Settled.Act.Reason)
	history, err := d.trail.History(t.Context())
	require.NoError(t, err)
	require.Len(t, history, 2, "a line for each command, not for each user")
	require.Equal(t, &grant.Acted{Request: "2", Kind: grant.ActExclude, Users: 4, Done: 2, Refused: 2}, history[1].Acted)
	d.proven()
}

func TestADryRunWritesNothing(t *testing.T) {
	d := newDesk(t)
	r, err := d.Doer.Run(t.Context(), &Command{Act: d.act(grant.ActExclude, "1"), Rows: rows(grant.NumberID(7)), Dry: true})
	require.NoError(t, err)
	require.Equal(t, Success, r.Overall)
	require.Equal(t, grant.PlaceNone, d.user(grant.NumberID(7)).Place)
	history, err := d.trail.History(t.Context())
	require.NoError(t, err)
	require.Empty(t, history)
}

// A command that was killed is run again: what it had done is done, and not twice.
func TestACommandThatWasKilledIsRunAgain(t *testing.T) {
	d := newDesk(t)
	users := make([]Row, 2*batch+1)
	for i := range users {
		users[i].User = grant.NumberID(uint64(i * 7))
	}
	c := &Command{Act: d.act(grant.ActNote, "file-1"), Rows: users}
	d.ledger.left = 1
	r, err := d.Doer.Run(t.Context(), c)
	require.ErrorIs(t, err, errKilled)
	require.Equal(t, Partial, r.Overall)
	require.Equal(t, batch+1, r.Counts[Untried])
	d.ledger.left = -1
	r = d.run(c.Act, users...)
	require.Equal(t, Success, r.Overall)
	require.Len(t, d.user(grant.NumberID(7)).State.Notes, 1)
	require.Len(t, d.user(grant.NumberID(14*batch)).State.Notes, 1)
	d.proven()
}

// A move that stops after each of its steps leaves it to nobody twice, is seen, and comes to its end.
func TestAMoveThatStopsHalfWayIsSeenAndContinued(t *testing.T) {
	for n := range 6 {
		steps, ids := n%3, []grant.IDs{grant.IDsDense, grant.IDsUUID}[n/3]
		d := newDeskOf(t, ids)
		from, to := grant.NumberID(5), grant.NumberID(1<<20)
		if ids == grant.IDsUUID {
			from, to = grant.TextID("6ba7b810-9dad-41d1-80b4-00c04fd430c8"), grant.TextID("0190163d-8694-739b-aea5-966c26f8ad91")
		}
		d.run(d.act(grant.ActHand, "1"), rows(from)...)
		until := d.act(grant.ActExtend, "2")
		until.Until = time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		d.run(until, rows(from)...)
		granted := d.user(from)
		target := to
		c := &Command{Act: d.act(grant.ActMove, "3"), Rows: []Row{{User: from, To: &target}}}
		d.ledger.left = steps
		_, err := d.Doer.Run(t.Context(), c)
		require.ErrorIs(t, err, errKilled, "after %d steps", steps)
		holders := 0
		for _, id := range []grant.UserID{from, to} {
			if u := d.user(id); u.Place == grant.PlaceGranted && u.State.MovedTo == nil {
				holders++
			}
		}
		require.Equal(t, []int{1, 0, 1}[steps], holders)
		proof, err := d.reader.Prove(t.Context())
		require.NoError(t, err)
		require.False(t, proof.Holds())
		require.Contains(t, proof.Violations[0].What, "the move of user "+from.String()+" to "+to.String()+
			" stopped half way: granter move --resume")
		d.ledger.left = -1
		n, err := d.Resume(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		u := d.user(to)
		require.Equal(t, granted.GrantedAt(), u.GrantedAt(), "the same dates")
		require.Equal(t, granted.State.Ends, u.State.Ends)
		require.Equal(t, to, *d.user(from).State.MovedTo)
		require.Equal(t, Success, d.run(c.Act, c.Rows...).Overall)
		d.proven()

		home := from
		require.Equal(t, Success, d.run(d.act(grant.ActMove, "4"), Row{User: to, To: &home}).Overall, "and back")
		require.Equal(t, granted.GrantedAt(), func() time.Time { u := d.user(from); return u.GrantedAt() }())
		require.Nil(t, d.user(from).State.MovedTo)
		d.proven()
	}
}

func TestAMoveIsRefusedWhereItWouldLoseSomething(t *testing.T) {
	d := newDesk(t)
	d.run(d.act(grant.ActHand, "1"), rows(grant.NumberID(1), grant.NumberID(2))...)
	d.run(d.act(grant.ActExclude, "2"), rows(grant.NumberID(3))...)
	to := func(id grant.UserID) *grant.UserID { return &id }
	r := d.run(d.act(grant.ActMove, "3"),
		Row{User: grant.NumberID(1), To: to(grant.NumberID(2))}, Row{User: grant.NumberID(1), To: to(grant.NumberID(3))},
		Row{User: grant.NumberID(1), To: to(grant.NumberID(1))}, Row{User: grant.NumberID(9), To: to(grant.NumberID(8))})
	require.Equal(t, Failed, r.Overall)
	for i, want := range []string{"is granted already", "is excluded", "the same account", "has not been granted"} {
		require.Contains(t, r.Results[i].Why, want)
	}
	require.Nil(t, d.user(grant.NumberID(1)).State.MovedTo)
	d.proven()
}

func TestWhatIsNotOfferedCannotBeRecalled(t *testing.T) {
	d := newDesk(t)
	recall := d.act(grant.ActRecall, "1")
	recall.Item = "given"
	_, err := d.Doer.Run(t.Context(), &Command{Act: recall, Rows: rows(grant.NumberID(1))})
	require.ErrorContains(t, err, `no such item "given": want one of [offer]`)
	d.run(d.act(grant.ActHand, "2"), rows(grant.NumberID(1))...)
	recall.Item = "offer"
	require.Equal(t, Success, d.run(recall, rows(grant.NumberID(1))...).Overall)
}

func TestAnAbortedCampaignGrantsNobodyByHand(t *testing.T) {
	d := newDesk(t)
	_, err := d.trail.Order(t.Context(), grant.Order{Action: grant.ActionAbort, Who: "mira", Via: "cli", Why: "wrong items"})
	require.NoError(t, err)
	_, err = d.Doer.Run(t.Context(), &Command{Act: d.act(grant.ActHand, "1"), Rows: rows(grant.NumberID(1))})
	require.ErrorIs(t, err, grant.ErrRefused)
	require.ErrorContains(t, err, "aborted")
	require.Equal(t, Success, d.run(d.act(grant.ActExclude, "2"), rows(grant.NumberID(1))...).Overall)
}

// What spreadsheets save as text is read, and what is none says what to do.
func TestAFileIsReadAsSpreadsheetsSaveIt(t *testing.T) {
	const wide = "\xff\xfeu\x00s\x00e\x00r\x00,\x00r\x00e\x00a\x00s\x00o\x00n\x00\r\x00\n\x007\x00,\x00\x80\xbd\r\x00\n\x00"
	f, err := ReadFile(strings.NewReader(wide), new(grant.Input))
	require.NoError(t, err)
	require.Equal(t, grant.NumberID(7), f.Rows[0].User)
	require.Equal(t, "부", f.Rows[0].Reason)
	require.Equal(t, 2, f.Rows[0].Line)
	_, err = ReadFile(strings.NewReader("PK\x03\x04\x14\x00"), new(grant.Input))
	require.ErrorContains(t, err, "save it as CSV (UTF-8)")
	f, err = ReadFile(strings.NewReader("user,reason\n7,\xba\xce\n"), new(grant.Input))
	require.NoError(t, err)
	require.ErrorContains(t, f.Rows[0].Err, "not UTF-8")
}
