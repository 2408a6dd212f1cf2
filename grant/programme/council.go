package programme

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/strict"
)

// mostMembers is more than any council has.
const mostMembers = 1000

func (d *decoder) council(f strict.Field) *claims.Council {
	if f.Absent {
		return nil
	}
	m := d.Mapping(f, councilFields)
	if m == nil {
		return nil
	}
	affiliations, chair, present := m.Get("affiliations"), m.Get("chair"), m.Get("affiliations_present")
	c := &claims.Council{
		From:         claims.Won(d.Integer(m.Get("from"), maxWon, 0)),
		Affiliations: d.affiliations(affiliations),
		Quorum:       int(d.Integer(m.Get("quorum"), mostMembers, 1)),
		Present:      int(d.Integer(present, mostMembers, 1)),
		Majority:     strict.OneOf(d.Decoder, m.Get("majority"), wordKnown, claims.MoreThanHalf, claims.TwoThirds),
		Chair:        d.affiliations(chair),
		AtMost:       strict.OneOf(d.Decoder, m.Get("at_most"), wordKnown, claims.AtMostAssessed, claims.AtMostSales),
		Objections:   strict.OneOf(d.Decoder, m.Get("objections"), wordKnown, claims.Approver, claims.CouncilDuty),
	}
	if n := len(c.Affiliations); n > 0 && (c.Present > n || c.Present > c.Quorum && c.Quorum > 0) {
		d.Reportf(councilRules, present.Line, present.Path,
			"%d is more than the affiliations (%d) or the quorum (%d): it could never decide anything", c.Present, n, c.Quorum)
	}
	for _, a := range c.Chair {
		if !slices.Contains(c.Affiliations, a) {
			d.Reportf(councilRules, chair.Line, chair.Path, "%s is none of the affiliations: choose among them", a)
		}
	}
	return c
}

// affiliations reads a list of words, each of them once.
func (d *decoder) affiliations(f strict.Field) (out []claims.Affiliation) {
	for _, n := range d.Elements(f, "write [consumers, academia]") {
		switch a := claims.Affiliation(n.Value); {
		case n.Kind != yaml.ScalarNode || !word.MatchString(n.Value):
			d.Reportf(nameForm, n.Line, f.Path,
				"%s is not allowed: name an affiliation in small letters, digits and underscores", strict.Describe(n))
		case slices.Contains(out, a):
			d.Reportf(councilRules, n.Line, f.Path, "%s is there twice: keep one", a)
		default:
			out = append(out, a)
		}
	}
	return out
}
