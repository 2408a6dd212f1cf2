package intake

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/xml"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/korean"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

var staff = Channel{Name: "file", By: store.Actor{Name: "kim", Duty: claims.Intake}}

func desk(t testing.TB) *Desk {
	t.Helper()
	s, p := storetest.Open(t)
	return &Desk{Store: s, Programme: p}
}

const heads = "business_number,business_name,representative,industry,opened,outage_sales,week_sales," +
	"phone,bank,account,holder,received"

func line(i int, loss int64) string {
	return fmt.Sprintf("%s,가게 %d,김사장,retail,2020-01-01,1000000,%d;5,010-1234-%04d,004,110-123-%06d,김사장,2022-10-20T09:00:00+09:00",
		storetest.Number(i), i, 1_000_000+loss, i, i)
}

func TestAFileComesBackWithWhatIsWrong(t *testing.T) {
	d := desk(t)
	bad := strings.Replace(line(2, 5), "004", "kb", 1)
	twice := strings.Replace(line(1, 7), "가게", "다른 가게", 1)
	text := heads + "\n" + strings.Join([]string{line(0, 100), line(1, 5), bad, twice, line(0, 100), ",,,,,,,,,,,"}, "\n")
	for round, want := range []Imported{
		{Status: Partial, Rows: 5, Taken: 2, Again: 1, Wrong: 2},
		{Status: Partial, Rows: 5, Again: 3, Wrong: 2},
	} {
		sheet, err := ReadCSV([]byte(text))
		require.NoError(t, err)
		got, err := d.Import(t.Context(), sheet, staff)
		require.NoError(t, err)
		back := got.Sheet
		got.Sheet = nil
		require.Equal(t, want, *got, round)
		require.Len(t, back, 6)
		require.Equal(t, []string{"granter_claim", "granter_error"}, back[0][12:])
		require.Equal(t, `bank: "kb" is not of its form: write the bank's code of three digits, such as 004`, back[3][13])
		require.Contains(t, back[4][13], "has claim "+back[2][12]+" already, and a business claims once")
		require.Equal(t, back[1][12], back[5][12], "the same row is the same claim")

		// Mended where it is wrong, the file that came back is imported again.
		var out bytes.Buffer
		require.NoError(t, WriteCSV(&out, back))
		text = out.String()
	}
	text = strings.ReplaceAll(text, ",kb,", ",004,")
	sheet, err := ReadCSV([]byte(text))
	require.NoError(t, err)
	got, err := d.Import(t.Context(), sheet, staff)
	require.NoError(t, err)
	require.Equal(t, 1, got.Taken)
	require.Equal(t, 1, got.Wrong)
	proof, err := d.Store.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
	require.Equal(t, 3, proof.Claims)

	failed, err := d.Import(t.Context(), [][]string{strings.Split(heads, ","), strings.Split(bad, ",")}, staff)
	require.NoError(t, err)
	require.Equal(t, Failed, failed.Status)
	success, err := d.Import(t.Context(), [][]string{strings.Split(heads, ","), strings.Split(line(0, 100), ",")}, staff)
	require.NoError(t, err)
	require.Equal(t, Success, success.Status)
}

func TestAWorkbookGoesTheSameWay(t *testing.T) {
	d := desk(t)
	rows := [][]string{strings.Split(heads, ",")}
	for i := range 3 {
		rows = append(rows, strings.Split(line(i, 10), ","))
	}
	rows[3][9] = "=1+1"
	rows[2][1] = "<가게> & \"친구\""
	var book bytes.Buffer
	require.NoError(t, WriteXLSX(&book, rows))
	sheet, err := ReadXLSX(book.Bytes())
	require.NoError(t, err)
	require.Equal(t, rows[2], sheet[2])
	got, err := d.Import(t.Context(), sheet, staff)
	require.NoError(t, err)
	require.Equal(t, []int{3, 2, 1}, []int{got.Rows, got.Taken, got.Wrong})
	book.Reset()
	require.NoError(t, WriteXLSX(&book, got.Sheet))
	sheet, err = ReadXLSX(book.Bytes())
	require.NoError(t, err)
	require.Equal(t, "'=1+1", sheet[3][9])
	require.Contains(t, sheet[3][13], "account: ")
	require.Equal(t, "AB", letters(27))
}

