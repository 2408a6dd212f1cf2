package engine

import (
	"cmp"
	"slices"

	"github.com/granter/granter/grant"
)

const (
	samplesPerReason = 2
	sampleBytes      = 120
)

// rejects are the rejected records of a run, by reason.
type rejects struct {
	counts  map[string]int64
	samples map[string][]grant.Reject
}

func (r *rejects) add(one grant.Reject) {
	if r.counts == nil {
		r.counts, r.samples = map[string]int64{}, map[string][]grant.Reject{}
	}
	r.counts[one.Reason]++
	if list := r.samples[one.Reason]; len(list) < samplesPerReason {
		one.Value = one.Value[:min(len(one.Value), sampleBytes)]
		r.samples[one.Reason] = append(list, one)
	}
}

func (r *rejects) summary() (map[string]int64, []grant.Reject) {
	counts := map[string]int64{}
	samples := []grant.Reject{}
	for reason, n := range r.counts {
		counts[reason] = n
		samples = append(samples, r.samples[reason]...)
	}
	slices.SortFunc(samples, func(a, b grant.Reject) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Offset, b.Offset))
	})
	return counts, samples
}
