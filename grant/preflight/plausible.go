package preflight

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/text"
)

// Formats that fit whatever comes grant users who do not exist: eight bytes of anything are an int64be, and a time in
// milliseconds is a decimal number. Each suspicion below is something that IDs counted up by a database do not show.

// fewest is how many different IDs a pattern must have before it is no accident: bits that are the same in all of them are
// that by chance once in 2¹⁶ samples, and each pattern has several.
const fewest = 16

// suspicion is what a sample of IDs looks like instead.
type suspicion struct {
	what   string
	advice string
	// confirmable: IDs of such a size might be real ones, and a max_id in the spec that admits them says that they are.
	confirmable bool
}

// suspect looks at different IDs, ascending, and returns nil when nothing speaks against them.
func suspect(ids []uint64, topic *grant.Input, now time.Time) *suspicion {
	if len(ids) < fewest {
		return nil
	}
	if topic.Format == grant.FormatInt64BE {
		if s := suspectBytes(ids); s != nil {
			return s
		}
	}
	if s := suspectUUID(ids); s != nil {
		return s
	}
	if s := suspectTimes(ids, now); s != nil {
		return s
	}
	if d := divisor(ids); d >= 100 {
		return &suspicion{
			what:   fmt.Sprintf("all of them are multiples of %s", text.Number(d)),
			advice: "amounts are like that, IDs are not", confirmable: true,
		}
	}
	return nil
}

// suspectBytes looks for other things of eight bytes.
func suspectBytes(ids []uint64) *suspicion {
	same, ones := constant(ids) // bits that all have in common, and their values
	all := func(mask, value uint64) bool { return same&mask == mask && ones&mask == value }
	const magic = 0xff << 56
	switch {
	case all(0xffffffffff<<24, ones&(0xffffffff<<24)) && ones&magic == 0 && ones>>24 != 0 && (all(0x808080, 0x808000) || all(0xff8080, ones&0xff0000|0x8000)):
		return &suspicion{
			what:   fmt.Sprintf("they look like the header of a schema registry (0 and schema %d) with an Avro number behind it", ones>>24),
			advice: writeSchemas(map[uint32]int{uint32(ones >> 24): len(ids)}),
		}
	case printable(ids):
		return &suspicion{
			what:   "they look like text of eight characters: " + fmt.Sprintf("%+q", string(bytesOf(ids[0]))),
			advice: "write format: decimal under source, if the text is the ID",
		}
	case all(0xffffff, 0) && wholeFloats(ids):
		return &suspicion{
			what:   fmt.Sprintf("they look like floating-point numbers, such as %.0f", math.Float64frombits(ids[0])),
			advice: "publish the IDs as whole numbers: by LongSerializer, or as text (format: decimal)",
		}
	case all(0xffffff, 0):
		return &suspicion{
			what:   fmt.Sprintf("they look like numbers in the other byte order, such as %d", reverse(ids[0])),
			advice: "publish the IDs with the highest byte first, as LongSerializer does, or as text (format: decimal)",
		}
	}
	return nil
}

// suspectUUID looks for the first half of UUIDs: the version is in bits 12 to 15, and the rest is far apart.
func suspectUUID(ids []uint64) *suspicion {
	same, ones := constant(ids)
	version := ones >> 12 & 0xf
	if same&0xf000 != 0xf000 || version == 0 || version > 8 || ids[len(ids)-1]-ids[0] < 1<<48 || same&0xfff != 0 {
		return nil
	}
	return &suspicion{
		what:   fmt.Sprintf("they look like halves of UUIDs of version %d", version),
		advice: "half a UUID is no user: publish them whole, and write id: uuid under source",
	}
}