func TestAWorkbookThatInflatesIsRefused(t *testing.T) {
	var bomb bytes.Buffer
	archive := zip.NewWriter(&bomb)
	header := &zip.FileHeader{Name: "xl/worksheets/sheet1.xml", Method: zip.Deflate, UncompressedSize64: maxInflated + 1}
	_, err := archive.CreateRaw(header)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	require.Less(t, bomb.Len(), 1<<20)
	_, err = ReadXLSX(bomb.Bytes())
	require.ErrorIs(t, err, ErrFile)
	require.ErrorContains(t, err, "inflates to more than 256 MiB")
	_, err = ReadXLSX([]byte("business_number"))
	require.ErrorIs(t, err, ErrFile)
	var many bytes.Buffer
	archive = zip.NewWriter(&many)
	for i := range maxParts + 1 {
		_, err := archive.Create(fmt.Sprint("xl/", i))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	_, err = ReadXLSX(many.Bytes())
	require.ErrorContains(t, err, "has more than 1000 parts")
	var far bytes.Buffer
	require.NoError(t, WriteXLSX(&far, [][]string{make([]string, maxColumns+1)}))
	_, err = ReadXLSX(far.Bytes())
	require.ErrorContains(t, err, "fewer than 100 columns")
}

// A workbook that says that it is small, and is not, is refused where it exceeds what it says, and not when it is in memory.
func TestAWorkbookThatLiesAboutItsSizeIsRefused(t *testing.T) {
	var book, packed bytes.Buffer
	to, err := flate.NewWriter(&packed, flate.BestSpeed)
	require.NoError(t, err)
	_, err = io.CopyN(to, blanks{}, 64<<20)
	require.NoError(t, err)
	require.NoError(t, to.Close())
	archive := zip.NewWriter(&book)
	for _, p := range bookParts {
		part, err := archive.Create(p.name)
		require.NoError(t, err)
		_, err = io.WriteString(part, xml.Header+p.text)
		require.NoError(t, err)
	}
	part, err := archive.CreateRaw(&zip.FileHeader{
		Name: "xl/worksheets/sheet1.xml", Method: zip.Deflate, CompressedSize64: uint64(packed.Len()), UncompressedSize64: 100,
	})
	require.NoError(t, err)
	_, err = part.Write(packed.Bytes())
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = ReadXLSX(book.Bytes())
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, ErrFile)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "it was unpacked")
}

