package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/granter/granter/grant"
)

// judge compares the chunks of a pass.
func (a *audit) judge(ctx context.Context, c *cells) error {
	var nothing page
	for _, chunk := range c.chunks() {
		cell := c.at(chunk)
		h := cell.ledger
		if h == nil {
			h = &held{settled: &nothing, byRun: &nothing}
		} else if *h.settled != nothing {
			a.report.Ledger.Chunks++
		}
		for _, tell := range h.found {
			tell(a.findings)
		}
		a.report.Ledger.add(&h.totals)
		for i := range h.took {
			a.took[i].add(&h.took[i])
		}
		if h.leaf != nil && (h.leaf.entries > 0 || *h.settled != nothing) {
			a.report.leaves = append(a.report.leaves, h.leaf)
		}
		topic := &cell.below
		if more := cell.beyond.Load(); more != nil {
			topic = new(page)
			*topic = cell.below
			topic.or(more)
			a.report.Topic.Waiting += more.without(h.settled).without(&cell.below).count()
		}
		missing, extra := cell.below.without(h.settled), h.byRun.without(topic)
		a.findings.users(Missing, chunk, missing, missed)
		if err := a.extra(ctx, chunk, extra); err != nil {
			return err
		}
		a.replayed(chunk, h.replays)
		if (*missing != nothing || *extra != nothing) && *h.settled != nothing && len(a.damaged) < mostDamaged {
			a.damaged = append(a.damaged, damaged{
				chunk:  chunk,
				wanted: sha256.Sum256(cell.below.bytes()), stored: sha256.Sum256(h.settled.bytes()),
				both: *missing != nothing && *extra != nothing,
			})
		}
		a.report.Topic.Users += cell.below.count()
		a.users.add(digestLeaf(chunk, &cell.below))
		settled := digestLeaf(chunk, h.settled)
		a.settled.add(settled)
		if h.excluded > 0 {
			settled = h.granted
		}
		a.granted.add(settled)
	}
	a.swapped()
	return nil
}

// extra names users whom a run granted and who are in no record. Where records are gone, the entry says whether it may have
// been one of those.
func (a *audit) extra(ctx context.Context, chunk uint64, who *page) error {
	if *who == (page{}) {
		return nil
	}
	unprovable := new(page)
	if a.anythingGone() {
		var e entry
		_, err := a.ledger.Stored(ctx, chunk, func(at int64, text string) {
			if at == 0 {
				*unprovable = page{}
			}
			if e.read([]byte(text)) != nil || e.kind != kindGrant || !a.mayBeGone(&e) {
				return
			}
			if of := e.spread.among(who); of != nil {
				unprovable.or(of)
			}
		})
		if err != nil {
			return err
		}
	}
	a.findings.users(Unprovable, chunk, unprovable, fromGone)
	a.findings.users(Extra, chunk, who.without(unprovable), unrecorded)
	return nil
}

const missed = "users have a record below the checkpoint, and the ledger does not have them"

const unrecorded = "users were granted by a run, and no record of the topic has them"

const fromGone = "users were granted from records that are no longer in the topic (retention, deletion, compaction), " +
	"or by runs of another topic, or before it lost some"

func (a *audit) anythingGone() bool {
	if len(a.foreign) > 0 || len(a.holes) > 0 {
		return true
	}
	for _, p := range a.partitions {
		if p.First > 0 || p.Lost > 0 {
			return true
		}
	}
	return false
}

// mayBeGone reports whether an entry is from records that the topic no longer has.
func (a *audit) mayBeGone(e *entry) bool {
	if a.foreign[grant.RunID(e.run)] {
		return true
	}
	for _, s := range e.spans {
		p, known := a.partitions[s.partition]
		if !known || s.first < p.First || s.last >= p.End || a.missing(s.partition, s.first, s.last) {
			return true
		}
	}
	return false
}

// damaged is a chunk with users missing or others too many, by what it should have and what it has.
type damaged struct {
	chunk          uint64
	wanted, stored [sha256.Size]byte
	both           bool // some are missing, and others too many
}

// mostDamaged is how many chunks are compared with each other. Where more are damaged, nobody swapped them by hand.
const mostDamaged = 1 << 14

// swapped says which damaged chunks have what another one should have. Of two in each other's place, one of which should have
// all that the other should, one only lacks users, and the other only has too many: those are named where another chunk has
// what is theirs.
func (a *audit) swapped() {
	belongs, had := map[[sha256.Size]byte][]uint64{}, map[[sha256.Size]byte]bool{}
	for _, d := range a.damaged {
		had[d.stored] = true
		if len(belongs[d.wanted]) < 2 { // full chunks are alike: one of the others stands for all
			belongs[d.wanted] = append(belongs[d.wanted], d.chunk)
		}
	}
	for _, d := range a.damaged {
		for _, chunk := range belongs[d.stored] {
			if chunk != d.chunk && (d.both || had[d.wanted]) {
				a.findings.add(Swapped, fmt.Sprintf("chunk %d", d.chunk), 1,
					fmt.Sprintf("the ledger has in it exactly the users that belong into chunk %d", chunk), look)
				break
			}
		}
	}
}

// digest is the digest of a set of users, as grant/digest defines it, from chunks in ascending order.
type digest struct{ sum hash.Hash }

// digestLeaf is what a digest has of one chunk; nil: nobody is in it.
func digestLeaf(chunk uint64, who *page) []byte {
	if who.empty() {
		return nil
	}
	leaf := sha256.New()
	leaf.Write([]byte("granter chunk\n"))
	leaf.Write(binary.BigEndian.AppendUint64(nil, chunk))
	leaf.Write(who.bytes())
	return leaf.Sum(nil)
}

func (d *digest) add(leaf []byte) {
	if d.sum == nil {
		d.sum = sha256.New()
		d.sum.Write([]byte("granter users\n"))
	}
	d.sum.Write(leaf)
}

func (d *digest) text() string {
	d.add(nil)
	return hex.EncodeToString(d.sum.Sum(nil))
}
