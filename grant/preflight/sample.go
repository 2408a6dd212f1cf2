package preflight

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
)

// rejects are the records of the sample without a valid ID, for one reason.
type rejects struct {
	reason  source.Reason
	count   int
	samples []string
}

func (j *judgement) judgeSample() {
	f := j.kafka
	if f.boundsErr != nil || f.bounds.Ends == nil {
		return // Kafka's results say why
	}
	sampled, invalid := 0, 0
	byReason := map[source.Reason]*rejects{}
	for i := range f.samples {
		s := &f.samples[i]
		for k := range s.Records {
			rec := &s.Records[k]
			sampled++
			if rec.Reason == "" {
				continue
			}
			invalid++
			r := byReason[rec.Reason]
			if r == nil {
				r = &rejects{reason: rec.Reason}
				byReason[rec.Reason] = r
			}
			r.count++
			if len(r.samples) < 3 {
				r.samples = append(r.samples, fmt.Sprintf("%d/%d %+q", s.Partition, rec.Offset, rec.Data))
			}
		}
	}
	switch {
	case j.explained(f.sampleErr), f.unread():
	case f.sampleErr != nil:
		j.fail("sample.valid", "reading a sample failed: "+f.sampleErr.Error(), "allow this user to Read the topic, and look at the broker's log")
	case sampled == 0 && j.recordCount() > 0 && (f.sampleCut || slices.ContainsFunc(f.samples, func(s source.Sample) bool { return s.Cut })):
		j.warn("sample.valid", fmt.Sprintf("not one of %s was seen in %s: the brokers sent nothing", plural(j.recordCount(), "record"), span(firstTime)),
			"look for a quota of this user or of the client "+source.ClientID+" (kafka-configs.sh --describe --entity-type clients), or for an open transaction, and check again")
	case sampled == 0:
		j.pass("sample.valid", "there is nothing to sample")
	case invalid == 0:
		j.pass("sample.valid", fmt.Sprintf("all of %s hold a user ID", plural(sampled, "sampled record")))
	default:
		j.judgeInvalid(sampled, invalid, byReason)
	}
	j.judgeRegistry()
	if sampled > 0 {
		j.judgeSchemas()
	}
	switch {
	case sampled == invalid:
	case j.Campaign.Input.Opaque():
		j.judgeMembers(sampled, invalid)
	default:
		j.judgePlausible()
		j.judgeDensity(sampled, invalid)
	}
}

func (j *judgement) judgeInvalid(sampled, invalid int, byReason map[source.Reason]*rejects) {
	list := slices.SortedFunc(maps.Values(byReason), func(a, b *rejects) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.reason, b.reason))
	})
	words := make([]string, 0, len(list))
	for _, r := range list {
		words = append(words, fmt.Sprintf("%s %d (partition/offset %s)", r.reason, r.count, strings.Join(r.samples, ", ")))
	}
	detail := fmt.Sprintf("%s of %s (%s) hold no user ID: %s",
		text.Number(invalid), plural(sampled, "sampled record"), share(invalid, sampled), strings.Join(words, "; "))
	if j.judgeFramed(invalid, detail) || j.judgeRaw(invalid, detail) || j.judgeOtherKind(sampled, invalid, detail) {
		return
	}
	spec := j.Campaign.Input
	rate := float64(invalid) / float64(sampled)
	records := max(j.recordCount(), int64(sampled))
	rejected := int64(math.Round(rate * float64(records)))
	correct := "correct source.format, source.from or source.topic in the spec, or repair the topic"
	if byReason[source.ReasonTombstone] != nil {
		correct += "; tombstones are deleted users: if this topic has IDs as keys and never a value, write tombstones: grant under source"
	}
	switch {
	case invalid == sampled:
		j.fail("sample.valid", detail, "a run would grant nobody, and stop: "+correct)
		return
	case source.TooMany(spec.MaxRejected, max(rejected, 1), records):
		j.fail("sample.valid", detail, "a run would stop, because max_rejected is "+grant.Percent(spec.MaxRejected)+": "+correct+", or raise max_rejected")
		return
	}
	j.warn("sample.valid", detail, "a run puts such records into "+spec.DeadLetterTopic()+" and goes on: decide whether their users matter")
}

