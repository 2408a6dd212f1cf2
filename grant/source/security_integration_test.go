//go:build integration

package source

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/deploy/dev/devtest"
)

func login(t *testing.T, mechanism, user, password string) func(*Config) {
	t.Helper()
	m, err := Mechanism(mechanism, user, password)
	require.NoError(t, err)
	return func(c *Config) { c.Kafka.SASL = m }
}

func trusting(t *testing.T, file string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(file)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	return &tls.Config{RootCAs: pool}
}

func TestRealSecurityCredentialsAndPermissions(t *testing.T) {
	devtest.EachKafka(t, realSecurityCredentialsAndPermissions)
}

func realSecurityCredentialsAndPermissions(t *testing.T) {
	k := devtest.StartKafka(t, devtest.KafkaOptions{SASL: true})
	k.CreateTopic(t, topicName, 1, 1, nil)
	produce(t, k.Brokers, userRecords(topicName, 0, 1000)...)
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		t.Run(mechanism, func(t *testing.T) {
			s := newSource(t, k.SASLBrokers, login(t, mechanism, devtest.SASLUser, devtest.SASLPassword))
			require.NoError(t, s.Prepare(t.Context()))
			read(t, s, 0, 0, 1000).requireUsers(1000, users(0, 1000)...)
			next(t, join(t, s)).Release()
		})
		t.Run(mechanism+" with a wrong password", func(t *testing.T) {
			s := newSource(t, k.SASLBrokers, login(t, mechanism, devtest.SASLUser, "wrong"), forever)
			require.ErrorIs(t, s.Prepare(t.Context()), kafka.SASLAuthenticationFailed)
			_, err := s.Bounds(t.Context())
			require.ErrorIs(t, err, kafka.SASLAuthenticationFailed)
			_, err = join(t, s).Next(t.Context())
			require.ErrorIs(t, err, kafka.SASLAuthenticationFailed)
			_, err = s.cfg.Kafka.dial(t.Context(), k.SASLBrokers[0])
			require.ErrorIs(t, err, kafka.SASLAuthenticationFailed)
			_, err = read(t, s, 0, 0, 1000).end()
			require.ErrorIs(t, err, kafka.SASLAuthenticationFailed)
		})
	}
	t.Run("no password", func(t *testing.T) {
		s := newSource(t, k.SASLBrokers, func(c *Config) { c.RetryFor = time.Second })
		require.Error(t, s.Prepare(t.Context()))
	})

	guest := login(t, "plain", devtest.GuestUser, devtest.GuestPassword)
	client := clientOf(t, k.Brokers...)
	allowGuest := func(kind kafka.ResourceType, name string, operation kafka.ACLOperationType) {
		resp, err := client.CreateACLs(t.Context(), &kafka.CreateACLsRequest{ACLs: []kafka.ACLEntry{{
			ResourceType: kind, ResourceName: name, ResourcePatternType: kafka.PatternTypeLiteral,
			Principal: "User:" + devtest.GuestUser, Host: "*", Operation: operation, PermissionType: kafka.ACLPermissionTypeAllow,
		}}})
		require.NoError(t, err)
		require.NoError(t, resp.Errors[0])
	}
	t.Run("no permission for anything", func(t *testing.T) {
		s := newSource(t, k.SASLBrokers, guest, forever)
		require.ErrorIs(t, s.Prepare(t.Context()), kafka.TopicAuthorizationFailed)
		_, err := join(t, s).Next(t.Context())
		require.ErrorIs(t, err, kafka.GroupAuthorizationFailed)
	})
	t.Run("no permission to create the dead-letter topic", func(t *testing.T) {
		k.CreateTopic(t, "guests", 1, 1, nil)
		allowGuest(kafka.ResourceTypeTopic, "guests", kafka.ACLOperationTypeRead)
		allowGuest(kafka.ResourceTypeTopic, "guests.rejected", kafka.ACLOperationTypeWrite)
		allowGuest(kafka.ResourceTypeGroup, "granter-guests", kafka.ACLOperationTypeRead)
		require.Eventually(t, func() bool {
			_, err := newSource(t, k.SASLBrokers, guest, on("guests")).Bounds(t.Context())
			return err == nil
		}, patience, 50*time.Millisecond, "the permission spreads")
		err := newSource(t, k.SASLBrokers, guest, on("guests"), forever).Prepare(t.Context())
		require.ErrorContains(t, err, "creating dead-letter topic guests.rejected (create it yourself, or allow granter to)")
		kind, again := Classify(err)
		require.Equal(t, KindAuthorization, kind)
		require.False(t, again)
	})
	t.Run("with a dead-letter topic that somebody else made", func(t *testing.T) {
		k.CreateTopic(t, "guests.rejected", 1, 1, nil)
		produce(t, k.Brokers, values("guests", "user 7")...)
		s := newSource(t, k.SASLBrokers, guest, on("guests"))
		require.NoError(t, s.Prepare(t.Context()))
		p, err := read(t, s, 0, 0, 1).end()
		require.NoError(t, err)
		require.EqualValues(t, 1, p.Rejected)
		stored(t, k.Brokers, "guests.rejected", 1)
		next(t, join(t, s)).Release()
	})
	t.Run("under a quota", func(t *testing.T) {
		const n = 30_000 // of 14 bytes and more: 420 KB, which is more than the window of eleven seconds allows
		k.CreateTopic(t, "quota", 1, 1, nil)
		c := franz(t, k.Brokers, kgo.ProducerBatchCompression(kgo.NoCompression()))
		for at := int64(0); at < n; at += 1000 {
			require.NoError(t, c.ProduceSync(t.Context(), userRecords("quota", at, at+1000)...).FirstErr())
		}
		resp, err := client.AlterClientQuotas(t.Context(),
			&kafka.AlterClientQuotasRequest{Entries: []kafka.AlterClientQuotaEntry{{
				Entities: []kafka.AlterClientQuotaEntity{{EntityType: "user", EntityName: devtest.SASLUser}},
				Ops:      []kafka.AlterClientQuotaOps{{Key: "consumer_byte_rate", Value: 30_000}},
			}}})
		require.NoError(t, err)
		require.NoError(t, resp.Entries[0].Error)
		granter := login(t, "plain", devtest.SASLUser, devtest.SASLPassword)
		seen := new(witness)
		s := newSource(t, k.SASLBrokers, granter, on("quota"), func(c *Config) { c.FetchMemory, c.Observer = 1, seen })
		read(t, s, 0, 0, n).requireUsers(n, users(0, n)...)
		require.Empty(t, seen.errors(), "being throttled is no failure")

		conn := &conn{target: target{topic: "quota", leaderEpoch: -1}}
		conn.Conn, err = s.cfg.Kafka.dial(t.Context(), k.SASLBrokers[0])
		require.NoError(t, err)
		defer conn.Close()
		var f fetched
		for f.throttle == 0 {
			f, err = conn.fetch(t.Context(), 0, -1, 1<<20, fetchWait)
			require.NoError(t, err)
		}
		t.Logf("throttled for %v", f.throttle)
		require.Empty(t, f.records, "a broker names no topic then")
		require.EqualValues(t, -1, f.highest)
	})
}

