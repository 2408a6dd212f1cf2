package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/granter/granter/grant"
)

// PurgeClass is a kind of records that can be removed alone, while the campaign can still be asked about and proven.
type PurgeClass struct {
	Name string
	Has  string // what it consists of
	Lost string // what does not work any more afterwards

	of func(name string) bool // whether a key belongs to it, by its name behind granter:{C}:
}

// The classes that are more than keys to be removed.
const (
	ClassSamples = "samples"
	ClassTrail   = "trail"
)

// PurgeClasses are the classes that can be removed alone. Nothing that decides who has what, or proves it, is in one of them,
// so whatever is removed, and wherever that is cut off, a replay of the topic grants nobody again.
func PurgeClasses() []PurgeClass {
	named := func(names ...string) func(string) bool {
		return func(name string) bool { return slices.Contains(names, name) }
	}
	return []PurgeClass{
		{
			ClassSamples, "samples of rejected records, as runs saw them",
			"status and the page show no examples of what was rejected; the numbers stay", named("runs"),
		},
		{
			"proposals", "acts that two people decided on: lists of users, reasons, names",
			"an act that was approved and stopped half way cannot be continued, and what waits has to be proposed again",
			func(name string) bool { return name == "proposals" || strings.HasPrefix(name, "proposed:") },
		},
		{
			"subscribers", "how far subscribers of events have read, and how they were served",
			"granter publish begins anew, and sends all events again, with the same IDs; hooks are told again",
			func(name string) bool { return strings.HasPrefix(name, "published:") },
		},
		{
			ClassTrail, "the audit trail: who ordered and did what, when and why",
			"granter history begins with the purge; acts about users keep who did them", named("history", "refusals"),
		},
	}
}

// kept are the records that are not removed alone, and why.
var kept = map[string]string{
	"members": "without the bitmaps a replay of the topic grants everybody again",
	"journals": "they are what bitmaps are proven by, and say since when items count: without them a lookup fails, " +
		"and so does status --prove",
	"states":       "they are who is revoked or excluded: without them users get back what was taken away",
	"notes":        "they are in the journals",
	"replays":      "without them a rejected record that is repaired in another way grants a second user",
	"takes":        "without them users take items a second time, and more than the quota",
	"checkpoints":  "nobody is named in them, and a run reads the topic from its first record without them",
	"access-log":   "it is of all campaigns, and has a retention of its own: granter access purge --before TIME",
	"dead-letters": "they are in Kafka: kafka-topics.sh --delete --topic …, or let their retention remove them",
}

// ParsePurgeClasses finds classes by their names.
func ParsePurgeClasses(names []string) (classes []PurgeClass, err error) {
	known := PurgeClasses()
	all := make([]string, 0, len(known))
	for _, c := range known {
		all = append(all, c.Name)
		if slices.Contains(names, c.Name) {
			classes = append(classes, c)
		}
	}
	var errs []error
	for _, name := range names {
		switch why := kept[name]; {
		case slices.Contains(all, name):
		case name == "access-log" || name == "dead-letters" || name == "checkpoints":
			errs = append(errs, fmt.Errorf("%s cannot be purged here: %s", name, why))
		case why != "":
			errs = append(errs, fmt.Errorf("%s cannot be purged alone: %s. A purge of everything, without --only, leaves a mark "+
				"that keeps anybody from being granted again", name, why))
		default:
			errs = append(errs, fmt.Errorf("%q is no class of records: want some of %s", name, strings.Join(all, ", ")))
		}
	}
	if len(names) == 0 {
		errs = append(errs, fmt.Errorf("no class of records is named: want some of %s", strings.Join(all, ", ")))
	}
	return classes, errors.Join(errs...)
}

// Classes says what there is of some classes: records, and a digest of them. It is the same for the same records, in whatever
// Redis they are, so an export that was kept proves what went: import it elsewhere, and ask there.
func (p *Purger) Classes(ctx context.Context, classes []PurgeClass) (found []grant.Purged, err error) {
	names, err := p.reader.campaignKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range classes {
		of := grant.Purged{Class: c.Name}
		digest := sha256.New()
		for _, name := range names {
			if !c.of(name) {
				continue
			}
			records, err := p.records(ctx, name, c.Name)
			if err != nil {
				return nil, err
			}
			of.Records += int64(len(records))
			if name == "history" {
				p.trail = records
			}
			for _, record := range records {
				for _, text := range append([]string{name}, record...) {
					digest.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
					digest.Write([]byte(text))
				}
			}
		}
		of.Digest = hex.EncodeToString(digest.Sum(nil))
		found = append(found, of)
	}
	return found, nil
}

// records returns the records of a key: of a hash its fields with their values, sorted, as the members of a set are; of a list
// its elements, in their order.
func (p *Purger) records(ctx context.Context, name, class string) (out [][]string, err error) {
	seen := map[string]bool{}
	err = p.reader.readLong(ctx, name, func(part Part) error {
		step := 1
		if part.Kind == PartHash {
			step = 2
		}
		for record := range slices.Chunk(part.Items, step) {
			if class == ClassSamples {
				of, err := samplesOf(record[1])
				if err != nil {
					return fmt.Errorf("%w: %s[%s]: %w", ErrInconsistent, name, record[0], err)
				}
				for _, sample := range of {
					out = append(out, []string{record[0], sample})
				}
				continue
			}
			if part.Kind != PartList && seen[record[0]] {
				continue // a scan may name an element twice
			}
			seen[record[0]] = true
			out = append(out, slices.Clone(record))
		}
		if part.Kind != PartList {
			slices.SortFunc(out, slices.Compare)
		}
		return nil
	})
	return out, err
}

