package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A request that is under way when the page is stopped is answered: what has not come whole is waited for some seconds, and then
// whoever sends it is told.
func TestWhoSendsSlowlyIsAnsweredWhenThePageStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	came := make(chan struct{}, 1)
	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, "it did not come whole", http.StatusUnprocessableEntity)
		}
	})
	flags := siteFlags{page: "127.0.0.1:0", readFor: time.Millisecond}
	out, said := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- flags.serveSite(ctx, site, said, slog.New(slog.DiscardHandler)) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, at, _ := strings.Cut(line, "http://")
	at, _, _ = strings.Cut(at, "/")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", at)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
	require.NoError(t, err)
	<-came
	stop()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
	require.NoError(t, <-ended)
}