func TestRealSecurityTLS(t *testing.T) { devtest.EachKafka(t, realSecurityTLS) }

func realSecurityTLS(t *testing.T) {
	k := devtest.StartKafka(t, devtest.KafkaOptions{SASL: true, TLS: true})
	k.CreateTopic(t, topicName, 1, 1, nil)
	produce(t, k.Brokers, userRecords(topicName, 0, 1000)...)
	trusted := trusting(t, k.CAFile)
	with := func(cfg *tls.Config) func(*Config) { return func(c *Config) { c.Kafka.TLS = cfg } }
	t.Run("alone and with SASL", func(t *testing.T) {
		s := newSource(t, k.TLSBrokers, with(trusted))
		read(t, s, 0, 0, 1000).requireUsers(1000, users(0, 1000)...)
		s = newSource(t, k.SASLBrokers, with(trusted), login(t, "scram-sha-512", devtest.SASLUser, devtest.SASLPassword))
		require.NoError(t, s.Prepare(t.Context()))
		read(t, s, 0, 0, 1000).requireUsers(1000, users(0, 1000)...)
		next(t, join(t, s)).Release()
	})
	for name, c := range map[string]struct {
		cfg  *tls.Config
		want string
	}{
		"a certificate that nobody vouches for": {&tls.Config{}, "certificate signed by unknown authority"},
		"a certificate of somebody else": {&tls.Config{RootCAs: trusted.RootCAs, ServerName: "kafka.example"},
			"not kafka.example"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(t, k.TLSBrokers, with(c.cfg), forever)
			for _, err := range []error{
				s.Prepare(t.Context()),
				func() error { _, err := join(t, s).Next(t.Context()); return err }(),
				func() error { _, err := s.cfg.Kafka.dial(t.Context(), k.TLSBrokers[0]); return err }(),
			} {
				require.ErrorContains(t, err, c.want)
				kind, again := Classify(err)
				require.Equal(t, KindAuthenticate, kind)
				require.False(t, again)
			}
		})
	}
	t.Run("where there is none, and none where there is", func(t *testing.T) {
		short := func(c *Config) { c.RetryFor, c.Kafka.Timeout = time.Second, time.Second }
		require.Error(t, newSource(t, k.Brokers, with(trusted), short).Prepare(t.Context()))
		require.Error(t, newSource(t, k.TLSBrokers, short).Prepare(t.Context()))
	})
}
