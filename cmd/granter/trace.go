package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
)

// traceAll adds to the answers of one campaign what its topic has of their users, if that was asked for.
func (v *verification) traceAll(cmd *cobra.Command, s *subjects, subject *desk.Subject, answers []lookup.Answer) error {
	if v.trace == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), v.traceFor)
	defer cancel()
	spec, _, err := subject.Lookup().InForce(ctx)
	if err != nil {
		return err
	}
	src, err := source.New(source.Config{Kafka: s.kafka, Topic: spec.Input, Campaign: spec.Name, RetryFor: v.timeout})
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // only idle connections are closed
	update, stop := newScreen(cmd.ErrOrStderr()).start("searching " + spec.Input.Topic)
	defer stop()
	tracer := newTracer(src, spec, v.trace == traceTopic)
	tracer.Progress = func(done, all int64) { update(done, all, "") }
	if err := tracer.Trace(ctx, subject.Lookup(), answers); err != nil {
		return fmt.Errorf("tracing in %s: %w", spec.Input.Topic, explain(err, v.brokers))
	}
	return nil
}

// newTracer traces users in a campaign's topic and, where all of it is searched, its dead letters.
func newTracer(src *source.Source, spec *grant.Campaign, whole bool) *lookup.Tracer {
	return &lookup.Tracer{
		Topic: src, Input: spec.Input, Whole: whole,
		Letters: func() (lookup.Topic, func() error, error) {
			letters, err := src.Letters()
			if err != nil {
				return nil, nil, err
			}
			return letters, letters.Close, nil
		},
	}
}

// trace is how a desk traces, for somebody who waits for a page.
func (s *subjects) trace(ctx context.Context, subject *desk.Subject, answers []lookup.Answer, whole bool) error {
	spec, _, err := subject.Lookup().InForce(ctx)
	if err != nil {
		return err
	}
	src, err := source.New(source.Config{Kafka: s.kafka, Topic: spec.Input, Campaign: spec.Name, RetryFor: askFor})
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // only idle connections are closed
	return explain(newTracer(src, spec, whole).Trace(ctx, subject.Lookup(), answers), s.brokers)
}

// traceEverywhere traces users in all campaigns: where they were granted and, with --trace=topic, everywhere.
func (v *verification) traceEverywhere(cmd *cobra.Command, subjects []*desk.Subject, byUser [][]lookup.Answer) error {
	if v.trace == "" {
		return nil
	}
	s, done, err := v.subjects()
	if err != nil {
		return err
	}
	defer done()
	for _, subject := range subjects {
		var traced []lookup.Answer
		var into []*lookup.Answer
		for _, answers := range byUser {
			for i := range answers {
				a := &answers[i]
				if a.Campaign == subject.Campaign.Name && a.Known && (a.Granted || v.trace == traceTopic) {
					traced, into = append(traced, *a), append(into, a)
				}
			}
		}
		if len(traced) == 0 {
			continue
		}
		if err := v.traceAll(cmd, s, subject, traced); err != nil {
			return err
		}
		for i, a := range into {
			*a = traced[i]
		}
	}
	return nil
}

func printTrace(w io.Writer, t *lookup.Trace) {
	if t == nil {
		return
	}
	where := "in the ranges of the grant"
	if t.Whole {
		where = "in the whole topic"
	}
	fmt.Fprintf(w, "  trace: %s %s, of %s records that were searched\n", times(t.Times), where, text.Number(t.Searched))
	if t.Problem != "" {
		fmt.Fprintf(w, "  trace: %s\n", t.Problem)
	}
	for i := range t.Records {
		printRecord(w, &t.Records[i])
	}
	if more := t.Times - int64(len(t.Records)); more > 0 {
		fmt.Fprintf(w, "    and %s records more\n", text.Number(more))
	}
	for _, l := range t.Letters {
		fmt.Fprintf(w, "    rejected (%s): offset %s of partition %d: %s\n", l.Reason, text.Number(l.Offset), l.Partition,
			l.Value)
	}
}

func times(n int64) string {
	if n == 1 {
		return "the ID is there once"
	}
	return fmt.Sprintf("the ID is there %s times", text.Number(n))
}

func printRecord(w io.Writer, r *lookup.Record) {
	at := "without a time"
	if r.Time != nil {
		at = text.Moment(r.Time.Local())
		if r.ByBroker {
			at += " by the broker's clock"
		}
	}
	fmt.Fprintf(w, "    offset %s of partition %d of %s, %s\n", text.Number(r.Offset), r.Partition, r.Topic, at)
	fmt.Fprintf(w, "      key %s, value %s\n", field(r.Key), field(r.Value))
	headers := []string{}
	for _, h := range r.Headers {
		headers = append(headers, h.Key+"="+field(h.Value))
	}
	if len(headers) > 0 {
		fmt.Fprintf(w, "      headers %s\n", strings.Join(headers, ", "))
	}
}

func field(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}
