package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// needs are flags that change nothing without one of others.
var needs = []struct {
	flags  []string
	others []string
}{
	{[]string{"redis-sentinel-user"}, []string{"redis-sentinel"}},
	{[]string{"desk-access", "desk-cert", "desk-key", "desk-client-ca", "desk-insecure", "desk-access-grace"}, []string{"desk"}},
	{[]string{"desk-ca", "desk-client-cert", "desk-client-key"}, []string{"desk-url"}},
	{[]string{"form", "compression", "partitions", "replicas", "only"}, []string{"topic"}},
	{[]string{"dead-letters", "from-start"}, []string{"topic"}},
	{[]string{"why"}, []string{"now", "throttle", "force", "resume", "new-topic"}},
}

// idle are flags that change nothing beside another one.
var idle = []struct {
	beside string
	flags  []string
	why    string
}{
	{
		"desk-url", []string{
			"brokers", "kafka-sasl", "kafka-user", "kafka-tls", "kafka-ca", "kafka-cert", "kafka-key",
			"redis", "redis-cluster", "redis-sentinel", "redis-sentinel-user", "redis-user", "redis-db",
			"redis-tls", "redis-ca", "redis-cert", "redis-key", "who",
		}, "the desk has servers of its own, and its token says who you are",
	},
	{
		"dry-run", []string{
			"listen", "linger", "desk", "finish-by", "force", "now", "why", "slow-at", "pause-at", "throttle-query", "prometheus",
			"session-timeout", "resume",
		}, "a dry run writes nothing, is slowed by nothing, serves nothing and begins at once",
	},
	{"once", []string{"listen", "resend"}, "what ends by itself serves nothing"},
	{"resend", []string{"listen", "from"}, "it sends a part of the past, and ends"},
}

// refuseIdle refuses flags on the command line that would change nothing. What the environment says is for many commands.
func refuseIdle(f *pflag.FlagSet) error {
	on := func(name string) bool {
		flag := f.Lookup(name)
		return flag != nil && flag.Changed && !slices.Contains([]string{"", "off", "false"}, flag.Value.String())
	}
	there := func(name string) bool { return f.Lookup(name) != nil }
	var errs []error
	for _, n := range needs {
		if !slices.ContainsFunc(n.others, there) || slices.ContainsFunc(n.others, on) {
			continue
		}
		for _, name := range n.flags {
			if there(name) && given(f, name) {
				others := slices.DeleteFunc(slices.Clone(n.others), func(o string) bool { return !there(o) })
				errs = append(errs, fmt.Errorf("--%s changes nothing without --%s", name, strings.Join(others, " or --")))
			}
		}
	}
	for _, i := range idle {
		if !on(i.beside) {
			continue
		}
		for _, name := range i.flags {
			if there(name) && given(f, name) {
				errs = append(errs, fmt.Errorf("--%s changes nothing beside --%s: %s", name, i.beside, i.why))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return usageError(err)
	}
	return nil
}

// parseTime reads a moment, as a flag has it.
func parseTime(flag, s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, fmt.Errorf("%s: want RFC 3339, such as 2023-01-05T03:00:00+09:00: %w", flag, err)
	}
	return at, nil
}
