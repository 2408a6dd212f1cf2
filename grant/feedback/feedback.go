// Package feedback looks at the servers that a run depends on, and says when it should go slower, or pause, for their
// sake: Redis's latency, memory and replicas, and whatever an operator asks Prometheus.
package feedback

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant"
)

// Limits say from where on something is too much. A zero field is no limit.
type Limits struct {
	Latency time.Duration // of a small call to Redis
	Memory  float64       // share of Redis's memory, 0 to 1
	Lag     int64         // bytes that the worst replica of Redis is behind its master
}

// ParseLimits reads "latency=500ms,memory=85%,lag=64MB", in any order, each optional; empty is no limit at all.
func ParseLimits(text string) (Limits, error) {
	var l Limits
	if strings.TrimSpace(text) == "" {
		return l, nil
	}
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		var err error
		switch name {
		case "latency":
			if l.Latency, err = time.ParseDuration(value); err == nil && l.Latency <= 0 {
				err = errors.New("not above 0")
			}
		case "memory":
			if l.Memory, err = grant.ParseShare(value); err == nil && l.Memory == 0 {
				err = errors.New("not above 0")
			}
		case "lag":
			l.Lag, err = parseBytes(value)
		default:
			err = errors.New("want latency=500ms, memory=85% or lag=64MB")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", part, err))
		}
	}
	return l, errors.Join(errs...)
}

var units = []struct {
	suffix string
	bytes  int64
}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}}

func parseBytes(text string) (int64, error) {
	for _, u := range units {
		if digits, ok := strings.CutSuffix(strings.ToUpper(text), u.suffix); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			if err != nil || n <= 0 || n > 1<<62/u.bytes {
				break
			}
			return n * u.bytes, nil
		}
	}
	return 0, errors.New("want a number of bytes above 0 with its unit (B, KB, MB or GB), such as 64MB")
}

// Redis is how the ledger's Redis is asked.
type Redis interface {
	// Pulse returns memory and replica lag of the masters. It makes one attempt.
	Pulse(ctx context.Context) (grant.RedisHealth, error)
}

// Feedback measures. It belongs to one goroutine.
type Feedback struct {
	Redis   Redis
	SlowAt  Limits
	PauseAt Limits
	Query   *Query // nil: none

	last grant.RedisHealth // as far as Redis said
}

// pulseFor bounds a measurement: one that comes late is worth less than the next one.
const pulseFor = 2 * time.Second

// Measure looks once. latency is that of the last calls to Redis. What cannot be measured makes it unsure, and is judged
// by what was measured last: a critical Redis that is too busy to answer must not be taken for a healthy one.
func (f *Feedback) Measure(ctx context.Context, latency time.Duration) grant.Measurement {
	var m grant.Measurement
	pulse, cancel := context.WithTimeout(ctx, pulseFor)
	defer cancel()
	health, err := f.Redis.Pulse(pulse)
	if err != nil {
		m.Unsure = true
		health = grant.RedisHealth{MemoryBytes: -1, ReplicaLag: -1}
	} else {
		f.last = health
	}
	health.LatencySeconds, f.last.LatencySeconds = latency.Seconds(), latency.Seconds()
	m.Redis = health
	m.Slow = f.SlowAt.passed(&f.last)
	for _, h := range f.PauseAt.passed(&f.last) {
		h.Cause, h.Detail = grant.CauseCritical, h.Detail+": paused until it is below that"
		m.Stop = append(m.Stop, h)
	}
	if f.Query != nil {
		detail, err := f.Query.Ask(ctx)
		switch {
		case err != nil:
			m.Unsure = true
		case detail != "":
			m.Slow = append(m.Slow, grant.Hold{Cause: grant.CauseQuery, Detail: detail})
		}
	}
	return m
}

// passed says which limits are passed, and by what.
func (l *Limits) passed(h *grant.RedisHealth) []grant.Hold {
	var out []grant.Hold
	if l.Latency > 0 && h.LatencySeconds > l.Latency.Seconds() {
		took := time.Duration(h.LatencySeconds * float64(time.Second)).Round(time.Millisecond)
		out = append(out, grant.Hold{Cause: grant.CauseLatency,
			Detail: fmt.Sprintf("a call to Redis took %s, the limit is %s", took, l.Latency)})
	}
	if l.Memory > 0 && h.MemoryLimit > 0 && float64(h.MemoryBytes) > l.Memory*float64(h.MemoryLimit) {
		out = append(out, grant.Hold{Cause: grant.CauseMemory,
			Detail: fmt.Sprintf("Redis uses %.1f%% of its memory, the limit is %.4g%%",
				100*float64(h.MemoryBytes)/float64(h.MemoryLimit), 100*l.Memory)})
	}
	if l.Lag > 0 && h.ReplicaLag > l.Lag {
		out = append(out, grant.Hold{Cause: grant.CauseReplicaLag,
			Detail: fmt.Sprintf("a replica of Redis is %d bytes behind, the limit is %d", h.ReplicaLag, l.Lag)})
	}
	return out
}
