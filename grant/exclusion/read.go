package exclusion

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/userid"
)

// Reader reads the lists of a campaign. Nil is one that cannot.
type Reader struct {
	Campaign *grant.Campaign
	Folder   string // of the spec, which files are seen from
	// Kafka are the settings of the source for a topic; the topic is filled in.
	Kafka source.Config
}

// Read reads all lists to where they end now. A *BadError is about what they say, any other about reaching them.
func (r *Reader) Read(ctx context.Context) (*List, error) {
	b := &builder{List: listOf(r.Campaign), known: map[string]uint32{}}
	for i := range r.Campaign.Exclude {
		e := &r.Campaign.Exclude[i]
		before := len(b.entries)
		var err error
		if e.File != "" {
			err = r.file(e, b)
		} else {
			err = r.topic(ctx, e, b)
		}
		if err != nil {
			return nil, fmt.Errorf("exclude: %s: %w", e.Name(), err)
		}
		b.Sources = append(b.Sources, Count{e.Name(), int64(len(b.entries) - before)})
	}
	return b.list()
}

// file reads a CSV file. What cannot be read stands beside the other problems, so that all are told at once.
func (r *Reader) file(e *grant.Exclude, b *builder) error {
	path := e.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.Folder, path)
	}
	f, err := os.Open(path) //nolint:gosec // the spec names the file
	if err != nil {
		b.problem("exclude: %w", err)
		return nil
	}
	defer f.Close()
	before, problems := len(b.entries), len(b.problems)+b.more
	_, err = acts.ScanFile(bufio.NewReaderSize(f, 1<<20), &r.Campaign.Input, func(line int, row acts.Row) error {
		reason := cmp.Or(row.Reason, e.Reason)
		switch {
		case row.Err != nil:
			b.problem("%s:%d: %w", e.File, line, row.Err)
		case reason == "":
			b.problem("%s:%d: the user has no reason: write one into a column reason, or for all into the spec", e.File, line)
		default:
			return b.add(row.User, reason)
		}
		return nil
	})
	switch {
	case err != nil:
		b.problem("%s: %w", e.File, err)
	case len(b.entries) == before && len(b.problems)+b.more == problems:
		b.problem("%s: the file names no user: remove it from exclude if nobody is to be excluded", e.File)
	}
	return nil
}

// topic reads a topic whose keys are users and whose values reasons, up to where it ends now.
func (r *Reader) topic(ctx context.Context, e *grant.Exclude, b *builder) error {
	visit := func(at Place, user grant.UserID, reason string, bad error) error {
		reason = cmp.Or(reason, e.Reason)
		if bad == nil {
			bad = grant.ValidateWhy(reason)
		}
		if bad != nil {
			b.problem("topic %s, partition %d, offset %d: %w", e.Topic, at.Partition, at.Offset, bad)
			return nil
		}
		return b.add(user, reason)
	}
	return ReadTopic(ctx, r.Kafka, e.Topic, &r.Campaign.Input, visit)
}

// Place is where a record is.
type Place struct {
	Partition int
	Offset    int64
}

// ReadTopic hands each record of a topic of users, up to where it ends now, to visit: the key is the user's ID as text, as people
// type it, the value the reason, empty if there is none, also where the record has no value. bad says why the key is no user.
func ReadTopic(ctx context.Context, cfg source.Config, topic string, in *grant.Input,
	visit func(at Place, user grant.UserID, reason string, bad error) error,
) error {
	cfg.Topic, cfg.Pass = grant.Input{Topic: topic, Format: grant.FormatDecimal}, grant.Pass{Private: true}
	src, err := source.New(cfg)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // only idle connections are closed
	if _, err := src.Identify(ctx); err != nil {
		return err
	}
	form := userid.FormOf(in)
	bounds, err := src.Bounds(ctx)
	if err != nil {
		return err
	}
	for _, partition := range bounds.Partitions() {
		end := bounds.Ends[partition]
		next, err := src.Read(ctx, partition, bounds.Firsts[partition], end, func(offset int64, p *source.Parts) error {
			user, bad := form.Parse(string(p.Key))
			return visit(Place{partition, offset}, user, string(p.Value), bad)
		})
		if err == nil && next < end {
			err = fmt.Errorf("partition %d: an open transaction holds the records from offset %d on back", partition, next)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Unreadable reports whether lists say something that cannot be used; otherwise a server did not answer.
func Unreadable(err error) bool {
	_, bad := errors.AsType[*BadError](err)
	return bad
}
