//go:build !integration

package population

import "go.uber.org/goleak"

var testMainOptions []goleak.Option
