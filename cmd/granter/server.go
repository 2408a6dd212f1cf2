package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// server serves /metrics, /healthz and /readyz.
type server struct {
	http *http.Server
	mux  *http.ServeMux
	addr string
	wg   sync.WaitGroup
}

// serve starts to listen; the address "off" gives a server that does nothing.
func serve(address string, registry *prometheus.Registry, ready func() string, log *slog.Logger) (*server, error) {
	s := &server{mux: http.NewServeMux()}
	if address == "off" {
		return s, nil
	}
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "ok\n") //nolint:errcheck // the client went away
	})
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := ready(); why != "" {
			http.Error(w, "not ready: "+why, http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n") //nolint:errcheck // the client went away
	})
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, usageError(fmt.Errorf("--listen %s: %w (choose another address, or --listen off)", address, err))
	}
	s.addr = listener.Addr().String()
	s.http = &http.Server{
		Handler: s.mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.wg.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serving metrics failed", "error", err)
		}
	})
	log.Info("serving", "metrics", "http://"+s.addr+"/metrics", "health", "/healthz", "ready", "/readyz")
	return s, nil
}

func (s *server) close() {
	if s.http == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close() //nolint:errcheck // a scraper that does not let go must not keep the process
	}
	s.wg.Wait()
}
