package ledger

import (
	"context"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// A spec may be corrected as long as nobody is granted. What was read under the old one, and rejected perhaps, must be
// read again.
func TestACorrectedSpecStartsFromTheBeginning(t *testing.T) {
	ctx := context.Background()
	client, err := Connect(Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	defer client.Close()
	checkpoints := map[string]map[int]int64{}
	for run, hash := range []string{"wrong", "right", "wrong"} {
		l, err := New(client, &grant.Campaign{Name: "c", Hash: hash, Canonical: []byte(hash)}, grant.RunID(run+1), Config{})
		require.NoError(t, err)
		require.NoError(t, l.EnsureSpec(ctx, l.campaign))
		checkpoints[hash], err = l.Begin(ctx)
		require.NoError(t, err)
		require.NoError(t, l.Checkpoint(ctx, map[int]int64{0: 900}))
	}
	require.Empty(t, checkpoints["right"])
	require.Equal(t, map[int]int64{0: 900}, checkpoints["wrong"], "of the third run")
}
