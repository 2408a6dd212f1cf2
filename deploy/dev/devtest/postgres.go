package devtest

import (
	"errors"
	"net/url"
	"path/filepath"
	"time"
)

// Postgres is one PostgreSQL server. Its methods may be called from any goroutine; a failure ends the calling one.
type Postgres struct {
	URL string // of its database "postgres", where everybody may do everything; the same after a restart

	tb     TB
	server *server
}

// StartPostgres starts an empty PostgreSQL on a free port, and ends it with the test. It takes about a second; settings are
// those of postgresql.conf, such as "fsync=on".
func StartPostgres(tb TB, settings ...string) *Postgres {
	tb.Helper()
	p, err := startPostgres(tb, settings)
	if err != nil {
		tb.Fatalf("starting PostgreSQL: %v", err)
	}
	return p
}

func startPostgres(tb TB, settings []string) (*Postgres, error) {
	tb.Helper()
	dir := tempDir(tb)
	address, err := output("postgres.sh", append([]string{"config", dir, "--"}, settings...)...)
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	p := &Postgres{URL: address, tb: tb}
	p.server = &server{
		name:  "PostgreSQL " + at.Host,
		args:  []string{"postgres.sh", "run", dir, "--tied"},
		log:   filepath.Join(dir, "postgres.log"),
		ready: func() error { _, err := output("postgres.sh", "ready", dir); return err },
	}
	p.server.cleanup(tb)
	if err := p.server.launch(); err != nil {
		return nil, err
	}
	return p, p.server.await()
}

// Schema returns the URL of a schema of its own, which whoever connects by it must create.
func (p *Postgres) Schema(name string) string {
	return p.URL + "&search_path=" + url.QueryEscape(name)
}

// PID is that of the postmaster, or 0 while it is down.
func (p *Postgres) PID() int { return p.server.pid() }

// Kill ends it with SIGKILL. What was committed is there after Restart.
func (p *Postgres) Kill() { p.server.kill() }

// Restart starts it again on the same port and data.
func (p *Postgres) Restart() {
	p.tb.Helper()
	p.server.stop()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(pollInterval) {
		if err := p.server.launch(); err != nil {
			p.tb.Fatalf("restarting PostgreSQL: %v", err)
		}
		err := p.server.await()
		if err == nil {
			return
		}
		// Sessions of one that was killed end at their next look at it, and until then no other one starts.
		if !errors.Is(err, errExited) || time.Now().After(deadline) {
			p.tb.Fatalf("restarting PostgreSQL: %v", err)
		}
		p.server.stop()
	}
}
