package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

// actFlags are the settings of the commands that do something about single users.
type actFlags struct {
	connection
	reason, who, request string
	users, out           string
	dryRun, afterEnd     bool
	propose              bool
	kind                 string
	effective, until     string
	item                 string
	resume               bool
	topic                string
	listed               bool // of exclude: whom the spec names
}

const actHelp = `

Instead of users, --users names a CSV file (or - the standard input): one user a row, or with a header that has the column
user and, if rows have values of their own, reason and to. The same file comes back in --out, with what became of each row and
why. --dry-run only says what would happen. It is safe to run the same command again after anything: each act of a request is
done to a user once, and a file is the same request as long as file, command and flags are the same.

It goes straight to Redis, so whoever may write there may do it. Who did what, when and why is with the user (granter verify),
and one line of each command in granter history.

`

// actCommands are the commands, by the act that they do.
var actCommands = []struct {
	kind            grant.ActKind
	use, short, say string
}{
	{grant.ActHand, "grant-user", "Grant users by hand: late, or missed by the topic",
		"It is counted from now on, as a run would. After the end of the campaign it takes --after-end."},
	{grant.ActExclude, "exclude", "Exclude users from the campaign, before they are granted",
		"Runs withhold them from then on, whatever the topic says. Who is granted already can only be revoked."},
	{grant.ActRevoke, "revoke", "Take back what users were granted",
		"No replay of the topic grants them again. Say by --kind whether it was a mistake, fraud, or the user's request."},
	{grant.ActReinstate, "reinstate", "Give back what was revoked, or end an exclusion",
		"Who was revoked has it again, with the first dates. Who was excluded is granted now."},
	{grant.ActExtend, "extend", "Let items end at another time: later, or sooner",
		"It is about one item, by --item, or about all of them."},
	{grant.ActRecall, "recall", "End the offer of items that users have not taken",
		"Who has taken the item keeps it. It is about one item, by --item, or about all that users take."},
	{grant.ActMove, "move", "Move grants to other accounts, with the same dates",
		"Two users are named: from and to; or a file has the columns user and to. A move that stopped half way is continued " +
			"by the same command, or by --resume."},
	{grant.ActNote, "note", "Note something about users for the next colleague who looks", "The reason is the note."},
}

func newActs() (cmds []*cobra.Command) {
	for _, c := range actCommands {
		cmds = append(cmds, newAct(c.kind, c.use, c.short, c.say))
	}
	return cmds
}

func newAct(kind grant.ActKind, use, short, say string) *cobra.Command {
	var f actFlags
	cmd := &cobra.Command{
		Use: use + " {-f SPEC | --campaign NAME} --reason TEXT {USER... | --users FILE}", Short: short,
		Long: short + ".\n\n" + say + actHelp + exitHelp,
		RunE: func(cmd *cobra.Command, args []string) error { return f.execute(cmd, kind, args) },
	}
	f.addFlags(cmd, f.anyIDs, f.nameFlag, f.jsonFlag, f.redisFlags)
	flags := cmd.Flags()
	flags.StringVar(&f.reason, "reason", "", "why: it stays with the user (required)")
	flags.StringVar(&f.who, "who", "", whoHelp)
	flags.StringVar(&f.request, "request", "", "name of the request: its acts are done once (default: of file and flags)")
	flags.StringVar(&f.users, "users", "", "CSV file of users; - is the standard input")
	flags.StringVar(&f.out, "out", "", "where the file of --users is given back, with what became of each row")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only say what would happen")
	flags.BoolVar(&f.propose, "propose", false, "leave it to a second person, whatever the campaign's rule: see granter acts")
	switch kind {
	case grant.ActHand:
		flags.BoolVar(&f.afterEnd, "after-end", false, "grant although the campaign has ended")
	case grant.ActRevoke:
		flags.StringVar(&f.kind, "kind", "", "mistake, fraud or request (required)")
		flags.StringVar(&f.effective, "effective", "", "since when, RFC 3339 (default now)")
	case grant.ActExtend:
		flags.StringVar(&f.until, "until", "", "the new end, RFC 3339 (required)")
		flags.StringVar(&f.item, "item", "", "ID of the item (default all)")
	case grant.ActRecall:
		flags.StringVar(&f.item, "item", "", "ID of the item (default all that users take)")
	case grant.ActMove:
		flags.BoolVar(&f.resume, "resume", false, "continue the moves that stopped half way")
	case grant.ActExclude:
		f.excludeFlags(cmd)
	case grant.ActReinstate, grant.ActNote, grant.ActErase: // the last is a command of its own
	}
	return cmd
}

