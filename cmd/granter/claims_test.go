package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func TestClaimsAreAssessedByTheShippedProgramme(t *testing.T) {
	const shipped = shippedProgramme
	code, out, errs := ask("check", shipped)
	require.Zero(t, code, errs)
	require.Contains(t, out, "Tier 2: from 300,000 won and below 500,000 won: 50,000 won; no document.")

	facts := filepath.Join(t.TempDir(), "facts.json")
	write := func(text string) { require.NoError(t, os.WriteFile(facts, []byte(text), 0o600)) }
	write(`{"industry": "restaurants", "opened": "2020-03-01", "outage_sales": 1000000, "week_sales": [1250000, 1299999]}`)
	code, out, errs = ask("assess", shipped, facts)
	require.Zero(t, code, errs)
	require.Contains(t, out, "30,000 won: a sales_loss of 299999 won (below 300000) is paid 30000 won")

	write(`{"industry": "shops", "opened": "2020-03-01", "outage_sales": 0, "week_sales": [500000]}`)
	code, out, errs = ask("assess", shipped, facts, "--json")
	require.Zero(t, code, errs)
	var answer struct {
		Proposal struct {
			Review    bool     `json:"review"`
			Documents []string `json:"documents"`
		} `json:"proposal"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	require.True(t, answer.Proposal.Review)
	require.Len(t, answer.Proposal.Documents, 3)

	write(`{"opened": "2020-03-01", "outage_sales": -5, "week_sales": []}`)
	code, out, errs = ask("assess", shipped, facts)
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, errs, "outage_sales: -5 won is negative")
	require.Contains(t, errs, "week_sales: give the sales of at least one week")

	write("programme: [")
	code, _, errs = ask("check", facts)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "facts.json:")
	code, _, errs = ask("check", facts+".yaml")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "no such file")

	code, out, _ = ask("states", "--dot")
	require.Zero(t, code)
	require.Contains(t, out, "approved -> payment_sent")
	code, _, errs = ask("states", "--dot", "--json")
	require.Equal(t, exitUsage, code, errs)
}

const shippedProgramme = "../../deploy/programmes/outage-2022.yaml"

// claimsDatabase returns a database with two claims, "shown" and "erased", which has ended; beside it is a file to import, of the
// same name and .csv.
func claimsDatabase(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "claims.db")
	s, p := storetest.At(t, path)
	var filings []store.Filing
	for i, id := range []string{"shown", "erased"} {
		f := storetest.Filing(p, i, 100_000)
		f.ID = id
		filings = append(filings, f)
	}
	_, err := s.Receive(t.Context(), filings, nil)
	require.NoError(t, err)
	list, err := s.Get(t.Context(), "erased")
	require.NoError(t, err)
	owner := store.Actor{Name: "owner", Duty: claims.Owner}
	require.NoError(t, s.Commit(t.Context(), []store.Step{{Claim: list[0], Action: claims.Withdraw, By: owner}}, nil))
	require.NoError(t, os.WriteFile(path+".csv", []byte(claimsFile), 0o600))
	return path
}

const claimsFile = "business_number,business_name,representative,industry,opened,outage_sales,week_sales," +
	`phone,bank,account,holder,received
120-81-47521,가게,김사장,restaurants,2020-03-01,1000000,1250000;1200000,010-1234-5678,004,110-123-456789,김사장,2022-10-20T09:00:00+09:00
`

// ask runs granter claims.
func ask(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(append([]string{"claims"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestClaimsOfAFileAreTakenInShownAndProven(t *testing.T) {
	dir := t.TempDir()
	database, file := filepath.Join(dir, "claims.db"), filepath.Join(dir, "claims.csv")
	at := "--database=" + database
	code, _, errs := ask("list", at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "there is no database "+database)
	wrong := strings.Replace(strings.Split(claimsFile, "\n")[1], "120-81-47521", "120-81-47522", 1)
	require.NoError(t, os.WriteFile(file, []byte(claimsFile+wrong+"\n"), 0o600))
	code, out, errs := ask("import", file, at, "--programme", shippedProgramme, "--channel", "post")
	require.Equal(t, exitFailed, code)
	back := filepath.Join(dir, "claims.result.csv")
	require.Equal(t, "PARTIAL: of 2 rows 1 were taken in, 0 were there already, 1 are wrong: see "+back+"\n", out, errs)
	text, err := os.ReadFile(back)
	require.NoError(t, err)
	require.Contains(t, string(text), "its check digit does not fit")
	code, out, errs = ask("import", back, at, "--result", back)
	require.Equal(t, exitFailed, code, errs)
	require.Contains(t, out, "0 were taken in, 1 were there already")

	code, out, errs = ask("list", at, "--state", "received", "--business", "1208147521", "--json")
	require.Zero(t, code, errs)
	var list struct {
		Claims []store.Line `json:"claims"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	require.Len(t, list.Claims, 1)
	id := list.Claims[0].ID
	code, out, errs = ask("show", id, at)
	require.Zero(t, code, errs)
	require.Contains(t, out, id+": received, business 120-81-47521")
	require.NotContains(t, out, "김사장")
	code, _, errs = ask("show", id, at, "--person")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "say by --why")
	code, out, errs = ask("show", id, at, "--person", "--why", "the owner called")
	require.Zero(t, code, errs)
	require.Contains(t, out, "김사장, 010-1234-5678")
	require.Contains(t, out, "the owner called", "who looked is in the history")

	code, out, errs = ask("prove", at)
	require.Zero(t, code, errs)
	_, anchor, _ := strings.Cut(strings.TrimSpace(out), "The chain ends at ")
	code, _, errs = ask("prove", at, "--anchor", anchor)
	require.Zero(t, code, errs)
	code, out, _ = ask("prove", at, "--anchor", strings.Replace(anchor, "2:", "9:", 1))
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "WRONG commit 9: the chain does not have what it had")
	code, _, errs = ask("erase", id, at, "--why", "asked")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "erase it when it has ended")
}

