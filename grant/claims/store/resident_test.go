package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/resident"
)

// History and the records of a programme are for good: whichever form, command or request a text comes by, and whoever forgot to
// look there, it is refused here when it holds a resident registration number.
func TestNothingThatIsForGoodHoldsAResidentNumber(t *testing.T) {
	const number = "900101-1234567"
	s := opened(t, t.TempDir()+"/claims.db")
	c := receive(t, s, 1)[0]
	p, err := s.Programme(t.Context(), c.Programme)
	require.NoError(t, err)
	ctx, kim := t.Context(), Actor{"kim", claims.Reviewer}
	commit := func(step Step) error {
		step.Claim = c
		return s.Commit(ctx, []Step{step}, nil)
	}
	row := ReportRow{Reported: Reported{Number: "R-1", Unit: c.Unit, Loss: 1, At: time.Unix(1_666_000_000, 0)}}
	until := p.Windows[0].Closes
	s.SetClock(func() time.Time { return until.Add(-time.Hour) })
	for what, err := range map[string]error{
		"a note":         commit(Step{Action: Note, By: kim, Reason: "of " + number}),
		"a step":         commit(Step{Action: claims.Withdraw, By: Owner, Reason: number}),
		"a name":         commit(Step{Action: Note, By: Actor{number, claims.Reviewer}, Reason: "x"}),
		"a colleague":    commit(Step{Action: HandOver, By: kim, Reason: "x", Change: Change{Assigned: number}}),
		"a letter's why": s.Write(ctx, Step{Claim: c, Action: claims.Withdraw, By: Owner, Reason: number}, "x"),
		"an account":     s.ChangePerson(ctx, c, Person{}, Owner, number),
		"a look": s.Read(ctx, Reading{By: kim, From: CommandLine, What: ReadClaim, Why: number, Claims: []string{c.ID},
			Programme: p.Name}),
		"a freeze": func() error {
			_, err := s.SetFreeze(ctx, p.Name, Freeze{Frozen: true, Who: "kim", Why: number})
			return err
		}(),
		"a window": func() error {
			_, err := s.Extend(ctx, p, Extension{Window: p.Windows[0].Name, Old: until, New: until.Add(time.Hour)},
				Actor{"oh", claims.Secretary}, number)
			return err
		}(),
		"a budget": func() error {
			_, err := s.ProposeBudget(ctx, p, p.Budget, p.Budget+1, nil, Actor{"oh", claims.Secretary}, number)
			return err
		}(),
		"a file": func() error {
			_, err := s.ImportReports(ctx, p.Name, []ReportRow{row}, ReportFile{Name: number + ".csv", Rows: 1}, kim, false)
			return err
		}(),
		"a seat": func() error {
			_, err := s.CallMeeting(ctx, p, until, "3rd floor", Actor{"oh", claims.Secretary}, number)
			return err
		}(),
	} {
		require.ErrorIs(t, err, resident.ErrNumber, what)
		require.NotContains(t, err.Error(), "1234567", what)
	}
	require.Equal(t, 1, c.Seq)
	records, err := s.Records(ctx, p.Name)
	require.NoError(t, err)
	require.Empty(t, records)
	require.NoError(t, s.Frozen(ctx, p.Name))
	sound(t, s)
}
