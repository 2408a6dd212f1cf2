package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/owner"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/metrics"
)

// siteFlags are the settings of the owner's page.
type siteFlags struct {
	page, cert, key, public, contact string
	insecure, proxied                bool
	documents, clamd                 string

	readFor time.Duration // 0: readFor
}

func (f *siteFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.page, "page", "127.0.0.1:9467", "address of the owner's page")
	flags.StringVar(&f.cert, "cert", "", "PEM file of the page's certificate")
	flags.StringVar(&f.key, "key", "", "PEM file of its key")
	flags.BoolVar(&f.insecure, "insecure", false, "speak HTTP where others can listen, because a proxy in front speaks TLS")
	flags.BoolVar(&f.proxied, "proxied", false, "a proxy in front adds the client's address to X-Forwarded-For")
	flags.StringVar(&f.public, "public", "", "what the links of owners begin with, such as https://claims.example.com")
	flags.StringVar(&f.contact, "contact", "", "who helps owners: a phone number or an address, shown on every page")
	f.addDocuments(cmd)
}

func (f *siteFlags) addDocuments(cmd *cobra.Command) {
	cmd.Flags().
		StringVar(&f.documents, "documents", "", "folder in which documents are kept, encrypted; without it none are taken")
	cmd.Flags().StringVar(&f.clamd, "clamd", "", "malware scanner: ClamAV's daemon, host:port or the path of its socket")
}

func (f *siteFlags) check() error {
	host, _, err := net.SplitHostPort(f.page)
	var errs []error
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("--page %s: want host:port", f.page))
	case (f.cert == "") != (f.key == ""):
		errs = append(errs, errors.New("--cert and --key need each other"))
	case f.cert == "" && !f.insecure && host != "localhost" && !net.ParseIP(host).IsLoopback():
		errs = append(
			errs,
			fmt.Errorf("--page %s can be reached from elsewhere, and without TLS everybody on the way reads the owners' codes: "+
				"add --cert and --key, listen on 127.0.0.1, or say --insecure when a proxy in front of it speaks TLS", f.page),
		)
	}
	if f.public != "" && !strings.HasPrefix(f.public, "https://") && !strings.HasPrefix(f.public, "http://") {
		errs = append(errs, fmt.Errorf("--public %s: want an address such as https://claims.example.com", f.public))
	}
	if f.clamd != "" && f.documents == "" {
		errs = append(errs, errors.New("--clamd has nothing to look at without --documents"))
	}
	if err := errors.Join(errs...); err != nil {
		return usageError(err)
	}
	return nil
}

// keeper is what keeps documents; nil: none are taken.
func (f *siteFlags) keeper(s *store.Store) *documents.Keeper {
	if f.documents == "" {
		return nil
	}
	var scanner documents.Scanner
	if f.clamd != "" {
		scanner = documents.Clamd(f.clamd)
	}
	return documents.NewKeeper(s, documents.Folder(f.documents), scanner)
}

// boundKeeper is keeper, and fails when the folder is another database's. One that does not answer now may do so later.
func (f *siteFlags) boundKeeper(ctx context.Context, s *store.Store, log *slog.Logger) (*documents.Keeper, error) {
	keeper := f.keeper(s)
	if keeper == nil {
		return nil, nil
	}
	err := keeper.Bind(ctx)
	if errors.Is(err, documents.ErrOther) {
		return nil, usageError(fmt.Errorf("--documents %s: %w", f.documents, err))
	}
	if err != nil {
		log.Error("the folder of documents cannot be used; it is tried again", "folder", f.documents, "error", err)
	}
	return keeper, nil
}

// serveClaimsFlags are the settings of granter claims serve.
type serveClaimsFlags struct {
	importFlags
	siteFlags
	listen, logFormat string
}

