package desk

import (
	"io"
	"net/http"
	"time"
)

// events sends what the hub publishes as server-sent events, until the client goes, is too slow, or may no longer listen.
func (a *api) events(w http.ResponseWriter, r *http.Request, who Principal) {
	ok, own := a.gate.listeners.take(who)
	switch {
	case own:
		a.gate.refuse(w, r, who, refuse(kindListeners, "you follow the status too often already: close a page"))
		return
	case !ok:
		a.gate.refuse(w, r, who, refuse(kindFull, "too many listen already: try later"))
		return
	}
	defer a.gate.listeners.giveBack(who)
	_, err := a.campaign(r)
	if f := refused(err); f != nil { // other errors the stream tells
		a.gate.refuse(w, r, who, f)
		return
	}
	updates, leave := a.hubs.join(r.PathValue("campaign"))
	if updates == nil {
		a.gate.refuse(w, r, who, refuse(kindFull, "the desk is closing"))
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // asks a proxy in between not to keep events back
	if r.Method == http.MethodHead {
		return
	}
	connection := http.NewResponseController(w)
	// The server's time-out is for answers that end. Here each write has its own.
	send := func(text string) bool {
		_ = connection.SetWriteDeadline(time.Now().Add(a.cfg.pace.write))
		_, err := io.WriteString(w, text) //nolint:gosec // it is no page
		if err == nil {
			err = connection.Flush()
		}
		// HTTP/2 resets the stream at the deadline, also when nothing is being written
		_ = connection.SetWriteDeadline(time.Time{})
		return err == nil
	}
	alive := time.NewTicker(a.cfg.pace.keepalive)
	defer alive.Stop()
	for ok := send(": welcome\n\n"); ok; {
		select {
		case e, more := <-updates:
			if now, unknown := a.gate.identify(r); !more || unknown != "" || !now.Role.may(RightStatus) ||
				!now.in(r.PathValue("campaign")) {
				return
			}
			ok = send("event: " + e.name + "\ndata: " + string(e.data) + "\n\n")
		case <-alive.C:
			ok = send(": keepalive\n\n")
		case <-r.Context().Done():
			return
		}
	}
}
