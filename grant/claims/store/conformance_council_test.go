package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
)

// members of the council of a test, by affiliation.
var members = []vote.Seat{
	{
		Name:        "cho",
		Affiliation: "consumers",
	},
	{Name: "han", Affiliation: "academia"},
	{Name: "min", Affiliation: "small_business"},
	{Name: "seo", Affiliation: "company"},
	{Name: "yoon", Affiliation: "consumers"},
	{Name: "jung", Affiliation: "academia"},
}

// sitting is a council at its first meeting, with claims before it.
type sitting struct {
	*testing.T
	*Store
	p      *claims.Programme
	claims []*Claim
}

// sit opens the first meeting of a council, with some of its members there, and refers claims of a large loss to it.
func sit(t *testing.T, s *Store, n int, there ...string) *sitting {
	t.Helper()
	p := shipped(t, s)
	m := &sitting{T: t, Store: s, p: p}
	for i := range n {
		f := filing(p, i)
		f.Facts.WeekSales = []claims.Won{100_000_000}
		_, err := s.Receive(t.Context(), []Filing{f}, nil)
		require.NoError(t, err)
		m.refer(i)
	}
	for _, seat := range members {
		_, err := s.Join(t.Context(), p, seat, secretary, "named")
		require.NoError(t, err)
	}
	_, err := s.CallMeeting(t.Context(), p, time.Now(), "3층", secretary, "the first claims")
	require.NoError(t, err)
	if len(there) > 0 {
		m.attend(there...)
	}
	return m
}

// refer brings a claim from its beginning before the council.
func (m *sitting) refer(i int) {
	m.Helper()
	list, err := m.Get(m.Context(), fmt.Sprintf("c-%06d", i))
	require.NoError(m, err)
	c := list[0]
	a, err := m.p.Assess(&c.Facts)
	require.NoError(m, err)
	proposal := m.p.Propose(&c.Facts, &a)
	require.NoError(m, m.Commit(m.Context(), []Step{
		{Claim: c, Action: claims.Check, By: Rules, Change: Change{Assessment: &a, Proposal: &proposal}},
		{Claim: c, Action: claims.Review, By: Rules},
		{Claim: c, Action: claims.Refer, By: reviewer, Reason: "large"},
	}, nil))
	m.claims = append(m.claims, c)
}

func (m *sitting) attend(there ...string) {
	m.Helper()
	_, err := m.Attend(m.Context(), m.p, Attendance{Meeting: 1, Chair: "han", Present: there}, nil, secretary, "who came")
	require.NoError(m, err)
}

func (m *sitting) now(i int) *Claim {
	m.Helper()
	list, err := m.Get(m.Context(), m.claims[i].ID)
	require.NoError(m, err)
	return list[0]
}

func (m *sitting) put(i int, motion vote.Motion) error {
	_, err := m.PutOnAgenda(m.Context(), m.p, m.claims[i].ID, 1, motion, secretary, "the reports show it")
	return err
}

func (m *sitting) vote(i, item int, who string, choice vote.Choice) error {
	_, err := m.Vote(m.Context(), m.p, VoteOn{m.claims[i].ID, 1, item, choice, ""}, Actor{who, claims.CouncilDuty})
	return err
}

func (m *sitting) count(i, item int, by Actor) error {
	_, err := m.CloseItem(m.Context(), m.p, VoteOn{Claim: m.claims[i].ID, Meeting: 1, Item: item}, by)
	return err
}

// refused requires that something is illegal, and says why.
func (m *sitting) refused(err error, says string) {
	m.Helper()
	require.ErrorIs(m, err, claims.ErrIllegal)
	require.ErrorContains(m, err, says)
}

var pays = vote.Motion{Action: claims.Approve, Amount: 6_000_000}

