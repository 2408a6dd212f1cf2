package payout

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/korean"

	"github.com/granter/granter/grant/claims/store"
)

func fixedShape(t *testing.T) *Shape {
	t.Helper()
	s, err := LoadShape(shippedShape)
	require.NoError(t, err)
	return s
}

func TestOrdersOfFixedWidth(t *testing.T) {
	orders := []store.Order{
		{ID: "p-0123456789abcdef01234567", Claim: "f-0a1b2c3d4e5f60718293", Net: 30_000, Sending: 1,
			Person: store.Person{Bank: "004", Account: "110-123 456789", Holder: "김사장"}},
		{ID: "p-1", Claim: strings.Repeat("c", 64), Net: 50_000, Sending: 2, // a channel's own number may have so many
			Person: store.Person{Bank: "088", Account: "1", Holder: "주식회사 아주 긴 이름의 가게𠀀"}},
		{ID: "p-2", Claim: "c\r\nD9999999p-3", Net: 1, Sending: 3,
			Person: store.Person{Bank: "088", Account: "1", Holder: "a\r\nE𠀀"}},
	}
	var out bytes.Buffer
	require.NoError(t, fixedShape(t).WriteOrders(&out, orders, aDay))
	got, err := korean.EUCKR.NewDecoder().String(out.String())
	require.NoError(t, err)
	require.Equal(t, []string{
		"SGRANTER   20230302" + strings.Repeat(" ", 109),
		"D0000001p-0123456789abcdef01234567    004110123456789    김사장              0000000030000" +
			"f-0a1b2c3d4e5f60718293            0001",
		"D0000002p-1                           0881               주식회사 아주 긴 이 0000000050000" +
			strings.Repeat("c", 34) + "0002",
		"D0000003p-2                           0881               a??E?               0000000000001" +
			"c??D9999999p-3                    0003",
		"E0000003000000000080001" + strings.Repeat(" ", 105),
		"",
	}, strings.Split(got, "\r\n"))
	require.Len(t, bankReadsFixed(t, out.Bytes()), 3)

	for field, order := range map[string]store.Order{
		"account: it is longer": {ID: "p-1", Person: store.Person{Bank: "004", Account: "12345678901234567"}},
		"bank: it is longer":    {ID: "p-1", Person: store.Person{Bank: "0040", Account: "1"}},
		"amount: it is longer":  {ID: "p-1", Net: 100_000_000_000_000, Person: store.Person{Bank: "004", Account: "1"}},
		"payment: the bank's":   {ID: "p-𠀀", Person: store.Person{Bank: "004", Account: "1"}},
		"payment: it has a":     {ID: "p-\n", Person: store.Person{Bank: "004", Account: "1"}},
		"nobody knows":          {ID: "p-1"},
	} {
		require.ErrorContains(t, fixedShape(t).WriteOrders(&bytes.Buffer{}, []store.Order{order}, aDay), field)
	}
}

// A file that was cut off, changed, or is of another bank or encoding says nothing of money.
func TestAStatementOfFixedWidthIsWholeOrNothing(t *testing.T) {
	good := string(bankWritesFixed(t, []store.Answer{
		{ID: "r-1", Payment: "p-1", Status: store.BankSettled, Amount: 30_000},
		{ID: "r-2", Payment: "p-2", Status: store.BankReturned, Amount: 50_000, Sending: 2},
	}))
	read := func(text string) ([]store.Answer, error) { return fixedShape(t).ReadStatement(strings.NewReader(text)) }
	got, err := read(good)
	require.NoError(t, err)
	require.Equal(t, []store.Answer{
		{ID: "r-1", Payment: "p-1", Status: store.BankSettled, Amount: 30_000},
		{ID: "r-2", Payment: "p-2", Status: store.BankReturned, Amount: 50_000, Sending: 2, Why: "계좌 없음 (no such account)"},
	}, got)

	lines := strings.SplitAfter(good, "\r\n")
	blank := strings.Repeat(" ", 48)
	with := func(old, now string) string { return lines[0] + strings.Replace(good[len(lines[0]):], old, now, 1) }
	for name, c := range map[string]struct{ text, want string }{
		"nothing":              {"", "line 1: has 0 bytes"},
		"only its heading":     {lines[0], "cut off"},
		"without its end":      {lines[0] + lines[1] + lines[2], `has "R" where the shape says "E"`},
		"cut within a line":    {good[:len(good)-20], "has 102 bytes, and the shape 120"},
		"a longer line":        {with("R", "RR"), "has 121 bytes"},
		"without a line":       {lines[0] + lines[2] + lines[3], `says count "0000002", and the lines come to 1`},
		"another amount":       {with("0000000030000", "0000000030001"), `and the lines come to 80001`},
		"another encoding":     {with(blank, "계좌 없음"+strings.Repeat(" ", 35)), "is not CP949"},
		"half a syllable":      {with(blank, strings.Repeat(" ", 47)+"\xb0"), "is not CP949"},
		"an unknown code":      {with("1101", "4711"), `line 3: status "4711": the shape knows 0000, 0001`},
		"no amount":            {with("0000000030000", "000000003000x"), "want whole won"},
		"a resident number":    {with(blank, "900101-1234567"+strings.Repeat(" ", 34)), "resident"},
		"another kind":         {with("R", "X"), `line 2: has "X" where`},
		"a file of the CSV":    {"reference,payment,status,amount\nr,p,settled,1\n", "line 1: has 31 bytes"},
		"a line after its end": {good + lines[1], `line 4: has "E" where the shape says "R"`},
	} {
		list, err := read(c.text)
		require.ErrorContains(t, err, c.want, name)
		require.Empty(t, list, name)
	}
}

