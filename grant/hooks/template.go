package hooks

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// placeholder is where a template has a field of the event, inside a string of JSON.
var placeholder = regexp.MustCompile(`\{[a-z][a-z_]*\}`)

// fill puts the fields of an event into a template. Each is escaped as a string of JSON wants it.
func fill(template string, e *Event) []byte {
	fields := e.fields()
	return placeholder.ReplaceAllFunc([]byte(template), func(name []byte) []byte {
		value, _ := json.Marshal(fields[string(name[1:len(name)-1])])
		return value[1 : len(value)-1]
	})
}

// checkTemplate reports what is wrong with a template.
func checkTemplate(template string) error {
	e := Event{Message: `a "quoted" text`}
	known := slices.Sorted(maps.Keys(e.fields()))
	for _, name := range placeholder.FindAllString(template, -1) {
		if !slices.Contains(known, name[1:len(name)-1]) {
			return fmt.Errorf("%s is no field of an event: write some of {%s}", name, strings.Join(known, "}, {"))
		}
	}
	if !json.Valid(fill(template, &e)) {
		return fmt.Errorf(`it is no JSON: want something like {"text": "{title}: {message}"}, with fields inside of quotes`)
	}
	return nil
}
