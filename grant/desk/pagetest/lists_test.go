//go:build integration

package pagetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// TestAListByKeyboard: in Korean and without a mouse: the link, the form with a file, what will happen, and what became of it.
// axe-core and our own check find nothing on any of it, on a screen and on a phone.
func TestAListByKeyboard(t *testing.T) {
	script := axe(t)
	p := acting(t, "/users")
	look := func(name string) { p.looks(script, "list-"+name) }
	p.await(element("token") + " !== null")
	p.enter(supportToken)
	p.do(chromedp.Focus(chromedp.CSS("button[lang=ko]")))
	p.leave()
	p.await("document.documentElement?.lang === 'ko'")
	p.tabTo("#lists")
	p.leave()
	p.await(`document.querySelector('a.act[href$="sorry-2022/revoke"]') !== null`)
	look("lists")
	p.tabTo(`a.act[href$="sorry-2022/revoke"]`)
	p.leave()
	p.await(element("f-file") + " !== null")
	look("form")
	file := filepath.Join(t.TempDir(), "봇 목록.csv")
	require.NoError(t, os.WriteFile(file, []byte("user,ticket\r\n41231007,=1+1\r\nx7,2\r\n99,3\r\n"), 0o600))
	p.tabTo("#f-file")
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#f-file"), []string{file}))
	p.tabTo("#f-revocation")
	p.do(chromedp.KeyEvent("부정"))
	p.tabTo("#f-reason")
	p.do(chromedp.KeyEvent("문의 4711: 봇"))
	p.tabTo("#next")
	p.leave()
	p.await(element("confirm") + " !== null")
	require.Contains(t, p.text("happens"), "봇 목록.csv의 3줄 중 1줄")
	require.Contains(t, p.text("wrong"), "x7")
	look("confirm")
	p.tabTo("#confirm")
	p.leave()
	p.await(element("result") + " !== null")
	require.True(t, strings.HasPrefix(p.text("result"), "PARTIAL: 완료 1줄"), p.text("result"))
	look("done")
}
