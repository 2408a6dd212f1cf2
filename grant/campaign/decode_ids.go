package campaign

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/strict"
)

// ids reads what the IDs are. Dense ones are the zero value, however that is written, as in specs that know no other.
func (d *decoder) ids(f strict.Field) grant.IDs {
	ids := strict.OneOf(d.Decoder, f, idKnown, grant.IDsDense, grant.IDsInt64, grant.IDsUUID, grant.IDsString)
	if ids == grant.IDsDense {
		return ""
	}
	return ids
}

// formats are the formats that each kind of ID may have in a record, the default first.
func formats(ids grant.IDs) []grant.Format {
	switch ids {
	case grant.IDsUUID, grant.IDsString:
		return append([]grant.Format{grant.FormatText, grant.FormatJSON}, withSchemas...)
	case grant.IDsDense, grant.IDsInt64:
	}
	return append([]grant.Format{grant.FormatDecimal, grant.FormatJSON, grant.FormatInt64BE}, withSchemas...)
}

var withSchemas = []grant.Format{grant.FormatAvro, grant.FormatProtobuf, grant.FormatJSONSchema}

// headerName is what a header may be called: what can be seen, without spaces around it, and none of granter's own.
var headerName = regexp.MustCompile(`^[^\s\pC]([^\pC]{0,248}[^\s\pC])?$`)

// from reads which part of a record holds the ID.
func (d *decoder) from(f strict.Field) grant.Part {
	if text, is := headerOf(f); is {
		switch name := grant.Part(text).Header(); {
		case !headerName.MatchString(name) || len(name) > maxPath:
			d.Reportf(fromHeader, f.Line, f.Path, "%s: write the header's name, up to %d bytes, right behind the colon, as in "+
				"header:user-id", strict.Quote(text), maxPath)
		case strings.HasPrefix(name, grant.OwnHeaders):
			d.Reportf(fromHeader, f.Line, f.Path, "%s is a header of granter's own, which it writes to rejected records: "+
				"write the one that the producer sets", strict.Quote(text))
		default:
			return grant.Part(text)
		}
		return ""
	}
	return strict.OneOf(d.Decoder, f, fromKnown, grant.FromValue, grant.FromKey, grant.FromHeader+"NAME")
}

// headerOf returns text that begins as the name of a header does.
func headerOf(f strict.Field) (string, bool) {
	if f.Node == nil || f.Node.Kind != yaml.ScalarNode || f.Node.ShortTag() != strict.TextTag {
		return "", false
	}
	return f.Node.Value, strings.HasPrefix(f.Node.Value, string(grant.FromHeader))
}

func (d *decoder) format(f strict.Field, t *grant.Input) grant.Format {
	fit := formats(t.IDs)
	if f.Absent {
		return fit[0]
	}
	format := strict.OneOf(d.Decoder, f, formatKnown,
		append([]grant.Format{grant.FormatDecimal, grant.FormatJSON, grant.FormatInt64BE, grant.FormatText}, withSchemas...)...)
	if format != "" && !slices.Contains(fit, format) {
		words := make([]string, len(fit))
		for i := range fit {
			words[i] = string(fit[i])
		}
		d.Reportf(formatForbidden, f.Line, f.Path, "%s does not hold such IDs: write %s, or another source.id",
			format, strings.Join(words, " or "))
		return ""
	}
	return format
}

func (d *decoder) maxID(f strict.Field, t *grant.Input) uint64 {
	if !t.Opaque() {
		return uint64(d.Integer(f, int64(grant.MaxUserID), int64(grant.MaxUserID)))
	}
	if !f.Absent {
		d.Reportf(maxIDForbidden, f.Line, f.Path, "IDs of source.id %s have no largest one: remove the line", t.IDs)
	}
	return 0
}

// normalise reads some words, and returns them in the order in which they are done.
func (d *decoder) normalise(f strict.Field, t *grant.Input) string {
	if f.Absent {
		return ""
	}
	text, ok := d.Text(f)
	if !ok {
		return ""
	}
	if t.IDs != grant.IDsString {
		d.Reportf(normaliseForbidden, f.Line, f.Path, "only strings have spellings: remove the line, or write id: string")
		return ""
	}
	known := []string{grant.NormaliseTrim, grant.NormaliseLower, grant.NormaliseNFC}
	words := strings.Fields(text)
	for i, word := range words {
		if !slices.Contains(known, word) || slices.Contains(words[:i], word) {
			d.Reportf(normaliseForm, f.Line, f.Path, "%s: write some of %s, each once, with spaces between them",
				strict.Quote(word), strings.Join(known, ", "))
			return ""
		}
	}
	return strings.Join(slices.DeleteFunc(known, func(word string) bool { return !slices.Contains(words, word) }), " ")
}
