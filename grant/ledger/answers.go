package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// answersPrefix is in front of what was answered to requests that carry a key of their own: of no campaign, and gone after a day.
const answersPrefix = "granter:answers:"

// Answers remember what was answered to requests, so that one that is sent again is answered again and not carried out again,
// by whichever desk. They promise as much as Redis does: a fail-over to a replica that lagged may forget the last ones.
type Answers struct{ client redis.UniversalClient }

// NewAnswers makes them. The client is not theirs.
func NewAnswers(client redis.UniversalClient) *Answers { return &Answers{client} }

// Begin notes that a request is being carried out, unless something is noted already: that it returns.
func (a *Answers) Begin(ctx context.Context, key string, note []byte, life time.Duration) (found []byte, err error) {
	for range 2 { // what was found may lapse before it is read
		fresh, err := a.client.SetNX(ctx, answersPrefix+key, note, life).Result()
		if err != nil {
			return nil, fmt.Errorf("noting a request: %w", err)
		}
		if fresh {
			return nil, nil
		}
		found, err = a.client.Get(ctx, answersPrefix+key).Bytes()
		if err == nil {
			return found, nil
		}
		if !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("reading what was answered: %w", err)
		}
	}
	return nil, errors.New("reading what was answered: it comes and goes")
}

// Finish notes what was answered.
func (a *Answers) Finish(ctx context.Context, key string, note []byte, life time.Duration) error {
	if err := a.client.Set(ctx, answersPrefix+key, note, life).Err(); err != nil {
		return fmt.Errorf("noting what was answered: %w", err)
	}
	return nil
}

// Forget makes the request one that may be carried out.
func (a *Answers) Forget(ctx context.Context, key string) error {
	if err := a.client.Del(ctx, answersPrefix+key).Err(); err != nil {
		return fmt.Errorf("forgetting a request: %w", err)
	}
	return nil
}
