package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/granter/granter/grant"
)

// wrappers are the messages of google/protobuf/wrappers.proto that hold what an ID can be: nobody has to name that file.
var wrappers = map[string]descriptorpb.FieldDescriptorProto_Type{
	"google.protobuf.Int32Value":  descriptorpb.FieldDescriptorProto_TYPE_INT32,
	"google.protobuf.Int64Value":  descriptorpb.FieldDescriptorProto_TYPE_INT64,
	"google.protobuf.UInt32Value": descriptorpb.FieldDescriptorProto_TYPE_UINT32,
	"google.protobuf.UInt64Value": descriptorpb.FieldDescriptorProto_TYPE_UINT64,
	"google.protobuf.StringValue": descriptorpb.FieldDescriptorProto_TYPE_STRING,
	"google.protobuf.BytesValue":  descriptorpb.FieldDescriptorProto_TYPE_BYTES,
}

// protoMessage is a message of a file, as records name it: by its place among the messages beside it.
type protoMessage struct {
	name   string // full
	plan   *protoPlan
	never  Fault // why no record of it holds an ID; the same in words
	why    string
	nested []*protoMessage
}

// protoTypes are the messages of a file and of those that it imports, by their full names.
type protoTypes struct {
	messages map[string]*descriptorpb.DescriptorProto
	enums    map[string]bool
	ids      grant.IDs
}

// compileProtobuf reads a .proto file and those that it imports, and plans where each of its messages has the ID. Types are
// looked up on the path to the ID only, so an import that nothing on it needs may be missing, such as that of an option.
func compileProtobuf(in *grant.Input, s *grant.Schema) (*Schema, error) {
	types := protoTypes{messages: map[string]*descriptorpb.DescriptorProto{}, enums: map[string]bool{}, ids: in.IDs}
	for name, of := range wrappers {
		field := &descriptorpb.FieldDescriptorProto{Name: new("value"), Number: new(int32(1)), Type: &of}
		types.messages[name] = &descriptorpb.DescriptorProto{Name: new(name), Field: []*descriptorpb.FieldDescriptorProto{field}}
	}
	for i := range s.References {
		file, err := parseProto(s.References[i].Name, s.References[i].Text)
		if err != nil {
			return nil, err
		}
		types.add(file)
	}
	file, err := parseProto("the schema", s.Text)
	if err != nil {
		return nil, err
	}
	if len(file.GetMessageType()) == 0 {
		return nil, errors.New("it has no message")
	}
	types.add(file)
	out := &Schema{}
	for _, m := range counted(file.GetMessageType(), nil) {
		out.proto = append(out.proto, types.message(m, file.GetPackage(), names(in.Path)))
	}
	out.judgeMessages(in.Path)
	return out, nil
}

func parseProto(name, text string) (*descriptorpb.FileDescriptorProto, error) {
	handler := reporter.NewHandler(nil)
	tree, err := parser.Parse(name, strings.NewReader(text), handler)
	if err != nil {
		return nil, err
	}
	file, err := parser.ResultFromAST(tree, true, handler)
	if err != nil {
		return nil, err
	}
	return file.FileDescriptorProto(), nil
}

func (t *protoTypes) add(file *descriptorpb.FileDescriptorProto) {
	for _, m := range file.GetMessageType() {
		t.addMessage(m, file.GetPackage())
	}
	for _, e := range file.GetEnumType() {
		t.enums[qualified(file.GetPackage(), e.GetName())] = true
	}
}

func (t *protoTypes) addMessage(m *descriptorpb.DescriptorProto, space string) {
	name := qualified(space, m.GetName())
	t.messages[name] = m
	for _, n := range m.GetNestedType() {
		t.addMessage(n, name)
	}
	for _, e := range m.GetEnumType() {
		t.enums[qualified(name, e.GetName())] = true
	}
}

func qualified(space, name string) string {
	if space == "" {
		return name
	}
	return space + "." + name
}

// counted are the messages that serializers count: those that the file says, and not those that stand for a map or a group.
func counted(list []*descriptorpb.DescriptorProto, in *descriptorpb.DescriptorProto) (out []*descriptorpb.DescriptorProto) {
	for _, m := range list {
		group := slices.ContainsFunc(in.GetField(), func(f *descriptorpb.FieldDescriptorProto) bool {
			return f.GetType() == descriptorpb.FieldDescriptorProto_TYPE_GROUP && f.GetTypeName() == m.GetName()
		})
		if !group && !m.GetOptions().GetMapEntry() {
			out = append(out, m)
		}
	}
	return out
}

