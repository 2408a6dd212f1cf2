package ledger

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// A ledger has a format, in a key of its own, so that what a newer granter wrote is not misread by an older one.
//
//	1  granter 0.1: the key is missing; journal entries are of version 1
//	2  granter 0.2: journal entries may be of version 2, which say what they record
//
// A run raises the format when it takes its lease (specScript), before it grants anybody; format 1 and 2 are read.
const (
	format      = 2
	formatSince = "0.2" // the first version of granter that knows it
)

// FormatError says that a newer granter wrote the ledger, and this one cannot read all of it.
type FormatError struct {
	Key   string // where it is said
	Found string
	Since string // the first version of granter that knows it; empty: that is not known
}

func (e *FormatError) Error() string {
	needs := "a newer granter"
	if e.Since != "" {
		needs = "granter " + e.Since + " or later"
	}
	return fmt.Sprintf("%s: the ledger has format %s, and this granter knows up to %d: use %s", e.Key, e.Found, format, needs)
}

// askFormat adds to a pipeline the question which format the ledger has.
func (l *Store) askFormat(ctx context.Context, pipe redis.Pipeliner) *redis.SliceCmd {
	return pipe.HMGet(ctx, l.keys.format, "version", "granter", "import", "purge")
}

// checkFormat returns a *FormatError if the answer to askFormat is a format that is not known.
func (l *Store) checkFormat(reply *redis.SliceCmd) error {
	fields := reply.Val()
	if len(fields) < 4 || fields[0] == nil {
		return nil
	}
	for i, read := range []func(string) error{l.readImport, l.readPurge} {
		if mark, _ := fields[2+i].(string); mark != "" {
			return read(mark)
		}
	}
	found, _ := fields[0].(string)
	since, _ := fields[1].(string)
	n, err := strconv.Atoi(found)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.format, err)
	case n > format:
		return &FormatError{l.keys.format, found, since}
	}
	return nil
}
