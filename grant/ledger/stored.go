package ledger

import (
	"context"
	"fmt"
	"slices"
)

// StoredChunk is one chunk as Redis has it, for whoever reads it by other code than the ledger's: the layout of the bitmaps
// is in keys.go, that of the entries in entry.go. What belongs together is of one moment. A bucket is one without bitmaps, whose
// entries are those of bucket.go.
type StoredChunk struct {
	Granted  string   // bitmap of who is settled
	Excluded string   // bitmap of those of them who are excluded
	Entries  int64    // of the journal, at that moment
	Misused  []string // keys of a wrong type, and other things that cannot be; they count as empty
}

// Stored reads a chunk, and hands the entries of its journal to entry, oldest first, before it returns; entry is told to begin
// anew by at = 0, when Redis has failed meanwhile. The entries are not decoded.
func (l *Reader) Stored(ctx context.Context, chunk uint64, entry func(at int64, text string)) (StoredChunk, error) {
	var out StoredChunk
	err := l.retry(ctx, fmt.Sprintf("reading chunk %d", chunk), func() (err error) {
		out, err = l.stored(ctx, chunk, entry)
		return err
	})
	return out, err
}

func (l *Reader) stored(ctx context.Context, chunk uint64, entry func(at int64, text string)) (StoredChunk, error) {
	keys := l.keys.chunk(chunk, "")
	var p chunkProof
	s, err := l.look(ctx, &keys, &p)
	out := StoredChunk{Granted: s.bitmap, Excluded: s.excluded, Entries: s.entries, Misused: p.violations}
	if err != nil {
		return out, err
	}
	page, size := s.page, int64(lookupPage)
	if l.campaign.Input.Opaque() {
		size = journalPage // its entries are larger
	}
	for at := int64(0); at < s.entries; {
		if len(page) == 0 {
			out.Misused = append(out.Misused, keys.journal+" became shorter")
			return out, nil
		}
		for _, text := range page[:min(int64(len(page)), s.entries-at)] {
			entry(at, text)
			at++
		}
		if at == s.entries {
			break
		}
		if page, err = l.client.LRange(ctx, keys.journal, at, at+size-1).Result(); err != nil {
			return out, fmt.Errorf("%s: %w", keys.journal, err)
		}
	}
	return out, nil
}

// StoredChunks returns every chunk that there is, ascending: those of the index, and those that the masters have. unlisted are
// those that the index lacks; damage says why the index cannot be read.
func (l *Reader) StoredChunks(ctx context.Context) (chunks, unlisted []uint64, damage string, err error) {
	found, err := l.survey(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	if found.index != nil {
		return found.chunks(), nil, found.index.Error(), nil //nolint:nilerr // it is the answer: the index is damaged
	}
	listed, err := l.Chunks(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	chunks = append(found.chunks(), listed...)
	slices.Sort(chunks)
	return slices.Compact(chunks), found.unlisted, "", nil
}