// A CSV of other columns, another encoding, and a last line; a reference of two fields; codes instead of words.
const koreanCSV = `form: csv
encoding: cp949
orders:
  each:
    - {is: payment, name: 이체번호}
    - {is: bank, name: 은행}
    - {is: account, name: 계좌번호, digits: true}
    - {is: holder, name: 예금주, cut: true}
    - {is: amount, name: 금액}
statement:
  each:
    - {is: reference, name: 처리일}
    - {is: reference, name: 번호}
    - {is: payment, name: 이체번호}
    - {is: status, name: 결과}
    - {is: amount, name: 금액}
  last: [{text: 합계}, {is: count}, {is: skip}, {is: skip}, {is: sum}]
  statuses: [{code: 정상, means: settled}, {code: 오류, means: returned, reason: refused}]
`

func TestACSVOfAnotherForm(t *testing.T) {
	s, err := ParseShape("korean.yaml", []byte(koreanCSV))
	require.NoError(t, err)
	encode := func(text string) string {
		out, err := korean.EUCKR.NewEncoder().String(text)
		require.NoError(t, err)
		return out
	}
	var out bytes.Buffer
	require.NoError(t, s.WriteOrders(&out, []store.Order{
		{ID: "p-1", Net: 30_000, Person: store.Person{Bank: "004", Account: "110-1", Holder: `=똠"방,`}},
	}, aDay))
	require.Equal(t, encode("이체번호,은행,계좌번호,예금주,금액\np-1,004,1101,\"'=똠\"\"방,\",30000\n"), out.String())

	read := func(text string) ([]store.Answer, error) { return s.ReadStatement(strings.NewReader(encode(text))) }
	const head = "번호,처리일,이체번호,금액,결과\n"
	got, err := read(head + "7,20230302,p-1,30000,정상\n8,20230302,p-2,50000,오류\n합계,2,,,80000\n")
	require.NoError(t, err)
	require.Equal(t, []store.Answer{
		{ID: "20230302-7", Payment: "p-1", Status: store.BankSettled, Amount: 30_000},
		{ID: "20230302-8", Payment: "p-2", Status: store.BankReturned, Amount: 50_000, Why: "refused"},
	}, got)
	for text, want := range map[string]string{
		"번호,처리일,이체번호,금액\n":                                    "no column 결과",
		head + "7,20230302,p-1,30000,정상\n":                    "was cut off",
		head + "7,20230302,p-1,30000,정상\n합계,2,,,30000\n":      `says count "2"`,
		head + "합계,0,,,0\n7,20230302,p-1,30000,정상\n":          "behind the last one",
		head + "7,20230302,p-1,30000,settled\n합계,1,,,30000\n": `status "settled": the shape knows 정상, 오류`,
	} {
		_, err := read(text)
		require.ErrorContains(t, err, want, text)
	}
	_, err = s.ReadStatement(strings.NewReader(head))
	require.ErrorContains(t, err, "is not CP949")
}

// Whatever is wrong with a shape is said with its line, and what to write instead.
func TestAShapeIsReadStrictly(t *testing.T) {
	good, err := os.ReadFile(shippedShape)
	require.NoError(t, err)
	for _, c := range []struct{ old, new, want string }{
		{"form: fixed", "form: fixd", "did you mean fixed?"},
		{"encoding: cp949", "", "encoding: is missing"},
		{"encoding: cp949", "encoding: euc-kr", "write utf-8 or cp949"},
		{"{is: bank, width: 3}", "{is: bank}", "has no width"},
		{"{is: bank, width: 3}", "{width: 3}", "say either what it is"},
		{"{is: bank, width: 3}", "{is: bank, width: 4}", "has 128 bytes, and each line 129"},
		{"{is: bank, width: 3}", "{is: skip, width: 3}", `orders.each[3].is: "skip" is unknown`},
		{"{is: bank, width: 3}", "{text: xxx, width: 3}", "orders have no bank"},
		{"{is: bank, width: 3}", "{is: bank, width: 3, cut: true}", "must not be cut"},
		{"{is: bank, width: 3}", "{is: bank, width: 3, name: bank}", "has a name"},
		{"{is: bank, width: 3}", "{is: bank, width: 3, wide: 4}", "unknown field"},
		{"{is: reason, width: 48}", "{is: amount, width: 48}", "has amount twice"},
		{`code: "0001"`, `code: "0000"`, `code "0000" is there twice`},
		{`code: "0001"`, `code: 0001`, "put it in quotes"},
		{"means: accepted", "means: done", "is unknown"},
	} {
		text := strings.Replace(string(good), c.old, c.new, 1)
		require.NotEqual(t, string(good), text, c.old)
		_, err := ParseShape("bank.yaml", []byte(text))
		require.ErrorContains(t, err, c.want)
		require.ErrorContains(t, err, "bank.yaml:")
	}
	for _, c := range []struct{ old, new, want string }{
		{"{is: bank, name: 은행}", "{is: bank}", "has no name"},
		{"{is: bank, name: 은행}", "{is: bank, name: 은행, width: 3}", "has a width"},
		{"{text: 합계}", "{is: skip}", "cannot be told from the others"},
		{"orders:", "orders:\n  first: [{text: S}]", "begins with its heading"},
	} {
		_, err := ParseShape("bank.yaml", []byte(strings.Replace(koreanCSV, c.old, c.new, 1)))
		require.ErrorContains(t, err, c.want)
	}
}
