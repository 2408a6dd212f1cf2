package prometheus_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/prometheus"
)

// Quicker rules are the shipped ones but for their times: each is in this list, so that whoever writes a new one thinks of it.
func TestQuickerRulesDifferInNothingButTime(t *testing.T) {
	shipped := rules(t)
	quick, err := prometheus.Parse(prometheus.Scale{Factor: 6, Interval: time.Second, Shortest: 5 * time.Second}.Rules())
	require.NoError(t, err)
	require.Len(t, quick, len(shipped))

	waits := map[string]string{
		"": "", "15s": "5000ms", "30s": "5000ms", "1m": "10000ms", "2m": "20000ms", "5m": "50000ms", "10m": "100000ms", "15m": "150000ms",
		"30m": "300000ms", "1h": "600000ms",
	}
	number := regexp.MustCompile(`\[\w+\]|[<>]=? [0-9.]+`)
	times := map[string]string{
		"[1m]": "[10000ms]", "[5m]": "[50000ms]", "[10m]": "[100000ms]", "[15m]": "[150000ms]",
		"[1h]": "[600000ms]", "> 600": "> 100", "> 3600": "> 600",
		"> 60": "> 10", "> 120": "> 20", "> 900": "> 150", "< 900": "< 150", "< 3600": "< 600",
	}
	same := []string{
		"> 0", ">= 0", "> 1", "< 1", "> 0.01", "< 0.1", "> 0.1", "> 0.5", "> 0.9", "> 0.001", "> 2.5", ">= 100", // counts, shares, rates
		"> 3",  // intervals of an auditor
		"> 14", // days of a council
		"> 15", // granter_kafka_silent_seconds: it is asked every two seconds
	}
	for i := range shipped {
		want, got := shipped[i], quick[i]
		require.Contains(t, waits, want.For, want.Name())
		require.Equal(t, waits[want.For], got.For, want.Name())
		require.Equal(t, waits[want.KeepFiringFor], got.KeepFiringFor, want.Name())
		expr := number.ReplaceAllStringFunc(want.Expr, func(n string) string {
			if quicker, ok := times[n]; ok {
				return quicker
			}
			require.Contains(t, same, n, "%s: is it a time?", want.Name())
			return n
		})
		require.Equal(t, expr, got.Expr, want.Name())
		want.Expr, want.For, want.KeepFiringFor = got.Expr, got.For, got.KeepFiringFor
		require.Equal(t, want, got)
	}
}
