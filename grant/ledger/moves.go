package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/granter/granter/grant"
)

// AccountMove is a move of a grant to another account that has begun, and perhaps not come to its end.
type AccountMove struct {
	User grant.UserID `json:"user"` // who has it before
	Act  grant.Act    `json:"act"`  // of that user
}

// BeginMove notes that a move begins. A note of the same user is kept: that move is to be continued.
func (l *Acts) BeginMove(ctx context.Context, m AccountMove) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return l.retry(ctx, "noting a move", func() error {
		return l.client.HSetNX(ctx, l.keys.moves, m.User.String(), text).Err()
	})
}

// EndMove takes the note away.
func (l *Acts) EndMove(ctx context.Context, m AccountMove) error {
	return l.retry(ctx, "ending a move", func() error {
		return l.client.HDel(ctx, l.keys.moves, m.User.String()).Err()
	})
}

// Moves returns the moves that have not come to their end.
func (l *Acts) Moves(ctx context.Context) ([]AccountMove, error) { return l.reader.Moves(ctx) }

// Moves returns the moves that have not come to their end.
func (l *Reader) Moves(ctx context.Context) ([]AccountMove, error) {
	var found map[string]string
	err := l.retry(ctx, "reading moves", func() (err error) {
		if found, err = l.client.HGetAll(ctx, l.keys.moves).Result(); err != nil {
			err = fmt.Errorf("%s: %w", l.keys.moves, err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	moves := make([]AccountMove, 0, len(found))
	for _, field := range slices.Sorted(maps.Keys(found)) {
		var m AccountMove
		if err := json.Unmarshal([]byte(found[field]), &m); err != nil {
			return nil, fmt.Errorf("%w: %s[%s]: %w", ErrInconsistent, l.keys.moves, field, err)
		}
		moves = append(moves, m)
	}
	return moves, nil
}
