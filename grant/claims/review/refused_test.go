package review

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// Whatever the code refuses has Korean, which fills in nothing that is not there; and no Korean is of a text that is gone.
func TestEveryRefusalHasKorean(t *testing.T) {
	seen := map[string]bool{}
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if format, args, ok := refusal(call); ok {
				seen[format] = true
				korean := inKorean[format]
				assert.NotEmpty(t, korean, "%s: %q has no Korean in refused.ko.txt", path, format)
				for _, m := range regexp.MustCompile(`\{(\d+)\}`).FindAllStringSubmatch(korean, -1) {
					at, err := strconv.Atoi(m[1])
					assert.True(t, err == nil && 1 <= at && at <= args, "%s: %q fills in {%d}, of %d", path, korean, at, args)
				}
			}
			return true
		})
		return nil
	}))
	require.Greater(t, len(seen), 100)
	for english := range inKorean {
		assert.Contains(t, seen, english, "the code does not say this")
	}
}

// refusal returns the text of a call of claims.Refuse or claims.Illegal, and how much is filled in.
func refusal(call *ast.CallExpr) (format string, args int, ok bool) {
	at := -1
	switch f := call.Fun.(type) {
	case *ast.Ident:
		switch f.Name {
		case "Refuse":
			at = 1
		case "Illegal":
			at = 0
		}
	case *ast.SelectorExpr:
		if pkg, is := f.X.(*ast.Ident); is && pkg.Name == "claims" {
			switch f.Sel.Name {
			case "Refuse":
				at = 1
			case "Illegal":
				at = 0
			}
		}
	}
	if at < 0 || len(call.Args) <= at {
		return "", 0, false
	}
	format, ok = constant(call.Args[at])
	return format, len(call.Args) - at - 1, ok
}

func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		x, ok := constant(e.X)
		y, also := constant(e.Y)
		return x + y, ok && also
	default:
		return "", false
	}
}

func TestARefusalIsSaidInTheReadersLanguage(t *testing.T) {
	_, err := claims.Received.Next(claims.Settle, claims.Payer, "")
	text, _ := (&Desk{}).explained(tell.English, err)
	assert.Regexp(t, `^settle of a claim in state received: possible are check, `, text)
	text, _ = (&Desk{}).explained(tell.Korean, err)
	assert.Regexp(t, `^‘접수됨’ 상태의 신청에서는 ‘지급 완료’를 할 수 없습니다\. 가능한 일: 확인 시작, `, text)

	text, _ = (&Desk{}).explained(tell.Korean, claims.Illegal(
		"%d won is more than the %d that one claim is paid at most", claims.Won(5_000_001), claims.Won(5_000_000)))
	assert.Equal(t, "5,000,001원은 신청 한 건의 지급 한도 5,000,000원보다 많습니다.", text)
	text, _ = (&Desk{}).explained(tell.Korean, &store.ConflictError{By: store.Rules, Action: claims.Flag})
	assert.Contains(t, text, "그사이에 자동 처리가 이 신청을 먼저 바꾸었습니다(보류).")
	text, _ = (&Desk{}).explained(tell.Korean, &store.ConflictError{By: kim.actor(), Action: claims.Flag})
	assert.Contains(t, text, "그사이에 kim님이 이 신청을 먼저 바꾸었습니다(보류).")
	seoul := time.FixedZone("Asia/Seoul", 9*3600)
	freeze := store.Freeze{Who: "oh", Why: "x", Until: time.Date(2023, 3, 1, 15, 0, 0, 0, time.UTC)}
	text, _ = (&Desk{Programme: &claims.Programme{Zone: seoul}}).explained(tell.English, &store.FrozenError{Freeze: freeze})
	assert.Contains(t, text, "until 2 March 2023, 00:00", "in the programme's zone, as on all pages")
	_, err = claims.Received.Next(claims.Check, claims.Payer, "")
	text, _ = (&Desk{}).explained(tell.Korean, err)
	assert.Contains(t, text, "자동 처리, 심사 업무입니다. 지급 업무로는 할 수 없습니다.")
}
