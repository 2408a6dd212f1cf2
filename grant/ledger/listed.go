package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// Listed says what became of the lists of users whom a campaign excludes when they were read last. It is a field of the spec's
// key; who is excluded is in the chunks alone.
type Listed struct {
	Spec  string      `json:"spec"` // hash of the spec that names the lists
	At    time.Time   `json:"at"`   // by the clock of Redis
	Run   grant.RunID `json:"run"`
	Users int64       `json:"users"` // who are on them
	// Granted are those of them who were granted before they were listed: they have the campaign until somebody revokes it.
	Granted int64 `json:"granted"`
}

// listedField is the field of the spec's key.
const listedField = "excluded"

// SetListed notes that everybody on the lists of the campaign is settled.
func (l *Coordination) SetListed(ctx context.Context, listed Listed) error {
	return l.retry(ctx, "noting that lists are settled", func() error {
		now, err := l.client.Time(ctx).Result()
		if err != nil {
			return err
		}
		listed.At, listed.Spec = now.UTC().Truncate(time.Millisecond), l.campaign.Hash
		text, err := json.Marshal(listed)
		if err != nil {
			return err
		}
		return l.client.HSet(ctx, l.keys.spec, listedField, text).Err()
	})
}

// Listed returns what became of the lists of the campaign's spec; nil: no run has settled them yet, or there are none.
func (l *Coordination) Listed(ctx context.Context) (listed *Listed, err error) {
	var text string
	err = l.retry(ctx, "reading whether lists are settled", func() error {
		text, err = l.client.HGet(ctx, l.keys.spec, listedField).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return l.parseListed(text)
}

// parseListed reads the field; empty: there is none.
func (l *Store) parseListed(text string) (*Listed, error) {
	if text == "" {
		return nil, nil // no run has settled any list
	}
	listed := new(Listed)
	if err := json.Unmarshal([]byte(text), listed); err != nil {
		return nil, fmt.Errorf("%w: %s, field %s: %w", ErrInconsistent, l.keys.spec, listedField, err)
	}
	if listed.Spec != l.campaign.Hash {
		return nil, nil // it was of another spec, under which nobody was granted
	}
	return listed, nil
}
