package preflight

import (
	"math"

	"github.com/granter/granter/sharding/dense"
)

// demand is what the ledger will need, as a range: [0] at least, [1] at most, as far as a sample can tell.
type demand struct {
	users    int64
	min, max uint64
	chunks   [2]float64
	bytes    [2]float64
}

// What Redis 7 takes, measured with MEMORY USAGE and used_memory, for users that are granted in bulk. A limit, or a trickle,
// makes more and smaller entries in the journal.
const (
	perUser  = 2.3   // in the journal: 2 bytes in a sorted array, and the entry around them
	bulkUser = 1.26  // where a flush has more than 4,096 users for a chunk: an entry is a bitmap, 10 KiB for some 8,192 of them
	bulkFrom = 16384 // users of a chunk from which on that is so
	fullCost = 10700 // of a chunk whose bitmap comes as one (BITOP): 8,192 rounded up to 10,240, and the three keys
	// A bitmap that grows bit by bit (SETBIT) is given room to grow: 15,000 on average, 20,480 at most.
	grownCost = 16800
	loneCost  = 5100 // of a chunk with one user, whose bitmap ends with it
	// From so many users of a chunk on they come in deltas that are sent as bitmaps.
	fullFrom = 1024
)

// An ID costs 1.4 bytes in a dense population. Where it may cost this much, and more than harmless bytes in all, what the
// ledger takes is held against what there is.
const (
	sparseCost = 1024
	harmless   = 64 << 20
)

func (d *demand) sparse() bool {
	return d.bytes[1] > harmless && d.bytes[1] > sparseCost*float64(d.users)
}

// MemoryOf returns the bytes that so many users in so many new chunks take.
func MemoryOf(users, chunks float64) float64 {
	if chunks <= 0 { // new users in chunks that are there already
		return users * perUser
	}
	each, journal := users/chunks, perUser
	if each >= bulkFrom {
		journal = bulkUser
	}
	cost := float64(grownCost)
	switch {
	case each < 3:
		cost = loneCost + (grownCost-loneCost)*max(0, each-1)/2
	case each >= fullFrom:
		cost = fullCost
	}
	return chunks*cost + users*journal
}

// estimate projects a sample onto the population. Each of visited is the IDs of consecutive records at one place of the
// topic, with the places evenly spread; records is how many the topic has, valid how many of them hold an ID, population
// how many users are expected (0: unknown), census whether the sample is the whole topic.
func estimate(visited [][]uint64, records, valid, population int64, census bool) demand {
	t := tallyOf(visited)
	d := demand{min: t.min, max: t.max, users: max(valid, population)}
	if population > 0 && valid < population+population/4 {
		d.users = population // some users are in the topic twice; if there are many more records, population may be wrong
	}
	if census && d.users <= valid {
		d.users = int64(t.ids)
		d.chunks = [2]float64{float64(len(t.places)), float64(len(t.places))}
	} else {
		// Users who are still to be published lie where the others lie, or beyond.
		growth := max(1, float64(d.users)/float64(max(valid, 1)))
		if most := t.width()*growth + 1; t.ids >= enoughIDs && float64(d.users) > most {
			d.users = int64(most) // there are no more IDs: some users are in the topic often, or population is wrong
		}
		d.chunks = t.chunks(float64(d.users), float64(max(records, d.users)), growth)
	}
	for i := range d.bytes {
		d.bytes[i] = MemoryOf(float64(d.users), d.chunks[i])
	}
	if d.bytes[0] > d.bytes[1] { // lone users cost less than a few together
		d.bytes[0], d.bytes[1] = d.bytes[1], d.bytes[0]
	}
	return d
}

// enoughIDs is how many IDs tell where the lowest and the highest are.
const enoughIDs = 100

// tally is what a sample tells about chunks.
type tally struct {
	ids      int // distinct ones
	min, max uint64
	places   map[uint64]int // chunk → number of places that it was met at
	once     int            // IDs in chunks that were met at one place only
	steps    int            // from one record to the next at the same place
	entered  float64        // how many of them led into another chunk, as expected from their length
	visits   int            // places with IDs
}

// width is how far apart the lowest and the highest ID are: probably a little further than in the sample.
func (t *tally) width() float64 { return float64(t.max-t.min) * (1 + 2/float64(t.ids)) }

func tallyOf(visited [][]uint64) tally {
	t := tally{min: math.MaxUint64, places: map[uint64]int{}, visits: len(visited)}
	distinct := map[uint64]struct{}{}
	at := make([]map[uint64]int, len(visited))
	for i, ids := range visited {
		at[i] = map[uint64]int{}
		for k, id := range ids {
			if k > 0 {
				t.steps++
				t.entered += min(1, math.Abs(float64(id)-float64(ids[k-1]))/dense.ChunkSize)
			}
			if _, again := distinct[id]; again {
				continue // a user who shares a chunk with himself says nothing about others
			}
			distinct[id] = struct{}{}
			t.min, t.max = min(t.min, id), max(t.max, id)
			chunk, _ := dense.Split(id)
			at[i][chunk]++
		}
		for chunk := range at[i] {
			t.places[chunk]++
		}
	}
	for i := range at {
		for chunk, n := range at[i] {
			if t.places[chunk] == 1 {
				t.once += n
			}
		}
	}
	t.ids = len(distinct)
	return t
}

// chunks estimates how many chunks a population touches, as a range.
//
// At least: the chunks of the sample, and as many unseen ones as Chao's estimator (Chao2: from the number of chunks met at
// one place and at two) says. It is good for populations that are evenly dense, dense or sparse, and too low for mixtures.
//
// At most, whichever is least: a chunk for each user; every chunk between the lowest and the highest ID; each step from one
// record to the next that leads into another chunk leads into a new one (which is how topics in the order of IDs are); or
// the sample's chunks and, for the share of the population that is in chunks met only once (Good and Turing's estimate
// for what a sample has not seen), a chunk for each user. Neither is below what the users fill when they are dense.
func (t *tally) chunks(users, records, growth float64) [2]float64 {
	if t.ids == 0 {
		return [2]float64{}
	}
	seen := float64(len(t.places))
	var single, double float64
	for _, n := range t.places {
		switch n {
		case 1:
			single++
		case 2:
			double++
		}
	}
	low := seen + single*(single-1)/(2*(double+1))

	high := min(users, t.width()*growth/dense.ChunkSize+2)
	if t.steps > 0 {
		high = min(high, t.entered/float64(t.steps)*records+float64(t.visits))
	}
	if t.visits > 1 {
		high = min(high, seen+users*float64(t.once)/float64(t.ids))
	}
	full := math.Ceil(users / dense.ChunkSize)
	high = max(high, seen, full)
	return [2]float64{max(min(low, high), full), high}
}
