package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// connection is where things run: the part of a command's settings that is environment, not campaign.
type connection struct {
	spec string // path; empty when the campaign is named
	name string
	json bool

	stored *grant.Campaign // what the ledger has by that name, once it was asked

	command string // as people call it
	opaque  bool   // it is built for campaigns whose IDs are not dense, too
	waited  *waits // nil: nobody is told

	brokers   []string
	group     string
	kafkaUser string
	mechanism string
	kafkaTLS  tlsFiles
	registry  registrySettings

	redis     []string
	cluster   bool
	sentinel  string
	redisUser string
	guardUser string // of the sentinels
	redisDB   int
	redisTLS  tlsFiles

	timeout  time.Duration
	retryFor time.Duration
}

// poolSize is how many connections to each Redis may be open: one for each of 64 shards, and some for everything else.
const poolSize = 80

type tlsFiles struct {
	on            bool
	ca, cert, key string
}

// addFlags adds the flags of every command that is about a campaign, and more. A command adds only what it reads, so that
// none takes a flag that changes nothing.
func (c *connection) addFlags(cmd *cobra.Command, more ...func(*pflag.FlagSet)) {
	cmd.Flags().VarP((*specFile)(&c.spec), "file", "f", "campaign spec, a YAML file")
	c.addServers(cmd, more...)
}

// addServers adds the flags of every command that talks to servers, and more.
func (c *connection) addServers(cmd *cobra.Command, more ...func(*pflag.FlagSet)) {
	f := cmd.Flags()
	f.DurationVar(&c.timeout, "timeout", 10*time.Second, "time to connect, and for each request")
	for _, add := range more {
		add(f)
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		c.command = cmd.CommandPath()
		c.waited = &waits{out: cmd.ErrOrStderr(), last: map[string]time.Time{}}
		return errors.Join(fromEnvironment(cmd.Flags()), c.oneSubject(cmd.Flags()), refuseIdle(cmd.Flags()))
	}
}

// anyIDs says that a command is built for IDs of every kind. Whatever does not say so refuses campaigns whose IDs are not dense,
// before it asks anybody anything.
func (c *connection) anyIDs(*pflag.FlagSet) { c.opaque = true }

// fits fails if a command is not built for the IDs of a campaign.
func (c *connection) fits(camp *grant.Campaign) error {
	if c.opaque {
		return nil
	}
	if err := ledger.Dense(camp, c.command); err != nil {
		return usageError(err)
	}
	return nil
}

func (c *connection) jsonFlag(f *pflag.FlagSet) {
	f.BoolVar(&c.json, "json", false, "print one JSON object for programs")
}

func (c *connection) kafkaFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.brokers, "brokers", []string{"127.0.0.1:9092"}, "Kafka bootstrap servers, host:port,…")
	f.StringVar(&c.mechanism, "kafka-sasl", "", "SASL mechanism: plain, scram-sha-256 or scram-sha-512")
	f.StringVar(&c.kafkaUser, "kafka-user", "", "SASL user; the password comes from GRANTER_KAFKA_PASSWORD or the file GRANTER_KAFKA_PASSWORD_FILE")
	c.kafkaTLS.addFlags(f, "kafka")
}

func (c *connection) groupFlag(f *pflag.FlagSet) {
	f.StringVar(&c.group, "group", "", `consumer group (default "granter-" and the campaign's name)`)
}

func (c *connection) redisFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.redis, "redis", []string{"127.0.0.1:6379"}, "Redis addresses, host:port,…: one server, nodes of a cluster, or sentinels")
	f.BoolVar(&c.cluster, "redis-cluster", false, "--redis is a node of a Redis Cluster (several addresses imply it)")
	f.StringVar(&c.sentinel, "redis-sentinel", "", "--redis are sentinels; the name of the master they watch")
	f.StringVar(&c.guardUser, "redis-sentinel-user", "", "ACL user of the sentinels; the password comes from GRANTER_SENTINEL_PASSWORD or the file GRANTER_SENTINEL_PASSWORD_FILE")
	f.StringVar(&c.redisUser, "redis-user", "", "Redis ACL user; the password comes from GRANTER_REDIS_PASSWORD or the file GRANTER_REDIS_PASSWORD_FILE")
	f.IntVar(&c.redisDB, "redis-db", 0, "Redis database number")
	c.redisTLS.addFlags(f, "redis")
}

func (c *connection) retryFlag(f *pflag.FlagSet) {
	f.DurationVar(&c.retryFor, "retry-for", 2*time.Minute, "how long a failure that may pass is retried before giving up")
}

// specFile is the value of -f. Given twice, one of the two would be ignored, and an order would go to a campaign that
// nobody meant.
type specFile string

func (s *specFile) Set(path string) error {
	if *s != "" {
		return fmt.Errorf("-f %s is there already: a command is about one campaign", *s)
	}
	*s = specFile(path)
	return nil
}

func (s *specFile) String() string { return string(*s) }
func (s *specFile) Type() string   { return "string" }

func (t *tlsFiles) addFlags(f *pflag.FlagSet, what string) {
	f.BoolVar(&t.on, what+"-tls", false, "use TLS")
	f.StringVar(&t.ca, what+"-ca", "", "PEM file of the certificate authority (default: the system's); implies TLS")
	f.StringVar(&t.cert, what+"-cert", "", "PEM file of the client certificate; implies TLS")
	f.StringVar(&t.key, what+"-key", "", "PEM file of the client certificate's key")
}

