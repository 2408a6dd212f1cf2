package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
)

// claimsFlags are the settings of every command that reads or changes stored claims.
type claimsFlags struct {
	database string
	json     bool
}

const databaseHelp = "database of claims: a file (SQLite), or postgres://user@host/database; its password comes from " +
	"GRANTER_DATABASE_PASSWORD or the file GRANTER_DATABASE_PASSWORD_FILE"

func (c *claimsFlags) addFlags(cmd *cobra.Command) {
	c.addDatabase(cmd)
	cmd.Flags().BoolVar(&c.json, "json", false, "print one JSON object")
}

// addDatabase adds the flags of a command that prints no answer.
func (c *claimsFlags) addDatabase(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.database, "database", "claims.db", databaseHelp)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags()) }
}

// open opens the database. A file is created only by a command that puts claims into it.
func (c *claimsFlags) open(ctx context.Context, create bool) (*store.Store, error) {
	secret, err := password("GRANTER_DATABASE_PASSWORD")
	if err != nil {
		return nil, err
	}
	if !create && !strings.Contains(c.database, "://") {
		if _, err := os.Stat(c.database); errors.Is(err, os.ErrNotExist) {
			return nil, usageError(fmt.Errorf("there is no database %s: name it by --database, or import claims first",
				c.database))
		}
	}
	s, err := store.Open(ctx, c.database, secret)
	if err != nil {
		return nil, fmt.Errorf("%w (--database, or GRANTER_DATABASE)", err)
	}
	return s, nil
}

// actorFlags say who does something to a claim, and why.
type actorFlags struct {
	who, duty, why string
}

func (a *actorFlags) addFlags(cmd *cobra.Command, duty claims.Duty) {
	f := cmd.Flags()
	f.StringVar(&a.who, "who", "", whoHelp)
	f.StringVar(&a.duty, "as", string(duty), "in which duty: owner, intake, reviewer, approver, payer or privacy "+
		"(docs/claims.md "+
		"says who does what)")
	f.StringVar(&a.why, "why", "", "the reason, which history keeps: without names and numbers of people")
}

func (a *actorFlags) actor() (store.Actor, error) {
	who, err := whoami(a.who)
	if err != nil {
		return store.Actor{}, err
	}
	duty := claims.Duty(a.duty)
	switch duty {
	case claims.Owner, claims.Intake, claims.Reviewer, claims.Approver, claims.Payer, claims.Privacy:
	default:
		return store.Actor{}, usageError(fmt.Errorf("--as %q: want owner, intake, reviewer, approver, payer or privacy", a.duty))
	}
	if err := resident.Refuse("--why", a.why, true); err != nil {
		return store.Actor{}, usageError(err)
	}
	return store.Actor{Name: who, Duty: duty}, nil
}

// within runs work with an open database.
func (c *claimsFlags) within(cmd *cobra.Command, create bool, work func(context.Context, *store.Store) error) (err error) {
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	s, err := c.open(ctx, create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return work(ctx, s)
}

// programmeFlags are the settings of every command that is about one programme of the database.
type programmeFlags struct {
	claimsFlags
	name string
}

func (f *programmeFlags) addFlags(cmd *cobra.Command) {
	f.claimsFlags.addFlags(cmd)
	cmd.Flags().StringVar(&f.name, "name", "", "name of the programme, when the database has several")
}

// withProgramme runs work with the database and the programme that is meant.
func (f *programmeFlags) withProgramme(
	cmd *cobra.Command, work func(context.Context, *store.Store, *claims.Programme) error,
) error {
	return f.within(cmd, false, func(ctx context.Context, s *store.Store) error {
		p, err := s.Programme(ctx, f.name)
		if err != nil {
			return usageError(err)
		}
		return work(ctx, s, p)
	})
}

func newClaimsProve() *cobra.Command {
	var flags claimsFlags
	var anchor string
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Prove that every claim is what its history says, and that nobody changed history",
		Long: `Prove computes everything again: the hash of each entry and the chain of all, each claim's state and amounts from
its history, that each step was a legal one, that owners are who history says, and that earlier reports are what was imported. It
names what was tampered with.

Whoever can change the database could write the whole chain anew, or cut its end off. So keep the end that prove prints
elsewhere, and give it later by --anchor: the chain must still have it.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := parseAnchor(anchor)
			if err != nil {
				return err
			}
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				p, err := s.Prove(ctx, at)
				if err != nil {
					return err
				}
				return flags.printProof(cmd, p)
			})
		},
	}
	flags.addFlags(cmd)
	cmd.Flags().StringVar(&anchor, "anchor", "", "end of the chain at an earlier time, as prove printed it: NUMBER:HASH")
	return cmd
}

func (c *claimsFlags) printProof(cmd *cobra.Command, p *store.Proof) error {
	w := cmd.OutOrStdout()
	if c.json {
		if err := printJSON(w, p); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w, "%d claims (%d erased), %d entries in %d commits, %d lines of the access log, "+
			"%d earlier reports\nThe chain ends at %d:%s\n",
			p.Claims, p.Erased, p.Entries, p.Commits, p.Reads, p.Reports, p.Commits, p.Head)
		for _, f := range p.Wrong {
			where := "commit " + strconv.FormatInt(f.Commit, 10)
			if f.Claim != "" {
				where = fmt.Sprintf("claim %s, entry %d", f.Claim, f.Seq)
			}
			fmt.Fprintf(w, "WRONG %s: %s\n", where, f.What)
		}
		if p.More > 0 {
			fmt.Fprintf(w, "and %d more\n", p.More)
		}
	}
	if n := len(p.Wrong) + p.More; n > 0 {
		return fmt.Errorf("%d findings: the database is not what it was made by granter", n)
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

func newClaimsErase() *cobra.Command {
	var flags claimsFlags
	var actor actorFlags
	cmd := &cobra.Command{
		Use:   "erase CLAIM --why TEXT",
		Short: "Erase who the owner of a claim is, when the claim has ended",
		Long: `Erase deletes name, phone, addresses and account of the owner. The business number, what was reported,
decided and paid, and the claim's place in the chain stay, and "granter claims prove" still proves them. It cannot be
undone, and is for the duty privacy.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := actor.actor()
			if err != nil {
				return err
			}
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				list, err := s.Get(ctx, args[0])
				if err != nil {
					return err
				}
				if err := s.Erase(ctx, list[0], by, actor.why); err != nil {
					return err
				}
				if flags.json {
					return printJSON(cmd.OutOrStdout(), list[0])
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: its owner is erased\n", args[0])
				return nil
			})
		},
	}
	flags.addFlags(cmd)
	actor.addFlags(cmd, claims.Privacy)
	return cmd
}
