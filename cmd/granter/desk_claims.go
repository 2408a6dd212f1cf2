package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims/review"
)

// reviewFlags are those of the pages of claims on a desk.
type reviewFlags struct {
	database, name string
	siteFlags
	within time.Duration
	public string
}

func (f *reviewFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.database, "claims", "", "serve the pages on which staff decide damage claims, too: their "+databaseHelp)
	flags.StringVar(&f.name, "claims-name", "", "name of the claims programme, when the database has several")
	flags.DurationVar(
		&f.within,
		"decide-within",
		0,
		"in which owners are promised a decision: what waits longer is shown as late; 0: none is promised",
	)
	flags.StringVar(&f.public, "claims-page", "",
		"where the owner's page is, such as https://claims.example.com: receipts of claims that staff enter say it")
	f.addDocuments(cmd)
}

// open opens the review desk; nil: there is none.
func (f *reviewFlags) open(ctx context.Context, log *slog.Logger) (_ *review.Desk, closeDesk func() error, err error) {
	if f.database == "" {
		return nil, func() error { return nil }, nil
	}
	s, err := (&claimsFlags{database: f.database}).open(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Programme(ctx, f.name)
	if err != nil {
		_ = s.Close() // the error before it counts
		return nil, nil, usageError(err)
	}
	keeper, err := f.boundKeeper(ctx, s, log)
	if err != nil {
		_ = s.Close() // the error before it counts
		return nil, nil, err
	}
	return &review.Desk{
		Store: s, Programme: p, Documents: keeper, Within: f.within, Log: log, Now: time.Now, Public: f.public,
	}, s.Close, nil
}
