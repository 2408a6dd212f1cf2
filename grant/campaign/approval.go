package campaign

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/strict"
)

const (
	maxAbove  = 1_000_000_000
	minWithin = time.Hour
	maxWithin = 30 * 24 * time.Hour
)

var approvalFields = []strict.Known{
	strict.Optional("above", "100"),
	strict.Optional("acts", "[hand, revoke]"),
	strict.Optional("within", "72h"),
}

// approval is the canonical form of grant.Approval.
type approval struct {
	Above  int64    `json:"above,omitempty"`
	Acts   []string `json:"acts,omitempty"`
	Within string   `json:"within"`
}

func formatApproval(a *grant.Approval) *approval {
	if a == nil {
		return nil
	}
	out := &approval{Above: a.Above, Within: formatLength(a.Within)}
	for _, kind := range a.Acts {
		out.Acts = append(out.Acts, string(kind))
	}
	return out
}

// approval reads from how many users on acts take a second person; nil: they never do.
func (d *decoder) approval(f strict.Field) *grant.Approval {
	if f.Absent {
		return nil
	}
	m := d.Mapping(f, approvalFields)
	if m == nil {
		return nil
	}
	return &grant.Approval{
		Above: d.Integer(m.Get("above"), maxAbove, 0), Acts: d.approvedActs(m.Get("acts")), Within: d.within(m.Get("within")),
	}
}

// approvedActs reads which acts count. All of them are as none.
func (d *decoder) approvedActs(f strict.Field) []grant.ActKind {
	if f.Absent || f.Node == nil {
		return nil
	}
	if f.Node.Kind != yaml.SequenceNode || len(f.Node.Content) == 0 {
		d.Reportf(
			approvalActs,
			f.Line,
			f.Path,
			"must be a list of acts, such as [hand, revoke]: remove the field for all of them",
		)
		return nil
	}
	has := map[grant.ActKind]bool{}
	for i, n := range f.Node.Content {
		at := strict.Field{Path: fmt.Sprintf("%s[%d]", f.Path, i), Line: n.Line, Node: n}
		has[strict.OneOf(d.Decoder, at, approvalActs, grant.ApprovableKinds()...)] = true
	}
	all := grant.ApprovableKinds()
	some := slices.DeleteFunc(slices.Clone(all), func(k grant.ActKind) bool { return !has[k] })
	if len(some) == len(all) {
		return nil
	}
	return some
}

// within reads how long a proposal waits.
func (d *decoder) within(f strict.Field) time.Duration {
	if f.Absent || f.Node == nil {
		return grant.UsualWithin
	}
	part := []string(nil)
	if f.Node.Kind == yaml.ScalarNode {
		part = lengthForm.FindStringSubmatch(f.Node.Value)
	}
	if part != nil {
		count, err := strconv.ParseInt(part[1], 10, 64)
		for _, u := range units {
			if within := time.Duration(count) * u.length; u.letter == part[2] && err == nil &&
				count <= int64(maxWithin/u.length) &&
				within >= minWithin {
				return within
			}
		}
	}
	d.Reportf(
		approvalWithin,
		f.Line,
		f.Path,
		"%s is no time to wait for the second person: write one from 1h to 30d, such as 72h",
		strict.Describe(f.Node),
	)
	return 0
}
