package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/identity/identitytest"
)

// answers has, for every command, what it is called with to say something on the standard output.
var answers = map[string][]string{
	"granter claims council":         {""},
	"granter claims council agenda":  {"--help"}, // these four need a meeting: see TestACouncilDecidesOnTheCommandLine
	"granter claims council close":   {"--help"},
	"granter claims council meet":    {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims council members": {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims council minutes": {"--help"},
	"granter claims council vote":    {"--help"},

	"granter":                       {"", "--version"},
	"granter access":                {""},
	"granter access purge":          {"--before 2000-01-01T00:00:00Z --why test", "--before 2000-01-01T00:00:00Z --why test --json"},
	"granter access report":         {"", "--json", "--entries", "--entries --json"},
	"granter access verify":         {"", "--json"},
	"granter acts":                  {""},
	"granter acts approve":          {"--help"}, // they need a proposal: see TestActsWaitForASecondPerson
	"granter acts pending":          {"-f SPEC", "-f SPEC --json"},
	"granter acts reject":           {"--help"},
	"granter acts show":             {"--help"},
	"granter abort":                 {"-f SPEC --why test", "-f SPEC --why test --json"},
	"granter check":                 {"-f SPEC", "-f SPEC --json"},
	"granter claims":                {""},
	"granter claims amend":          {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims assess":         {"../../deploy/programmes/outage-2022.yaml testdata/facts.json", "../../deploy/programmes/outage-2022.yaml testdata/facts.json --json"},
	"granter claims budget":         {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims check":          {"../../deploy/programmes/outage-2022.yaml", "../../deploy/programmes/outage-2022.yaml --json"},
	"granter claims decide":         {"shown note --database CLAIMS --as reviewer --why test", "shown note --database CLAIMS --as reviewer --why test --json"},
	"granter claims pay":            {"--database CLAIMS --out CLAIMS.orders.csv", "--database CLAIMS --out CLAIMS.orders.csv --json"},
	"granter claims reconcile":      {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims receive":        {"--help"}, // it needs a topic: see TestClaimsAreTakenInAndPaidByTopics
	"granter claims freeze":         {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims process":        {"--database CLAIMS --business-service SERVICES --account-service SERVICES", "--database CLAIMS --business-service SERVICES --account-service SERVICES --json"},
	"granter claims serve":          {"--help"}, // it answers by a page: see TestTheOwnersPageIsServed
	"granter claims code":           {"shown --database CLAIMS --why test", "shown --database CLAIMS --why test --json"},
	"granter claims documents":      {"shown --database CLAIMS", "shown --database CLAIMS --json"},
	"granter claims notify":         {"--database CLAIMS --webhook SERVICES", "--database CLAIMS --webhook SERVICES --json"},
	"granter claims notices":        {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims erase":          {"erased --database CLAIMS --why test", "erased --database CLAIMS --why test --json"},
	"granter claims import":         {"CLAIMS.csv --database CLAIMS", "CLAIMS.csv --database CLAIMS --json"},
	"granter claims reports":        {""},
	"granter claims reports erase":  {"--help"}, // these four: TestEarlierReportsOnTheCommandLine
	"granter claims reports import": {"--help"},
	"granter claims reports remind": {"--help"},
	"granter claims reports show":   {"--help"},
	"granter claims reports list":   {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims list":           {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims prove":          {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims report":         {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims report money":   {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims report verify":  {"--help"}, // see TestTheMoneyOfEachDayIsReportedAndVerified
	"granter claims show":           {"shown --database CLAIMS", "shown --database CLAIMS --json"},
	"granter claims watch":          {"--database CLAIMS --once", "--database CLAIMS --once --json"},
	"granter claims purge": {"--database CLAIMS --retention ../../deploy/programmes/retention.yaml --dry-run",
		"--database CLAIMS --retention ../../deploy/programmes/retention.yaml --dry-run --json"},
	"granter claims access":         {"--database CLAIMS", "--database CLAIMS --json"},
	"granter claims simulate":       {"../../deploy/programmes/outage-2022.yaml --database CLAIMS", "../../deploy/programmes/outage-2022.yaml --database CLAIMS --csv", "../../deploy/programmes/outage-2022.yaml --database CLAIMS --json"},
	"granter claims states":         {"", "--dot", "--json"},
	"granter completion":            {""},
	"granter completion bash":       {""},
	"granter completion fish":       {""},
	"granter completion powershell": {""},
	"granter completion zsh":        {""},
	"granter demo":                  {"--help"}, // another build has it: see TestDemoSaysThatItsOutputIsLost
	"granter desk":                  {"--help"}, // it serves
	"granter digest":                {"-f SPEC", "-f SPEC --json"},
	"granter export":                {"-f SPEC --why test CLAIMS.ledger", "-f SPEC --why test CLAIMS.ledger --json"},
	"granter hooks":                 {"-f SPEC --hooks testdata/hooks.yaml --test", "-f SPEC --hooks testdata/hooks.yaml --test --json"},
	"granter import":                {"--help"}, // what was exported is not what is there any more: see TestALedgerIsExportedImportedAndRebuilt
	"granter rebuild":               {"--help"},
	"granter reconcile":             {"-f SPEC --dry-run USERS", "-f SPEC --dry-run USERS --json"},
	"granter exclude":               {"-f SPEC --reason test 9", "-f SPEC --reason test 9 --json"},
	"granter extend":                {"-f SPEC --reason test --until 2100-01-01T00:00:00Z 1", "-f SPEC --reason test --until 2100-01-01T00:00:00Z 1 --json"},
	"granter grant-user":            {"-f SPEC --reason test 8", "-f SPEC --reason test 8 --json"},
	"granter move":                  {"-f SPEC --reason test 8 10", "-f SPEC --reason test 8 10 --json"},
	"granter note":                  {"-f SPEC --reason test 1", "-f SPEC --reason test 1 --json"},
	"granter reinstate":             {"-f SPEC --reason test 1", "-f SPEC --reason test 1 --json"},
	"granter revoke":                {"-f SPEC --reason test --kind fraud 10", "-f SPEC --reason test --kind fraud 10 --json"},
	"granter recall":                {"--help"}, // the campaign of this test offers nothing
	"granter finish":                {"-f SPEC --why test", "-f SPEC --why test --json"},
	"granter help":                  {"", "run"},
	"granter history":               {"-f SPEC", "-f SPEC --json"},
	"granter load":                  {"-f SPEC --generate 3", "-f SPEC --generate 3 --json"},
	"granter pause":                 {"-f SPEC --why test", "-f SPEC --why test --json"},
	"granter postpone":              {"-f LATER --why test --until 2100-01-01T00:00:00Z", "-f LATER --why test --until 2100-01-01T00:00:00Z --json"},
	"granter publish":               {"-f SPEC --topic events --once", "-f SPEC --topic events --once --json"},
	"granter purge":                 {"--help"}, // it ends the campaign: see TestACampaignIsPurged
	"granter resume":                {"-f SPEC --why test", "-f SPEC --why test --json"},
	"granter run":                   {"-f SPEC", "-f SPEC --json", "-f SPEC --dry-run", "-f SPEC --dry-run --json"},
	"granter status":                {"-f SPEC", "-f SPEC --json", "-f SPEC --prove", "-f SPEC --prove --json"},
	"granter throttle":              {"100k -f SPEC --why test", "100k -f SPEC --why test --json"},
	"granter take":                  {"--help"}, // the campaign of this test offers nothing
	"granter erase-user":            {"-f SPEC --reason test --dry-run 1", "-f SPEC --reason test --dry-run 1 --json"},
	"granter rejected":              {""},
	"granter rejected list":         {"-f SPEC", "-f SPEC --json"},
	"granter rejected recover":      {"-f SPEC", "-f SPEC --json", "-f SPEC --dry-run"},
	"granter rejected replay":       {"--help"}, // nothing is rejected in this test: see TestRejectedRecordsAreRepairedAndReplayedOnce
	"granter rejected show":         {"--help"},
	"granter token":                 {"alice operator", "alice operator --json"},
	"granter audit":                 {"-f SPEC", "-f SPEC --json", "-f SPEC --korean --complete"},
	"granter audit keygen":          {"--help"}, // these four: TestAReportAndAReceiptAreVerifiedByOthers
	"granter audit verify":          {"--help"},
	"granter receipt":               {"--help"},
	"granter receipt verify":        {"--help"},
	"granter verify":                {"-f SPEC 1", "-f SPEC 1 --json", "-f SPEC 7", "-f SPEC 7 --json"},
}

// failing is a standard output that takes some bytes and then no more.
type failing struct{ takes int }

var errFull = errors.New("no space left on device")

func (f *failing) Write(p []byte) (int, error) {
	if len(p) > f.takes {
		return f.takes, errFull
	}
	f.takes -= len(p)
	return len(p), nil
}

// complete returns the root with the commands that cobra adds.
func complete() *cobra.Command {
	root := newRoot()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// commands returns the paths of a command and of all below it.
func commands(cmd *cobra.Command) []string {
	paths := []string{cmd.CommandPath()}
	for _, c := range cmd.Commands() {
		paths = append(paths, commands(c)...)
	}
	return paths
}

// Every command that answers something does so for programs, too.
func TestEveryAnswerIsThereForPrograms(t *testing.T) {
	root := complete()
	for path, lines := range answers {
		asks := func(line string) bool { return !slices.Contains([]string{"", "run", "--help", "--version"}, line) }
		if !slices.ContainsFunc(lines, asks) {
			continue
		}
		cmd, _, err := root.Find(strings.Fields(path)[1:])
		require.NoError(t, err)
		require.NotNil(t, cmd.Flags().Lookup("json"), "%s has no --json", path)
		asked := func(line string) bool { return strings.Contains(line, "--json") }
		require.True(t, slices.ContainsFunc(lines, asked), "nobody looks at what %s --json says", path)
	}
}

// A command whose answer is lost on the way says so and fails, whatever it is.
func TestAnAnswerThatCannotBeWrittenIsAFailure(t *testing.T) {
	all := commands(complete())
	require.ElementsMatch(t, all, slices.Collect(maps.Keys(answers)), "say how each command is made to answer")
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	spec := with("run").args[2]
	text, err := os.ReadFile(spec)
	require.NoError(t, err)
	later := filepath.Join(t.TempDir(), "later.yaml")
	require.NoError(t, os.WriteFile(later, []byte(strings.NewReplacer("campaign: dated", "campaign: later", "2023", "2099").Replace(string(text))), 0o600))
	for _, setting := range with("run").env {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	require.Zero(t, run([]string{"run", "-f", spec}, new(bytes.Buffer), new(bytes.Buffer)))
	users := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(users, []byte("1\n2\n"), 0o600))
	database := claimsDatabase(t)
	services := httptest.NewServer(&identitytest.Services{})
	t.Cleanup(services.Close)
	t.Setenv("GRANTER_BUSINESS_KEY", "key")
	t.Setenv("GRANTER_ACCOUNT_TOKEN", "token")
	t.Setenv("GRANTER_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	for _, path := range slices.Sorted(slices.Values(all)) {
		for _, flags := range answers[path] {
			line := strings.TrimSpace(path + " " + flags)
			args := strings.Fields(line)[1:]
			for i, arg := range args {
				args[i] = strings.NewReplacer("SPEC", spec, "LATER", later, "CLAIMS", database, "SERVICES", services.URL, "USERS", users).Replace(arg)
			}
			t.Run(line, func(t *testing.T) {
				var stdout, stderr bytes.Buffer
				code := run(args, &stdout, &stderr)
				want := exitOK
				if strings.Contains(line, "verify") && strings.Contains(line, "7") {
					want = exitNotGranted
				}
				require.Equal(t, want, code, "%s%s", &stdout, &stderr)
				require.Greater(t, stdout.Len(), 1)
				if slices.Contains(args, "--json") {
					require.True(t, json.Valid(stdout.Bytes()), "%s", &stdout)
				}
				for _, takes := range []int{0, stdout.Len() / 2} {
					stderr.Reset()
					require.Equal(t, exitFailed, run(args, &failing{takes}, &stderr), "%s", &stderr)
					require.Equal(t, 1, strings.Count(stderr.String(), errFull.Error()), "%s", &stderr)
					require.Contains(t, stderr.String(), "granter: ")
				}
			})
		}
		if path == "granter abort" { // or nobody could be granted by hand
			require.Zero(t, run([]string{"resume", "-f", spec, "--why", "test"}, new(bytes.Buffer), new(bytes.Buffer)))
		}
	}
}
