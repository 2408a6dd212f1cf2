package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/segmentio/kafka-go/compress"
	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/grant/registry"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

// loadFlags are the settings of granter load.
type loadFlags struct {
	connection
	ids                   string
	generate              int64
	first, spread         int64
	order, uuid           string
	duplicates, malformed string
	seed                  uint64
	rate                  float64
	partitions, replicas  int
	compression           string
	subject               string
}

func newLoad() *cobra.Command {
	var flags loadFlags
	cmd := &cobra.Command{
		Use:   "load -f SPEC (--ids FILE|- | --generate N)",
		Short: "Publish a population of user IDs to the campaign's topic",
		Long: `Load publishes user IDs to the topic of a campaign, in the campaign's format: those of a file, one ID a line, or
a generated population for tests and rehearsals: numbers, or what the spec's source.id says. The topic is created if it
does not exist.

Records of a format with schemas are written by the newest schema of the spec or, where it has none, by the latest of a
subject of its registry: with the ID, and nothing else that the schema does not ask for.

Publishing a population twice is harmless: run grants every user once.

` + exitHelp,
		Example: `  granter load -f deploy/campaigns/emoticons.yaml --generate 1000000 --duplicates 1%
  granter load -f deploy/campaigns/emoticons.yaml --ids users.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd, flags.anyIDs, flags.jsonFlag, flags.kafkaFlags, flags.registryFlags)
	f := cmd.Flags()
	f.StringVar(&flags.ids, "ids", "", "file with one user ID a line; - reads the standard input")
	f.Int64Var(&flags.generate, "generate", 0, "number of distinct users to generate")
	f.Int64Var(&flags.first, "first", 0,
		"with --generate: the lowest ID, or the number of the first user where IDs are not dense")
	f.Int64Var(&flags.spread, "spread", 0,
		"with --generate: spread the users over so many consecutive IDs (default: as many as users)")
	f.StringVar(&flags.order, "order", "shuffled", "with --generate: shuffled or ascending")
	f.StringVar(&flags.uuid, "uuid", "",
		"with --generate: the version of UUIDs, v4 (random) or v7 (in the order of time) (default v4)")
	f.StringVar(&flags.duplicates, "duplicates", "0%",
		"with --generate: additional records that repeat a user, as a share of the users")
	f.StringVar(&flags.malformed, "malformed", "0%",
		"with --generate: additional records without a valid ID, as a share of the users")
	f.Uint64Var(&flags.seed, "seed", 1, "with --generate: the same seed gives the same population")
	f.Float64Var(&flags.rate, "rate", 0, "records per second; 0: as fast as possible")
	f.IntVar(&flags.partitions, "partitions", 0, "partitions of the topic if it has to be created (default: the broker's)")
	f.IntVar(&flags.replicas, "replicas", 0, "replicas of the topic if it has to be created (default: the broker's)")
	f.StringVar(&flags.subject, "subject", "",
		"subject of the schema registry whose latest schema records are written by, where the spec has none (default: the "+
			"topic's "+
			"name and -value or -key)")
	f.StringVar(&flags.compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	return cmd
}

// Loaded is what granter load published.
type Loaded struct {
	Topic            string  `json:"topic"`
	Partitions       int     `json:"partitions"`
	Records          int64   `json:"records"`
	Malformed        int64   `json:"malformed"`
	Bytes            int64   `json:"bytes"`
	InDoubt          int64   `json:"in_doubt"` // sent again after an unknown outcome: may be in the topic twice
	Seconds          float64 `json:"seconds"`
	RecordsPerSecond float64 `json:"records_per_second"`
}

func (flags *loadFlags) execute(cmd *cobra.Command) error {
	camp, err := flags.campaign()
	if err != nil {
		return err
	}
	k, err := flags.kafka()
	if err != nil {
		return err
	}
	if err := flags.schema(cmd.Context(), camp, k.Registry); err != nil {
		return err
	}
	users, total, closeIDs, err := flags.population(cmd, camp)
	if err != nil {
		return err
	}
	defer closeIDs()
	var codec compress.Compression
	if err := codec.UnmarshalText([]byte(flags.compression)); err != nil {
		return usageError(fmt.Errorf("--compression %q: want none, gzip, snappy, lz4 or zstd", flags.compression))
	}
	transport := k.Transport()
	defer transport.CloseIdleConnections()
	client := k.Client(transport)
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	if _, err := population.EnsureTopic(ctx, client, camp.Input.Topic, flags.partitions, flags.replicas, nil); err != nil {
		return unreachable(err, k.Brokers)
	}
	update, done := newScreen(cmd.ErrOrStderr()).start(camp.Input.Topic)
	result, err := population.Publish(ctx, client, camp.Input, users, population.Options{
		Rate: flags.rate, Compression: codec,
		Progress: func(r population.Result) { update(r.Records, max(total, r.Records), "") },
	})
	done()
	switch {
	case ctx.Err() != nil:
		err = &exitError{
			exitStopped,
			fmt.Errorf("stopped after %s records: publish it again from its beginning (users published twice are granted once)",
				text.Number(result.Records)),
		}
	case errors.Is(err, userid.ErrBadLine):
		err = fmt.Errorf("%w; correct the list and load all of it again (users published twice are granted once)", err)
	}
	loaded := Loaded{
		Topic: camp.Input.Topic, Partitions: result.Partitions, Records: result.Records, Malformed: result.Malformed,
		Bytes: result.Bytes, InDoubt: result.InDoubt, Seconds: result.Elapsed.Seconds(), RecordsPerSecond: result.Rate(),
	}
	if flags.json {
		err = errors.Join(err, printJSON(cmd.OutOrStdout(), loaded))
	} else {
		fmt.Fprintf(cmd.OutOrStdout(), "published %s records to %s in %.2f s, %s records/s\n",
			text.Number(loaded.Records), loaded.Topic, loaded.Seconds, text.Number(int64(loaded.RecordsPerSecond)))
	}
	return err
}

// schema asks the registry for the schema that records are to be written by, if the spec has none.
func (flags *loadFlags) schema(ctx context.Context, camp *grant.Campaign, access registry.Access) error {
	in := &camp.Input
	if !registry.Reads(in) || len(in.Schemas) > 0 {
		if flags.subject != "" {
			return usageError(errors.New("--subject is of a schema registry: leave it out, or write registry: URL and no " +
				"schemas in the spec"))
		}
		return nil
	}
	subject := flags.subject
	switch {
	case subject != "":
	case in.From.Header() != "":
		return usageError(errors.New("of which subject are the IDs in a header? Name it by --subject"))
	default:
		subject = fmt.Sprintf("%s-%s", in.Topic, cmp.Or(in.From, grant.FromValue))
	}
	asked, err := registry.New(in, access)
	if err != nil {
		return usageError(err)
	}
	defer asked.Close()
	found, err := asked.Latest(ctx, subject)
	if errors.Is(err, registry.ErrUnknown) {
		return fmt.Errorf("the registry at %s has no subject %s: register the schema, or name its subject by --subject",
			asked.Address(), subject)
	}
	in.Schemas = []grant.Schema{found}
	return err
}

// ofGenerated are the flags that mean nothing to a list.
var ofGenerated = []string{"first", "spread", "order", "duplicates", "malformed", "seed", "uuid"}

// population returns the records to publish and, if it is known, their number.
func (flags *loadFlags) population(cmd *cobra.Command, camp *grant.Campaign) (
	users population.Source, total int64, closeIDs func(), err error,
) {
	nothing := func() {}
	fail := func(err error) (population.Source, int64, func(), error) { return nil, 0, nothing, usageError(err) }
	switch {
	case (flags.ids != "") == (flags.generate != 0):
		return fail(errors.New("which users? Give either --ids FILE (- for the standard input) or --generate N"))
	case flags.ids != "":
		for _, name := range ofGenerated {
			if given(cmd.Flags(), name) {
				return fail(fmt.Errorf("--%s is of a generated population: leave it out, or --ids", name))
			}
		}
	}
	switch flags.ids {
	case "":
	case "-":
		return population.List(cmd.InOrStdin(), camp.Input), 0, nothing, nil
	default:
		file, total, err := openList(cmd.Context(), flags.ids, camp.Input)
		if err != nil {
			return fail(err)
		}
		return population.List(file, camp.Input), total, func() { file.Close() }, nil
	}
	plan := population.Plan{
		Topic: camp.Input, Users: flags.generate, First: uint64(flags.first), Spread: flags.spread,
		Order: population.Order(flags.order), Seed: flags.seed, UUID: flags.uuid,
	}
	var errs [3]error
	plan.Duplicates, errs[0] = grant.ParseShare(flags.duplicates)
	plan.Malformed, errs[1] = grant.ParseShare(flags.malformed)
	errs[2] = plan.Validate()
	if err := errors.Join(errs[:]...); err != nil {
		return fail(err)
	}
	return plan.Source(), plan.Counts().Records, nothing, nil
}

// openList opens a list and returns how many IDs it holds, so that a bad line is found before anything is published. What
// can be read only once, such as a pipe, is not looked at.
func openList(ctx context.Context, name string, t grant.Input) (file *os.File, total int64, err error) {
	if file, err = os.Open(name); err != nil { //nolint:gosec // the operator names the file
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return file, 0, err
	}
	if err := userid.ReadListOf(file, &t).Each(ctx, func(grant.UserID) { total++ }); err != nil {
		return nil, 0, fmt.Errorf("--ids %s: %w; nothing is published: correct the list", name, err)
	}
	_, err = file.Seek(0, io.SeekStart)
	return file, total, err
}

// unreachable adds what to do when no broker answers.
func unreachable(err error, brokers []string) error {
	return fmt.Errorf("Kafka at %v: %w (is --brokers or GRANTER_BROKERS right, and do TLS and SASL match the listener?)",
		brokers, err)
}
