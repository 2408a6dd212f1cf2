//go:build !integration

package source

import "go.uber.org/goleak"

var testMainOptions []goleak.Option