func TestAFileThatCannotBeImportedSaysWhy(t *testing.T) {
	dir := t.TempDir()
	at := "--database=" + filepath.Join(dir, "claims.db")
	file := filepath.Join(dir, "claims.csv")
	for text, want := range map[string]string{
		"business_number,phone\n1,2": "column account (계좌번호) is missing",
		"":                           "it is empty",
		"\"a":                        "extraneous or missing",
		"PK\x03\x04":                 "it is no workbook",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		code, _, errs := ask("import", file, at, "--programme", shippedProgramme)
		require.Equal(t, exitUsage, code, errs)
		require.Contains(t, errs, want)
	}
	code, _, errs := ask("import", file, at, "--result", file+".txt")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "name it by --result")
	for _, args := range [][]string{
		{"import", filepath.Join(dir, "900101-1234567.csv")}, {"reports", "import", filepath.Join(dir, "900101-1234567.csv")},
		{"import", file, "--result", filepath.Join(dir, "900101-1234567.csv")}, {"import", file, "--who", "900101-1234567"},
	} {
		code, _, errs := ask(append(args, at)...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, errs, "what looks like a resident registration number")
		require.NotContains(t, errs, "1234567")
	}
	require.NoError(t, os.WriteFile(file, []byte(claimsFile), 0o600))
	code, _, errs = ask("import", file, at, "--programme", "nothing.yaml")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "nothing.yaml")
	t.Setenv("GRANTER_DATABASE", "postgres://granter:secret@127.0.0.1/x")
	code, _, errs = ask("list")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "holds a password")
	require.NotContains(t, errs, "secret")
}

