package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/audit/franz"
	"github.com/granter/granter/grant/canary"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
)

// auditFlags are the settings of granter audit.
type auditFlags struct {
	connection
	ids      string
	memory   int64
	complete bool
	korean   bool
	second   bool
	files    reportFiles
	wait     bool
	follow   bool
	every    time.Duration
	linger   time.Duration

	listen, logFormat string
}

func newAudit() *cobra.Command {
	var flags auditFlags
	cmd := &cobra.Command{
		Use:   "audit {-f SPEC | --campaign NAME}",
		Short: "Prove from outside that everybody in the topic is granted, once, and nobody else",
		Long: `Audit reads the whole topic again, without a consumer group, and the whole ledger, and compares them user by user:
who has a record and is not granted, who is granted and has no record, who is granted twice; bitmaps against the journal;
malformed records against the dead-letter topic; the topic's identity, its partitions and what retention removed; takes of items
that are offered, and quotas. It names
exactly who is concerned: the first of them, or all in the file of --ids. It changes nothing, and works while a run goes on: then
it speaks of the offsets that it names.

It believes nobody who granted: what it counts with is code of its own. With --independent it does not believe the client that
fetched for the run either, and reads with another one (franz-go); an auditor asks both.

With --key and --report it leaves a signed report, and a page to print beside it (.html); a report names the one before, which is
the last one in the directory of --report, or that of --previous, so that history cannot be rewritten quietly. --receipts leaves
beside it what granter receipt makes receipts of users from: a secret, as the ledger is. Audits that leave reports in one
directory come one after the other.

With --wait it begins when the rollout is over: when everything is granted that the topic had when the campaign had started,
or when operators have finished or aborted the campaign, or it has ended. A Job that is applied beside that of the runs needs no
more. With --follow it audits again and again, beside runs that follow the topic.

` + exitHelp,
		Example: `  granter audit -f deploy/campaigns/emoticons.yaml
  granter audit keygen audit.key
  granter audit --campaign sorry-2022 --complete --key audit.key --report reports/ --receipts
  granter audit verify --public audit.key.pub reports/*.report
  granter audit -f deploy/campaigns/emoticons.yaml --wait --follow --every 1h --key audit.key --report reports/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd, flags.anyIDs, flags.nameFlag, flags.jsonFlag, flags.kafkaFlags, flags.registryFlags, flags.groupFlag,
		flags.redisFlags, flags.retryFlag)
	f := cmd.Flags()
	f.StringVar(&flags.ids, "ids", "", "file for every user that something is found about: kind,user")
	f.Int64Var(&flags.memory, "memory", 256<<20,
		"bytes for users' bits or IDs, and for users that wait to be marked; with less, the topic is read several times")
	f.BoolVar(&flags.second, "independent", false,
		"read the topic and the dead letters with franz-go instead of granter's own client: a second opinion, slower")
	f.BoolVar(&flags.complete, "complete", false, "it is not proven while records wait to be granted")
	f.BoolVar(&flags.korean, "korean", false, "write for people in Korean")
	f.StringVar(&flags.files.key, "key", "", "file of the private key that signs the report: granter audit keygen makes one")
	f.StringVar(&flags.files.report, "report", "", "file for the signed report, or a directory that has one for each audit")
	f.StringVar(&flags.files.previous, "previous", "", "signed report before this one; in a directory it is the last one there")
	f.BoolVar(&flags.files.receipts, "receipts", false,
		"commit to each user, and leave what receipts are made from beside the report")
	f.BoolVar(&flags.wait, "wait", false, "begin when the rollout is over")
	f.BoolVar(&flags.follow, "follow", false, "audit again and again, until a signal")
	f.DurationVar(&flags.every, "every", time.Hour, "with --follow: from the beginning of one audit to the next")
	f.StringVar(&flags.listen, "listen", "127.0.0.1:9469",
		`with --follow or --wait: address of /metrics, /healthz and /readyz, or "off"`)
	f.DurationVar(&flags.linger, "linger", 0,
		"with --wait: keep serving metrics for so long after the audit, so that the last values are scraped")
	f.StringVar(&flags.logFormat, "log-format", "",
		"with --follow or --wait: text or json (default: text on a terminal, else json)")
	cmd.AddCommand(newAuditKeygen(), newAuditVerify())
	return cmd
}

func (f *auditFlags) lang() string {
	if f.korean {
		return "ko"
	}
	return "en"
}

func (f *auditFlags) execute(cmd *cobra.Command) error {
	if err := f.files.validate(); err != nil {
		return usageError(err)
	}
	switch {
	case f.every <= 0:
		return usageError(errors.New("--every: want a duration above 0, such as 1h"))
	case f.linger < 0:
		return usageError(errors.New("--linger: want a duration, such as 15s"))
	case f.linger > 0 && (!f.wait || f.follow):
		return usageError(errors.New("--linger is for an audit by --wait that is made once"))
	}
	q, err := f.query(cmd.Context(), f.retryFor)
	if err != nil {
		return err
	}
	defer q.close()
	if f.follow || f.wait {
		return f.serve(cmd, q)
	}
	_, err = f.once(cmd.Context(), cmd, q)
	return err
}

// once makes one audit, and leaves and prints its report.
func (f *auditFlags) once(ctx context.Context, cmd *cobra.Command, q *query) (*audit.Report, error) {
	release, err := f.files.lock(ctx, cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	defer release()
	before, err := f.files.before(q.campaign.Name)
	if err != nil {
		return nil, err
	}
	defer f.files.discard()
	r, spec, err := f.audit(ctx, cmd.ErrOrStderr(), q, before)
	if err != nil {
		return nil, explain(err, f.brokers)
	}
	said, err := f.files.write(r, before, spec, f.lang())
	if err != nil {
		return nil, err
	}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), r)
	} else {
		r.Print(cmd.OutOrStdout(), f.lang())
		fmt.Fprint(cmd.OutOrStdout(), said)
	}
	return r, errors.Join(err, judged(r))
}

// judged is how a process ends after an audit.
func judged(r *audit.Report) error {
	switch r.Verdict {
	case audit.Refuted:
		return &exitError{code: exitRefuted}
	case audit.NotProven:
		return &exitError{code: exitNotProven}
	case audit.Proven:
	}
	return nil
}

// audit makes one audit, by the spec that it returns.
func (f *auditFlags) audit(
	ctx context.Context, stderr io.Writer, q *query, before *signedReport,
) (r *audit.Report, camp *grant.Campaign, err error) {
	camp, differs, err := status.InForce(ctx, q.coordination, q.reader, q.campaign)
	if err != nil {
		return nil, nil, err
	}
	if differs != nil {
		fmt.Fprintf(stderr, "granter: %s:\n%s\n", differs, differs.Fields)
	}
	by, closing, err := q.reading(camp, f.retryFor)
	if err != nil {
		return nil, nil, err
	}
	defer closing()
	cfg, err := f.config(ctx, q, camp, by)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Tree, err = f.files.tree(camp); err != nil {
		return nil, nil, err
	}
	reader := "granter"
	if f.second {
		closing, err := f.independent(&cfg, q.kafka, camp)
		if err != nil {
			return nil, nil, err
		}
		defer closing()
		reader = "franz-go"
	}
	if before != nil {
		cfg.Previous = before.report
	}
	if f.ids != "" {
		file, err := newIDFile(f.ids)
		if err != nil {
			return nil, nil, err
		}
		cfg.IDs = file
		defer func() { err = errors.Join(err, file.close()) }()
	}
	f.budgetMemory()
	if r, err = audit.Run(ctx, cfg); err != nil {
		return nil, nil, err
	}
	r.By, err = whoami("")
	r.Version, r.Reader = version, reader
	return r, camp, err
}

// besidesUsers is what an audit takes beside --memory: what it fetches, the ledger's entries that it reads, the program.
const besidesUsers = 96 << 20

// budgetMemory makes the runtime collect garbage before an audit takes much more than its budget.
func (f *auditFlags) budgetMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // as a run's: most of the heap are bits that stay
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // nobody set GOMEMLIMIT
		debug.SetMemoryLimit(max(f.memory, 0) + besidesUsers)
	}
}

// independent makes franz-go read the topic and the dead letters.
func (f *auditFlags) independent(cfg *audit.Config, k source.Kafka, camp *grant.Campaign) (closing func(), err error) {
	topic, err := franz.Open(k, camp.Input.Topic, camp.Input.From.Header(), f.retryFor)
	if err != nil {
		return nil, err
	}
	letters, err := franz.Open(k, camp.Input.DeadLetterTopic(), "", f.retryFor)
	if err != nil {
		topic.Close()
		return nil, err
	}
	cfg.Topic, cfg.Letters = topic, letters
	return func() { topic.Close(); letters.Close() }, nil
}

// config is that of an audit whose records by reads.
func (f *auditFlags) config(
	ctx context.Context, q *query, camp *grant.Campaign, by *source.Source,
) (cfg audit.Config, err error) {
	runs, err := q.coordination.Runs(ctx)
	if err != nil && !errors.Is(err, ledger.ErrInconsistent) { // of one record; the others are good
		return cfg, err
	}
	history, err := q.coordination.History(ctx)
	if err != nil {
		return cfg, err
	}
	rebuilt, err := q.coordination.Rebuilds(ctx)
	if err != nil {
		return cfg, err
	}
	compacted, err := q.source.Compacted(ctx)
	if err != nil {
		return cfg, err
	}
	letters, err := q.source.Letters()
	if err != nil {
		return cfg, err
	}
	group := f.group
	if group == "" {
		group = "granter-" + camp.Name
	}
	cfg = audit.Config{
		Campaign: camp, Ledger: q.reader, Topic: q.source, Memory: f.memory, Complete: f.complete, Runs: runs,
		Letters: audit.LettersOf(letters), Canaries: canaries(camp.Name, runs), Anew: anew(history),
		Decode: by.Number, Members: by.Members, Rebuilt: rebuilt, Compacted: compacted,
		Checkpoint: func(ctx context.Context) (grant.Checkpoint, error) { return q.reader.Checkpoints(ctx, camp) },
		Committed: func(ctx context.Context, id grant.TopicID) (grant.Offsets, error) {
			return q.source.Committed(ctx, group, id)
		},
	}
	if by.RegistryAddress() != "" {
		cfg.Learn = by.Learn
	}
	return cfg, nil
}

// anew is when somebody last ordered to begin anew in the topic.
func anew(history []grant.HistoryEntry) (at time.Time) {
	for i := range history {
		if h := &history[i]; h.Action == grant.ActionNewTopic && h.Refused == "" && h.At.After(at) {
			at = h.At
		}
	}
	return at
}

// canaries are the passes of runs that granted a share of all users.
func canaries(name string, runs []grant.RunRecord) map[grant.RunID]*grant.Pass {
	out := map[grant.RunID]*grant.Pass{}
	for i := range runs {
		text, is := strings.CutPrefix(runs[i].Pass, "canary ")
		share, err := grant.ParseShare(text)
		if !is || err != nil {
			continue
		}
		if pass, err := canary.Share(grant.Pass{}, name, share); err == nil {
			out[runs[i].Run] = &pass
		}
	}
	return out
}

// idFile is the file of --ids. It is for the eyes of whoever asked for it.
type idFile struct {
	file *os.File
	out  *bufio.Writer
}

func newIDFile(name string) (*idFile, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, usageError(err)
	}
	out := bufio.NewWriter(file)
	_, err = out.WriteString("kind,user\n")
	return &idFile{file, out}, err
}

// Add implements audit.IDs.
func (f *idFile) Add(kind audit.Kind, user grant.UserID) error {
	_, err := fmt.Fprintf(f.out, "%s,%v\n", kind, user)
	return err
}

func (f *idFile) close() error { return errors.Join(f.out.Flush(), f.file.Sync(), f.file.Close()) }
