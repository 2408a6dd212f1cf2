package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// whoFlags say who does something, and why.
type whoFlags struct {
	who, why string
}

const keptForGood = "which is kept for good"

// addFlags adds --who and --why, of which help says who is told the reason.
func (w *whoFlags) addFlags(cmd *cobra.Command, help string) {
	cmd.Flags().StringVar(&w.who, "who", "", whoHelp)
	cmd.Flags().StringVar(&w.why, "why", "", "the reason, "+help)
}

// name names whoever does it. What may be the number of a person is no reason: it would be kept for good.
func (w *whoFlags) name() (string, error) {
	if err := resident.Refuse("--why", w.why, true); err != nil {
		return "", usageError(err)
	}
	return whoami(w.who)
}

// actorFlags say in which duty, too.
type actorFlags struct {
	whoFlags

	duty string
}

func (a *actorFlags) addFlags(cmd *cobra.Command, duty claims.Duty) {
	a.whoFlags.addFlags(cmd, "which history keeps: without names and numbers of people")
	cmd.Flags().StringVar(&a.duty, "as", string(duty), "in which duty: owner, intake, reviewer, approver, payer or privacy "+
		"(docs/claims.md says who does what)")
}

func (a *actorFlags) actor() (store.Actor, error) {
	who, err := a.name()
	if err != nil {
		return store.Actor{}, err
	}
	duty := claims.Duty(a.duty)
	switch duty {
	case claims.Owner, claims.Intake, claims.Reviewer, claims.Approver, claims.Payer, claims.Privacy:
	default:
		return store.Actor{}, usageError(fmt.Errorf("--as %q: want owner, intake, reviewer, approver, payer or privacy", a.duty))
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
