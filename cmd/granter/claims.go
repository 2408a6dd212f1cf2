package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/aloud"
	"github.com/granter/granter/grant/programme"
	"github.com/granter/granter/grant/text"
)

func newClaims() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "claims",
		Short: "Damage claims: rules, intake, history",
		Long: `A claims programme says in a YAML file what is promised to owners who lost sales: until when they report, how a
loss is computed, and what is paid for it. check, assess and states apply its rules and store nothing; the others work on a
database of claims, a file or a PostgreSQL.

` + exitHelp,
	}
	cmd.AddCommand(
		newClaimsCheck(),
		newClaimsAssess(),
		newClaimsStates(),
		newClaimsImport(),
		newClaimsReports(),
		newClaimsReceive(),
		newClaimsList(),
		newClaimsShow(),
		newClaimsReport(),
		newClaimsProve(),
		newClaimsErase(),
		newClaimsProcess(),
		newClaimsDecide(),
		newClaimsCouncil(),
		newClaimsFreeze(),
		newClaimsAmend(),
		newClaimsBudget(),
		newClaimsPay(),
		newClaimsReconcile(),
		newClaimsServe(),
		newClaimsCode(),
		newClaimsDocuments(),
		newClaimsNotify(),
		newClaimsNotices(),
		newClaimsSimulate(),
		newClaimsWatch(),
		newClaimsPurge(),
		newClaimsAccess(),
	)
	return cmd
}

func newClaimsCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check PROGRAMME",
		Short: "Check a claims programme, and read it aloud",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadProgramme(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Programme string          `json:"programme"`
					Hash      string          `json:"hash"`
					Canonical json.RawMessage `json:"canonical"`
				}{p.Name, p.Hash, p.Canonical})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n\n%s\nThe programme is valid. Its hash is %s.\n",
				p.Name, p.Title, aloud.Programme(p, text.Number), p.Hash)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func loadProgramme(path string) (*claims.Programme, error) {
	p, err := programme.Load(path)
	if err != nil {
		return nil, usageError(err)
	}
	return p, nil
}

func newClaimsAssess() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "assess PROGRAMME FACTS",
		Short: "Compute what the facts of a claim come to, and say why",
		Long: `FACTS is a JSON file, or - for the standard input, such as

  {"industry": "restaurants", "opened": "2020-03-01", "outage_sales": 1000000,
   "week_sales": [1250000, 1333333], "alternative_available": true}

opened and closed are days, sales are won of whole weeks; own_profit_rate is a fraction as text, "3/20" or "0.15". What the rules
propose is no decision: signals and people come after them.

` + exitHelp,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadProgramme(args[0])
			if err != nil {
				return err
			}
			facts, err := readFacts(cmd.InOrStdin(), args[1])
			if err != nil {
				return usageError(fmt.Errorf("facts %s: %w", args[1], err))
			}
			a, err := p.Assess(facts)
			if err != nil {
				return usageError(fmt.Errorf("facts %s:\n%w", args[1], err))
			}
			proposal := p.Propose(facts, &a)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Programme  string            `json:"programme"`
					Hash       string            `json:"hash"`
					Assessment claims.Assessment `json:"assessment"`
					Proposal   claims.Proposal   `json:"proposal"`
				}{p.Name, p.Hash, a, proposal})
			}
			printAssessment(cmd.OutOrStdout(), &a, &proposal)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// maxFacts is the largest file of facts that is read, in bytes: a few sums take less than a hundredth.
const maxFacts = 64 << 10

func readFacts(stdin io.Reader, path string) (*claims.Facts, error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // which file to read is the caller's to say
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFacts+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFacts {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFacts)
	}
	return claims.ParseFacts(data)
}

func printAssessment(w io.Writer, a *claims.Assessment, p *claims.Proposal) {
	rows := []string{"step\thow\tresult"}
	for _, step := range a.Steps {
		rows = append(rows, step.Name+"\t"+step.How+"\t"+step.Result)
	}
	table(w, rows...)
	fmt.Fprintln(w)
	switch {
	case p.Declined != "":
		fmt.Fprintf(w, "declined (%s): %s\n", p.Declined, p.Why)
	case p.Review:
		fmt.Fprintf(w, "review: %s. Documents: %s\n", p.Why, strings.Join(p.Documents, ", "))
	default:
		fmt.Fprintf(w, "%s won: %s\n", text.Number(int64(p.Pay)), p.Why)
	}
	if p.Second {
		fmt.Fprintln(w, "a second person must approve it")
	}
}

func newClaimsStates() *cobra.Command {
	var dot, asJSON bool
	cmd := &cobra.Command{
		Use:   "states",
		Short: "Print which way a claim can go",
		Long: "The table of all legal steps, as Markdown, as a graph for Graphviz (granter claims states --dot | dot -Tsvg), " +
			"or as JSON.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case dot && asJSON:
				return usageError(errors.New("--dot and --json exclude each other"))
			case asJSON:
				return printJSON(cmd.OutOrStdout(), claims.Transitions())
			case dot:
				fmt.Fprint(cmd.OutOrStdout(), claims.TableDOT())
			default:
				fmt.Fprint(cmd.OutOrStdout(), claims.TableText())
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&dot, "dot", false, "print a graph for Graphviz")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