// variable returns the environment variable of a flag.
func variable(flag string) string {
	return "GRANTER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// given reports whether a flag is on the command line. A variable of the environment is there for many commands.
func given(f *pflag.FlagSet, name string) bool {
	_, ambient := os.LookupEnv(variable(name))
	return f.Changed(name) && !ambient
}

// fromEnvironment sets every flag that was not given from its variable: --kafka-user from GRANTER_KAFKA_USER.
func fromEnvironment(f *pflag.FlagSet) error {
	var errs []error
	f.VisitAll(func(flag *pflag.Flag) {
		name := variable(flag.Name)
		if value, ok := os.LookupEnv(name); ok && !flag.Changed && flag.Name != "help" {
			if err := f.Set(flag.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		return usageError(err)
	}
	return nil
}

// password reads a secret from the environment or from the file that the environment names.
func password(name string) (string, error) {
	if file := os.Getenv(name + "_FILE"); file != "" {
		b, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			return "", usageError(fmt.Errorf("%s_FILE: %w", name, err))
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return os.Getenv(name), nil
}

func (t *tlsFiles) config() (*tls.Config, error) {
	if !t.on && t.ca == "" && t.cert == "" && t.key == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, usageError(err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usageError(fmt.Errorf("%s holds no PEM certificate", t.ca))
		}
	}
	if t.cert != "" || t.key != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, usageError(fmt.Errorf("client certificate: %w", err))
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// addresses checks a list of host:port and refuses what looks like a URL with a secret in it.
func addresses(flag string, list []string) error {
	if len(list) == 0 {
		return usageError(fmt.Errorf("--%s is empty: want host:port,…", flag))
	}
	for _, a := range list {
		if strings.Contains(a, "://") || strings.Contains(a, "@") {
			return usageError(fmt.Errorf("--%s wants host:port, not a URL; user and password have settings of their own", flag))
		}
		host, port, err := net.SplitHostPort(a)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
			return usageError(fmt.Errorf("--%s: %q is not host:port", flag, a))
		}
	}
	return nil
}

func (c *connection) campaign() (*grant.Campaign, error) {
	if c.spec == "" {
		return nil, usageError(errors.New("which campaign? Name its spec by -f FILE (examples are in deploy/campaigns) or, where a command takes it, the campaign by --campaign NAME"))
	}
	camp, err := campaign.Load(c.spec)
	if err != nil {
		return nil, usageError(err)
	}
	if c.group == "" {
		c.group = "granter-" + camp.Name
	}
	return camp, c.fits(camp)
}

func (c *connection) kafka() (source.Kafka, error) {
	k := source.Kafka{Brokers: c.brokers, Timeout: c.timeout}
	if err := addresses("brokers", c.brokers); err != nil {
		return k, err
	}
	var err error
	if k.TLS, err = c.kafkaTLS.config(); err != nil {
		return k, err
	}
	secret, err := password("GRANTER_KAFKA_PASSWORD")
	if err != nil {
		return k, err
	}
	if c.mechanism == "" && c.kafkaUser != "" {
		return k, usageError(errors.New("--kafka-user is of no use without --kafka-sasl: plain, scram-sha-256 or scram-sha-512"))
	}
	if c.mechanism != "" && (c.kafkaUser == "" || secret == "") {
		return k, usageError(errors.New("--kafka-sasl needs --kafka-user and the password in GRANTER_KAFKA_PASSWORD or GRANTER_KAFKA_PASSWORD_FILE"))
	}
	if k.SASL, err = source.Mechanism(c.mechanism, c.kafkaUser, secret); err != nil {
		return k, usageError(err)
	}
	k.Registry, err = c.registry.access()
	return k, err
}

// quiet keeps go-redis from writing lines of its own among the log: what goes wrong is in the errors that it returns.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func (c *connection) redisClient() (redis.UniversalClient, error) {
	redis.SetLogger(quiet{})
	if err := addresses("redis", c.redis); err != nil {
		return nil, err
	}
	secret, err := password("GRANTER_REDIS_PASSWORD")
	if err != nil {
		return nil, err
	}
	secure, err := c.redisTLS.config()
	if err != nil {
		return nil, err
	}
	guard, err := password("GRANTER_SENTINEL_PASSWORD")
	if err != nil {
		return nil, err
	}
	switch {
	case c.redisUser != "" && secret == "":
		return nil, usageError(errors.New("--redis-user needs the password in GRANTER_REDIS_PASSWORD or GRANTER_REDIS_PASSWORD_FILE"))
	case c.guardUser != "" && guard == "":
		return nil, usageError(errors.New("--redis-sentinel-user needs the password in GRANTER_SENTINEL_PASSWORD or GRANTER_SENTINEL_PASSWORD_FILE"))
	}
	client, err := ledger.Connect(ledger.Options{
		SentinelUsername: c.guardUser, SentinelPassword: guard, PoolSize: poolSize,
		Addrs: c.redis, Cluster: c.cluster, Sentinel: c.sentinel, Username: c.redisUser, Password: secret,
		DB: c.redisDB, TLSConfig: secure, DialTimeout: c.timeout, ReadTimeout: c.timeout, WriteTimeout: c.timeout,
	})
	if err != nil {
		return nil, usageError(err)
	}
	return client, nil
}
