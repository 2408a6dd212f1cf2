package campaign

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/strict"
)

func TestParseFillsEveryField(t *testing.T) {
	c, err := Load("testdata/good/emoticons.yaml")
	require.NoError(t, err)
	korea := time.FixedZone("", 9*60*60)
	want := &grant.Campaign{
		Name:       "sorry-2022-emoticons",
		Title:      "Three emoticons for every KakaoTalk user",
		StartsAt:   time.Date(2023, 1, 5, 0, 0, 0, 0, korea),
		EndsAt:     time.Date(2023, 4, 5, 0, 0, 0, 0, korea),
		Population: 48_000_000,
		Input: grant.Input{
			Topic: "kakaotalk-users", Format: grant.FormatDecimal, From: grant.FromValue,
			MaxID: grant.MaxUserID, MaxRejected: 0.01,
		},
		Items: []grant.Item{
			{ID: "thank-you-permanent", Kind: grant.KindEmoticon},
			{ID: "cheer-up-90d", Kind: grant.KindEmoticon, Validity: grant.Validity{Length: 90 * 24 * time.Hour}},
			{ID: "lets-go-90d", Kind: grant.KindEmoticon, Validity: grant.Validity{Length: 90 * 24 * time.Hour}},
		},
		Hash:      c.Hash,
		Canonical: c.Canonical,
	}
	assert.Equal(t, want, c)

	c, err = Load("testdata/good/cash.yaml")
	require.NoError(t, err)
	assert.Equal(t, grant.Input{
		Topic: "small-business-owners", Format: grant.FormatJSON, Path: "owner.user_id", From: grant.FromValue,
		MaxID: 999_999_999, MaxRejected: 0.0005,
	}, c.Input)
	assert.Equal(t, grant.Item{
		ID: "talk-channel-cash", Kind: grant.KindCredit,
		Validity: grant.Validity{Length: 365 * 24 * time.Hour}, Amount: 50_000, Currency: "KRW",
	}, c.Items[0])
}

// The golden files were read by a person and are never regenerated: a ledger holds the hash of every campaign that was granted,
// and a later version that computes another one would refuse to go on with it.
func TestGoodSpecsHaveTheirGoldenCanonicalForm(t *testing.T) {
	hashes := map[string]string{
		"avro":      "475c91567c97c447ab0e454b064331a2e92a7ebd1e009eb59f77473c6f6aa4b0",
		"cash":      "be028e7e2052dadf440f16e25ea9d8de9837dbeb097bd085908e606347216106",
		"emoticons": "c0cf0f1f9371f9f7519e68fa6620e5e10a1d5a37ed0be558f445c781372da795",
		"excluded":  "eb4104314cd86884f0394de68ec75d127d47b9b993e5cb85947ce8b4cd025bd1",
		"header":    "e5e894685310a16331cec58b68413d73a4319112ae44a7703d381bbb29101d28",
		"keys":      "1ef98b0efe0a103d7b1f89b7ac12dcd153252d46cbd3cdedd99d7aa943438f68",
		"letters":   "34a0456f76d2322f52b1310eefa6fc6f493eac84768e73c08e606b07ff19ebea",
		"protobuf":  "105ef6b9d7521e84ffdd77c4a5a79dbaf542e071f89cd821b43c8f0324baae52",
		"offers":    "a5c1cb60cedc4f61fb31e5790bd7d2c0d119b02d02fffa87d0c89fcfa80a978b",
		"minimal":   "3850c1077ac930eaac8b4d6066d0c1878f1495d9d800638f438a2281b8512a27",
	}
	files, err := filepath.Glob("testdata/good/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file)
			require.NoError(t, err)
			name, _, _ := strings.Cut(filepath.Base(file), ".") // emoticons.windows.yaml is the spec emoticons in another form
			golden, err := os.ReadFile("testdata/good/" + name + ".canonical.json")
			require.NoError(t, err)
			assert.Equal(t, string(golden), string(c.Canonical))
			assert.Equal(t, hashes[name], c.Hash)
		})
	}
}

func TestBadSpecsAreRefusedWithEveryProblem(t *testing.T) {
	for _, file := range badFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var want []string
			for line := range bytes.Lines(data) {
				if text, ok := bytes.CutPrefix(line, []byte("# want: ")); ok {
					want = append(want, "spec.yaml:"+strings.TrimRight(string(text), "\n"))
				}
			}
			c, err := Parse("spec.yaml", data)
			require.Error(t, err)
			assert.Nil(t, c)
			assert.Equal(t, want, strings.Split(err.Error(), "\n"))
		})
	}
}

