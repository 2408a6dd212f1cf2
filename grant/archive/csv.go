package archive

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
)

// columns are those of the table that WriteCSV writes: one row for each user of each journal entry, by chunk, then by time.
var columns = []string{"user", "at", "what", "run", "shard", "flush", "act", "who", "reason"}

// WriteCSV writes what the journals of a ledger say as a table for SQL: who was granted when, by which flush of which run, and
// what people did about single users. It returns how many rows there are.
func WriteCSV(ctx context.Context, s Subject, w io.Writer) (rows int64, err error) {
	if _, _, err := s.Reader.Format(ctx); err != nil {
		return 0, err
	}
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return 0, err
	}
	var e ledger.Entry
	var lows []uint16
	_, err = s.Reader.ReadParts(ctx, func(p ledger.Part) error {
		if !p.OfChunk || p.Name != "journal" {
			return nil
		}
		for i, text := range p.Items {
			if err := e.UnmarshalBinary([]byte(text)); err != nil {
				return fmt.Errorf("%w: chunk %d, entry %d: %w", ledger.ErrInconsistent, p.Chunk, i, err)
			}
			row := []string{"", e.At.Format("2006-01-02T15:04:05.000Z07:00"), "grant", "", "", "", "", "", ""}
			if a := e.Act; a != nil {
				row[2], row[6], row[7], row[8] = string(a.Kind), a.ID, a.Who, a.Reason
			} else {
				row[3], row[4], row[5] = e.Run.String(), strconv.Itoa(e.Shard), strconv.FormatUint(e.Flush, 10)
			}
			lows = e.Members.Lows(lows[:0])
			for _, low := range lows {
				row[0] = strconv.FormatUint(dense.Join(p.Chunk, low), 10)
				if err := out.Write(row); err != nil {
					return err
				}
				rows++
			}
		}
		return nil
	})
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	return rows, err
}