// Of a workbook that is damaged behind some of its rows none is taken in: the others would be lost, and nobody told.
func TestADamagedWorkbookIsRefusedWhole(t *testing.T) {
	rows := [][]string{strings.Split(heads, ",")}
	for i := range 2000 {
		rows = append(rows, strings.Split(line(i, 10), ","))
	}
	var book bytes.Buffer
	require.NoError(t, WriteXLSX(&book, rows))
	sheet, err := ReadXLSX(book.Bytes())
	require.NoError(t, err)
	require.Len(t, sheet, 2001)
	packed := bytes.LastIndex(book.Bytes(), []byte("xl/worksheets/sheet1.xml")) / 2
	damaged := bytes.Clone(book.Bytes())
	damaged[packed] ^= 0xff
	_, err = ReadXLSX(damaged)
	require.ErrorIs(t, err, ErrFile)
	require.ErrorContains(t, err, "the workbook is damaged, or was cut off")

	var broken bytes.Buffer
	archive := zip.NewWriter(&broken)
	for _, p := range append(slices.Clone(bookParts), struct{ name, text string }{"xl/worksheets/sheet1.xml",
		`<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>account</t></is></c></row></oops><row r="2"></row>`}) {
		part, err := archive.Create(p.name)
		require.NoError(t, err)
		_, err = io.WriteString(part, xml.Header+p.text)
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	_, err = ReadXLSX(broken.Bytes())
	require.ErrorIs(t, err, ErrFile)
}

// blanks are a text of XML that does not end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestFilesOfKoreanSpreadsheetsAreRead(t *testing.T) {
	names := map[string]string{}
	for _, c := range columns {
		names[c.name] = c.korean
	}
	var korea []string
	for name := range strings.SplitSeq(heads, ",") {
		korea = append(korea, names[name])
	}
	text, err := korean.EUCKR.NewEncoder().String(strings.Join(korea, ",") + "\r\n" + line(0, 10))
	require.NoError(t, err)
	sheet, err := ReadCSV([]byte(text))
	require.NoError(t, err)
	d := desk(t)
	got, err := d.Import(t.Context(), sheet, staff)
	require.NoError(t, err)
	require.Equal(t, 1, got.Taken, got.Sheet)
	_, err = ReadCSV([]byte("a,\"b"))
	require.ErrorIs(t, err, ErrFile)
	_, err = d.Import(t.Context(), nil, staff)
	require.ErrorIs(t, err, ErrFile)
	_, err = d.Import(t.Context(), [][]string{{"business_number", "phone", "phone", "colour"}}, staff)
	require.ErrorContains(t, err, "column 3: phone is there twice")
	require.ErrorContains(t, err, `column 4: "colour" is not known`)
	require.ErrorContains(t, err, "column account (계좌번호) is missing")
}

func TestNoCellThatComesBackIsAFormula(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, WriteCSV(&out, [][]string{{"=cmd()", "+82 10", "-1", "@x", "\tx", "plain", ""}}))
	require.Equal(t, "\ufeff'=cmd(),'+82 10,'-1,'@x,'\tx,plain,\n", out.String())
	require.Equal(t, "=cmd()", plain("'=cmd()"))
	require.Equal(t, "'quoted", plain("'quoted"))
}

func good() *Form {
	at := time.Date(2022, 10, 20, 0, 0, 0, 0, time.UTC)
	return &Form{
		ID: "app-1", BusinessNumber: "120-81-47521", BusinessName: "가게", Representative: "김사장", Industry: "retail",
		Opened:      "2020-01-01",
		OutageSales: new(claims.Won(10)), WeekSales: []claims.Won{20}, Phone: "010-1234-5678",
		Bank: "004", Account: "110-123-456789",
		Holder:   "김사장",
		Received: &at,
	}
}

func TestEverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	d := desk(t)
	bad := &Form{ID: "a/b", Opened: "yesterday", Phone: "x", Email: "no", WeekSales: []claims.Won{-1}}
	_, err := d.Read(t.Context(), bad, staff)
	for _, want := range []string{
		"id: \"a/b\" is not of its form", "business_number: ", "business_name: is missing", "representative: is missing",
		"industry: is missing", "opened: \"yesterday\" is not a day", "phone: ", "email: ", "bank: is missing",
		"account: is missing",
		"holder: is missing", "week_sales[0]: -1 won is negative", "received: claims cannot be handed in at ",
	} {
		require.ErrorContains(t, err, want)
	}
	filing, err := d.Read(t.Context(), good(), staff)
	require.NoError(t, err)
	require.Equal(t, "reports", filing.Opening.Window)
	require.Equal(t, claims.BusinessNumber("1208147521"), filing.Opening.Unit)
	long := good()
	long.Address, long.Holder = strings.Repeat("가", 201), "a\x00b"
	_, err = d.Read(t.Context(), long, staff)
	require.ErrorContains(t, err, "address: it has more than 200 characters")
	require.ErrorContains(t, err, "holder: it has characters that nobody can see")
}

