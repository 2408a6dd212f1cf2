//go:build !integration

package preflight

import "go.uber.org/goleak"

var testMainOptions []goleak.Option
