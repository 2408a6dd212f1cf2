package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
)

func newProposals() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "acts",
		Short: "Acts about users that take two people: pending, show, approve, reject",
		Long: `Where a campaign's spec has "approval", one person may do something about so many users a day alone; what is
more is proposed, and done when somebody else approves it. So is whatever is proposed by --propose.

` + exitHelp,
	}
	cmd.AddCommand(newPending(), newShow(),
		newDecision("approve", "Approve a proposal of somebody else, and carry it out",
			"What was approved and is not done to everybody, as after a crash, is continued by approving it again."),
		newDecision("reject", "Reject a proposal, or take back your own", "Nothing is done then."))
	return cmd
}

// proposalFlags are those of commands about proposals.
type proposalFlags struct {
	connection
	who, reason, out string
	all              bool
}

// doer is what carries out acts about users of the campaign that is named. The caller closes the query.
func (f *proposalFlags) doer(cmd *cobra.Command) (*query, *acts.Doer, error) {
	q, err := f.queryLedger(cmd.Context(), f.timeout)
	if err != nil {
		return nil, nil, err
	}
	granted, _, err := status.InForce(cmd.Context(), q.coordination, q.reader, q.campaign)
	if err == nil {
		var d *acts.Doer
		if d, err = newDoer(q.redis, granted, f.patiently(f.timeout)); err == nil {
			return q, d, nil
		}
	}
	q.close()
	return nil, nil, err
}

func newPending() *cobra.Command {
	var f proposalFlags
	cmd := &cobra.Command{
		Use: "pending {-f SPEC | --campaign NAME}", Short: "List the proposals that wait for somebody", Args: cobra.NoArgs,
		Long: "List the proposals that wait for a second person, and those that were approved and are not done to " +
			"everybody.\n\n" +
			exitHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, d, err := f.doer(cmd)
			if err != nil {
				return err
			}
			defer q.close()
			list, err := d.Pending(cmd.Context(), f.all)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), list)
			}
			printProposals(cmd.OutOrStdout(), list, q.campaign.StartsAt.Location())
			return nil
		},
	}
	f.addFlags(cmd, f.anyIDs, f.nameFlag, f.jsonFlag, f.redisFlags)
	cmd.Flags().BoolVar(&f.all, "all", false, "also those that were decided, or that nobody decided in time")
	return cmd
}

func newShow() *cobra.Command {
	var f proposalFlags
	cmd := &cobra.Command{
		Use: "show {-f SPEC | --campaign NAME} REQUEST", Short: "Show a proposal, and what it would do now",
		Args: cobra.ExactArgs(1),
		Long: "Show a proposal, and what it would do now; of one that was carried out, what became of each user. --out " +
			"writes all users to a CSV file.\n\n" + exitHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, d, err := f.doer(cmd)
			if err != nil {
				return err
			}
			defer q.close()
			p, r, err := d.Show(cmd.Context(), args[0])
			if err != nil && p == nil {
				return err
			}
			return errors.Join(err, f.tell(cmd, p, r, q.campaign.StartsAt.Location()))
		},
	}
	f.addFlags(cmd, f.anyIDs, f.nameFlag, f.jsonFlag, f.redisFlags)
	cmd.Flags().StringVar(&f.out, "out", "", "CSV file that gets all users, with what becomes of each")
	return cmd
}

func newDecision(use, short, say string) *cobra.Command {
	var f proposalFlags
	cmd := &cobra.Command{
		Use: use + " {-f SPEC | --campaign NAME} --reason TEXT REQUEST", Short: short, Args: cobra.ExactArgs(1),
		Long: short + ".\n\n" + say + " It goes straight to Redis, so whoever may write there may do it, by the name that the " +
			"system has.\n\n" + exitHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := whoami(f.who)
			if err == nil {
				err = grant.ValidateWhy(f.reason)
			}
			if err != nil {
				return usageError(err)
			}
			q, d, err := f.doer(cmd)
			if err != nil {
				return err
			}
			defer q.close()
			p, r, err := d.Decide(cmd.Context(), args[0],
				grant.Decision{Approve: use == "approve", Who: who, Via: "cli", Why: f.reason})
			if p == nil {
				return err
			}
			return errors.Join(err, f.tell(cmd, p, r, q.campaign.StartsAt.Location()))
		},
	}
	f.addFlags(cmd, f.anyIDs, f.nameFlag, f.jsonFlag, f.redisFlags)
	cmd.Flags().StringVar(&f.reason, "reason", "", "why (required)")
	cmd.Flags().StringVar(&f.who, "who", "", whoHelp)
	cmd.Flags().StringVar(&f.out, "out", "", "CSV file that gets all users, with what became of each")
	return cmd
}

// told is the JSON of a proposal and what it does.
type told struct {
	Proposal *grant.Proposal `json:"proposal"`
	Report   *acts.Report    `json:"report,omitempty"`
}

// tell says what a proposal is, and what it does.
func (f *proposalFlags) tell(cmd *cobra.Command, p *grant.Proposal, r *acts.Report, zone *time.Location) error {
	if f.out != "" && r != nil {
		file := acts.File{Header: []string{"user"}, Rows: make([]acts.Row, len(r.Results))}
		for i := range r.Results {
			file.Rows[i].Fields = []string{r.Results[i].User.String()}
		}
		var b bytes.Buffer
		err := file.Write(&b, r.Results)
		if err == nil {
			err = os.WriteFile(f.out, b.Bytes(), 0o600)
		}
		if err != nil {
			return err
		}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), told{p, r})
	}
	printProposals(cmd.OutOrStdout(), []grant.Proposal{*p}, zone)
	if r != nil {
		printReport(cmd.OutOrStdout(), r)
	}
	return nil
}

func printProposals(w io.Writer, list []grant.Proposal, zone *time.Location) {
	if len(list) == 0 {
		fmt.Fprintln(w, "nothing waits for anybody")
		return
	}
	rows := []string{"request\twhat\tusers\tproposed by\tat\tstate\twhy"}
	for i := range list {
		p := &list[i]
		rows = append(rows, strings.Join([]string{
			oneLine(p.Act.ID), oneLine(actSays(&p.Act, zone)), text.Number(int64(p.Users)), oneLine(p.Act.Who),
			text.Moment(p.At.In(zone)), oneLine(proposalSays(p, zone)), oneLine(p.Act.Reason),
		}, "\t"))
	}
	table(w, rows...)
}

func actSays(a *grant.Act, zone *time.Location) string {
	parts := []string{string(a.Kind)}
	for _, more := range []string{string(a.Revocation), a.Item} {
		if more != "" {
			parts = append(parts, more)
		}
	}
	if !a.Until.IsZero() {
		parts = append(parts, "until "+text.Moment(a.Until.In(zone)))
	}
	if !a.Effective.IsZero() {
		parts = append(parts, "since "+text.Moment(a.Effective.In(zone)))
	}
	return strings.Join(parts, " ")
}

func proposalSays(p *grant.Proposal, zone *time.Location) string {
	switch {
	case p.State == grant.ProposalPending:
		return "pending until " + text.Moment(p.Until.In(zone))
	case p.Decided != nil:
		return fmt.Sprintf("%s by %s: %s", p.State, p.Decided.Who, p.Decided.Why)
	}
	return string(p.State)
}
