package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/registry"
	"github.com/granter/granter/grant/schema"
)

// schemas are what the records of a topic are written by. They are safe for concurrent use.
type schemas struct {
	in       *grant.Input
	path     []string
	registry *registry.Client // nil: the spec has all that there are
	adding   sync.Mutex
	byID     atomic.Pointer[map[uint32]*schema.Schema] // copied to add to it: topics have a handful
}

func newSchemas(in *grant.Input, a registry.Access) (*schemas, error) {
	s := &schemas{in: in, path: strings.Split(in.Path, ".")}
	byID := map[uint32]*schema.Schema{}
	for i := range in.Schemas {
		compiled, err := schema.Compile(in, &in.Schemas[i])
		if err != nil {
			return nil, fmt.Errorf("source.schemas: the schema %d: %w", in.Schemas[i].ID, err)
		}
		byID[in.Schemas[i].ID] = compiled
	}
	s.byID.Store(&byID)
	if !registry.Reads(in) {
		return s, nil
	}
	var err error
	s.registry, err = registry.New(in, a)
	return s, err
}

func (s *schemas) close() {
	if s != nil && s.registry != nil {
		s.registry.Close()
	}
}

// reasonUnasked is no reason to reject a record: the registry is to be asked for its schema.
const reasonUnasked Reason = "unasked_schema"

// answered is the reason once the registry was asked: that it does not have the schema is not remembered here.
func (r Reason) answered() Reason {
	if r == reasonUnasked {
		return ReasonUnknownSchema
	}
	return r
}

// find takes what is at the path out of a record. A record of a schema that is not known is never read by another one: that would
// grant somebody else.
func (s *schemas) find(data []byte) (v schema.Value, reason Reason) {
	if len(data) == 0 {
		return v, ReasonEmpty
	}
	id, payload, fault := schema.Frame(data)
	if fault != "" {
		return v, Reason(fault)
	}
	by := (*s.byID.Load())[id]
	switch {
	case by == nil && s.registry != nil:
		return v, reasonUnasked
	case by == nil:
		return v, ReasonUnknownSchema
	}
	if fault, _ := by.Problem(); s.in.Format == grant.FormatJSONSchema && fault == "" {
		text, number, reason := jsonText(payload, s.path)
		v.Is, v.Data = schema.Text, bytesOf(text)
		if number {
			v.Is = schema.Literal
		}
		return v, reason
	}
	v, fault = by.Find(payload)
	return v, Reason(fault)
}

// learn asks the registry once for the schema that a record names, unless it is known. A reason says that there is none; an
// error, that the registry did not say.
func (s *schemas) learn(ctx context.Context, data []byte) (Reason, error) {
	id, _, fault := schema.Frame(data)
	if fault != "" || s.registry == nil || (*s.byID.Load())[id] != nil {
		return "", nil
	}
	text, err := s.registry.Schema(ctx, id)
	var useless *registry.UnusableError
	switch {
	case errors.Is(err, registry.ErrUnknown):
		return ReasonUnknownSchema, nil
	case errors.As(err, &useless):
		s.add(id, schema.Unreadable(useless.Why))
		return "", nil
	case err != nil:
		return "", &registryError{err}
	}
	compiled, err := schema.Compile(s.in, &text)
	if err != nil {
		compiled = schema.Unreadable(fmt.Sprintf("the registry's schema %d is no schema of the format %s: %v", id,
			s.in.Format, err))
	}
	s.add(id, compiled)
	return "", nil
}

func (s *schemas) add(id uint32, compiled *schema.Schema) {
	s.adding.Lock()
	defer s.adding.Unlock()
	more := maps.Clone(*s.byID.Load())
	more[id] = compiled
	s.byID.Store(&more)
}

// registryError says that the schema registry did not answer.
type registryError struct{ error }

func (e *registryError) Unwrap() error { return e.error }

// dense reads an ID that is a dense number.
func (s *schemas) dense(data []byte, limit uint64) (uint64, Reason) {
	v, reason := s.find(data)
	switch {
	case reason != "":
		return 0, reason
	case v.Is != schema.Number:
		id, reason := decimal(v.Data, limit)
		if v.Is == schema.Literal && reason == ReasonNotDecimal {
			reason = ReasonFieldType
		}
		return id, reason
	case v.Int < 0:
		return 0, ReasonNegative
	case uint64(v.Int) > limit:
		return 0, ReasonOverLimit
	}
	return uint64(v.Int), ""
}

// Learn asks the schema registry, if there is one, for the schema that a record names, for as long as Config.RetryFor says. Read
// and Find do so before they hand a record over. That the registry has no such schema is no error: Decode says so.
func (s *Source) Learn(ctx context.Context, p *Parts) error {
	if s.schemas == nil || s.schemas.registry == nil {
		return nil
	}
	data := p.Holder(&s.cfg.Topic)
	return s.retry(ctx, "asking the schema registry", func() error {
		_, err := s.schemas.learn(ctx, data)
		return err
	})
}

// ask asks the registry what the schema of a record is; a reason says that there is none. While the registry does not answer,
// what was read before is handed over, and no record is skipped or rejected: the run waits for Config.RetryFor, and then it
// stops.
func (p *partition) ask(ctx context.Context, next int64, parts *Parts) (Reason, error) {
	data := parts.Holder(&p.cfg.Topic)
	reason, err := p.schemas.learn(ctx, data)
	if _, again := Classify(err); again && ctx.Err() == nil {
		p.cfg.Log.Warn("the schema registry does not answer: this partition waits for it", "partition", p.number, "offset", next,
			"error", err)
		if err = p.handIn(ctx, next); err != nil {
			return "", err
		}
		err = p.retry(ctx, "asking the schema registry", func() (err error) {
			reason, err = p.schemas.learn(ctx, data)
			return err
		})
	}
	if err != nil && ctx.Err() == nil {
		err = &permanent{fmt.Errorf("%w; nobody is skipped: a later run begins with this record", err)}
	}
	return reason, err
}

// Schemas says what the schemas are that were named so far, for people.
func (s *Source) Schemas() map[uint32]*schema.Schema {
	if s.schemas == nil {
		return nil
	}
	return *s.schemas.byID.Load()
}

// PingRegistry asks the schema registry something that it answers only to whom it would answer a run.
func (s *Source) PingRegistry(ctx context.Context) error {
	if err := s.schemas.registry.Ping(ctx); err != nil {
		return &registryError{err}
	}
	return nil
}

// RegistryAddress is where the schema registry is; empty: there is none.
func (s *Source) RegistryAddress() string {
	if s.schemas == nil || s.schemas.registry == nil {
		return ""
	}
	return s.schemas.registry.Address()
}

// SchemaSubjects names some subjects of a schema that the registry has.
func (s *Source) SchemaSubjects(ctx context.Context, id uint32) []string {
	return s.schemas.registry.Subjects(ctx, id)
}
