package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

func newStatus() *cobra.Command {
	var c connection
	var prove bool
	cmd := &cobra.Command{
		Use:   "status -f SPEC",
		Short: "Show how far the campaign is, from the ledger and Kafka alone",
		Long: `Status shows how many users have been granted, how many records wait, how fast it goes and when it will be done. It asks
only Redis and Kafka, so it works from anywhere, while a run goes on or none does.

--prove also reads the whole journal and holds it against the bitmaps: every user granted exactly once.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.status(cmd.Context(), prove)
			if err != nil {
				return err
			}
			if c.json {
				err = printJSON(cmd.OutOrStdout(), s)
			} else {
				printStatus(cmd.OutOrStdout(), s)
			}
			if err == nil && s.Proof != nil && !s.Proof.Holds {
				return fmt.Errorf("the ledger of %s is inconsistent: %d violations", s.Campaign, len(s.Proof.Violations))
			}
			return err
		},
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&prove, "prove", false, "prove that journal and bitmaps agree; reads the whole ledger")
	return cmd
}

// Status is how far a campaign is.
type Status struct {
	Campaign       string            `json:"campaign"`
	Title          string            `json:"title"`
	StartsAt       time.Time         `json:"starts_at"`
	EndsAt         *time.Time        `json:"ends_at,omitempty"`
	Granted        int64             `json:"granted"`
	Expected       int64             `json:"expected,omitempty"` // the spec's population
	Percentage     float64           `json:"percentage"`         // of expected or, without it, of the records
	Records        int64             `json:"records"`            // in the topic
	Lag            int64             `json:"lag"`                // records behind the checkpoint
	Rate           float64           `json:"rate"`               // records per second, of all live runs
	SecondsLeft    *float64          `json:"seconds_left,omitempty"`
	EstimatedEnd   *time.Time        `json:"estimated_end,omitempty"`
	LastCheckpoint *time.Time        `json:"last_checkpoint,omitempty"`
	Partitions     []PartitionStatus `json:"partitions"`
	Runs           []grant.RunRecord `json:"runs"`
	Proof          *Proof            `json:"proof,omitempty"`
}

// PartitionStatus is how far one partition is.
type PartitionStatus struct {
	Partition  int   `json:"partition"`
	First      int64 `json:"first"`
	End        int64 `json:"end"`
	Checkpoint int64 `json:"checkpoint"`
	Lag        int64 `json:"lag"`
}

// Proof is the outcome of --prove.
type Proof struct {
	Holds      bool     `json:"holds"`
	Granted    int64    `json:"granted"`   // population of all bitmaps
	Journaled  int64    `json:"journaled"` // sum of the cardinalities of all journal entries
	Chunks     int64    `json:"chunks"`
	Entries    int64    `json:"entries"`
	Violations []string `json:"violations,omitempty"`
}

// live says whether a run's record is young enough for the run to be alive.
func live(r grant.RunRecord) bool {
	return (r.State == grant.RunRunning || r.State == grant.RunWaiting) && time.Since(r.UpdatedAt) < 10*time.Second
}

func (c *connection) status(ctx context.Context, prove bool) (*Status, error) {
	camp, err := c.campaign()
	if err != nil {
		return nil, err
	}
	k, err := c.kafka()
	if err != nil {
		return nil, err
	}
	client, err := c.redisClient()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	led, err := ledger.New(client, camp, 0, ledger.Config{RetryFor: c.timeout})
	if err != nil {
		return nil, err
	}
	src, err := source.New(source.Config{Kafka: k, Topic: camp.Source, Campaign: camp.Name, Group: c.group, RetryFor: c.timeout})
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // the process ends

	s := &Status{Campaign: camp.Name, Title: camp.Title, StartsAt: camp.StartsAt, Expected: camp.Population}
	if !camp.EndsAt.IsZero() {
		s.EndsAt = &camp.EndsAt
	}
	totals, err := led.Totals(ctx)
	if err != nil {
		return nil, err
	}
	if stored, ok, err := led.Spec(ctx); err != nil {
		return nil, err
	} else if ok && stored.Hash != camp.Hash && totals.Granted > 0 {
		return nil, explain(&ledger.SpecConflictError{
			StoredHash: stored.Hash, Stored: stored.Canonical, GivenHash: camp.Hash, Given: camp.Canonical,
		}, k.Brokers)
	}
	s.Granted = totals.Granted
	checkpoint, err := led.Checkpoints(ctx)
	if err != nil {
		return nil, err
	}
	bounds, err := src.Bounds(ctx)
	if err != nil {
		return nil, unreachable(err, k.Brokers)
	}
	s.addPartitions(bounds, checkpoint)
	if s.Runs, err = led.Runs(ctx); err != nil {
		return nil, err
	}
	s.estimate(time.Now())
	if prove {
		proof, err := led.Prove(ctx)
		if err != nil {
			return nil, err
		}
		s.Proof = newProof(&proof)
	}
	return s, nil
}

func (s *Status) addPartitions(bounds map[int]source.Bounds, checkpoint map[int]int64) {
	for _, p := range slices.Sorted(maps.Keys(bounds)) {
		b := bounds[p]
		part := PartitionStatus{Partition: p, First: b.First, End: b.End, Checkpoint: checkpoint[p]}
		part.Lag = max(0, b.End-max(b.First, part.Checkpoint))
		s.Partitions = append(s.Partitions, part)
		s.Records += b.End - b.First
		s.Lag += part.Lag
	}
}

// estimate adds up what the live runs say, and what follows from it.
func (s *Status) estimate(now time.Time) {
	switch {
	case s.Expected > 0:
		s.Percentage = 100 * float64(s.Granted) / float64(s.Expected)
	case s.Records > 0:
		s.Percentage = 100 * float64(s.Records-s.Lag) / float64(s.Records)
	}
	for _, r := range s.Runs {
		if r.State != grant.RunWaiting && (s.LastCheckpoint == nil || r.UpdatedAt.After(*s.LastCheckpoint)) {
			s.LastCheckpoint = &r.UpdatedAt
		}
		if live(r) {
			s.Rate += r.Rate
		}
	}
	if s.Rate > 0 {
		left := float64(s.Lag) / s.Rate
		end := now.Add(time.Duration(left * float64(time.Second))).Truncate(time.Second)
		s.SecondsLeft, s.EstimatedEnd = &left, &end
	}
}

func newProof(p *ledger.Proof) *Proof {
	out := &Proof{Holds: p.Holds(), Granted: p.Granted, Journaled: p.Journaled, Chunks: int64(p.Chunks), Entries: p.Entries}
	for _, v := range p.Violations {
		out.Violations = append(out.Violations, fmt.Sprintf("chunk %d: %s", v.Chunk, v.What))
	}
	return out
}

func printStatus(w io.Writer, s *Status) {
	fmt.Fprintf(w, "%s: %s\n", s.Campaign, s.Title)
	rows := []string{"starts\t" + moment(s.StartsAt) + countdown(s.StartsAt)}
	if s.EndsAt != nil {
		rows = append(rows, "ends\t"+moment(*s.EndsAt))
	}
	expected := ""
	if s.Expected > 0 {
		expected = fmt.Sprintf(" of %s expected (%.2f%%)", number(s.Expected), s.Percentage)
	}
	rows = append(rows, "granted\t"+number(s.Granted)+" users"+expected,
		fmt.Sprintf("records\t%s in the topic, %s to go", number(s.Records), number(s.Lag)))
	if s.Rate > 0 {
		rows = append(rows, "rate\t"+number(int64(s.Rate))+" records/s",
			fmt.Sprintf("estimated end\t%s (in %s)", moment(s.EstimatedEnd.In(s.StartsAt.Location())), time.Duration(*s.SecondsLeft*float64(time.Second)).Round(time.Second)))
	}
	if s.LastCheckpoint != nil {
		rows = append(rows, fmt.Sprintf("last checkpoint\t%s (%s ago)", moment(s.LastCheckpoint.In(s.StartsAt.Location())), time.Since(*s.LastCheckpoint).Round(time.Second)))
	}
	table(w, rows...)
	rows = []string{"\npartition\tfirst\tcheckpoint\tend\tto go"}
	for _, p := range s.Partitions {
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s", p.Partition, number(p.First), number(p.Checkpoint), number(p.End), number(p.Lag)))
	}
	table(w, rows...)
	if len(s.Runs) > 0 {
		rows = []string{"\nrun\tstate\thost\tlast heard of\tgranted\trecords/s\tpartitions"}
		for _, r := range s.Runs {
			state := string(r.State)
			if (r.State == grant.RunRunning || r.State == grant.RunWaiting) && !live(r) {
				state = "lost"
			}
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s/%d\t%s ago\t%s\t%s\t%d", r.Run, state, r.Host, r.PID,
				time.Since(r.UpdatedAt).Round(time.Second), number(r.Tally.Granted), number(int64(r.Rate)), len(r.Partitions)))
		}
		table(w, rows...)
	}
	if s.Proof != nil {
		printProof(w, s.Proof)
	}
}

func countdown(at time.Time) string {
	if left := time.Until(at); left > 0 {
		return " (in " + left.Round(time.Second).String() + ")"
	}
	return ""
}

func printProof(w io.Writer, p *Proof) {
	fmt.Fprintln(w)
	if p.Holds {
		fmt.Fprintf(w, "PROVEN: %s users granted exactly once: bitmaps and the %s entries of the journal of %s chunks agree\n",
			number(p.Granted), number(p.Entries), number(p.Chunks))
		return
	}
	fmt.Fprintf(w, "NOT PROVEN: bitmaps say %s, the journal says %s\n", number(p.Granted), number(p.Journaled))
	for _, v := range p.Violations {
		fmt.Fprintln(w, "  "+v)
	}
}
