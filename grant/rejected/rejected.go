// Package rejected shows the records of a topic that held no valid user ID, and replays them once somebody says what they mean:
// each of them once, through the ordinary grant path, whoever is killed in between and however often it is done.
package rejected

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// Letters are where rejected records come from: source.Source.
type Letters interface {
	// EachLetter hands every record of the dead-letter topic to visit; nil is for one that no granter wrote. One may come more
	// than once.
	EachLetter(ctx context.Context, visit func(*source.Letter) error) error
}

// Place names a rejected record inside its topic.
type Place struct {
	Partition int
	Offset    int64
}

// ParsePlace reads PARTITION/OFFSET.
func ParsePlace(s string) (p Place, err error) {
	partition, offset, _ := strings.Cut(s, "/")
	p.Partition, err = strconv.Atoi(partition)
	if err == nil {
		p.Offset, err = strconv.ParseInt(offset, 10, 64)
	}
	if err != nil || p.Partition < 0 || p.Offset < 0 {
		return p, fmt.Errorf("%q: want PARTITION/OFFSET, such as 3/1207: where the record was in the topic, as granter "+
			"rejected list shows it", s)
	}
	return p, nil
}

func (p Place) String() string { return fmt.Sprintf("%d/%d", p.Partition, p.Offset) }

// Filter says which letters are meant. Its zero value is all of them.
type Filter struct {
	Reasons    []source.Reason
	Partitions []int
	Runs       []grant.RunID
	Places     []Place
}

func among[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

func (f *Filter) takes(l *source.Letter) bool {
	return among(f.Reasons, l.Reason) && among(f.Partitions, l.Partition) && among(f.Runs, l.Run) &&
		among(f.Places, Place{l.Partition, l.Offset})
}

// letter is one that is meant, with the name that the ledger knows it by.
type letter struct {
	*source.Letter
	name string
	id   grant.TopicID
}

// reader reads the letters of a campaign: each once, and those of other campaigns that share the topic not at all.
type reader struct {
	from     Letters
	campaign *grant.Campaign
	topics   map[grant.RunID]grant.TopicID // of runs, for letters that do not say
	filter   Filter
	foreign  int64
}

func newReader(from Letters, c *grant.Campaign, runs []grant.RunRecord, filter Filter) *reader {
	r := &reader{from: from, campaign: c, topics: map[grant.RunID]grant.TopicID{}, filter: filter}
	for i := range runs {
		r.topics[runs[i].Run] = runs[i].Topic
	}
	return r
}

// seen tells letters apart: 24 bytes each.
type seen struct {
	topic  int
	offset int64
}

// each hands every letter that is meant to fn, once.
func (r *reader) each(ctx context.Context, fn func(letter) error) error {
	ids, known := map[grant.TopicID]int{}, map[int]map[seen]struct{}{} // by partition
	return r.from.EachLetter(ctx, func(l *source.Letter) error {
		if l == nil || l.Campaign != r.campaign.Name || l.Topic != r.campaign.Input.Topic {
			r.foreign++
			return nil
		}
		if !r.filter.takes(l) {
			return nil
		}
		id := l.TopicID
		if id == (grant.TopicID{}) {
			id = r.topics[l.Run]
		}
		if _, ok := ids[id]; !ok {
			ids[id] = len(ids)
		}
		if known[l.Partition] == nil {
			known[l.Partition] = map[seen]struct{}{}
		}
		key := seen{ids[id], l.Offset}
		if _, again := known[l.Partition][key]; again {
			return nil
		}
		known[l.Partition][key] = struct{}{}
		return fn(letter{Letter: l, id: id, name: fmt.Sprintf("%s/%d/%d", id, l.Partition, l.Offset)})
	})
}
