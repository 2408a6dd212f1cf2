package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// motionFlags are what is moved about a claim.
type motionFlags struct {
	put, move, reason string
	amount            int64
}

func (f *motionFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(
		&f.put,
		"put",
		"",
		"the claim to put on the agenda, with --move and --why, which the owner is told if it is carried",
	)
	flags.StringVar(&f.move, "move", "", "what is moved: approve or decline; of an objection: uphold, partly_uphold or reject")
	flags.Int64Var(&f.amount, "amount", 0, "won, of a motion to pay; of an objection: what is owed together")
	flags.StringVar(&f.reason, "reason", "", "of a motion to decline, the reason that the owner is told: "+reasonsHelp())
}

func reasonsHelp() string {
	list := make([]string, 0, len(claims.Reasons()))
	for _, r := range claims.Reasons() {
		list = append(list, string(r))
	}
	return strings.Join(list, ", ")
}

func newCouncilAgenda() *cobra.Command {
	var flags councilFlags
	var moved motionFlags
	cmd := &cobra.Command{
		Use:   "agenda MEETING [--put CLAIM --move ACTION --why TEXT]",
		Short: "What a meeting has before it; put a motion about a claim on its agenda",
		Long: `Agenda lists the items of a meeting. --put moves something about a claim that was referred to the council: to
approve an amount, which the programme and what is left of the budget bound, or to decline. --why is what the owner is told if
the motion is carried. What members voted is said when an item was counted, not before.

` + exitHelp,
		Example: `  granter claims council agenda 1 --put f-0a1b2c3d4e5f60718293 --move approve --amount 2400000 --why "shown"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := meetingNumber(args[0])
			if err != nil {
				return err
			}
			if (moved.put == "") != (moved.move == "") {
				return usageError(
					errors.New("say --put CLAIM and --move to put something on the agenda, or neither to read it"),
				)
			}
			motion := vote.Motion{
				Action: claims.Action(moved.move), Amount: claims.Won(moved.amount), Declined: claims.Reason(moved.reason),
			}
			return flags.council(cmd, claims.Secretary,
				func(ctx context.Context, s *store.Store, p *claims.Programme, by store.Actor) error {
					if moved.put != "" {
						if _, err := s.PutOnAgenda(ctx, p, moved.put, number, motion, by, flags.why); err != nil {
							return err
						}
					}
					return flags.sayMeeting(ctx, cmd, s, p, number)
				})
		},
	}
	flags.addFlags(cmd, true)
	moved.addFlags(cmd)
	return cmd
}

func newCouncilVote() *cobra.Command {
	var flags councilFlags
	var member string
	cmd := &cobra.Command{
		Use:   "vote CLAIM for|against|abstain|recuse",
		Short: "Vote on the motion about a claim, or take no part in it",
		Long: `Vote gives a member's vote on the item that is open about CLAIM; until it is counted, the last one counts. recuse,
with --why, takes the member off the item: he then counts neither as a vote nor for the quorum. --member has the secretary note
that for a member who said so at the meeting.

` + exitHelp,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			duty := claims.CouncilDuty
			if member != "" {
				if duty = claims.Secretary; args[1] != string(claims.Recuse) {
					return usageError(errors.New("--member: members vote themselves; the secretary notes a recusal only"))
				}
			}
			return flags.council(cmd, duty,
				func(ctx context.Context, s *store.Store, p *claims.Programme, by store.Actor) error {
					v, err := openItem(ctx, s, args[0])
					if err != nil {
						return err
					}
					v.Choice, v.Why = vote.Choice(args[1]), flags.why
					if args[1] != string(claims.Recuse) {
						_, err = s.Vote(ctx, p, v, by)
					} else {
						who := by.Name
						if member != "" {
							who = member
						}
						_, err = s.RecuseFrom(ctx, p, v, who, by)
					}
					if err != nil {
						return err
					}
					return flags.sayMeeting(ctx, cmd, s, p, v.Meeting)
				})
		},
	}
	flags.addFlags(cmd, true)
	cmd.Flags().StringVar(&member, "member", "", "the member whose recusal the secretary notes")
	return cmd
}

// openItem is the item that is voted on about a claim.
func openItem(ctx context.Context, s *store.Store, id string) (store.VoteOn, error) {
	list, err := s.Get(ctx, id)
	if err != nil {
		return store.VoteOn{}, err
	}
	if list[0].Item == nil {
		return store.VoteOn{}, fmt.Errorf(
			"claim %s: nothing is voted on about it: granter claims council agenda puts it before a meeting",
			id,
		)
	}
	return store.VoteOn{Claim: id, Meeting: list[0].Item.Meeting, Item: list[0].Item.Number}, nil
}

func newCouncilClose() *cobra.Command {
	var flags councilFlags
	var chair bool
	cmd := &cobra.Command{
		Use:   "close CLAIM",
		Short: "Count the votes on the motion about a claim",
		Long: `Close counts the item that is open about CLAIM. When enough members are there who may vote, and enough of them are
for it, the motion decides the claim; otherwise the claim stays before the council, and something else can be moved. The secretary
does it, or who chairs the meeting (--chair).

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			duty := claims.Secretary
			if chair {
				duty = claims.CouncilDuty
			}
			return flags.council(cmd, duty,
				func(ctx context.Context, s *store.Store, p *claims.Programme, by store.Actor) error {
					v, err := openItem(ctx, s, args[0])
					if err != nil {
						return err
					}
					if _, err := s.CloseItem(ctx, p, v, by); err != nil {
						return err
					}
					return flags.sayMeeting(ctx, cmd, s, p, v.Meeting)
				})
		},
	}
	flags.addFlags(cmd, true)
	cmd.Flags().BoolVar(&chair, "chair", false, "as who chairs the meeting")
	return cmd
}

