package strict

import (
	"bytes"
	"errors"
	"io"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Document reads the only document in data and returns its top, or nil after reporting why there is none. What it lets pass
// is a tree: with aliases refused, its size is bounded by the file's.
func (d *Decoder) Document(data []byte) *yaml.Node {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // Windows editors put a byte order mark in front
	if !d.readable(data) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.syntax(err)
		return nil
	}
	var doc, next yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		d.Reportf(Empty, 0, "", "the file is empty: write a %s spec, see %s", d.Subject, d.Docs)
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	root := doc.Content[0]
	switch err := loader.Load(&next); {
	case err == nil:
		d.Reportf(OneDocument, next.Content[0].Line, "", "a second document begins here: write one %s in one file", d.Subject)
		return nil
	case !errors.Is(err, io.EOF):
		d.syntax(err)
		return nil
	}
	if root.Kind == yaml.ScalarNode && root.ShortTag() == NullTag {
		d.Reportf(Empty, root.Line, "", "the document is empty: write a %s spec, see %s", d.Subject, d.Docs)
		return nil
	}
	if !d.plain(root) {
		return nil
	}
	return root
}

// readable checks what can be said of the bytes without YAML, in words that are clearer than a YAML scanner's.
func (d *Decoder) readable(data []byte) bool {
	if len(data) > d.MaxSize {
		d.Reportf(FileSize, 0, "", "the file is larger than %d bytes: a %s spec is a short text; "+
			"lists of users or claims are kept elsewhere", d.MaxSize, d.Subject)
		return false
	}
	line, indent := 1, true
	tab := 0 // the line of a tab in the indentation, until something other than a comment follows it
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			d.Reportf(Encoding, line, "", "the byte 0x%02x is not UTF-8: save the file as UTF-8", data[i])
			return false
		case r == '\n':
			line, indent, tab = line+1, true, 0
		case Unprintable(r) && r != '\t' && r != '\r':
			d.Reportf(Encoding, line, "", "the character %U is not text: save the file as UTF-8 without it", r)
			return false
		case r == '\t' && indent:
			tab = line
		case r == '#' && indent:
			indent, tab = false, 0
		case r != ' ' && r != '\r':
			if tab > 0 && indent {
				d.Reportf(TabIndent, tab, "", "a tab indents this line: YAML indents with spaces")
				return false
			}
			indent = false
		}
		i += size
	}
	return true
}

// Unprintable reports characters that YAML does not allow in a file, or that would break a line of a log or a page.
func Unprintable(r rune) bool {
	return unicode.IsControl(r) || r == '\ufeff' || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point)
}

func (d *Decoder) syntax(err error) {
	if at, ok := errors.AsType[*yaml.LoadError](err); ok {
		text := at.Message
		if at.ContextMsg != "" {
			text = at.ContextMsg + ": " + text
		}
		d.Reportf(Syntax, at.Mark.Line, "", "not YAML: %s", shorten(text, 200))
		return
	}
	d.Reportf(Syntax, 0, "", "not YAML: %v", err)
}

// plain refuses the parts of YAML that make a spec mean something other than what it shows, once on a line.
func (d *Decoder) plain(n *yaml.Node) bool {
	var r Rule
	var text string
	switch {
	case n.Kind == yaml.AliasNode:
		r, text = NoAlias, "the alias "+Quote("*"+n.Value)+" stands for another part of the file: write the value itself"
	case n.Anchor != "":
		r, text = NoAlias, "the anchor "+Quote("&"+n.Anchor)+" has no use in a spec: remove it"
	case n.Style&yaml.TaggedStyle != 0:
		r, text = NoTag, "the tag "+Quote(n.ShortTag())+" has no use in a spec: remove it"
	}
	if last := len(d.Problems) - 1; text != "" && (last < 0 || d.Problems[last].Line != n.Line) {
		d.Reportf(r, n.Line, "", "%s", text)
	}
	ok := text == ""
	for _, child := range n.Content {
		ok = d.plain(child) && ok
	}
	return ok
}