func councilDecides(t *testing.T, s *Store) {
	m := sit(t, s, 2, "cho", "han", "min", "seo", "yoon")
	m.refused(m.put(0, vote.Motion{Action: claims.Approve}), "say how much")
	m.refused(m.put(0, vote.Motion{Action: claims.Approve, Amount: 99_000_000}), "more than the assessed loss")
	require.NoError(t, m.put(0, pays))
	m.refused(m.put(0, pays), "have that counted first")
	require.NoError(t, m.put(1, vote.Motion{Action: claims.Decline, Declined: claims.ReasonOther}))
	for who, choice := range map[string]vote.Choice{
		"cho": vote.For, "han": vote.Against, "min": vote.For, "seo": vote.Against,
	} {
		require.NoError(t, m.vote(0, 1, who, choice))
	}
	require.NoError(t, m.vote(0, 1, "han", vote.For), "a vote is changed before it is counted")
	m.refused(m.vote(0, 1, "jung", vote.For), "is not among those at meeting 1")
	m.refused(m.vote(0, 1, "nobody", vote.For), "has no seat")
	m.refused(m.vote(0, 2, "cho", vote.For), "item 2 of meeting 1")
	m.refused(m.vote(0, 1, "cho", "perhaps"), "is no vote")
	m.refused(m.count(0, 1, Actor{"cho", claims.CouncilDuty}), "by the secretary or the chair of the meeting (han)")
	require.NoError(t, m.count(0, 1, Actor{"han", claims.CouncilDuty}))
	c := m.now(0)
	require.Equal(t, claims.Approved, c.State)
	require.EqualValues(t, 6_000_000, c.Owed)
	o := c.Items[0].Outcome
	require.Equal(t, []int{3, 1, 0, 1}, []int{o.For, o.Against, o.Abstained, o.Silent})
	m.refused(m.vote(0, 1, "yoon", vote.For), "has been counted")
	m.refused(m.count(0, 1, secretary), "has been counted already")
	history, err := s.History(t.Context(), c.ID)
	require.NoError(t, err)
	last := history[len(history)-1]
	require.Equal(t, InCouncil, last.By)
	require.Equal(t, "the reports show it", last.Reason)
	require.Equal(t, "han", last.Change.Voted.Closed)

	for _, who := range []string{"cho", "han", "min"} {
		require.NoError(t, m.vote(1, 2, who, vote.For))
	}
	_, err = s.CloseMeeting(t.Context(), m.p, 1, secretary, "done")
	m.refused(err, "item 2 (claim c-000001) has not been counted")
	require.NoError(t, m.count(1, 2, secretary))
	require.Equal(t, claims.Declined, m.now(1).State)
	require.Equal(t, claims.ReasonOther, m.now(1).Declined)
	closed, err := s.CloseMeeting(t.Context(), m.p, 1, secretary, "done")
	require.NoError(t, err)
	require.Equal(t, "oh", closed.ClosedBy)
	m.refused(m.put(0, pays), "was closed by oh")
	sound(t, s)
}

func councilNeedsQuorum(t *testing.T, s *Store) {
	m := sit(t, s, 1, "cho", "han", "min", "seo", "yoon")
	require.NoError(t, m.put(0, pays))
	for _, seat := range members[:5] {
		require.NoError(t, m.vote(0, 1, seat.Name, vote.For))
	}
	who := VoteOn{Claim: m.claims[0].ID, Meeting: 1, Item: 1, Why: "a friend's shop"}
	_, err := s.RecuseFrom(t.Context(), m.p, who, "seo", Actor{"cho", claims.CouncilDuty})
	m.refused(err, "members recuse themselves")
	_, err = s.RecuseFrom(t.Context(), m.p, who, "seo", Actor{"seo", claims.CouncilDuty})
	require.NoError(t, err)
	m.refused(m.vote(0, 1, "seo", vote.For), "seo is recused: a friend's shop")
	require.NoError(t, m.count(0, 1, secretary))
	c := m.now(0)
	require.Equal(t, claims.BeforeCouncil, c.State, "four of five are no quorum")
	require.False(t, c.Items[0].Outcome.Quorum)
	require.Zero(t, c.Owed)

	m.attend("cho", "han", "min", "seo", "yoon", "jung") // another one comes
	require.NoError(t, m.put(0, pays))
	for _, name := range []string{"cho", "min", "jung"} {
		require.NoError(t, m.vote(0, 2, name, vote.For))
	}
	for _, name := range []string{"han", "seo", "yoon"} {
		require.NoError(t, m.vote(0, 2, name, vote.Against))
	}
	require.NoError(t, m.count(0, 2, secretary))
	require.Equal(t, claims.BeforeCouncil, m.now(0).State, "a tie carries nothing")

	require.NoError(t, m.put(0, pays))
	for _, seat := range members {
		require.NoError(t, m.vote(0, 3, seat.Name, vote.For))
	}
	m.attend("han", "min", "seo", "yoon") // who goes before it is counted does not count
	require.NoError(t, m.count(0, 3, secretary))
	require.Equal(t, claims.BeforeCouncil, m.now(0).State)
	require.Len(t, m.now(0).Items, 3)
	sound(t, s)
}

