package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
)

func newVerify() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "verify -f SPEC USER...",
		Short: "Say whether users have been granted the campaign, when, and until when",
		Long: `Verify answers the question of support for one or more users: granted or not, when, by which run and flush, from which
records of the topic, and until when each item is valid.

` + exitHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("which user? Give one or more user IDs"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			camp, err := c.campaign()
			if err != nil {
				return err
			}
			if _, err := userIDs(args, grant.MaxUserID); err != nil { // before anybody is asked
				return err
			}
			client, err := c.redisClient()
			if err != nil {
				return err
			}
			defer client.Close()
			led, err := ledger.New(client, camp, 0, ledger.Config{RetryFor: c.timeout})
			if err != nil {
				return err
			}
			camp, differs, err := status.InForce(cmd.Context(), led, camp)
			if err != nil {
				return err
			}
			if differs != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "granter: %s:\n%s\n", differs, differs.Fields)
			}
			users, err := userIDs(args, camp.Source.MaxID)
			if err != nil {
				return err
			}
			return verify(cmd.Context(), cmd.OutOrStdout(), led, camp, differs, users, c.json)
		},
	}
	c.addFlags(cmd)
	return cmd
}

// userIDs reads users' IDs up to a limit.
func userIDs(args []string, limit grant.UserID) ([]grant.UserID, error) {
	users := make([]grant.UserID, len(args))
	for i, arg := range args {
		var err error
		if users[i], err = source.ParseUserID(arg, limit); err != nil {
			return nil, usageError(err)
		}
	}
	return users, nil
}

// Verdict is the answer for one user.
type Verdict struct {
	User         grant.UserID       `json:"user"`
	Granted      bool               `json:"granted"`
	At           *time.Time         `json:"granted_at,omitempty"`
	Run          *grant.RunID       `json:"run,omitempty"`
	Shard        *int               `json:"shard,omitempty"`
	Flush        *uint64            `json:"flush,omitempty"`
	Ranges       []offsetRange      `json:"offsets,omitempty"` // the user's record is in one of these
	Entitlements []desk.Entitlement `json:"entitlements,omitempty"`
	SpecDiffers  *status.Differs    `json:"spec_differs,omitempty"` // of the file, from the ledger's, by which this is answered
}

type offsetRange struct {
	Partition int   `json:"partition"`
	First     int64 `json:"first"`
	Last      int64 `json:"last"`
}

func newVerdict(c *grant.Campaign, user grant.UserID, g ledger.Grant, granted bool) Verdict {
	v := Verdict{User: user, Granted: granted}
	if !granted {
		return v
	}
	at := g.At.In(c.StartsAt.Location())
	v.At, v.Run, v.Shard, v.Flush = &at, &g.Run, &g.Shard, &g.Flush
	for _, r := range g.Ranges {
		v.Ranges = append(v.Ranges, offsetRange(r))
	}
	slices.SortFunc(v.Ranges, func(a, b offsetRange) int { return cmp.Compare(a.Partition, b.Partition) })
	v.Entitlements = desk.Entitlements(c, at)
	return v
}

func verify(ctx context.Context, w io.Writer, led *ledger.Ledger, c *grant.Campaign, differs *status.Differs, users []grant.UserID, asJSON bool) error {
	verdicts := make([]Verdict, len(users))
	missing := 0
	for i, user := range users {
		g, granted, err := led.Lookup(ctx, user)
		if err != nil {
			return err
		}
		verdicts[i] = newVerdict(c, user, g, granted)
		verdicts[i].SpecDiffers = differs
		if !granted {
			missing++
		}
	}
	if asJSON {
		if err := printJSON(w, verdicts); err != nil {
			return err
		}
	} else {
		for _, v := range verdicts {
			printVerdict(w, c, v)
		}
	}
	if missing > 0 {
		return &exitError{code: exitNotGranted}
	}
	return nil
}

func printVerdict(w io.Writer, c *grant.Campaign, v Verdict) {
	if !v.Granted {
		fmt.Fprintf(w, "user %d: NOT granted %s (granter status says whether the run is over)\n", v.User, c.Name)
		return
	}
	fmt.Fprintf(w, "user %d: granted %s at %s by run %s (shard %d, flush %d)\n", v.User, c.Name, moment(*v.At), *v.Run, *v.Shard, *v.Flush)
	rows := []string{}
	for _, e := range v.Entitlements {
		until := "permanent"
		switch {
		case e.Expired:
			until = "EXPIRED " + moment(*e.ExpiresAt)
		case !e.Permanent:
			until = "until " + moment(*e.ExpiresAt)
		}
		rows = append(rows, fmt.Sprintf("  %s\t%s\t%s", e.ID, describe(e), until))
	}
	for _, r := range v.Ranges {
		rows = append(rows, fmt.Sprintf("  record in %s/%d\toffsets %d to %d\t", c.Source.Topic, r.Partition, r.First, r.Last))
	}
	table(w, rows...)
}

func describe(e desk.Entitlement) string {
	if e.Amount == 0 {
		return string(e.Kind)
	}
	return fmt.Sprintf("%s %s %s", e.Kind, number(e.Amount), e.Currency)
}
