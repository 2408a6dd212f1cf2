package questions

import (
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims/tell"
)

// Input renders a field with what was written, and what is wrong with it.
func Input(l tell.Lang, f *Field, value, wrong string) g.Node {
	id, describes := "f-"+f.Name, []string{}
	hint := f.Hint.In(l)
	if hint != "" {
		describes = append(describes, id+"-hint")
	}
	if wrong != "" {
		describes = append(describes, id+"-problem")
	}
	class := "field"
	if wrong != "" {
		class = "field wrong"
	}
	about := g.Group{
		g.If(hint != "", h.P(h.ID(id+"-hint"), h.Class("note"), g.Text(hint))),
		g.If(wrong != "", h.P(h.ID(id+"-problem"), h.Class("problem"), g.Text(wrong))),
	}
	described := g.If(len(describes) > 0, h.Aria("describedby", strings.Join(describes, " ")))
	invalid := g.If(wrong != "", h.Aria("invalid", "true"))
	label := f.Label.In(l)
	if f.Optional {
		label += tell.Text{KO: " (선택)", EN: " (optional)"}.In(l)
	}
	switch f.Kind { //nolint:exhaustive // the others are written into a line
	case Choice:
		if wrong != "" {
			class = "wrong"
		} else {
			class = "choices"
		}
		return h.FieldSet(h.Class(class), described, h.Legend(g.Text(label)), about, choices(l, f, value))
	case List:
		return h.Div(h.Class(class), h.Label(h.For(id), g.Text(label)), about,
			h.Select(h.ID(id), h.Name(f.Name), described, invalid,
				h.Option(h.Value(""), g.Text(tell.Text{KO: "고르세요", EN: "Choose"}.In(l))),
				g.Map(f.Options, func(o Option) g.Node {
					return h.Option(h.Value(o.Value), g.If(o.Value == value, h.Selected()), g.Text(o.Label.In(l)))
				})))
	case Area:
		return h.Div(h.Class(class), h.Label(h.For(id), g.Text(label)), about,
			h.Textarea(h.ID(id), h.Name(f.Name), described, invalid, g.Text(value)))
	}
	kind := "text"
	if f.Kind == Phone || f.Kind == Mail {
		kind = string(f.Kind)
	}
	input := h.Input(h.ID(id), h.Name(f.Name), h.Type(kind), h.Value(value), described, invalid,
		g.If(f.Mode != "", g.Attr("inputmode", f.Mode)), h.AutoComplete(orOff(f.Complete)))
	if f.Kind == Won {
		input = h.Div(h.Class("won"), input, h.Span(h.Aria("hidden", "true"), g.Text(tell.Text{KO: "원", EN: "won"}.In(l))))
	}
	return h.Div(h.Class(class), h.Label(h.For(id), g.Text(label)), about, input)
}

func orOff(s string) string {
	if s == "" {
		return "off"
	}
	return s
}

func choices(l tell.Lang, f *Field, value string) g.Node {
	out := make(g.Group, 0, len(f.Options))
	for i, o := range f.Options {
		id := "f-" + f.Name
		if i > 0 {
			id += "-" + o.Value
		}
		out = append(out, h.Div(h.Class("choice"),
			h.Input(h.ID(id), h.Type("radio"), h.Name(f.Name), h.Value(o.Value), g.If(o.Value == value, h.Checked())),
			h.Label(h.For(id), g.Text(o.Label.In(l)))))
	}
	return out
}

// Summary is what is wrong on a page, before everything else, with links to where.
func Summary(l tell.Lang, fields []Field, wrong map[string]string) g.Node {
	if len(wrong) == 0 {
		return nil
	}
	var list g.Group
	for i := range fields {
		if says := wrong[fields[i].Name]; says != "" {
			list = append(list, h.Li(h.A(h.Href("#f-"+fields[i].Name), g.Text(says))))
		}
	}
	title := tell.Text{KO: "다시 확인해 주세요", EN: "Please check this"}.In(l)
	return h.Div(h.Class("box bad"), h.Role("alert"), h.P(h.Strong(g.Text(title))), h.Ul(list))
}
