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
//	3  granter 0.3: buckets in place of chunks, with entries of version 3; where IDs are not dense
//
// A run raises the format when it takes its lease (specScript), before it grants anybody; format 1 and 2 are read.
const (
	format       = 2
	formatBucket = 3 // of campaigns whose IDs are not dense
	formatLast   = formatBucket
	formatSince  = "0.2" // the first version of granter that knows format
)

// formatSinces are the first versions of granter that know a format.
var formatSinces = map[int]string{format: formatSince, formatBucket: "0.3"}

// formatOf returns the format in which the campaign's ledger is written.
func (l *Store) formatOf() int {
	if l.campaign.Input.Opaque() {
		return formatBucket
	}
	return format
}

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
	return fmt.Sprintf("%s: the ledger has format %s, and this granter knows up to %d: use %s", e.Key, e.Found, formatLast, needs)
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
	case n > formatLast:
		return &FormatError{l.keys.format, found, since}
	}
	return nil
}
