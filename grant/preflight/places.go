package preflight

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

const (
	sampleSize   = 16000           // records of the whole topic: enough to tell random IDs of 50 million users from dense ones
	samplePlaces = 200             // at 0.5 to 2 ms each, if there are not more partitions than that
	connections  = 4               // to each leader
	sampleTime   = 3 * time.Second // after which the sample is as large as it got
	firstTime    = 9 * time.Second // how long a first record is waited for: a quota may slow the broker down
)

// takeSamples reads at many places of every partition, at each from the broker that leads it.
func (a *asker) takeSamples(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstTime)
	defer cancel()
	var seen, late atomic.Bool
	defer time.AfterFunc(sampleTime, func() {
		if late.Store(true); seen.Load() {
			cancel()
		}
	}).Stop()
	saw := func() {
		if seen.Store(true); late.Load() {
			cancel()
		}
	}
	type connection struct {
		leader string
		lane   int
	}
	shares := map[connection][]source.Place{}
	leader := map[int]string{}
	for _, p := range a.topic.Partitions {
		leader[p.ID] = address(p.Leader)
	}
	for i, place := range places(a.bounds) {
		c := connection{leader[place.Partition], i % connections}
		shares[c] = append(shares[c], place)
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	for c, list := range shares {
		work.Go(func() {
			var samples []source.Sample
			err := ask(ctx, func() (err error) { // a topic may be so new that its leader does not know it yet
				samples, err = a.source.Sample(ctx, c.leader, list, saw)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			a.samples = append(a.samples, samples...)
			switch {
			case err == nil:
			case ctx.Err() != nil && (len(samples) > 0 || seen.Load()):
				a.sampleCut = true
			default:
				a.sampleErr = errors.Join(a.sampleErr, err)
			}
		})
	}
	work.Wait()
}

// places spreads the sample over the topic: one place in each of equally long parts of a partition, somewhere in it, so
// that no regularity of the topic can hide between them. The list begins with places that are far apart, because it may
// not be read to its end.
func places(bounds grant.Bounds) []source.Place {
	n := len(bounds.Ends)
	if n == 0 {
		return nil
	}
	perPartition := max(sampleSize/n, 10)
	parts := max(samplePlaces/n, 1)
	rng := rand.New(rand.NewPCG(0, 0)) // two checks of the same topic look at the same records
	var all [][]source.Place           // by part
	for _, partition := range bounds.Partitions() {
		for part, place := range placesIn(bounds.Firsts[partition], bounds.Ends[partition], perPartition, parts, rng) {
			if part == len(all) {
				all = append(all, nil)
			}
			place.Partition = partition
			all[part] = append(all[part], place)
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return slices.Concat(all...)
}

// placesIn returns the places in one partition: all of it, if it is small.
func placesIn(first, end int64, records, parts int, rng *rand.Rand) []source.Place {
	n := end - first
	switch {
	case n <= 0:
		return nil
	case n <= int64(records):
		return []source.Place{{From: first, Until: end, Limit: int(n)}}
	}
	out := make([]source.Place, parts)
	length := records / parts
	stride := float64(n-int64(length)) / float64(parts)
	for i := range out {
		from := first + int64(stride*(float64(i)+rng.Float64()))
		out[i] = source.Place{From: from, Until: end, Limit: length}
		if i > 0 {
			out[i-1].Until = from
		}
	}
	return slices.DeleteFunc(out, func(p source.Place) bool { return p.From == p.Until })
}
