package campaign

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/strict"
)

const maxExcludes = 16 // lists of users; each is read whole at a start

var excludeFields = []strict.Known{
	strict.Optional("file", "foreign-phones.csv"),
	strict.Optional("topic", "kakaotalk-users.excluded"),
	strict.Optional("reason", "foreign phone number"),
}

// exclude is the canonical form of grant.Exclude.
type exclude struct {
	File   string `json:"file,omitempty"`
	Topic  string `json:"topic,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func formatExcludes(lists []grant.Exclude) (out []exclude) {
	for _, e := range lists {
		out = append(out, exclude(e))
	}
	return out
}

// excludes reads the lists of users who do not get the campaign.
func (d *decoder) excludes(f strict.Field, topic string) (lists []grant.Exclude) {
	if f.Absent || f.Node == nil {
		return nil
	}
	if f.Node.Kind != yaml.SequenceNode || len(f.Node.Content) == 0 || len(f.Node.Content) > maxExcludes {
		d.Reportf(excludeList, f.Line, f.Path, "must be a list of 1 to %d files or topics, such as "+
			"[{file: foreign-phones.csv, reason: foreign phone number}]: remove the field if nobody is excluded", maxExcludes)
		return nil
	}
	seen := map[grant.Exclude]bool{}
	for i, n := range f.Node.Content {
		at := strict.Field{Path: fmt.Sprintf("%s[%d]", f.Path, i), Line: n.Line, Node: n}
		m := d.Mapping(at, excludeFields)
		if m == nil {
			continue
		}
		list := d.exclude(m, at, topic)
		if place := (grant.Exclude{File: list.File, Topic: list.Topic}); seen[place] && place != (grant.Exclude{}) {
			d.Reportf(excludeOnce, at.Line, at.Path, "%s is in the list already: remove one of them", list.Name())
		} else {
			seen[place] = true
		}
		lists = append(lists, list)
	}
	return lists
}

func (d *decoder) exclude(m *strict.Mapping, at strict.Field, users string) (e grant.Exclude) {
	file, topic, reason := m.Get("file"), m.Get("topic"), m.Get("reason")
	switch {
	case file.Absent == topic.Absent:
		d.Reportf(excludeOne, at.Line, at.Path, "must say where the users are, in one place: write file: NAME.csv or topic: NAME")
	case !file.Absent:
		if e.File, _ = d.Text(file); file.Node != nil && strings.TrimSpace(e.File) == "" {
			d.Reportf(excludeOne, file.Line, file.Path, "is blank: write the name of a CSV file")
		}
	default:
		if e.Topic = d.kafkaTopic(topic, topicForm, "with the users to exclude"); e.Topic != "" && e.Topic == users {
			d.Reportf(excludeOne, topic.Line, topic.Path, "is the topic of all users, source.topic: "+
				"write the one of those who are excluded")
		}
	}
	if reason.Absent {
		return e
	}
	text, ok := d.Text(reason)
	if err := grant.ValidateWhy(text); ok && err != nil {
		d.Reportf(excludeReason, reason.Line, reason.Path, "%v", err)
	}
	e.Reason = text
	return e
}