func (t *protoTypes) message(m *descriptorpb.DescriptorProto, space string, path []string) *protoMessage {
	out := &protoMessage{name: qualified(space, m.GetName())}
	out.plan, out.never, out.why = t.plan(m, out.name, path)
	for _, n := range counted(m.GetNestedType(), m) {
		out.nested = append(out.nested, t.message(n, out.name, path))
	}
	return out
}

// plan makes a plan of the rest of a path, or says why there is none.
func (t *protoTypes) plan(m *descriptorpb.DescriptorProto, name string, path []string) (*protoPlan, Fault, string) {
	at := slices.IndexFunc(m.GetField(), func(f *descriptorpb.FieldDescriptorProto) bool { return f.GetName() == path[0] })
	if at < 0 {
		return nil, NoField, fmt.Sprintf("the message %s has no field %s", name, path[0])
	}
	field := m.GetField()[at]
	if field.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED {
		return nil, FieldType, fmt.Sprintf("the field %s of the message %s is a list", path[0], name)
	}
	p := &protoPlan{number: protowire.Number(field.GetNumber()), kind: field.GetType()}
	for _, f := range m.GetField() {
		if field.OneofIndex != nil && f.OneofIndex != nil && f.GetOneofIndex() == field.GetOneofIndex() && f != field {
			p.rivals = append(p.rivals, protowire.Number(f.GetNumber()))
		}
	}
	if field.GetTypeName() == "" {
		if len(path) > 1 {
			return nil, NoField, fmt.Sprintf("a value of type %s has no field %s", p.word(), path[1])
		}
		fault, why := p.fits(t.ids)
		return p, fault, why
	}
	of, full := t.find(name, field.GetTypeName())
	wrapper, wraps := wrappers[full]
	switch {
	case of == nil && t.enums[full]:
		return nil, FieldType, "enum cannot be an ID of source.id " + string(orDense(t.ids))
	case of == nil && len(path) > 1:
		return nil, NoField, fmt.Sprintf("the message %s of the field %s is in none of the files: add the one that has it, "+
			"under references", field.GetTypeName(), path[0])
	case len(path) > 1:
	case wraps: // the ID is its value, whether the path says so or not
		p.next = &protoPlan{number: 1, kind: wrapper, always: true}
		fault, why := p.next.fits(t.ids)
		return p, fault, why
	default:
		return nil, FieldType, fmt.Sprintf("the message %s cannot be an ID: name a field of it", field.GetTypeName())
	}
	var fault Fault
	var why string
	p.next, fault, why = t.plan(of, full, path[1:])
	if p.next != nil && wraps {
		p.next.always = true
	}
	return p, fault, why
}

// find returns the message or enum that a name means in a message: of the innermost scope that has it.
func (t *protoTypes) find(scope, name string) (*descriptorpb.DescriptorProto, string) {
	if full, is := strings.CutPrefix(name, "."); is {
		return t.messages[full], full
	}
	for {
		full := qualified(scope, name)
		if m := t.messages[full]; m != nil || t.enums[full] {
			return m, full
		}
		if scope == "" {
			return nil, name
		}
		scope = scope[:max(0, strings.LastIndexByte(scope, '.'))]
	}
}

// judgeMessages says which messages of the file hold an ID, or why none does.
func (s *Schema) judgeMessages(path string) {
	var holders []string
	var visit func([]*protoMessage)
	visit = func(list []*protoMessage) {
		for _, m := range list {
			if m.never == "" {
				holders = append(holders, fmt.Sprintf("the message %s, whose field %s is %s", m.name, path, m.plan.last().word()))
			}
			visit(m.nested)
		}
	}
	if visit(s.proto); len(holders) == 0 {
		s.problem, s.detail = s.proto[0].never, s.proto[0].why
		return
	}
	const most = 3
	s.about = strings.Join(holders[:min(len(holders), most)], ", or ")
}

func (p *protoPlan) last() *protoPlan {
	for p.next != nil {
		p = p.next
	}
	return p
}
