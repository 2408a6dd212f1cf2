package review

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/decide"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
	"github.com/granter/granter/grant/claims/tell"
	"github.com/granter/granter/grant/programme"
)

// Whatever the rules write into history as a reason is read in Korean.
func TestReasonsOfTheRulesAreReadInKorean(t *testing.T) {
	_, p := storetest.Open(t)
	inclusive, err := programme.Parse("inclusive", bytes.ReplaceAll(storetest.Source(t), []byte("below:"), []byte("up_to:")))
	require.NoError(t, err)
	var said []string
	for _, rules := range []*claims.Programme{p, inclusive} {
		for _, loss := range []claims.Won{-5, 0, 100_000, 299_999, 400_000, 20_000_000} {
			f := storetest.Filing(rules, 1, loss).Facts
			a, err := rules.Assess(&f)
			require.NoError(t, err)
			said = append(said, rules.Propose(&f, &a).Why)
			f.Opened = "2023-01-01"
			shared := map[claims.SignalKind][]string{}
			for _, kind := range claims.Shared {
				shared[kind] = []string{"a", "b"}
			}
			signals := rules.Signals(&f, &a, shared, claims.Peers{Count: 20, Median: 1000}, nil)
			all := make([]string, len(signals))
			for i := range signals {
				all[i] = signals[i].What
			}
			said = append(append(said, all...), strings.Join(all, "; "), rules.Propose(&f, &a).Why)
			f.Opened, f.Closed = "2020-01-01", "2021-01-01"
			said = append(said, rules.Propose(&f, &a).Why)
		}
	}
	for _, answer := range []store.Identity{
		{Business: "mismatch", Account: "verified"}, {Business: "active", Account: "mismatch"},
		{Business: "suspended", Account: "unknown"}, {Business: "closed", Account: "verified"},
	} {
		_, reason, _ := decide.Identified(&answer)
		said = append(said, reason)
		if signal := (&store.Claim{}).Unconfirmed(&answer); signal != nil {
			said = append(said, signal.What)
		}
	}
	for _, o := range []vote.Outcome{{}, {Quorum: true}, {Quorum: true, Carried: true}} {
		said = append(said, o.Says(p.Council))
	}
	for _, english := range append(said, "needed: proof_of_sales_damage, proof_of_service_use") {
		korean := reasonIn(tell.Korean, english)
		require.Regexp(t, `\p{Hangul}`, korean, english)
		require.NotRegexp(t, `[A-Za-z_]{2}`, korean, english)
		require.NotRegexp(t, `\{|을\(를\)|이\(가\)`, korean, english)
		require.Equal(t, english, reasonIn(tell.English, english))
	}
	require.Equal(t, "매출 손실 400,000원(300,000원 이상 500,000원 미만): 50,000원 지급",
		reasonIn(tell.Korean, "a sales_loss of 400000 won (from 300000 and below 500000) is paid 50000 won"))
	require.Equal(t, "다른 신청 2건과 계좌가 같음; 다른 신청 1건과 전화번호가 같음",
		reasonIn(tell.Korean, "2 other claims have the same account; 1 other claims have the same phone"))
	require.Equal(t, "두 가게가 한 사람 것, and a note", reasonIn(tell.Korean, "두 가게가 한 사람 것, and a note"), "what people write stays")
}

// No Korean is of a reason that is gone from the source.
func TestEverySayingIsInTheSource(t *testing.T) {
	var source strings.Builder
	files := token.NewFileSet()
	for _, root := range []string{"..", "../../../cmd/granter"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				if e, is := n.(ast.Expr); is {
					if s, ok := constant(e); ok {
						source.WriteString(s + "\n")
					}
				}
				return true
			})
			return nil
		}))
	}
	inserted := regexp.MustCompile(`[(): ,]*%(\.12)?[sd][(): ,]*|, and `)
	for pair := range strings.SplitSeq(strings.TrimSpace(saidFile), "\n\n") {
		english, _, _ := strings.Cut(pair, "\n")
		for _, part := range inserted.Split(english, -1) {
			if !strings.Contains(source.String(), part) {
				t.Errorf("%s: %q is not said", english, part)
			}
		}
	}
}
