//go:build demo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/intake/intaketest"
	"github.com/granter/granter/grant/claims/notices"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// report writes generated claims to the topic. One of fifty has the account of the one before, so that there is something to
// judge.
func (d *claimsDemo) report(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(d.brokers, ",")...), kgo.DefaultProduceTopic("claims"))
	if err != nil {
		return err
	}
	defer client.Close()
	records := make([]*kgo.Record, d.n)
	for i := range records {
		form := intaketest.Form(i)
		if i%50 == 1 {
			form.Account = intaketest.Form(i - 1).Account
		}
		value, err := json.Marshal(form)
		if err != nil {
			return err
		}
		records[i] = &kgo.Record{Key: []byte(form.ID), Value: value}
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

// people do what people do: owners send documents, a reviewer judges signals, an approver decides. Some is left for
// whoever watches.
func (d *claimsDemo) people(ctx context.Context, s *store.Store, p *claims.Programme) error {
	in := func(state claims.State) ([]*store.Claim, error) {
		var list []*store.Claim
		return list, s.Each(ctx, p.Name, func(c *store.Claim) error {
			if c.State == state {
				list = append(list, c)
			}
			return nil
		})
	}
	missing, err := in(claims.DocumentsMissing)
	if err != nil {
		return err
	}
	sending := missing[:len(missing)-len(missing)/4]
	d.say(
		"\n%d owners of larger losses are asked for documents: %d send them, which are kept encrypted\n",
		len(missing),
		len(sending),
	)
	keeper := documents.NewKeeper(s, documents.Folder(d.file("documents")), nil)
	for i, c := range sending {
		if err := sendDocuments(ctx, keeper, c, i); err != nil {
			return err
		}
	}
	held, err := in(claims.OnHold)
	if err != nil {
		return err
	}
	harmless, left := d.judged(held)
	d.say(
		"\n%d claims are on hold: a person must look at them before they go on (two claims with one account, an account\n"+
			"that is somebody else's, a loss just below the end of a tier). kim, a reviewer, looks at half of them, and lets\n"+
			"%d go on, whose account the bank confirms; %d stay on hold, and are on the review desk\n",
		len(held),
		len(harmless),
		left,
	)
	for _, c := range harmless {
		err := d.decide(ctx, c.ID, "clear", "--as", "reviewer", "--who", "kim", "--why", "looked at: no reason to hold it")
		if err != nil {
			return err
		}
	}
	if err := d.process(ctx); err != nil {
		return err
	}
	waiting, err := in(claims.InReview)
	if err != nil {
		return err
	}
	if len(waiting) == 0 {
		return nil
	}
	now, later, approver := shared(p, waiting)
	decided := approver[:len(approver)-len(approver)/4]
	d.say("\n%d claims of losses above the tiers are in review, where people decide: the largest goes to the council, and so\n"+
		"would %d others that are left on the review desk; park, an approver, approves for %d what the rules assess\n"+
		"the loss at, and leaves %d\n", len(waiting), len(later), len(decided), len(approver)-len(decided))
	if err := d.council(ctx, s, p, now); err != nil {
		return err
	}
	for _, c := range decided {
		amount := fmt.Sprint(int64(c.Assessment.Assessed))
		if err := d.decide(ctx, c.ID, "approve", "--amount", amount, "--who", "park", "--why", "documents show it"); err != nil {
			return err
		}
	}
	return nil
}

// judged are claims on hold that a reviewer finds harmless, of the first half of them, and how many stay on hold.
func (*claimsDemo) judged(held []*store.Claim) (harmless []*store.Claim, left int) {
	for _, c := range held[:len(held)/2] {
		if c.Moved || c.Unconfirmed(c.Identity) == nil { // not somebody else's account, by what the bank says
			harmless = append(harmless, c)
		}
	}
	return harmless, len(held) - len(harmless)
}

func (d *claimsDemo) decide(ctx context.Context, args ...string) error {
	args = append(append([]string{"claims", "decide"}, args...), "--database", d.file("claims.db"))
	return d.quietly(ctx, io.Discard, args...)
}

// sendDocuments sends what the rules ask for, as an owner: a small picture for each, which no other claim has.
func sendDocuments(ctx context.Context, keeper *documents.Keeper, c *store.Claim, i int) error {
	for k, kind := range c.Missing(c.Proposal) {
		picture := image.NewGray16(image.Rect(0, 0, 8, 8))
		picture.SetGray16(0, 0, color.Gray16{Y: uint16(i)})
		picture.SetGray16(1, 0, color.Gray16{Y: uint16(i>>16*8 + k)})
		var file bytes.Buffer
		if err := png.Encode(&file, picture); err != nil {
			return err
		}
		if _, err := keeper.Add(ctx, c, documents.Sent{
			Kind: kind, Name: kind + ".png", Body: &file, By: store.Owner,
		}); err != nil {
			return fmt.Errorf("a document of claim %s: %w", c.ID, err)
		}
	}
	return nil
}

// round orders what is owed, and takes in what the bank has answered and is asked about.
func (d *claimsDemo) round(ctx context.Context, out io.Writer) error {
	at := []string{"--database", d.file("claims.db"), "--brokers", d.brokers}
	pay := append([]string{"claims", "pay", "--topic", "payouts", "--who", "choi"}, at...)
	if err := d.quietly(ctx, out, pay...); err != nil {
		return err
	}
	err := d.quietly(ctx, io.Discard, append([]string{"claims", "reconcile", "--topic", "payouts.ack", "--ask", "payouts",
		"--within", "1s", "--once"}, at...)...)
	if err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "doubts") {
		return nil // nothing was changed for them, and the end says how many there are
	}
	return err
}