func TestATierClaimGoesFromAFileToItsDecision(t *testing.T) {
	database := claimsDatabase(t)
	at := "--database=" + database
	services := &identitytest.Services{}
	server := httptest.NewServer(services)
	defer server.Close()
	t.Setenv("GRANTER_BUSINESS_KEY", "key")
	t.Setenv("GRANTER_ACCOUNT_TOKEN", "token")
	code, _, errs := ask("process", at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "nobody is paid before")
	services.Away(true)
	code, out, errs := ask("process", at, "--business-service", server.URL, "--account-service", server.URL)
	require.Zero(t, code)
	require.Contains(t, out, "1 wait for a service that is away")
	require.Contains(t, errs, "the tax office: the service does not answer")
	code, _, errs = ask("decide", "shown", "approve", "--as", "reviewer", "--why", "x", at)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "say how much")

	services.Away(false)
	require.NoError(t, os.WriteFile(database+".csv", []byte(claimsFile), 0o600))
	code, _, errs = ask("import", database+".csv", at)
	require.Zero(t, code, errs)
	code, out, errs = ask("process", at, "--business-service", server.URL, "--account-service", server.URL)
	require.Zero(t, code, errs)
	require.Contains(t, out, "approved: 1")
	code, out, errs = ask("list", at, "--state", "approved", "--json")
	require.Zero(t, code, errs)
	var list struct {
		Claims []store.Line `json:"claims"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	code, out, errs = ask("decide", list.Claims[0].ID, "flag", "--as", "reviewer", "--why", "a tip", at)
	require.Zero(t, code, errs)
	require.Contains(t, out, ": on_hold")
	code, _, errs = ask("decide", list.Claims[0].ID, "send_payment", "--as", "payer", at)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "send_payment is not decided")
	code, _, errs = ask("decide", list.Claims[0].ID, "clear", "--as", "reviewer", "--why", "900101-1234567", at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--why: it holds what looks like a resident registration number")
}

func TestWhatIsOwedIsPaidWhenTheBankSaysSo(t *testing.T) {
	database := claimsDatabase(t)
	at := "--database=" + database
	server := httptest.NewServer(&identitytest.Services{})
	defer server.Close()
	t.Setenv("GRANTER_BUSINESS_KEY", "key")
	t.Setenv("GRANTER_ACCOUNT_TOKEN", "token")
	orders := filepath.Join(t.TempDir(), "orders.csv")
	code, out, errs := ask("pay", at, "--out", orders)
	require.Zero(t, code, errs)
	require.Contains(t, out, "nothing is owed")
	require.NoFileExists(t, orders)

	code, _, errs = ask("process", at, "--business-service", server.URL, "--account-service", server.URL)
	require.Zero(t, code, errs)
	code, out, errs = ask("pay", at, "--out", orders)
	require.Zero(t, code, errs)
	require.Contains(t, out, "1 orders of 30,000 won together in "+orders)
	text, err := os.ReadFile(orders)
	require.NoError(t, err)
	require.Contains(t, string(text), ",004,123-0000000,김사장,30000,shown,1\n")
	_, payment, _ := strings.Cut(string(text), "sending\n")
	payment, _, _ = strings.Cut(payment, ",")
	code, _, errs = ask("pay", at, "--out", orders)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "is not written over")
	code, out, errs = ask("reconcile", at, "--within", "0s")
	require.Zero(t, code, errs)
	require.Contains(t, out, "ask the bank about "+payment)
	code, out, _ = ask("pay", at, "--out", orders+".again.csv", "--again")
	require.Zero(t, code)
	require.Contains(t, out, "1 orders")

	statement := filepath.Join(t.TempDir(), "statement.csv")
	say := func(lines string) {
		require.NoError(t, os.WriteFile(statement, []byte("reference,payment,status,amount,reason\n"+lines), 0o600))
	}
	say("r-1," + payment + ",settled,50000,\nr-2,p-nobody,settled,1,\n")
	code, out, _ = ask("reconcile", statement, at)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "2 doubtful")
	require.Contains(t, out, "50000 won settled, 0 of 30000 had been before: more than was ordered")
	require.Contains(t, out, "for a payment that was never ordered")
	say("r-3," + payment + ",settled,30000,\n")
	code, out, _ = ask("reconcile", statement, at, "--json")
	require.Equal(t, exitFailed, code, "the other doubt is still there")
	require.Contains(t, out, `"settled": 30000`)
	code, out, errs = ask("show", "shown", at)
	require.Zero(t, code, errs)
	require.Contains(t, out, "shown: paid")
	code, _, errs = ask("prove", at)
	require.Zero(t, code, errs)
	say("nothing")
	code, _, errs = ask("reconcile", statement, at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "wrong number of fields")
}

func TestAProposedProgrammeIsCountedBeforeItIsAdopted(t *testing.T) {
	at := "--database=" + claimsDatabase(t)
	source, err := os.ReadFile(shippedProgramme)
	require.NoError(t, err)
	proposed := filepath.Join(t.TempDir(), "proposed.yaml")
	change := strings.NewReplacer("pay: 30000", "pay: 45000", "budget: ", "budget: 1 # ")
	require.NoError(t, os.WriteFile(proposed, []byte(change.Replace(string(source))), 0o600))
	code, out, errs := ask("simulate", proposed, at)
	require.Zero(t, code, errs)
	require.Contains(t, out, "1 would get more (15,000 won together), 0 less (0 won)")
	require.Contains(t, out, "THE BUDGET DOES NOT SUFFICE")
	code, out, errs = ask("simulate", proposed, at, "--csv")
	require.Zero(t, code, errs)
	require.Contains(t, out, "tier,proposed,below 300000,1,45000\n")
	code, _, errs = ask("simulate", "nothing.yaml", at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "nothing.yaml")
}

func TestDecisionsAreFrozenFromTheCommandLine(t *testing.T) {
	at := "--database=" + claimsDatabase(t)
	code, _, errs := ask("freeze", at, "--end")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "say --why")
	code, out, errs := ask("freeze", at, "--why", "a tip", "--who", "audit")
	require.Zero(t, code, errs)
	require.Contains(t, out, "(says audit) froze it")
	code, _, errs = ask("pay", at, "--out", filepath.Join(t.TempDir(), "orders.csv"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "nothing is decided or paid until somebody ends that: ")
	code, out, errs = ask("freeze", at, "--end", "--why", "it was nothing", "--json")
	require.Zero(t, code, errs)
	require.Contains(t, out, `"frozen": false`)
	code, out, _ = ask("freeze", at)
	require.Zero(t, code)
	require.Contains(t, out, "it was nothing")
}

func TestAWindowIsExtendedAndListed(t *testing.T) {
	at := "--database=" + claimsDatabase(t)
	code, out, errs := ask("amend", at)
	require.Zero(t, code, errs)
	require.Contains(t, out, "2023-02-28 00:00:00")
	code, _, errs = ask("amend", "documents", at, "--until", "2099-04-14T23:59:59", "--why", "few have filed", "--who", "oh")
	require.Zero(t, code, errs)
	code, out, errs = ask("amend", at, "--json")
	require.Zero(t, code, errs)
	var shown struct {
		Hash       string             `json:"hash"`
		Windows    []claims.Window    `json:"windows"`
		Amendments []claims.Amendment `json:"amendments"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &shown))
	require.Len(t, shown.Amendments, 1)
	require.Contains(t, shown.Amendments[0].Who, "(says oh)")
	require.Equal(t, "2099-04-14T15:00:00Z", shown.Amendments[0].New.Format("2006-01-02T15:04:05Z07:00"))
	require.Equal(t, 2099, shown.Windows[2].Closes.Year())
	for _, wrong := range [][]string{
		{"documents"}, {"documents", "--until", "2099-05-01T00:00:00"}, {"--why", "x"},
		{"documents", "--until", "tomorrow", "--why", "x"},
		{"documents", "--until", "2099-05-01T00:00:00", "--why", "900101-1234567"},
	} {
		code, _, _ = ask(append(append([]string{"amend"}, wrong...), at)...)
		require.Equal(t, exitUsage, code, wrong)
	}
	code, _, errs = ask("amend", "documents", at, "--until", "2099-04-13T23:59:59", "--why", "enough")
	require.NotZero(t, code)
	require.Contains(t, errs, "a window is never shortened")
}

func TestACaseIsHandedOver(t *testing.T) {
	at := "--database=" + claimsDatabase(t)
	code, _, errs := ask("decide", "shown", "hand_over", at, "--as", "reviewer", "--why", "away")
	require.NotZero(t, code)
	require.Contains(t, errs, "say to whom")
	code, out, errs := ask("decide", "shown", "hand_over", at, "--as", "reviewer", "--why", "away", "--to", "lee", "--json")
	require.Zero(t, code, errs)
	require.Contains(t, out, `"assigned": "lee"`)
	code, _, errs = ask("decide", "erased", "hand_over", at, "--as", "reviewer", "--why", "away", "--to", "lee")
	require.NotZero(t, code)
	require.Contains(t, errs, "needs nobody to see to it")
	code, _, errs = ask("prove", at)
	require.Zero(t, code, errs)
}
