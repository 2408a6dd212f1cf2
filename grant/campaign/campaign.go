// Package campaign turns a spec, the YAML file that an operator writes, into a campaign that is safe to run: a spec
// that leaves anything open is refused with every problem it has, and two specs that mean the same have the same hash.
package campaign

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/strict"
)

// MaxSize is the largest spec that is read, in bytes. A full spec (64 items, every field) takes about 16 KiB.
const MaxSize = 1 << 20

// ValidName reports whether a campaign may have a name.
func ValidName(name string) bool { return slug.MatchString(name) }

// Load reads the spec at path, and the files of schemas that it names, seen from its folder: their text is part of the campaign.
// An error of the file system is wrapped; any other error is about the spec, as Parse
// describes it, and reading the same file again gives it again.
func Load(path string) (*grant.Campaign, error) {
	data, err := strict.ReadFile(path, MaxSize)
	if err != nil {
		return nil, fmt.Errorf("reading the campaign spec: %w", err)
	}
	d := newDecoder(path)
	d.folder = filepath.Dir(path)
	return d.parse(data)
}

// Parse reads a spec; name stands for the file in errors. The error joins every problem of the spec, in the order of the
// lines, one on a line of its own: "file:line: field: what is wrong: what to write instead".
//
// The campaign keeps the offset of its times as written. Canonical and Hash do not: the same instant is the same spec.
func Parse(name string, data []byte) (*grant.Campaign, error) {
	return newDecoder(name).parse(data)
}

func (d *decoder) parse(data []byte) (*grant.Campaign, error) {
	root := d.Document(data)
	if root == nil {
		return nil, d.Err()
	}
	c := d.campaign(root)
	if err := d.Err(); err != nil {
		return nil, err
	}
	c.Canonical = Canonical(c)
	c.Hash = hash(c.Canonical)
	return c, nil
}

// Diff says in what two canonical specs differ, one field on a line, with the value in either: "source.topic: stored a,
// given b". Items are matched by their IDs. It returns "" when both say the same. Neither has to be valid: a spec stored by
// another version is compared as far as it can be read.
func Diff(stored, given []byte) string {
	if bytes.Equal(stored, given) {
		return ""
	}
	a, err := flatten("the stored spec", stored)
	if err != nil {
		return err.Error()
	}
	b, err := flatten("the given spec", given)
	if err != nil {
		return err.Error()
	}
	return diff(a, b)
}
