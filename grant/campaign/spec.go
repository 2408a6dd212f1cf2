package campaign

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant"
)

// The limits of a spec.
const (
	maxTitle    = 200                        // runes
	maxTopic    = 249                        // bytes, as Kafka allows
	maxPath     = 250                        // bytes
	maxItems    = 64                         // what a user can be shown on one page
	maxValidity = 100 * 365 * 24 * time.Hour // far below the 292 years that a time.Duration holds
	maxAmount   = 1_000_000_000_000_000      // 10¹⁵: times 9,000 users it still fits a signed 64-bit sum
)

// DefaultMaxRejected is the share of rejected records above which a run stops: one in a hundred, more than a producer's
// occasional bad record and less than any topic in the wrong format.
const DefaultMaxRejected = 0.01

// The known fields, in the order of the canonical spec.
var (
	campaignFields = []known{
		{"campaign", true, "sorry-2022-emoticons"},
		{"title", true, "Three emoticons for every KakaoTalk user"},
		{"starts_at", true, "2023-01-05T00:00:00+09:00"},
		{"ends_at", false, "2023-04-05T00:00:00+09:00"},
		{"population", false, "48000000"},
		{"source", true, "{topic: kakaotalk-users}"},
		{"items", true, "[{id: cheer-up-90d, kind: emoticon, validity: 90d}]"},
	}
	sourceFields = []known{
		{"topic", true, "kakaotalk-users"},
		{"format", false, "decimal"},
		{"path", false, "user.id"},
		{"from", false, "value"},
		{"max_id", false, "9223372036854775807"},
		{"max_rejected", false, "1%"},
		{"dead_letters", false, "kakaotalk-users.rejected"},
		{"tombstones", false, "reject"},
	}
	itemFields = []known{
		{"id", true, "cheer-up-90d"},
		{"kind", true, "emoticon"},
		{"validity", true, "90d"},
		{"amount", false, "50000"},
		{"currency", false, "KRW"},
	}
)

func (d *decoder) campaign(root *yaml.Node) *grant.Campaign {
	m := d.mapping(field{line: root.Line, node: root}, campaignFields)
	if m == nil {
		return nil
	}
	c := &grant.Campaign{
		Name:     d.match(m.get("campaign"), nameForm, slug, "1 to 63 small letters, digits and hyphens, a letter or digit at both ends"),
		Title:    d.title(m.get("title")),
		StartsAt: d.time(m.get("starts_at")),
		EndsAt:   d.time(m.get("ends_at")),
	}
	if !c.StartsAt.IsZero() && !c.EndsAt.IsZero() && !c.EndsAt.After(c.StartsAt) {
		at := m.get("ends_at")
		d.reportf(timeOrder, at.line, at.path, "%s is not after starts_at (%s): write a later time, or remove the line for no end",
			at.node.Value, m.get("starts_at").node.Value)
	}
	population := m.get("population")
	c.Population = d.integer(population, int64(grant.MaxUserID), 0)
	c.Source = d.source(m.get("source"))
	// The IDs 0 to max_id are max_id + 1 users, which overflows for the largest max_id.
	if c.Population > 0 && c.Source.MaxID > 0 && grant.UserID(c.Population-1) > c.Source.MaxID {
		d.reportf(populationMaxID, population.line, population.path,
			"%d users cannot have different IDs up to source.max_id (%d): correct one of them", c.Population, c.Source.MaxID)
	}
	c.Items = d.items(m.get("items"))
	return c
}

func (d *decoder) title(f field) string {
	s, ok := d.text(f)
	switch n := utf8.RuneCountInString(s); {
	case !ok:
	case strings.TrimSpace(s) == "":
		d.reportf(titleLength, f.line, f.path, "is blank: say what the users get")
	case n > maxTitle:
		d.reportf(titleLength, f.line, f.path, "has %d characters: write at most %d", n, maxTitle)
	}
	return s
}

func (d *decoder) source(f field) grant.Topic {
	t := grant.Topic{}
	m := d.mapping(f, sourceFields)
	if m == nil {
		return t
	}
	t.Topic = d.topic(m.get("topic"), m.get("dead_letters"))
	t.Format = oneOf(d, m.get("format"), formatKnown, grant.FormatDecimal, grant.FormatJSON, grant.FormatInt64BE)
	t.Path = d.path(m.get("path"), t.Format)
	t.From = oneOf(d, m.get("from"), fromKnown, grant.FromValue, grant.FromKey)
	t.MaxID = grant.UserID(d.integer(m.get("max_id"), int64(grant.MaxUserID), int64(grant.MaxUserID)))
	t.MaxRejected = d.share(m.get("max_rejected"), DefaultMaxRejected)
	t.DeadLetters = d.deadLetters(m.get("dead_letters"), t.Topic)
	t.Tombstones = d.tombstones(m.get("tombstones"), t.From)
	return t
}

// kafkaTopic reads a name that Kafka allows for a topic.
func (d *decoder) kafkaTopic(f field, r rule, what string) string {
	name := d.match(f, r, topicName, "letters, digits, dots, hyphens and underscores, as Kafka requires")
	switch {
	case name == "." || name == "..":
		d.reportf(r, f.line, f.path, "%s is not a legal name in Kafka: write the name of the topic %s", quote(name), what)
		return ""
	case len(name) > maxTopic:
		d.reportf(r, f.line, f.path, "has %d characters: write at most %d, as Kafka allows", len(name), maxTopic)
		return ""
	}
	return name
}

