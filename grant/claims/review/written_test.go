package review

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
	"github.com/granter/granter/grant/claims/tell"
)

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// within are the elements of some names below a node.
func within(n *html.Node, names ...string) (out []*html.Node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && slices.Contains(names, d.Data) {
			out = append(out, d)
		}
	}
	return out
}

func textOf(n *html.Node) (out string) {
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			out += d.Data
		}
	}
	return out
}

// fillIn fills a form in as somebody does who writes far too much.
func fillIn(form *html.Node) (fields url.Values, where string) {
	fields = url.Values{}
	where, _ = attribute(form, "action")
	for _, in := range within(form, "input", "textarea", "select") {
		name, _ := attribute(in, "name")
		kind, _ := attribute(in, "type")
		value, _ := attribute(in, "value")
		switch {
		case in.Data == "select":
			options := within(in, "option")
			value, _ = attribute(options[len(options)-1], "value")
			fields.Set(name, value)
		case name == fieldWhy:
			fields.Set(name, "because & "+strings.Repeat("x", maxWhy))
		case kind == "radio":
			fields.Set(name, value) // the last one
		case kind == "hidden", kind == "checkbox":
			fields.Add(name, value)
		case kind == "datetime-local":
			fields.Set(name, "2023-05-05T10:00:00")
		default:
			fields.Set(name, "written <here>")
		}
	}
	return fields, "/" + strings.TrimLeft(where, "./")
}

// holds are the fields of a form that people see, as they are filled in.
func holds(form *html.Node) url.Values {
	out := url.Values{}
	for _, in := range within(form, "input", "textarea", "select") {
		name, _ := attribute(in, "name")
		kind, _ := attribute(in, "type")
		value, _ := attribute(in, "value")
		_, checked := attribute(in, "checked")
		switch {
		case kind == "hidden", (kind == "radio" || kind == "checkbox") && !checked:
		case in.Data == "textarea":
			out.Add(name, textOf(in))
		case in.Data == "select":
			for _, option := range within(in, "option") {
				if _, selected := attribute(option, "selected"); selected {
					value, _ = attribute(option, "value")
					out.Add(name, value)
				}
			}
		default:
			out.Add(name, value)
		}
	}
	return out
}

// Whatever somebody wrote into a form of the desk that is refused is in it again, and the form is not folded away.
func TestWhatIsWrittenIntoAFormThatIsRefusedIsKept(t *testing.T) {
	o := assembled(t)
	o.onAgenda()
	step := []store.Step{{Claim: o.claim(1), Action: claims.Refer, By: kim.actor(), Reason: "large"}}
	require.NoError(t, o.Store.Commit(t.Context(), step, nil))
	for i, loss := range []claims.Won{100_000, 20_000_000} {
		_, err := o.Store.Receive(t.Context(), []store.Filing{storetest.Filing(o.Programme, 2+i, loss)}, nil)
		require.NoError(t, err)
	}
	o.check(3, claims.Review)
	withdrawn := []store.Step{{Claim: o.claim(2), Action: claims.Withdraw, By: store.Owner}}
	require.NoError(t, o.Store.Commit(t.Context(), withdrawn, nil))
	secretary := store.Actor{Name: "oh", Duty: claims.Secretary}
	_, err := o.Store.ProposeBudget(t.Context(), o.Programme, o.Programme.Budget, 6_000_000_000, nil, secretary, "x")
	require.NoError(t, err)
	cho := Staff{Name: "cho", Duties: Duties(), Stops: true, Colleagues: []string{"cho", "kim", "lee"}}
	seen := map[string]bool{}
	for _, page := range []string{
		"/claims?queue=in_review", "/claims/" + id(3), "/claims/" + id(2), "/claims/windows", "/claims/budget", "/claims/freeze",
		"/claims/council", "/claims/council/1", "/claims/council/1/items/1",
	} {
		tree, err := html.Parse(strings.NewReader(o.page(cho, page)))
		require.NoError(t, err)
		for _, form := range within(tree, "form") {
			name, _ := attribute(form, "id")
			fields, where := fillIn(form)
			if !fields.Has(fieldWhy) {
				continue
			}
			seen[name] = true
			got := o.sends(cho, where, fields)
			require.Equal(t, 409, got.status, "%s: %s", name, got.body)
			require.Contains(t, got.body, `id="problem" tabindex="-1" autofocus`, name)
			answer, err := html.Parse(strings.NewReader(got.body))
			require.NoError(t, err)
			at := slices.IndexFunc(within(answer, "form"), func(n *html.Node) bool {
				is, _ := attribute(n, "id")
				return is == name
			})
			require.GreaterOrEqual(t, at, 0, "%s is not on the page of the refusal", name)
			again := within(answer, "form")[at]
			for field, has := range holds(again) {
				require.Equal(t, fields[field], has, "%s: %s", name, field)
			}
			if again.Parent.Data == "details" {
				_, open := attribute(again.Parent, "open")
				require.True(t, open, name)
			}
		}
	}
	for _, form := range []string{
		formMany, "do-approve", "do-decline", "do-ask", "do-hand_over", "do-note", "see-person", "do-erase", "extend-documents",
		"do-propose", "do-confirm", "do-reject", "do-freeze", "council-join", "council-leave", "council-call", "council-attend",
		"council-agenda", "council-close", "do-vote", "do-recuse",
	} {
		require.True(t, seen[form], form)
	}
	o.proven()
}

// A resident registration number that somebody writes is not shown again, and what else they wrote is.
func TestAResidentNumberIsNotRepeated(t *testing.T) {
	o := newOffice(t, 20_000_000)
	o.check(0, claims.Review)
	path, form := o.formIn(o.page(kim, "/claims/"+id(0)), `id="do-ask"`)
	form.Set(fieldWhy, "is 900101-1234568 the owner’s?")
	got := o.sends(kim, path, form)
	require.Equal(t, 409, got.status)
	require.NotContains(t, got.body, "900101")
	require.Contains(t, got.body, "is ******-******* the owner’s?")
	_, err := o.Store.Join(t.Context(), o.Programme, vote.Seat{Name: "900101-1234568", Affiliation: "consumers"},
		store.Actor{Name: "oh", Duty: claims.Secretary}, "x")
	korean, _ := o.explained(tell.Korean, err)
	require.Equal(t, "주민등록번호로 보이는 숫자가 있습니다. 지우고 다시 보내 주세요.", korean)
}
