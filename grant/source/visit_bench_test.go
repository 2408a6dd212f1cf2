package source

import (
	"testing"

	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// BenchmarkVisit measures what a record costs that is merely read: ns/op is for one.
func BenchmarkVisit(b *testing.B) {
	d := startDecoding(b, compress.None, grant.Input{Format: grant.FormatDecimal}, decimalID)
	defer d.end()
	b.ReportAllocs()
	for n := 0; n < b.N; n += d.count {
		_, err := d.f.visible(0, -1, func(batch *batch, next int64, _ bool) (int64, error) {
			return next, batch.visit(&d.p.inflated, "", next, 1<<62, func(int64, *Parts) error { return nil })
		})
		require.NoError(b, err)
	}
}
