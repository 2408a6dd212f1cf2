package engine

import (
	"math"
	"time"

	"github.com/granter/granter/grant"
)

// How feedback changes a replica's own limit, once a second: down fast, up slowly, as TCP does.
const (
	slowDown, speedUp = 0.7, 1.3
	slowest           = 100 // users per second
)

// ownLimit is the limit that a replica sets itself by what it measures.
type ownLimit struct {
	rate     float64 // users per second; 0: none
	admitted int64   // by the gate, when it was last adjusted
	at       time.Time
}

// adjust changes the limit: less while anything is above its threshold, more when nothing is, and none when it no longer binds.
func (l *ownLimit) adjust(m *grant.Measurement, admitted int64, now time.Time) {
	rate := float64(admitted-l.admitted) / max(now.Sub(l.at), time.Millisecond).Seconds() // measuring may take long
	l.admitted, l.at = admitted, now
	switch {
	case len(m.Slow) > 0 && l.rate == 0:
		l.rate = max(rate*slowDown, slowest)
	case len(m.Slow) > 0:
		l.rate = max(min(l.rate, max(rate, slowest))*slowDown, slowest)
	case l.rate == 0 || m.Unsure || len(m.Stop) > 0:
	case rate < l.rate/2:
		l.rate = 0
	default:
		l.rate = math.Ceil(l.rate * speedUp)
	}
}
