package intake

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

const reportHeads = "number,business_number,reported,reported_loss,phone"

func reportLine(number string, i int) string {
	return number + "," + storetest.Number(i).String() + ",2022-10-20T09:00:00+09:00,350000,010-1234-0000"
}

func importReports(t *testing.T, d *Desk, name, text string) (*ImportedReports, error) {
	t.Helper()
	sheet, err := ReadCSV([]byte(text))
	require.NoError(t, err)
	return d.ImportReports(t.Context(), sheet, ReportSource{"/home/kim/" + name, []byte(text)}, staff.By, false)
}

// A file of reports comes back with what became of each row; mended, it is imported again, and nothing is there twice.
func TestAFileOfReportsComesBack(t *testing.T) {
	d := desk(t)
	_, err := d.Store.Receive(t.Context(), []store.Filing{storetest.Filing(d.Programme, 0, 5)}, nil)
	require.NoError(t, err)
	other := strings.Replace(reportLine("A-1", 1), "350000", "300000", 1)
	wrong := strings.Replace(reportLine("A-3", 2), "350000", "lots", 1)
	text := strings.Join([]string{reportHeads, reportLine("A-1", 0), reportLine("A-2", 1), other, wrong, reportLine("A-1",
		0), ",,,,"},
		"\n")
	for round, want := range []Imported{
		{Status: Partial, Rows: 5, Taken: 2, Again: 1, Wrong: 2}, {Status: Partial, Rows: 5, Again: 3, Wrong: 2},
	} {
		got, err := importReports(t, d, "reports.csv", text)
		require.NoError(t, err)
		back := got.Sheet
		got.Sheet = nil
		require.Equal(t, want, got.Imported, round)
		require.Equal(t, 1, got.Linked)
		require.Equal(t, []string{"granter_report", "granter_error"}, back[0][5:])
		where := "is there already"
		if round == 0 {
			where = "is in this file twice"
		}
		require.Equal(t, "number: A-1 "+where+": first business "+storetest.Number(0).String()+
			", reported 2022-10-20T09:00:00+09:00, 350,000 won, here business "+storetest.Number(1).String()+
			", reported 2022-10-20T09:00:00+09:00, 300,000 won: mend this row, or give it a number of its own", back[3][6])
		require.Contains(t, back[4][6], `reported_loss: "lots" is no amount`)
		var out bytes.Buffer
		require.NoError(t, WriteCSV(&out, back))
		text = out.String()
	}
	records, err := d.Store.Records(t.Context(), d.Programme.Name)
	require.NoError(t, err)
	in := records[len(records)-1].Change.Reports.Imported
	require.Equal(t, []any{"reports.csv", 5, 1, 2, 64}, []any{in.Name, in.Rows, in.Refused, in.Taken, len(in.Digest)})
	proof, err := d.Store.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
	require.Equal(t, 2, proof.Reports)
}

// All that is wrong with a row is said at once; resident numbers are refused wherever they are.
func TestWhatIsWrongWithAReport(t *testing.T) {
	d := desk(t)
	heads := "신고번호,사업자등록번호,신고일시,신고손실,상호,신고인,전화번호,이메일,언어\n"
	row := func(i int, value string) string {
		cells := []string{"A-1", storetest.Number(0).String(), "2022-10-20T09:00:00+09:00", "1", "가게", "김사장", "010-1234-5678",
			"a@example.com", "ko"}
		cells[i] = value
		return heads + strings.Join(cells, ",")
	}
	for _, test := range []struct {
		column      int
		value, want string
	}{
		{0, "", "number: is missing"},
		{0, "A 1", "number: \"A 1\" is not of its form"},
		{0, "900101-1234568", "number: it holds what looks like a resident registration number"},
		{0, "221020-1000123", "remove it; a report's number of that form is told from one by a year of four digits, as in 2022"},
		{0, "2210201000123", "told from one by a year of four digits"},
		{0, "R-221020-3000123", "told from one by a year of four digits"},
		{1, "120-81-47522", "business_number: business number 120-81-47522: one of its digits is wrong"},
		{1, "900101-1234568", "13 digits look like a resident registration number"},
		{2, "", "reported: write a time with its zone"},
		{2, "2022-10-20T09:00:00", "reported: write a time with its zone"},
		{2, "2999-01-01", "is in the future"},
		{3, "", "reported_loss: is missing: write 0"},
		{3, "-1", "reported_loss: -1 won cannot be"},
		{3, "1000000000001", "cannot be"},
		{3, "12.5", "is no amount: write whole won"},
		{4, "900101-1234568", "business_name: it holds what looks like a resident registration number"},
		{5, "900101-1234568", "name: it holds"},
		{6, "call me", "phone: \"call me\" is not of its form"},
		{7, "me", "email: \"me\" is not of its form"},
		{8, "fr", "language: \"fr\" is not of its form"},
	} {
		got, err := importReports(t, d, "r.csv", row(test.column, test.value))
		require.NoError(t, err)
		require.Equal(t, Failed, got.Status, test.want)
		require.Contains(t, got.Sheet[1][10], test.want)
	}
	got, err := importReports(t, d, "r.csv", heads+",x,y,z,,,,,")
	require.NoError(t, err)
	for _, field := range []string{"number: ", "business_number: ", "reported: ", "reported_loss: "} {
		require.Contains(t, got.Sheet[1][10], field)
	}
	_, err = importReports(t, d, "900101-1234568.csv", row(0, "A-1"))
	require.ErrorIs(t, err, ErrFile)
	_, err = importReports(t, d, "r.csv", "number,sum\n")
	require.ErrorIs(t, err, ErrFile)
	require.ErrorContains(t, err, "column business_number (사업자등록번호) is missing")
	proof, err := d.Store.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, proof.Reports)
}

