package notices

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/wneessen/go-mail"

	"github.com/granter/granter/grant/publish"
)

// SMTP sends mail by a server.
type SMTP struct {
	Host     string
	Port     int
	From     string
	User     string // empty: the server asks for none
	Password string
	Plain    bool // without TLS, to a server on this machine or behind a tunnel

	client *mail.Client
}

// smtpPatience is how long a server may take to answer.
const smtpPatience = 30 * time.Second

// Open implements Channel.
func (s *SMTP) Open(ctx context.Context) error {
	options := []mail.Option{mail.WithPort(s.Port), mail.WithTimeout(smtpPatience), mail.WithTLSPolicy(mail.TLSMandatory)}
	if s.Plain {
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if s.User != "" {
		options = append(
			options,
			mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover),
			mail.WithUsername(s.User),
			mail.WithPassword(s.Password),
		)
	}
	client, err := mail.NewClient(s.Host, options...)
	if err != nil {
		return err
	}
	if err := client.DialWithContext(ctx); err != nil {
		return fmt.Errorf("the mail server %s: %w", s.Host, err)
	}
	s.client = client
	return nil
}

// Send implements Channel.
func (s *SMTP) Send(_ context.Context, m *Message) error {
	if m.Email == "" {
		return fmt.Errorf("%w: no e-mail", ErrNowhere)
	}
	msg := mail.NewMsg()
	if err := msg.From(s.From); err != nil {
		return fmt.Errorf("the sender's address: %w", err)
	}
	if err := msg.To(m.Email); err != nil {
		return fmt.Errorf("%w: the owner's address cannot be written to", ErrRefused)
	}
	sum := sha256.Sum256([]byte(m.ID))
	msg.SetMessageIDWithValue(hex.EncodeToString(sum[:16]) + "@granter") // by which mail programs know it again
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("Content-Language", string(m.Language))
	msg.Subject(m.Subject)
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	err := s.client.Send(msg)
	if failed, ok := errors.AsType[*mail.SendError](err); ok && !failed.IsTemp() && failed.ErrorCode() >= 500 {
		return fmt.Errorf("%w by the mail server: %d", ErrRefused, failed.ErrorCode()) // what it says may have the address in it
	}
	if err != nil {
		return fmt.Errorf("the mail server did not take it: %w", err)
	}
	return nil
}

// Close implements Channel.
func (s *SMTP) Close() error {
	if s.client == nil {
		return nil
	}
	err := s.client.Close()
	s.client = nil
	if errors.Is(err, mail.ErrNoActiveConnection) {
		return nil
	}
	return err
}

// Webhook posts messages, signed as Standard Webhooks has it.
type Webhook struct {
	URL    string
	Secret []byte
	Client *http.Client
}

// Open implements Channel.
func (*Webhook) Open(context.Context) error { return nil }

// Close implements Channel.
func (w *Webhook) Close() error { w.Client.CloseIdleConnections(); return nil }

// Send implements Channel.
func (w *Webhook) Send(ctx context.Context, m *Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	publish.Sign(req, w.Secret, m.ID, time.Now(), body)
	resp, err := w.Client.Do(req)
	if err != nil {
		if at, ok := errors.AsType[*url.Error](err); ok {
			err = at.Err // the address may hold a secret
		}
		return fmt.Errorf("the webhook: %w", err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("the webhook answers %s", resp.Status)
	default:
		return fmt.Errorf("%w: the webhook answers %s", ErrRefused, resp.Status)
	}
}

// Topic writes messages to a Kafka topic, as JSON, with the claim, or the earlier report, as key.
type Topic struct{ Writer *kafka.Writer }

// NewTopic returns the channel of a topic, which must exist. All replicas must have a message before it counts as sent.
func NewTopic(brokers []string, topic string, transport *kafka.Transport) *Topic {
	return &Topic{
		&kafka.Writer{Addr: kafka.TCP(brokers...), Topic: topic, Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll,
			BatchTimeout: 5 * time.Millisecond, MaxAttempts: 3, Transport: transport},
	}
}

// Open implements Channel.
func (*Topic) Open(context.Context) error { return nil }

// Close implements Channel. The writer stays for the next messages.
func (*Topic) Close() error { return nil }

// Send implements Channel.
func (t *Topic) Send(ctx context.Context, m *Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := t.Writer.WriteMessages(ctx, kafka.Message{Key: []byte(cmp.Or(m.Claim, m.Report)), Value: body,
		Headers: []kafka.Header{{Key: "id", Value: []byte(m.ID)}}}); err != nil {
		return fmt.Errorf("topic %s: %w", t.Writer.Topic, err)
	}
	return nil
}
