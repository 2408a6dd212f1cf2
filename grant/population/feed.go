package population

import "context"

// feed runs the source in a goroutine of its own, so that a source that waits does not hold back what it has handed out,
// and generating and encoding share two cores.
type feed struct {
	full  chan block
	spare chan []Record
}

type block struct {
	records []Record
	err     error
}

// blockRecords × 40 bytes × 3 blocks stay in a core's second-level cache.
const blockRecords = 2048

func newFeed() *feed {
	f := &feed{full: make(chan block, 1), spare: make(chan []Record, 3)}
	for range cap(f.spare) {
		f.spare <- make([]Record, blockRecords)
	}
	return f
}

func (f *feed) run(ctx context.Context, src Source) {
	for {
		var b block
		select {
		case b.records = <-f.spare:
		case <-ctx.Done():
			return
		}
		n, err := src.Next(ctx, b.records[:blockRecords])
		b.records, b.err = b.records[:n], err
		select {
		case f.full <- b:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}
