package campaign

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/strict"
)

// The limits of a spec.
const (
	maxTitle    = 200                        // runes
	maxTopic    = 249                        // bytes, as Kafka allows
	maxPath     = 250                        // bytes
	maxItems    = 64                         // what a user can be shown on one page
	maxValidity = 100 * 365 * 24 * time.Hour // far below the 292 years that a time.Duration holds
	maxFirst    = 1_000_000_000_000          // 10¹², exact in the numbers of a script
	maxAmount   = 1_000_000_000_000_000      // 10¹⁵: times 9,000 users it still fits a signed 64-bit sum
)

// DefaultMaxRejected is the share of rejected records above which a run stops: one in a hundred, more than a producer's
// occasional bad record and less than any topic in the wrong format.
const DefaultMaxRejected = 0.01

// The known fields, in the order of the canonical spec.
var (
	campaignFields = []strict.Known{
		strict.Required("campaign", "sorry-2022-emoticons"),
		strict.Required("title", "Three emoticons for every KakaoTalk user"),
		strict.Required("starts_at", "2023-01-05T00:00:00+09:00"),
		strict.Optional("ends_at", "2023-04-05T00:00:00+09:00"),
		strict.Optional("zone", "Asia/Seoul"),
		strict.Optional("population", "48000000"),
		strict.Required("source", "{topic: kakaotalk-users}"),
		strict.Required("items", "[{id: cheer-up-90d, kind: emoticon, validity: 90d}]"),
		strict.Optional("approval", "{above: 100}"),
		strict.Optional("exclude", "[{file: foreign-phones.csv, reason: foreign phone number}]"),
	}
	sourceFields = []strict.Known{
		strict.Required("topic", "kakaotalk-users"),
		strict.Optional("format", "decimal"),
		strict.Optional("path", "user.id"),
		strict.Optional("from", "value"),
		strict.Optional("max_id", "9223372036854775807"),
		strict.Optional("max_rejected", "1%"),
		strict.Optional("dead_letters", "kakaotalk-users.rejected"),
		strict.Optional("tombstones", "reject"),
		strict.Optional("id", "dense"),
		strict.Optional("normalise", "trim lower"),
		strict.Optional("schemas", "[{id: 7, file: user-v1.avsc}]"),
		strict.Optional("registry", "https://schemas.example:8081"),
	}
	itemFields = []strict.Known{
		strict.Required("id", "cheer-up-90d"),
		strict.Required("kind", "emoticon"),
		strict.Required("validity", "90d"),
		strict.Optional("take_until", "2023-01-21T00:00:00+09:00"),
		strict.Optional("first", "3000000"),
		strict.Optional("amount", "50000"),
		strict.Optional("currency", "KRW"),
	}
)

// decoder is one that knows what a campaign spec has.
type decoder struct {
	*strict.Decoder

	folder string // that files of schemas are seen from; empty: there are none, as in a spec that was stored
}

func newDecoder(file string) *decoder {
	return &decoder{Decoder: &strict.Decoder{
		File: file, Subject: "campaign", Docs: "docs/campaign-spec.md", MaxSize: MaxSize,
		Places: []strict.Place{{Name: "the top of the file", Known: campaignFields}, {Name: "source", Known: sourceFields},
			{Name: "an item", Known: itemFields}, {Name: "a validity", Known: validityFields},
			{Name: "approval", Known: approvalFields}, {Name: "an element of exclude", Known: excludeFields},
			{Name: "an element of source.schemas", Known: schemaFields}, {Name: "an element of references",
				Known: referenceFields}},
	}}
}

func (d *decoder) campaign(root *yaml.Node) *grant.Campaign {
	m := d.Mapping(strict.Field{Line: root.Line, Node: root}, campaignFields)
	if m == nil {
		return nil
	}
	c := &grant.Campaign{
		Name: d.Match(m.Get("campaign"), nameForm, slug,
			"1 to 63 small letters, digits and hyphens, a letter or digit at both ends"),
		Title:    d.title(m.Get("title")),
		StartsAt: d.Time(m.Get("starts_at")),
		EndsAt:   d.Time(m.Get("ends_at")),
		Zone:     d.zone(m.Get("zone")),
	}
	if !c.StartsAt.IsZero() && !c.EndsAt.IsZero() && !c.EndsAt.After(c.StartsAt) {
		at := m.Get("ends_at")
		d.Reportf(timeOrder, at.Line, at.Path,
			"%s is not after starts_at (%s): write a later time, or remove the line for no end",
			at.Node.Value, m.Get("starts_at").Node.Value)
	}
	population := m.Get("population")
	c.Population = d.Integer(population, int64(grant.MaxUserID), 0)
	c.Input = d.source(m.Get("source"))
	// The IDs 0 to max_id are max_id + 1 users, which overflows for the largest max_id.
	if c.Population > 0 && c.Input.MaxID > 0 && uint64(c.Population-1) > c.Input.MaxID {
		d.Reportf(populationMaxID, population.Line, population.Path,
			"%d users cannot have different IDs up to source.max_id (%d): correct one of them", c.Population, c.Input.MaxID)
	}
	c.Items = d.items(m.Get("items"), c)
	c.Approval = d.approval(m.Get("approval"))
	c.Exclude = d.excludes(m.Get("exclude"), c.Input.Topic)
	if c.Zone != nil {
		c.In(c.Zone)
	}
	return c
}

