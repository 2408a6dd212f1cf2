package deploy

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// object is a YAML document, or a part of one.
type object map[string]any

// at returns what is at a path of fields, or nil.
func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, field := range path {
		fields, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = fields[field]
	}
	return v
}

func (o object) text(path ...string) string {
	s, _ := o.at(path...).(string)
	return s
}

func (o object) number(path ...string) int {
	n, _ := o.at(path...).(int)
	return n
}

func (o object) object(path ...string) object {
	m, _ := o.at(path...).(map[string]any)
	return m
}

func (o object) list(path ...string) (list []object) {
	items, _ := o.at(path...).([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			list = append(list, m)
		}
	}
	return list
}

func (o object) texts(path ...string) (list []string) {
	items, _ := o.at(path...).([]any)
	for _, item := range items {
		s, _ := item.(string)
		list = append(list, s)
	}
	return list
}

func (o object) kind() string { return o.text("kind") }
func (o object) name() string { return o.text("metadata", "name") }

// includes reports whether every field of the selector is in the labels.
func (o object) includes(selector object) bool {
	for key, value := range selector {
		if o[key] != value {
			return false
		}
	}
	return true
}

// decode reads every document of a YAML file.
func decode(t *testing.T, text []byte) (list []object) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var o map[string]any
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(t, err)
		list = append(list, o)
	}
}