func samplesOf(run string) (samples []string, err error) {
	var r grant.RunRecord
	if err := json.Unmarshal([]byte(run), &r); err != nil {
		return nil, err
	}
	for i := range r.Samples {
		text, err := json.Marshal(&r.Samples[i])
		if err != nil {
			return nil, err
		}
		samples = append(samples, string(text))
	}
	return samples, nil
}

// RemoveClasses removes what there is of some classes, as Classes has counted them. It may be cut off anywhere, and be done
// again. Of the trail it leaves what came after the entries that were counted: the entry of the purge itself is among them.
func (p *Purger) RemoveClasses(ctx context.Context, classes []PurgeClass) error {
	names, err := p.reader.campaignKeys(ctx)
	if err != nil {
		return err
	}
	for _, c := range classes {
		for _, name := range names {
			if !c.of(name) {
				continue
			}
			key := "granter:{" + p.keys.campaign + "}:" + name
			err := p.retry(ctx, "removing "+key, func() error {
				switch {
				case c.Name == ClassSamples:
					return p.removeSamples(ctx)
				case key == p.keys.history:
					return p.shorten(ctx)
				default:
					return p.client.Unlink(ctx, key).Err()
				}
			})
			if err != nil {
				return fmt.Errorf("%w; do it again", err)
			}
		}
	}
	return nil
}

// replaceScript replaces a field, if it is as it was read: a run that lives on writes its record, too.
//
//	KEYS  hash
//	ARGV  field, as it was read, new
const replaceScript = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`

// removeSamples takes the samples out of the records of runs.
func (p *Purger) removeSamples(ctx context.Context) error {
	found, err := p.changeSamples(ctx, func(*grant.Reject) bool { return false }, false)
	if err == nil && len(found.written) > 0 {
		err = fmt.Errorf("%w: run %s goes on: end it", ErrPurgeRefused, found.written[0])
	}
	return err
}

// sampled says which samples were taken out of the records of runs.
type sampled struct {
	gone    int
	open    []string // runs of them that have not ended: those that go on write their samples again
	written []string // runs that wrote their record meanwhile: it stays as it is
}

// changeSamples takes the samples that are not to stay out of the records of runs, and leaves everything else in them as it is.
// With dry, it counts.
func (l *Store) changeSamples(ctx context.Context, stays func(*grant.Reject) bool, dry bool) (out sampled, err error) {
	runs, err := l.client.HGetAll(ctx, l.keys.runs).Result()
	if err != nil {
		return out, err
	}
	for _, run := range slices.Sorted(maps.Keys(runs)) {
		less, n, err := withoutSamples(runs[run], stays)
		var record grant.RunRecord
		if err == nil {
			err = json.Unmarshal([]byte(runs[run]), &record)
		}
		if err != nil {
			return out, fmt.Errorf("%w: %s[%s]: %w", ErrInconsistent, l.keys.runs, run, err)
		}
		if n > 0 && !record.State.Over() {
			out.open = append(out.open, run)
		}
		if out.gone += n; n == 0 || dry {
			continue
		}
		done, err := NewCoordination(l).call(ctx, &replaceCall, []string{l.keys.runs}, run, runs[run], less)
		if err != nil {
			return out, err
		}
		if done == 0 {
			out.written = append(out.written, run)
		}
	}
	return out, nil
}

// withoutSamples returns the record of a run without some of its samples, and how many went.
func withoutSamples(run string, stays func(*grant.Reject) bool) (less string, gone int, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(run), &fields); err != nil {
		return "", 0, err
	}
	var samples []grant.Reject
	if text, ok := fields["samples"]; ok {
		if err := json.Unmarshal(text, &samples); err != nil {
			return "", 0, err
		}
	}
	all := len(samples)
	samples = slices.DeleteFunc(samples, func(r grant.Reject) bool { return !stays(&r) })
	if delete(fields, "samples"); len(samples) > 0 {
		if fields["samples"], err = json.Marshal(samples); err != nil {
			return "", 0, err
		}
	}
	text, err := json.Marshal(fields)
	return string(text), all - len(samples), err
}

// shortenScript removes the first elements of a list, if they are those that were read: when it is sent again, or somebody else
// does the same, nothing more goes.
//
//	KEYS  list
//	ARGV  the elements
const shortenScript = `
local first = redis.call('LRANGE', KEYS[1], 0, #ARGV - 1)
for i = 1, #ARGV do
  if first[i] ~= ARGV[i] then
    return 0
  end
end
redis.call('LTRIM', KEYS[1], #ARGV, -1)
return 1`

var (
	replaceCall = newScript(replaceScript)
	shortenCall = newScript(shortenScript)
)

func (p *Purger) shorten(ctx context.Context) error {
	if len(p.trail) == 0 {
		return nil
	}
	counted := make([]any, len(p.trail))
	for i, record := range p.trail {
		counted[i] = record[0]
	}
	_, err := p.reader.coordination.call(ctx, &shortenCall, []string{p.keys.history}, counted...)
	return err
}

// Leased reports whether a run, or somebody who acts, may write.
func (p *Purger) Leased(ctx context.Context) (bool, error) {
	leases, err := p.client.HVals(ctx, p.keys.leases).Result()
	if err != nil {
		return false, err
	}
	now, err := NewCoordination(p.Store).Now(ctx)
	if err != nil {
		return false, err
	}
	for _, lease := range leases {
		text, _, _ := strings.Cut(lease, " ")
		if till, bad := strconv.ParseInt(text, 10, 64); bad == nil && till > now.UnixMilli() {
			return true, nil
		}
	}
	return false, nil
}