func (j *judgement) recordCount() int64 { return j.kafka.bounds.Records() }

// census reports whether the sample is the whole topic.
func (j *judgement) census() bool {
	whole := map[int]bool{}
	for i := range j.kafka.samples {
		s := &j.kafka.samples[i]
		first, end := j.kafka.bounds.Firsts[s.Partition], j.kafka.bounds.Ends[s.Partition]
		whole[s.Partition] = s.From == first && s.Until == end && int64(s.Limit) >= end-first
	}
	for partition := range j.kafka.bounds.Ends {
		if j.kafka.bounds.Left(partition, nil) > 0 && !whole[partition] {
			return false
		}
	}
	return !j.kafka.sampleCut && j.kafka.sampleErr == nil
}

// judgeDensity estimates the memory that the ledger will need.
func (j *judgement) judgeDensity(sampled, invalid int) {
	visited := make([][]uint64, 0, len(j.kafka.samples))
	for i := range j.kafka.samples {
		var ids []uint64
		for _, rec := range j.kafka.samples[i].Records {
			if rec.Reason == "" {
				ids = append(ids, rec.ID.Number())
			}
		}
		if len(ids) > 0 {
			visited = append(visited, ids)
		}
	}
	records, census := j.recordCount(), j.census()
	if census {
		records = int64(sampled) // some offsets are markers of transactions, or compacted
	}
	d := estimate(visited, records, records*int64(sampled-invalid)/int64(sampled), j.Campaign.Population, census)
	j.demand = &d
	detail := fmt.Sprintf("IDs from %d to %d: %s users in %s chunks of 65,536 IDs, %s",
		d.min, d.max, about(d.users), between(d.chunks, func(v float64) string { return about(int64(v + 0.5)) }), between(d.bytes, memory[float64]))
	if d.users > 0 {
		detail += fmt.Sprintf(", %s bytes a user", between([2]float64{d.bytes[0] / float64(d.users), d.bytes[1] / float64(d.users)}, digits))
	}
	j.judgeSparse(&d, detail)
}

// judgeSparse judges IDs that are far apart by nothing but the memory that they take: 48,000 users over 480 million IDs
// are an ordinary campaign.
func (j *judgement) judgeSparse(d *demand, detail string) {
	if !d.sparse() {
		j.pass("sample.ids", detail)
		return
	}
	free, known := j.free()
	detail = "far apart: " + detail
	if known {
		detail += "; Redis has " + memory(free) + " left"
	}
	as := *j.Campaign
	as.Input.IDs = grant.IDsInt64
	detail += fmt.Sprintf("; with source.id int64 %s", memory(MembersMemory(&as, float64(d.users))))
	advice := "give Redis more memory, or number the users for this campaign: IDs without gaps take 1.4 bytes a user; or " +
		writeID(grant.IDsInt64)
	switch {
	case known && d.bytes[1] <= 0.8*free:
		j.pass("sample.ids", detail)
	case known && d.bytes[0] > free:
		j.fail("sample.ids", detail, advice)
	default:
		j.warn("sample.ids", detail, "they may not fit: set population in the spec, and look at the highest and lowest IDs of the topic; otherwise "+advice)
	}
}

// free is what all masters have left together, besides what the campaign has taken already.
func (j *judgement) free() (bytes float64, known bool) {
	for i := range j.redis.Masters {
		n := &j.redis.Masters[i]
		room, _ := j.room(n)
		if room <= 0 || n.UsedMemory < 0 {
			return 0, false
		}
		bytes += float64(max(0, room-n.UsedMemory))
	}
	return bytes + float64(j.redis.totals.Bytes), len(j.redis.Masters) > 0 && j.redis.err == nil
}

// about rounds to three digits.
func about(n int64) string {
	unit := int64(1)
	for n/unit >= 1000 {
		unit *= 10
	}
	return text.Number((n + unit/2) / unit * unit)
}

func digits(v float64) string {
	if v < 100 {
		return significant(v)
	}
	return about(int64(v))
}

// between writes a range, or one value when its ends look the same.
func between(r [2]float64, text func(float64) string) string {
	low, high := text(r[0]), text(r[1])
	if low == high || r[1] < r[0]*1.1 {
		return "about " + high
	}
	return low + " to " + high
}
