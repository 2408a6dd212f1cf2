package payout

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store"
)

func TestOrdersForTheBank(t *testing.T) {
	var out bytes.Buffer
	person := store.Person{Bank: "004", Account: "110-1", Holder: "=cmd"}
	require.NoError(t, Plain().WriteOrders(&out, []store.Order{{ID: "p-1", Claim: "c-1", Net: 30_000, Person: person, Sending: 1},
		{ID: "p-2", Claim: "c-2", Net: 50_000, Person: person, Sending: 2}}, aDay))
	require.Equal(t,
		"\ufeffpayment,bank,account,holder,amount,memo,sending\n"+
			"p-1,004,110-1,'=cmd,30000,c-1,1\np-2,004,110-1,'=cmd,50000,c-2,2\n"+
			"total,,,2,80000,,\n", out.String())
	err := Plain().WriteOrders(&out, []store.Order{{ID: "p-1", Claim: "c-1"}}, aDay)
	require.ErrorContains(t, err, "nobody knows the account")
}

func TestAStatementIsUnderstoodWholeOrNotAtAll(t *testing.T) {
	got,
		err := Plain().ReadStatement(strings.NewReader("\ufeffstatus,amount,payment,reference,reason\n" +
		"settled,30000,p-1,r-1,\nreturned,1,p-2,r-2,no account\n"))
	require.NoError(t, err)
	require.Equal(t, []store.Answer{
		{ID: "r-1", Payment: "p-1", Status: store.BankSettled, Amount: 30_000},
		{ID: "r-2", Payment: "p-2", Status: store.BankReturned, Amount: 1, Why: "no account"},
	}, got)
	for text, want := range map[string]string{
		"":                           "names its columns",
		"reference,payment,status\n": "no column amount",
		"reference,payment,status,amount\n,p,settled,1\n":                        "line 2: the answer's own reference",
		"reference,payment,status,amount\nr,p,paid,1\n":                          `line 2: status "paid"`,
		"reference,payment,status,amount\nr,p,settled,1.5\n":                     `line 2: amount "1.5"`,
		"reference,payment,status,amount\nr,p,settled,-1\n":                      `line 2: amount -1`,
		"reference,payment,status,amount\nr,p,settled\n":                         "wrong number of fields",
		"reference,payment,status,amount,reason\nr,p,settled,1,900101-1234567\n": "resident registration number",
	} {
		_, err := Plain().ReadStatement(strings.NewReader(text))
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzReadStatement(f *testing.F) {
	f.Add("reference,payment,status,amount\nr,p,settled,1\n")
	f.Add(string(bankWritesFixed(&testing.T{}, []store.Answer{{ID: "r", Payment: "p", Status: store.BankSettled, Amount: 1}})))
	fixed, err := LoadShape(shippedShape)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		for _, shape := range []*Shape{Plain(), fixed} {
			list, err := shape.ReadStatement(strings.NewReader(text))
			if err != nil {
				continue
			}
			for _, a := range list {
				require.NotEmpty(t, a.ID)
				require.GreaterOrEqual(t, int64(a.Amount), int64(0))
			}
		}
	})
}
