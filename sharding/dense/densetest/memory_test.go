package densetest_test

import (
	"testing"

	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/dense/densetest"
)

func TestMemoryIsASink(t *testing.T) {
	m := densetest.NewMemory()
	densetest.RunSink(t, func() dense.Sink { return m }, m.IDs)
}
