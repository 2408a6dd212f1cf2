// Package accesslog records who has read whose record: each read of a person's record is an entry in Redis, written before
// the answer is given. Entries are chained: each has the SHA-256 of the one before and of itself, so that none can be changed,
// left out or put between without every later one giving it away. Who can write to Redis can make the whole chain anew;
// whoever keeps a Head elsewhere notices that, too (Verify).
//
//	granter:{/reads}:log   stream  each entry: says (JSON of Entry), digest (of the digest before and of says)
//	granter:{/reads}:head  hash    n, digest: of the last entry; first_n, first_digest: of the last that Purge removed
package accesslog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

const (
	logKey  = "granter:{/reads}:log"
	headKey = "granter:{/reads}:head"
)

// What somebody did with records.
type What string

// The kinds of access. A removal is an entry itself, so that what is gone is known to be.
const (
	WhatLookup  What = "lookup"  // saw what the ledger says of a user
	WhatReceipt What = "receipt" // got a receipt of a user
	WhatPurge   What = "purge"   // removed old entries of this log
)

// Entry is one access to the record of one person.
type Entry struct {
	N    int64         `json:"n"`  // 1 for the first
	At   time.Time     `json:"at"` // by the clock of Redis, to the millisecond
	Who  string        `json:"who"`
	From string        `json:"from"` // the address it came from; of a command line the host
	What What          `json:"what"`
	Why  string        `json:"why,omitempty"`
	User *grant.UserID `json:"user,omitempty"` // whose record; none for a purge
	Many int           `json:"many,omitempty"` // how many records were read at once, if more than one
	Gone int64         `json:"gone,omitempty"` // of a purge: entries up to this one were removed
}

// Access is what somebody is about to read.
type Access struct {
	Who, From, Why string
	What           What
	Users          []grant.UserID
}

// Head names the end of a log, for keeping it elsewhere.
type Head struct {
	N      int64
	Digest string // hex of 32 bytes; empty if N is 0
}

func (h Head) String() string { return fmt.Sprintf("%d:%s", h.N, h.Digest) }

// ParseHead reads what String writes.
func ParseHead(s string) (Head, error) {
	var h Head
	n, digest, _ := strings.Cut(s, ":")
	h.Digest = digest
	var err error
	h.N, err = strconv.ParseInt(n, 10, 64)
	if raw, bad := hex.DecodeString(digest); err != nil || bad != nil || h.N < 1 || len(raw) != sha256.Size {
		return Head{}, fmt.Errorf("%q names no end of an access log: want NUMBER:DIGEST, as granter access verify prints it", s)
	}
	return h, nil
}

// Log is the access log of one Redis. It is safe for concurrent use, by several processes, too.
type Log struct {
	client redis.UniversalClient
}

// New makes the log of a Redis. It does not own the client.
func New(client redis.UniversalClient) *Log { return &Log{client} }

const (
	perCall = 500 // entries of one script call
	tries   = 50  // others append between reading the end and appending to it
)

// Record appends an entry for each user. It fails when the log cannot be written, and then nobody may see the records; entries
// may be there all the same.
func (l *Log) Record(ctx context.Context, a Access) error {
	for users := a.Users; len(users) > 0; {
		some := users[:min(len(users), perCall)]
		users = users[len(some):]
		entries := make([]Entry, len(some))
		for i := range some {
			entries[i] = Entry{Who: a.Who, From: a.From, What: a.What, Why: a.Why, User: &some[i]}
			if len(a.Users) > 1 {
				entries[i].Many = len(a.Users)
			}
		}
		if err := l.append(ctx, entries, nil); err != nil {
			return fmt.Errorf("recording who reads this: %w", err)
		}
	}
	return nil
}

// purge is what a removal changes besides: where the log begins.
type purge struct {
	below string // ID of the first entry that stays; all before it go
	last  Head   // the last that goes
}

// append chains entries to the end, wherever that is when it comes.
func (l *Log) append(ctx context.Context, entries []Entry, p *purge) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = time.Millisecond
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		head, now, err := l.end(ctx)
		if err != nil {
			return struct{}{}, backoff.Permanent(err)
		}
		args, err := chain(head, now, entries, p)
		if err != nil {
			return struct{}{}, backoff.Permanent(err)
		}
		done, err := appendScript.Run(ctx, l.client, []string{logKey, headKey}, args...).Int()
		if err != nil {
			return struct{}{}, backoff.Permanent(err)
		}
		if done == 0 {
			return struct{}{}, errors.New("others have always been faster: try again")
		}
		return struct{}{}, nil
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(tries))
	return err
}

// end returns the end of the log, and the time.
func (l *Log) end(ctx context.Context) (Head, time.Time, error) {
	var h Head
	reply, err := endScript.Run(ctx, l.client, []string{headKey}).StringSlice()
	if err != nil {
		return h, time.Time{}, err
	}
	if h.N, err = strconv.ParseInt(reply[0], 10, 64); err != nil {
		return h, time.Time{}, fmt.Errorf("%s: n: %w", headKey, err)
	}
	h.Digest = reply[1]
	ms, err := strconv.ParseInt(reply[2], 10, 64)
	return h, time.UnixMilli(ms).UTC(), err
}

// chain makes the arguments of appendScript.
func chain(head Head, now time.Time, entries []Entry, p *purge) ([]any, error) {
	below, first := "", Head{}
	if p != nil {
		below, first = p.below, p.last
	}
	args := []any{head.N, head.Digest, below, first.N, first.Digest}
	for i := range entries {
		e := &entries[i]
		e.N, e.At = head.N+1, now
		says, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		head = Head{e.N, digest(head.Digest, says)}
		args = append(args, says, head.Digest)
	}
	return append(args, head.N), nil
}

// digest is the SHA-256 of the digest before, as it is written, and of what an entry says.
func digest(before string, says []byte) string {
	sum := sha256.Sum256(append([]byte(before), says...))
	return hex.EncodeToString(sum[:])
}

// endScript reads the end of the log, and the time in Unix milliseconds.
//
//	KEYS  head
var endScript = redis.NewScript(`
local head = redis.call('HMGET', KEYS[1], 'n', 'digest')
local now = redis.call('TIME')
return {head[1] or '0', head[2] or '', string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))}`)

// appendScript appends entries if the end is where the caller saw it. The first write changes nothing: it finds out whether
// that is allowed.
//
//	KEYS  log head
//	ARGV  n and digest of the end; an ID: entries before it go, n and digest of the last of them (empty, 0 and empty: none);
//	      (says, digest)…, n of the new end
//
// The reply is 1, or 0 when others were faster.
var appendScript = redis.NewScript(`
local call = redis.call
local head = call('HMGET', KEYS[2], 'n', 'digest')
if (head[1] or '0') ~= ARGV[1] or (head[2] or '') ~= ARGV[2] then
  return 0
end
call('HSET', KEYS[2], 'n', ARGV[1], 'digest', ARGV[2])
for i = 6, #ARGV - 1, 2 do
  call('XADD', KEYS[1], '*', 'says', ARGV[i], 'digest', ARGV[i + 1])
end
call('HSET', KEYS[2], 'n', ARGV[#ARGV], 'digest', ARGV[#ARGV - 1])
if ARGV[3] ~= '' then
  call('HSET', KEYS[2], 'first_n', ARGV[4], 'first_digest', ARGV[5])
  call('XTRIM', KEYS[1], 'MINID', ARGV[3])
end
return 1`)
