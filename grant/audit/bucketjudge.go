package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// compareBuckets compares topic and ledger where IDs are not dense. Unlike with chunks, each pass reads the ledger first, and
// then the topic: so of a user whom both have there is one copy.
func (a *audit) compareBuckets(ctx context.Context, buckets []uint64) error {
	s := newPacks(a.layout, cmp.Or(a.Memory, defaultMemory))
	if err := a.strangeBuckets(ctx, buckets); err != nil {
		return err
	}
	for from := s.first(); from < s.end(); from = s.limit.Load() {
		s.begin(from)
		if err := a.passBuckets(ctx, s, buckets); err != nil {
			return err
		}
		if err := a.judgeBuckets(ctx, s); err != nil {
			return err
		}
		a.report.Passes++
		a.counting = false
	}
	return nil
}

// strangeBuckets looks at buckets of numbers that no user's hash begins with.
func (a *audit) strangeBuckets(ctx context.Context, buckets []uint64) error {
	r := &bucketReading{audit: a, layout: a.layout, takes: a.newBucketTakes()}
	for _, bucket := range buckets {
		if bucket >= a.layout.first() && bucket < a.layout.end() {
			continue
		}
		p, err := r.read(ctx, bucket)
		if err != nil {
			return err
		}
		for _, tell := range p.held.found {
			tell(a.findings)
		}
		a.report.Ledger.add(&p.held.totals)
		a.addTook(p.held.took)
	}
	return nil
}

// addTook adds who took the items of a bucket.
func (a *audit) addTook(of []took) {
	for i := range of {
		a.took[i].add(&of[i])
	}
}

// passBuckets looks at some buckets.
func (a *audit) passBuckets(ctx context.Context, s *packs, buckets []uint64) error {
	if err := a.readBuckets(ctx, s, buckets); err != nil {
		return err
	}
	if err := a.markMembers(ctx, s, a.first, a.below, below); err != nil {
		return err
	}
	from, until, err := a.rest(ctx)
	if err != nil {
		return err
	}
	return a.markMembers(ctx, s, from, until, beyond)
}

// markMembers marks the users of some offsets.
func (a *audit) markMembers(ctx context.Context, s *packs, from, until grant.Offsets, part part) error {
	with := markBelow
	if part == beyond {
		with = markBeyond
	}
	return a.readTopic(ctx, from, until, part, func() marking {
		decode := a.Members()
		return marking{one: func(parts *source.Parts) bool {
			member, malformed := decode(parts)
			if malformed != "" {
				return false
			}
			s.mark(member, with)
			return true
		}, done: func() {}}
	})
}

// judgeBuckets compares the buckets of a pass.
func (a *audit) judgeBuckets(ctx context.Context, s *packs) error {
	for _, bucket := range s.there() {
		p := s.at(bucket)
		h := &p.held
		for _, tell := range h.found {
			tell(a.findings)
		}
		if h.settled > 0 {
			a.report.Ledger.Chunks++
		}
		a.report.Ledger.add(&h.totals)
		a.addTook(h.took)
		if h.leaf != nil && h.leaf.entries > 0 {
			a.report.leaves = append(a.report.leaves, h.leaf)
		}
		var missing, extra []grant.UserID
		p.each(s.layout, func(o *one, held bool) {
			below := o.marks&markBelow != 0
			if below {
				a.report.Topic.Users++
				a.ofBuckets.users.add(o.stored)
			}
			if held {
				a.ofBuckets.settled.add(o.stored)
			}
			if held && o.marks&markOut == 0 {
				a.ofBuckets.granted.add(o.stored)
			}
			switch {
			case held && o.marks == markRun:
				extra = append(extra, s.form.ID(o.member))
			case held:
			case below:
				missing = append(missing, s.form.ID(o.member))
			default:
				a.report.Topic.Waiting++
			}
		})
		a.findings.members(Missing, bucket, missing, missed)
		if err := a.extraMembers(ctx, bucket, extra); err != nil {
			return err
		}
		for i := range h.replays {
			r := &h.replays[i]
			if kind, what := a.judgeReplay(&r.entry); kind != "" {
				a.findings.members(kind, bucket, r.users, what)
			}
		}
	}
	return nil
}

// extraMembers names users whom a run granted and who are in no record, as extra does.
func (a *audit) extraMembers(ctx context.Context, bucket uint64, who []grant.UserID) error {
	if len(who) == 0 {
		return nil
	}
	gone := map[grant.UserID]bool{}
	if a.anythingGone() {
		var e entry
		_, err := a.ledger.Stored(ctx, bucket, func(at int64, text string) {
			if at == 0 {
				clear(gone)
			}
			members, err := e.readBucket([]byte(text), a.layout)
			if err != nil || e.kind != kindGrant || !a.mayBeGone(&e) {
				return
			}
			for len(members) > 0 {
				size, _ := a.layout.size(members)
				gone[a.layout.user(members[:size])] = true
				members = members[size:]
			}
		})
		if err != nil {
			return err
		}
	}
	var unprovable, extra []grant.UserID
	for _, user := range who {
		if gone[user] {
			unprovable = append(unprovable, user)
		} else {
			extra = append(extra, user)
		}
	}
	a.findings.members(Unprovable, bucket, unprovable, fromGone)
	a.findings.members(Extra, bucket, extra, unrecorded)
	return nil
}

// replayedMembers is an entry of a replay in a bucket.
type replayedMembers struct {
	users []grant.UserID
	entry entry // without its members
}

// bucketDigests are those of the report, where IDs are not dense.
type bucketDigests struct{ users, settled, granted memberDigest }

// memberDigest is the digest of a set of users whose IDs are not dense, bucket by bucket, as grant/ledger defines it: "members-",
// how many they are, and the first half of the SHA-256 of all of them as they are stored, in the order of their hashes.
type memberDigest struct {
	sum hash.Hash
	n   int64
}

func (d *memberDigest) add(stored []byte) {
	if d.sum == nil {
		d.sum = sha256.New()
	}
	d.sum.Write(stored)
	d.n++
}

func (d *memberDigest) text() string {
	if d.sum == nil {
		d.sum = sha256.New()
	}
	return fmt.Sprintf("members-%d-%s", d.n, hex.EncodeToString(d.sum.Sum(nil)[:16]))
}
