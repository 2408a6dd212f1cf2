package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// importing is the format of a ledger that an import has not completed: no granter knows it, so none grants, answers or orders
// anything by it.
const importing = "1000000"

// Import says which import a ledger is waiting for.
type Import struct {
	Archive string    `json:"archive"` // SHA-256 of what is imported
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
}

// ImportingError says that an import into the ledger is not complete. An older granter takes it for a newer format.
type ImportingError struct {
	Import

	Key string
}

func (e *ImportingError) Error() string {
	return fmt.Sprintf("%s: an import into this ledger is not complete (begun by %s at %s): nobody may be granted by it. "+
		"Do it again with the same file: granter import", e.Key, e.Who, e.At.UTC().Format(time.RFC3339))
}

// readImport makes the error that a mark of an import is; nil: it is none.
func (l *Store) readImport(text string) error {
	if text == "" {
		return nil
	}
	e := &ImportingError{Key: l.keys.format}
	if err := json.Unmarshal([]byte(text), &e.Import); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.format, err)
	}
	return e
}

// importScript marks a ledger as one that is being imported, unless something is there.
//
//	KEYS  format spec chunks leases control
//	ARGV  the format that no granter knows, import as JSON, archive
//
// The reply is 1; 2, when an import of this archive was begun before; or what is there. It writes once, so there is nothing to
// take back.
const importScript = `
local old = redis.call('HGET', KEYS[1], 'import')
if old then
  if cjson.decode(old).archive == ARGV[3] then
    return 2
  end
  return old
end
for i = 1, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return KEYS[i]
  end
end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'granter', '(an import that is not complete)', 'import', ARGV[2])
return 1`

// Restorer writes a copy of a ledger to where no such campaign is.
type Restorer struct {
	*Store
	coordination *Coordination
	reader       *Reader
}

// NewRestorer makes a restorer of a store.
func NewRestorer(s *Store) *Restorer { return &Restorer{s, NewCoordination(s), NewReader(s)} }

// ErrOccupied means that the campaign is in the ledger already.
var ErrOccupied = errors.New("the ledger has this campaign")

// Begin marks the ledger, so that nobody grants, answers or orders anything by it before End. It fails with ErrOccupied where
// anything of the campaign is, and with an *ImportingError where an import of another archive was begun. One of the same
// archive goes on.
func (r *Restorer) Begin(ctx context.Context, mark Import) error {
	text, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	var reply any
	err = r.retry(ctx, "beginning the import", func() (err error) {
		if err := r.checkAnchors(ctx); err != nil {
			return err
		}
		keys := []string{r.keys.format, r.keys.spec, r.keys.chunks, r.keys.leases, r.keys.control}
		reply, err = r.client.Eval(ctx, importScript, keys, importing, text, mark.Archive).Result()
		return err
	})
	switch found := reply.(type) {
	case string:
		if err == nil && found[0] == '{' {
			return r.readImport(found)
		}
		return fmt.Errorf("%w: %s is there", ErrOccupied, found)
	case int64:
		if err == nil && found == 1 {
			return r.empty(ctx)
		}
	}
	return err
}

// empty takes the mark back if the masters have chunks of the campaign all the same.
func (r *Restorer) empty(ctx context.Context) error {
	s, err := r.reader.survey(ctx)
	if err != nil || len(s.chunks()) == 0 {
		return err
	}
	if err := r.client.Del(ctx, r.keys.format).Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w: chunk %d is there, which its index lacks", ErrOccupied, s.chunks()[0])
}

// Chunk writes all keys of a chunk, at once, in place of what an import that was cut off left of them.
func (r *Restorer) Chunk(ctx context.Context, chunk uint64, parts []Part) error {
	return r.retry(ctx, fmt.Sprintf("writing chunk %d", chunk), func() error {
		if err := r.client.SAdd(ctx, r.keys.chunks, chunk).Err(); err != nil { // before what it must cover
			return err
		}
		pipe := r.client.TxPipeline()
		for i := range parts {
			r.put(ctx, pipe, &parts[i], true)
		}
		_, err := pipe.Exec(ctx)
		return err
	})
}

