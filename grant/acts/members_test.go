package acts

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// A file of UUIDs is read in all their spellings, comes back with what became of each row, and two people decide about it as
// about any other.
func TestAFileOfUUIDsIsDoneAndDecided(t *testing.T) {
	const one, other, third = "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "00000000-0000-4000-8000-000000000001",
		"0190163d-8694-739b-aea5-966c26f8ad91"
	d := newDeskOf(t, grant.IDsUUID)
	d.run(d.act(grant.ActHand, "1"), rows(grant.TextID(one))...)
	f, err := ReadFile(strings.NewReader("user\n{"+strings.ToUpper(one)+"}\n"+other+"\n7\n"+third+"\n"), &d.Campaign.Input)
	require.NoError(t, err)
	r := d.run(d.act(grant.ActExclude, "2"), f.Rows...)
	require.Equal(t, map[Status]int{Done: 2, Invalid: 1, Refused: 1}, r.Counts)
	var out bytes.Buffer
	require.NoError(t, f.Write(&out, r.Results))
	require.Contains(t, out.String(), "only revoke takes that back")
	require.Contains(t, out.String(), "7,invalid,")
	require.Contains(t, out.String(), "want a UUID")

	c := &Command{Act: d.act(grant.ActReinstate, "3"), Rows: rows(grant.TextID(other), grant.TextID(third)), Propose: true}
	r, err = d.Doer.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, Proposed, r.Overall)
	require.Equal(t, grant.PlaceExcluded, d.user(grant.TextID(other)).Place)
	p, r, err := d.Decide(t.Context(), "3", grant.Decision{Approve: true, Who: "joe", Via: "cli", Why: "it was wrong"})
	require.NoError(t, err)
	require.Equal(t, grant.ProposalDone, p.State)
	require.Equal(t, Success, r.Overall)
	require.Equal(t, grant.PlaceGranted, d.user(grant.TextID(other)).Place)

	erase := d.act(grant.ActErase, "4")
	r = d.run(erase, rows(grant.TextID(other))...)
	require.Equal(t, Success, r.Overall)
	require.NotNil(t, d.user(grant.TextID(other)).State.Erased)
	require.NotNil(t, r.Erased)
	d.proven()
}
