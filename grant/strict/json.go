package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// ErrFollows means that a text goes on behind its JSON value.
var ErrFollows = errors.New("more follows: write one object")

// JSON reads one JSON value and nothing else: a field that nobody knows may be a slip of one that matters.
func JSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	// Not More, which takes a bracket that closes too much for the end.
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrFollows
	}
	return nil
}
