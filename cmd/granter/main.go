// Command granter grants a campaign's items to every user of a Kafka topic, exactly once.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
)

// version is set at link time.
var version = "devel"

// Exit codes. They are part of the interface: scripts and Kubernetes Jobs decide by them.
const (
	exitOK         = 0
	exitFailed     = 1 // something went wrong; the message says what and what to do
	exitUsage      = 2 // a flag, an argument or the spec is wrong
	exitNotGranted = 3 // verify: at least one user has not been granted
	exitStopped    = 4 // run: stopped before the end, with a checkpoint; start it again to continue
	exitPreflight  = 5 // check, run: preflight found a failure
	exitAborted    = 6 // run: an operator ended it, with a checkpoint; start it again only when that is wanted
)

const exitHelp = `Exit codes: 0 done; 1 failed; 2 wrong flag, argument or spec; 3 verify: a user has not been granted;
4 run: stopped before the end, with a checkpoint; 5 preflight found a failure; 6 run: aborted by an operator.`

// exitError carries an exit code. A nil err means that everything has been said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(err error) error { return &exitError{exitUsage, err} }

func main() { os.Exit(run(os.Args[1:])) }

// run is main without os.Exit, so that tests can call it.
func run(args []string) int {
	redis.SetLogger(silent{}) // every error of it comes back to its caller, who says what it means
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitOK
	}
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintln(root.ErrOrStderr(), "granter:", exit.err)
		}
		return exit.code
	case strings.HasPrefix(err.Error(), "unknown command "): // cobra says so of arguments too many as well
		fmt.Fprintln(root.ErrOrStderr(), "granter:", strings.TrimSpace(err.Error()))
		return exitUsage
	case errors.Is(err, grant.ErrAborted):
		fmt.Fprintln(root.ErrOrStderr(), "granter:", grant.ErrAborted)
		return exitAborted
	case errors.Is(err, grant.ErrDrained), errors.Is(err, context.Canceled):
		fmt.Fprintln(root.ErrOrStderr(), "granter:", grant.ErrDrained)
		return exitStopped
	}
	fmt.Fprintln(root.ErrOrStderr(), "granter:", err)
	return exitFailed
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "granter",
		Short: "Grant a campaign's items to every user of a Kafka topic, exactly once",
		Long: `granter reads every user ID from a Kafka topic and records in Redis, exactly once, that the user has been
granted the campaign's items. Start with "granter demo", which needs nothing else.

Where things run is set by flags or by environment variables: --brokers is GRANTER_BROKERS, and so on. Passwords are
read from the environment or from files only, never from flags.

` + exitHelp,
		Version:           version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(fmt.Errorf("%w (see granter %s --help)", err, cmd.Name()))
	})
	root.AddCommand(newDemo(), newCheck(), newLoad(), newRun(), newStatus(), newVerify(), newHistory(), newDesk(), newToken(), newMan())
	root.AddCommand(newOrders()...)
	return root
}
