package strict

import (
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"
)

// FileOf reads the decoder's file, whose one field is a list of mappings, and hands over each of them. The error is all problems,
// or that of reading the file.
func (d *Decoder) FileOf(list Known, fields []Known, each func(at Field, m *Mapping)) error {
	data, err := ReadFile(d.File, int64(d.MaxSize))
	if err != nil {
		return err
	}
	root := d.Document(data)
	if root == nil {
		return d.Err()
	}
	m := d.Mapping(Field{Line: root.Line, Node: root}, []Known{list})
	if m == nil || m.Get(list.Name).Node == nil {
		return d.Err()
	}
	f := m.Get(list.Name)
	if f.Node.Kind != yaml.SequenceNode {
		d.Reportf(ListType, f.Line, f.Path, "must be a list, not %s", Describe(f.Node))
		return d.Err()
	}
	d.mappings(f, fields, each)
	return d.Err()
}

// Elements are those of a list. What is none, and an empty one, is a problem, which says what to write.
func (d *Decoder) Elements(f Field, write string) []*yaml.Node {
	if f.Node == nil {
		return nil
	}
	if f.Node.Kind != yaml.SequenceNode || len(f.Node.Content) == 0 {
		d.Reportf(ListType, f.Line, f.Path, "must be a list, not %s: %s", Describe(f.Node), write)
		return nil
	}
	return f.Node.Content
}

// Mappings hands over each of a list of mappings, which must have Elements.
func (d *Decoder) Mappings(f Field, fields []Known, write string, each func(at Field, m *Mapping)) {
	if d.Elements(f, write) != nil {
		d.mappings(f, fields, each)
	}
}

func (d *Decoder) mappings(f Field, fields []Known, each func(at Field, m *Mapping)) {
	for i, node := range f.Node.Content {
		at := Field{Path: fmt.Sprintf("%s[%d]", f.Path, i), Line: node.Line, Node: node}
		if m := d.Mapping(at, fields); m != nil {
			each(at, m)
		}
	}
}

// Beside reads a file that a field names, which counts from the folder of the decoder's own; ok is false if it names none.
func (d *Decoder) Beside(f Field) (data []byte, ok bool, err error) {
	name, ok := d.Text(f)
	if !ok {
		return nil, false, nil
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(d.File), name)
	}
	data, err = os.ReadFile(name) //nolint:gosec // the decoder's file names it
	return data, true, err
}
