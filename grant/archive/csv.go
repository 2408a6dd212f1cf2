package archive

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/sharding/dense"
)

// columns are those of the table that WriteCSV writes: one row for each user of each journal entry, by chunk, then by time.
var columns = []string{"user", "at", "what", "run", "shard", "flush", "act", "who", "reason"}

// WriteCSV writes what the journals of a ledger say as a table for SQL: who was granted when, by which flush of which run, and
// what people did about single users. What people wrote begins with an apostrophe where a spreadsheet would take it for a
// formula. It returns how many rows there are.
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
		erased, err := ledger.ErasuresIn(p.Items)
		var ofMembers ledger.MemberErasures
		if err == nil && ledger.OfBucket(p.Items[0]) {
			ofMembers, err = ledger.MemberErasuresIn(p.Items)
		}
		if err != nil {
			return fmt.Errorf("%w: chunk %d: %w", ledger.ErrInconsistent, p.Chunk, err)
		}
		for i, item := range p.Items {
			members, err := membersOf(&e, item)
			if err != nil {
				return fmt.Errorf("%w: chunk %d, entry %d: %w", ledger.ErrInconsistent, p.Chunk, i, err)
			}
			row := []string{"", e.At.Format("2006-01-02T15:04:05.000Z07:00"), "grant", "", "", "", "", "", ""}
			if a := e.Act; a != nil {
				row[2], row[6], row[7] = string(a.Kind), text.Cell(a.ID), text.Cell(a.Who)
			} else {
				row[3], row[4], row[5] = e.Run.String(), strconv.Itoa(e.Shard), strconv.FormatUint(e.Flush, 10)
			}
			if members != nil {
				err := members.Each(func(_ uint64, member []byte) bool {
					if e.Act != nil {
						row[8] = text.Cell(ofMembers.Told(member, e.Act).Reason)
					}
					row[0] = s.Store.UserOf(member).String()
					err = out.Write(row)
					rows++
					return err == nil
				})
				if err != nil {
					return err
				}
				continue
			}
			lows = e.Members.Lows(lows[:0])
			for _, low := range lows {
				row[0] = strconv.FormatUint(dense.Join(p.Chunk, low), 10)
				if e.Act != nil {
					row[8] = text.Cell(erased.Told(low, e.Act).Reason)
				}
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

// membersOf reads an entry. Of a bucket it returns the members; of a chunk they are in the entry.
func membersOf(e *ledger.Entry, item string) (*ledger.BucketMembers, error) {
	if !ledger.OfBucket(item) {
		return nil, e.UnmarshalBinary([]byte(item))
	}
	members, err := e.UnmarshalBucket([]byte(item))
	if err == nil {
		err = e.DecodeAct()
	}
	return &members, err
}
