package store

import (
	"context"
	"fmt"

	"github.com/granter/granter/grant/claims"
)

// NoticeReported reminds whoever reported a loss and has handed in no claim.
const NoticeReported NoticeKind = "report_not_filed"

// ReportsReminded is how many reports somebody had reminders made of.
type ReportsReminded struct {
	Reports int `json:"reports"`
}

// toRemind are the reports of the programme $1 whose reporter is known, has handed in no claim, and was not reminded.
const toRemind = ofReports + "r.programme = $1 AND " + notFiled + " AND r.person <> '' AND NOT EXISTS (SELECT 1 FROM " +
	"notices AS n " +
	"WHERE n.report = r.number AND n.programme = r.programme)"

// RemindReporters makes a notice of each report whose business has handed in no claim, once, however often it is called; a record
// of the programme says how many, who had them made, and why. Notices are sent as all others are. With dry none is made.
func (s *Store) RemindReporters(ctx context.Context, programme string, by Actor, why string,
	dry bool) (out ReportsReminded, _ error) {
	if by.Name == "" || why == "" {
		return out, claims.Illegal("say who has reporters reminded, and why")
	}
	err := s.begin(ctx, func(c *commit) error {
		if err := c.tx.QueryRowContext(ctx, "SELECT COUNT(*)"+toRemind, programme).Scan(&out.Reports); err != nil || dry ||
			out.Reports == 0 {
			return err
		}
		before, err := records(ctx, c.tx, programme)
		if err != nil {
			return err
		}
		record := Record{By: by, Kind: RecordReports, Why: why, Change: Recorded{Reports: &ReportsRecord{Reminded: &out}}}
		if err := c.record(programme, before, &record); err != nil {
			return err
		}
		c.later(statement{
			text: "INSERT INTO notices (id, claim, kind, seq, person, state, tries, due, changed, says, programme, report) " +
				"SELECT 'report:' || r.programme || ':' || r.number, NULL, CAST($2 AS TEXT), CAST($3 AS INTEGER), '', " +
				"'waiting', 0, " +
				"CAST($4 AS BIGINT), CAST($4 AS BIGINT), '', r.programme, r.number" + toRemind,
			args: []any{programme, string(NoticeReported), record.Number, c.at.UnixMicro()},
			want: int64(out.Reports),
			less: func() error {
				return fmt.Errorf("other reports than the %d that were counted are to be reminded", out.Reports)
			},
		})
		return nil
	})
	return out, err
}