// Numbers that begin with a day are told from resident numbers by the year: a check digit would let in who got theirs after
// October 2020, and refuse one in ten of a report's numbers.
func TestAReportsNumberWithTheYearInFullIsNoResidentNumber(t *testing.T) {
	d := desk(t)
	for i, number := range []string{"20221020-1000123", "2022-1020-1000123", "A-22-1020-1000123", "22102-1000123"} {
		got, err := importReports(t, d, "r.csv", reportHeads+"\n"+reportLine(number, i))
		require.NoError(t, err)
		require.Equal(t, Success, got.Status, got.Sheet)
	}
}

// A day is one of the programme's zone, also one that a workbook has as a date; a time of a workbook has no zone, and is refused.
func TestDaysAndTimesOfReports(t *testing.T) {
	d := desk(t)
	at, err := reportedAt("2022-10-20T00:00:00", d.now(), d.Programme.Zone)
	require.NoError(t, err)
	require.Equal(t, "2022-10-19 15:00:00 +0000 UTC", at.UTC().String())
	var book bytes.Buffer
	require.NoError(t, WriteXLSX(&book, [][]string{strings.Split(reportHeads, ","), strings.Split(reportLine("A-1", 1), ",")}))
	sheet, err := ReadXLSX(book.Bytes())
	require.NoError(t, err)
	got, err := d.ImportReports(t.Context(), sheet, ReportSource{"a.xlsx", book.Bytes()}, staff.By, true)
	require.NoError(t, err)
	require.Equal(t, []any{Success, 1, true}, []any{got.Status, got.Taken, got.DryRun})
	list, err := d.Store.Reports(t.Context(), store.ReportFilter{Programme: d.Programme.Name})
	require.NoError(t, err)
	require.Empty(t, list, "a dry run takes none")
}

// A cell that a spreadsheet made a moment of has no zone; the library gives it one, which would be nine hours off here.
func TestMomentsOfAWorkbookHaveNoZone(t *testing.T) {
	var book bytes.Buffer
	archive := zip.NewWriter(&book)
	write := func(name, text string) {
		part, err := archive.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(part, xml.Header+text)
		require.NoError(t, err)
	}
	for _, p := range bookParts {
		if p.name == "xl/styles.xml" {
			p.text = strings.Replace(p.text, "/>", `><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs></styleSheet>`, 1)
		}
		write(p.name, p.text)
	}
	write("xl/worksheets/sheet1.xml", `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`+
		`<row r="1"><c r="A1" s="1"><v>44854.375</v></c><c r="B1" s="1"><v>44854</v></c></row></sheetData></worksheet>`)
	require.NoError(t, archive.Close())
	sheet, err := ReadXLSX(book.Bytes())
	require.NoError(t, err)
	require.Equal(t, [][]string{{"2022-10-20T09:00:00", "2022-10-20"}}, sheet)
	require.Equal(t, "2022-10-20", string(day(sheet[0][1])))
	d := desk(t)
	for _, c := range columns {
		if c.name == "received" {
			require.ErrorContains(t, c.read(&Form{}, sheet[0][0]), "write a time with its zone")
		}
	}
	_, err = reportedAt(sheet[0][0], d.now(), d.Programme.Zone)
	require.ErrorContains(t, err, "write a time with its zone")
}
