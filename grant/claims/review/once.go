package review

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims/store"
)

// fieldOnce makes a form one of a page that was shown once. A button that is tapped twice sends its form twice, and so does who
// goes back and sends it again; a browser shows the last answer. The same form with the same fields is done once, and whenever it
// comes again its sender is led to what it did.
const fieldOnce = "once"

// posts is a form that does something. Its ID is sent along.
func (v *view) posts(action, id string, parts ...g.Node) g.Node {
	return h.Form(h.Method("post"), h.Action(action), h.ID(id), hidden(fieldOnce, v.once), hidden(fieldForm, id), g.Group(parts))
}

// newOnce is that of a page. What is to be confirmed is still the form that was sent first.
func newOnce(r *http.Request) string {
	if once := r.PostFormValue(fieldOnce); once != "" {
		return once
	}
	return rand.Text()
}

// once does what a form asks for, or does nothing where the same form was done before, be it at this moment and by another
// desk. Part is which of the things that it asks for. What comes without a page is done each time.
func (d *Desk) once(r *http.Request, who *Staff, part string, do func(context.Context) error) (before bool, err error) {
	if r.PostForm.Get(fieldOnce) == "" {
		return false, do(r.Context())
	}
	sum := sha256.Sum256([]byte(who.Name + "\x00" + r.URL.Path + "\x00" + part + "\x00" + r.PostForm.Encode()))
	digest := hex.EncodeToString(sum[:])
	if before, err = d.Store.FormDone(r.Context(), digest); before || err != nil {
		return before, err
	}
	if err = do(store.Once(r.Context(), digest)); err == nil {
		return false, nil
	}
	// It may have been judged as things are since the other one.
	if before, failed := d.Store.FormDone(r.Context(), digest); failed == nil && before {
		return true, nil
	}
	return false, err
}
