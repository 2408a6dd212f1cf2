package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/granter/granter/deploy/dev/devtest"
)

// comparedRow is the row on which two revisions are compared.
func comparedRow(only string) (row, error) {
	if only == "" {
		only = "48 M dense"
	}
	named, err := regexp.Compile(only)
	if err != nil {
		return row{}, fmt.Errorf("-only: %w", err)
	}
	all := slices.Concat(rows, idRows)
	i := slices.IndexFunc(all, func(r row) bool { return named.MatchString(r.name) })
	if i < 0 {
		return row{}, fmt.Errorf("no row has %q in its name", only)
	}
	return all[i], nil
}

// against compares this tree with another revision of the repository: both run in turns on the same topic and servers, so
// that the ratio holds on a machine whose speed drifts.
func (b *bench) against(ctx context.Context, revision string, r row) (string, error) {
	old := *b
	old.granter = filepath.Join(b.dir, "granter-old")
	if err := buildRevision(revision, b.dir, old.granter); err != nil {
		return "", err
	}
	r.users, r.spread = int64(float64(r.users)*b.scale), int64(float64(r.spread)*b.scale)
	spec, err := b.spec(r)
	if err != nil {
		return "", err
	}
	if err := b.load(ctx, r, spec); err != nil {
		return "", err
	}
	var before, after, ratios []float64
	for i := range b.repeats {
		pair := []*bench{&old, b}
		if i%2 == 1 {
			slices.Reverse(pair)
		}
		took := map[*bench]float64{}
		for _, one := range pair {
			res, err := one.fresh(ctx, r, spec)
			if err != nil {
				return "", err
			}
			took[one] = res.seconds
		}
		before, after = append(before, took[&old]), append(after, took[b])
		ratios = append(ratios, took[b]/took[&old])
		fmt.Fprintf(os.Stderr, "%s %.3f s, this tree %.3f s\n", revision, took[&old], took[b])
	}
	slices.Sort(before)
	slices.Sort(after)
	slices.Sort(ratios)
	middle := len(ratios) / 2
	return fmt.Sprintf("%s, %d pairs: %s %.3f s, this tree %.3f s (medians); time ratio, pair by pair: median %.3f, from %.3f to %.3f\n",
		r.name, b.repeats, revision, before[middle], after[middle], ratios[middle], ratios[0], ratios[len(ratios)-1]), nil
}

// fresh runs granter once on an empty Redis.
func (b *bench) fresh(ctx context.Context, r row, spec string) (res result, err error) {
	return res, devtest.Standalone(nil, func(tb devtest.TB) error {
		server := devtest.StartRedis(tb, devtest.RedisSet("save", ""), devtest.RedisSet("appendonly", "yes"), devtest.RedisSet("appendfsync", "everysec"))
		res, err = b.run(ctx, r, spec, server)
		return err
	})
}

// buildRevision builds granter as it was.
func buildRevision(revision, dir, binary string) error {
	tree := filepath.Join(dir, "tree")
	git := func(args ...string) error {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := git("worktree", "add", "--detach", tree, revision); err != nil {
		return err
	}
	defer git("worktree", "remove", "--force", tree) // if not, git worktree prune does
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/granter")
	cmd.Dir = tree
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", revision, err, out)
	}
	return nil
}