func TestResidentNumbersAreRefusedInEveryField(t *testing.T) {
	d := desk(t)
	const number = "900101-1234567"
	for name, set := range map[string]func(*Form){
		"business_number": func(f *Form) { f.BusinessNumber = number },
		"business_name":   func(f *Form) { f.BusinessName = number },
		"representative":  func(f *Form) { f.Representative = "김사장 " + number },
		"industry":        func(f *Form) { f.Industry = number },
		"phone":           func(f *Form) { f.Phone = number },
		"email":           func(f *Form) { f.Email = number + "@example.com" },
		"address":         func(f *Form) { f.Address = "서울 " + number },
		"account":         func(f *Form) { f.Account = number },
		"holder":          func(f *Form) { f.Holder = number },
		"id":              func(f *Form) { f.ID = number },
	} {
		f := good()
		set(f)
		_, err := d.Read(t.Context(), f, staff)
		require.ErrorContains(t, err, name+": ")
		require.ErrorContains(t, err, "resident registration number")
		require.NotContains(t, err.Error(), "1234567")
	}
	for _, account := range []string{"1002-123-456789", "1002123456789", "3333-01-1234567", "110123456789"} {
		f := good()
		f.Account = account
		_, err := d.Read(t.Context(), f, staff)
		require.NoError(t, err, account)
	}
}

func TestWindowsCloseOnTheSecond(t *testing.T) {
	d := desk(t)
	for at, open := range map[string]bool{
		"2022-10-18T23:59:59+09:00": false, "2022-10-19T00:00:00+09:00": true, "2022-11-06T23:59:59+09:00": true,
		"2022-11-06T14:59:59Z": true, "2022-11-06T15:00:00Z": false, "2023-02-13T00:00:00+09:00": true,
	} {
		when, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		f := good()
		f.Received = &when
		_, err = d.Read(t.Context(), f, staff)
		require.Equal(t, open, err == nil, "%s: %v", at, err)
	}
	until := time.Date(2023, 4, 15, 0, 0, 0, 0, d.Programme.Zone)
	d.Store.SetClock(func() time.Time { return until.Add(-time.Hour) })
	_, err := d.Store.Extend(t.Context(), d.Programme, store.Extension{
		Window: "additional-reports", Old: until.AddDate(0, 0, -46), New: until,
	}, store.Actor{Name: "oh", Duty: claims.Secretary}, "few have reported")
	require.NoError(t, err)
	for at, open := range map[time.Time]bool{until.Add(-time.Second): true, until: false} {
		f := good()
		f.Received = &at
		_, err = d.Read(t.Context(), f, staff)
		require.Equal(t, open, err == nil, "%s, after an extension: %v", at, err)
	}
	later := time.Now().Add(time.Hour)
	f := good()
	f.Received = &later
	_, err = d.Read(t.Context(), f, staff)
	require.ErrorContains(t, err, "is in the future")
}

func FuzzReadXLSX(f *testing.F) {
	var book bytes.Buffer
	if err := WriteXLSX(&book, [][]string{{"a", "b"}, {"c"}}); err != nil {
		f.Fatal(err)
	}
	f.Add(book.Bytes())
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = ReadXLSX(data) // it does not panic
	})
}

func FuzzParseForm(f *testing.F) {
	f.Add([]byte(`{"id": "a", "business_number": "120-81-47521", "week_sales": [1], "received": "2022-10-20T09:00:00+09:00"}`))
	f.Add([]byte(`null`))
	d := desk(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		form, err := ParseForm(data)
		if err != nil {
			return
		}
		if filing, err := d.Read(t.Context(), form, staff); err == nil {
			require.NotEmpty(t, filing.ID)
		}
	})
}

func TestNoClaimHasTheNameOfAPage(t *testing.T) {
	_, err := desk(t).Read(t.Context(), &Form{ID: "freeze"}, staff)
	require.ErrorContains(t, err, "id: freeze is the name of a page of the review desk")
}
