package desk

import (
	"context"
	"fmt"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/take"
)

// Campaigns are what a desk serves. Calls may overlap, and end when the context does.
type Campaigns interface {
	// Names returns the names of all that are known, sorted. It asks nobody.
	Names() []string
	// Refresh looks which there are now. An error leaves those that were known.
	Refresh(ctx context.Context) error
	// Open returns a campaign by its name, as it is now. It fails with a NoCampaignError.
	Open(ctx context.Context, name string) (*Subject, error)
	// List sums all of them up, those first that somebody should look at.
	List(ctx context.Context) ([]status.Brief, error)
}

// Subject is one campaign, and how it is asked and ordered about.
type Subject struct {
	Campaign     *grant.Campaign // only its name, when it is broken
	Coordination Coordination
	Reader       Reader
	Checks       entitle.Ledger // of users, by other services; nil: there are none
	Takes        take.Ledger    // of users; nil: they take nothing here
	// Acts carries out acts about users, of the campaign as users are granted by; nil: nobody does.
	Acts     func(granted *grant.Campaign) (*acts.Doer, error)
	Status   func(context.Context) (*status.Status, error) // may return both: what is known, and what could not be asked
	Brief    func(context.Context) (status.Brief, error)   // nil: Status is asked
	Bounds   func(context.Context) (grant.Bounds, error)   // of the topic: an order to finish has where it ends now
	Identify func(context.Context) (grant.TopicID, error)  // what those offsets count in; nil: not known
	// Trace adds to answers what the topic has of their users: where a grant says, or all of it. When the context ends, they have
	// what was found until then. Nil: the topic is not read here.
	Trace func(ctx context.Context, answers []lookup.Answer, whole bool) error
	// Rejected lists records of the topic that held no valid user ID, of each partition the last few. Nil: the topic is not read
	// here.
	Rejected func(ctx context.Context, filter rejected.Filter, last int) (*rejected.Listing, error)
	// Replicas says how many were lost, and whether a run has written a checkpoint; nil: nobody watches.
	Replicas func(context.Context) (lost int, started bool, err error)
	Close    func() error // nil: there is nothing to close

	// Broken says why the spec in the ledger cannot be read; nil: it can. Then only what needs no spec can be asked and
	// ordered: a pause must always work.
	Broken error
}

// Lookup is the campaign for questions about users.
func (s *Subject) Lookup() *lookup.Subject {
	return &lookup.Subject{
		Campaign: s.Campaign, Coordination: s.Coordination, Reader: s.Reader, Status: s.Status, Broken: s.Broken,
	}
}

// brief sums a campaign up. It never fails: what is wrong is in it.
func (s *Subject) brief(ctx context.Context) status.Brief {
	if s.Broken != nil {
		return status.Unreadable(s.Campaign.Name, s.Broken)
	}
	if s.Brief != nil {
		b, err := s.Brief(ctx)
		if err != nil {
			b = status.Unreadable(s.Campaign.Name, err)
			b.Title = s.Campaign.Title
		}
		return b
	}
	st, err := s.Status(ctx)
	if st == nil {
		return status.Unreadable(s.Campaign.Name, err)
	}
	return st.Brief()
}

// NoCampaignError says that a desk has no campaign of a name.
type NoCampaignError struct{ Detail string }

func (e *NoCampaignError) Error() string { return e.Detail }

// only is the one campaign of a run's desk.
type only struct{ subject *Subject }

func (o only) Names() []string { return []string{o.subject.Campaign.Name} }

func (o only) Refresh(context.Context) error { return nil }

func (o only) Open(_ context.Context, name string) (*Subject, error) {
	if mine := o.subject.Campaign.Name; name != mine {
		return nil, &NoCampaignError{fmt.Sprintf(
			"this desk serves the campaign %s, not %s: ask the desk of that one", mine, cut(name, 100))}
	}
	return o.subject, nil
}

func (o only) List(ctx context.Context) ([]status.Brief, error) {
	return []status.Brief{o.subject.brief(ctx)}, nil
}
