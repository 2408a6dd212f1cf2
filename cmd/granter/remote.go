package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/status"
)

// remote is a desk that orders go through.
type remote struct {
	url, ca, cert, key string
}

func (r *remote) addFlags(f *pflag.FlagSet) {
	f.StringVar(&r.url, "desk-url", "", "URL of a desk to go through, https://host:port; the token comes from GRANTER_TOKEN or the file GRANTER_TOKEN_FILE")
	f.StringVar(&r.ca, "desk-ca", "", "PEM file of the authority of the desk's certificate (default: the system's)")
	f.StringVar(&r.cert, "desk-client-cert", "", "PEM file of a client certificate to show to the desk")
	f.StringVar(&r.key, "desk-client-key", "", "PEM file of its key")
}

func (r *remote) client(campaign string) (*desk.Client, error) {
	token, err := password("GRANTER_TOKEN")
	if err != nil {
		return nil, err
	}
	client, err := desk.NewClient(desk.ClientConfig{URL: r.url, Campaign: campaign, Token: token, CA: r.ca, Cert: r.cert, Key: r.key})
	if err != nil {
		return nil, usageError(err)
	}
	return client, nil
}

// viaDesk is the channel for whoever has a token.
type viaDesk struct{ *desk.Client }

func (v viaDesk) Replicas(ctx context.Context) ([]status.Replica, error) {
	s, err := v.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, part := range []status.PartName{status.PartControl, status.PartRuns} {
		if wrong := s.Of(part).Error; wrong != "" {
			return nil, fmt.Errorf("the desk cannot say who obeys: %s", wrong)
		}
	}
	return s.Runs, nil
}

// Token is what granter token --json prints.
type Token struct {
	Token string `json:"token"` // the secret
	Line  string `json:"line"`  // for the file of --desk-access: no secret
}

func newToken() *cobra.Command {
	var asJSON bool
	var campaigns []string
	cmd := &cobra.Command{
		Use:   "token NAME ROLE",
		Short: "Make a token for the desk, and the line that lets it in",
		Long: `Token makes a new random token, and the line for the file of --desk-access that lets it in. The line, which is no secret,
goes to the standard output, so that it can be appended to the file; the token goes to the standard error, is stored
nowhere and shown this once: give it to its owner. --json prints both to the standard output, for programs.

A desk that runs reads the file again by itself. ROLE is viewer (everything but users), support (look up users, and note
something about them, too), operator (orders and acts on users, too; all but erasures and claims), service (check what users
hold, as other services do, and nothing else), auditor (claims without their owners), or any set of rights with commas between,
of which docs/operations.md says what each opens:

  ` + words(desk.Rights()) + `

Roles may be in a set, such as service,take. --campaigns limits the line to some campaigns.

` + exitHelp,
		Example: `  granter token alice operator >> /etc/granter/desk-access
  granter token night-shift viewer,pause --campaigns sorry-2022 >> /etc/granter/desk-access`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			role, err := desk.ParseRole(args[1])
			if err != nil {
				return usageError(err)
			}
			token, line, err := desk.NewToken(args[0], role, campaigns...)
			if err != nil {
				return usageError(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), Token{token, line})
			}
			say := cmd.ErrOrStderr()
			fmt.Fprintln(say, "the line for the file of --desk-access:")
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
				return err // a token without its line is of no use
			}
			fmt.Fprintln(say, "the token, shown this once:")
			fmt.Fprintln(say, token)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&campaigns, "campaigns", nil, "names of the campaigns that it is for (default: all)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for programs, the token in it")
	return cmd
}
