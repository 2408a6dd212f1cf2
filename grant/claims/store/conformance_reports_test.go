package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant/claims"
)

var secretIntake = Actor{"kim", claims.Intake}

// reportOf is the report of the business of the i-th filing.
func reportOf(p *claims.Programme, i int, loss claims.Won) ReportRow {
	return ReportRow{
		Reported: Reported{
			Number: fmt.Sprintf("2022-%04d", i), Unit: filing(p, i).Opening.Unit, Loss: loss,
			At: time.Date(2022, 10, 20, 9, 0, i, 0, time.UTC),
		},
		By: Reporter{Phone: fmt.Sprintf("010-1234-%04d", i), Email: fmt.Sprintf("owner%d@example.com", i)},
	}
}

// reported imports the reports of n businesses.
func reported(t *testing.T, s *Store, n int) []ReportRow {
	t.Helper()
	p := shipped(t, s)
	list := make([]ReportRow, n)
	for i := range list {
		list[i] = reportOf(p, i, claims.Won(100_000*(i+1)))
	}
	out, err := s.ImportReports(t.Context(), p.Name, list, ReportFile{Name: "reports.csv", Digest: "d", Rows: n},
		secretIntake, false)
	require.NoError(t, err)
	for i := range out {
		require.Equal(t, ReportTaken{Outcome: Taken}, out[i])
	}
	return list
}

// reportsAreLinked: whichever comes first, report and claim are linked by the business; importing again changes nothing.
func reportsAreLinked(t *testing.T, s *Store) {
	receive(t, s, 2)
	list := reported(t, s, 150) // more than one statement asks SQLite about
	p := shipped(t, s)
	_, err := s.Receive(t.Context(), []Filing{filing(p, 7)}, nil) // after its report
	require.NoError(t, err)
	require.Equal(t, 150, sound(t, s).Reports)

	found, err := s.Reports(t.Context(), ReportFilter{Programme: p.Name, Unit: list[1].Unit})
	require.NoError(t, err)
	require.Equal(t, []Report{{
		Reported: list[1].Reported, Import: found[0].Import, Claim: "c-000001", State: claims.Received, Reporter: &list[1].By,
	}}, found)
	later, err := s.Report(t.Context(), p.Name, "2022-0007")
	require.NoError(t, err)
	require.Equal(t, "c-000007", later.Claim)
	_, err = s.Report(t.Context(), p.Name, "2022-9999")
	require.ErrorIs(t, err, ErrNoReport)

	again, other, contact := list[3], list[4], list[5]
	other.Loss++
	contact.By.Phone = "010-9999-9999"
	for range 2 {
		out, err := s.ImportReports(t.Context(), p.Name, []ReportRow{again, other, contact}, ReportFile{Name: "again.csv"},
			secretIntake, false)
		require.NoError(t, err)
		require.Equal(t, []Outcome{Again, Different, Different}, []Outcome{out[0].Outcome, out[1].Outcome, out[2].Outcome})
		require.Equal(t, list[4].Reported, out[1].Before.Reported)
		require.Equal(t, []bool{false, true}, []bool{out[1].Contact, out[2].Contact})
	}
	records, err := s.Records(t.Context(), p.Name)
	require.NoError(t, err)
	last := records[len(records)-1]
	require.Equal(t, "kim", last.By.Name)
	require.Equal(t, ReportFile{Name: "reports.csv", Digest: "d", Rows: 150}, last.Change.Reports.Imported.ReportFile,
		"what changes nothing leaves no record")

	withdrawn, err := s.Get(t.Context(), "c-000000")
	require.NoError(t, err)
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: withdrawn[0], Action: claims.Withdraw, By: Owner}}, nil))
	first, err := s.Report(t.Context(), p.Name, "2022-0000")
	require.NoError(t, err)
	require.Equal(t, "c-000000", first.Claim, "a withdrawn claim was filed")
	counts, err := s.CountReports(t.Context(), p.Name)
	require.NoError(t, err)
	require.Equal(t, ReportCounts{Reports: 150, Loss: 1_132_500_000, Businesses: 150, Filed: 3, NotFiled: 147}, counts)
	page, err := s.Reports(t.Context(), ReportFilter{Programme: p.Name, NotFiled: true, After: "2022-0005", Limit: 3})
	require.NoError(t, err)
	require.Equal(t, []string{"2022-0006", "2022-0008", "2022-0009"}, ReportNumbers(page))
	n, err := s.CountClaimed(t.Context(), p.Name, []string{string(list[7].Unit), string(list[7].Unit), string(list[8].Unit)})
	require.NoError(t, err)
	require.Equal(t, 1, n)

	var group errgroup.Group // two imports of the same file at once
	fresh := []ReportRow{reportOf(p, 200, 1)}
	taken := make([]Outcome, 4)
	for i := range taken {
		group.Go(func() error {
			out, err := s.ImportReports(t.Context(), p.Name, fresh, ReportFile{Name: "x.csv"}, secretIntake, false)
			if err == nil {
				taken[i] = out[0].Outcome
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.ElementsMatch(t, []Outcome{Taken, Again, Again, Again}, taken)
	dry, err := s.ImportReports(t.Context(), p.Name, []ReportRow{reportOf(p, 201, 1)}, ReportFile{Name: "x.csv"},
		secretIntake, true)
	require.NoError(t, err)
	require.Equal(t, Taken, dry[0].Outcome)
	require.Equal(t, 151, sound(t, s).Reports)
}

// withdrawnErasesItsOwn: the owner of a claim that was withdrawn takes only reports of the same contact along. Somebody else may
// have reported for the business, and is still to be reminded.
func withdrawnErasesItsOwn(t *testing.T, s *Store) {
	p := shipped(t, s)
	claim := receive(t, s, 1)[0]
	owner, err := s.Person(t.Context(), claim.ID)
	require.NoError(t, err)
	theirs, own, mail := reportOf(p, 0, 1), reportOf(p, 0, 2), reportOf(p, 0, 3)
	own.Number, own.By = "own", Reporter{Phone: "+82 " + strings.TrimPrefix(owner.Phone, "0")}
	mail.Number, mail.By = "other", Reporter{Phone: "02-999-0000", Email: "somebody@example.com"}
	theirs.By.Phone = "010-9999-0000"
	rows := []ReportRow{theirs, own, mail}
	_, err = s.ImportReports(t.Context(), p.Name, rows, ReportFile{Name: "r.csv"}, secretIntake, false)
	require.NoError(t, err)
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: claim, Action: claims.Withdraw,
		By: Actor{"owner", claims.Owner}, Reason: "mistake"}}, nil))
	list, err := s.Get(t.Context(), claim.ID)
	require.NoError(t, err)
	require.NoError(t, s.Erase(t.Context(), list[0], privacy, "the owner asked"))
	for i, gone := range []bool{false, true, false} {
		r, err := s.Report(t.Context(), p.Name, rows[i].Number)
		require.NoError(t, err)
		require.Equal(t, gone, r.Erased, rows[i].Number)
	}
	sound(t, s)
}