// between is how long the demo waits before it looks again.
const between = 200 * time.Millisecond

// money has payments ordered, answered, returned, asked about and ordered again until none is under way.
func (d *claimsDemo) money(ctx context.Context, s *store.Store, p *claims.Programme) error {
	d.say(
		"\nchoi, a payer, orders what is owed. The bank loses orders, pays in parts, sends money back, answers late or twice:\n" +
			"it is asked about what it did not answer, and what it never had is ordered again, until every payment has an end\n",
	)
	for {
		out := &bytes.Buffer{}
		if err := d.round(ctx, out); err != nil {
			return err
		}
		if said := out.String(); !strings.HasPrefix(said, "0 orders") {
			d.say("  %s", said)
		}
		err := d.quietly(ctx, io.Discard, "claims", "process", "--database", d.file("claims.db"),
			"--business-service", d.services, "--account-service", d.services)
		if err != nil {
			return err
		}
		moving, err := d.moving(ctx, s, p)
		if err != nil || moving == 0 {
			return err
		}
		if pause(ctx, between); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// moving counts claims that wait for the bank or for a payment.
func (d *claimsDemo) moving(ctx context.Context, s *store.Store, p *claims.Programme) (n int, err error) {
	err = s.Each(ctx, p.Name, func(c *store.Claim) error {
		if c.State == claims.Approved || c.State == claims.PaymentSent ||
			c.State == claims.PaymentReturned && len(c.Payments) < store.MostAttempts {
			n++
		}
		return nil
	})
	return n, err
}

// told sends the notices, and shows one.
func (d *claimsDemo) told(ctx context.Context) error {
	d.say("\nowners are told, in a topic that a system for messages reads\n")
	if err := d.run(ctx, "claims", "notify", "--topic", "notices", "--brokers", d.brokers, "--contact", "1577-0000"); err != nil {
		return err
	}
	if d.json {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(d.brokers, ",")...), kgo.ConsumeTopics("notices"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	wait, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for wait.Err() == nil {
		var shown *notices.Message
		client.PollFetches(wait).EachRecord(func(r *kgo.Record) {
			var m notices.Message
			if json.Unmarshal(r.Value, &m) == nil && (m.Kind == store.NoticePaid || shown == nil) {
				shown = &m
			}
		})
		if shown != nil {
			d.say(
				"\none of them:\n\n  %s\n\n  %s\n",
				shown.Subject,
				strings.ReplaceAll(strings.TrimSpace(shown.Text), "\n", "\n  "),
			)
			return nil
		}
	}
	return ctx.Err()
}

// ClaimsDemonstrated is what granter demo --claims --json prints, in won.
type ClaimsDemonstrated struct {
	Claims   map[claims.State]int `json:"claims"`
	Paid     int                  `json:"paid"`
	Promised claims.Won           `json:"promised"`
	Settled  claims.Won           `json:"settled"`
	Reserved claims.Won           `json:"reserved"`
	Owed     claims.Won           `json:"owed"`
	Bank     claims.Won           `json:"bank"`   // what it says itself that it has paid
	Doubts   int                  `json:"doubts"` // answers that did not fit, for which nothing was changed
}

// sums proves all of it, and says how the money stands, to the won: by decisions, by the books, and by the bank.
func (d *claimsDemo) sums(ctx context.Context, s *store.Store, p *claims.Programme) error {
	if err := d.run(ctx, "claims", "prove"); err != nil {
		return err
	}
	shown := ClaimsDemonstrated{Claims: map[claims.State]int{}}
	var err error
	if shown.Paid, shown.Bank, err = d.bank.Compare(ctx, s, p.Name); err != nil {
		return fmt.Errorf("the bank and the books do not agree: %w", err)
	}
	books, err := s.Books(ctx, p.Name, 0)
	if err != nil {
		return err
	}
	shown.Promised = books.Promised
	shown.Settled, shown.Reserved, shown.Owed, shown.Doubts = books.Settled, books.Reserved, books.Owed, len(books.Doubts)
	counts, err := s.Counts(ctx, p.Name)
	if err != nil {
		return err
	}
	total := 0
	for state, c := range counts {
		shown.Claims[state] = c.Claims
		total += c.Claims
	}
	if total != d.n || shown.Promised != shown.Settled+shown.Reserved+shown.Owed {
		return fmt.Errorf("%d of %d claims are there; promised are %d won, and settled %d, under way %d, owed %d",
			total, d.n, shown.Promised, shown.Settled, shown.Reserved, shown.Owed)
	}
	if d.json {
		return printJSON(d.out, shown)
	}
	if shown.Doubts > 0 {
		d.say(
			"\n%d answers of the bank did not fit, such as another amount than was ordered: nothing was changed for them, and\n"+
				"granter claims reconcile lists them for a person to ask about\n",
			shown.Doubts,
		)
	}
	won := func(a claims.Won) string { return text.Number(int64(a)) }
	d.say("\nPROVEN: %s claims, %s paid once each: %s won promised = %s settled + %s under way + %s owed; the bank has paid %s\n",
		text.Number(int64(total)), text.Number(int64(shown.Paid)), won(shown.Promised), won(shown.Settled), won(shown.Reserved),
		won(shown.Owed), won(shown.Bank))
	return nil
}

// goOn does for whoever watches what was done before, until the context ends: what is decided on the desk is paid and told.
func (d *claimsDemo) goOn(ctx context.Context, s *store.Store, p *claims.Programme) error {
	for ; ctx.Err() == nil; pause(ctx, between) {
		err := d.quietly(ctx, io.Discard, "claims", "process", "--database", d.file("claims.db"),
			"--business-service", d.services, "--account-service", d.services)
		if moving, countErr := d.moving(ctx, s, p); err == nil && countErr == nil && moving > 0 {
			err = d.round(ctx, io.Discard)
		}
		if err == nil {
			err = d.quietly(ctx, io.Discard, "claims", "notify", "--database", d.file("claims.db"), "--topic", "notices",
				"--brokers", d.brokers, "--contact", "1577-0000")
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(d.errs, "granter:", err)
		}
	}
	return nil
}
