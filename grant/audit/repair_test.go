package audit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/reconcile"
)

// The tests of this package repair what they planted as granter reconcile does.
var _ = func() bool {
	audit.Repair = func(t *testing.T, store *ledger.Store, in *grant.Input, report []byte) {
		t.Helper()
		work, err := reconcile.Read(report, in)
		require.NoError(t, err)
		require.True(t, work.Anything())
		acts := ledger.NewActs(store, grant.NewRunID(time.Now()))
		outcomes, err := reconcile.Do(t.Context(), acts, work, "somebody", "an audit found it", false)
		require.NoError(t, err)
		for _, o := range outcomes {
			require.NotEqual(t, reconcile.Refused, o.Result, o.Why)
		}
	}
	return true
}()