func councilRecusesByRule(t *testing.T, s *Store) {
	m := sit(t, s, 2, "cho", "han", "min", "seo", "yoon")
	own := vote.Seat{Name: "shop", Affiliation: "small_business", Businesses: []claims.BusinessNumber{m.claims[0].Unit}}
	for _, seat := range []vote.Seat{own, {Name: "lee", Affiliation: "company"}, {Name: "intake", Affiliation: "company"}} {
		_, err := s.Join(t.Context(), m.p, seat, secretary, "named")
		require.NoError(t, err)
	}
	m.attend("cho", "han", "min", "seo", "yoon", "shop", "lee", "intake")
	require.NoError(t, m.put(0, pays))
	m.refused(m.vote(0, 1, "shop", vote.For), "the claim is the member's own")
	m.refused(m.vote(0, 1, "lee", vote.For), "judged or decided the claim before")
	m.refused(m.vote(0, 1, "intake", vote.For), "entered the claim")
	for _, name := range []string{"cho", "han", "min"} {
		require.NoError(t, m.vote(0, 1, name, vote.For))
	}
	require.NoError(t, m.count(0, 1, secretary))
	c := m.now(0)
	require.Equal(t, claims.Approved, c.State, "three of the five who may vote")
	require.Len(t, c.Items[0].Outcome.Recused, 3)

	// Who voted decides nothing else about the claim.
	step := Step{Claim: c, Action: claims.Confirm, By: Actor{"cho", claims.Approver}, Reason: "right"}
	c.State = claims.SecondLook
	m.refused(step.Allowed(), "cho had a hand in it as council")
	sound(t, s)
}

