package ledger

import (
	"context"
	"fmt"
)

// repair puts chunks back into the index that it lacks.
func (l *Grants) repair(ctx context.Context, s *survey, missing int64) error {
	if s.index != nil {
		return s.index
	}
	if len(s.unlisted) > 0 {
		lost := make([]any, len(s.unlisted))
		for i, chunk := range s.unlisted {
			lost[i] = chunk
		}
		err := l.retry(ctx, "completing the index of chunks", func() error { return l.client.SAdd(ctx, l.keys.chunks, lost...).Err() })
		if err != nil {
			return err
		}
	}
	if gone := missing - int64(len(s.unlisted)); gone > 0 {
		return fmt.Errorf("%w: %s has had %d more chunks than there are: restore Redis from a backup (granter status --prove says what is left)",
			ErrInconsistent, l.keys.chunks, gone)
	}
	if len(s.chunks()) > 0 {
		return nil
	}
	checkpoint, err := l.Checkpoints(ctx)
	if err != nil {
		return err
	}
	runs, err := l.coordination.Runs(ctx)
	if err != nil {
		return err
	}
	what := Contradiction(l.campaign.Name, Totals{}, checkpoint.Next, runs, l.campaign.Hash)
	if what == "" {
		return nil
	}
	if s, err = l.reader.survey(ctx); err != nil || len(s.chunks()) > 0 { // another run may have begun meanwhile
		return err
	}
	return fmt.Errorf("%w: %s", ErrInconsistent, what)
}