func newCouncilMinutes() *cobra.Command {
	var flags councilFlags
	cmd := &cobra.Command{
		Use:   "minutes MEETING",
		Short: "Who was at a meeting, and what it decided",
		Long: `Minutes print who was there and for whom they speak, and of each item the motion, who was recused, the votes, and
what was decided and why. They name no owner. The review desk has the same as a page to print.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := meetingNumber(args[0])
			if err != nil {
				return err
			}
			return flags.council(cmd, claims.Secretary,
				func(ctx context.Context, s *store.Store, p *claims.Programme, _ store.Actor) error {
					return flags.sayMeeting(ctx, cmd, s, p, number)
				})
		},
	}
	flags.addFlags(cmd, false)
	return cmd
}

func (f *councilFlags) sayMeeting(
	ctx context.Context, cmd *cobra.Command, s *store.Store, p *claims.Programme, number int,
) error {
	m, err := council.Of(ctx, s, p, number)
	if err != nil {
		return err
	}
	if err := readsHere(ctx, s, store.ReadCouncil, m.Claims()...); err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), m)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "meeting %d, %s, %s\n", m.Meeting, m.At.In(p.Zone).Format("2006-01-02 15:04 MST"), m.Place)
	if !m.ClosedAt.IsZero() {
		fmt.Fprintf(w, "closed at %s by %s\n", text.Moment(m.ClosedAt), m.ClosedBy)
	}
	rows := []string{"there\taffiliation\t"}
	for _, a := range m.Present {
		chairs := ""
		if a.Member == m.Chair {
			chairs = "chair"
		}
		rows = append(rows, a.Name+"\t"+string(a.Affiliation)+"\t"+chairs)
	}
	table(w, rows...)
	for i := range m.Items {
		sayItem(w, &m.Items[i], &m.Rules)
	}
	return nil
}

func sayItem(w io.Writer, i *council.Item, rules *claims.Council) {
	fmt.Fprintf(
		w,
		"\nitem %d: claim %s, sales loss %s won, assessed %s: move to %s",
		i.Number,
		i.Claim,
		text.Number(int64(i.Loss)),
		text.Number(int64(i.Assessed)),
		i.Motion.Action,
	)
	if i.Motion.Pays() {
		fmt.Fprintf(w, " %s won", text.Number(int64(i.Motion.Amount)))
	}
	fmt.Fprintf(w, ": %s\n", i.Why)
	for _, r := range i.Recused {
		fmt.Fprintf(w, "  recused: %s: %s\n", r.Member, r.Why)
	}
	switch {
	case i.Open:
		fmt.Fprintf(w, "  open: %d of %d who may vote have voted\n", i.Now.Voted, i.Now.MayVote)
	case i.Outcome == nil:
		fmt.Fprintf(w, "  the claim left the council before it was counted (%s)\n", i.Ended)
	default:
		for _, b := range i.Outcome.Ballots {
			choice := string(b.Choice)
			if choice == "" {
				choice = "no vote"
			}
			fmt.Fprintf(w, "  %s (%s): %s%s\n", b.Member, b.Affiliation, choice, because(b.Why))
		}
		fmt.Fprintf(w, "  %s\n", i.Outcome.Says(rules))
		fmt.Fprintf(w, "  the claim is in state %s now\n", i.State)
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ", " + why
}
