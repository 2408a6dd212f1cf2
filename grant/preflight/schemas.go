package preflight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/registry"
	"github.com/granter/granter/grant/schema"
	"github.com/granter/granter/grant/source"
)

// mostSchemas is how many different schemas a topic may seem to have. More are no schemas: they are random bytes.
const mostSchemas = 16

// schemasOf counts the schemas that records name which are written as the serializers of a schema registry do.
func (j *judgement) schemasOf(all bool) (seen map[uint32]int, records int) {
	seen = map[uint32]int{}
	for i := range j.kafka.samples {
		for _, r := range j.kafka.samples[i].Records {
			id := r.Schema
			if id == 0 && !all {
				id, _, _ = schema.Frame(r.Data)
			}
			if id != 0 {
				seen[id]++
				records++
			}
		}
	}
	return seen, records
}

// judgeFramed judges records that hold no ID as the spec reads them, and names the schema registry if that is why.
func (j *judgement) judgeFramed(invalid int, detail string) bool {
	if j.Campaign.Input.Format.Schemas() {
		return false
	}
	seen, framed := j.schemasOf(false)
	if framed*10 < invalid*9 || len(seen) > mostSchemas {
		return false
	}
	j.fail("sample.valid", detail+"; they look like records of a schema registry: a 0, and the ID of a schema, "+listIDs(seen),
		writeSchemas(seen))
	return true
}

// writeSchemas are the lines of a spec by which records are read that name schemas.
func writeSchemas[N any](seen map[uint32]N) string {
	lines := make([]string, 0, len(seen))
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		lines = append(lines, fmt.Sprintf("{id: %d, file: FILE}", id))
	}
	return fmt.Sprintf("write under source format: avro (or protobuf, or json_schema), path: where the ID is, such as user.id, "+
		"and registry: URL, the address of the schema registry; or schemas: [%s], with the schemas as the registry has them "+
		"(GET /schemas/ids/%d/schema)",
		strings.Join(lines, ", "), slices.Min(slices.Collect(maps.Keys(seen))))
}

func listIDs(seen map[uint32]int) string {
	words := make([]string, 0, len(seen))
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		words = append(words, fmt.Sprintf("%d (%s)", id, plural(int64(seen[id]), "record")))
	}
	return strings.Join(words, ", ")
}

// askSchemas learns what the schemas of the sample are, and of which subjects.
func (a *asker) askSchemas(ctx context.Context) {
	a.schemas, a.subjects = a.source.Schemas(), map[uint32][]string{}
	if a.registry == "" || len(a.schemas) > mostSchemas {
		return
	}
	for id := range a.schemas {
		if !slices.ContainsFunc(a.Campaign.Input.Schemas, func(s grant.Schema) bool { return s.ID == id }) {
			a.subjects[id] = a.source.SchemaSubjects(ctx, id)
		}
	}
}

// unread reports whether the sample could not be read because of the schema registry.
func (f *kafkaFacts) unread() bool {
	kind, _ := source.Classify(f.sampleErr)
	return f.sampleErr != nil && kind == source.KindRegistry
}

// judgeRegistry says whether the schema registry answers.
func (j *judgement) judgeRegistry() {
	f := j.kafka
	const name = "sample.registry"
	err := f.registryErr
	if err == nil && f.unread() {
		err = f.sampleErr
	}
	switch {
	case f.registry == "":
	case err != nil && !registry.Temporary(err):
		j.fail(name, err.Error(), "correct source.registry, or --registry, --registry-user, --registry-ca and what belongs to "+
			"them: "+
			"a run would stop at the first record")
	case err != nil:
		j.fail(name, err.Error(), "look whether the registry is up, and reachable from here: a run would wait for it, and "+
			"then stop")
	default:
		j.pass(name, "the schema registry answers: "+f.registry)
	}
}

// judgeSchemas says which schemas the sample names, what has the ID in each, and which of them nobody has.
func (j *judgement) judgeSchemas() {
	in := &j.Campaign.Input
	if !in.Format.Schemas() {
		return
	}
	seen, _ := j.schemasOf(true)
	types := j.typesOf()
	unknown, useless := maps.Clone(seen), map[uint32]int{}
	for _, s := range in.Schemas {
		delete(unknown, s.ID)
	}
	for id, s := range j.kafka.schemas {
		delete(unknown, id)
		if fault, _ := s.Problem(); fault != "" && seen[id] > 0 {
			useless[id] = seen[id]
		}
	}
	const name = "sample.schemas"
	switch {
	case len(seen) == 0:
		j.warn(name, "no record names a schema", "look whether the topic is written by a serializer of a schema registry; if "+
			"not, correct source.format")
	case len(unknown) > 0 && in.Registry != "":
		j.warn(name, "records name schemas that the registry does not have, and would be rejected: "+listIDs(unknown)+"; of "+
			j.describe(seen), "look whether it is the registry that the producers write to: each has numbers of its own")
	case len(unknown) > 0:
		j.warn(name, "records name schemas that the spec does not have, and would be rejected: "+listIDs(unknown)+"; of "+
			listIDs(seen), fmt.Sprintf("add {id: %d, file: FILE} under source.schemas, and so on, or registry: URL: a record is "+
			"never read by another schema than it names", slices.Min(slices.Collect(maps.Keys(unknown)))))
	case len(useless) > 0:
		j.warn(name, "records of these schemas hold no ID, and would be rejected: "+j.describe(useless), "correct source.path "+
			"or "+
			"source.format, or take these records out of the topic")
	case len(types) > 1:
		j.warn(name, fmt.Sprintf("records are of %s: %s; all that have the field %s are granted", plural(len(types), "type"),
			listTypes(types), in.Path), "if users are in one of them only, list its schemas under source.schemas instead of a "+
			"registry, and the others are rejected; or take the others out of the topic")
	default:
		j.pass(name, fmt.Sprintf("records name %s: %s", plural(len(seen), "schema"), j.describe(seen)))
	}
}

// typesOf counts the types of the records that hold an ID.
func (j *judgement) typesOf() map[string]int {
	types := map[string]int{}
	for i := range j.kafka.samples {
		for _, r := range j.kafka.samples[i].Records {
			if r.Reason == "" && r.Type != "" {
				types[r.Type]++
			}
		}
	}
	return types
}

func listTypes(types map[string]int) string {
	words := make([]string, 0, len(types))
	for _, name := range slices.Sorted(maps.Keys(types)) {
		words = append(words, fmt.Sprintf("%s (%s)", name, plural(types[name], "record")))
	}
	return strings.Join(words, ", ")
}

// describe says what the schemas are that records name.
func (j *judgement) describe(seen map[uint32]int) string {
	words := make([]string, 0, len(seen))
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		word := fmt.Sprintf("%d (%s", id, plural(int64(seen[id]), "record"))
		if subjects := j.kafka.subjects[id]; len(subjects) > 0 {
			word += ", of " + strings.Join(subjects, ", ")
		}
		if s := j.kafka.schemas[id]; s != nil {
			word += ": " + s.About()
		}
		words = append(words, word+")")
	}
	return strings.Join(words, ", ")
}

// framedMembers reports the schemas that strings seem to name: bytes of a registry's serializers are text, too.
func framedMembers(seen map[grant.UserID]struct{}) map[uint32]int {
	out := map[uint32]int{}
	for id := range seen {
		of, _, fault := schema.Frame([]byte(id.String()))
		if fault != "" {
			return nil
		}
		out[of]++
	}
	if len(out) > mostSchemas || len(seen) < fewest {
		return nil
	}
	return out
}
