package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// keepProposed is how long the users of a proposal are kept after it can be approved no more: to look at what was done.
const keepProposed = 90 * 24 * time.Hour

// proposalScript stores a proposal and its entry in the audit trail, unless it is not as its caller saw it.
//
//	KEYS  proposals history
//	ARGV  ID, proposal expected and proposal to store, as JSON, the expected one empty: none; entry as JSON, or empty;
//	      not from then on (Unix milliseconds), or 0
//
// The reply is 1, or 0 when another proposal is there, or 2 when it is too late. An entry that cannot be stored takes the
// proposal back, by a command that has just been allowed.
const proposalScript = `
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
local time = redis.call('TIME')
if ARGV[5] ~= '0' and time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[5]) then
  return 2
end
redis.call('HDEL', KEYS[1], '')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] ~= '' then
  local done = redis.pcall('RPUSH', KEYS[2], ARGV[4])
  if type(done) == 'table' then
    if ARGV[2] == '' then
      redis.pcall('HDEL', KEYS[1], ARGV[1])
    else
      redis.pcall('HSET', KEYS[1], ARGV[1], ARGV[2])
    end
    return done
  end
end
return 1`

// aloneScript counts how many users one person did something about without a second one.
//
//	KEYS  the person's string: "span users" for each span in which there were some, with commas between
//	ARGV  users to add, how many are allowed, the length of a span and of the time that counts, in seconds; 1: only ask
//
// The reply is how many there were, and whether these were added: not, when they would be too many.
const aloneScript = `
local now, span, whole = tonumber(redis.call('TIME')[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
local add, this, had, kept = tonumber(ARGV[1]), math.floor(now / span), 0, {}
for at, users in string.gmatch(redis.call('GET', KEYS[1]) or '', '(%d+) (%d+)') do
  if (at + 1) * span + whole > now then
    had = had + users
    if tonumber(at) == this then
      add = add + users
    else
      kept[#kept + 1] = at .. ' ' .. users
    end
  end
end
if had + ARGV[1] > tonumber(ARGV[2]) then
  return {had, 0}
end
if ARGV[5] ~= '1' then
  kept[#kept + 1] = string.format('%.0f %.0f', this, add)
  redis.call('SET', KEYS[1], table.concat(kept, ','), 'EX', whole + 2 * span)
end
return {had, 1}`

var (
	proposalCall = newScript(proposalScript)
	aloneCall    = newScript(aloneScript)
)

const aloneSpan = 10 * time.Minute // users count as long as the span in which they were counted does

