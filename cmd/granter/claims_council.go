package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

func newClaimsCouncil() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "council",
		Short: "The council: members, meetings, agenda, votes, minutes",
		Long: `The council decides claims that are too large for one person, in meetings, by vote. Who may sit on it, how many
must be there and be for a motion, and how much it may pay is part of the programme (council:, docs/claims.md). A reviewer refers
a claim to it ("granter claims decide CLAIM refer --as reviewer"), the secretary puts it on the agenda of a meeting as a motion,
members vote on it, and when it is counted the motion decides the claim or the claim stays before the council. All of it is kept
in the chain that "granter claims prove" proves, which counts every vote again.

` + exitHelp,
	}
	cmd.AddCommand(
		newCouncilMembers(),
		newCouncilMeet(),
		newCouncilAgenda(),
		newCouncilVote(),
		newCouncilClose(),
		newCouncilMinutes(),
	)
	return cmd
}

// councilFlags are the settings of every command of the council.
type councilFlags struct {
	programmeFlags
	whoFlags
}

func (f *councilFlags) addFlags(cmd *cobra.Command, changes bool) {
	f.programmeFlags.addFlags(cmd)
	if changes {
		f.whoFlags.addFlags(cmd, keptForGood+": without names and numbers of owners")
	}
}

// council runs work with the database, its programme, and whoever asks.
func (f *councilFlags) council(
	cmd *cobra.Command, duty claims.Duty, work func(context.Context, *store.Store, *claims.Programme, store.Actor) error,
) error {
	who, err := f.whoFlags.name()
	if err != nil {
		return err
	}
	return f.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		if p.Council == nil {
			return usageError(fmt.Errorf("programme %s has no council", p.Name))
		}
		return work(ctx, s, p, store.Actor{Name: who, Duty: duty})
	})
}

func newCouncilMembers() *cobra.Command {
	var flags councilFlags
	var add, remove, affiliation, shown string
	var businesses []string
	cmd := &cobra.Command{
		Use:   "members [--add NAME --affiliation A --why TEXT | --remove NAME --why TEXT]",
		Short: "Who is on the council; give or take a seat",
		Long: `Members lists who has and had a seat. --add gives one to NAME, by which the member signs in, for an affiliation of
the programme; --shown is what minutes call the member, --business a business of the member's own, on whose claim he has no vote.

` + exitHelp,
		Example: `  granter claims council members --add cho --shown "조위원" --affiliation consumers --why "named"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			seat := vote.Seat{Name: add, Affiliation: claims.Affiliation(affiliation), Shown: shown}
			for _, b := range businesses {
				number, err := claims.ParseBusinessNumber(b)
				if err != nil {
					return usageError(fmt.Errorf("--business: %w", err))
				}
				seat.Businesses = append(seat.Businesses, number)
			}
			if add != "" && remove != "" {
				return usageError(errors.New("--add and --remove exclude each other"))
			}
			return flags.council(cmd, claims.Secretary,
				func(ctx context.Context, s *store.Store, p *claims.Programme, by store.Actor) error {
					var err error
					if add != "" {
						_, err = s.Join(ctx, p, seat, by, flags.why)
					} else if remove != "" {
						_, err = s.Leave(ctx, p, remove, by, flags.why)
					}
					if err != nil {
						return err
					}
					c, err := s.Council(ctx, p.Name)
					if err != nil {
						return err
					}
					return flags.sayMembers(cmd, p, c)
				})
		},
	}
	flags.addFlags(cmd, true)
	f := cmd.Flags()
	f.StringVar(&add, "add", "", "name by which a new member signs in")
	f.StringVar(&affiliation, "affiliation", "", "for whom the new member speaks, one of the programme's")
	f.StringVar(&shown, "shown", "", "what minutes call the new member; default: the name")
	f.StringSliceVar(&businesses, "business", nil, "business number of the new member's own")
	f.StringVar(&remove, "remove", "", "name of a member whose seat ends")
	return cmd
}

func (f *councilFlags) sayMembers(cmd *cobra.Command, p *claims.Programme, c *store.Council) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), struct {
			Programme string          `json:"programme"`
			Rules     *claims.Council `json:"rules"`
			*store.Council
		}{p.Name, p.Council, c})
	}
	rows := []string{"member\tshown as\taffiliation\tsince\tuntil"}
	for i := range c.Members {
		m := &c.Members[i]
		until := ""
		if !m.Until.IsZero() {
			until = text.Moment(m.Until)
		}
		rows = append(rows, strings.Join([]string{
			m.Name, council.ShownAs(m.Seat), string(m.Affiliation), text.Moment(m.Since), until,
		}, "\t"))
	}
	table(cmd.OutOrStdout(), rows...)
	return nil
}

// meetFlags are the settings of granter claims council meet.
type meetFlags struct {
	councilFlags
	at, place, chair string
	present          []string
	close            bool
}

func newCouncilMeet() *cobra.Command {
	var flags meetFlags
	cmd := &cobra.Command{
		Use:   "meet [MEETING]",
		Short: "Call a meeting, note who is there, or close it",
		Long: `Meet lists all meetings. With --at and --place it calls one, which has the next number. Of MEETING, --present and
--chair note who is there, again whenever somebody comes or goes: those count who are there when a motion is counted. --close
closes it, when every item was counted.

` + exitHelp,
		Example: `  granter claims council meet --at 2023-03-02T14:00 --place "3rd floor" --why "the first claims"
  granter claims council meet 1 --present cho,han,min,seo,yoon --chair han --why "who came"
  granter claims council meet 1 --close --why "all items were counted"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.council(cmd, claims.Secretary,
				func(ctx context.Context, s *store.Store, p *claims.Programme, by store.Actor) error {
					if err := flags.do(ctx, s, p, by, args); err != nil {
						return err
					}
					c, err := s.Council(ctx, p.Name)
					if err != nil {
						return err
					}
					return flags.sayMeetings(cmd, p, c)
				})
		},
	}
	flags.addFlags(cmd, true)
	f := cmd.Flags()
	f.StringVar(&flags.at, "at", "", "when a new meeting is, in the programme's zone, such as 2023-03-02T14:00")
	f.StringVar(&flags.place, "place", "", "where a new meeting is")
	f.StringSliceVar(&flags.present, "present", nil, "the members who are at MEETING, by name")
	f.StringVar(&flags.chair, "chair", "", "who of them chairs it")
	f.BoolVar(&flags.close, "close", false, "close MEETING")
	return cmd
}

