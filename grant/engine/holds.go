package engine

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/granter/granter/grant"
)

// holds remembers since when each cause is in force, and logs when one begins and when it ends.
type holds struct {
	since map[grant.Cause]time.Time
	log   *slog.Logger
}

// update returns what is in force now, the weightiest first. A hold that does not say since when it is in force begins now.
func (h *holds) update(found map[grant.Cause]grant.Hold, now time.Time) []grant.Hold {
	for cause, since := range h.since {
		if _, still := found[cause]; !still {
			h.log.Info("no longer held", "cause", cause, "for", now.Sub(since).Round(time.Millisecond).String())
			delete(h.since, cause)
		}
	}
	var out []grant.Hold
	for _, cause := range grant.Causes() {
		hold, in := found[cause]
		if !in {
			continue
		}
		if h.since[cause].IsZero() {
			h.since[cause] = cmp.Or(hold.Since, now)
			h.log.Warn("held", "cause", cause, "detail", hold.Detail)
		}
		out = append(out, grant.Hold{Cause: cause, Detail: hold.Detail, Since: h.since[cause].UTC()})
	}
	return out
}
