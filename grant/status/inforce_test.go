package status

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
)

// specs is a ledger with a spec in it.
type specs struct {
	stored  *ledger.StoredSpec
	granted int64
	err     error
}

func (s specs) Totals(context.Context) (ledger.Totals, error) {
	return ledger.Totals{Granted: s.granted}, nil
}

func (s specs) SpecKey() string { return "granter:{sorry-2022}:spec" }

func (s specs) Spec(context.Context) (ledger.StoredSpec, bool, error) {
	if s.stored == nil {
		return ledger.StoredSpec{}, false, s.err
	}
	return *s.stored, true, s.err
}

const specText = `campaign: sorry-2022
title: Sorry
starts_at: 2022-11-05T09:00:00+09:00
source: {topic: users}
items:
  - {id: cheer-up, kind: emoticon, validity: 90d}
`

func parsed(t *testing.T, old, changed string) *grant.Campaign {
	t.Helper()
	c, err := campaign.Parse("spec.yaml", []byte(strings.Replace(specText, old, changed, 1)))
	require.NoError(t, err)
	return c
}

func answered(t *testing.T, s specs, file *grant.Campaign) (*grant.Campaign, *Differs, error) {
	t.Helper()
	return InForce(t.Context(), s, s, file)
}

func storedAs(c *grant.Campaign) *ledger.StoredSpec {
	return &ledger.StoredSpec{Hash: c.Hash, Canonical: c.Canonical, StoredAt: now}
}

func TestUsersAreAnsweredAboutByTheLedgersSpec(t *testing.T) {
	file, granted := parsed(t, "90d", "30d"), parsed(t, "", "")
	for name, c := range map[string]struct {
		specs
		validity time.Duration
		differs  *Differs
	}{
		"nothing is stored":                 {validity: 30 * 24 * time.Hour},
		"the same":                          {specs: specs{stored: storedAs(file), granted: 1}, validity: 30 * 24 * time.Hour},
		"another, which has granted nobody": {specs: specs{stored: storedAs(granted)}, validity: 30 * 24 * time.Hour},
		"another": {
			specs: specs{stored: storedAs(granted), granted: 1}, validity: 90 * 24 * time.Hour,
			differs: &Differs{File: file.Hash, Ledger: granted.Hash, Fields: campaign.Diff(granted.Canonical, file.Canonical)},
		},
	} {
		got, differs, err := answered(t, c.specs, file)
		require.NoError(t, err, name)
		require.Equal(t, c.validity, got.Items[0].Validity.Length, name)
		require.Equal(t, c.differs, differs, name)
		require.Equal(t, file.StartsAt, got.StartsAt, "in the zone of the file")
	}
	_, differs, err := answered(t, specs{stored: storedAs(granted), granted: 1}, file)
	require.NoError(t, err)
	require.Contains(t, differs.String(), file.Hash[:12])
	require.Contains(t, differs.String(), granted.Hash[:12])
	require.Contains(t, differs.Fields, "validity: stored 90d, given 30d")
}

func TestASpecThatCannotBeReadIsAnErrorThatNamesItsKey(t *testing.T) {
	file, granted, other := parsed(t, "90d", "30d"), parsed(t, "", ""), parsed(t, "sorry-2022", "sorry-2023")
	for name, stored := range map[string]*ledger.StoredSpec{
		"garbage":                        {Hash: granted.Hash, Canonical: []byte("\x00garbage")},
		"nothing":                        {Hash: granted.Hash},
		"a spec that its hash is not of": {Hash: granted.Hash, Canonical: parsed(t, "90d", "60d").Canonical},
		"another campaign":               storedAs(other),
	} {
		_, _, err := answered(t, specs{stored: stored, granted: 1}, file)
		require.ErrorIs(t, err, ledger.ErrInconsistent, name)
		require.ErrorContains(t, err, "granter:{sorry-2022}:spec", name)
	}
	_, _, err := answered(t, specs{err: errors.New("WRONGTYPE")}, file)
	require.ErrorContains(t, err, "granter:{sorry-2022}:spec")
}

// The canonical spec has instants; a zone that it names is the campaign's, whatever the reader's file or the index says.
func TestAStoredSpecThatNamesItsZoneKeepsIt(t *testing.T) {
	stored := parsed(t, "source", "zone: Asia/Seoul\nsource")
	c, err := ParseStored("key", storedAs(stored), stored.Name, time.UTC)
	require.NoError(t, err)
	require.Equal(t, "Asia/Seoul", c.StartsAt.Location().String())
	require.Equal(t, 9, c.StartsAt.Hour())

	stored = parsed(t, "source", "source")
	c, err = ParseStored("key", storedAs(stored), stored.Name, time.UTC)
	require.NoError(t, err)
	require.Equal(t, time.UTC, c.StartsAt.Location())
}
