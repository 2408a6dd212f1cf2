package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// proveFlags are the settings of granter claims prove.
type proveFlags struct {
	claimsFlags
	anchor, documents string
}

func newClaimsProve() *cobra.Command {
	var flags proveFlags
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Prove that every claim is what its history says, and that nobody changed history",
		Long: `Prove computes everything again: the hash of each entry and the chain of all, each claim's state and amounts from
its history, that each step was a legal one, that owners are who history says, that the documents that came are there, and that
earlier reports are what was imported. It names what was tampered with.

With --documents it opens the file of every document, too, with the key of its claim: it names those that are missing, and those
that cannot be opened or are not what was sent, and counts files that no claim has ("granter claims serve" deletes them an hour
after they came). It reads all files, and may run beside everything else.

Whoever can change the database could write the whole chain anew, or cut its end off. So keep the end that prove prints
elsewhere, and give it later by --anchor: the chain must still have it.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := parseAnchor(flags.anchor)
			if err != nil {
				return err
			}
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				p, err := s.Prove(ctx, at)
				if err != nil {
					return err
				}
				var files *documents.Compared
				if flags.documents != "" {
					keeper := documents.NewKeeper(s, documents.Folder(flags.documents), nil)
					if files, err = keeper.Compare(ctx, time.Now()); err != nil {
						return fmt.Errorf("--documents %s: %w", flags.documents, err)
					}
					p.Add(files.Wrong...)
				}
				return flags.print(cmd, p, files)
			})
		},
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.anchor, "anchor", "", "end of the chain at an earlier time, as prove printed it: NUMBER:HASH")
	f.StringVar(&flags.documents, "documents", "", "folder in which documents are kept: open each of them, too")
	return cmd
}

func (flags *proveFlags) print(cmd *cobra.Command, p *store.Proof, files *documents.Compared) error {
	w := cmd.OutOrStdout()
	if flags.json {
		if err := printJSON(w, struct {
			*store.Proof
			Files *documents.Compared `json:"files,omitempty"`
		}{p, files}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w, "%d claims (%d erased), %d entries in %d commits, %d lines of the access log, "+
			"%d earlier reports, %d documents\nThe chain ends at %d:%s\n",
			p.Claims, p.Erased, p.Entries, p.Commits, p.Reads, p.Reports, p.Documents, p.Commits, p.Head)
		if files != nil {
			fmt.Fprintf(w, "Files of %s documents: %s bytes, %s missing, %s altered; %s files that no claim has, %s of them of "+
				"the last hour\n", text.Number(files.Documents), text.Number(files.Bytes), text.Number(files.Missing),
				text.Number(files.Altered), text.Number(files.Orphans), text.Number(files.Young))
		}
		for _, f := range p.Wrong {
			where := "commit " + strconv.FormatInt(f.Commit, 10)
			if f.Claim != "" {
				where = fmt.Sprintf("claim %s, entry %d", f.Claim, f.Seq)
				if f.Seq == 0 {
					where = "claim " + f.Claim
				}
			}
			fmt.Fprintf(w, "WRONG %s: %s\n", where, f.What)
		}
		if p.More > 0 {
			fmt.Fprintf(w, "and %d more\n", p.More)
		}
	}
	if n := len(p.Wrong) + p.More; n > 0 {
		return fmt.Errorf("%d findings: the database, or what is kept beside it, is not what granter made", n)
	}
	return nil
}

func parseAnchor(text string) (*store.Anchor, error) {
	if text == "" {
		return nil, nil
	}
	number, hash, ok := strings.Cut(text, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || len(hash) != 64 {
		return nil, usageError(fmt.Errorf("--anchor %.80q: want what prove printed, NUMBER:HASH", text))
	}
	return &store.Anchor{Commits: n, Head: hash}, nil
}
