package ledger

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// What became of rejected records that were repaired is remembered in three keys, so that a record is replayed once,
// whoever is killed in between and whoever else replays it in another way: first a letter is claimed for one user, then
// the user is granted, then it is settled. A second replay of a claimed letter grants the user of the claim, and no other.
// They take some 250 bytes for each replayed letter.

// Claim is which user a rejected record was found to mean, and by which run. Letter names the record: the identity of its
// topic, partition and offset, with slashes between.
type Claim struct {
	Letter string
	User   grant.UserID
	Run    grant.RunID
}

// LetterState is what became of a letter: nothing, if it was not claimed.
type LetterState struct {
	Claim              // its Letter is empty: nobody has claimed it
	Granted, Duplicate bool
}

// Settled reports whether nothing is left to do.
func (s *LetterState) Settled() bool { return s.Granted || s.Duplicate }

// replayPage is how many letters are asked about in one pipeline.
const replayPage = 4096

// Letters returns what became of some letters, in their order.
func (l *Coordination) Letters(ctx context.Context, letters []string) ([]LetterState, error) {
	out := make([]LetterState, 0, len(letters))
	for len(letters) > 0 {
		page := letters[:min(len(letters), replayPage)]
		letters = letters[len(page):]
		var claims *redis.SliceCmd
		granted, duplicate := make([]*redis.BoolCmd, len(page)), make([]*redis.BoolCmd, len(page))
		err := l.retry(ctx, "asking about replayed letters", func() error {
			pipe := l.client.Pipeline()
			claims = pipe.HMGet(ctx, l.keys.replays, page...)
			cmds := append(make([]redis.Cmder, 0, 1+2*len(page)), claims)
			for i, name := range page { // SMISMEMBER needs Redis 6.2
				granted[i] = pipe.SIsMember(ctx, l.keys.replayedNew, name)
				duplicate[i] = pipe.SIsMember(ctx, l.keys.replayedOld, name)
				cmds = append(cmds, granted[i], duplicate[i])
			}
			_, err := pipe.Exec(ctx)
			return named(cmds, err)
		})
		if err != nil {
			return nil, err
		}
		for i, name := range page {
			s := LetterState{Granted: granted[i].Val(), Duplicate: duplicate[i].Val()}
			if text, ok := claims.Val()[i].(string); ok {
				if s.Claim, err = l.readClaim(name, text); err != nil {
					return nil, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.replays, err)
				}
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// ClaimLetters claims letters for users, and returns the claims that hold: who came first decides.
func (l *Coordination) ClaimLetters(ctx context.Context, claims []Claim) ([]Claim, error) {
	out := make([]Claim, 0, len(claims))
	for len(claims) > 0 {
		page := claims[:min(len(claims), replayPage)]
		claims = claims[len(page):]
		replies := make([]*redis.StringCmd, len(page))
		err := l.retry(ctx, "claiming letters", func() error {
			pipe := l.client.Pipeline()
			cmds := make([]redis.Cmder, 0, 2*len(page))
			for i, c := range page {
				cmds = append(cmds, pipe.HSetNX(ctx, l.keys.replays, c.Letter, fmt.Sprint(c.User, " ", c.Run)))
				replies[i] = pipe.HGet(ctx, l.keys.replays, c.Letter)
				cmds = append(cmds, replies[i])
			}
			_, err := pipe.Exec(ctx)
			return named(cmds, err)
		})
		if err != nil {
			return nil, err
		}
		for i, c := range page {
			held, err := l.readClaim(c.Letter, replies[i].Val())
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.replays, err)
			}
			out = append(out, held)
		}
	}
	return out, nil
}

// readClaim reads a user ID, which may have spaces, and a run.
func (l *Store) readClaim(letter, text string) (Claim, error) {
	at := max(0, strings.LastIndexByte(text, ' '))
	c := Claim{Letter: letter, User: grant.TextID(text[:at])}
	var err error
	c.Run, err = grant.ParseRunID(strings.TrimPrefix(text[at:], " "))
	if err != nil || at == 0 || !c.User.IsNumber() && !l.Buckets() {
		return Claim{}, fmt.Errorf("letter %s: %q: want a user ID and a run", letter, text)
	}
	return c, nil
}

// SettleLetters records what came of granting the users of claimed letters. It may be repeated.
func (l *Coordination) SettleLetters(ctx context.Context, granted, duplicate []string) error {
	for _, set := range []struct {
		key     string
		letters []string
	}{{l.keys.replayedNew, granted}, {l.keys.replayedOld, duplicate}} {
		for letters := set.letters; len(letters) > 0; {
			page := make([]any, min(len(letters), replayPage))
			for i := range page {
				page[i] = letters[i]
			}
			letters = letters[len(page):]
			err := l.retry(ctx, "recording replayed letters", func() error {
				if err := l.client.SAdd(ctx, set.key, page...).Err(); err != nil {
					return fmt.Errorf("%s: %w", set.key, err)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Replays counts the letters that were replayed.
func (l *Reader) Replays(ctx context.Context) (r grant.Replays, err error) {
	err = l.retry(ctx, "counting replayed letters", func() error {
		pipe := l.client.Pipeline()
		granted, duplicate := pipe.SCard(ctx, l.keys.replayedNew), pipe.SCard(ctx, l.keys.replayedOld)
		_, err := pipe.Exec(ctx)
		r = grant.Replays{Granted: granted.Val(), Duplicate: duplicate.Val()}
		return named([]redis.Cmder{granted, duplicate}, err)
	})
	return r, err
}