// Nobody gets around a vote.
func councilByVoteOnly(t *testing.T, s *Store) {
	m := sit(t, s, 1, "cho", "han", "min", "seo", "yoon")
	won := claims.Won(1)
	for _, by := range []Actor{{"cho", claims.CouncilDuty}, InCouncil} {
		err := s.Commit(t.Context(), []Step{{
			Claim: m.now(0), Action: claims.Approve, By: by, Reason: "x", Change: Change{Owed: &won},
		}}, nil)
		m.refused(err, "by vote only")
	}
	err := s.Commit(t.Context(), []Step{{Claim: m.now(0), Action: claims.Approve, By: approver, Reason: "x",
		Change: Change{Owed: &won}}}, nil)
	m.refused(err, "is done by council, not by approver")
	_, err = s.Join(t.Context(), m.p, vote.Seat{Name: "x", Affiliation: "consumers"}, approver, "x")
	m.refused(err, "the secretary's")
	for says, seat := range map[string]vote.Seat{
		"has a seat already": {Name: "cho", Affiliation: "consumers"}, "is no affiliation": {Name: "x", Affiliation: "banks"},
		"by which name": {Affiliation: "consumers"}, "the council itself": {Name: "council", Affiliation: "consumers"},
	} {
		_, err = s.Join(t.Context(), m.p, seat, secretary, "x")
		m.refused(err, says)
	}
	for says, a := range map[string]Attendance{
		"has no seat": {1, "han", []string{"han", "x"}}, "is not there": {1, "han", []string{"cho"}},
		"is chaired by a member of": {1, "seo", []string{"seo"}}, "there is no meeting 2": {2, "han", []string{"han"}},
	} {
		_, err = s.Attend(t.Context(), m.p, a, nil, secretary, "x")
		m.refused(err, says)
	}
	m.attend("han", "seo")
	for _, seen := range []int{0, 1} {
		_, err = s.Attend(t.Context(), m.p, Attendance{1, "han", []string{"han", "min"}}, &seen, secretary, "x")
		m.refused(err, "since you looked")
	}
	_, err = s.Leave(t.Context(), m.p, "cho", secretary, "moved away")
	require.NoError(t, err)
	require.NoError(t, m.put(0, pays))
	m.refused(m.vote(0, 1, "cho", vote.For), "has no seat")
	_, err = s.SetFreeze(t.Context(), m.p.Name, Freeze{Who: "oh", Why: "two rules disagree", Frozen: true})
	require.NoError(t, err)
	m.attend("han", "min", "seo", "yoon", "jung")
	for _, name := range []string{"han", "min", "seo", "yoon", "jung"} {
		require.NoError(t, m.vote(0, 1, name, vote.For))
	}
	_, is := errors.AsType[*FrozenError](m.count(0, 1, secretary))
	require.True(t, is)
	require.Equal(t, claims.BeforeCouncil, m.now(0).State)
	list, err := s.Get(t.Context(), m.claims[0].ID)
	require.NoError(t, err)
	require.NoError(t, s.Commit(t.Context(), []Step{{
		Claim: list[0], Action: claims.TakeBack, By: reviewer, Reason: "something is missing"}}, nil))
	c := m.now(0)
	require.Nil(t, c.Item, "what left the council is voted on no more")
	require.Equal(t, claims.TakeBack, c.Items[0].Ended)
	sound(t, s)
}

// What is promised to somebody is not promised again.
func councilKeepsToTheBudget(t *testing.T, s *Store) {
	small := bytes.Replace(source(t), []byte("budget: 5000000000"), []byte("budget: 10000000"), 1)
	_, err := s.Adopt(t.Context(), small)
	require.NoError(t, err)
	m := &sitting{T: t, Store: s}
	m.p, err = s.Programme(t.Context(), "")
	require.NoError(t, err)
	for i := range 2 {
		f := filing(m.p, i)
		f.Facts.WeekSales = []claims.Won{100_000_000}
		_, err := s.Receive(t.Context(), []Filing{f}, nil)
		require.NoError(t, err)
		m.refer(i)
	}
	for _, seat := range members {
		_, err := s.Join(t.Context(), m.p, seat, secretary, "named")
		require.NoError(t, err)
	}
	_, err = s.CallMeeting(t.Context(), m.p, time.Now(), "3층", secretary, "first")
	require.NoError(t, err)
	m.attend("cho", "han", "min", "seo", "yoon")
	for i := range 2 { // each fits, and both do not
		require.NoError(t, m.put(i, pays))
		for _, name := range []string{"cho", "han", "min"} {
			require.NoError(t, m.vote(i, i+1, name, vote.For))
		}
	}
	require.NoError(t, m.count(0, 1, secretary))
	m.refused(m.count(1, 2, secretary), "more than the 4000000 that nobody has been promised")
	require.NotNil(t, m.now(1).Item)
	b, err := s.ProposeBudget(t.Context(), m.p, 10_000_000, 12_000_000, nil, secretary, "decision 14")
	require.NoError(t, err)
	m.refused(m.count(1, 2, secretary), "more than the 4000000 that nobody has been promised")
	_, err = s.AnswerBudget(t.Context(), m.p, b.Waiting().Number, true, Actor{Name: "lee", Duty: claims.Approver}, "yes")
	require.NoError(t, err)
	require.NoError(t, m.count(1, 2, secretary), "it goes by the budget as it is now")
	require.Equal(t, claims.Approved, m.now(1).State)
	sound(t, s)
}

