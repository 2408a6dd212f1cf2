package payout

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/korean"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

const shippedShape = "../../../deploy/programmes/bank-fixed.yaml"

// bankFiles are a bank's files, with the bank's side of them: code that knows nothing of the shape that granter has of them.
type bankFiles struct {
	shape *Shape
	read  func(t *testing.T, file []byte) []store.Order
	write func(t *testing.T, list []store.Answer) []byte
}

func bankFilesOf(t *testing.T) map[string]bankFiles {
	t.Helper()
	fixed, err := LoadShape(shippedShape)
	require.NoError(t, err)
	return map[string]bankFiles{
		"csv":   {Plain(), bankReadsCSV, bankWritesCSV},
		"fixed": {fixed, bankReadsFixed, bankWritesFixed},
	}
}

var aDay = time.Date(2023, 3, 2, 9, 0, 0, 0, time.UTC)

// order hands orders over to the bank by a file, and returns what the bank finds in it.
func (f *bankFiles) order(t *testing.T, orders []store.Order) []store.Order {
	t.Helper()
	if len(orders) == 0 {
		return nil // no file is written
	}
	var file bytes.Buffer
	require.NoError(t, f.shape.WriteOrders(&file, orders, aDay))
	got := f.read(t, file.Bytes())
	require.Len(t, got, len(orders))
	for i := range got {
		require.Equal(t, orders[i].ID, got[i].ID)
		require.Equal(t, orders[i].Net, got[i].Net)
		require.Equal(t, orders[i].Sending, got[i].Sending)
		require.Equal(t, orders[i].Person.Bank, got[i].Person.Bank)
		require.Equal(t, plain(orders[i].Person.Account), plain(got[i].Person.Account))
	}
	return got
}

// answer hands the bank's answers over by a statement, and returns what granter finds in it.
func (f *bankFiles) answer(t *testing.T, list []store.Answer) []store.Answer {
	t.Helper()
	got, err := f.shape.ReadStatement(bytes.NewReader(f.write(t, list)))
	require.NoError(t, err)
	require.Len(t, got, len(list))
	for i := range got {
		require.Equal(t, []any{list[i].ID, list[i].Payment, list[i].Status, list[i].Amount, list[i].Sending},
			[]any{got[i].ID, got[i].Payment, got[i].Status, got[i].Amount, got[i].Sending})
	}
	return got
}

func plain(account string) string { return strings.ReplaceAll(account, "-", "") }

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

// whole requires that a file has as many orders, of as many won, as its last line says.
func whole(t *testing.T, orders []store.Order, count, sum string) {
	t.Helper()
	var all claims.Won
	for i := range orders {
		all += orders[i].Net
	}
	require.EqualValues(t, len(orders), number(t, count))
	require.EqualValues(t, all, number(t, sum))
}

func bankReadsCSV(t *testing.T, file []byte) (out []store.Order) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte("\ufeff")))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"payment", "bank", "account", "holder", "amount", "memo", "sending"}, rows[0])
	end := len(rows) - 1
	for _, r := range rows[1:end] {
		out = append(out, store.Order{
			ID: r[0], Person: store.Person{Bank: r[1], Account: r[2], Holder: r[3]},
			Net: claims.Won(number(t, r[4])), Claim: r[5], Sending: int(number(t, r[6])),
		})
	}
	require.Equal(t, "total", rows[end][0])
	whole(t, out, rows[end][3], rows[end][4])
	return out
}

func bankWritesCSV(t *testing.T, list []store.Answer) []byte {
	t.Helper()
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	require.NoError(t, w.Write([]string{"reference", "payment", "status", "amount", "reason", "sending"}))
	for _, a := range list {
		require.NoError(t, w.Write([]string{
			a.ID, a.Payment, string(a.Status), strconv.FormatInt(int64(a.Amount), 10), a.Why, strconv.Itoa(a.Sending),
		}))
	}
	w.Flush()
	return out.Bytes()
}

// bankReadsFixed reads orders as a bank's handbook would describe them: by the places of bytes.
func bankReadsFixed(t *testing.T, file []byte) (out []store.Order) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(string(file), "\r\n"), "\r\n")
	for i, line := range lines {
		require.Len(t, line, 128, "in bytes")
		at := func(from, to int) string { return strings.TrimRight(line[from:to], " ") }
		switch line[0] {
		case 'S':
			require.Zero(t, i)
			require.Equal(t, "20230302", at(11, 19))
		case 'D':
			require.EqualValues(t, i, number(t, at(1, 8)))
			holder, err := korean.EUCKR.NewDecoder().String(at(57, 77))
			require.NoError(t, err)
			out = append(out, store.Order{
				ID: at(8, 38), Person: store.Person{Bank: at(38, 41), Account: at(41, 57), Holder: holder},
				Net: claims.Won(number(t, at(77, 90))), Claim: at(90, 124), Sending: int(number(t, at(124, 128))),
			})
		case 'E':
			require.Equal(t, len(lines)-1, i)
			whole(t, out, at(1, 8), at(8, 23))
		default:
			require.Fail(t, "no such line", line)
		}
	}
	return out
}

var bankCodes = map[store.AnswerStatus]string{
	store.BankSettled: "0000", store.BankAccepted: "0001", store.BankReturned: "1101", store.BankUnknown: "9001",
	store.BankNotFound: "9002",
}

func bankWritesFixed(t *testing.T, list []store.Answer) []byte {
	t.Helper()
	out := fmt.Sprintf("S%-119s\r\n", "BANK 004")
	var sum claims.Won
	for _, a := range list {
		sum += a.Amount
		out += fmt.Sprintf("R%-20s%-30s%-4s%013d%04d%-48s\r\n", a.ID, a.Payment, bankCodes[a.Status], a.Amount, a.Sending, "")
	}
	return []byte(out + fmt.Sprintf("E%07d%015d%-97s\r\n", len(list), sum, ""))
}

// Both forms say the same: every status comes through both, and every code of the shipped shape means one of them.
func TestEveryStatusHasACode(t *testing.T) {
	fixed, err := LoadShape(shippedShape)
	require.NoError(t, err)
	known := map[store.AnswerStatus]bool{}
	for _, s := range fixed.Statuses {
		known[s.Means] = true
	}
	require.ElementsMatch(t, statuses, slices.Collect(maps.Keys(known)))
}