func (f *meetFlags) do(ctx context.Context, s *store.Store, p *claims.Programme, by store.Actor, args []string) error {
	calls, attends := f.at != "" || f.place != "", len(f.present) > 0 || f.chair != ""
	if calls && (attends || f.close || len(args) > 0) || attends && f.close || (attends || f.close) != (len(args) == 1) {
		return usageError(
			errors.New("say --at and --place to call a meeting; or MEETING with --present and --chair, or with --close"),
		)
	}
	if calls {
		at, err := time.ParseInLocation("2006-01-02T15:04", f.at, p.Zone)
		if err != nil {
			return usageError(fmt.Errorf("--at %q: want a time in %s, such as 2023-03-02T14:00", f.at, p.Zone))
		}
		_, err = s.CallMeeting(ctx, p, at, f.place, by, f.why)
		return err
	}
	if len(args) == 0 {
		return nil
	}
	number, err := meetingNumber(args[0])
	if err != nil {
		return err
	}
	if f.close {
		_, err = s.CloseMeeting(ctx, p, number, by, f.why)
		return err
	}
	_, err = s.Attend(ctx, p, store.Attendance{Meeting: number, Chair: f.chair, Present: f.present}, nil, by, f.why)
	return err
}

func meetingNumber(arg string) (int, error) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 {
		return 0, usageError(fmt.Errorf("MEETING %q: want a number, as \"granter claims council meet\" lists them", arg))
	}
	return n, nil
}

func (f *meetFlags) sayMeetings(cmd *cobra.Command, p *claims.Programme, c *store.Council) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), struct {
			Programme string          `json:"programme"`
			Meetings  []store.Meeting `json:"meetings"`
		}{p.Name, c.Meetings})
	}
	rows := []string{"meeting\tat\tplace\tchair\tthere\titems\tclosed"}
	for i := range c.Meetings {
		m := &c.Meetings[i]
		closed := ""
		if !m.ClosedAt.IsZero() {
			closed = text.Moment(m.ClosedAt)
		}
		rows = append(rows, strings.Join([]string{
			strconv.Itoa(m.Meeting), m.At.In(p.Zone).Format("2006-01-02 15:04"), m.Place, m.Chair, strconv.Itoa(len(m.Present)),
			strconv.Itoa(len(m.Items)), closed,
		}, "\t"))
	}
	table(cmd.OutOrStdout(), rows...)
	return nil
}