func (f *actFlags) execute(cmd *cobra.Command, kind grant.ActKind, args []string) error {
	if f.listed {
		return f.settleListed(cmd, args)
	}
	act, err := f.act(kind)
	if err != nil {
		return err
	}
	q, err := f.queryLedger(cmd.Context(), f.timeout)
	if err != nil {
		return err
	}
	defer q.close()
	granted, _, err := status.InForce(cmd.Context(), q.coordination, q.reader, q.campaign)
	if err != nil {
		return err
	}
	d, err := newDoer(q.redis, granted, f.patiently(f.timeout))
	if err != nil {
		return err
	}
	if f.resume {
		n, err := d.Resume(cmd.Context())
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %d moves came to their end\n", granted.Name, n)
		return err
	}
	file, digest, err := f.rows(cmd, kind, args, granted)
	if err != nil {
		return err
	}
	if act.ID = f.request; act.ID == "" {
		act.ID = f.requestID(&act, digest)
	}
	if err := act.Validate(); err != nil && kind != grant.ActMove {
		return usageError(err)
	}
	r, err := d.Run(cmd.Context(), &acts.Command{
		Act: act, Rows: file.Rows, Dry: f.dryRun, Propose: f.propose, AfterEnd: f.afterEnd,
	})
	return errors.Join(err, f.tell(cmd, file, r))
}

// newDoer makes what carries out acts about users of a campaign.
func newDoer(client redis.UniversalClient, granted *grant.Campaign, cfg ledger.Config) (*acts.Doer, error) {
	store, err := ledger.Open(client, granted, cfg)
	if err != nil {
		return nil, err
	}
	trail := ledger.NewCoordination(store)
	return &acts.Doer{
		Campaign: granted, Ledger: ledger.NewActs(store, grant.NewRunID(time.Now())), Reader: ledger.NewReader(store),
		Trail: trail, Proposals: trail,
	}, nil
}

// act is what the flags say.
func (f *actFlags) act(kind grant.ActKind) (a grant.Act, err error) {
	a = grant.Act{Kind: kind, Via: "cli", Reason: f.reason, Revocation: grant.RevocationKind(f.kind), Item: f.item}
	if a.Who, err = whoami(f.who); err != nil {
		return a, err
	}
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"--effective", f.effective, &a.Effective}, {"--until", f.until, &a.Until}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = parseTime(t.flag, t.text); err != nil {
			return a, usageError(err)
		}
	}
	if !f.resume {
		if err := grant.ValidateWhy(f.reason); err != nil {
			return a, usageError(fmt.Errorf("--reason: %w", err))
		}
	}
	return a, nil
}

// requestID names a request. Users on the command line are a request of their own each time; a file is the same one as long as
// nothing about it changes, so that a command that was killed can be started again.
func (f *actFlags) requestID(act *grant.Act, digest []byte) string {
	if digest == nil {
		return grant.NewRunID(time.Now()).String()
	}
	return acts.RequestOf(act, f.effective, f.until, digest)
}

