package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
)

func newStatus() *cobra.Command {
	var c connection
	var prove bool
	cmd := &cobra.Command{
		Use:   "status {-f SPEC | --campaign NAME}",
		Short: "Show how far the campaign is, from the ledger and Kafka alone",
		Long: `Status shows how many users have been granted, how many records wait, how fast it goes and when it will be done. It asks
only Redis and Kafka, so it works from anywhere, while a run goes on or none does. When one of them does not answer, it shows
what the other one knows, names each part that is missing, and ends with exit code 1.

--prove also reads the whole journal and holds it against the bitmaps: every user granted exactly once, and, of items that users
take, every take in one entry, of a user who was granted, and as many as a quota counted. It prints a digest of
the granted users, which is the same for the same users, in whichever ledger and in whatever order they were granted.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := c.query(cmd.Context(), c.timeout)
			if err != nil {
				return err
			}
			defer q.close()
			s := new(Status)
			var missing error
			if s.Status, missing = q.status(cmd.Context()); missing != nil {
				missing = fmt.Errorf("the status of %s is not complete: %w", s.Campaign, missing)
			}
			if prove {
				proof, err := q.reader.Prove(cmd.Context())
				if err != nil {
					return errors.Join(err, missing)
				}
				camp, _, err := status.InForce(cmd.Context(), q.coordination, q.reader, q.campaign)
				if err == nil {
					err = q.reader.ProveTakes(cmd.Context(), camp, &proof)
				}
				if err != nil {
					return errors.Join(err, missing)
				}
				s.Proof = newProof(&proof)
			}
			if c.json {
				err = printJSON(cmd.OutOrStdout(), s)
			} else {
				printStatus(cmd.OutOrStdout(), s)
			}
			if s.Damage != "" && s.Proof == nil {
				missing = errors.Join(fmt.Errorf("the ledger of %s contradicts itself: %s", s.Campaign, s.Damage), missing)
			}
			if s.Proof != nil && !s.Proof.Holds {
				missing = errors.Join(fmt.Errorf("the ledger of %s is inconsistent: %d violations", s.Campaign, len(s.Proof.Violations)), missing)
			}
			return errors.Join(err, missing)
		},
	}
	c.addFlags(cmd, c.anyIDs, c.nameFlag, c.jsonFlag, c.kafkaFlags, c.redisFlags)
	cmd.Flags().BoolVar(&prove, "prove", false, "prove that journal and bitmaps agree; reads the whole ledger")
	return cmd
}

// Status is what granter status prints.
type Status struct {
	*status.Status

	Proof *Proof `json:"proof,omitempty"`
}

// Proof is the outcome of --prove.
type Proof struct {
	Holds      bool     `json:"holds"`
	Granted    int64    `json:"granted"`   // users, by the bitmaps
	Excluded   int64    `json:"excluded"`  // users, by the bitmaps
	Journaled  int64    `json:"journaled"` // users granted, by the entries of all journals
	Acts       int64    `json:"acts"`      // entries of what people did about single users
	Chunks     int64    `json:"chunks"`
	Entries    int64    `json:"entries"`
	Taken      int64    `json:"taken,omitempty"` // items that users took: bits, each of which is in one of so many entries
	Takes      int64    `json:"takes,omitempty"`
	Digest     string   `json:"digest"` // of the granted users: the same for the same users, in any ledger
	Violations []string `json:"violations,omitempty"`
}

func newProof(p *ledger.Proof) *Proof {
	out := &Proof{
		Holds: p.Holds(), Granted: p.Granted, Excluded: p.Excluded, Journaled: p.Journaled, Acts: p.Acts, Chunks: int64(p.Chunks),
		Entries: p.Entries, Taken: p.Taken, Takes: p.Takes, Digest: p.Digest,
	}
	for _, v := range p.Violations {
		out.Violations = append(out.Violations, v.Where+": "+v.What)
	}
	return out
}

func printStatus(w io.Writer, s *Status) {
	zone := s.StartsAt.Location()
	fmt.Fprintf(w, "%s: %s\n", s.Campaign, s.Title)
	starts := "starts\t" + text.Moment(s.StartsAt) + countdown(s.StartsAt)
	if s.PostponedFrom != nil {
		starts += ", postponed from " + text.Moment(*s.PostponedFrom)
	}
	rows := []string{"phase\t" + string(s.Phase), starts, "topic\t" + s.Topic + ", " + cmp.Or(s.TopicID, "without an ID")}
	if s.TopicChanged != "" {
		rows = append(rows, "CHANGED\t"+s.TopicChanged)
	}
	if s.SpecDiffers != nil {
		rows = append(rows, "OTHER SPEC\t"+s.SpecDiffers.String())
		for line := range strings.Lines(s.SpecDiffers.Fields) {
			rows = append(rows, "\t"+oneLine(strings.TrimSpace(line)))
		}
	}
	for _, p := range s.Parts {
		if p.Error != "" {
			rows = append(rows, fmt.Sprintf("NOT KNOWN\t%s: %s", p.Part, oneLine(p.Error)))
		}
	}
	if s.EndsAt != nil {
		rows = append(rows, "ends\t"+text.Moment(*s.EndsAt))
	}
	expected := ""
	if s.Expected > 0 {
		expected = fmt.Sprintf(" of %s expected (%.2f%%)", text.Number(s.Expected), s.Percentage)
	}
	if s.Knows(status.PartLedger) {
		rows = append(rows, "granted\t"+text.Number(s.Granted)+" users"+expected)
		for _, t := range s.Taken {
			rows = append(rows, "taken\t"+takenOf(t, s.Granted))
		}
		if s.Excluded > 0 {
			rows = append(rows, "excluded\t"+text.Number(s.Excluded)+" users: runs withhold them")
		}
		if l := s.Listed; l != nil {
			rows = append(rows, fmt.Sprintf("lists\t%s users to exclude, as read at %s by run %s", text.Number(l.Users),
				text.Moment(l.At.In(zone)), l.Run))
			if l.Granted > 0 {
				rows = append(rows, "NOT EXCLUDED\t"+text.Number(l.Granted)+" users were granted before they were listed: "+
					"granter exclude --users FILE --dry-run names them, granter revoke takes it back")
			}
		}
	}
	for i := range s.Rebuilt {
		rows = append(rows, "REBUILT\t"+oneLine(s.Rebuilt[i].String()))
	}
	if s.Knows(status.PartKafka, status.PartCheckpoint) {
		rows = append(rows, fmt.Sprintf("records\t%s in the topic, %s to go", text.Number(s.Records), text.Number(s.Lag)))
	}
	if s.Replays != (grant.Replays{}) {
		rows = append(rows, fmt.Sprintf("replayed\t%s rejected records granted their users, those of %s had it before",
			text.Number(s.Replays.Granted), text.Number(s.Replays.Duplicate)))
	}
	if s.Gone > 0 {
		rows = append(rows, "GONE\t"+text.Number(s.Gone)+" records that were never granted (retention or record deletion): granter check says what to do")
	}
	if s.EstimatedEnd != nil {
		rows = append(rows, "rate\t"+text.Number(int64(s.Rate))+" records/s",
			fmt.Sprintf("estimated end\t%s (in %s)", text.Moment(s.EstimatedEnd.In(zone)), time.Duration(*s.SecondsLeft*float64(time.Second)).Round(time.Second)))
	}
	if s.LastCheckpoint != nil {
		rows = append(rows, fmt.Sprintf("last checkpoint\t%s (%s ago)", text.Moment(s.LastCheckpoint.In(zone)), time.Since(*s.LastCheckpoint).Round(time.Second)))
	}
	for _, o := range s.Orders {
		says := oneLine(o.Says)
		if o.Action == grant.ActionFinish && s.FinishLag != nil {
			says += fmt.Sprintf(" (%s records to go up to there)", text.Number(*s.FinishLag))
		}
		rows = append(rows, "ordered\t"+says)
	}
	for i := range s.Subscribers {
		rows = append(rows, subscriberOf(&s.Subscribers[i], zone))
	}
	if s.Damage != "" {
		rows = append(rows, "DAMAGED\t"+s.Damage)
	}
	for _, h := range s.Holds {
		rows = append(rows, fmt.Sprintf("held\t%s since %s: %s", h.Cause, text.Moment(h.Since.In(zone)), oneLine(h.Detail)))
	}
	table(w, rows...)
	if len(s.Partitions) > 0 {
		printPartitions(w, s)
	}
	printRuns(w, s)
	if s.Proof != nil {
		printProof(w, s.Proof)
	}
}

func printPartitions(w io.Writer, s *Status) {
	rows := []string{"\npartition\tfirst\tcheckpoint\tend\tto go"}
	for _, p := range s.Partitions {
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s", p.Partition, text.Number(p.First), text.Number(p.Checkpoint), text.Number(p.End), text.Number(p.Lag)))
	}
	table(w, rows...)
}

func printRuns(w io.Writer, s *Status) {
	if len(s.Runs) == 0 {
		return
	}
	rows := []string{"\nrun\tstate\thost\tlast heard of\tgranted\trecords/s\tpartitions\tobeys\tpass"}
	for i := range s.Runs {
		r := &s.Runs[i]
		state, obeys := string(r.State), ""
		active := r.State == grant.RunRunning || r.State == grant.RunWaiting
		switch {
		case active && !r.Live:
			state = "lost"
		case active && len(r.Holds) > 0 && r.Holds[0].Cause.Stops():
			state = "held"
		}
		if r.Live {
			obeys = map[bool]string{true: "yes", false: "NOT YET"}[r.Obeys]
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s/%d\t%s ago\t%s\t%s\t%d\t%s\t%s", r.Run, state, r.Host, r.PID,
			time.Since(r.UpdatedAt).Round(time.Second), text.Number(r.Tally.Granted), text.Number(int64(r.Rate)), len(r.Partitions), obeys, r.Pass))
	}
	table(w, rows...)
}

func countdown(at time.Time) string {
	if left := time.Until(at); left > 0 {
		return " (in " + left.Round(time.Second).String() + ")"
	}
	return ""
}

func printProof(w io.Writer, p *Proof) {
	fmt.Fprintln(w)
	buckets := strings.HasPrefix(p.Digest, "members-")
	if p.Holds {
		form := "PROVEN: %s users granted exactly once: bitmaps and the %s entries of the journal of %s chunks agree\n"
		if buckets {
			form = "PROVEN: %s users granted exactly once: each is in one of the %s entries of %s buckets\n"
		}
		fmt.Fprintf(w, form, text.Number(p.Granted), text.Number(p.Entries), text.Number(p.Chunks))
		if p.Takes > 0 {
			fmt.Fprintf(w, "%s items were taken, each once and by a user who is granted: bits, times and %s entries agree\n",
				text.Number(p.Taken), text.Number(p.Takes))
		}
		if p.Excluded > 0 || p.Acts > 0 {
			fmt.Fprintf(w, "%s users excluded, and not granted; what %s acts made of users is what the journal says\n",
				text.Number(p.Excluded), text.Number(p.Acts))
		}
		fmt.Fprintln(w, "digest of the granted users:", p.Digest)
		return
	}
	form := "NOT PROVEN: bitmaps say %s, the journal says %s\n"
	if buckets {
		form = "NOT PROVEN: buckets count %s users, and their entries have %s\n"
	}
	fmt.Fprintf(w, form, text.Number(p.Granted), text.Number(p.Journaled))
	for _, v := range p.Violations {
		fmt.Fprintln(w, "  "+v)
	}
}

// subscriberOf says how somebody is served who is sent events; what needs somebody is in capitals.
func subscriberOf(s *grant.Subscriber, zone *time.Location) string {
	label, says := "subscriber", string(s.State)
	if !s.Well() {
		label = "NOT SERVED"
	}
	if s.State == grant.SubscriberFailing || s.State == grant.SubscriberSilent {
		says += " since " + text.Moment(s.Since.In(zone))
	}
	behind, took := " entries behind", ", last took events at "
	if strings.HasPrefix(s.Name, "hook:") {
		behind, took = " events to be told", ", last told at "
	}
	if s.Failures > 1 {
		says += ", " + text.Number(s.Failures) + " times in a row"
	}
	says += ", " + text.Number(s.Behind) + behind
	if s.Last != nil {
		says += took + text.Moment(s.Last.In(zone))
	}
	if s.Error != "" {
		says += ": " + oneLine(s.Error)
	}
	return label + "\t" + s.Name + ": " + says
}

// takenOf says how many users took an item, of those who can.
func takenOf(t ledger.ItemTaken, granted int64) string {
	out := fmt.Sprintf("%s: %s users", t.Item, text.Number(t.Taken))
	of, who := granted, "granted"
	if t.First > 0 {
		of, who = t.First, "the first"
	}
	if of > 0 {
		out += fmt.Sprintf(", %.2f%% of %s %s", 100*float64(t.Taken)/float64(of), who, text.Number(of))
	}
	return out
}
