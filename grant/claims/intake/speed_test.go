package intake_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/intake/intaketest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func BenchmarkReceive(b *testing.B) {
	s, p := storetest.Open(b)
	d := &intake.Desk{Store: s, Programme: p}
	by := intake.Channel{Name: "topic", By: store.Actor{Name: "topic claims", Duty: claims.Intake}}
	n := 0
	began := time.Now()
	for b.Loop() {
		var list []store.Filing
		for range 1000 {
			f, refused := d.ReadRecord(b.Context(), intaketest.Record(n), by)
			require.Empty(b, refused)
			list = append(list, f)
			n++
		}
		_, err := s.Receive(b.Context(), list, nil)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "claims/s")
}
