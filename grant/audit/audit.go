package audit

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// Topic is what an audit reads of Kafka: without a group, and without a trace.
type Topic interface {
	Identify(ctx context.Context) (grant.TopicID, error)
	Bounds(ctx context.Context) (grant.Bounds, error)
	// Read hands the records of a partition from one offset up to another to visit, those that no aborted transaction wrote,
	// and returns the offset that it came to: before until where an open transaction holds records back. Key and value are
	// valid during the call. A *grant.GapError says that the next records are gone.
	Read(ctx context.Context, partition int, from, until int64,
		visit func(offset int64, parts *source.Parts) error) (int64, error)
}

// Letter is where a dead letter says that it is from.
type Letter struct {
	Topic, Campaign string
	Partition       int
	Offset          int64
	Run             grant.RunID
	Broken          string // what is wrong with its headers; empty: nothing
}

// Letters reads the dead-letter topic.
type Letters interface {
	// Each hands over every letter; gone is how many records the topic no longer has.
	Each(ctx context.Context, visit func(Letter)) (gone int64, err error)
}

// Config of an audit. Campaign, Ledger, Topic, Decode or Members, and Letters are required.
type Config struct {
	Campaign *grant.Campaign // by the spec that is granted by
	Ledger   Ledger
	Topic    Topic
	// Decode is source.Decoder; each user costs a call. Where IDs are not dense, Members is source.MemberDecoder instead.
	Decode     func(*source.Parts) (id uint64, malformed source.Reason)
	Members    func() func(*source.Parts) (member []byte, malformed source.Reason)
	Learn      func(context.Context, *source.Parts) error // source.Learn: what they need of a registry
	Letters    Letters
	Checkpoint func(ctx context.Context) (grant.Checkpoint, error) // of the pass that grants everybody
	// Committed is what Kafka has for the campaign's group; it is asked before the checkpoint. Nil: it is not known.
	Committed func(ctx context.Context, id grant.TopicID) (grant.Offsets, error)
	Runs      []grant.RunRecord
	Canaries  map[grant.RunID]*grant.Pass // the passes of those runs that were canaries
	// Anew is when somebody last ordered to begin anew in the topic, because it is another one or lost records. Zero: nobody did.
	Anew    time.Time
	Rebuilt []grant.Rebuilt // when the ledger was made again, oldest first
	// Compacted says that Kafka may have removed records of the topic one by one: then whoever is in none may have been in those.
	Compacted bool
	Memory    int64   // bytes for users' bits and users that wait for theirs; default 256 MiB
	Complete  bool    // records that wait keep it from being proven
	IDs       IDs     // gets every user that something is found about; may be nil
	Previous  *Report // the one before; may be nil
	Tree      *Tree   // what the report commits to; nil: to nothing
}

// Tree is how a report commits to the ledger, chunk by chunk.
type Tree struct {
	Users bool           // also to each user, for receipts
	Salt  [saltSize]byte // secret, where users are in it; zero: whoever has the ledger can make the root again
	// Receipts gets what receipts of the users are made from; nil: nobody asks for them.
	Receipts *ReceiptsWriter
}

const defaultMemory = 256 << 20

// audit is one audit under way.
type audit struct {
	Config
	ledger   Ledger
	room     *room
	findings *findings
	canaries map[uint64]*grant.Pass
	report   *Report

	id         grant.TopicID
	checkpoint grant.Checkpoint // as it was stored
	below      grant.Offsets    // up to where everybody must be granted
	first      grant.Offsets
	counting   bool // records are counted in the first pass only
	users      digest
	settled    digest
	granted    digest
	layout     *layout // nil: the IDs are dense
	offers     []int   // indices of the items that users take
	took       []took  // of each
	ofBuckets  bucketDigests
	damaged    []damaged
	salted     *salted
	foreign    map[grant.RunID]bool // runs that read another topic, or this one before it lost records
	repairing  map[uint64]bool      // runs that replayed rejected records
	known      map[grant.RunID]bool // runs of which the ledger has a record; nil: not looked at yet

	mu         sync.Mutex
	partitions map[int]*Partition
	rejected   map[int]*rejects
	holes      map[int]*holes
	waits      map[int]bool // partitions with records behind the checkpoint: markers alone are nothing to be granted
}