// Alone counts users that a person is about to do something about alone, if they are not more than allowed with those of the
// last grant.AloneFor, and says how many those were. A call whose reply is lost counts twice, which is the careful side.
func (l *Coordination) Alone(ctx context.Context, person string, users, most int64, ask bool) (had int64, ok bool, err error) {
	err = l.retry(ctx, "counting what one person does", func() error {
		reply, err := l.callAny(ctx, &aloneCall, []string{l.keys.alone + person}, users, most, int64(aloneSpan.Seconds()),
			int64(grant.AloneFor.Seconds()), strconv.Itoa(btoi(ask)))
		if err != nil {
			return err
		}
		numbers, err := reply.Int64Slice()
		if err == nil && len(numbers) != 2 {
			err = fmt.Errorf("%w: %s", ErrInconsistent, l.keys.alone+person)
		}
		if err == nil {
			had, ok = numbers[0], numbers[1] == 1
		}
		return err
	})
	return had, ok, err
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Proposals returns all proposals, oldest first, and the time by the clock that they go by.
func (l *Coordination) Proposals(ctx context.Context) (list []grant.Proposal, now time.Time, err error) {
	var found map[string]string
	err = l.retry(ctx, "reading proposals", func() error {
		node, err := l.home(ctx)
		if err != nil {
			return err
		}
		pipe := node.Pipeline()
		all, at := pipe.HGetAll(ctx, l.keys.proposals), pipe.Time(ctx)
		_, err = pipe.Exec(ctx)
		found, now = all.Val(), at.Val()
		return named([]redis.Cmder{all, at}, err)
	})
	if err != nil {
		return nil, now, err
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		var p grant.Proposal
		if err := json.Unmarshal([]byte(found[id]), &p); err != nil {
			return nil, now, fmt.Errorf("%w: %s[%s]: %w", ErrInconsistent, l.keys.proposals, id, err)
		}
		list = append(list, p)
	}
	slices.SortStableFunc(list, func(a, b grant.Proposal) int { return a.At.Compare(b.At) })
	return list, now, nil
}

// proposal returns one proposal, the text that it was read from, and the time. It makes one attempt; nil: there is none.
func (l *Coordination) proposal(ctx context.Context, id string) (p *grant.Proposal, text string, now time.Time, err error) {
	node, err := l.home(ctx)
	if err != nil {
		return nil, "", now, err
	}
	pipe := node.Pipeline()
	found, at := pipe.HGet(ctx, l.keys.proposals, id), pipe.Time(ctx)
	_, err = pipe.Exec(ctx)
	if err = named([]redis.Cmder{found, at}, err); err != nil {
		l.reload(ctx, Kind(err))
		return nil, "", now, err
	}
	now = at.Val().UTC().Truncate(time.Millisecond)
	if text, err = found.Result(); err != nil {
		return nil, "", now, nil //nolint:nilerr // it is redis.Nil
	}
	p = &grant.Proposal{}
	if err := json.Unmarshal([]byte(text), p); err != nil {
		return nil, "", now, fmt.Errorf("%w: %s[%s]: %w", ErrInconsistent, l.keys.proposals, id, err)
	}
	return p, text, now, nil
}

// Proposal returns the proposal of an ID as it is now; nil: there is none.
func (l *Coordination) Proposal(ctx context.Context, id string) (p *grant.Proposal, now time.Time, err error) {
	err = l.retry(ctx, "reading a proposal", func() error {
		p, _, now, err = l.proposal(ctx, id)
		return err
	})
	return p, now, err
}

// Propose stores a proposal, with what its users are in pieces, for as long as it says from now on. One that is there already
// stays, and is returned: whoever proposes the same again finds it.
func (l *Coordination) Propose(
	ctx context.Context,
	p grant.Proposal,
	within time.Duration,
	pieces [][]byte,
) (grant.Proposal, error) {
	id := p.Act.ID
	key := l.keys.proposed + id + ":" + p.Digest
	err := l.retry(ctx, "proposing acts", func() error {
		found, _, now, err := l.proposal(ctx, id)
		if err != nil || found != nil {
			if found != nil {
				p = *found
			}
			return err
		}
		// The users come first: a proposal that can be approved has all of them.
		if err := l.keepPieces(ctx, key, pieces, within+keepProposed); err != nil {
			return err
		}
		p.At, p.Act.At, p.Until, p.State = now, now, now.Add(within), grant.ProposalPending
		entry := grant.HistoryEntry{
			At: now, Action: grant.ActionPropose, Who: p.Act.Who, Via: p.Act.Via, Why: p.Act.Reason,
			Acted: &grant.Acted{Request: id, Kind: p.Act.Kind, Users: p.Users},
		}
		reply, err := l.storeProposal(ctx, &p, "", &entry, time.Time{})
		if err == nil && reply == 0 {
			err = errors.New("somebody proposed it at the same time") // and is found now
		}
		return err
	})
	return p, err
}

// keepPieces writes a list under a key of its own. An attempt that failed half way is begun anew.
func (l *Coordination) keepPieces(ctx context.Context, key string, pieces [][]byte, life time.Duration) error {
	if err := l.client.Del(ctx, key).Err(); err != nil {
		return err
	}
	for _, piece := range pieces {
		pipe := l.client.Pipeline()
		pipe.RPush(ctx, key, piece)
		pipe.PExpire(ctx, key, life)
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// Proposed returns the pieces that tell a proposal's users. They are gone some months after it was decided.
func (l *Coordination) Proposed(ctx context.Context, p *grant.Proposal) (pieces []string, err error) {
	key := l.keys.proposed + p.Act.ID + ":" + p.Digest
	err = l.retry(ctx, "reading the users of a proposal", func() error {
		pieces, err = l.client.LRange(ctx, key, 0, -1).Result()
		return err
	})
	if err == nil && len(pieces) == 0 {
		err = fmt.Errorf("%w: who it was about is not kept any more", grant.ErrRefused)
	}
	return pieces, err
}

// Decide approves or rejects a proposal, and says so in the audit trail; both or neither. It fails with grant.ErrRefused when
// it cannot be decided any more, or not by this person. The same decision may be sent again.
func (l *Coordination) Decide(ctx context.Context, id string, d grant.Decision) (grant.Proposal, error) {
	var out grant.Proposal
	var refused error
	mine := map[time.Time]bool{} // when attempts decided whose replies were lost
	err := l.retry(ctx, "deciding about a proposal", func() error {
		for {
			p, text, now, err := l.proposal(ctx, id)
			if err != nil {
				return err
			}
			if p == nil {
				refused = grant.ErrNoProposal
				return nil
			}
			if p.Decided != nil && p.Decided.Who == d.Who && mine[p.Decided.At] {
				out, refused = *p, nil
				return nil
			}
			d.At = now
			decision := d
			if out, refused = p.Decide(&decision); refused != nil {
				return nil //nolint:nilerr // that it is refused is the answer
			}
			entry := grant.HistoryEntry{
				At: now, Action: grant.ActionReject, Who: d.Who, Via: d.Via, Why: d.Why,
				Acted: &grant.Acted{Request: id, Kind: p.Act.Kind, Users: p.Users},
			}
			if d.Approve {
				entry.Action = grant.ActionApprove
			}
			mine[now] = true
			reply, err := l.storeProposal(ctx, &out, text, &entry, p.Until)
			if err != nil || reply == 1 {
				return err
			}
			// Somebody else decided meanwhile, or it is too late by now: look again.
		}
	})
	if err == nil {
		err = refused
	}
	return out, err
}

// Conclude notes what became of a proposal that was approved, in the audit trail, too: once, however many have carried it out at
// the same time.
func (l *Coordination) Conclude(ctx context.Context, id string, line grant.HistoryEntry) error {
	return l.retry(ctx, "noting what became of a proposal", func() error {
		p, text, now, err := l.proposal(ctx, id)
		if err != nil || p == nil || p.State != grant.ProposalApproved {
			return err
		}
		line.At, p.State, p.Result = now, grant.ProposalDone, line.Acted
		_, err = l.storeProposal(ctx, p, text, &line, time.Time{})
		return err
	})
}

func (l *Coordination) storeProposal(
	ctx context.Context, p *grant.Proposal, expected string, entry *grant.HistoryEntry, before time.Time,
) (int64, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return 0, err
	}
	line, until := []byte{}, int64(0)
	if entry != nil {
		if line, err = json.Marshal(entry); err != nil {
			return 0, err
		}
	}
	if !before.IsZero() {
		until = before.UnixMilli()
	}
	return l.call(ctx, &proposalCall, []string{l.keys.proposals, l.keys.history}, p.Act.ID, expected, text, line, until)
}
