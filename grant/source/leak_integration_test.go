//go:build integration

package source

import (
	"os"

	"go.uber.org/goleak"

	"github.com/granter/granter/deploy/dev/devtest"
)

var testMainOptions = []goleak.Option{goleak.Cleanup(func(code int) {
	devtest.StopShared()
	os.Exit(code)
})}
