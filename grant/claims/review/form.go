package review

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/resident"
)

// fieldForm is the ID of the form that was sent. What somebody wrote into a form that is refused is in that form again, to be
// changed and sent once more.
const fieldForm = "form"

// refused reports whether a form is the one that was sent, and refused.
func (v *view) refused(form string) bool { return v.Problem != "" && v.sent.Get(fieldForm) == form }

// written is what a field of a form has: what somebody wrote into it, if the form was refused.
// What looks like a resident registration number is not repeated: stars say where it was.
func (v *view) written(form, field, otherwise string) string {
	if !v.refused(form) {
		return otherwise
	}
	text := v.sent.Get(field)
	if resident.In(text, true) {
		text = strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) {
				return '*'
			}
			return r
		}, text)
	}
	return text
}

// chosen reports whether one of the values of a field is chosen, as written does.
func (v *view) chosen(form, field, value string, otherwise bool) bool {
	if v.refused(form) {
		return slices.Contains(v.sent[field], value)
	}
	return otherwise
}

// sure is a form that was sent, to be sent once more by whoever has read what it does. While a step is frozen, so is it.
func (v *view) sure(action, back string, step claims.Action, does g.Node, more ...g.Node) g.Node {
	var kept g.Group
	for _, field := range slices.Sorted(maps.Keys(v.sent)) {
		if field == fieldSure || field == fieldOnce {
			continue
		}
		for _, value := range v.sent[field] {
			kept = append(kept, hidden(field, value))
		}
	}
	return h.Form(h.Method("post"), h.Action(action), hidden(fieldOnce, v.once), kept, g.Group(more), hidden(fieldSure, "yes"),
		v.whyStopped(step),
		h.Div(h.Class("search-row"),
			h.Button(h.Type("submit"), h.Class("danger"), h.ID("sure"), g.If(v.stopped(step) == nil, h.AutoFocus()),
				v.stopped(step), does),
			h.A(h.Href(back), v.t("그만두기", "Go back"))))
}