func newClaimsServe() *cobra.Command {
	var flags serveClaimsFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the page on which owners report a loss and see to their claims",
		Long: `Serve is the owner's part of the customer centre, in Korean and English: owners report a loss, send documents,
see where their claim is and how it was computed, object, withdraw, and change the account. They need no account and no script;
a claim is opened by its number and a secret code, which they get when they save or hand it in ("granter claims code" gives
another one).

It decides nothing: "granter claims process" does, beside it. Several may run on one database and one folder of documents. Every
minute documents are looked at for malware that came while the scanner was away, and what nobody needs any more is deleted:
drafts after a month, and the files of erased claims.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check(); err != nil {
				return err
			}
			return flags.within(cmd, flags.programme != "", func(ctx context.Context, s *store.Store) error {
				return flags.serve(ctx, cmd, s)
			})
		},
	}
	flags.addDatabase(cmd)
	flags.siteFlags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.programme, "programme", "", "claims programme, a YAML file; without it the one that the database has")
	f.StringVar(&flags.listen, "listen", "127.0.0.1:9468", `address of /metrics, /healthz and /readyz, or "off"`)
	f.StringVar(&flags.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	return cmd
}

func (flags *serveClaimsFlags) serve(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
	log, err := newLogger(newScreen(cmd.ErrOrStderr()), flags.logFormat)
	if err != nil {
		return err
	}
	p, err := flags.adopt(ctx, s)
	if err != nil {
		return err
	}
	registry := newRegistry()
	countErrors(s, registry, p)
	keeper, err := flags.boundKeeper(ctx, s, log)
	if err != nil {
		return err
	}
	missing := metrics.NewClaimsFiles(registry, p.Name)
	filed := metrics.NewClaimsOffered(registry, p.Name, []string{intake.ChannelPage}, texts(intake.Outcomes()))
	server, err := serve(flags.listen, registry, func() string { return notReadyClaims(ctx, s) }, log)
	if err != nil {
		return err
	}
	defer server.close()
	site := owner.New(owner.Config{
		Store: s, Programme: p, Documents: keeper, Secure: flags.cert != "" || strings.HasPrefix(flags.public, "https://"),
		Proxied: flags.proxied, Public: flags.public, Contact: flags.contact, Log: log,
		Filed: func(o intake.Outcome) { filed.WithLabelValues(intake.ChannelPage, string(o)).Inc() },
	})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return flags.serveSite(ctx, site, cmd.OutOrStdout(), log) })
	group.Go(func() error { keepHouse(ctx, s, keeper, missing, log); return nil })
	return group.Wait()
}

func notReadyClaims(ctx context.Context, s *store.Store) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := s.Ping(ctx); err != nil {
		return "the database of claims does not answer: " + err.Error()
	}
	return ""
}

const (
	// finishFor is how long a request may still take that is under way when the page is stopped. systemd and Kubernetes wait for
	// 30 seconds.
	finishFor = 20 * time.Second
	// readFor is how long of that it may still come. Then whoever sends a document is told that it did not come whole.
	readFor = 15 * time.Second
)

// serveSite serves the page until the context ends, and then lets requests end that are under way.
func (f *siteFlags) serveSite(ctx context.Context, site http.Handler, out io.Writer, log *slog.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.page)
	if err != nil {
		return usageError(fmt.Errorf("--page %s: %w (choose another address)", f.page, err))
	}
	late, cutOff := context.WithCancel(context.WithoutCancel(ctx)) // ends when what has not come yet is waited for no more
	defer cutOff()
	server := &http.Server{
		Handler: readUntil(late, site), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 10 * time.Second,
		// A photograph of 10 MiB takes as long where a phone sends 100 KB a second.
		ReadTimeout: 3 * time.Minute, WriteTimeout: 4 * time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	scheme := "http://"
	serve := func() error { return server.Serve(listener) }
	if f.cert != "" {
		certificate, err := newestCertificate(f.cert, f.key)
		if err != nil {
			return errors.Join(usageError(fmt.Errorf("--cert: %w", err)), listener.Close())
		}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate}
		scheme = "https://"
		serve = func() error { return server.ServeTLS(listener, "", "") }
	}
	fmt.Fprintf(out, "serving the owner's page at %s/ until it is stopped\n", cmp.Or(f.public, scheme+listener.Addr().String()))
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving the owner's page: %w", err)
		}
		return nil
	})
	<-running.Done()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishFor)
	defer cancel()
	defer time.AfterFunc(cmp.Or(f.readFor, readFor), cutOff).Stop()
	if err := server.Shutdown(last); err != nil {
		log.Warn("a request that took too long was cut off: nothing of it was done, or all", "error", err)
		_ = server.Close()
	}
	return group.Wait()
}

// readUntil ends the reading of requests that have not come whole when a context ends. Whoever serves them sees that as if the
// client had stopped, and can still answer.
func readUntil(late context.Context, site http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		stop := context.AfterFunc(late, func() { _ = conn.SetReadDeadline(time.Now()) }) // of one that has ended
		defer stop()
		site.ServeHTTP(w, r)
	})
}

// newestCertificate reads a certificate anew when it is a minute old, so that it can be renewed without a restart.
func newestCertificate(cert, key string) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	first, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	type read struct {
		certificate *tls.Certificate
		at          time.Time
	}
	latest := make(chan read, 1)
	latest <- read{&first, time.Now()}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		now := <-latest
		if time.Since(now.at) > time.Minute {
			if next, err := tls.LoadX509KeyPair(cert, key); err == nil { // or else the one before is as good as it was
				now.certificate = &next
			}
			now.at = time.Now()
		}
		latest <- now
		return now.certificate, nil
	}, nil
}

// keepHouse looks once a minute for what has to be scanned or deleted.
func keepHouse(
	ctx context.Context, s *store.Store, keeper *documents.Keeper, missing prometheus.Gauge, log *slog.Logger,
) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := keepHouseOnce(ctx, s, keeper, missing, log); err != nil && ctx.Err() == nil {
			log.Error("keeping house in the database of claims failed: it is tried again in a minute", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func keepHouseOnce(
	ctx context.Context, s *store.Store, keeper *documents.Keeper, missing prometheus.Gauge, log *slog.Logger,
) error {
	if err := s.Sweep(ctx); err != nil || keeper == nil {
		return err
	}
	scanned, scanErr := keeper.Rescan(ctx)
	if scanned.Malware > 0 || scanned.Waiting > 0 {
		log.Warn(
			"documents in quarantine",
			"clean",
			scanned.Clean,
			"malware",
			scanned.Malware,
			"waiting",
			scanned.Waiting,
			"scanner",
			scanned.Away,
		)
	}
	swept, err := keeper.Sweep(ctx, time.Now())
	if err == nil {
		missing.Set(float64(swept.Missing))
	}
	if swept.Missing > 0 {
		log.Error("documents of claims have no file: granter claims prove --documents names them", "missing", swept.Missing)
	}
	if swept.Deleted > 0 {
		log.Info("files that no claim has were deleted", "files", swept.Deleted)
	}
	return errors.Join(scanErr, err)
}
