package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// verified is the tests of this package, with an end that leaves nothing running.
type verified struct{ *testing.M }

func (m verified) Run() int {
	stop := prepare()
	code := m.M.Run()
	stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// TestMain makes the name granter mean, in scripts and in start, this test binary, which then calls main; prepare may
// put another binary before it.
func TestMain(m *testing.M) {
	testscript.Main(verified{m}, map[string]func(){"granter": main})
}
