package franz

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker whose quota is exhausted answers with nothing, and says for how long. That is waited for, and is no failure.
func TestAQuotaIsWaitedFor(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "users"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	w := newWorld(t, cluster.ListenAddrs(), "users")
	w.compressed()
	own, second := w.readers()
	want := w.read(own, 0, 1500)
	held := 0
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if held++; held%2 == 0 {
			cluster.KeepControl()
			return nil, nil, false
		}
		cluster.KeepControl()
		answer := req.ResponseKind().(*kmsg.FetchResponse)
		answer.ThrottleMillis = 1
		return answer, nil, true
	})
	second.retryFor = 0
	require.Equal(t, want, w.read(second, 0, 1500))
	require.GreaterOrEqual(t, held, 2)
}