// Members vote at the same time, and an item is counted while they do: each vote is in the count, or its member was told.
func membersVoteAtOnce(t *testing.T, s *Store) {
	m := sit(t, s, 1, "cho", "han", "min", "seo", "yoon", "jung")
	require.NoError(t, m.put(0, pays))
	var group sync.WaitGroup
	errs := make([]error, len(members))
	start := make(chan struct{})
	for i, seat := range members {
		group.Go(func() {
			<-start
			errs[i] = m.vote(0, 1, seat.Name, vote.For)
		})
	}
	var counted, closed error
	group.Go(func() {
		<-start
		counted = m.count(0, 1, secretary)
	})
	group.Go(func() {
		<-start
		_, closed = s.CloseMeeting(t.Context(), m.p, 1, secretary, "late")
	})
	close(start)
	group.Wait()
	c := m.now(0)
	if counted != nil { // the meeting was closed first, which an open item forbids
		require.NoError(t, counted)
	}
	voted := 0
	for _, err := range errs {
		if err == nil {
			voted++
			continue
		}
		require.ErrorIs(t, err, claims.ErrIllegal)
		require.True(t, strings.Contains(err.Error(), "counted") || strings.Contains(err.Error(), "closed"), err)
	}
	o := c.Items[0].Outcome
	require.Equal(t, voted, o.For, "whoever was not told otherwise is in the count")
	require.Equal(t, voted >= 4, c.State == claims.Approved)
	if closed != nil {
		m.refused(closed, "has not been counted")
	}
	sound(t, s)
}

// An objection to what the council decided is decided by others.
func councilDecidesAgain(t *testing.T, s *Store) {
	again := bytes.Replace(source(t), []byte("objections: approver"), []byte("objections: council"), 1)
	_, err := s.Adopt(t.Context(), again)
	require.NoError(t, err)
	m := &sitting{T: t, Store: s}
	m.p, err = s.Programme(t.Context(), "")
	require.NoError(t, err)
	f := filing(m.p, 0)
	f.Facts.WeekSales = []claims.Won{100_000_000}
	_, err = s.Receive(t.Context(), []Filing{f}, nil)
	require.NoError(t, err)
	m.refer(0)
	many := make([]string, 0, 10)
	for i := range 10 {
		seat := vote.Seat{Name: fmt.Sprint("m", i), Affiliation: m.p.Council.Affiliations[i%4]}
		_, err := s.Join(t.Context(), m.p, seat, secretary, "named")
		require.NoError(t, err)
		many = append(many, seat.Name)
	}
	_, err = s.CallMeeting(t.Context(), m.p, time.Now(), "3층", secretary, "first")
	require.NoError(t, err)
	attend := func(names []string) {
		_, err := s.Attend(t.Context(), m.p, Attendance{1, names[0], names}, nil, secretary, "who came")
		require.NoError(t, err)
	}
	attend(many[:5]) // m0 speaks for consumers
	require.NoError(t, m.put(0, vote.Motion{Action: claims.Decline, Declined: claims.ReasonOther}))
	for _, name := range many[:4] {
		require.NoError(t, m.vote(0, 1, name, vote.For))
	}
	require.NoError(t, m.count(0, 1, secretary))
	c := m.now(0)
	require.Equal(t, claims.Declined, c.State)
	require.NoError(t, s.Commit(t.Context(), []Step{
		{Claim: c, Action: claims.Object, By: Owner, Reason: "I object"},
		{Claim: c, Action: claims.Refer, By: reviewer, Reason: "to the council"},
	}, nil))
	attend(many)
	require.NoError(t, m.put(0, vote.Motion{Action: claims.Uphold, Amount: 5_000_000}))
	m.refused(m.vote(0, 2, "m1", vote.For), "voted on what is objected to")
	require.NoError(t, m.vote(0, 2, "m4", vote.For), "who was there and gave no vote may")
	for _, name := range many[5:8] {
		require.NoError(t, m.vote(0, 2, name, vote.For))
	}
	require.NoError(t, m.count(0, 2, secretary))
	c = m.now(0)
	require.Equal(t, claims.Upheld, c.State)
	require.EqualValues(t, 5_000_000, c.Owed)
	require.Len(t, c.Items[1].Outcome.Recused, 4)
	sound(t, s)
}
