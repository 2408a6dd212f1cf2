package campaign

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/strict"
)

// leaf is one value of a spec with the path to it. Items have their ID for an index, so that one item more does not make
// all that follow it look changed.
type leaf struct{ path, value string }

// flatten lists the values of a spec in their order.
func flatten(name string, data []byte) ([]leaf, error) {
	d := newDecoder(name)
	root := d.Document(data)
	if root == nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, d.Err())
	}
	return leaves(nil, "", root), nil
}

func leaves(list []leaf, path string, n *yaml.Node) []leaf {
	switch n.Kind {
	case yaml.MappingNode:
		for pair := range slices.Chunk(n.Content, 2) {
			at := pair[0].Value
			if at == "id" && strings.HasSuffix(path, "["+pair[1].Value+"]") {
				continue // the path and the list's order say it
			}
			if path != "" {
				at = path + "." + at
			}
			list = leaves(list, at, pair[1])
		}
	case yaml.SequenceNode:
		order := make([]string, len(n.Content))
		for i, child := range n.Content {
			order[i] = index(child, i)
			list = leaves(list, path+"["+order[i]+"]", child)
		}
		list = append(list, leaf{path, "[" + strings.Join(order, ", ") + "]"})
	default:
		value := n.Value
		if n.ShortTag() == strict.TextTag && (value == "" || strings.ContainsFunc(value, needsQuotes)) {
			value = strconv.Quote(value)
		}
		list = append(list, leaf{path, value})
	}
	return list
}

// needsQuotes reports a character that would let a value run into the words around it.
func needsQuotes(r rune) bool { return r == ' ' || r == ',' || r == '"' || strict.Unprintable(r) }

// index is the ID of an element that has one, and its number when it has none.
func index(n *yaml.Node, i int) string {
	if n.Kind == yaml.MappingNode {
		for pair := range slices.Chunk(n.Content, 2) {
			if pair[0].Value == "id" && pair[1].Kind == yaml.ScalarNode {
				return pair[1].Value
			}
		}
	}
	return strconv.Itoa(i)
}

func diff(stored, given []leaf) string {
	was, is := values(stored), values(given)
	var lines []string
	for _, l := range stored {
		switch now, ok := is[l.path]; {
		case !ok:
			lines = append(lines, fmt.Sprintf("%s: stored %s, not given", l.path, l.value))
		case now != l.value:
			lines = append(lines, fmt.Sprintf("%s: stored %s, given %s", l.path, l.value, now))
		}
	}
	for _, l := range given {
		if _, ok := was[l.path]; !ok {
			lines = append(lines, fmt.Sprintf("%s: not stored, given %s", l.path, l.value))
		}
	}
	return strings.Join(lines, "\n")
}

func values(list []leaf) map[string]string {
	m := make(map[string]string, len(list))
	for _, l := range list {
		m[l.path] = l.value
	}
	return m
}
