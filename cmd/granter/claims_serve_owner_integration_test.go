//go:build integration

package main

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store/storetest"
)

// killedOwner is an owner at a site that is killed again and again. Whoever gets no answer sends the same once more.
type killedOwner struct {
	*ownersJournal

	client *http.Client
	from   string // the address
	path   string
	page   string
}

func newKilledOwner(j *ownersJournal, i int) *killedOwner {
	jar, err := cookiejar.New(nil)
	require.NoError(j.t, err)
	transport := &http.Transport{}
	j.t.Cleanup(transport.CloseIdleConnections)
	return &killedOwner{
		ownersJournal: j, client: &http.Client{Jar: jar, Transport: transport, Timeout: patience},
		from: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255),
	}
}

// send sends a request once, and reports whether it was answered.
func (o *killedOwner) send(method, path, kind string, body []byte) bool {
	req, err := http.NewRequestWithContext(o.t.Context(), method, o.url+path, bytes.NewReader(body))
	require.NoError(o.t, err)
	req.Header.Set("X-Forwarded-For", o.from)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return false
	}
	if resp.StatusCode >= 500 {
		o.mu.Lock()
		if o.refused == nil {
			o.refused = map[int]int{}
		}
		o.refused[resp.StatusCode]++
		o.mu.Unlock()
		require.Contains(o.t, string(text), "잠시 뒤 다시 ")
		return false
	}
	o.path, o.page = resp.Request.URL.RequestURI(), string(text)
	return true
}

// again sends a request until it is answered.
func (o *killedOwner) again(method, path, kind string, body []byte) {
	limit := time.After(3 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond) // faster, and the page thinks that somebody guesses
	defer tick.Stop()
	for !o.t.Failed() && !o.send(method, path, kind, body) {
		select {
		case <-tick.C:
		case <-limit:
			require.FailNow(o.t, "never answered", "%s %s", method, path)
		}
	}
}

func (o *killedOwner) open(path string) { o.again(http.MethodGet, path, "", nil) }

func (o *killedOwner) found(pattern string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(o.page); found != nil {
		return found[1]
	}
	return ""
}

func (o *killedOwner) done(what string) func() bool {
	return func() bool { return o.path == "/claim?done="+what }
}

// post sends a form with what the page has in it.
func (o *killedOwner) post(path string, pairs ...string) {
	form := url.Values{"proof": {o.found(`name="proof" value="([0-9a-f]+)"`)}, "seen": {o.found(`name="seen" value="([^"]+)"`)}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	o.again(http.MethodPost, path, "application/x-www-form-urlencoded", []byte(form.Encode()))
}

// until posts a form, and requires what the answer must be.
func (o *killedOwner) until(path string, pairs []string, so func() bool) {
	o.post(path, pairs...)
	require.True(o.t, so(), "%s leads to %s: %s", path, o.path, o.page)
}

func (o *killedOwner) answers(i int) {
	o.open("/")
	o.post("/start")
	for _, pairs := range [][]string{
		{"business_number", storetest.Number(i).String()},
		{"representative", "김사장", "opened", "2020.3.1"},
		{"industry", "restaurants"},
		{"outage_sales", "1000000", "week_sales_1", "1900000"},
		{"alternative_available", "no"},
		{"phone", fmt.Sprintf("010-1234-%04d", i)},
		{"bank", "004", "account", fmt.Sprintf("110-123-%06d", i)},
	} {
		path, _, _ := strings.Cut(o.path, "?")
		require.True(o.t, strings.HasPrefix(path, "/claim/question/"), "%s: %s", path, o.page)
		if pairs[0] == "alternative_available" && !strings.HasSuffix(path, "/alternative") {
			continue
		}
		o.post(path, pairs...)
	}
	require.Equal(o.t, "/claim/check", o.path, o.page)
}

func (o *killedOwner) upload(kind, name string, data []byte) {
	o.open("/claim/documents")
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	require.NoError(o.t, w.WriteField("proof", o.found(`name="proof" value="([0-9a-f]+)"`)))
	require.NoError(o.t, w.WriteField("kind", kind))
	f, err := w.CreateFormFile("file", name)
	require.NoError(o.t, err)
	_, err = f.Write(data)
	require.NoError(o.t, err)
	require.NoError(o.t, w.Close())
	o.again(http.MethodPost, "/claim/documents", w.FormDataContentType(), body.Bytes())
	require.Equal(o.t, "/claim/documents?done", o.path, o.page)
}
