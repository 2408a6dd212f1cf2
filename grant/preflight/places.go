package preflight

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/granter/granter/grant/source"
)

const (
	sampleSize   = 16000           // records of the whole topic: enough to tell random IDs of 50 million users from dense ones
	samplePlaces = 200             // at about 0.5 ms each, if there are not more partitions than that
	sampleTime   = 3 * time.Second // after which the sample is as large as it got
)

// takeSamples reads at many places of every partition, at each from the broker that leads it.
func (a *asker) takeSamples(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	byLeader := map[string][]source.Place{}
	leader := map[int]string{}
	for _, p := range a.topic.Partitions {
		leader[p.ID] = address(p.Leader)
	}
	for _, place := range places(a.bounds) {
		addr := leader[place.Partition]
		byLeader[addr] = append(byLeader[addr], place)
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	for addr, list := range byLeader {
		work.Go(func() {
			samples, err := a.source.Sample(ctx, addr, list)
			mu.Lock()
			defer mu.Unlock()
			a.samples = append(a.samples, samples...)
			if !errors.Is(err, context.DeadlineExceeded) || len(samples) == 0 {
				a.sampleErr = errors.Join(a.sampleErr, err)
			}
		})
	}
	work.Wait()
}

// places spreads the sample evenly over the topic. Partitions are often dealt the same order of IDs, so each has its
// places a little further along than the one before; and the list begins with places that are far apart, because it may
// not be read to its end.
func places(bounds map[int]source.Bounds) []source.Place {
	if len(bounds) == 0 {
		return nil
	}
	perPartition := max(sampleSize/len(bounds), 10)
	count := max(samplePlaces/len(bounds), 1)
	if len(bounds) == 1 {
		count /= 2 // each is a round trip after the other
	}
	var out []source.Place
	partitions := slices.Sorted(maps.Keys(bounds))
	for round := range count {
		slot := round * step(count) % count
		for _, partition := range partitions {
			b := bounds[partition]
			n := b.End - b.First
			if n <= int64(perPartition) {
				if round == 0 && n > 0 {
					out = append(out, source.Place{Partition: partition, From: b.First, Until: b.End, Limit: int(n)})
				}
				continue
			}
			length := perPartition / count
			stride := float64(n-int64(length)) / float64(count)
			_, shift := math.Modf(golden * float64(partition))
			at := func(slot int) int64 { return b.First + int64(stride*(float64(slot)+shift)) }
			out = append(out, source.Place{Partition: partition, From: at(slot), Until: min(b.End, at(slot+1)), Limit: length})
		}
	}
	return out
}

const golden = 0.6180339887498949

// step is a stride that visits every one of n slots once, with neighbours far apart in time: the number next to the golden section of n that has no divisor in common with it.
func step(n int) int {
	for s := max(1, int(golden*float64(n))); ; s++ {
		a, b := s, n
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return s
		}
	}
}
