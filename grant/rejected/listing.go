package rejected

import (
	"context"
	"fmt"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// Record is a rejected record for people and programs: what is in JSON of the command line and of the API.
type Record struct {
	Partition int           `json:"partition"`
	Offset    int64         `json:"offset"`
	TopicID   string        `json:"topic_id,omitempty"`
	Reason    source.Reason `json:"reason"`
	Run       grant.RunID   `json:"run"`
	Key       []byte        `json:"key"`               // base64; null: there is none
	Value     []byte        `json:"value"`             // the same
	Header    []byte        `json:"header,omitempty"`  // where the spec says that a header holds the ID
	Whole     int           `json:"bytes,omitempty"`   // of key and value, where they were cut
	Replayed  *Replayed     `json:"replay,omitempty"`  // what became of it
	Headers   []Header      `json:"headers,omitempty"` // of the record in the topic, if that still has it
}

// Replayed is what became of a rejected record that somebody said the meaning of.
type Replayed struct {
	User   grant.UserID `json:"user"`
	Run    grant.RunID  `json:"run"`
	Result Result       `json:"result,omitempty"` // missing: a replay was cut off; do it again
}

// Header is one of the record in the topic.
type Header struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// Place is where it was.
func (r *Record) Place() Place { return Place{r.Partition, r.Offset} }

// Holder is what should have been a user ID: the part of the record in which the spec says it is.
func (r *Record) Holder(in *grant.Input) []byte {
	parts := source.Parts{Key: r.Key, Value: r.Value, Header: r.Header}
	return parts.Holder(in)
}

// Quote shows bytes of strangers as text that does no harm, the first most of them.
func Quote(data []byte, most int) string {
	out := fmt.Sprintf("%+q", data[:min(len(data), most)])
	if len(data) > most {
		out += "…"
	}
	return out
}

// Listing is what the dead-letter topic holds for a campaign.
type Listing struct {
	Campaign string                  `json:"campaign"`
	Topic    string                  `json:"topic"` // of the dead letters
	Letters  int64                   `json:"letters"`
	Reasons  map[source.Reason]int64 `json:"reasons"`
	Replays  grant.Replays           `json:"replays"`
	Last     []Record                `json:"last"`
}

// Topic is the topic and its dead letters: source.Source.
type Topic interface {
	Letters
	Original(ctx context.Context, l *source.Letter) (*source.Record, error)
}

// Ledger is what is asked about rejected records: ledger.Coordination and ledger.Reader.
type Ledger interface {
	States
	Runs(ctx context.Context) ([]grant.RunRecord, error)
}

// Replays counts what was replayed: ledger.Reader.
type Replays interface {
	Replays(ctx context.Context) (grant.Replays, error)
}

// Find lists the rejected records of a campaign that the filter takes: how many there are by reason, and of each partition the
// last few. Of those whose places the filter names it also has the headers, from the topic. source.NoTopic says of an error that
// there is no topic of dead letters.
func Find(
	ctx context.Context, topic Topic, led Ledger, replays Replays, c *grant.Campaign, filter Filter, last int,
) (*Listing, error) {
	runs, err := led.Runs(ctx)
	if err != nil {
		return nil, err
	}
	list, err := Read(ctx, topic, led, c, runs, filter, last)
	if err != nil {
		return nil, err
	}
	out := &Listing{
		Campaign: c.Name, Topic: c.Input.DeadLetterTopic(), Letters: list.Letters, Reasons: list.Reasons, Last: []Record{},
	}
	if out.Replays, err = replays.Replays(ctx); err != nil {
		return nil, err
	}
	for i := range list.Last {
		rec := recordOf(&list.Last[i])
		if len(filter.Places) > 0 {
			original, err := topic.Original(ctx, list.Last[i].Letter)
			if err != nil {
				return nil, err
			}
			if original != nil {
				for _, h := range original.Headers {
					rec.Headers = append(rec.Headers, Header{h.Key, h.Value})
				}
			}
		}
		out.Last = append(out.Last, rec)
	}
	return out, nil
}

func recordOf(s *Shown) Record {
	out := Record{
		Partition: s.Partition, Offset: s.Offset, TopicID: s.TopicID.String(), Reason: s.Reason, Run: s.Letter.Run,
		Key: s.Key, Value: s.Value, Header: s.Letter.Header, Whole: s.Whole,
	}
	if s.Claim.Letter != "" {
		out.Replayed = &Replayed{User: s.User, Run: s.Claim.Run}
		switch {
		case s.Granted:
			out.Replayed.Result = Granted
		case s.Duplicate:
			out.Replayed.Result = Duplicate
		}
	}
	return out
}
