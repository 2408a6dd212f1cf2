package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// places are offsets of one partition. It is safe for concurrent use.
type places struct {
	mu    sync.Mutex
	pages map[uint64]*page
}

func newPlaces() *places { return &places{pages: map[uint64]*page{}} }

func (p *places) add(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	chunk := uint64(offset) >> chunkBits
	if p.pages[chunk] == nil {
		p.pages[chunk] = new(page)
	}
	p.pages[chunk].set(uint16(offset))
}

func (p *places) has(offset int64) bool {
	found := p.pages[uint64(offset)>>chunkBits]
	return found != nil && found.has(uint16(offset))
}

// without returns the offsets that others do not have.
func (p *places) without(o *places) *places {
	out := newPlaces()
	for chunk, mine := range p.pages {
		out.pages[chunk] = mine.without(o.pages[chunk])
	}
	return out
}

// some returns how many offsets there are, and the first of them.
func (p *places) some(limit int) (n int64, first []int64) {
	for _, chunk := range sortedKeys(p.pages) {
		n += p.pages[chunk].count()
		p.pages[chunk].each(func(low uint16) {
			if len(first) < limit {
				first = append(first, int64(chunk<<chunkBits|uint64(low)))
			}
		})
	}
	return n, first
}

// malformed returns what notes the malformed records of a partition. They take a bit for each record of where they are.
func (a *audit) malformed(partition int, part part) func(offset int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.counting {
		return func(int64) {}
	}
	into := a.rejected[partition]
	if into == nil {
		into = &rejects{must: newPlaces(), may: newPlaces(), found: newPlaces(), stray: newPlaces(), used: newPlaces()}
		a.rejected[partition] = into
	}
	if part == beyond {
		return into.may.add
	}
	return into.must.add
}

// rejects are the malformed records of one partition.
type rejects struct {
	must  *places // below the checkpoint: they must be in the dead-letter topic
	may   *places // behind it: a run may have stored them
	found *places // in the dead-letter topic
	stray *places // in the dead-letter topic, and not malformed
	used  *places // whose user a replay granted
}

const again = "granter rejected recover writes them again, from the records of the topic. The dead-letter topic's " +
	"retention.ms should be -1"

// letters compares the malformed records with the dead-letter topic.
func (a *audit) letters(ctx context.Context) error {
	topic, where := a.Campaign.Input.Topic, "topic "+a.Campaign.Input.DeadLetterTopic()
	broken, strange, stranger := int64(0), int64(0), Letter{}
	gone, err := a.Letters.Each(ctx, func(l Letter) {
		if l.Topic != topic || l.Campaign != a.Campaign.Name || a.foreign[l.Run] {
			return
		}
		if l.Broken != "" {
			broken++
			a.findings.add(LetterUnreadable, where, broken, "a dead letter does not say which record it is: "+l.Broken,
				"Find out who wrote it")
			return
		}
		a.report.Letters.Letters++
		r, p := a.rejected[l.Partition], a.partitions[l.Partition]
		switch {
		case p != nil && l.Offset < p.First || a.missing(l.Partition, l.Offset, l.Offset): // the record is gone
		case r == nil || !r.must.has(l.Offset) && !r.may.has(l.Offset):
			if r == nil {
				r = &rejects{must: newPlaces(), may: newPlaces(), found: newPlaces(), stray: newPlaces(), used: newPlaces()}
				a.rejected[l.Partition] = r
			}
			r.stray.add(l.Offset)
		default:
			r.found.add(l.Offset)
			if !r.must.has(l.Offset) && a.stranger(l.Run) {
				strange, stranger = strange+1, l
			}
		}
	})
	if err != nil {
		return err
	}
	a.strangers(where, strange, stranger)
	for partition, r := range a.rejected {
		n, _ := r.must.some(0)
		a.report.Letters.Malformed += n
		kind, what := NoLetter, "malformed records below the checkpoint are not in the dead-letter topic"
		if gone > 0 { // it may have had them
			kind, what = LettersGone, "the dead-letter topic no longer has its first records, and none of these malformed ones"
		}
		a.findings.records(kind, partition, r.must.without(r.found), what, again)
		a.findings.records(StrayLetter, partition, r.stray, "dead letters are of records that are not malformed, or not there",
			"The spec's source was changed, or another program writes to the dead-letter topic")
	}
	return nil
}

// letterTopic reads the dead-letter topic with granter's own client.
type letterTopic struct{ *source.Source }

// LettersOf reads the dead letters of a source of their topic. It closes the source.
func LettersOf(s *source.Source) Letters { return letterTopic{s} }

// Each implements Letters.
func (t letterTopic) Each(ctx context.Context, visit func(Letter)) (gone int64, err error) {
	defer t.Close() //nolint:errcheck // only idle connections are closed
	bounds, err := t.Peek(ctx)
	if errors.Is(err, kafka.UnknownTopicOrPartition) { // nothing was rejected yet
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, partition := range bounds.Partitions() {
		first, end := bounds.Firsts[partition], bounds.Ends[partition]
		gone += first
		err := t.Find(ctx, partition, first, end, func(*source.Parts) bool { return true }, func(r source.Record) error {
			visit(LetterOf(func(key string) string {
				at := slices.IndexFunc(r.Headers, func(h source.Header) bool { return h.Key == key })
				if at < 0 {
					return ""
				}
				return string(r.Headers[at].Value)
			}))
			return nil
		}, func(int64) {})
		if err != nil {
			return gone, fmt.Errorf("reading dead letters: %w", err)
		}
	}
	return gone, nil
}

// LetterOf reads where a dead letter says that it is from, by the headers that find finds; one that is not there is empty.
func LetterOf(find func(key string) string) (l Letter) {
	l.Topic, l.Campaign = find(source.HeaderTopic), find(source.HeaderCampaign)
	partition, err := strconv.ParseInt(find(source.HeaderPartition), 10, 32)
	offset, err2 := strconv.ParseInt(find(source.HeaderOffset), 10, 64)
	run, err3 := grant.ParseRunID(find(source.HeaderRun))
	l.Partition, l.Offset, l.Run = int(partition), offset, run
	if err := errors.Join(err, err2, err3); err != nil {
		l.Broken = strings.ReplaceAll(err.Error(), "\n", ", ")
	}
	return l
}
