package signontest

import (
	"encoding/base64"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func encode(text []byte) string { return base64.RawURLEncoding.EncodeToString(text) }

// Visit signs somebody in at the provider, as a browser does that a desk sent there, and returns where it is sent back to.
func (p *Provider) Visit(t testing.TB, to, email string) *url.URL {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), p.URL) {
			return http.ErrUseLastResponse // it is the desk's
		}
		return nil
	}}
	page, err := browser.Get(to) //nolint:noctx // it is of this process
	require.NoError(t, err)
	require.NoError(t, page.Body.Close())
	require.Equal(t, http.StatusOK, page.StatusCode)
	form := url.Values{
		"id": {page.Request.URL.Query().Get("authRequestID")}, "username": {email}, "password": {Password},
	}
	back, err := browser.PostForm(page.Request.URL.String(), form) //nolint:noctx // it is of this process
	require.NoError(t, err)
	require.NoError(t, back.Body.Close())
	where, err := back.Location()
	require.NoError(t, err, back.Status)
	return where
}