func (d *decoder) title(f strict.Field) string {
	s, ok := d.Text(f)
	switch n := utf8.RuneCountInString(s); {
	case !ok:
	case strings.TrimSpace(s) == "":
		d.Reportf(titleLength, f.Line, f.Path, "is blank: say what the users get")
	case n > maxTitle:
		d.Reportf(titleLength, f.Line, f.Path, "has %d characters: write at most %d", n, maxTitle)
	}
	return s
}

func (d *decoder) source(f strict.Field) grant.Input {
	t := grant.Input{}
	m := d.Mapping(f, sourceFields)
	if m == nil {
		return t
	}
	t.Topic = d.topic(m.Get("topic"), m.Get("dead_letters"))
	t.IDs = d.ids(m.Get("id"))
	t.Format = d.format(m.Get("format"), &t)
	t.Path = d.path(m.Get("path"), t.Format)
	t.From = d.from(m.Get("from"))
	t.MaxID = d.maxID(m.Get("max_id"), &t)
	t.Normalise = d.normalise(m.Get("normalise"), &t)
	t.MaxRejected = d.share(m.Get("max_rejected"), DefaultMaxRejected)
	t.DeadLetters = d.deadLetters(m.Get("dead_letters"), t.Topic)
	t.Tombstones = d.tombstones(m.Get("tombstones"), t.From)
	t.Registry = d.registry(m.Get("registry"), &t)
	t.Schemas = d.schemas(m.Get("schemas"), !m.Get("registry").Absent, &t)
	return t
}

// kafkaTopic reads a name that Kafka allows for a topic.
func (d *decoder) kafkaTopic(f strict.Field, r strict.Rule, what string) string {
	name := d.Match(f, r, topicName, "letters, digits, dots, hyphens and underscores, as Kafka requires")
	switch {
	case name == "." || name == "..":
		d.Reportf(r, f.Line, f.Path, "%s is not a legal name in Kafka: write the name of the topic %s", strict.Quote(name), what)
		return ""
	case len(name) > maxTopic:
		d.Reportf(r, f.Line, f.Path, "has %d characters: write at most %d, as Kafka allows", len(name), maxTopic)
		return ""
	}
	return name
}

// deadLetters reads the name of the dead-letter topic; one that is as by default is left out.
func (d *decoder) deadLetters(f strict.Field, topic string) string {
	if f.Absent {
		return ""
	}
	name := d.kafkaTopic(f, deadLettersForm, "for rejected records")
	// Kafka refuses a topic whose name is another one's with dots for underscores: their metrics would have one name.
	alike := strings.NewReplacer(".", "_")
	switch {
	case name == "" || topic == "":
	case alike.Replace(name) == alike.Replace(topic):
		d.Reportf(deadLettersClash, f.Line, f.Path, "%s cannot be beside the topic %s in Kafka: write the name of another topic",
			strict.Quote(name), strict.Quote(topic))
	case name == topic+grant.DeadLetterSuffix:
		return ""
	}
	return name
}

func (d *decoder) tombstones(f strict.Field, from grant.Part) grant.Tombstones {
	t := strict.OneOf(d.Decoder, f, tombstonesKnown, grant.RejectTombstones, grant.GrantTombstones)
	switch {
	case t == grant.RejectTombstones:
		return "" // the default, however it is written
	case t == grant.GrantTombstones && from != grant.FromKey:
		d.Reportf(tombstonesForbidden, f.Line, f.Path,
			"says what a key without a value is, when IDs are keys: remove the line, or write from: key")
	}
	return t
}

