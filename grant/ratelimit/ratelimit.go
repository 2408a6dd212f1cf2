// Package ratelimit limits how often somebody may do something, by name or by address. Its memory is bounded, however many there
// are.
package ratelimit

import (
	"maps"
	"net/http"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// maxLimiters bounds the memory of limits: 4,096 × about 200 B = 0.8 MB.
const maxLimiters = 4096

// Limits are rate limits, one for each name. They are safe for concurrent use.
type Limits struct {
	rate  rate.Limit // per second
	burst int

	mu     sync.Mutex
	byName map[string]*rate.Limiter
}

// New returns limits of so many per second, and so many at once.
func New(perSecond rate.Limit, burst int) *Limits {
	return &Limits{rate: perSecond, burst: burst, byName: map[string]*rate.Limiter{}}
}

// Allow takes one from what the name may have.
func (l *Limits) Allow(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.byName[name]
	if !ok {
		if len(l.byName) >= maxLimiters {
			l.forget()
		}
		limiter = rate.NewLimiter(l.rate, l.burst)
		l.byName[name] = limiter
	}
	return limiter.Allow()
}

// forget makes room: first of limiters that are full again, and so are like new ones. When too few are, some of the
// others have to go, or many addresses would fill the memory; the half that stays makes this rare.
func (l *Limits) forget() {
	maps.DeleteFunc(l.byName, func(_ string, limiter *rate.Limiter) bool { return limiter.Tokens() >= float64(l.burst) })
	for name := range l.byName {
		if len(l.byName) <= maxLimiters/2 {
			return
		}
		delete(l.byName, name)
	}
}

// AddressOf is the client's address, without the port. Of IPv6 it is the network: one client has all addresses in it.
func AddressOf(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := at.Addr().Unmap()
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			return network.String()
		}
	}
	return addr.String()
}
