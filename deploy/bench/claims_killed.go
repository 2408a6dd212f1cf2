package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// claimsProcesses are the processes of granter that move claims, each of which is killed.
var claimsProcesses = []string{"receive", "process", "pay", "reconcile"}

// databaseKills is how often PostgreSQL is killed as well, and mayEnd how often processes may end by themselves because of that
// and for other reasons, such as a database that is not there.
const (
	databaseKills = 2
	mayEnd        = 20 + databaseKills*10
)

// together are the processes that run at once.
type together struct {
	*claimsRun
	processes []*exec.Cmd
	ended     []chan error
	restarts  int
	kills     map[string]int
	done      int
}

func (t *together) launch(ctx context.Context, i int) error {
	name := claimsProcesses[i]
	args := t.args(name)
	if name == "process" || name == "pay" {
		args = append(args, "--every", "500ms")
	}
	t.processes[i], t.ended[i] = t.command(context.WithoutCancel(ctx), args...), make(chan error, 1)
	log, err := os.OpenFile(t.log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	t.processes[i].Stdout, t.processes[i].Stderr = log, log
	if err := t.processes[i].Start(); err != nil {
		t.processes[i] = nil
		return errors.Join(err, log.Close())
	}
	cmd, ended := t.processes[i], t.ended[i]
	go func() { ended <- errors.Join(cmd.Wait(), log.Close()) }()
	return nil
}

func (t *together) log(name string) string { return filepath.Join(t.dir, name+".log") }

func (t *together) end() {
	for i := range t.processes {
		if t.processes[i] != nil {
			_ = t.processes[i].Process.Kill()
			<-t.ended[i]
		}
	}
}

// relaunch starts again whoever has ended by himself, as systemd would.
func (t *together) relaunch(ctx context.Context) error {
	for i, name := range claimsProcesses {
		select {
		case err := <-t.ended[i]:
			if t.restarts++; t.restarts > mayEnd {
				t.processes[i] = nil
				text, _ := os.ReadFile(t.log(name))
				return fmt.Errorf("granter claims %s ends again and again: %w: %s", name, err, text[max(0, len(text)-2000):])
			}
			if err := t.launch(ctx, i); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

// kill kills the next process, each as often as the others, and sometimes the database as well.
func (t *together) kill(ctx context.Context, i int) error {
	_ = t.processes[i].Process.Kill()
	<-t.ended[i]
	t.done++
	t.kills[claimsProcesses[i]]++
	if n := t.claimsRun.kills / (databaseKills + 1); t.postgres != nil && t.kills["PostgreSQL"] < databaseKills && n > 0 &&
		t.done%n == 0 {
		t.postgres.Kill()
		t.kills["PostgreSQL"]++
		t.postgres.Restart()
	}
	return t.launch(ctx, i)
}

// said is how often which process was killed.
func (t *together) said() string {
	list := make([]string, 0, len(t.kills))
	for _, name := range append([]string{"PostgreSQL"}, claimsProcesses...) {
		if n := t.kills[name]; n > 0 {
			list = append(list, fmt.Sprintf("%s %d", name, n))
		}
	}
	return strings.Join(list, ", ")
}

// killed runs every process at once, and kills them at random.
func (r *claimsRun) killed(ctx context.Context, s *store.Store) error {
	began := time.Now()
	t := &together{
		claimsRun: r, processes: make([]*exec.Cmd, len(claimsProcesses)), ended: make([]chan error, len(claimsProcesses)),
		kills: map[string]int{},
	}
	defer t.end()
	for i := range claimsProcesses {
		if err := t.launch(ctx, i); err != nil {
			return err
		}
	}
	var order []int
	for {
		if over, err := r.over(ctx, s); err != nil || over && t.done >= r.kills {
			r.steps = append(r.steps, claimsStep{
				name: fmt.Sprintf("all at once, a bank with every fault, kill -9 of %s", t.said()), n: r.n,
				seconds: time.Since(began).Seconds(),
			})
			return err
		}
		if err := t.relaunch(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(300+rand.IntN(1500+r.n/8)) * time.Millisecond): // not in its beginning only
		}
		if t.done < r.kills {
			if len(order) == 0 {
				order = rand.Perm(len(claimsProcesses))
			}
			if err := t.kill(ctx, order[0]); err != nil {
				return err
			}
			order = order[1:]
			fmt.Fprintf(os.Stderr, "%s: %.0f s, killed %s\n", r.name, time.Since(began).Seconds(), t.said())
		}
	}
}

// over reports whether every claim is where nothing but a person moves it on.
func (r *claimsRun) over(ctx context.Context, s *store.Store) (bool, error) {
	counts, err := s.Counts(ctx, "outage-2022")
	if err != nil {
		return false, nil //nolint:nilerr // the programme may not be there yet, or the database not again
	}
	all := 0
	for _, c := range counts {
		all += c.Claims
	}
	moving := counts[claims.Received].Claims + counts[claims.Checking].Claims + counts[claims.Approved].Claims +
		counts[claims.PaymentSent].Claims
	if all < r.n || moving > 0 {
		return false, nil
	}
	lines, err := s.List(ctx, store.Filter{States: []claims.State{claims.PaymentReturned}, Limit: r.n})
	if err != nil || len(lines) == 0 {
		return err == nil, err
	}
	ids := make([]string, len(lines))
	for i := range lines {
		ids[i] = lines[i].ID
	}
	list, err := s.Get(ctx, ids...)
	for i := 0; i < len(list) && err == nil; i++ {
		if len(list[i].Payments) < store.MostAttempts {
			return false, nil
		}
	}
	return err == nil, err
}
