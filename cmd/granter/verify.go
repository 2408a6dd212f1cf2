package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

// verification is one call of granter verify.
type verification struct {
	connection
	trace    string // "", traceGrant or traceTopic
	traceFor time.Duration
	why, who string // of a list
}

// What --trace reads.
const (
	traceGrant = "grant" // the ranges that a grant names; of who has none, the topic
	traceTopic = "topic" // the whole topic and its dead letters
)

func newVerify() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify [-f SPEC | --campaign NAME] USER...|-",
		Short: "Say whether users have been granted a campaign, when, and until when; or why not",
		Long: `Verify answers the question of support for one or more users: granted or not, when, by which run and replica, from which
records of the topic, and how each item stands; and who has nothing, why, and what to do next. Without -f or --campaign it
answers for every campaign of the ledger. Instead of users, - reads them from the standard input, one ID a line: ten
thousand take about a second. More than 20 at once need a --reason, which is kept in the access log (granter access) with
whose records were read, and by whom.

A flush journals the users of many records at once, so it is known that the user's record is one of those, not which.
--trace reads those again and shows the record itself, with its time, key and headers. Of who has not been granted a
campaign that was named, it searches the whole topic, and the dead letters; --trace=topic does so for everybody, and counts
how often the ID came again. It reads as fast as a run does, and stops after --trace-for.

` + exitHelp,
		Example: `  granter verify 12345678
  granter verify -f deploy/campaigns/emoticons.yaml 12345678
  granter verify --campaign sorry-2022 --trace 12345678
  granter verify -f deploy/campaigns/emoticons.yaml --json --reason "ticket 4711" - < users.txt | jq '.[] | select(.granted | not).user'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("which user? Give one or more user IDs, or - to read them from the standard input"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if v.trace != "" && v.trace != traceGrant && v.trace != traceTopic {
				return usageError(fmt.Errorf("--trace %q: want %s or %s", v.trace, traceGrant, traceTopic))
			}
			one := v.spec != "" || v.name != ""
			in := grant.Input{}
			if one {
				camp, err := v.subject(cmd.Context())
				if err != nil {
					return err
				}
				in = camp.Input
			}
			users, malformed := userIDs(cmd.Context(), in, args, cmd.InOrStdin()) // before anybody is asked
			if malformed != nil {
				if one || args[0] == "-" {
					return malformed
				}
				users = nil
				for _, arg := range args { // a campaign may have such IDs
					users = append(users, grant.TextID(arg))
				}
			}
			if err := v.record(cmd.Context(), users); err != nil {
				return err
			}
			if one {
				return v.one(cmd, users)
			}
			return v.all(cmd, users, malformed)
		},
	}
	v.addFlags(cmd, v.anyIDs, v.nameFlag, v.jsonFlag, v.kafkaFlags, v.registryFlags, v.redisFlags, v.traceFlags)
	cmd.Flags().StringVar(&v.why, "reason", "", "why, for the access log: more than 20 users at once need one")
	cmd.Flags().StringVar(&v.who, "who", "", whoHelp)
	return cmd
}

// record notes in the access log whose records are about to be read, where that is many users or a reason is given: what cannot
// be recorded is not shown.
func (v *verification) record(ctx context.Context, users []grant.UserID) error {
	if err := accesslog.NeedsReason(len(users), v.why); err != nil {
		return usageError(fmt.Errorf("--reason: %w", err))
	}
	if v.why == "" {
		return nil
	}
	who, err := whoami(v.who)
	if err != nil {
		return err
	}
	client, err := v.redisClient()
	if err != nil {
		return err
	}
	defer client.Close()
	return accesslog.New(client).Record(ctx, accesslog.Access{
		Who: who, From: "cli", Why: strings.TrimSpace(v.why), What: accesslog.WhatLookup, Users: users,
	})
}

func (v *verification) traceFlags(f *pflag.FlagSet) {
	f.StringVar(&v.trace, "trace", "", "show the records themselves: those that a grant names (grant), or all of the topic (topic)")
	f.Lookup("trace").NoOptDefVal = traceGrant
	f.DurationVar(&v.traceFor, "trace-for", 2*time.Minute, "how long a trace may read at most")
}

// userIDs reads users' IDs, which are as those of a campaign, or dense; a single - stands for the list on the standard input.
func userIDs(ctx context.Context, in grant.Input, args []string, stdin io.Reader) (users []grant.UserID, err error) {
	in.MaxID = 0
	if len(args) == 1 && args[0] == "-" {
		err := userid.ReadListOf(stdin, &in).Each(ctx, func(id grant.UserID) { users = append(users, id) })
		if errors.Is(err, userid.ErrBadLine) {
			err = usageError(err)
		}
		return users, err
	}
	form := userid.FormOf(&in)
	for _, arg := range args {
		user, err := form.Parse(arg)
		if err != nil {
			return nil, usageError(err)
		}
		users = append(users, user)
	}
	return users, nil
}

// one answers for one campaign.
func (v *verification) one(cmd *cobra.Command, users []grant.UserID) error {
	camp, err := v.subject(cmd.Context())
	if err != nil {
		return err
	}
	s, done, err := v.subjects()
	if err != nil {
		return err
	}
	defer done()
	subject, err := s.open(camp)
	if err != nil {
		return err
	}
	defer subject.Close() //nolint:errcheck // only idle connections are closed
	answers, err := lookup.Look(cmd.Context(), subject.Lookup(), users)
	if err != nil {
		return err
	}
	if differs := answers[0].SpecDiffers; differs != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "granter: %s:\n%s\n", differs, differs.Fields)
	}
	if err := v.traceAll(cmd, s, subject, answers); err != nil {
		return err
	}
	if v.json {
		err = printJSON(cmd.OutOrStdout(), answers)
	} else {
		for i := range answers {
			printAnswer(cmd.OutOrStdout(), &answers[i])
		}
	}
	if err != nil || !slices.ContainsFunc(answers, func(a lookup.Answer) bool { return !a.Granted }) {
		return err
	}
	if !slices.ContainsFunc(answers, func(a lookup.Answer) bool { return a.Granted }) {
		if _, known, err := subject.Coordination.Spec(cmd.Context()); err != nil {
			return err
		} else if !known {
			fmt.Fprintf(cmd.ErrOrStderr(), "granter: Redis at %v has never seen a campaign %s: nobody has been granted it there. "+
				"Is its name right in the spec, and is --redis or GRANTER_REDIS?\n", v.redis, camp.Name)
		}
	}
	return &exitError{code: exitNotGranted}
}

// subjects opens what campaigns are asked through. The caller calls done.
func (v *verification) subjects() (s *subjects, done func(), err error) {
	k, err := v.kafka()
	if err != nil {
		return nil, nil, err
	}
	client, err := v.redisClient()
	if err != nil {
		return nil, nil, err
	}
	return &subjects{redis: client, kafka: k, brokers: v.brokers, cfg: v.patiently(v.timeout)}, func() { client.Close() }, nil
}

// possible reports whether each of some users may be one of some campaign, since not all are dense.
func possible(subjects []*desk.Subject, users []grant.UserID) bool {
	return !slices.ContainsFunc(users, func(user grant.UserID) bool {
		return !user.IsNumber() && !slices.ContainsFunc(subjects, func(s *desk.Subject) bool {
			form := userid.FormOf(&s.Campaign.Input)
			_, err := form.Parse(user.String())
			return s.Broken == nil && err == nil
		})
	})
}

// all answers for every campaign of the ledger. Malformed says that not all users are dense.
func (v *verification) all(cmd *cobra.Command, users []grant.UserID, malformed error) error {
	ctx := cmd.Context()
	all, client, err := v.catalog(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer client.Close()
	defer all.Close() //nolint:errcheck // only idle connections are closed
	if err := all.Refresh(ctx); err != nil {
		return err
	}
	names := all.Names()
	if len(names) == 0 {
		return usageError(fmt.Errorf("Redis at %s has no campaign: is --redis or GRANTER_REDIS right? "+
			"A campaign that no run was started for is named by -f", strings.Join(v.redis, ",")))
	}
	var opened []*desk.Subject
	var asked []*lookup.Subject
	for _, name := range names {
		subject, err := all.Open(ctx, name)
		if err != nil {
			subject = &desk.Subject{Campaign: &grant.Campaign{Name: name}, Broken: err}
		}
		opened, asked = append(opened, subject), append(asked, subject.Lookup())
	}
	if malformed != nil && !possible(opened, users) {
		return malformed
	}
	byUser := lookup.All(ctx, asked, users)
	if err := v.traceEverywhere(cmd, opened, byUser); err != nil {
		return err
	}
	shown := make([]desk.User, len(users))
	without, unknown := false, false
	for i, answers := range byUser {
		shown[i] = desk.User{At: time.Now().UTC(), User: users[i], Answers: answers}
		without = without || !slices.ContainsFunc(answers, func(a lookup.Answer) bool { return a.Granted })
		unknown = unknown || slices.ContainsFunc(answers, func(a lookup.Answer) bool { return !a.Known })
	}
	if v.json {
		err = printJSON(cmd.OutOrStdout(), shown)
	} else {
		for i := range byUser {
			for j := range byUser[i] {
				printAnswer(cmd.OutOrStdout(), &byUser[i][j])
			}
		}
	}
	switch {
	case err != nil:
		return err
	case unknown:
		return errors.New("not every campaign could be asked: the answers above say which, and why")
	case without:
		return &exitError{code: exitNotGranted}
	}
	return nil
}

// printAnswer writes the answer about one user and one campaign: the answer first, then what it follows from.
func printAnswer(w io.Writer, a *lookup.Answer) {
	switch {
	case !a.Known:
		fmt.Fprintf(w, "user %s: NOT KNOWN whether %s was granted\n", a.User, a.Campaign)
	case !a.Granted:
		fmt.Fprintf(w, "user %s: NOT granted %s\n", a.User, a.Campaign)
	case a.Source == nil:
		fmt.Fprintf(w, "user %s: granted %s at %s by hand\n", a.User, a.Campaign, text.Moment(*a.GrantedAt))
	default:
		fmt.Fprintf(w, "user %s: granted %s at %s by run %s (shard %d, flush %d%s)\n", a.User, a.Campaign, text.Moment(*a.GrantedAt),
			a.Source.Run, a.Source.Shard, a.Source.Flush, of(a.Source))
		if local := here(*a.GrantedAt); local != "" {
			fmt.Fprintf(w, "  which is %s\n", local)
		}
	}
	rows := []string{}
	for i := range a.Entitlements {
		e := &a.Entitlements[i]
		rows = append(rows, fmt.Sprintf("  %s\t%s\t%s", e.ID, describe(e), standing(e)))
	}
	table(w, rows...)
	for i := range a.Reasons {
		r := &a.Reasons[i]
		fmt.Fprintf(w, "  why: %s (%s)\n", r.Says.EN, r.Code)
		if r.Detail != "" {
			for line := range strings.Lines(r.Detail) {
				fmt.Fprintln(w, "       "+oneLine(strings.TrimRight(line, "\r\n")))
			}
		}
		printLag(w, r.Lag)
		fmt.Fprintf(w, "  next: %s\n", r.Next.EN)
	}
	printActs(w, a)
	if a.Source != nil {
		for i, r := range a.Source.Offsets {
			lead := "  from one of the records"
			if i > 0 {
				lead = "  or one of those"
			}
			fmt.Fprintf(w, "%s at offsets %s–%s of partition %d of %s\n", lead, text.Number(r.First), text.Number(r.Last), r.Partition,
				a.Source.Topic)
		}
		if a.Source.TopicID != "" {
			fmt.Fprintf(w, "  of the topic with ID %s\n", a.Source.TopicID)
		}
	}
	printTrace(w, a.Trace)
}

// printActs says who granted by hand, and what colleagues noted.
func printActs(w io.Writer, a *lookup.Answer) {
	if a.Granted && a.By != nil {
		fmt.Fprintf(w, "  %s: %s by %s: %s\n", text.Moment(a.By.At.In(a.Zone())), a.By.Kind, oneLine(a.By.Who),
			cmp.Or(oneLine(a.By.Reason), "(the reason was erased)"))
	}
	if a.State == nil {
		return
	}
	if from := a.State.MovedFrom; from != nil {
		fmt.Fprintf(w, "  moved here from user %s\n", *from)
	}
	for _, n := range a.State.Notes {
		fmt.Fprintf(w, "  note, %s: %s: %s\n", text.Moment(n.At.In(a.Zone())), oneLine(n.Who), oneLine(n.Reason))
	}
	if e := a.State.Erased; e != nil {
		fmt.Fprintf(w, "  reasons and notes erased, %s: %s: %s\n", text.Moment(e.At.In(a.Zone())), oneLine(e.Who), oneLine(e.Reason))
	}
}

// of names the process that granted, and its pass.
func of(s *lookup.Source) string {
	out := ""
	if s.Replica != "" {
		out += ", replica " + s.Replica
	}
	if s.Pass != "" {
		out += ", " + s.Pass
	}
	return out
}

// here is a time by the reader's clock; empty: it shows the same.
func here(t time.Time) string {
	if local := text.Moment(t.Local()); local != text.Moment(t) {
		return local + " here"
	}
	return ""
}

const mostPartitions = 8 // of a lag that are listed

func printLag(w io.Writer, lag *lookup.Lag) {
	if lag == nil {
		return
	}
	for i, p := range lag.Partitions {
		if i == mostPartitions {
			fmt.Fprintf(w, "       and %d partitions more\n", len(lag.Partitions)-i)
			return
		}
		fmt.Fprintf(w, "       partition %d: %s records from offset %s on\n", p.Partition, text.Number(p.Records), text.Number(p.From))
	}
}

func describe(e *lookup.Entitlement) string {
	if e.Amount == 0 {
		return string(e.Kind)
	}
	return fmt.Sprintf("%s %s %s", e.Kind, text.Number(e.Amount), e.Currency)
}

// standing says how an item stands.
func standing(e *lookup.Entitlement) string {
	var s string
	switch e.State {
	case grant.StateActive:
		s = "permanent"
	case grant.StateOffered:
		s = "OFFERED, not taken"
	case grant.StateExpired:
		s = "EXPIRED"
	case grant.StateLapsed:
		s = "LAPSED: not taken in time"
	case grant.StateExhausted:
		s = "EXHAUSTED: others took the last of it"
	default:
		s = strings.ToUpper(string(e.State))
	}
	switch {
	case e.LastDay != "" && e.State == grant.StateActive:
		s = "to the end of " + e.LastDay
	case e.LastDay != "" && e.State == grant.StateExpired:
		s += " at the end of " + e.LastDay
	case e.LastDay != "":
		s += " (else to the end of " + e.LastDay + ")"
	case e.ExpiresAt != nil && e.State == grant.StateActive:
		s = "until " + text.Moment(*e.ExpiresAt)
	case e.ExpiresAt != nil && e.State == grant.StateExpired:
		s += " " + text.Moment(*e.ExpiresAt)
	case e.ExpiresAt != nil:
		s += " (else until " + text.Moment(*e.ExpiresAt) + ")"
	case e.TakenAt == nil && e.TakeUntil != nil && e.State == grant.StateOffered:
		s += " (possible before " + text.Moment(*e.TakeUntil) + ")"
	case e.TakenAt == nil && e.TakeUntil != nil:
		s += " (it was possible before " + text.Moment(*e.TakeUntil) + ")"
	}
	if e.TakenAt != nil {
		s += ", taken " + text.Moment(*e.TakenAt)
	}
	return s
}
