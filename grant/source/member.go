package source

import (
	"encoding/binary"
	"strings"
	"unsafe"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/schema"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/opaque"
)

// memberDecoder takes IDs from records that are no dense numbers. It belongs to one goroutine.
type memberDecoder struct {
	in     *grant.Input
	form   userid.Form
	path   []string
	by     *schemas // nil: the format has none
	member []byte   // of the last record
}

func newMemberDecoder(in *grant.Input, by *schemas) *memberDecoder {
	return &memberDecoder{in: in, by: by, form: userid.FormOf(in), path: strings.Split(in.Path, ".")}
}

// decode is a decoder, whose ID is the hash of the member.
func (d *memberDecoder) decode(p *Parts) (hash uint64, reason Reason) {
	data, reason := p.held(d.in)
	if reason != "" {
		return 0, reason
	}
	d.member = d.member[:0]
	switch d.in.Format {
	case grant.FormatInt64BE:
		if len(data) != 8 {
			return 0, map[bool]Reason{true: ReasonEmpty, false: ReasonLength}[len(data) == 0]
		}
		d.member = append(d.member, data...)
		return opaque.Hash(d.member), ""
	case grant.FormatJSON:
		text, number, reason := jsonText(data, d.path)
		if reason != "" {
			return 0, reason
		}
		if number && d.in.IDs != grant.IDsInt64 {
			return 0, ReasonFieldType
		}
		return d.read(bytesOf(text), number)
	case grant.FormatAvro, grant.FormatProtobuf, grant.FormatJSONSchema:
		return d.bySchema(data)
	case grant.FormatDecimal, grant.FormatText:
	}
	return d.read(data, false)
}

// bySchema reads what a record has that names its schema.
func (d *memberDecoder) bySchema(data []byte) (uint64, Reason) {
	v, reason := d.by.find(data)
	switch {
	case reason != "":
		return 0, reason
	case v.Is == schema.Number:
		d.member = binary.BigEndian.AppendUint64(d.member, uint64(v.Int))
		return opaque.Hash(d.member), ""
	case v.Is == schema.Literal && d.in.IDs != grant.IDsInt64:
		return 0, ReasonFieldType
	case v.Is == schema.Text && d.in.IDs == grant.IDsUUID && len(v.Data) == uuidBytes:
		return 0, ReasonNotUUID // 16 characters, and not the bytes of a UUID
	}
	return d.read(v.Data, v.Is == schema.Literal)
}

const uuidBytes = 16

// bytesOf are the bytes of a text, to be read only, and for as long as it lives.
func bytesOf(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text)) //nolint:gosec // see above
}

func (d *memberDecoder) read(text []byte, number bool) (uint64, Reason) {
	var fault userid.Fault
	d.member, fault = d.form.Member(d.member, text)
	switch {
	case fault == "":
		return opaque.Hash(d.member), ""
	case number && fault == userid.NotDecimal:
		return 0, ReasonFieldType
	}
	return 0, Reason(fault)
}
