package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant"
)

const (
	// leaseLife is for how long a run says that it may grant under its spec. It renews that at each checkpoint. After a kill
	// another spec waits so long.
	leaseLife = 30 * time.Second
	// leaseMargin is how much earlier a lease ends for the run that has it, so that the clocks of a cluster's masters may
	// differ by as much.
	leaseMargin = 10 * time.Second
)

// NotBefore says when the campaign starts, if that is not when its spec says: it was postponed, or is started early. By
// Redis's clock nobody is granted anything before that.
func (l *Grants) NotBefore(at time.Time) { l.notBefore.Store(milliseconds(at)) }

// milliseconds returns the first whole millisecond that is not before a moment; 0 for the zero time.
func milliseconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Add(time.Millisecond - time.Nanosecond).UnixMilli()
}

// fence is what every chunk call of a pipeline must satisfy in Redis.
type fence struct {
	spec                   string
	notBefore, ends, lease int64 // Unix milliseconds by Redis's clock: from, up to and without; ends 0: never
}

func (l *Grants) fence() fence {
	f := fence{spec: l.campaign.Hash, notBefore: l.notBefore.Load(), lease: l.lease.Load()}
	if end := l.campaign.EndsAt; !end.IsZero() {
		f.ends = end.UnixMilli()
	}
	return f
}

// notAfter is the first millisecond in which nothing may be granted any more.
func (f *fence) notAfter() int64 {
	if f.ends > 0 {
		return min(f.ends, f.lease)
	}
	return f.lease
}

// fencedError is the refusal of a chunk call: "FENCED spec <hash of the chunk's>" or "FENCED time <Unix milliseconds>".
type fencedError struct {
	fence
	reply error
}

func (e *fencedError) Error() string { return e.reply.Error() }

func (e *fencedError) Unwrap() error { return e.reply }

// refused makes a fencedError of what a pipeline returned, if it is one.
func (f *fence) refused(err error) error {
	if Kind(err) == KindFenced {
		return &fencedError{*f, err}
	}
	return err
}

// handleRefusal decides what follows from a refused pipeline: nil means that it can be sent again.
func (l *Grants) handleRefusal(ctx context.Context, refusal *fencedError) error {
	var what, value string
	fields := strings.Fields(refusal.Error())
	if len(fields) == 3 {
		what, value = fields[1], fields[2]
	}
	if what == "spec" {
		stored, _, err := l.coordination.Spec(ctx)
		if err != nil {
			return err
		}
		conflict := l.conflict(l.campaign, value, nil)
		if stored.Hash == value {
			conflict.Stored = stored.Canonical
		}
		return conflict
	}
	at, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || what != "time":
		return fmt.Errorf("chunk script: unexpected refusal: %w", refusal)
	case at < refusal.notBefore:
		return &grant.EarlyError{Now: time.UnixMilli(at), Start: time.UnixMilli(refusal.notBefore)}
	case refusal.ends > 0 && at >= refusal.ends:
		return fmt.Errorf("%s, ends_at %s: %w", l.campaign.Name, l.campaign.EndsAt.Format(time.RFC3339), grant.ErrEnded)
	}
	return l.EnsureSpec(ctx, l.campaign) // the lease has lapsed
}

// EnsureSpec decides under which spec the campaign is granted, atomically, and takes or renews the lease without
// which nobody is granted anything. While nobody is granted, and no other run has a lease, a new spec replaces the old one;
// after that only the same one is accepted, and any other is a *SpecConflictError.
//
// The first call looks at the keys of all masters, and completes the index of chunks. ErrInconsistent means that what the
// checkpoint vouches for is gone.
func (l *Grants) EnsureSpec(ctx context.Context, c *grant.Campaign) error {
	reply, err := l.askForLease(ctx, c, "")
	if err != nil {
		return err
	}
	var s *survey
	if reply.what == "search" {
		if s, err = l.reader.survey(ctx); err != nil {
			return err
		}
		if err := l.reader.permits(ctx, c, reply, s); err != nil {
			return err
		}
		if reply, err = l.askForLease(ctx, c, "searched "+reply.hash); err != nil {
			return err
		}
	}
	switch reply.what {
	case "ok":
	case "format":
		if _, _, err := l.coordination.Spec(ctx); err != nil { // it may be an import that is not complete
			return err
		}
		return &FormatError{l.keys.format, reply.hash, string(reply.canonical)}
	case "granted":
		return l.conflict(c, reply.hash, reply.canonical)
	case "leased", "search": // search: another spec was stored meanwhile, and just now replaced
		conflict := l.conflict(c, reply.hash, reply.canonical)
		conflict.Leased = time.UnixMilli(reply.until)
		return conflict
	default:
		return fmt.Errorf("spec script: unexpected reply %v", reply)
	}
	if c.Hash == l.campaign.Hash {
		l.lease.Store(reply.until - leaseMargin.Milliseconds())
	}
	if l.surveyed.Load() && reply.missing == 0 && s == nil {
		return nil
	}
	if s == nil {
		if s, err = l.reader.survey(ctx); err != nil {
			return err
		}
	}
	if err := l.repair(ctx, s, reply.missing); err != nil {
		return err
	}
	if err := l.enlist(ctx, c); err != nil {
		return err
	}
	l.surveyed.Store(true)
	return nil
}

// leaseReply is what the spec script said.
type leaseReply struct {
	what      string
	hash      string
	canonical []byte
	until     int64
	missing   int64 // chunks in the index
}

func (l *Grants) askForLease(ctx context.Context, c *grant.Campaign, searched string) (r leaseReply, err error) {
	err = l.retry(ctx, "storing the spec", func() error {
		if l.session.Load() == nil { // the first thing a run does; Begin loads them for what follows
			if err := l.loadScripts(ctx); err != nil {
				return err
			}
		}
		pipe := l.client.Pipeline()
		reply := specCall.command(ctx, []string{l.keys.spec, l.keys.chunks, l.keys.leases, l.keys.format}, c.Hash, c.Canonical,
			time.Now().UTC().Format(time.RFC3339), l.run.String(), leaseLife.Milliseconds(), searched, l.formatOf(),
			formatSinces[l.formatOf()])
		if err := pipe.Process(ctx, reply); err != nil {
			return err
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		list, err := reply.Slice()
		if err != nil || len(list) != 5 {
			return fmt.Errorf("spec script: unexpected reply %v: %w", list, errors.Join(err, ErrInconsistent))
		}
		r.what, _ = list[0].(string)
		r.hash, _ = list[1].(string)
		canonical, _ := list[2].(string)
		r.canonical = []byte(canonical)
		r.until, _ = list[3].(int64)
		r.missing, _ = list[4].(int64)
		return nil
	})
	return r, err
}

// SaveRun stores what the run says about itself. One that says that the run is over releases its lease.
func (l *Grants) SaveRun(ctx context.Context, r grant.RunRecord) error {
	err := l.coordination.SaveRun(ctx, r)
	if err != nil || !r.State.Over() {
		return err
	}
	return l.retry(ctx, "releasing the lease of run "+r.Run.String(), func() error { return l.releaseLease(ctx) })
}

// releaseLease ends the lease of a run that is over, so that a spec that was wrong can be replaced at once. A run that does
// not know whether a call was applied keeps it: the call may wait in a Redis that hangs.
func (l *Grants) releaseLease(ctx context.Context) error {
	if l.inDoubt.Load() || l.lease.Load() == 0 {
		return nil
	}
	if err := l.client.HDel(ctx, l.keys.leases, l.run.String()).Err(); err != nil {
		return fmt.Errorf("%s: %w", l.keys.leases, err)
	}
	return nil
}
