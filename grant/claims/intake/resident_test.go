package intake

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store/storetest"
)

// numbers are ways to write a resident registration number. The check digit of the last one does not fit, as of those that were
// given since October 2020: without a hyphen it is one everywhere but in fields for other numbers.
var numbers = []string{"900101-1234567", "900101/1234567", "９００１０１ 1234567", "9001011234568", "9001013234567"}

func forNumbers(field string) bool { return field == "phone" || field == "account" }

// silent requires that somebody is told of a resident registration number, and that it is not said again.
func silent(t *testing.T, says, field, number string) {
	t.Helper()
	require.NotEmpty(t, says, "%s: %s is taken", field, number)
	require.NotContains(t, says, "234567", field)
	require.NotContains(t, says, "９００", field)
}

// One in whatever field of a claim, as JSON, whatever it was meant as, is refused; no error repeats it, and of a topic's record
// nothing is kept. The fields are those of the form: one that is new is tried, too.
func TestAResidentNumberInAnyFieldOfARecordIsRefusedAndKeptNowhere(t *testing.T) {
	d := desk(t)
	data, err := json.Marshal(good())
	require.NoError(t, err)
	var base map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(data, &base))
	for _, name := range append(slices.Clone(fields), "rrn", "900101-1234567") {
		for i, number := range numbers {
			if i == len(numbers)-1 && forNumbers(name) {
				continue
			}
			values := []string{strconv.Quote(number), strconv.Quote("김 " + number + " 씨"), "[" + strconv.Quote(number) + "]"}
			if strings.Trim(number, "0123456789") == "" {
				values = append(values, number, "["+number+"]")
			}
			for _, value := range values {
				fields := maps.Clone(base)
				fields[name] = json.RawMessage(value)
				record, err := json.Marshal(fields)
				require.NoError(t, err)
				form, err := ParseForm(record)
				if form != nil {
					_, more := d.Read(t.Context(), form, staff)
					err = Also(err, more)
				}
				require.Error(t, err, "%s: %s", name, value)
				silent(t, err.Error(), name, number)
				_, refused := d.ReadRecord(t.Context(), record, staff)
				require.Equal(t, ReasonResident, refused.Reason, "%s: %s", name, value)
				require.True(t, refused.Withhold)
				silent(t, refused.Detail, name, number)
			}
		}
	}
}

// Whatever a record is, nothing of it is kept when it may hold one; an account that only looks like one is no reason.
func TestDeadLettersHoldNoResidentNumber(t *testing.T) {
	d := desk(t)
	for record, withheld := range map[string]bool{
		`{"id": "a", "note": "900101-1234567"}`:                  true,
		`{"id": "a", "rrn": "9001013234567"}`:                    true,
		`{"id": "a", "rrn": 9001013234567}`:                      true,
		`{"id": "a", "a": {"b": ["9001013234567"]}}`:             true,
		`{"id": "9001013234567", "id": "a"}`:                     true, // of two the second counts
		`{"id": "a", "x": "\u0039\u0030\u0030101-1234567"}`:      true, // escaped
		`{"900101-1234567": 1}`:                                  true,
		`900101-1234567`:                                         true,
		`9001013234567`:                                          true,
		`rrn=9001013234567;`:                                     true,
		`{"id": "a", "rrn": 9001013234567`:                       true, // cut off
		`{"id": "a", "account": "900101-1234567"}`:               true,
		`{"id": "a", "account": "9001011234568"}`:                true,
		`{"id": "a", "account": "1002123456789"}`:                false,
		`{"id": "a", "phone": "010-1234-5678", "outage": 10000}`: false,
		`{"id": "a"}`: false,
		`not JSON`:    false,
	} {
		_, refused := d.ReadRecord(t.Context(), []byte(record), staff)
		require.NotEmpty(t, refused.Reason, record)
		require.Equal(t, withheld, refused.Withhold, record)
		require.Equal(t, withheld, refused.Reason == ReasonResident, record)
	}
}

// So it is in each column of a file, of claims and of earlier reports; what comes back says why.
func TestAResidentNumberInAnyCellIsRefused(t *testing.T) {
	d := desk(t)
	report := []string{"A-1", storetest.Number(0).String(), "2022-10-20T09:00:00+09:00", "1", "가게", "김사장", "010-1234-5678",
		"a@example.com", "ko"}
	for _, file := range []struct {
		heads, cells []string
		take         func(sheet [][]string) *Imported
	}{
		{strings.Split(heads+",id,closed,reported_loss,own_profit_rate,alternative_available,email,address,language,user", ","),
			strings.Split(line(0, 5)+",,,,,,,,,", ","), func(sheet [][]string) *Imported {
				got, err := d.Import(t.Context(), sheet, staff)
				require.NoError(t, err)
				return got
			}},
		{headsOf(reportTable.columns), report, func(sheet [][]string) *Imported {
			got, err := d.ImportReports(t.Context(), sheet, ReportSource{Path: "r.csv"}, staff.By, true)
			require.NoError(t, err)
			return &got.Imported
		}},
	} {
		require.Len(t, file.cells, len(file.heads))
		for at, name := range file.heads {
			for i, number := range numbers {
				if i == len(numbers)-1 && forNumbers(name) || name == "week_sales" && number == "900101/1234567" { // two weeks
					continue
				}
				for _, cell := range []string{number, "김 " + number + " 씨", number + ";5"} {
					cells := slices.Clone(file.cells)
					cells[at] = cell
					got := file.take([][]string{file.heads, cells})
					require.Equal(t, Failed, got.Status, "%s: %s", name, cell)
					says := got.Sheet[1][len(got.Sheet[1])-1]
					silent(t, says, name, number)
				}
			}
		}
	}
	require.Len(t, columns, 21, "a column more? The test above must have it")
	for name := range strings.SplitSeq("900101-1234567,business_number 9001013234567", ",") {
		_, err := d.Import(t.Context(), [][]string{{name, "account"}}, staff)
		require.ErrorIs(t, err, ErrFile)
		silent(t, err.Error(), "heading", name)
	}
	_, err := d.Read(t.Context(), good(), Channel{Name: "900101-1234567", By: staff.By})
	require.ErrorContains(t, err, "channel: it holds what looks like a resident registration number")
	_, err = d.Read(t.Context(), good(), Channel{Name: "<b>", By: staff.By})
	require.ErrorContains(t, err, "channel: ")
}

func headsOf[T any](list []column[T]) (out []string) {
	for i := range list {
		out = append(out, list[i].name)
	}
	return out
}