func (d *decoder) topic(f, deadLetters strict.Field) string {
	name := d.kafkaTopic(f, topicForm, "with the user IDs")
	switch longest := maxTopic - len(grant.DeadLetterSuffix); {
	case len(name) > longest && deadLetters.Absent:
		d.Reportf(topicForm, f.Line, f.Path, "has %d characters: write at most %d (Kafka's %d, less %d for the %s of the "+
			"dead-letter topic), or name that topic by dead_letters",
			len(name), longest, maxTopic, len(grant.DeadLetterSuffix), grant.DeadLetterSuffix)
	case strings.HasSuffix(name, grant.DeadLetterSuffix):
		d.Reportf(topicDeadLetter, f.Line, f.Path,
			"%s is a dead-letter topic, whose records were rejected: write the topic itself, %s",
			strict.Quote(name), strict.Quote(strings.TrimSuffix(name, grant.DeadLetterSuffix)))
	}
	return name
}

func (d *decoder) path(f strict.Field, format grant.Format) string {
	switch {
	case format.Fields() && f.Absent:
		d.Reportf(pathRequired, f.Line, f.Path, "is missing: add where in the record the ID is, such as path: user.id")
		return ""
	case !format.Fields() && format != "" && !f.Absent:
		d.Reportf(pathForbidden, f.Line, f.Path,
			"a record in the format %s has no fields: remove the line, or write format: json", format)
		return ""
	}
	path, ok := d.Text(f)
	if !ok {
		return ""
	}
	if len(path) > maxPath {
		d.Reportf(pathForm, f.Line, f.Path, "has %d bytes: write at most %d", len(path), maxPath)
	}
	for name := range strings.SplitSeq(path, ".") {
		if name == "" || name != strings.TrimSpace(name) {
			d.Reportf(pathForm, f.Line, f.Path, "%s has an empty field name, or spaces around one: write field names with "+
				"dots between them, such as user.id", strict.Quote(path))
			break
		}
	}
	return path
}

func (d *decoder) items(f strict.Field, c *grant.Campaign) []grant.Item {
	if f.Node == nil {
		return nil
	}
	if f.Node.Kind != yaml.SequenceNode {
		d.Reportf(strict.ListType, f.Line, f.Path, "must be a list, not %s: begin each item with a hyphen",
			strict.Describe(f.Node))
		return nil
	}
	nodes := f.Node.Content
	if len(nodes) == 0 || len(nodes) > maxItems {
		d.Reportf(itemsCount, f.Line, f.Path, "has %d items: write 1 to %d", len(nodes), maxItems)
		nodes = nodes[:min(len(nodes), maxItems)]
	}
	items := make([]grant.Item, 0, len(nodes))
	seen := map[string]int{} // item ID to line
	for i, n := range nodes {
		m := d.Mapping(strict.Field{Path: fmt.Sprintf("%s[%d]", f.Path, i), Line: n.Line, Node: n}, itemFields)
		if m == nil {
			continue
		}
		item := d.item(m, c)
		if id := m.Get("id"); item.ID != "" && seen[item.ID] > 0 {
			d.Reportf(itemIDUnique, id.Line, id.Path, "%s is also the item on line %d: give each item an ID of its own",
				strict.Quote(item.ID), seen[item.ID])
		} else {
			seen[item.ID] = id.Line
		}
		items = append(items, item)
	}
	return items
}

func (d *decoder) item(m *strict.Mapping, c *grant.Campaign) grant.Item {
	item := grant.Item{
		ID: d.Match(m.Get("id"), itemIDForm, itemID,
			"1 to 100 letters, digits, dots, hyphens and underscores, a letter or digit first"),
		Kind: strict.OneOf(d.Decoder, m.Get("kind"), kindKnown, grant.KindEmoticon, grant.KindCredit, grant.KindCash,
			grant.KindItem),
		Validity: d.validity(m.Get("validity"), c.Zone),
	}
	item.TakeUntil = d.takeUntil(m.Get("take_until"), c, item.Offered())
	item.First = d.first(m.Get("first"), item.Offered())
	amount, currency := m.Get("amount"), m.Get("currency")
	switch item.Kind {
	case "": // reported; whether money belongs to it is not known
	case grant.KindCredit, grant.KindCash:
		if amount.Absent {
			d.Reportf(amountRequired, amount.Line, amount.Path,
				"is missing: a %s needs one, in the currency's smallest unit: add amount: 50000", item.Kind)
		}
		if currency.Absent {
			d.Reportf(currencyRequired, currency.Line, currency.Path, "is missing: a %s needs one: add currency: KRW", item.Kind)
		}
		item.Amount = d.Integer(amount, maxAmount, 0)
		item.Currency = d.currency(currency)
	default:
		const forbidden = "belongs to the kinds credit and cash, not to %s: remove the line, or change the kind"
		if !amount.Absent {
			d.Reportf(amountForbidden, amount.Line, amount.Path, forbidden, item.Kind)
		}
		if !currency.Absent {
			d.Reportf(currencyForbidden, currency.Line, currency.Path, forbidden, item.Kind)
		}
	}
	return item
}
