package publish

import (
	"net/http"
	"strconv"
	"time"
)

// Sign sets the headers of Standard Webhooks on a request with a body: its ID, the moment, and the signature of both and the
// body.
func Sign(r *http.Request, secret []byte, id string, now time.Time, body []byte) {
	at := now.Unix()
	r.Header.Set("User-Agent", "granter")
	r.Header.Set("Idempotency-Key", id)
	r.Header.Set(headerID, id)
	r.Header.Set(headerTimestamp, strconv.FormatInt(at, 10))
	if secret != nil {
		r.Header.Set(headerSignature, sign(secret, id, at, body))
	}
}
