package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

func newClaimsCode() *cobra.Command {
	var flags claimsFlags
	var actor actorFlags
	var public string
	cmd := &cobra.Command{
		Use:   "code CLAIM --why TEXT",
		Short: "Give the owner of a claim another secret code",
		Long: `Code prints a number, a secret code and a link by which the owner sees the claim on the owner's page: for
owners who have lost theirs, and for those whose claim came by phone, post or file. Make sure before that it is the owner who
asks. The code that there was before, and whoever is signed in by it, is out at once. History keeps who gave it and why, and
not the code.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := actor.actor()
			if err != nil {
				return err
			}
			if actor.why == "" {
				return usageError(errors.New("say by --why how you know that it is the owner"))
			}
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				list, err := s.Get(ctx, args[0])
				if err != nil {
					return err
				}
				step := store.Step{
					Claim:  list[0],
					Action: store.Note,
					By:     by,
					Reason: "another secret code was given: " + actor.why,
				}
				if err := s.Commit(ctx, []store.Step{step}, nil); err != nil {
					return err
				}
				code, err := s.NewCode(ctx, args[0], true)
				if err != nil {
					return err
				}
				link := strings.TrimSuffix(public, "/") + "/enter/" + args[0] + "/" + code
				if flags.json {
					return printJSON(cmd.OutOrStdout(), struct {
						Claim string `json:"claim"`
						Code  string `json:"code"`
						Link  string `json:"link"`
					}{args[0], code, link})
				}
				fmt.Fprintf(cmd.OutOrStdout(), "claim number  %s\nsecret code   %s\nlink          %s\n", args[0], code, link)
				return nil
			})
		},
	}
	flags.addFlags(cmd)
	actor.addFlags(cmd, claims.Intake)
	cmd.Flags().StringVar(&public, "public", "http://127.0.0.1:9467", "what links to the owner's page begin with")
	return cmd
}

// documentsFlags are the settings of granter claims documents.
type documentsFlags struct {
	claimsFlags
	siteFlags
	actorFlags
	get, out string
}

func newClaimsDocuments() *cobra.Command {
	var flags documentsFlags
	cmd := &cobra.Command{
		Use:   "documents CLAIM",
		Short: "List the documents of a claim, or read one",
		Long: `Documents lists what the owner of a claim has sent. With --get it writes one into a file of its own, --out,
and history keeps who read it and why. Open such files with care: they come from outside, and one that says "not_scanned" was
not looked at for malware.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				if flags.get != "" {
					return flags.read(ctx, cmd, s, args[0])
				}
				return flags.list(ctx, cmd, s, args[0])
			})
		},
	}
	flags.claimsFlags.addFlags(cmd)
	flags.actorFlags.addFlags(cmd, claims.Reviewer)
	flags.addDocuments(cmd)
	cmd.Flags().StringVar(&flags.get, "get", "", "the document to read, by the first digits of its digest")
	cmd.Flags().StringVar(&flags.out, "out", "", "the new file that it is written into")
	return cmd
}

func (flags *documentsFlags) list(ctx context.Context, cmd *cobra.Command, s *store.Store, claim string) error {
	if _, err := s.Get(ctx, claim); err != nil { // there is no such claim
		return err
	}
	if err := readsHere(ctx, s, store.ReadClaim, claim); err != nil {
		return err
	}
	kept, err := s.Documents(ctx, claim)
	if err != nil {
		return err
	}
	if flags.json {
		return printJSON(cmd.OutOrStdout(), struct {
			Documents []store.Kept `json:"documents"`
		}{kept})
	}
	rows := []string{"digest\tdocument\ttype\tbytes\tmalware\treceived"}
	for _, k := range kept {
		rows = append(
			rows,
			fmt.Sprintf("%.12s\t%s\t%s\t%s\t%s\t%s", k.Digest, k.Kind, k.Type, text.Number(k.Size), k.Scan, text.Moment(k.At)),
		)
	}
	table(cmd.OutOrStdout(), rows...)
	return nil
}

func (flags *documentsFlags) read(ctx context.Context, cmd *cobra.Command, s *store.Store, claim string) error {
	by, err := flags.actor()
	switch {
	case err != nil:
		return err
	case flags.documents == "":
		return usageError(errors.New("say by --documents in which folder documents are kept"))
	case flags.out == "":
		return usageError(errors.New("say by --out into which file it is written"))
	case flags.why == "":
		return usageError(errors.New("say by --why you read it: history keeps that"))
	}
	kept, err := s.Documents(ctx, claim)
	if err != nil {
		return err
	}
	digest := ""
	for i := range kept {
		if strings.HasPrefix(kept[i].Digest, flags.get) {
			if digest != "" {
				return usageError(fmt.Errorf("several documents begin with %s: give more digits", flags.get))
			}
			digest = kept[i].Digest
		}
	}
	if digest == "" {
		return usageError(fmt.Errorf("claim %s has no document %s", claim, flags.get))
	}
	list, err := s.Get(ctx, claim)
	if err != nil {
		return err
	}
	look := store.Step{Claim: list[0], Action: store.Look, By: by, Reason: fmt.Sprintf("document %.12s: %s", digest, flags.why),
		Change: store.Change{From: store.CommandLine}}
	if err := s.Commit(ctx, []store.Step{look}, nil); err != nil {
		return err
	}
	doc, data, err := flags.keeper(s).Open(ctx, claim, digest)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(flags.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return usageError(fmt.Errorf("--out: %w", err))
	}
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if flags.json {
		return printJSON(cmd.OutOrStdout(), struct {
			*store.Kept
			File string `json:"file"`
		}{doc, flags.out})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s bytes\n", flags.out, doc.Type, text.Number(doc.Size))
	return nil
}
