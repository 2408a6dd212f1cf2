package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/granter/granter/grant/preflight"
)

// checkFlags are the settings of granter check.
type checkFlags struct {
	connection
	allowVolatile bool
	gaps          []string
}

func newCheck() *cobra.Command {
	var flags checkFlags
	cmd := &cobra.Command{
		Use:   "check -f SPEC",
		Short: "Check Kafka, the topic, Redis and the spec before a run",
		Long: `Check finds out whether a run would come to its end, and changes nothing: it asks every broker and every Redis master,
decodes a sample of the topic, and projects from it the memory that Redis will need. For whatever is wrong it says what
to do. It takes well under a second when all servers answer, and 14 seconds at most. It is about the run that grants
everybody; run --canary and run --only check their own pass before they begin.

` + exitHelp,
		Example: `  granter check -f deploy/campaigns/emoticons.yaml
  granter check -f deploy/campaigns/emoticons.yaml --json | jq '.results[] | select(.status != "pass")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd, flags.anyIDs, flags.jsonFlag, flags.kafkaFlags, flags.registryFlags, flags.groupFlag, flags.redisFlags)
	f := cmd.Flags()
	f.BoolVar(&flags.allowVolatile, "allow-volatile", false, "accept a Redis that persists nothing: a restart loses every grant")
	f.StringArrayVar(&flags.gaps, "accept-gap", nil, "PARTITION:FROM-TO, offsets to go without because they are gone from the topic, ungranted; a gap that goes beyond them still fails (repeatable)")
	return cmd
}

func (flags *checkFlags) execute(cmd *cobra.Command) error {
	camp, err := flags.campaign()
	if err != nil {
		return err
	}
	k, err := flags.kafka()
	if err != nil {
		return err
	}
	pass, err := flags.everybody(flags.gaps)
	if err != nil {
		return err
	}
	client, err := flags.redisClient()
	if err != nil {
		return err
	}
	defer client.Close()
	report := preflight.Check(cmd.Context(), preflight.Input{
		Campaign: camp, Pass: pass, Kafka: k, Redis: client, Folder: filepath.Dir(flags.spec),
		AllowVolatile: flags.allowVolatile, Timeout: flags.timeout,
	})
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if flags.json {
		err = printJSON(out, struct {
			Results []preflight.Result `json:"results"`
			Failed  bool               `json:"failed"`
		}{report.Results, report.Failed()})
	} else {
		newReportTable(out).print(report)
	}
	if err == nil && report.Failed() {
		return &exitError{code: exitPreflight}
	}
	return err
}

// preflight is what a run checks before it starts. It fails when a check failed and the run is not told to go on, and
// returns what the fullest Redis master will use in the end, 0: not known.
func (j *job) preflight(ctx context.Context) (projectedBytes int64, err error) {
	report, failed := j.check(ctx, false)
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case len(failed) == 0:
	case j.flags.force:
		j.forced = true
		j.log.Error("RUNNING ALTHOUGH PREFLIGHT FAILED, as told by --force", "failed", failed)
	default:
		return 0, &exitError{exitPreflight, fmt.Errorf("%w: %s (granter check shows everything; --force runs all the same)",
			errPreflight, strings.Join(failed, ", "))}
	}
	return report.ProjectedBytes, nil
}

// check runs preflight, logs what it found, and returns the names of the checks that failed.
func (j *job) check(ctx context.Context, readOnly bool) (report preflight.Report, failed []string) {
	report = preflight.Check(ctx, preflight.Input{
		Campaign: j.campaign, Pass: j.pass, Kafka: j.kafka, Redis: j.redis, Timeout: j.flags.timeout, Folder: filepath.Dir(j.flags.spec),
		AllowVolatile: j.flags.allowVolatile, NewTopic: j.flags.newTopic, ReadOnly: readOnly,
	})
	for _, r := range report.Results {
		switch r.Status {
		case preflight.Pass:
		case preflight.Warn:
			j.log.Warn("preflight: "+r.Detail, "check", r.Name, "advice", r.Advice)
		case preflight.Fail:
			failed = append(failed, r.Name)
			j.log.Error("preflight: "+r.Detail, "check", r.Name, "advice", r.Advice)
		}
	}
	return report, failed
}

var errPreflight = errors.New("preflight failed")

// reportTable prints a report for people: a mark, the status in words, the check, and what was found, wrapped.
type reportTable struct {
	out    io.Writer
	width  int
	colors bool
}

// plainWidth is the width where there is no terminal: what fits into a chat or a ticket.
const plainWidth = 120

func newReportTable(out io.Writer) *reportTable {
	t := &reportTable{out: out, width: plainWidth}
	if fd, ok := terminal(out); ok {
		t.colors = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(fd); err == nil && width > 0 {
			t.width = width
		}
	}
	return t
}

func (t *reportTable) print(r preflight.Report) {
	longest := 0
	for _, result := range r.Results {
		longest = max(longest, len(result.Name))
	}
	indent := uniseg.StringWidth("✓ pass  ") + longest + 2
	width := max(t.width-indent, 30)
	for _, result := range r.Results {
		lines := wrap(result.Detail, width)
		for i, line := range wrap(result.Advice, width-2) {
			if i == 0 {
				lines = append(lines, "→ "+line)
			} else {
				lines = append(lines, "  "+line)
			}
		}
		for i, line := range lines {
			if i == 0 {
				fmt.Fprintf(t.out, "%s  %-*s  %s\n", t.mark(result.Status), longest, result.Name, line)
			} else {
				fmt.Fprintf(t.out, "%*s%s\n", indent, "", line)
			}
		}
	}
	fmt.Fprintf(t.out, "\npreflight: %d pass, %d warn, %d fail\n", r.Count(preflight.Pass), r.Count(preflight.Warn), r.Count(preflight.Fail))
}

func (t *reportTable) mark(s preflight.Status) string {
	sign, color := "✓", "32"
	switch s {
	case preflight.Warn:
		sign, color = "!", "33"
	case preflight.Fail:
		sign, color = "✗", "31"
	case preflight.Pass:
	}
	text := sign + " " + string(s)
	if t.colors {
		text = "\x1b[" + color + "m" + text + "\x1b[0m"
	}
	return text
}

// wrap breaks a text between words. A word that is wider than a line, such as a list of flags to copy, stays whole.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.Lines(text) {
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			switch {
			case line == "":
				line = word
			case uniseg.StringWidth(line)+1+uniseg.StringWidth(word) <= width:
				line += " " + word
			default:
				lines = append(lines, line)
				line = word
			}
		}
		lines = append(lines, line)
	}
	return lines
}
