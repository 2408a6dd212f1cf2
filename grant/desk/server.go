// Package desk serves a campaign to people: the operations page, and the API that the page and the command line use.
// Nobody sees or orders anything without a token or a client certificate that the access file knows, and every refusal
// is logged, counted and, when an order was refused, in the audit trail.
//
// The file openapi.yaml describes the API.
package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/lookup"
)

// Coordination is what the desk needs of what runs and operators agree by. Calls may overlap, and end when the context does.
type Coordination interface {
	// Order carries out an order or fails with grant.ErrRefused, which is in the audit trail then.
	Order(ctx context.Context, o grant.Order) (grant.HistoryEntry, error)
	// Refuse adds an order that was refused here to the audit trail.
	Refuse(ctx context.Context, act grant.HistoryEntry) error
	History(ctx context.Context) ([]grant.HistoryEntry, error)
	// Control returns the orders that are in force, and the time.
	Control(ctx context.Context) (grant.Control, time.Time, error)
	lookup.Coordination
}

// Reader is what the desk asks about users. Calls may overlap, and end when the context does.
type Reader interface {
	lookup.Reader
}

// Config of a desk. Log, Registerer and the fields for TLS have defaults.
type Config struct {
	Addr   string // to listen on, host:port
	Access string // the file that says who may do what; ParseAccess has its form

	// AccessGrace is how long those stay in whom the access file or the authority of client certificates let in when it
	// can no longer be read. What is removed from a file that can be read is out at once.
	AccessGrace time.Duration

	// PEM files. All of them are read again when they change.
	Cert, Key string // the server's; without them it speaks HTTP
	ClientCA  string // whose client certificates count; empty: nobody's
	Insecure  bool   // HTTP also where others can listen, because something in front of the desk speaks TLS

	Subject             // the one campaign that is served,
	Campaigns Campaigns // or many; nil: the one
	Label     string    // of metrics: the campaign, if they are of one

	Claims *review.Desk // of damage claims; nil: this desk has none

	Answers Answers // of requests with an Idempotency-Key; nil: that header counts for nothing

	// Receipts makes receipts of users; nil: nobody does. Calls may overlap.
	Receipts interface {
		// Of fails with audit.ErrNoReceipts where there are none of the campaign, and with audit.ErrNotInReport.
		Of(campaign string, user grant.UserID) (*audit.Receipt, error)
		Has(campaign string) bool
	}

	// Reads is told who is about to read whose record, and may keep that from happening; nil: nobody is.
	Reads interface {
		Record(ctx context.Context, a accesslog.Access) error
	}

	CheckTimeout  time.Duration    // for Redis to answer a check; 0: entitle's default
	CheckFallback entitle.Fallback // what checks say when it does not; "": that they do not know

	Clock func() time.Time // by which whoever looks users up sees what they hold; nil: time.Now

	Log        *slog.Logger          // nil: the default one
	Registerer prometheus.Registerer // nil: there are no metrics

	pace pace
}

// pace is how long things take. The zero value is for real life.
type pace struct {
	request   time.Duration // a request's work
	read      time.Duration // a whole request's way here
	file      time.Duration // that of one with a file
	write     time.Duration // an answer's or an event's way to the client
	events    time.Duration // from one event to the next
	keepalive time.Duration // from one sign of life to the next: proxies cut what is silent for half a minute
	grace     time.Duration // for requests that are under way when the server closes; systemd and Kubernetes wait for 30 s
}

var usual = pace{
	request: 15 * time.Second, read: 10 * time.Second, write: 20 * time.Second,
	file:   3 * time.Minute, // 10 MiB where a line carries 60 KB a second
	events: time.Second, keepalive: 10 * time.Second, grace: 20 * time.Second,
}

const (
	idleFor   = 2 * time.Minute
	maxHeader = 16 << 10 // bytes
)

// Server is a desk that serves.
type Server struct {
	http  *http.Server
	api   *api
	url   string
	grace time.Duration
	stop  context.CancelFunc // of what looks at the files
	wg    sync.WaitGroup
}

// Start starts to serve. Its errors are those of the configuration and of its files, all joined.
func Start(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.pace == (pace{}) {
		cfg.pace = usual
	}
	if cfg.Campaigns == nil {
		cfg.Campaigns, cfg.Label = only{&cfg.Subject}, cfg.Campaign.Name
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	files, err := cfg.openFiles()
	if err != nil {
		return nil, err
	}
	secure := files.secure()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address)", err)
	}
	a := newAPI(cfg, files)
	s := &Server{api: a, url: "http://" + listener.Addr().String(), grace: cfg.pace.grace}
	s.http = &http.Server{
		Handler: a, TLSConfig: secure, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
		ReadTimeout: cfg.pace.read, WriteTimeout: cfg.pace.request + cfg.pace.write, IdleTimeout: idleFor,
		MaxHeaderBytes: maxHeader,
	}
	serve := func() error { return s.http.Serve(listener) }
	if secure != nil {
		s.url = "https://" + listener.Addr().String()
		serve = func() error { return s.http.ServeTLS(listener, "", "") }
	}
	s.wg.Go(func() {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			cfg.Log.Error("serving the desk failed", "error", err)
		}
	})
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.wg.Go(func() { files.watch(ctx, a.metrics.Broken) })
	s.wg.Go(func() {
		a.checks.Run(ctx, func(err error) { cfg.Log.Warn("what checks fall back on is not as of now", "error", err) })
	})
	cfg.Log.Info("serving the desk", "page", s.url+"/", "access", cfg.Access, "client_certificates", cfg.ClientCA != "")
	return s, nil
}

// URL is where the desk is, without a slash at the end.
func (s *Server) URL() string { return s.url }

// NotReady says why the desk may soon let nobody in, or does already; empty: it is well.
func (s *Server) NotReady() string { return s.api.gate.files.notReady() }

// Close ends the streams of events, gives other requests some seconds, and cuts off those that take longer.
func (s *Server) Close() error {
	s.api.hubs.close()
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), s.grace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.wg.Wait()
	return err
}

func (c *Config) validate() error {
	var errs []error
	wrong := func(text string) { errs = append(errs, errors.New(text)) }
	if c.Access == "" {
		wrong("nobody could do anything: name the file that says who may do what " +
			`(--desk-access; "granter token" makes its lines)`)
	}
	if (c.Cert == "") != (c.Key == "") {
		wrong("--desk-cert and --desk-key need each other")
	}
	if c.Cert == "" && c.ClientCA != "" {
		wrong("--desk-client-ca is of no use without TLS: add --desk-cert and --desk-key")
	}
	host, _, err := net.SplitHostPort(c.Addr)
	switch {
	case err != nil:
		wrong(fmt.Sprintf("--desk %s: want host:port", c.Addr))
	case c.Cert == "" && !c.Insecure && !loopback(host):
		wrong(fmt.Sprintf("--desk %s can be reached from elsewhere, and without TLS everybody on the way reads the tokens: "+
			"add --desk-cert and "+
			"--desk-key, listen on 127.0.0.1, or say --desk-insecure when a proxy in front of it speaks TLS", c.Addr))
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