// Run audits. What is wrong is in the report, whatever it is; an error means that something could not be read.
//
// What it compares is of several moments, in an order that makes each comparison fair while a run goes on: first the
// checkpoint, below which everybody must be in the ledger; then the ledger; then the end of the topic, before which everybody
// who is in the ledger must have a record.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	a := &audit{
		Config: cfg, ledger: cfg.Ledger, findings: newFindings(cfg.IDs), canaries: map[uint64]*grant.Pass{}, counting: true,
		repairing: map[uint64]bool{}, partitions: map[int]*Partition{}, rejected: map[int]*rejects{}, holes: map[int]*holes{},
		waits: map[int]bool{}, layout: layoutOf(cfg.Campaign),
	}
	for run, pass := range cfg.Canaries {
		a.canaries[uint64(run)] = pass
	}
	for i := range cfg.Runs {
		if cfg.Runs[i].Pass == grant.ReplayPass {
			a.repairing[uint64(cfg.Runs[i].Run)] = true
		}
	}
	if cfg.Tree != nil {
		a.salted = newSalted(cfg.Tree.Salt)
	}
	began := time.Now()
	a.offers = offersOf(cfg.Campaign)
	a.took = make([]took, len(a.offers))
	a.report = newReport(cfg.Campaign, began)
	a.report.Rebuilt = cfg.Rebuilt
	if err := a.circumstances(ctx); err != nil {
		return nil, err
	}
	counted, err := a.counters(ctx)
	if err != nil {
		return nil, err
	}
	chunks, unlisted, damage, err := a.ledger.StoredChunks(ctx)
	if err != nil {
		return nil, err
	}
	a.index(unlisted, damage)
	if chunks, err = a.takenChunks(ctx, chunks); err != nil {
		return nil, err
	}
	compare := a.compareChunks
	if a.layout != nil {
		compare = a.compareBuckets
	}
	if err := compare(ctx, chunks); err != nil {
		return nil, err
	}
	if err := a.quotas(ctx, counted); err != nil {
		return nil, err
	}
	if err := a.letters(ctx); err != nil {
		return nil, err
	}
	if a.findings.failed != nil {
		return nil, fmt.Errorf("writing the users' IDs: %w", a.findings.failed)
	}
	a.finish(time.Since(began))
	return a.report, nil
}

// compareChunks compares topic and ledger where IDs are dense.
func (a *audit) compareChunks(ctx context.Context, chunks []uint64) error {
	a.room = newRoom(cmp.Or(a.Memory, defaultMemory))
	for from := uint64(0); from < noLimit; {
		c := a.room.begin(from, chunks)
		if err := a.pass(ctx, c, chunks); err != nil {
			return err
		}
		if err := a.judge(ctx, c); err != nil {
			return err
		}
		from = c.limit.Load()
		a.room.end(c)
		a.report.Passes++
		a.counting = false
	}
	return nil
}

func (a *audit) index(unlisted []uint64, damage string) {
	if damage != "" {
		a.findings.add(Unreadable, "granter:{"+a.Campaign.Name+"}:chunks", 1, damage, look)
	}
	for _, chunk := range unlisted {
		a.findings.add(Unlisted, fmt.Sprintf("%s %d", a.unit(), chunk), 1, "the index of chunks does not list it",
			"Start the campaign once more: a run repairs its index")
	}
}

// unit is what the ledger's parts are called.
func (a *audit) unit() string {
	if a.layout != nil {
		return "bucket"
	}
	return "chunk"
}

// pass looks at some chunks: it reads the ledger while it reads the topic below the checkpoint, and then the rest of the topic,
// which is known to be later.
func (a *audit) pass(ctx context.Context, c *cells, chunks []uint64) error {
	g, reading := errgroup.WithContext(ctx)
	g.Go(func() error { return a.readLedger(reading, c, chunks) })
	g.Go(func() error { return a.markTopic(reading, a.first, a.below, c, below) })
	if err := g.Wait(); err != nil {
		return err
	}
	from, until, err := a.rest(ctx)
	if err != nil {
		return err
	}
	return a.markTopic(ctx, from, until, c, beyond)
}

// rest is where the part of the topic is that nobody has to be granted from yet. It is asked when the ledger was read.
func (a *audit) rest(ctx context.Context) (from, until grant.Offsets, err error) {
	bounds, err := a.Topic.Bounds(ctx)
	if err != nil {
		return nil, nil, err
	}
	from = grant.Offsets{}
	for partition := range bounds.Ends {
		from[partition] = max(a.below[partition], a.first[partition])
	}
	a.ends(bounds)
	return from, bounds.Ends, nil
}

// readers is how many chunks are asked for at the same time.
func readers() int { return max(2, runtime.GOMAXPROCS(0)) }

func (a *audit) readLedger(ctx context.Context, c *cells, chunks []uint64) error {
	g, ctx := errgroup.WithContext(ctx)
	at, _ := slices.BinarySearch(chunks, c.from)
	var mu sync.Mutex
	next := func() (chunk uint64, more bool) {
		mu.Lock()
		defer mu.Unlock()
		if at == len(chunks) || chunks[at] >= c.limit.Load() {
			return 0, false
		}
		at++
		return chunks[at-1], true
	}
	for range readers() {
		g.Go(func() error {
			r := &reading{audit: a, takes: a.newTakesRead()}
			if a.Tree != nil {
				r.census = new(census)
			}
			for chunk, more := next(); more; chunk, more = next() {
				h, err := r.chunk(ctx, chunk)
				if err != nil {
					return err
				}
				if !c.hold(chunk, h) {
					return nil // the next pass reads it again
				}
				if err := h.leaf.keep(a.Tree); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
