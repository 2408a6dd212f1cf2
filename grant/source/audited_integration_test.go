//go:build integration

package source_test

import (
	"slices"
	"testing"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/audit/audittest"
	"github.com/granter/granter/grant/source"
)

// The tests of this package end with a run and an audit, whose packages import this one.
var _ = func() bool {
	source.Audited = func(t *testing.T, brokers []string, topic string) (func(func()), func() (string, []string)) {
		t.Helper()
		w := audittest.New(t, brokers, []string{devtest.StartRedis(t).Addr}, audittest.Spec(topic))
		return func(during func()) { t.Helper(); w.Run(during) }, func() (string, []string) {
			t.Helper()
			r := w.Audit()
			var kinds []string
			for i := range r.Findings {
				kinds = append(kinds, string(r.Findings[i].Kind))
			}
			slices.Sort(kinds)
			return string(r.Verdict), slices.Compact(kinds)
		}
	}
	return true
}()
