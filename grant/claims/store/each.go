package store

import "context"

// Each calls fn with each claim of a programme, in the order of their numbers, and reads no more than some of them at a time.
func (s *Store) Each(ctx context.Context, programme string, fn func(*Claim) error) error {
	filter := Filter{Programme: programme, Limit: chunkOfArrays}
	for {
		lines, err := s.List(ctx, filter)
		if err != nil || len(lines) == 0 {
			return err
		}
		ids := IDs(lines)
		list, err := s.Get(ctx, ids...)
		if err != nil {
			return err
		}
		for _, c := range list {
			if err := fn(c); err != nil {
				return err
			}
		}
		filter.After = ids[len(ids)-1]
	}
}
