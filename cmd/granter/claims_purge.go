package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/retention"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// claimsPurgeFlags are the settings of granter claims purge.
type claimsPurgeFlags struct {
	programmeFlags
	siteFlags
	whoFlags

	policy, confirm string
	dryRun          bool
}

func newClaimsPurge() *cobra.Command {
	var flags claimsPurgeFlags
	cmd := &cobra.Command{
		Use:   "purge --retention FILE {--dry-run | --why TEXT --confirm NAME}",
		Short: "Remove records of claims that need not be kept any longer",
		Long: `FILE says how long each class of records is kept after a claim has ended, such as "documents: 3 years"
(deploy/programmes/retention.yaml): documents, letters, notices, contact (who the owner is), decisions (what was reported, checked
and decided, and why); access, who has looked at whose data, and reports, what was reported before claims could be filed, each
from then on. What it does not name is kept for good.

Of each claim history says what went, and a record of the programme says it of all: how many of each class, and a digest. What was
decided in the end, how much was paid, and the place of each entry in the chain stay, and "granter claims prove" proves them.
--dry-run prints the same of what would go now. Cut off, the same command goes on. It cannot be undone.

` + exitHelp,
		Example: `  granter claims purge --retention retention.yaml --dry-run
  granter claims purge --retention retention.yaml --why "kept as long as the law asks" --confirm outage-2022`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.programmeFlags.addFlags(cmd)
	flags.addDocuments(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.policy, "retention", "", "how long records are kept, a YAML file (required)")
	flags.whoFlags.addFlags(cmd, "which history keeps (required without --dry-run)")
	f.StringVar(&flags.confirm, "confirm", "", "the programme's name once more (required without --dry-run)")
	f.BoolVar(&flags.dryRun, "dry-run", false, "say what would go, and remove nothing")
	return cmd
}

func (flags *claimsPurgeFlags) execute(cmd *cobra.Command) error {
	if flags.policy == "" {
		return usageError(errors.New("say by --retention how long records are kept: deploy/programmes/retention.yaml is an " +
			"example"))
	}
	policy, err := retention.Load(flags.policy)
	if err != nil {
		return usageError(err)
	}
	who, err := flags.whoFlags.name()
	if err != nil {
		return err
	}
	why := flags.why
	if flags.dryRun {
		why = "a dry run"
	}
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		if !flags.dryRun && (why == "" || flags.confirm != p.Name) {
			return usageError(fmt.Errorf("it cannot be undone: say --why, and --confirm %s, or look first by --dry-run", p.Name))
		}
		by := store.Actor{Name: who, Duty: claims.Privacy}
		out, err := retention.Purge(ctx, s, p, policy, time.Now(), by, why, flags.dryRun)
		if err != nil {
			return err
		}
		files := 0
		if keeper := flags.keeper(s); keeper != nil && !flags.dryRun {
			swept, err := keeper.Sweep(ctx, time.Now())
			if err != nil {
				return fmt.Errorf("their files: %w; do it again", err)
			}
			files = swept.Deleted
		}
		return flags.say(cmd.OutOrStdout(), p, out, files)
	})
}

func (flags *claimsPurgeFlags) say(w io.Writer, p *claims.Programme, out *store.Purged, files int) error {
	if flags.json {
		return printJSON(w, struct {
			Programme string `json:"programme"`
			DryRun    bool   `json:"dry_run"`
			*store.Purged
			Files int `json:"files"`
		}{p.Name, flags.dryRun, out, files})
	}
	word := "went"
	if flags.dryRun {
		word = "would go"
	}
	fmt.Fprintf(w, "of %s claims records %s\n", text.Number(out.Claims), word)
	rows := []string{"class\trecords"}
	for _, class := range store.Classes() {
		if n := out.Records[class]; n > 0 {
			rows = append(rows, fmt.Sprintf("%s\t%s", class, text.Number(n)))
		}
	}
	if len(rows) > 1 {
		table(w, rows...)
		fmt.Fprintf(w, "digest of what %s: %s\n", word, out.Digest)
	}
	if files > 0 {
		fmt.Fprintf(w, "%s files of documents were deleted\n", text.Number(files))
	}
	return nil
}

// claimsAccessFlags are the settings of granter claims access.
type claimsAccessFlags struct {
	claimsFlags
	name, claim, by, from, to string
	limit                     int
}

func newClaimsAccess() *cobra.Command {
	var flags claimsAccessFlags
	cmd := &cobra.Command{
		Use:   "access",
		Short: "List who has looked at whose data, and why",
		Long: `Access lists who has read what of whose claims (lists, a claim, how it stands, who its owner is, a document), from
where and why, the latest first: for owners who ask, and for the monthly check. It is of the access log and of the histories of
all claims, and is proven with them; the review desk has it for the duty privacy.

` + exitHelp,
		Example: `  granter claims access --claim f-0a1b2c3d4e5f60718293
  granter claims access --by lee --from 2023-03-01T00:00:00+09:00 --to 2023-04-01T00:00:00+09:00 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.name, "name", "", "only those of a programme")
	f.StringVar(&flags.claim, "claim", "", "only those of a claim, or of an earlier report: report:NUMBER")
	f.StringVar(&flags.by, "by", "", "only what somebody looked at")
	f.StringVar(&flags.from, "from", "", "only from a time on, such as 2023-03-01T00:00:00+09:00")
	f.StringVar(&flags.to, "to", "", "only before a time")
	f.IntVar(&flags.limit, "limit", 1000, "how many at most")
	return cmd
}

func (flags *claimsAccessFlags) execute(cmd *cobra.Command) error {
	filter := store.AccessFilter{Programme: flags.name, Claim: flags.claim, Who: flags.by, Limit: flags.limit}
	var err error
	if filter.From, err = instant("--from", flags.from); err != nil {
		return err
	}
	if filter.To, err = instant("--to", flags.to); err != nil {
		return err
	}
	return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
		list, err := s.Access(ctx, filter)
		if err != nil {
			return err
		}
		if flags.json {
			return printJSON(cmd.OutOrStdout(), struct {
				Access []store.Looked `json:"access"`
			}{list})
		}
		rows := []string{"at\twho\tduty\tfrom\tclaim\twhat\twhy"}
		for i := range list {
			l := &list[i]
			whose := l.Claim
			if len(l.Claims) > 0 {
				whose = fmt.Sprintf("%s claims", text.Number(len(l.Claims)))
			}
			if n := len(l.Reports); n > 0 {
				whose = strings.TrimSpace(fmt.Sprintf("%s %s reports", whose, text.Number(n)))
			}
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s", text.Moment(l.At), l.By.Name, l.By.Duty, l.From,
				whose, l.What, l.Why))
		}
		table(cmd.OutOrStdout(), rows...)
		return nil
	})
}
