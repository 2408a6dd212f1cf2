package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
	follow   bool
	every    time.Duration

	listen, logFormat string
}

func newAudit() *cobra.Command {
	var flags auditFlags
	cmd := &cobra.Command{
		Use:   "audit {-f SPEC | --campaign NAME}",
		Short: "Prove from outside that everybody in the topic is granted, once, and nobody else",
		Long: `Audit reads the whole topic again, without a consumer group, and the whole ledger, and compares them user by user:
who has a record and is not granted, who is granted and has no record, who is granted twice; bitmaps against the journal;
malformed records against the dead-letter topic; the topic's identity, its partitions and what retention removed. It names
exactly who is concerned: the first of them, or all in the file of --ids. It changes nothing, and works while a run goes on: then
it speaks of the offsets that it names.

It believes nobody who granted: what it counts with is code of its own. With --independent it does not believe the client that
fetched for the run either, and reads with another one (franz-go); an auditor asks both.

With --key and --report it leaves a signed report, and a page to print beside it (.html); a report names the one before, which is
the last one in the directory of --report, or that of --previous, so that history cannot be rewritten quietly. --receipts leaves
beside it what granter receipt makes receipts of users from: a secret, as the ledger is.

` + exitHelp,
		Example: `  granter audit -f deploy/campaigns/emoticons.yaml
  granter audit keygen audit.key
  granter audit --campaign sorry-2022 --complete --key audit.key --report reports/ --receipts
  granter audit verify --public audit.key.pub reports/*.report`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd, flags.nameFlag, flags.jsonFlag, flags.kafkaFlags, flags.groupFlag, flags.redisFlags, flags.retryFlag)
	f := cmd.Flags()
	f.StringVar(&flags.ids, "ids", "", "file for every user that something is found about: kind,user")
	f.Int64Var(&flags.memory, "memory", 256<<20,
		"bytes for users' bits; where they do not suffice, the topic is read more than once")
	f.BoolVar(&flags.second, "independent", false,
		"read the topic and the dead letters with franz-go instead of granter's own client: a second opinion, slower")
	f.BoolVar(&flags.complete, "complete", false, "it is not proven while records wait to be granted")
	f.BoolVar(&flags.korean, "korean", false, "write for people in Korean")
	f.StringVar(&flags.files.key, "key", "", "file of the private key that signs the report: granter audit keygen makes one")
	f.StringVar(&flags.files.report, "report", "", "file for the signed report, or a directory that has one for each audit")
	f.StringVar(&flags.files.previous, "previous", "", "signed report before this one; in a directory it is the last one there")
	f.BoolVar(&flags.files.receipts, "receipts", false,
		"commit to each user, and leave what receipts are made from beside the report")
	f.BoolVar(&flags.follow, "follow", false, "audit again and again, until a signal")
	f.DurationVar(&flags.every, "every", time.Hour, "with --follow: from the beginning of one audit to the next")
	f.StringVar(&flags.listen, "listen", "127.0.0.1:9469", `with --follow: address of /metrics, /healthz and /readyz, or "off"`)
	f.StringVar(&flags.logFormat, "log-format", "", "with --follow: text or json (default: text on a terminal, else json)")
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
	if f.every <= 0 {
		return usageError(errors.New("--every: want a duration above 0, such as 1h"))
	}
	q, err := f.query(cmd.Context(), f.retryFor)
	if err != nil {
		return err
	}
	defer q.close()
	if f.follow {
		return f.followAudits(cmd, q)
	}
	_, err = f.once(cmd.Context(), cmd, q)
	return err
}

// once makes one audit, and leaves and prints its report.
func (f *auditFlags) once(ctx context.Context, cmd *cobra.Command, q *query) (*audit.Report, error) {
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
	cfg, err := f.config(ctx, q, camp)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Tree, err = f.files.tree(); err != nil {
		return nil, nil, err
	}
	reader := "granter"
	if f.second {
		closing, err := f.independent(&cfg, camp)
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
	if r, err = audit.Run(ctx, cfg); err != nil {
		return nil, nil, err
	}
	r.By, err = whoami("")
	r.Version, r.Reader = version, reader
	return r, camp, err
}

// independent makes franz-go read the topic and the dead letters.
func (f *auditFlags) independent(cfg *audit.Config, camp *grant.Campaign) (closing func(), err error) {
	k, err := f.kafka()
	if err != nil {
		return nil, err
	}
	topic, err := franz.Open(k, camp.Input.Topic, f.retryFor)
	if err != nil {
		return nil, err
	}
	letters, err := franz.Open(k, camp.Input.DeadLetterTopic(), f.retryFor)
	if err != nil {
		topic.Close()
		return nil, err
	}
	cfg.Topic, cfg.Letters = topic, letters
	return func() { topic.Close(); letters.Close() }, nil
}

func (f *auditFlags) config(ctx context.Context, q *query, camp *grant.Campaign) (cfg audit.Config, err error) {
	decode, err := source.Decoder(camp.Input)
	if err != nil {
		return cfg, err
	}
	runs, err := q.coordination.Runs(ctx)
	if err != nil && !errors.Is(err, ledger.ErrInconsistent) { // of one record; the others are good
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
	return audit.Config{
		Campaign: camp, Ledger: q.reader, Topic: q.source, Memory: f.memory, Complete: f.complete, Runs: runs,
		Letters: audit.LettersOf(letters), Canaries: canaries(camp.Name, runs),
		Decode: func(key, value []byte) (uint64, bool) {
			id, reason := decode(key, value)
			return id, reason != ""
		},
		Checkpoint: func(ctx context.Context) (grant.Checkpoint, error) { return q.reader.Checkpoints(ctx, camp) },
		Committed: func(ctx context.Context, id grant.TopicID) (grant.Offsets, error) {
			return q.source.Committed(ctx, group, id)
		},
	}, nil
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
