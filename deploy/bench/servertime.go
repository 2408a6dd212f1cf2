package main

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// bucket is how many observations were at most so many seconds.
type bucket struct{ most, count float64 }

// bucketsOf returns the buckets of a histogram that a server shows among its metrics, of all labels together.
func bucketsOf(url, name string) ([]bucket, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		return nil, err
	}
	family := families[name]
	if family.GetType() != dto.MetricType_HISTOGRAM {
		return nil, fmt.Errorf("%s has no histogram %s", url, name)
	}
	sums := map[float64]float64{}
	for _, m := range family.GetMetric() {
		for _, b := range m.GetHistogram().GetBucket() {
			sums[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
	}
	var out []bucket
	for most, count := range sums {
		out = append(out, bucket{most, count})
	}
	slices.SortFunc(out, func(a, b bucket) int { return cmp.Compare(a.most, b.most) })
	return out, nil
}

// quantile is what a share of the observations between two looks took at most, in milliseconds: as Prometheus's
// histogram_quantile has it, even within a bucket. It is 0 if there were none.
func quantile(share float64, before, after []bucket) float64 {
	if len(after) == 0 || len(before) != len(after) {
		return 0
	}
	in := func(i int) float64 { return after[i].count - before[i].count }
	rank, low, below := share*in(len(after)-1), 0.0, 0.0
	for i, b := range after {
		if rank > 0 && in(i) >= rank {
			if math.IsInf(b.most, 1) {
				return 1000 * low
			}
			return 1000 * (low + (b.most-low)*(rank-below)/(in(i)-below))
		}
		low, below = b.most, in(i)
	}
	return 0
}
