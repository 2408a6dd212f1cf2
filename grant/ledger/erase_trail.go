package ledger

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/granter/granter/grant"
)

// Forgotten counts what Forget erased.
type Forgotten struct {
	Lines     int `json:"lines"`     // of the audit trail that have no reason any more
	Proposals int `json:"proposals"` // whose users, and reasons, are not kept any more
	Samples   int `json:"samples"`   // of rejected records
	// Going are runs with such samples that have not ended: one that goes on writes its samples again.
	Going []string `json:"going,omitempty"`
}

// Any reports whether there was anything.
func (f *Forgotten) Any() bool { return f.Lines+f.Proposals+f.Samples > 0 }

// Forget erases what is kept about a user outside of the journals: why acts of these requests were ordered, if they were about
// one user alone; the users of proposals that are decided; and samples of rejected records that mean the user. It may be cut off
// anywhere, and be done again. With dry, it counts.
func (l *Acts) Forget(ctx context.Context, f Forget, dry bool) (n Forgotten, err error) {
	if !dry {
		if err := l.begin(ctx); err != nil {
			return n, err
		}
		defer l.end(ctx)
	}
	err = l.retry(ctx, "erasing reasons in the audit trail", func() (err error) {
		n.Lines, err = l.forgetLines(ctx, &f, dry)
		return err
	})
	if err != nil {
		return n, err
	}
	err = l.retry(ctx, "erasing proposals", func() error { return l.forgetProposals(ctx, &f, dry) })
	if err != nil {
		return n, err
	}
	n.Proposals = len(f.Proposals)
	err = l.retry(ctx, "erasing samples of rejected records", func() error {
		stays := func(r *grant.Reject) bool { return !f.Means(r.Value) }
		found, err := l.changeSamples(ctx, stays, dry)
		n.Samples, n.Going = found.gone, found.open
		return err
	})
	return n, err
}

// Forget says what is to be erased about a user outside of the journals.
type Forget struct {
	Requests  []string                // IDs of acts about the user
	Proposals []grant.Proposal        // that name the user, and are decided
	Means     func(value string) bool // whether the sample of a rejected record means the user
}

func (l *Acts) forgetLines(ctx context.Context, f *Forget, dry bool) (n int, err error) {
	about := map[string]bool{}
	for _, id := range f.Requests {
		about[id] = true
	}
	lines, err := l.client.LRange(ctx, l.keys.history, 0, -1).Result()
	if err != nil {
		return 0, err
	}
	for i, text := range lines {
		var entry grant.HistoryEntry
		if err := json.Unmarshal([]byte(text), &entry); err != nil {
			return n, fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, l.keys.history, i, err)
		}
		of := entry.Acted
		if of == nil || of.Users != 1 || of.Kind == grant.ActErase || !about[of.Request] || entry.Why == "" {
			continue
		}
		if n++; dry {
			continue
		}
		entry.Why = ""
		left, err := json.Marshal(&entry)
		if err != nil {
			return n, err
		}
		if err := l.swap(ctx, &swapCall, l.keys.history, i, text, string(left)); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (l *Acts) forgetProposals(ctx context.Context, f *Forget, dry bool) error {
	if dry {
		return nil
	}
	for i := range f.Proposals {
		p := &f.Proposals[i]
		if err := l.client.Unlink(ctx, l.keys.proposed+p.Act.ID+":"+p.Digest).Err(); err != nil {
			return err
		}
		found, text, _, err := l.grants.coordination.proposal(ctx, p.Act.ID)
		if err != nil {
			return err
		}
		if found == nil || found.Users != 1 {
			continue
		}
		found.Act = found.Act.WithoutWhy()
		if found.Decided != nil {
			found.Decided.Why = ""
		}
		left, err := json.Marshal(found)
		if err != nil {
			return err
		}
		if err := l.swap(ctx, &replaceCall, l.keys.proposals, p.Act.ID, text, string(left)); err != nil {
			return err
		}
	}
	return nil
}

// swap replaces a text by a script, unless it is not as it was read: then all of it is done again.
func (l *Acts) swap(ctx context.Context, s *script, key string, at any, was, is string) error {
	n, err := l.grants.coordination.call(ctx, s, []string{key}, at, was, is)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: somebody else changes it: try again", key)
	}
	return err
}
