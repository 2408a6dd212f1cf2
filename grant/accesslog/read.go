package accesslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const page = 1000 // entries read at once

// Violation is one thing that is wrong with a log.
type Violation struct {
	N    int64  `json:"n"` // the entry, or the one that is missing
	What string `json:"what"`
}

// Verdict says whether a log is what was written.
type Verdict struct {
	Entries    int64       `json:"entries"`
	From       int64       `json:"from"` // the first entry that is there; older ones were removed
	Head       Head        `json:"-"`
	End        string      `json:"end"` // Head as text, for keeping it elsewhere
	Violations []Violation `json:"violations"`
}

const maxViolations = 100

func (v *Verdict) wrong(n int64, format string, args ...any) {
	if len(v.Violations) < maxViolations {
		v.Violations = append(v.Violations, Violation{n, fmt.Sprintf(format, args...)})
	}
}

// Holds reports whether nothing is wrong.
func (v *Verdict) Holds() bool { return len(v.Violations) == 0 }

// Verify reads the whole log, and says what is wrong with it: entries that were changed, that are missing, or that were put
// between, and an end that is not the one that the log says, or, if known is not zero, that somebody kept of it.
func (l *Log) Verify(ctx context.Context, known Head) (*Verdict, error) {
	v := &Verdict{Violations: []Violation{}}
	bounds, err := l.client.HMGet(ctx, headKey, "n", "digest", "first_n", "first_digest").Result()
	if err != nil {
		return nil, err
	}
	end, err := headOf(bounds[0], bounds[1])
	if err != nil {
		return nil, err
	}
	last, err := headOf(bounds[2], bounds[3])
	if err != nil {
		return nil, err
	}
	v.From = last.N + 1
	seen := known.N <= last.N // also when it is gone by a purge
	err = l.each(ctx, "-", func(id string, text []byte, found string, e *Entry) bool {
		if last.N == end.N { // it came since
			return false
		}
		v.Entries++
		switch {
		case e == nil:
			v.wrong(last.N+1, "the entry %s of the stream is not one of this log", id)
			return true
		case e.N != last.N+1:
			v.wrong(last.N+1, "entries from %d are missing: %d comes next", last.N+1, e.N)
		case digest(last.Digest, text) != found:
			v.wrong(e.N, "it was changed, or the one before it: the digest does not fit")
		}
		last = Head{e.N, found}
		if last.N == known.N {
			seen = last == known
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if last != end {
		v.wrong(end.N, "the log is said to end with entry %s, and ends with %s", end, last)
	}
	if !seen {
		v.wrong(known.N, "the entry that was kept elsewhere (%s) is not in the log", known)
	}
	v.Head, v.End = end, end.String()
	return v, nil
}

func headOf(n, digest any) (Head, error) {
	if n == nil {
		return Head{}, nil
	}
	var h Head
	var err error
	h.N, err = strconv.ParseInt(fmt.Sprint(n), 10, 64)
	h.Digest, _ = digest.(string)
	if err != nil {
		err = fmt.Errorf("%s: %w", headKey, err)
	}
	return h, err
}

// Query says which entries somebody wants. Zero fields ask for all.
type Query struct {
	From, To time.Time // To excluded
	Who      string
	User     string // decimal
}

// Each hands the entries that a query asks for to fn, oldest first.
func (l *Log) Each(ctx context.Context, q Query, fn func(*Entry) error) error {
	start := "-"
	if !q.From.IsZero() {
		start = strconv.FormatInt(q.From.UnixMilli(), 10)
	}
	var failed error
	err := l.each(ctx, start, func(id string, _ []byte, _ string, e *Entry) bool {
		switch {
		case e == nil:
			failed = fmt.Errorf("%s: the entry %s is not one of this log: granter access verify says more", logKey, id)
		case !q.To.IsZero() && !e.At.Before(q.To):
			return false
		case e.At.Before(q.From), q.Who != "" && e.Who != q.Who, q.User != "" && (e.User == nil || q.User != e.User.String()):
		default:
			failed = fn(e)
		}
		return failed == nil
	})
	return errors.Join(failed, err)
}

// each hands all elements of the stream from an ID on to fn until that returns false; an element that is no entry is nil.
func (l *Log) each(ctx context.Context, start string, fn func(id string, text []byte, digest string, e *Entry) bool) error {
	for {
		some, err := l.client.XRangeN(ctx, logKey, start, "+", page).Result()
		if err != nil {
			return err
		}
		for _, x := range some {
			says, _ := x.Values["says"].(string)
			found, _ := x.Values["digest"].(string)
			e := new(Entry)
			if json.Unmarshal([]byte(says), e) != nil {
				e = nil
			}
			if !fn(x.ID, []byte(says), found, e) {
				return nil
			}
		}
		if len(some) < page {
			return nil
		}
		start = "(" + some[len(some)-1].ID
	}
}

// Purge removes the entries before a time, and records that, with who did it and why. The chain goes on from the last of them.
func (l *Log) Purge(ctx context.Context, before time.Time, who, from, why string) (removed int64, err error) {
	ms := before.UnixMilli()
	some, err := l.client.XRevRangeN(ctx, logKey, strconv.FormatInt(ms-1, 10), "-", 1).Result()
	if err != nil || len(some) == 0 {
		return 0, err
	}
	says, _ := some[0].Values["says"].(string)
	found, _ := some[0].Values["digest"].(string)
	var last Entry
	if err := json.Unmarshal([]byte(says), &last); err != nil {
		return 0, fmt.Errorf("%s: the entry %s: %w", logKey, some[0].ID, err)
	}
	first, err := l.client.HGet(ctx, headKey, "first_n").Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, err
	}
	e := Entry{Who: who, From: from, What: WhatPurge, Why: why, Gone: last.N}
	return last.N - first, l.append(ctx, []Entry{e}, &purge{strconv.FormatInt(ms, 10), Head{last.N, found}})
}