// rows reads who it is about; the digest is that of a file, or of a topic.
func (f *actFlags) rows(cmd *cobra.Command, kind grant.ActKind, args []string, c *grant.Campaign) (*acts.File, []byte, error) {
	switch sources := btoi(len(args) > 0) + btoi(f.users != "") + btoi(f.topic != ""); {
	case sources == 0:
		return nil, nil, usageError(errors.New("which user? Give one or more user IDs, or a file by --users"))
	case sources > 1:
		return nil, nil, usageError(errors.New("users on the command line, --users and --topic exclude each other"))
	case f.topic != "":
		return f.fromTopic(cmd, c)
	case f.users != "":
		return f.fromFile(cmd, c)
	case f.out != "":
		return nil, nil, usageError(errors.New("--out changes nothing without --users"))
	}
	file, form := &acts.File{}, userid.FormOf(&c.Input)
	for _, arg := range args {
		user, err := form.Parse(arg)
		if err != nil {
			return nil, nil, usageError(err)
		}
		file.Rows = append(file.Rows, acts.Row{User: user})
	}
	if kind == grant.ActMove {
		if len(args) != 2 {
			return nil, nil, usageError(errors.New("a move is from one user to another: give two, or a file by --users " +
				"with the columns user and to"))
		}
		file.Rows[0].To = &file.Rows[1].User
		file.Rows = file.Rows[:1]
	}
	return file, nil, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (f *actFlags) fromFile(cmd *cobra.Command, c *grant.Campaign) (*acts.File, []byte, error) {
	in, name := cmd.InOrStdin(), "the standard input"
	if f.users != "-" {
		name = f.users
		opened, err := os.Open(f.users)
		if err != nil {
			return nil, nil, usageError(err)
		}
		defer opened.Close()
		in = opened
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	file, err := acts.ReadFile(bytes.NewReader(content), &c.Input)
	if err != nil {
		return nil, nil, usageError(fmt.Errorf("%s: %w", name, err))
	}
	digest := sha256.Sum256(content)
	return file, digest[:], nil
}

// tell says what became of the command, and gives the file back.
func (f *actFlags) tell(cmd *cobra.Command, file *acts.File, r *acts.Report) (err error) {
	if r == nil {
		return nil // nothing was tried, and an error says why
	}
	if f.out != "" {
		var b bytes.Buffer
		if err = file.Write(&b, r.Results); err == nil {
			err = os.WriteFile(f.out, b.Bytes(), 0o600)
		}
	}
	if f.json {
		err = errors.Join(err, printJSON(cmd.OutOrStdout(), r))
	} else {
		printReport(cmd.OutOrStdout(), r)
	}
	if err == nil && r.Overall != acts.Success && (r.Overall != acts.Proposed || !f.propose) {
		err = &exitError{code: exitFailed}
	}
	return err
}

// mostResults is how many rows that are not done are printed; all are in --out and --json.
const mostResults = 20

func printReport(w io.Writer, r *acts.Report) {
	count := func(of ...acts.Status) string {
		n := 0
		for _, status := range of {
			n += r.Counts[status]
		}
		return text.Number(int64(n))
	}
	dry := ""
	if r.DryRun {
		dry = "DRY RUN, nothing was written: "
	}
	fmt.Fprintf(w, "%s: %s%s: %s of %s users %s, %s unchanged, %s refused (request %s)\n", r.Campaign, dry, r.Overall,
		count(acts.Done), text.Number(int64(len(r.Results))),
		map[bool]string{true: "would be done", false: "done"}[r.DryRun || r.Overall == acts.Proposed],
		count(acts.Unchanged), count(acts.Refused, acts.Invalid), r.Request)
	switch {
	case r.Proposal != nil && r.Proposal.State == grant.ProposalPending:
		fmt.Fprintf(w, "  NOTHING WAS DONE: it takes a second person, until %s: granter acts approve --campaign %s %s\n",
			r.Proposal.Until.Format(time.RFC3339), r.Campaign, r.Request)
	case r.Proposal != nil:
		fmt.Fprintf(w, "  it was proposed, and is %s\n", r.Proposal.State)
	case r.TakesTwo:
		fmt.Fprintln(w, "  it would take a second person, and be proposed")
	}
	shown := 0
	for _, result := range r.Results {
		if result.Status == acts.Done {
			continue
		}
		if shown++; shown > mostResults {
			fmt.Fprintln(w, "  and more: --out or --json has all")
			return
		}
		fmt.Fprintf(w, "  %s: %s\n", result.Whom(), oneLine(result.Why))
	}
}