// deadLetters reads the name of the dead-letter topic; one that is as by default is left out.
func (d *decoder) deadLetters(f field, topic string) string {
	if f.absent {
		return ""
	}
	name := d.kafkaTopic(f, deadLettersForm, "for rejected records")
	// Kafka refuses a topic whose name is another one's with dots for underscores: their metrics would have one name.
	alike := strings.NewReplacer(".", "_")
	switch {
	case name == "" || topic == "":
	case alike.Replace(name) == alike.Replace(topic):
		d.reportf(deadLettersClash, f.line, f.path, "%s cannot be beside the topic %s in Kafka: write the name of another topic", quote(name), quote(topic))
	case name == topic+grant.DeadLetterSuffix:
		return ""
	}
	return name
}

func (d *decoder) tombstones(f field, from grant.Part) grant.Tombstones {
	t := oneOf(d, f, tombstonesKnown, grant.RejectTombstones, grant.GrantTombstones)
	switch {
	case t == grant.RejectTombstones:
		return "" // the default, however it is written
	case t == grant.GrantTombstones && from == grant.FromValue:
		d.reportf(tombstonesForbidden, f.line, f.path, "a record without a value holds no user ID when IDs are values: remove the line, or write from: key")
	}
	return t
}

func (d *decoder) topic(f, deadLetters field) string {
	name := d.kafkaTopic(f, topicForm, "with the user IDs")
	switch longest := maxTopic - len(grant.DeadLetterSuffix); {
	case len(name) > longest && deadLetters.absent:
		d.reportf(topicForm, f.line, f.path, "has %d characters: write at most %d (Kafka's %d, less %d for the %s of the dead-letter topic), or name that topic by dead_letters",
			len(name), longest, maxTopic, len(grant.DeadLetterSuffix), grant.DeadLetterSuffix)
	case strings.HasSuffix(name, grant.DeadLetterSuffix):
		d.reportf(topicDeadLetter, f.line, f.path, "%s is a dead-letter topic, whose records were rejected: write the topic itself, %s",
			quote(name), quote(strings.TrimSuffix(name, grant.DeadLetterSuffix)))
	}
	return name
}

func (d *decoder) path(f field, format grant.Format) string {
	switch {
	case format == grant.FormatJSON && f.absent:
		d.reportf(pathRequired, f.line, f.path, "is missing: add where in the JSON document the ID is, such as path: user.id")
		return ""
	case format != grant.FormatJSON && format != "" && !f.absent:
		d.reportf(pathForbidden, f.line, f.path, "a record in the format %s has no fields: remove the line, or write format: json", format)
		return ""
	}
	path, ok := d.text(f)
	if !ok {
		return ""
	}
	if len(path) > maxPath {
		d.reportf(pathForm, f.line, f.path, "has %d bytes: write at most %d", len(path), maxPath)
	}
	for name := range strings.SplitSeq(path, ".") {
		if name == "" || name != strings.TrimSpace(name) {
			d.reportf(pathForm, f.line, f.path, "%s has an empty field name, or spaces around one: write field names with dots between them, such as user.id", quote(path))
			break
		}
	}
	return path
}

func (d *decoder) items(f field) []grant.Item {
	if f.node == nil {
		return nil
	}
	if f.node.Kind != yaml.SequenceNode {
		d.reportf(listType, f.line, f.path, "must be a list, not %s: begin each item with a hyphen", describe(f.node))
		return nil
	}
	nodes := f.node.Content
	if len(nodes) == 0 || len(nodes) > maxItems {
		d.reportf(itemsCount, f.line, f.path, "has %d items: write 1 to %d", len(nodes), maxItems)
		nodes = nodes[:min(len(nodes), maxItems)]
	}
	items := make([]grant.Item, 0, len(nodes))
	seen := map[string]int{} // item ID to line
	for i, n := range nodes {
		m := d.mapping(field{path: fmt.Sprintf("%s[%d]", f.path, i), line: n.Line, node: n}, itemFields)
		if m == nil {
			continue
		}
		item := d.item(m)
		if id := m.get("id"); item.ID != "" && seen[item.ID] > 0 {
			d.reportf(itemIDUnique, id.line, id.path, "%s is also the item on line %d: give each item an ID of its own", quote(item.ID), seen[item.ID])
		} else {
			seen[item.ID] = id.line
		}
		items = append(items, item)
	}
	return items
}

func (d *decoder) item(m *mapping) grant.Item {
	item := grant.Item{
		ID:       d.match(m.get("id"), itemIDForm, itemID, "1 to 100 letters, digits, dots, hyphens and underscores, a letter or digit first"),
		Kind:     oneOf(d, m.get("kind"), kindKnown, grant.KindEmoticon, grant.KindCredit, grant.KindCash, grant.KindItem),
		Validity: d.validity(m.get("validity")),
	}
	amount, currency := m.get("amount"), m.get("currency")
	switch item.Kind {
	case "": // reported; whether money belongs to it is not known
	case grant.KindCredit, grant.KindCash:
		if amount.absent {
			d.reportf(amountRequired, amount.line, amount.path, "is missing: a %s needs one, in the currency's smallest unit: add amount: 50000", item.Kind)
		}
		if currency.absent {
			d.reportf(currencyRequired, currency.line, currency.path, "is missing: a %s needs one: add currency: KRW", item.Kind)
		}
		item.Amount = d.integer(amount, maxAmount, 0)
		item.Currency = d.currency(currency)
	default:
		const forbidden = "belongs to the kinds credit and cash, not to %s: remove the line, or change the kind"
		if !amount.absent {
			d.reportf(amountForbidden, amount.line, amount.path, forbidden, item.Kind)
		}
		if !currency.absent {
			d.reportf(currencyForbidden, currency.line, currency.path, forbidden, item.Kind)
		}
	}
	return item
}
