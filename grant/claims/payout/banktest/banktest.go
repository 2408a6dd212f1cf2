// Package banktest is a bank that takes orders from a Kafka topic and answers in another one, with the faults of banks, for
// tests,
// measurements and demonstrations.
package banktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/payout"
	"github.com/granter/granter/grant/claims/store"
)

// Bank is a bank. What it has paid is its own truth.
type Bank struct {
	Orders, Answers string // the topics
	Faultless       bool   // accepts and settles everything, at once
	Rand            *rand.Rand

	mu      sync.Mutex
	paid    map[string]claims.Won // by payment: what is with the owner
	last    map[string]answer     // what it said last
	missed  map[string]int        // the last sending of which it said that it never had it
	copies  int                   // orders that came again
	unasked []string              // that were sent anew, and it had not said that it never had the sending before
	n       int
}

type answer struct {
	ID      string             `json:"id"`
	Payment string             `json:"payment"`
	Status  store.AnswerStatus `json:"status"`
	Amount  claims.Won         `json:"amount"`
	Reason  string             `json:"reason,omitempty"`
	Sending int                `json:"sending,omitempty"`
}

// New opens a bank whose faults a seed decides.
func New(orders, answers string, seed uint64) *Bank {
	return &Bank{
		Orders: orders, Answers: answers, Rand: rand.New(rand.NewPCG(seed, 0)),
		paid: map[string]claims.Won{}, last: map[string]answer{}, missed: map[string]int{},
	}
}

// Paid returns how many payments have money with their owner, how much that is, and how many orders came more than once: as often
// as Kafka or who sends them likes, since it knows them by their key.
func (b *Bank) Paid() (payments int, sum claims.Won, copies int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, amount := range b.paid {
		if amount > 0 {
			payments++
			sum += amount
		}
	}
	return payments, sum, b.copies
}

// PaidFor returns what is with the owner of one payment.
func (b *Bank) PaidFor(payment string) claims.Won {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paid[payment]
}

// Run answers until the context ends.
func (b *Bank) Run(ctx context.Context, brokers []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(b.Orders),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		var out []*kgo.Record
		fetches.EachRecord(func(r *kgo.Record) {
			for _, a := range b.read(r.Value) {
				value, _ := json.Marshal(a) // it has nothing that cannot be written
				out = append(out, &kgo.Record{Topic: b.Answers, Key: []byte(a.Payment), Value: value})
			}
		})
		if err := client.ProduceSync(ctx, out...).FirstErr(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// read returns what the bank says of a message.
func (b *Bank) read(value []byte) []answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	var m payout.Message
	if err := json.Unmarshal(value, &m); err != nil {
		panic(fmt.Sprintf("an order that is none: %s", value))
	}
	if m.Kind == payout.KindQuery {
		return b.asked(m.Payment, m.Sending)
	}
	if b.missed[m.Payment] < m.Sending-1 {
		b.unasked = append(b.unasked, m.Payment)
	}
	if _, again := b.last[m.Payment]; again {
		b.copies++
		return nil // its key is known: the same order
	}
	if b.Faultless {
		return b.pay(&m, m.Amount)
	}
	return b.order(&m)
}

func (b *Bank) chance(percent int) bool { return b.Rand.IntN(100) < percent }

func (b *Bank) say(payment string, status store.AnswerStatus, amount claims.Won) []answer {
	b.n++
	a := answer{fmt.Sprint("ack-", b.n), payment, status, amount, "as it is", 0}
	b.last[payment] = a
	if b.chance(20) { // told twice
		return []answer{a, a}
	}
	return []answer{a}
}

func (b *Bank) pay(m *payout.Message, amount claims.Won) []answer {
	b.paid[m.Payment] += amount
	return b.say(m.Payment, store.BankSettled, amount)
}

// order is what becomes of one order.
func (b *Bank) order(m *payout.Message) (out []answer) {
	switch n := b.Rand.IntN(100); {
	case n < 5: // lost on its way
		return nil
	case n < 60:
		return append(b.say(m.Payment, store.BankAccepted, m.Amount), b.pay(m, m.Amount)...)
	case n < 65: // in two parts
		part := 1 + claims.Won(b.Rand.Int64N(int64(m.Amount-1)))
		return append(b.pay(m, part), b.pay(m, m.Amount-part)...)
	case n < 70: // nobody has that account
		return b.say(m.Payment, store.BankReturned, m.Amount)
	case n < 75: // paid, and reversed later
		out = b.pay(m, m.Amount)
		b.paid[m.Payment] = 0
		return append(out, b.say(m.Payment, store.BankReturned, m.Amount)...)
	case n < 80: // says another amount than it has paid, and corrects that
		return append(b.say(m.Payment, store.BankSettled, m.Amount+1), b.pay(m, m.Amount)...)
	case n < 90: // says nothing by itself
		b.paid[m.Payment] = m.Amount
		b.n++
		b.last[m.Payment] = answer{fmt.Sprint("ack-", b.n), m.Payment, store.BankSettled, m.Amount, "", 0}
		return nil
	default: // does not know for a while
		out = b.say(m.Payment, store.BankUnknown, 0)
		b.paid[m.Payment] = m.Amount
		b.n++
		b.last[m.Payment] = answer{fmt.Sprint("ack-", b.n), m.Payment, store.BankSettled, m.Amount, "", 0}
		return out
	}
}

// asked answers a question.
func (b *Bank) asked(payment string, sending int) []answer {
	last, known := b.last[payment]
	b.n++
	switch {
	case !known:
		b.missed[payment] = sending
		return []answer{{fmt.Sprint("ack-", b.n), payment, store.BankNotFound, 0, "", sending}}
	case !b.Faultless && b.chance(20):
		return []answer{{fmt.Sprint("ack-", b.n), payment, store.BankUnknown, 0, "", sending}}
	default:
		return []answer{last}
	}
}

// Compare returns what does not agree between what the bank has paid and what the database says, to the won; and of how many
// claims that is.
func (b *Bank) Compare(ctx context.Context, s *store.Store, programme string) (paid int, sum claims.Won, err error) {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	err = s.Each(ctx, programme, func(c *store.Claim) error {
		var got claims.Won
		for _, pay := range c.Payments {
			got += b.PaidFor(pay.ID)
		}
		want := claims.Won(0)
		if c.State == claims.Paid {
			want = c.Owed
			paid++
		}
		if got != want {
			wrong("claim %s is %s, and the bank has paid %d won of %d", c.ID, c.State, got, want)
		}
		sum += got
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	books, err := s.Books(ctx, programme, 0)
	if err != nil {
		return 0, 0, err
	}
	_, all, _ := b.Paid() // copies are Kafka's: each is paid once, by its key
	if all != sum || books.Settled != sum || books.Reserved != 0 {
		wrong(
			"the bank has paid %d won, %d for claims; the books say %d, and %d under way",
			all,
			sum,
			books.Settled,
			books.Reserved,
		)
	}
	if len(b.unasked) > 0 {
		wrong("orders were sent anew, and the bank had not said that it never had the sending before: %v", b.unasked)
	}
	for _, w := range books.Wrong {
		wrong("books: %s", w)
	}
	if len(books.Unanswered) > 0 {
		wrong("books: nobody knows what became of %v", books.Unanswered)
	}
	proof, err := s.Prove(ctx, nil)
	if err != nil {
		return 0, 0, err
	}
	for _, w := range proof.Wrong {
		wrong("proof: claim %s: %s", w.Claim, w.What)
	}
	return paid, sum, errors.Join(errs...)
}
