package desk

import (
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what should happen soon. It is far above what that takes on a busy machine.
const patience = time.Minute

// await waits until something is so. It looks as often as a principal may ask without end.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Second / requestsPerSecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(t, "gave up waiting", "%s: not within %s", what, patience)
		}
	}
}
