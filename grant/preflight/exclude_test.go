package preflight

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/exclusion"
)

func TestListsOfUsersToExclude(t *testing.T) {
	h := allWell(t)
	for _, r := range h.judge().Results {
		require.NotEqual(t, "campaign.exclude", r.Name, "the spec has none")
	}
	h.in.Campaign.Exclude = []grant.Exclude{{File: "out.csv"}}
	h.lists.list = &exclusion.List{}
	require.Equal(t, Warn, find(t, h.judge(), "campaign.exclude").Status, "they name nobody")
	h.lists.err = errors.New("no broker answers")
	require.Equal(t, Fail, find(t, h.judge(), "campaign.exclude").Status)
	h.lists.err = context.DeadlineExceeded
	require.Equal(t, Warn, find(t, h.judge(), "campaign.exclude").Status, "a run reads as long as it takes")
}
