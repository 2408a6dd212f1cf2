package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/notices"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/publish"
	"github.com/granter/granter/grant/text"
)

// repeat does something until the context ends, with a pause in between; without one, once.
func repeat(ctx context.Context, every time.Duration, do func() error) error {
	for {
		if err := do(); err != nil || every <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// notifyFlags are the settings of granter claims notify.
type notifyFlags struct {
	programmeFlags
	conn                         connection
	public, contact              string
	smtp, from, user, topic, url string
	plain                        bool
	every                        time.Duration
	told                         toldFlags
}

func newClaimsNotify() *cobra.Command {
	var flags notifyFlags
	cmd := &cobra.Command{
		Use:   "notify {--smtp HOST:PORT --from ADDRESS | --topic TOPIC | --webhook URL}",
		Short: "Tell owners what became of their claims",
		Long: `Notify turns what has happened since the last time into notices, each once, and sends those that are due:
received, documents needed, a question, decided and why, paid, returned, another account (to the contact from before), an
objection decided, a deadline in three days. They are Korean or English texts, as the owner chose. What cannot be sent is tried
again for days; what is refused is listed by "granter claims notices", which also sends again by hand. Several may run.

--smtp sends mail, with TLS (--plain without, on this machine), as --smtp-user with a password from GRANTER_SMTP_PASSWORD or
the file GRANTER_SMTP_PASSWORD_FILE. --topic writes JSON to a Kafka topic, and --webhook posts it, signed as Standard Webhooks
has it with the secret of GRANTER_WEBHOOK_SECRET or the file GRANTER_WEBHOOK_SECRET_FILE (whsec_ and base64): for systems that
send messages to phones. A notice that was sent, and whose sender died before it noted that, is sent again with the same ID.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.conn.timeout = 10 * time.Second
	flags.conn.kafkaFlags(cmd.Flags())
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.public, "public", "", "address of the owner's page, for the texts")
	f.StringVar(&flags.contact, "contact", "", "who helps owners: a phone number or an address")
	f.StringVar(&flags.smtp, "smtp", "", "mail server, host:port")
	f.StringVar(&flags.from, "from", "", "the address that mail comes from")
	f.StringVar(&flags.user, "smtp-user", "", "who signs in at the mail server")
	f.BoolVar(&flags.plain, "plain", false, "talk to the mail server without TLS")
	f.StringVar(&flags.topic, "topic", "", "Kafka topic, which must exist")
	f.StringVar(&flags.url, "webhook", "", "address that messages are posted to")
	f.DurationVar(&flags.every, "every", 0, "look again so often, until it is stopped; 0: look once")
	flags.told.addFlags(cmd)
	return cmd
}

func (flags *notifyFlags) execute(cmd *cobra.Command) error {
	channel, release, err := flags.channel()
	if err != nil {
		return err
	}
	defer release()
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		_, done, err := flags.told.serve(ctx, cmd, s, p, flags.every)
		if err != nil {
			return err
		}
		defer done()
		sender := notices.Sender{Store: s, Programme: p, Channel: channel, Public: flags.public, Contact: flags.contact}
		return repeat(ctx, flags.every, func() error {
			got, err := sender.Pass(ctx)
			if err != nil {
				return err
			}
			return flags.say(cmd, got)
		})
	})
}

func (flags *notifyFlags) say(cmd *cobra.Command, got *notices.Sent) error {
	if flags.json {
		return printJSON(cmd.OutOrStdout(), got)
	}
	fmt.Fprintf(
		cmd.OutOrStdout(),
		"%d notices made, %d sent, %d are tried again later, %d have nowhere to go, %d failed, %d were no longer true\n",
		got.Made,
		got.Sent,
		got.Later,
		got.Nowhere,
		got.Failed,
		got.Dropped,
	)
	if got.Away != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "granter:", got.Away)
	}
	return nil
}

// channel is the one way that the flags name.
func (flags *notifyFlags) channel() (notices.Channel, func(), error) {
	nothing := func() {}
	named := 0
	for _, way := range []string{flags.smtp, flags.topic, flags.url} {
		if way != "" {
			named++
		}
	}
	if named != 1 {
		return nil, nothing, usageError(errors.New("how are owners told? Say one of --smtp, --topic and --webhook"))
	}
	switch {
	case flags.smtp != "":
		host, port, err := net.SplitHostPort(flags.smtp)
		n, portErr := strconv.Atoi(port)
		if err != nil || portErr != nil || flags.from == "" {
			return nil, nothing, usageError(errors.New("--smtp: want host:port, and --from the address that mail comes from"))
		}
		secret, err := password("GRANTER_SMTP_PASSWORD")
		return &notices.SMTP{
			Host:     host,
			Port:     n,
			From:     flags.from,
			User:     flags.user,
			Password: secret,
			Plain:    flags.plain,
		}, nothing, err
	case flags.url != "":
		u, err := url.Parse(flags.url)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return nil, nothing, usageError(errors.New("--webhook: want an address such as https://messages.example.com/notices"))
		}
		coded, err := password("GRANTER_WEBHOOK_SECRET")
		if err != nil {
			return nil, nothing, err
		}
		secret, err := publish.ParseSecret(coded)
		if err != nil {
			return nil, nothing, usageError(fmt.Errorf("GRANTER_WEBHOOK_SECRET: %w", err))
		}
		client := &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		return &notices.Webhook{URL: flags.url, Secret: secret, Client: client}, nothing, nil
	default:
		k, err := flags.conn.kafka()
		if err != nil {
			return nil, nothing, err
		}
		transport := k.Transport()
		topic := notices.NewTopic(k.Brokers, flags.topic, transport)
		return topic, func() {
			_ = topic.Writer.Close() // every message was waited for
			transport.CloseIdleConnections()
		}, nil
	}
}

// claimsOf are the claims that notices are about, each once.
func claimsOf(list []store.Notice) []string {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].Claim
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func newClaimsNotices() *cobra.Command {
	var flags claimsFlags
	var claim, state, resend string
	cmd := &cobra.Command{
		Use:   "notices",
		Short: "List what owners were told of, or send a notice again",
		Long: `Notices lists notices, the newest first: of all claims, or of one, in all states (waiting, sent, nowhere,
failed, dropped) or in one. --resend sends one again with the next pass of "granter claims notify", whatever became of it: when
the owner says that nothing came, or has given another address.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				if resend != "" {
					if err := s.Resend(ctx, resend); err != nil {
						return usageError(err)
					}
				}
				filter := store.NoticeFilter{Claim: claim}
				if state != "" {
					filter.States = []store.NoticeState{store.NoticeState(state)}
				}
				list, err := s.Notices(ctx, filter)
				if err == nil {
					err = readsHere(ctx, s, store.ReadList, claimsOf(list)...)
				}
				if err != nil {
					return err
				}
				if flags.json {
					return printJSON(cmd.OutOrStdout(), struct {
						Notices []store.Notice `json:"notices"`
					}{list})
				}
				rows := []string{"notice\tstate\ttries\tchanged\t"}
				for i := range list {
					n := &list[i]
					rows = append(rows, fmt.Sprintf("%s\t%s\t%d\t%s\t%s", n.ID, n.State, n.Tries, text.Moment(n.Changed), n.Says))
				}
				table(cmd.OutOrStdout(), rows...)
				return nil
			})
		},
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&claim, "claim", "", "only those of a claim")
	f.StringVar(&state, "state", "", "only those in a state")
	f.StringVar(&resend, "resend", "", "send this notice again")
	return cmd
}
