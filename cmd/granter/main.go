// Command granter grants a campaign's items to every user of a Kafka topic, exactly once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant/engine"
)

// version is set at link time.
var version = "devel"

// Exit codes. They are part of the interface: scripts and Kubernetes Jobs decide by them.
const (
	exitOK         = 0
	exitFailed     = 1 // something went wrong; the message says what and what to do
	exitUsage      = 2 // a flag, an argument or the spec is wrong
	exitNotGranted = 3 // verify, take: at least one user has not been granted, or did not get an item
	exitStopped    = 4 // stopped before the end; start it again to continue
	exitPreflight  = 5 // check, run: preflight found a failure
	exitAborted    = 6 // run: operators have aborted the campaign; it can go on when somebody orders resume
	exitRefuted    = 7 // audit: somebody is not granted, or is who should not be, or the ledger contradicts itself
	exitNotProven  = 8 // audit: nothing contradicts, and something cannot be seen any more
)

const exitHelp = `Exit codes: 0 done; 1 failed; 2 wrong flag, argument or spec; 3 verify, take: a user has it not;
4 stopped before the end: start it again to continue; 5 preflight found a failure; 6 run: the campaign is aborted,
until somebody orders granter resume; 7 audit: it is not true; 8 audit: it cannot be proven.`

// exitError carries an exit code. A nil err means that the standard output says everything.
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

func main() {
	surviveReaders()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// surviveReaders makes a write fail whose reader has gone, as that of "granter audit | head" may, where it would kill the process:
// acts must be done to their end, a run must grant what is in hand, and every exit code must mean what it says. The signal is
// caught and not ignored, because programs that are started would inherit that.
func surviveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// run is main without os.Exit, so that tests can call it.
func run(args []string, stdout, stderr io.Writer) int {
	redis.SetLogger(silent{}) // every error of it comes back to its caller, who says what it means
	root := newRoot()
	out := &output{w: stdout}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	begun := false
	noteBegin(root, &begun)
	cmd, err := root.ExecuteContextC(context.Background())
	code, err := exitCode(err)
	switch {
	case out.err == nil && code == exitFailed && !begun: // cobra's own errors: arguments and flags that do not fit together
		code = exitUsage
		if !strings.Contains(err.Error(), "\n") { // a suggestion is help enough
			err = fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
		}
	case out.err != nil && err == nil && code != exitRefuted && code != exitNotProven:
		code = exitFailed // what it had to say is lost; the verdict of an audit counts without it, for whoever waits for it
	}
	if err != nil {
		fmt.Fprintln(stderr, "granter:", strings.TrimSpace(err.Error()))
	}
	if out.err != nil && !errors.Is(err, out.err) {
		fmt.Fprintln(stderr, "granter: the standard output cannot be written:", out.err)
	}
	return code
}

// noteBegin makes every command note when it begins. What fails before that is wrong usage.
func noteBegin(cmd *cobra.Command, begun *bool) {
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*begun = true
			return work(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		noteBegin(c, begun)
	}
}

// exitCode returns how a process ends whose command returned an error, and what is to be said about it; nil: nothing.
func exitCode(err error) (int, error) {
	var exit *exitError
	switch {
	case err == nil:
		return exitOK, nil
	case errors.As(err, &exit):
		return exit.code, exit.err
	case errors.Is(err, engine.ErrAborted):
		return exitAborted, err
	case errors.Is(err, engine.ErrDrained), errors.Is(err, context.Canceled):
		return exitStopped, engine.ErrDrained
	}
	return exitFailed, err
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "granter",
		Short: "Grant a campaign's items to every user of a Kafka topic, exactly once",
		Long: `granter reads every user ID from a Kafka topic and records in Redis, exactly once, that the user has been
granted the campaign's items. "make demo" in the source tree needs nothing else and shows it.

Where things run is set by flags or by environment variables: --brokers is GRANTER_BROKERS, and so on. A command takes
only the flags that change something for it; the environment may say more. Passwords are read from the environment or
from files only, never from flags.

` + exitHelp,
		Version:           version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && strings.ContainsAny(unknown.GetSpecifiedName(), "0123456789") {
			err = fmt.Errorf("-%s: no argument is below zero", strings.TrimLeft(unknown.GetSpecifiedShortnames(), "-"))
		}
		return usageError(fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath()))
	})
	root.AddCommand(newDemo(), newCheck(), newLoad(), newRun(), newStatus(), newVerify(), newTake(), newAudit(), newReceipt(), newProposals(), newHistory(), newAccess(), newDesk(), newPublish(), newHooks(), newPurge(), newErase(), newToken(), newClaims())
	addMan(root)
	root.AddCommand(newOrders()...)
	root.AddCommand(newActs()...)
	root.AddCommand(newKeeping()...)
	return root
}