func TestEveryRuleHasABadSpec(t *testing.T) {
	rules := append(rulesIn(t, "../strict/problem.go", "Rule"), rulesIn(t, "rules.go", "strict.Rule")...)
	require.Greater(t, len(rules), 40)

	broken := map[string]bool{string(strict.FileSize): true} // TestAFileOverTheLimitIsRefused makes its own megabyte
	for _, file := range badFiles(t) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		for _, r := range rulesBroken(data) {
			if name == string(r) {
				broken[name] = true
			}
		}
		if name != "several" {
			assert.True(t, broken[name], "%s does not break the rule that it is named after", file)
		}
	}
	for _, r := range rules {
		assert.True(t, broken[r], "testdata/bad has no %s.yaml that breaks this rule", r)
	}
}

func TestAFileOverTheLimitIsRefused(t *testing.T) {
	spec, err := os.ReadFile("testdata/good/minimal.yaml")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "large.yaml")

	padded := slices.Concat(spec, bytes.Repeat([]byte("#"), MaxSize-len(spec)))
	require.NoError(t, os.WriteFile(file, padded, 0o600))
	_, err = Load(file)
	require.NoError(t, err, "a file of exactly the limit")

	require.NoError(t, os.WriteFile(file, append(padded, '#'), 0o600))
	_, err = Load(file)
	require.EqualError(t, err, file+": the file is larger than 1048576 bytes: a campaign spec is a short text; "+
		"lists of users or claims are kept elsewhere")
}

func TestLoadSaysWhichFileCannotBeRead(t *testing.T) {
	_, err := Load("testdata/none.yaml")
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, "reading the campaign spec: open testdata/none.yaml")

	_, err = Load(t.TempDir())
	assert.ErrorContains(t, err, "reading the campaign spec: ")

	_, err = Parse("empty.yaml", nil)
	assert.EqualError(t, err, "empty.yaml: the file is empty: write a campaign spec, see docs/campaign-spec.md")
}

func TestAFileThatIsNoSpecAtAllHasAShortError(t *testing.T) {
	var dump bytes.Buffer
	for i := range 100_000 {
		dump.WriteString("u" + strconv.Itoa(i) + ": 1\n")
	}
	_, err := Parse("dump.yaml", dump.Bytes()[:MaxSize/2])
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	assert.Len(t, lines, strict.MaxProblems+1)
	assert.Regexp(t, `^dump\.yaml: and \d+ more problems$`, lines[strict.MaxProblems])

	_, err = Parse("line.yaml", bytes.Repeat([]byte("a"), MaxSize))
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 1000)
}

func TestATabIsRefusedOnlyWhereItIndents(t *testing.T) {
	spec := func(items string) []byte {
		return []byte("campaign: a\ntitle: a\nstarts_at: 2023-01-05T00:00:00Z\nsource: {topic: a}\nitems:\n" + items)
	}
	for name, items := range map[string]string{
		"in a comment":       "\t# a comment\n  - {id: a, kind: item, validity: 1d}\n",
		"on a blank line":    "  - {id: a, kind: item, validity: 1d}\n\t\n",
		"before a value":     "  - {id:\ta, kind: item, validity: 1d}\n",
		"before Windows' CR": "  - {id: a, kind: item, validity: 1d}\n\t\r\n",
	} {
		_, err := Parse("tab.yaml", spec(items))
		assert.NoError(t, err, name)
	}
	_, err := Parse("tab.yaml", spec("  - id: a\n\t  kind: item\n    validity: 1d\n"))
	assert.EqualError(t, err, "tab.yaml:7: a tab indents this line: YAML indents with spaces")
}

func TestCurrenciesAreThreeCapitals(t *testing.T) {
	assert.Greater(t, len(currencies), 160)
	for code := range currencies {
		assert.Regexp(t, `^[A-Z]{3}$`, code)
	}
	for _, code := range []string{"KRW", "USD", "JPY", "EUR", "SLE", "XCG", "ZWG"} {
		assert.True(t, currencies[code], code)
	}
	for _, code := range []string{"XXX", "XTS", "XAU", "XDR", "DEM", ""} {
		assert.False(t, currencies[code], code)
	}
}

// rulesIn returns the values of all constants of a type.
func rulesIn(t *testing.T, file, kind string) []string {
	t.Helper()
	source, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	var rules []string
	ast.Inspect(source, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && types.ExprString(spec.Type) == kind {
			literal, ok := spec.Values[0].(*ast.BasicLit)
			require.True(t, ok)
			name, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			rules = append(rules, name)
		}
		return true
	})
	return rules
}

func badFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func rulesBroken(data []byte) []strict.Rule {
	d := newDecoder("spec.yaml")
	if root := d.Document(data); root != nil {
		d.campaign(root)
	}
	rules := make([]strict.Rule, len(d.Problems))
	for i, p := range d.Problems {
		rules[i] = p.Rule
	}
	return rules
}
