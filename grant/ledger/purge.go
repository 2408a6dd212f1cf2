package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// purged is the format of a ledger that was purged: no granter knows it, so none grants, answers or orders anything by it, and
// nobody is granted again by a replay of the topic.
const purged = "1000001"

// Purge is what is left of a campaign that was purged: who did it, and what went.
type Purge struct {
	At    time.Time  `json:"at"` // by the clock of Redis
	Who   string     `json:"who"`
	Why   string     `json:"why"`
	Trail bool       `json:"trail"` // orders and their audit trail went, too
	Proof PurgeProof `json:"proof"`
	Keys  int64      `json:"keys"`           // that were removed since it was last begun
	Done  *time.Time `json:"done,omitempty"` // nil: it was cut off, and has to be done again
}

// PurgeProof says what there was, as granter digest does: who has kept an export, or a report of an audit, can show that it is
// of what went, and whose digest is of another ledger is found out.
type PurgeProof struct {
	Spec     string `json:"spec"` // its hash
	Granted  int64  `json:"granted"`
	Excluded int64  `json:"excluded"`
	Chunks   int64  `json:"chunks"`
	Users    string `json:"users"`  // digest of who was granted
	Ledger   string `json:"ledger"` // digest of all that was known of them
}

// PurgedError says that a campaign was purged.
type PurgedError struct {
	Purge

	Key string
}

func (e *PurgedError) Error() string {
	says := fmt.Sprintf("%s: this campaign was purged by %s at %s (%s): "+
		"nobody can be granted by it, and who had it is not known any more", e.Key, e.Who, e.At.UTC().Format(time.RFC3339), e.Why)
	if e.Done == nil {
		says += ". The purge was cut off: do it again, granter purge"
	}
	return says
}

// readPurge makes the error that a mark of a purge is.
func (l *Store) readPurge(text string) error {
	e := &PurgedError{Key: l.keys.format}
	if err := json.Unmarshal([]byte(text), &e.Purge); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.format, err)
	}
	return e
}

// purgeScript marks a ledger as purged, unless a run, or somebody who acts, may grant under a lease, or something else is under
// way. A ledger that is marked is marked anew, as its purge goes on.
//
//	KEYS  format leases
//	ARGV  the format that no granter knows, purge as JSON, whether it goes on: 1 or 0
//
// The reply is 1, or what stands in the way. It writes once, so there is nothing to take back.
const purgeScript = `
local call = redis.call
local marks = call('HMGET', KEYS[1], 'import', 'purge')
if marks[1] then
  return 'an import into it is not complete'
end
if ARGV[3] ~= (marks[2] and '1' or '0') then
  return 'somebody else purges it'
end
local now = call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
for _, lease in ipairs(call('HVALS', KEYS[2])) do
  local till = tonumber(string.match(lease, '^%d+'))
  if till and till > ms then
    return 'a run, or an act, may still grant: end it, and wait until its lease is over (' ..
      math.ceil((till - ms) / 1000) .. ' s)'
  end
end
call('HSET', KEYS[1], 'version', ARGV[1], 'granter', '(it was purged)', 'purge', ARGV[2])
return 1`

var purgeCall = newScript(purgeScript)

// Purger removes what a ledger has of a campaign.
type Purger struct {
	*Store
	reader *Reader
	trail  [][]string // the entries of the audit trail that Classes counted
}

// NewPurger makes a purger of a store.
func NewPurger(s *Store) *Purger { return &Purger{Store: s, reader: NewReader(s)} }

// ErrPurgeRefused means that nothing was removed, because somebody still works with the campaign.
var ErrPurgeRefused = errors.New("it cannot be purged now")

// Mark returns the mark of a purge that was begun, or is done; nil: there is none.
func (p *Purger) Mark(ctx context.Context) (*Purge, error) {
	_, _, err := p.reader.Format(ctx)
	if found, ok := errors.AsType[*PurgedError](err); ok {
		return &found.Purge, nil
	}
	return nil, err
}

// Busy names who publishes the campaign's journals or tells its hooks: they would write what is being removed.
func (p *Purger) Busy(ctx context.Context) (names []string, err error) {
	prefix := "granter:{" + p.keys.campaign + "}:publisher:"
	err = p.reader.scanKeys(ctx, escapePattern(prefix)+"*", func(key string) {
		names = append(names, strings.TrimPrefix(key, prefix))
	})
	return names, err
}

// Begin marks the ledger, from when on nobody can be granted by it. goesOn says that it is marked already.
func (p *Purger) Begin(ctx context.Context, mark *Purge, goesOn bool) error {
	text, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	again := "0"
	if goesOn {
		again = "1"
	}
	reply, err := p.reader.coordination.callAny(ctx, &purgeCall, []string{p.keys.format, p.keys.leases}, purged, text, again)
	if err != nil {
		return fmt.Errorf("marking the ledger: %w", err)
	}
	if why, ok := reply.Val().(string); ok {
		return fmt.Errorf("%w: %s", ErrPurgeRefused, why)
	}
	return nil
}

// Count counts the keys that Remove would remove.
func (p *Purger) Count(ctx context.Context, trail bool) (n int64, err error) {
	err = p.each(ctx, trail, func(string) { n++ })
	return n, err
}

// each visits the keys of the campaign but those that stay: the format, which has the mark, the spec, in which nobody is named,
// and, unless trail, the orders and their trail.
func (p *Purger) each(ctx context.Context, trail bool, visit func(key string)) error {
	stays := map[string]bool{p.keys.format: true, p.keys.spec: true}
	if !trail {
		stays[p.keys.control], stays[p.keys.history], stays[p.keys.refusals] = true, true, true
	}
	for _, pattern := range []string{p.keys.pattern(), "granter:{" + escapePattern(p.keys.campaign) + "}:*"} {
		err := p.reader.scanKeys(ctx, pattern, func(key string) {
			if !stays[key] {
				visit(key)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the keys, and looks again until there are none. It may be cut off anywhere, and be done again.
func (p *Purger) Remove(ctx context.Context, trail bool) (int64, error) {
	var removed atomic.Int64
	for {
		var keys []string
		if err := p.each(ctx, trail, func(key string) { keys = append(keys, key) }); err != nil || len(keys) == 0 {
			return removed.Load(), err
		}
		for len(keys) > 0 {
			some := keys[:min(len(keys), surveyPage)]
			keys = keys[len(some):]
			err := p.retry(ctx, "removing keys", func() error {
				pipe := p.client.Pipeline()
				replies := make([]*redis.IntCmd, len(some))
				for i, key := range some {
					replies[i] = pipe.Unlink(ctx, key)
				}
				_, err := pipe.Exec(ctx)
				for _, reply := range replies {
					removed.Add(reply.Val())
				}
				return named(replies, err)
			})
			if err != nil {
				return removed.Load(), fmt.Errorf("after %s keys: %w", strconv.FormatInt(removed.Load(), 10), err)
			}
		}
	}
}