// Page writes a page of a key that is of no chunk; the first one replaces what is there. Leave out those of Volatile.
func (r *Restorer) Page(ctx context.Context, p Part, first bool) error {
	return r.retry(ctx, "writing "+p.Name, func() error {
		if !first && p.Kind == PartList { // a page whose answer was lost would come twice
			return r.appendOnce(ctx, &p)
		}
		pipe := r.client.TxPipeline()
		r.put(ctx, pipe, &p, first)
		_, err := pipe.Exec(ctx)
		return err
	})
}

// appendOnce appends a page of a list. It makes one attempt: what came of a lost one is not known.
func (r *Restorer) appendOnce(ctx context.Context, p *Part) error {
	if err := r.client.RPush(ctx, r.key(p), items(p.Items)...).Err(); err != nil {
		return errors.New(r.key(p) + ": " + err.Error() + ": do the import again") // so that retry does not
	}
	return nil
}

func items(list []string) []any {
	out := make([]any, len(list))
	for i, item := range list {
		out[i] = item
	}
	return out
}

func (r *Restorer) key(p *Part) string {
	tag := r.keys.campaign
	if p.OfChunk {
		tag += "/" + strconv.FormatUint(p.Chunk, 10)
	}
	return "granter:{" + tag + "}:" + p.Name
}

func (r *Restorer) put(ctx context.Context, pipe redis.Pipeliner, p *Part, replace bool) {
	key := r.key(p)
	if replace {
		pipe.Del(ctx, key)
	}
	for page := range slices.Chunk(p.Items, partPage) { // Redis takes a million arguments, and Lua fewer
		switch p.Kind {
		case PartString:
			pipe.Set(ctx, key, page[0], 0)
		case PartList:
			pipe.RPush(ctx, key, items(page)...)
		case PartHash:
			pipe.HSet(ctx, key, items(page)...)
		case PartSet:
			pipe.SAdd(ctx, key, items(page)...)
		}
	}
}

// Checkpoint writes a checkpoint to every master of this ledger, whatever masters it came from.
func (r *Restorer) Checkpoint(ctx context.Context, c NamedCheckpoint) error {
	fields := []any{}
	if c.Topic != (grant.TopicID{}) {
		fields = append(fields, "topic", c.Topic.String())
	}
	for partition, next := range c.Next {
		fields = append(fields, partition, next)
		if epoch := c.Epoch(partition); epoch >= 0 {
			fields = append(fields, "e"+strconv.Itoa(partition), epoch)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	at := r.keys
	at.pass = c.Pass
	return r.retry(ctx, "writing the checkpoint", func() error {
		pipe := r.client.Pipeline()
		for _, anchor := range at.anchors {
			key := at.checkpoint(anchor, c.Version)
			pipe.Del(ctx, key)
			pipe.HSet(ctx, key, fields...)
		}
		_, err := pipe.Exec(ctx)
		return err
	})
}

// End makes the ledger one of its own format, which is 0 for what granter 0.1 left, so that it may be granted by again.
func (r *Restorer) End(ctx context.Context, version int, since, zone string) error {
	return r.retry(ctx, "completing the import", func() error {
		if zone != "" {
			if err := r.client.HSet(ctx, campaignsKey, r.campaign.Name, zone).Err(); err != nil {
				return err
			}
		}
		pipe := r.client.TxPipeline()
		pipe.Del(ctx, r.keys.format)
		if version > 0 {
			pipe.HSet(ctx, r.keys.format, "version", version, "granter", since)
		}
		_, err := pipe.Exec(ctx)
		return err
	})
}

// Format returns which format the ledger has, and the first version of granter that knows it; 0: it does not say.
func (l *Reader) Format(ctx context.Context) (version int, since string, err error) {
	err = l.retry(ctx, "reading the format", func() error {
		pipe := l.client.Pipeline()
		reply := l.askFormat(ctx, pipe)
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		if err := l.checkFormat(reply); err != nil {
			return err
		}
		text, _ := reply.Val()[0].(string)
		since, _ = reply.Val()[1].(string)
		version, _ = strconv.Atoi(text) // checkFormat has seen that it is one, or none
		return nil
	})
	return version, since, err
}