// reportersAreErased: with the owner of the business, one by one, or after so long; the chain holds.
func reportersAreErased(t *testing.T, s *Store) {
	list := reported(t, s, 4)
	p := shipped(t, s)
	claim := receive(t, s, 1)[0]
	require.NoError(t, s.Commit(t.Context(), []Step{
		{Claim: claim, Action: claims.Check, By: Rules},
		{Claim: claim, Action: claims.Decline, By: Rules, Reason: "no loss", Change: Change{Declined: claims.ReasonNoLoss}},
	}, nil))
	require.NoError(t, s.Erase(t.Context(), claim, privacy, "the owner asked"))
	require.ErrorIs(t, s.EraseReporter(t.Context(), p.Name, "2022-0001", approver, "asked"), claims.ErrIllegal)
	require.ErrorIs(t, s.EraseReporter(t.Context(), p.Name, "2022-0001", privacy, ""), claims.ErrIllegal)
	for range 2 {
		require.NoError(t, s.EraseReporter(t.Context(), p.Name, "2022-0001", privacy, "asked"))
	}
	for i, gone := range []bool{true, true, false} {
		r, err := s.Report(t.Context(), p.Name, list[i].Number)
		require.NoError(t, err)
		require.Equal(t, gone, r.Erased, i)
		require.Equal(t, list[i].Loss, r.Loss)
	}
	out, err := s.ImportReports(t.Context(), p.Name, list, ReportFile{Name: "again.csv"}, secretIntake, false)
	require.NoError(t, err)
	require.Equal(t, Again, out[0].Outcome)
	late := reportOf(p, 0, 5) // another one, of a business whose owner was erased
	late.Number, late.At = "late", list[3].At
	_, err = s.ImportReports(t.Context(), p.Name, []ReportRow{late}, ReportFile{Name: "late.csv"}, secretIntake, false)
	require.NoError(t, err)
	found, err := s.Report(t.Context(), p.Name, "late")
	require.NoError(t, err)
	require.True(t, found.Erased, "what was erased does not come back")
	sound(t, s)

	old := func(at time.Time) ([]Class, time.Time) {
		if at.Before(list[2].At) && !at.IsZero() {
			return []Class{ClassReports}, time.Time{}
		}
		return nil, time.Time{}
	}
	dry, err := s.Purge(t.Context(), p.Name, old, privacy, "old", true)
	require.NoError(t, err)
	require.Equal(t, map[Class]int{ClassReports: 2}, dry.Records)
	done, err := s.Purge(t.Context(), p.Name, old, privacy, "old", false)
	require.NoError(t, err)
	require.Equal(t, dry, done)
	again, err := s.Purge(t.Context(), p.Name, old, privacy, "old", false)
	require.NoError(t, err)
	require.Nil(t, again.Reports)
	require.Equal(t, 2, sound(t, s).Emptied)
	gone, err := s.Report(t.Context(), p.Name, "2022-0000")
	require.NoError(t, err)
	require.True(t, gone.Purged())
	counts, err := s.CountReports(t.Context(), p.Name)
	require.NoError(t, err)
	require.Equal(t, 3, counts.Reports)
	unguarded(t, s, "UPDATE reports SET reported_at = 1 WHERE number = '2022-0000'")
	proof, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Contains(t, proof.Wrong[0].What, "what is left of the reports")
}

