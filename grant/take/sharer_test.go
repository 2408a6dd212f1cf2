package take

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a ledger whose calls take a second, and which refuses odd users.
type slow struct {
	mu    sync.Mutex
	calls []int
	err   error
}

func (s *slow) Take(_ context.Context, _ *grant.Campaign, wishes []ledger.Take) ([]ledger.Taken, error) {
	time.Sleep(time.Second) // in a bubble of synctest
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, len(wishes))
	if s.err != nil {
		return nil, s.err
	}
	out := make([]ledger.Taken, len(wishes))
	for i, w := range wishes {
		out[i] = ledger.Taken{Outcome: grant.OutcomeTaken, At: time.Unix(int64(w.User.Number()), 0)}
		if w.User.Number()%2 == 1 {
			out[i] = ledger.Taken{Outcome: grant.OutcomeNotGranted}
		}
	}
	return out, nil
}

// Those who come while two calls are under way go together in the next ones, and each gets an answer of their own.
func TestWhoComesAtTheSameTimeSharesACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &slow{}
		s := &Sharer{Ledger: led, Timeout: time.Minute}
		var work sync.WaitGroup
		for user := range 2 + 300 {
			work.Go(func() {
				got, err := s.Take(ledger.Take{User: grant.NumberID(uint64(user))})
				if err != nil || (user%2 == 0) != got.Outcome.Has() || got.Outcome.Has() && got.At.Unix() != int64(user) {
					t.Errorf("user %d: %v %v", user, got, err)
				}
			})
			synctest.Wait() // one after the other
		}
		began := time.Now()
		work.Wait()
		slices.Sort(led.calls) // both free calls come back at the same moment: either one's leader hands over first
		require.Equal(t, []int{1, 1, 44, 256}, led.calls)
		require.Equal(t, 2*time.Second, time.Since(began))
		require.Zero(t, s.wishes.Calls())
	})
}

func TestAnErrorIsEverybodysInTheCallAndNobodysElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &slow{err: errors.New("away")}
		s := &Sharer{Ledger: led, Timeout: time.Minute}
		var work sync.WaitGroup
		for range 5 {
			work.Go(func() {
				_, err := s.Take(ledger.Take{})
				if err == nil {
					t.Error("nobody was told")
				}
			})
		}
		work.Wait()
		led.err = nil
		_, err := s.Take(ledger.Take{})
		require.NoError(t, err)
	})
}

func TestTooManyAreTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sharer{Ledger: &slow{}, Timeout: time.Minute}
		var work sync.WaitGroup
		for range limits.Calls + limits.Waiting {
			work.Go(func() { _, _ = s.Take(ledger.Take{}) })
		}
		synctest.Wait()
		_, err := s.Take(ledger.Take{})
		require.ErrorIs(t, err, ErrBusy)
		work.Wait()
	})
}
