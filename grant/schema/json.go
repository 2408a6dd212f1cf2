package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/granter/granter/grant"
)

// jsonTexts checks that a JSON Schema is JSON, and what it refers to. That is all: what a record has at the path is found without
// its schema.
func jsonTexts(s *grant.Schema) error {
	if !json.Valid([]byte(s.Text)) {
		return errors.New("it is not JSON")
	}
	for i := range s.References {
		if !json.Valid([]byte(s.References[i].Text)) {
			return fmt.Errorf("%s is not JSON", s.References[i].Name)
		}
	}
	return nil
}

// Compact returns the one text among all that differ in white space only: of a schema that is JSON, without it; of a .proto file
// only line ends and what is around the text.
func Compact(format grant.Format, text string) (string, error) {
	if format == grant.FormatProtobuf {
		return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")), nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return "", err
	}
	return b.String(), nil
}
