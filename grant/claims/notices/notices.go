// Package notices tells owners what became of their claims. History is the outbox: what happened is turned into notices once,
// whatever dies meanwhile, and each is sent until it was accepted or refused. A sender that dies between the sending and the note
// of it sends
// again, with the same ID, by which the receiver knows it.
package notices

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// Message is one notice in the owner's language.
type Message struct {
	ID       string           `json:"id"` // the same whenever it is sent
	Claim    string           `json:"claim,omitempty"`
	Report   string           `json:"report,omitempty"` // instead of a claim: the number of an earlier report
	Kind     store.NoticeKind `json:"kind"`
	Language tell.Lang        `json:"language"`
	Name     string           `json:"name"` // of the business
	Phone    string           `json:"phone"`
	Email    string           `json:"email,omitempty"`
	Subject  string           `json:"subject"`
	Text     string           `json:"text"`
}

// Channel is how owners are told. Sending the same message again must be recognisable by its ID.
type Channel interface {
	// Open prepares to send some messages. An error means that none can be sent now.
	Open(ctx context.Context) error
	// Send returns when the message was accepted. ErrNowhere: the owner has no address of this kind; ErrRefused: trying again is
	// of no use.
	Send(ctx context.Context, m *Message) error
	Close() error
}

// What a channel says of one message.
var (
	ErrNowhere = errors.New("the owner gave no address for it")
	ErrRefused = errors.New("it was refused")
)

// Sender makes notices and sends them.
type Sender struct {
	Store     *store.Store
	Programme *claims.Programme
	Channel   Channel
	Public    string // address of the owner's page, for the text
	Contact   string
	Now       func() time.Time // nil: the clock

	windows []claims.Window // as of the beginning of a pass
}

const (
	batch     = 100
	lease     = 10 * time.Minute // for a batch: another sender may have it afterwards
	soonest   = time.Minute      // until a notice is tried again; doubled each time
	latest    = 2 * time.Hour
	mostTries = 40 // some three days
	// remindBefore is how long before the end of a window the owner is reminded.
	remindBefore = 3 * 24 * time.Hour
)

// Sent is what a pass did.
type Sent struct {
	Made    int    `json:"made"`
	Sent    int    `json:"sent"`
	Nowhere int    `json:"nowhere"` // no address of this kind
	Failed  int    `json:"failed"`
	Later   int    `json:"later"` // tried again later
	Dropped int    `json:"dropped"`
	Away    string `json:"away,omitempty"`
}

func (s *Sender) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Pass makes the notices of what has happened, and sends all that are due.
func (s *Sender) Pass(ctx context.Context) (*Sent, error) {
	out := &Sent{}
	var err error
	if out.Made, err = s.Store.Collect(ctx); err != nil {
		return out, err
	}
	if s.windows, err = s.Store.Windows(ctx, s.Programme); err != nil {
		return out, err
	}
	window, _, open := s.Programme.Open(s.windows, claims.DocumentsWindow, s.now())
	if open && window.Closes.Sub(s.now()) <= remindBefore {
		if err := s.Store.Remind(ctx, s.Programme.Name, window.Closes); err != nil {
			return out, err
		}
	}
	for {
		list, err := s.Store.Take(ctx, batch, lease)
		if err != nil || len(list) == 0 {
			return out, err
		}
		if err := s.send(ctx, list, out); err != nil {
			return out, err
		}
	}
}

func (s *Sender) send(ctx context.Context, list []store.Notice, out *Sent) error {
	away := s.Channel.Open(ctx)
	for i := range list {
		n := &list[i]
		err := away
		if err == nil {
			err = s.one(ctx, n)
		}
		if ctx.Err() != nil {
			return ctx.Err() // the lease ends by itself
		}
		s.judge(n, err, out)
		if err := s.Store.Settle(ctx, n); err != nil {
			return err
		}
	}
	if away != nil {
		out.Away = away.Error()
		return nil //nolint:nilerr // that it is away is told, and tried again later
	}
	return s.Channel.Close()
}

// judge says what becomes of a notice.
func (s *Sender) judge(n *store.Notice, err error, out *Sent) {
	n.Says = ""
	if err != nil {
		n.Says = err.Error()
	}
	n.Tries++
	switch {
	case err == nil:
		n.State = store.NoticeSent
		out.Sent++
	case errors.Is(err, errStale):
		n.State = store.NoticeDropped
		out.Dropped++
	case errors.Is(err, ErrNowhere):
		n.State = store.NoticeNowhere
		out.Nowhere++
	case errors.Is(err, ErrRefused) || n.Tries >= mostTries:
		n.State = store.NoticeFailed
		out.Failed++
	default:
		n.Due = s.now().Add(min(latest, soonest<<min(n.Tries-1, 10)))
		out.Later++
	}
}

// errStale means that what a notice asks for was done before it was sent.
var errStale = errors.New("it was no longer true")

// asks are the notices that ask for something, and in which state the claim waits for it.
var asks = map[store.NoticeKind]claims.State{
	store.NoticeMissing: claims.DocumentsMissing, store.NoticeDeadline: claims.DocumentsMissing, store.NoticeAsked: claims.Asked,
}

func (s *Sender) one(ctx context.Context, n *store.Notice) error {
	if n.Report != "" {
		return s.reminder(ctx, n)
	}
	then, now, history, err := s.Store.AsOf(ctx, n.Claim, n.Seq)
	if err != nil {
		return err
	}
	if state, ok := asks[n.Kind]; ok && now.State != state {
		return errStale
	}
	person := n.Person
	if person == nil {
		if person, err = s.Store.Person(ctx, n.Claim); err != nil {
			return err
		}
	}
	if person == nil {
		return fmt.Errorf("%w: the owner was erased", ErrNowhere)
	}
	m, err := s.render(n, then, history, person)
	if err != nil {
		return err
	}
	return s.Channel.Send(ctx, m)
}

func last(history []store.Entry, actions ...claims.Action) *store.Entry {
	for i := len(history) - 1; i >= 0; i-- {
		if slices.Contains(actions, history[i].Action) {
			return &history[i]
		}
	}
	return &store.Entry{}
}
