package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Fetches and inspections connect by the same rule: TLS is checked, and a broker that says nothing is given up.
func TestConnectionsAreCheckedAndBounded(t *testing.T) {
	authority := httptest.NewTLSServer(nil)
	defer authority.Close()
	c, err := kfake.NewCluster(kfake.TLS(&tls.Config{Certificates: authority.TLS.Certificates}), kfake.NumBrokers(1))
	require.NoError(t, err)
	defer c.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	pool := x509.NewCertPool()
	pool.AddCert(authority.Certificate())

	for name, connect := range map[string]func(k Kafka, address string) error{
		"a fetch": func(k Kafka, address string) error {
			conn, err := k.dial(t.Context(), address)
			if err == nil {
				conn.Close()
			}
			return err
		},
		"an inspection": func(k Kafka, address string) error { return k.Ping(t.Context(), address) },
	} {
		address := c.ListenAddrs()[0]
		trusting := Kafka{TLS: &tls.Config{RootCAs: pool}}
		require.NoError(t, connect(trusting, address), name)
		kind, retry := Classify(connect(Kafka{TLS: &tls.Config{}}, address))
		require.Equal(t, KindAuthenticate, kind, name)
		require.False(t, retry, name)
		trusting.Timeout = 100 * time.Millisecond
		require.ErrorIs(t, connect(trusting, silent.Addr().String()), context.DeadlineExceeded, name)
	}
}
