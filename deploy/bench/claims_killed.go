package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	moments := spread(r.kills)
	var order []int
	for {
		at, err := r.progress(ctx, s)
		if err != nil || at == 1 && t.done >= r.kills {
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
		case <-time.After(time.Duration(300+rand.IntN(1500+r.n/100)) * time.Millisecond):
		}
		if t.done < r.kills && at >= moments[t.done] {
			if len(order) == 0 {
				order = rand.Perm(len(claimsProcesses))
			}
			if err := t.kill(ctx, order[0]); err != nil {
				return err
			}
			order = order[1:]
			fmt.Fprintf(os.Stderr, "%s: %.0f s, %.1f%% done, killed %s\n", r.name, time.Since(began).Seconds(), 100*at, t.said())
		}
	}
}

// spread draws so many moments of the work, as shares of it: one from each of as many equal parts, so that the kills are spread
// over all of it, however fast it goes.
func spread(n int) []float64 {
	moments := make([]float64, n)
	for i := range moments {
		moments[i] = (float64(i) + rand.Float64()) / float64(n)
	}
	return moments
}

// progress is which share of the work is done: how many of three steps (taken in, decided, settled) each claim has behind it, of
// those that it will have. It is 1 when, and only when, nothing but a person moves a claim on.
func (r *claimsRun) progress(ctx context.Context, s *store.Store) (float64, error) {
	counts, err := s.Counts(ctx, "outage-2022")
	if err != nil {
		return 0, nil //nolint:nilerr // the programme may not be there yet, or the database not again
	}
	all, steps := 0, 0
	for state, c := range counts {
		all += c.Claims
		switch {
		case !slices.Contains(moving, state):
			steps += 3 * c.Claims
		case state == claims.Received || state == claims.Checking:
			steps += c.Claims
		default:
			steps += 2 * c.Claims
		}
	}
	const nearly = 0.999999
	if all < r.n || steps < 3*all {
		return min(float64(steps)/float64(3*r.n), nearly), nil
	}
	over, err := r.answered(ctx, s)
	if err != nil || !over {
		return nearly, err
	}
	return 1, nil
}

// moving are the states that a process moves a claim out of.
var moving = []claims.State{claims.Received, claims.Checking, claims.Approved, claims.PaymentSent}

// answered reports whether each payment that the bank gave back has been sent as often as it ever is.
func (r *claimsRun) answered(ctx context.Context, s *store.Store) (bool, error) {
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
