package population

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/schema"
	"github.com/granter/granter/grant/userid"
)

// framed writes records that name a schema. It belongs to one goroutine.
type framed struct {
	writer  *schema.Writer // nil: the rest of them is JSON
	scratch []byte         // of the record that was asked for last
	unknown []byte         // what is in front of a record of a schema that nobody has
}

// newFramed makes one of the newest schema of a topic.
func newFramed(t grant.Input) (*framed, []byte, error) {
	if len(t.Schemas) == 0 {
		return nil, nil, errors.New("schemas: there is none to write records by")
	}
	newest := &t.Schemas[len(t.Schemas)-1]
	head := binary.BigEndian.AppendUint32([]byte{0}, newest.ID)
	f := &framed{unknown: binary.BigEndian.AppendUint32([]byte{0}, newest.ID^0x5a5a5a5a)}
	if t.Format == grant.FormatJSONSchema {
		return f, head, nil
	}
	var err error
	if f.writer, err = schema.NewWriter(&t, newest); err != nil {
		return nil, nil, fmt.Errorf("schemas: the schema %d: %w", newest.ID, err)
	}
	err = f.holds(&t)
	return f, head, err
}

// holds says which IDs of a topic the field in the schema cannot hold; nil: it holds all.
func (f *framed) holds(t *grant.Input) error {
	w := f.writer
	switch {
	case w.Size > 0 && t.IDs == grant.IDsString:
		return fmt.Errorf("schemas: the ID is a fixed of %d bytes, and strings have any length: write another schema, or no "+
			"records",
			w.Size)
	case w.Is == schema.Number && t.IDs == grant.IDsInt64 && (w.Most < math.MaxInt64 || !w.Signed()):
		return errors.New("schemas: the ID is a number without a sign, or of 32 bits, and source.id int64 has others: write a " +
			"long")
	case w.Is == schema.Number && t.IDs != grant.IDsInt64 && userid.Limit(t.MaxID) > uint64(w.Most):
		return fmt.Errorf("schemas: the ID is a number of 32 bits: write max_id: %d under source, so that no larger one is "+
			"loaded",
			w.Most)
	}
	return nil
}

// value is an ID as its field in the schema has it.
func (f *framed) value(ids grant.IDs, id grant.UserID) schema.Value {
	switch {
	case f.writer.Is != schema.Number && ids == grant.IDsUUID && f.writer.Is == schema.Bytes:
		raw, _ := hex.DecodeString(strings.ReplaceAll(id.String(), "-", "")) // a list and a plan have nothing but UUIDs
		return schema.Value{Is: schema.Bytes, Data: raw}
	case f.writer.Is != schema.Number:
		return schema.Value{Is: f.writer.Is, Data: []byte(id.String())}
	case ids == "" || ids == grant.IDsDense:
		return schema.Value{Is: schema.Number, Int: int64(id.Number())}
	}
	n, _ := strconv.ParseInt(id.String(), 10, 64) // see above
	return schema.Value{Is: schema.Number, Int: n}
}

// encode writes a record with a valid ID.
func (f *framed) encode(ids grant.IDs, id grant.UserID) []byte {
	f.scratch = f.writer.Append(f.scratch[:0], f.value(ids, id))
	return f.scratch
}

// framedKinds are the kinds of bad record of a format with schemas.
func framedKinds(p *payload, t grant.Input) []Kind {
	kinds := []Kind{KindEmpty, KindTombstone, KindLetters, KindSchema, KindTruncated}
	w := p.framed.writer
	if w == nil {
		return append(kinds, KindMissing, KindNull)
	}
	if w.Null() != nil {
		kinds = append(kinds, KindNull)
	}
	if dense := t.IDs == "" || t.IDs == grant.IDsDense; dense && w.Is == schema.Number {
		if w.Signed() {
			kinds = append(kinds, KindNegative)
		}
		if p.max < grant.MaxUserID && p.max+1000 < uint64(w.Most) {
			kinds = append(kinds, KindOverLimit)
		}
	}
	if t.IDs == grant.IDsUUID && w.Is == schema.Text {
		kinds = append(kinds, KindSpaces)
	}
	return kinds
}

// malformedFramed returns a bad record of a kind, made from a valid ID.
func (p *payload) malformedFramed(r Record) []byte {
	f := p.framed
	if r.Kind == KindLetters { // as whoever does without the registry writes it
		return []byte("user" + r.ID.String())
	}
	if f.writer == nil {
		return p.malformedJSONSchema(r)
	}
	switch r.Kind {
	case KindSchema:
		return append(append([]byte{}, f.unknown...), f.encode(p.ids, r.ID)[schema.Header:]...)
	case KindTruncated:
		whole := f.encode(p.ids, r.ID)
		return append([]byte{}, whole[:len(whole)-1]...)
	case KindNegative:
		return f.writer.Append(nil, schema.Value{Is: schema.Number,
			Int: -1 - int64(r.ID.Number()%1000)})
	case KindOverLimit:
		return f.writer.Append(nil, schema.Value{Is: schema.Number,
			Int: int64(p.overLimit(r.ID))})
	case KindSpaces:
		return f.writer.Append(nil, schema.Value{Is: schema.Text, Data: []byte(" " + r.ID.String())})
	default:
		return append([]byte{}, f.writer.Null()...)
	}
}

func (p *payload) malformedJSONSchema(r Record) []byte {
	head, prefix := string(p.prefix[:schema.Header]), string(p.prefix)
	switch r.Kind {
	case KindSchema:
		return append(append([]byte{}, p.framed.unknown...), []byte(prefix[schema.Header:]+p.text(r.ID)+string(p.suffix))...)
	case KindTruncated:
		return []byte(prefix + p.text(r.ID))
	case KindMissing:
		return []byte(head + "{}")
	default:
		return []byte(strings.TrimSuffix(prefix, `"`) + "null" + strings.TrimPrefix(string(p.suffix), `"`))
	}
}
