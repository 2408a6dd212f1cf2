package preflight

import (
	"fmt"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

// What a bucket takes in Redis 7 besides its members: three keys, and for each entry its head, its ranges and the room that the
// allocator rounds up to, which is up to a fifth of an entry; half of that, where entries are of any size.
const (
	bucketCost   = 600
	memberFactor = 1.11

	typicalString = 1 + 20 // bytes of a member, with its length
)

// MembersMemory returns the bytes that so many users take in a campaign whose IDs are not dense. Of strings it takes them to be
// as long as a typical one.
func MembersMemory(c *grant.Campaign, users float64) float64 {
	form := userid.FormOf(&c.Input)
	width := float64(form.Width())
	if width == 0 {
		width = typicalString
	}
	return membersMemory(c, users, width)
}

func membersMemory(c *grant.Campaign, users, width float64) float64 {
	layout := ledger.LayoutOf(c)
	return users*width*memberFactor + min(users, float64(layout.Buckets()))*bucketCost
}

// roomy is how many members a bucket may have on average until looking a user up takes noticeably longer.
const roomy = 256 << 10

// judgeMembers judges a sample of IDs that are not dense: whether they are those that the spec says, and what they take.
func (j *judgement) judgeMembers(sampled, invalid int) {
	seen := map[grant.UserID]struct{}{}
	bytes := 0
	form := userid.FormOf(&j.Campaign.Input)
	for i := range j.kafka.samples {
		for _, r := range j.kafka.samples[i].Records {
			if _, again := seen[r.ID]; again || r.Reason != "" {
				continue
			}
			seen[r.ID] = struct{}{}
			if bytes += form.Width(); form.Width() == 0 {
				bytes += 1 + len(r.ID.String())
			}
		}
	}
	valid := sampled - invalid
	records := j.recordCount() * int64(valid) / int64(sampled)
	users := max(records, j.Campaign.Population)
	switch census := j.census(); {
	case census && j.Campaign.Population == 0:
		users = int64(len(seen))
	case j.Campaign.Population > 0 && records < j.Campaign.Population+j.Campaign.Population/4:
		users = j.Campaign.Population
	}
	need := membersMemory(j.Campaign, float64(users), float64(bytes)/float64(len(seen)))
	j.demand = &demand{users: users, bytes: [2]float64{need, need}}
	j.judgeKind(seen, valid)
	j.judgeLayout(users, need)
}

// judgeKind judges whether the IDs are of another kind than the spec says.
func (j *judgement) judgeKind(seen map[grant.UserID]struct{}, valid int) {
	const name = "sample.plausible"
	var some grant.UserID
	all := map[grant.IDs]int{}
	for id := range seen {
		some = id
		for _, kind := range narrower(j.Campaign.Input.IDs) {
			form := userid.FormOf(&grant.Input{IDs: kind})
			if _, fault := form.Member(nil, []byte(id.String())); fault == "" {
				all[kind]++
			}
		}
	}
	detail := "IDs such as " + fmt.Sprintf("%q", some.String())
	if named := framedMembers(seen); len(named) > 0 && !j.settled() {
		j.fail(name, detail+" look like records of a schema registry: a 0, and the ID of a schema, "+listIDs(named),
			writeSchemas(named))
		return
	}
	for _, kind := range narrower(j.Campaign.Input.IDs) {
		if len(seen) < fewest || all[kind] < len(seen) || j.settled() {
			continue
		}
		what := map[grant.IDs]string{
			grant.IDsUUID:  "all of them are UUIDs, which would be other users in another spelling",
			grant.IDsInt64: "all of them are numbers, which take less memory as such",
		}[kind]
		j.fail(name, detail+": "+what, writeID(kind))
		return
	}
	if valid >= 1000 && len(seen) < valid/10 {
		j.warn(name, fmt.Sprintf("%s: only %s in %s", detail, plural(len(seen), "different ID"), plural(valid, "sampled record")),
			"look whether source.path and source.topic name the user's ID: each user is granted once, however many records "+
				"there are")
		return
	}
	j.pass(name, detail+" look like user IDs")
}

// narrower are the kinds of ID that take less, or say more, than another.
func narrower(ids grant.IDs) []grant.IDs {
	if ids == grant.IDsString {
		return []grant.IDs{grant.IDsInt64, grant.IDsUUID}
	}
	return nil
}

// settled reports whether somebody is granted: the kind of ID cannot be changed any more.
func (j *judgement) settled() bool {
	return j.redis.err == nil && j.redis.stored && j.redis.totals.Granted > 0
}

// writeID is the line of a spec that makes IDs of a kind.
func writeID(kind grant.IDs) string {
	return fmt.Sprintf("write id: %s under source (source.id: %s); after the first grant it cannot be changed", kind, kind)
}

// judgeLayout projects what each layout takes, and refuses the wrong one.
func (j *judgement) judgeLayout(users int64, need float64) {
	const name = "sample.ids"
	layout := ledger.LayoutOf(j.Campaign)
	detail := fmt.Sprintf("source.id %s: %s users in %s buckets, %s, %s bytes a user", j.Campaign.Input.IDs, about(users),
		text.Number(int64(layout.Buckets())), memory(need), significant(need/float64(max(users, 1))))
	dense, possible := j.asDense(users)
	switch {
	case possible:
		detail += "; as dense numbers " + between(dense.bytes, memory[float64])
	default:
		detail += "; they are no dense numbers"
	}
	const many = "write population: %d (or more) at the top of the spec: it decides how many buckets there are, and cannot be " +
		"changed after the first grant"
	each := users / int64(layout.Buckets())
	switch {
	case possible && dense.bytes[1] < need/2 && !j.settled():
		j.fail(name, detail, "they lie close together, and dense numbers take less, and can do more: remove id from source")
	case each > ledger.MaxBucket*3/4:
		j.fail(name, fmt.Sprintf("%s; a bucket holds %s users at most", detail, text.Number(ledger.MaxBucket)), fmt.Sprintf(many,
			users))
	case each > roomy && !j.settled():
		j.warn(name, detail+"; buckets as large as that make lookups slow", fmt.Sprintf(many, users))
	default:
		j.pass(name, detail)
	}
}

// asDense is what the IDs would need if they were dense numbers; false: they are none.
func (j *judgement) asDense(users int64) (demand, bool) {
	var visited [][]uint64
	if j.Campaign.Input.IDs != grant.IDsInt64 {
		return demand{}, false
	}
	for i := range j.kafka.samples {
		var ids []uint64
		for _, r := range j.kafka.samples[i].Records {
			switch {
			case r.Reason != "":
			case !r.ID.IsNumber():
				return demand{}, false
			default:
				ids = append(ids, r.ID.Number())
			}
		}
		if len(ids) > 0 {
			visited = append(visited, ids)
		}
	}
	return estimate(visited, users, users, j.Campaign.Population, false), true
}

// judgeOtherKind judges records that hold no ID of the spec's kind, and says of which kind they are, if most are.
func (j *judgement) judgeOtherKind(sampled, invalid int, detail string) bool {
	fit := map[grant.IDs]int{}
	for i := range j.kafka.samples {
		for _, r := range j.kafka.samples[i].Records {
			if r.Fits != "" {
				fit[r.Fits]++
			}
		}
	}
	for _, kind := range []grant.IDs{grant.IDsUUID, grant.IDsInt64, grant.IDsString} {
		n, enough := fit[kind], invalid*2 >= sampled
		if kind == grant.IDsString {
			enough = invalid == sampled // whatever is wrong is a string, too
		}
		if n*10 < invalid*9 || !enough {
			continue
		}
		users := max(j.Campaign.Population, j.recordCount())
		as := *j.Campaign
		as.Input.IDs, as.Input.Normalise = kind, ""
		if j.judgeNumbers(kind, users, detail) {
			return true
		}
		j.fail("sample.valid", fmt.Sprintf("%s; %s of them hold an ID of source.id %s, which takes %s for %s users", detail,
			text.Number(int64(fit[kind])), kind, memory(MembersMemory(&as, float64(users))), about(users)),
			writeID(kind)+writeFormat(&j.Campaign.Input, kind))
		return true
	}
	return false
}

// judgeNumbers says that numbers which are no IDs as the spec reads them are dense ones, if they lie so close together.
func (j *judgement) judgeNumbers(kind grant.IDs, users int64, detail string) bool {
	if kind != grant.IDsInt64 || !j.Campaign.Input.Opaque() {
		return false
	}
	var visited [][]uint64
	for i := range j.kafka.samples {
		var ids []uint64
		for _, r := range j.kafka.samples[i].Records {
			if r.Fits != kind {
				continue
			}
			id, fault := userid.Decimal([]byte(r.Other.String()), grant.MaxUserID)
			if fault != "" {
				return false
			}
			ids = append(ids, id)
		}
		if len(ids) > 0 {
			visited = append(visited, ids)
		}
	}
	as := *j.Campaign
	as.Input.IDs, as.Input.Normalise = kind, ""
	d := estimate(visited, users, users, j.Campaign.Population, false)
	if d.bytes[1] >= MembersMemory(&as, float64(users))/2 {
		return false
	}
	format := ""
	if j.Campaign.Input.Format == grant.FormatText {
		format = " (and format: text, if it is there)"
	}
	j.fail("sample.valid", fmt.Sprintf("%s; they are numbers that lie close together, which take %s for %s users", detail,
		between(d.bytes, memory[float64]), about(users)), "remove id"+format+" from source: they are dense numbers")
	return true
}

// judgeRaw says which format holds IDs of eight bytes, where the spec expects text.
func (j *judgement) judgeRaw(invalid int, detail string) bool {
	in := &j.Campaign.Input
	raw := 0
	for i := range j.kafka.samples {
		for _, r := range j.kafka.samples[i].Records {
			text := !slices.ContainsFunc(r.Data, func(c byte) bool { return c < ' ' || c > '~' })
			if r.Reason != "" && len(r.Data) == 8 && !text {
				raw++
			}
		}
	}
	if raw*10 < invalid*9 || in.Format != grant.FormatDecimal && in.Format != grant.FormatText {
		return false
	}
	advice := "write format: int64be under source"
	if in.IDs == grant.IDsUUID || in.IDs == grant.IDsString {
		advice += ", and remove id if they lie close together, or write id: int64"
	}
	j.fail("sample.valid", detail+"; they look like numbers of eight bytes, as Kafka's LongSerializer writes them", advice)
	return true
}

// writeFormat adds what else has to be changed with the kind of ID.
func writeFormat(in *grant.Input, kind grant.IDs) string {
	out := ""
	switch {
	case in.Format == grant.FormatJSON:
	case kind == grant.IDsInt64 && in.Format == grant.FormatText:
		out = ", and format: decimal"
	case kind != grant.IDsInt64 && in.Format != grant.FormatText:
		out = ", and format: text or nothing"
	}
	if in.MaxID != 0 && in.MaxID != grant.MaxUserID {
		out += ", and remove max_id"
	}
	return out
}