// suspectTimes looks for moments from 2000 on, up to a year ahead, as milli-, micro- or nanoseconds since 1970. Seconds are
// ordinary IDs of ten digits.
func suspectTimes(ids []uint64, now time.Time) *suspicion {
	low, high := ids[0], ids[len(ids)-1]
	if low > math.MaxInt64 || high > math.MaxInt64 {
		return nil
	}
	for _, unit := range []struct {
		name string
		of   func(int64) time.Time
	}{
		{"milliseconds", time.UnixMilli},
		{"microseconds", time.UnixMicro},
		{"nanoseconds", func(n int64) time.Time { return time.Unix(0, n) }},
	} {
		first, last := unit.of(int64(low)).UTC(), unit.of(int64(high)).UTC()
		if first.Year() >= 2000 && last.Before(now.AddDate(1, 0, 0)) {
			return &suspicion{
				what:   fmt.Sprintf("they look like times in %s, from %s to %s", unit.name, first.Format(time.DateOnly), last.Format(time.DateOnly)),
				advice: "correct source.path, source.from or source.topic", confirmable: true,
			}
		}
	}
	return nil
}

// constant returns the bits that all IDs have in common, and which of them are 1.
func constant(ids []uint64) (same, ones uint64) {
	same, ones = math.MaxUint64, ids[0]
	for _, id := range ids {
		same &^= id ^ ids[0]
	}
	return same, ones & same
}

func divisor(ids []uint64) (d uint64) {
	for _, id := range ids {
		for a := id; a != 0; {
			d, a = a, d%a
		}
	}
	return d
}

func bytesOf(id uint64) (b []byte) {
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(id>>shift))
	}
	return b
}

func reverse(id uint64) (out uint64) {
	for range 8 {
		out, id = out<<8|id&0xff, id>>8
	}
	return out
}

func printable(ids []uint64) bool {
	return !slices.ContainsFunc(ids, func(id uint64) bool {
		return slices.ContainsFunc(bytesOf(id), func(c byte) bool { return c < ' ' || c > '~' })
	})
}

func wholeFloats(ids []uint64) bool {
	return !slices.ContainsFunc(ids, func(id uint64) bool {
		f := math.Float64frombits(id)
		return f < 1 || f > 1<<53 || f != math.Trunc(f)
	})
}

// judgePlausible judges whether the sample can be IDs as the spec says.
func (j *judgement) judgePlausible() {
	seen := map[uint64]struct{}{}
	valid := 0
	for i := range j.kafka.samples {
		for _, r := range j.kafka.samples[i].Records {
			if r.Reason == "" {
				seen[r.ID.Number()] = struct{}{}
				valid++
			}
		}
	}
	ids := make([]uint64, 0, len(seen))
	for id := range seen {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	const name = "sample.plausible"
	topic := &j.Campaign.Input
	low, high := ids[0], ids[len(ids)-1]
	detail := fmt.Sprintf("IDs such as %d and %d", low, high)
	confirmed := topic.MaxID > 0 && topic.MaxID < grant.MaxUserID
	s := suspect(ids, topic, j.now)
	span := high - low + 1
	// As many records as users are expected, and far fewer IDs than that.
	narrow := j.Campaign.Population > 0 && valid >= 200 && j.recordCount() >= j.Campaign.Population/2 && span < uint64(j.Campaign.Population)/10
	switch {
	case s != nil && s.confirmable && confirmed:
		j.pass(name, detail+": "+s.what+"; the spec says that IDs go up to max_id")
	case s != nil:
		advice := s.advice
		if s.confirmable {
			advice += fmt.Sprintf("; if they are user IDs, say so by max_id: %d (or more) under source", high)
		}
		if j.redis.err == nil && j.redis.stored && j.redis.totals.Granted > 0 {
			j.warn(name, detail+": "+s.what+", and are granted already", advice)
			return
		}
		j.fail(name, detail+": "+s.what, advice)
	case narrow:
		j.fail(name, fmt.Sprintf("%s: there are %s at most, and the spec expects %s users", detail, plural(int64(span), "ID"), text.Number(j.Campaign.Population)),
			"correct source.path or source.topic, if another number was read, or population")
	case valid >= 1000 && len(ids) < valid/10:
		j.warn(name, fmt.Sprintf("%s: only %s in %s", detail, plural(len(ids), "different ID"), plural(valid, "sampled record")),
			"look whether source.path and source.topic name the user's ID: each user is granted once, however many records there are")
	default:
		j.pass(name, detail+" look like user IDs")
	}
}
