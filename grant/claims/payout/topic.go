package payout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/feed"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/source"
)

// The kinds of messages to the bank.
const (
	KindOrder = "order"
	KindQuery = "query" // what became of a payment? It has no amount and no account, so nobody can take it for an order
)

// Message is what the bank's topic holds. Its key is the payment, by which the bank knows an order that comes again for the
// same one,
// and which keeps a question about a payment behind its order.
type Message struct {
	Kind    string     `json:"kind"`
	Payment string     `json:"payment"`
	Run     string     `json:"run,omitempty"`
	Claim   string     `json:"claim,omitempty"`
	Bank    string     `json:"bank,omitempty"`
	Account string     `json:"account,omitempty"`
	Holder  string     `json:"holder,omitempty"`
	Amount  claims.Won `json:"amount,omitempty"` // net of tax
	// Sending is the how manyth sending of the order this is, or is asked about. What the bank answers to a question has it, too.
	Sending int `json:"sending"`
}

// Topic orders payments, and asks about them, in a Kafka topic.
type Topic struct {
	Store  *store.Store
	Writer *kafka.Writer
}

// NewTopic returns the topic of a bank, which must exist. All replicas must have a message before it counts as sent.
func NewTopic(s *store.Store, brokers []string, topic string, transport *kafka.Transport) *Topic {
	return &Topic{s, &kafka.Writer{
		Addr: kafka.TCP(brokers...), Topic: topic, Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll,
		BatchSize: atOnce, BatchTimeout: 5 * time.Millisecond, Transport: transport,
	}}
}

// atOnce is how many orders are handed over together: so many at most are in doubt when a process dies, and have to be asked
// about.
const atOnce = 500

// Sent is what was ordered.
type Sent struct {
	Orders int        `json:"orders"`
	Net    claims.Won `json:"net"`
}

// Send orders what was declared and not handed over yet. Payments count as sent before they are: when a process dies in between,
// the bank is asked about them, and nothing is ordered again that it may have.
func (t *Topic) Send(ctx context.Context, programme string) (Sent, error) {
	var sent Sent
	for {
		orders, err := t.Store.HandOver(ctx, programme, atOnce)
		if err != nil || len(orders) == 0 {
			return sent, err
		}
		messages := make([]Message, len(orders))
		for i := range orders {
			o := &orders[i]
			if err := payable(o); err != nil {
				return sent, err
			}
			messages[i] = Message{
				Kind: KindOrder, Payment: o.ID, Run: o.Run, Claim: o.Claim, Bank: o.Person.Bank, Account: o.Person.Account,
				Holder: o.Person.Holder, Amount: o.Net, Sending: o.Sending,
			}
		}
		if err := t.write(ctx, messages); err != nil {
			return sent, fmt.Errorf(
				"%w (those orders count as sent: the bank is asked about them, and they are ordered again if it "+
					"never had them)",
				err,
			)
		}
		for i := range orders {
			sent.Orders++
			sent.Net += orders[i].Net
		}
	}
}

// Ask asks the bank about payments that it should have answered within a time.
func (t *Topic) Ask(ctx context.Context, programme string, within time.Duration) (asked int, err error) {
	questions, err := t.Store.Ask(ctx, programme, within)
	if err != nil || len(questions) == 0 {
		return 0, err
	}
	messages := make([]Message, len(questions))
	for i, q := range questions {
		messages[i] = Message{Kind: KindQuery, Payment: q.Payment, Sending: q.Sending}
	}
	return len(questions), t.write(ctx, messages)
}

func (t *Topic) write(ctx context.Context, list []Message) error {
	out := make([]kafka.Message, len(list))
	for i := range list {
		value, err := json.Marshal(&list[i])
		if err != nil {
			return err
		}
		out[i] = kafka.Message{Key: []byte(list[i].Payment), Value: value}
	}
	if err := t.Writer.WriteMessages(ctx, out...); err != nil {
		return fmt.Errorf("topic %s: %w", t.Writer.Topic, err)
	}
	return nil
}

// ReasonAnswer says that a record is no answer of a bank.
const ReasonAnswer source.Reason = "invalid_answer"

// TopicReasons are all reasons for which records are none.
func TopicReasons() []source.Reason {
	return []source.Reason{source.ReasonEmpty, source.ReasonJSON, ReasonAnswer}
}

// acknowledgement is an answer as the bank's topic of answers has it.
type acknowledgement struct {
	ID      string             `json:"id"`
	Payment string             `json:"payment"`
	Status  store.AnswerStatus `json:"status"`
	Amount  claims.Won         `json:"amount"`
	Reason  string             `json:"reason"`
	Sending int                `json:"sending"`
}

// ReadRecord reads an answer of the bank from a record: JSON with id, payment, status, amount, reason, and the sending that a
// question named. Other fields are left alone.
func ReadRecord(value []byte) (store.Answer, feed.Refusal) {
	var ack acknowledgement
	if len(value) == 0 {
		return store.Answer{}, feed.Refusal{Reason: source.ReasonEmpty}
	}
	refuse := func(reason source.Reason, err error) feed.Refusal {
		if resident.In(string(value), true) { // nothing may keep such a number
			return feed.Refusal{Reason: reason, Detail: resident.ErrNumber.Error(), Withhold: true}
		}
		return feed.Refusal{Reason: reason, Detail: err.Error()}
	}
	if err := json.Unmarshal(value, &ack); err != nil {
		return store.Answer{}, refuse(source.ReasonJSON, err)
	}
	a := store.Answer{ID: ack.ID, Payment: ack.Payment, Status: ack.Status, Amount: ack.Amount, Why: ack.Reason,
		Sending: ack.Sending}
	if err := check(&a); err != nil {
		return a, refuse(ReasonAnswer, err)
	}
	return a, feed.Refusal{}
}

// Take applies answers, each once, and tells of each what it changed, when that is committed.
func Take(
	s *store.Store,
	effects func([]store.Effect),
) func(context.Context, []store.Answer, []store.Position) ([]feed.Refusal, error) {
	return func(ctx context.Context, list []store.Answer, at []store.Position) ([]feed.Refusal, error) {
		done, err := s.Answers(ctx, list, at)
		if err == nil {
			effects(done)
		}
		return nil, err
	}
}
