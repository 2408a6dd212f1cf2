package dense_test

import (
	"testing"

	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/dense/densetest"
)

// The sink that the tests of this package flush to grants as the ledger does.
func TestTheMemoryOfTheTestsIsASink(t *testing.T) {
	pool, granted := dense.MemoryForConformance()
	densetest.RunSink(t, pool, granted)
}
