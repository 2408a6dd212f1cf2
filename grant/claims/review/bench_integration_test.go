//go:build integration

package review

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// BenchmarkReviewers has twenty reviewers read claims at once, each on its page. A page adds a line to the access log before it
// is shown, and a line survives a power failure.
func BenchmarkReviewers(b *testing.B) {
	const reviewers, n = 20, 200
	server := devtest.StartPostgres(b, "fsync=on")
	s, p := storetest.At(b, server.URL)
	storetest.Receive(b, s, p, n, 310_000)
	desk := &Desk{Store: s, Programme: p, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	mux := http.NewServeMux()
	for pattern, serve := range desk.Routes() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			serve(w, r, Staff{Name: r.Header.Get("From"), Duties: kim.Duties, From: "192.0.2.1"})
		})
	}
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	var group sync.WaitGroup
	for i := range reviewers {
		group.Go(func() {
			for {
				k := int(next.Add(1)) - 1
				if k >= b.N {
					return
				}
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, fmt.Sprintf("/claims/c-%06d", k%n), nil)
				r.Header.Set("From", fmt.Sprint("reviewer ", i))
				w := httptest.NewRecorder()
				began := time.Now()
				mux.ServeHTTP(w, r)
				took[k] = time.Since(began)
				if w.Code != http.StatusOK {
					b.Error(w.Code, w.Body.String())
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pages/s")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
	proof, err := s.Prove(b.Context(), nil)
	if err != nil || len(proof.Wrong) > 0 || proof.Reads < b.N {
		b.Fatal(err, proof)
	}
}
