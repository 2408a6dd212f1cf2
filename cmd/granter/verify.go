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
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
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
			users := make([]grant.UserID, len(args))
			for i, arg := range args {
				if users[i], err = source.ParseUserID(arg, camp.Source.MaxID); err != nil {
					return usageError(err)
				}
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
			if camp, err = granted(cmd.Context(), cmd.ErrOrStderr(), led, camp); err != nil {
				return err
			}
			return verify(cmd.Context(), cmd.OutOrStdout(), led, camp, users, c.json)
		},
	}
	c.addFlags(cmd)
	return cmd
}

// granted returns the campaign as users were granted it, which the file may no longer say.
func granted(ctx context.Context, warn io.Writer, led *ledger.Ledger, file *grant.Campaign) (*grant.Campaign, error) {
	stored, ok, err := led.Spec(ctx)
	if err != nil || !ok || stored.Hash == file.Hash {
		return file, err
	}
	camp, err := campaign.Parse("the ledger's spec", stored.Canonical)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(warn, "granter: the file differs from the campaign that was granted; this answer is by the latter:\n%s\n",
		campaign.Diff(stored.Canonical, file.Canonical))
	camp.StartsAt = camp.StartsAt.In(file.StartsAt.Location()) // times are shown in the zone of the file
	return camp, nil
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

func verify(ctx context.Context, w io.Writer, led *ledger.Ledger, c *grant.Campaign, users []grant.UserID, asJSON bool) error {
	verdicts := make([]Verdict, len(users))
	missing := 0
	for i, user := range users {
		g, granted, err := led.Lookup(ctx, user)
		if err != nil {
			return err
		}
		verdicts[i] = newVerdict(c, user, g, granted)
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