// reportsAreProven: each way of changing one is refused, and found where it was not.
func reportsAreProven(t *testing.T, s *Store) {
	reported(t, s, 3)
	good := sound(t, s)
	for _, query := range []string{
		"DELETE FROM reports", "UPDATE reports SET loss = 1", "UPDATE reports SET unit = '', loss = 0, contact = '', salt " +
			"= '', " +
			"person = '', gone = 'record 1'", "UPDATE reports SET person = '{}'",
	} {
		_, err := s.db.ExecContext(t.Context(), query)
		require.ErrorContains(t, err, "earlier reports are only added to", query)
	}
	const second = " WHERE number = '2022-0001'"
	for _, test := range []struct{ statement, back, want string }{
		{"UPDATE reports SET loss = loss + 1" + second, "UPDATE reports SET loss = loss - 1" + second,
			"report 2022-0001 of programme outage-2022 was changed"},
		{"UPDATE reports SET person = person || ' '" + second, "UPDATE reports SET person = TRIM(person)" + second,
			"report 2022-0001 of programme outage-2022 was made by somebody else"},
		{"UPDATE reports SET gone = 'record 9'" + second, "UPDATE reports SET gone = ''" + second, "lost who made it"},
		{"UPDATE reports SET gone = 'c-000000'" + second, "UPDATE reports SET gone = ''" + second, "lost who made it"},
		{"INSERT INTO reports SELECT programme, 'new', record, 4, unit, reported_at, loss, contact, hash, salt, person, gone " +
			"FROM reports" + second, "DELETE FROM reports WHERE number = 'new'", "report new of programme outage-2022 was " +
			"changed"},
		{"UPDATE reports SET record = 99" + second, "UPDATE reports SET record = (SELECT MIN(record) FROM reports)" + second,
			"does not follow"},
		{"UPDATE reports SET unit = ''" + second, "", "was emptied, and no purge says so"},
		{"DELETE FROM reports WHERE number = '2022-0002'", "", "was emptied"},
	} {
		unguarded(t, s, test.statement)
		p, err := s.Prove(t.Context(), nil)
		require.NoError(t, err)
		require.NotEmpty(t, p.Wrong, test.statement)
		require.Contains(t, p.Wrong[0].What, test.want, test.statement)
		if test.back != "" {
			unguarded(t, s, test.back)
			require.Equal(t, good, sound(t, s))
		}
	}
	p, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Contains(t, p.Wrong[len(p.Wrong)-1].What, "it has 2, and had 3")
}

// reportersAreReminded: of each report of a business without a claim one notice is made, whoever asks for it how often.
func reportersAreReminded(t *testing.T, s *Store) {
	reported(t, s, 5)
	p := shipped(t, s)
	receive(t, s, 1)
	require.NoError(t, s.EraseReporter(t.Context(), p.Name, "2022-0001", privacy, "asked"))
	_, err := s.RemindReporters(t.Context(), p.Name, secretIntake, "", false)
	require.ErrorIs(t, err, claims.ErrIllegal)
	dry, err := s.RemindReporters(t.Context(), p.Name, secretIntake, "two weeks are left", true)
	require.NoError(t, err)
	require.Equal(t, 3, dry.Reports)
	var group errgroup.Group
	made := make([]int, 4)
	for i := range made {
		group.Go(func() error {
			out, err := s.RemindReporters(t.Context(), p.Name, secretIntake, "two weeks are left", false)
			made[i] = out.Reports
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.ElementsMatch(t, []int{3, 0, 0, 0}, made)
	list, err := s.Notices(t.Context(), NoticeFilter{States: []NoticeState{NoticeWaiting}})
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, "report:outage-2022:2022-0002", list[0].ID)
	require.Equal(t, []string{"", "2022-0002", "outage-2022"}, []string{list[0].Claim, list[0].Report, list[0].Programme})
	require.NoError(t, s.EraseReporter(t.Context(), p.Name, "2022-0002", privacy, "asked"))
	list, err = s.Notices(t.Context(), NoticeFilter{})
	require.NoError(t, err)
	require.Len(t, list, 2, "who is erased is not told")
	require.NoError(t, s.Read(t.Context(), Reading{
		By: reviewer, From: "::1", What: ReadReport, Why: "she called", Programme: p.Name, Reports: []string{"2022-0003"},
	}))
	seen, err := s.Access(t.Context(), AccessFilter{Claim: OfReport + "2022-0003"})
	require.NoError(t, err)
	require.Len(t, seen, 1)
	require.Equal(t, []string{"2022-0003"}, seen[0].Reports)
	counts, err := s.CountReports(t.Context(), p.Name)
	require.NoError(t, err)
	require.Equal(t, 2, counts.Reminded)
	sound(t, s)
}
