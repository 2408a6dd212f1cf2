package desk

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Right is one thing that a principal may do. Each order is a right of its own, by the order's name.
type Right string

// The rights that are no orders.
const (
	RightStatus  Right = "status"  // see how far a campaign is, and what holds it
	RightHistory Right = "history" // see who ordered what
	RightUsers   Right = "users"   // look up one user
	RightCheck   Right = "check"   // ask whether users hold items, as other services do
	RightTake    Right = "take"    // have users take items, as the service does that offers them
	RightReceipt Right = "receipt" // make a receipt of one user, which anybody can check
	RightNote    Right = "note"    // note something about a user for the next colleague
	RightAct     Right = "act"     // do something about single users: grant, exclude, revoke, reinstate, extend, recall, move
	RightApprove Right = "approve" // be the second person where such acts take two
	RightErase   Right = "erase"   // erase why anything was done about one user, for good; in no role that has a name
)

// toOrder are the rights to give orders.
func toOrder() []Right {
	list := make([]Right, len(actions))
	for i, action := range actions {
		list[i] = Right(action)
	}
	return list
}

// Rights are all rights.
func Rights() []Right {
	return slices.Concat([]Right{
		RightStatus, RightHistory, RightUsers, RightCheck, RightTake, RightReceipt, RightNote, RightAct,
		RightApprove, RightErase,
	}, toOrder(), ofClaims, []Right{RightClaimsCouncil})
}

// Role is what a principal may do, as the access file has it: the name of a role, a right, or some of either with commas
// between, such as "viewer,pause,resume".
type Role string

// The roles that have names.
const (
	RoleViewer   Role = "viewer"   // see how far campaigns are, and who ordered what
	RoleSupport  Role = "support"  // look up users, make receipts and notes of them, too
	RoleOperator Role = "operator" // everything but claims and erasures
	RoleAuditor  Role = "auditor"  // see how far campaigns are, who ordered what, and claims without their owners
	RoleService  Role = "service"  // check, and nothing else
)

var roles = []Role{RoleViewer, RoleSupport, RoleOperator} // each has the rights of those before it

// named are the rights of the roles that have names.
func (r Role) named() []Right {
	switch r {
	case RoleViewer:
		return []Right{RightStatus, RightHistory}
	case RoleSupport:
		return []Right{RightStatus, RightHistory, RightUsers, RightCheck, RightReceipt, RightNote}
	case RoleService:
		return []Right{RightCheck}
	case RoleOperator:
		return campaignRights()
	case RoleAuditor:
		return []Right{RightStatus, RightHistory, RightClaims}
	default:
		return nil
	}
}

// ParseRole reads a role.
func ParseRole(s string) (Role, error) {
	for part := range strings.SplitSeq(s, ",") {
		if Role(part).named() == nil && !slices.Contains(Rights(), Right(part)) {
			return "", fmt.Errorf(
				"role %q: want viewer, support, operator, service or auditor, or some of the rights %s, with commas "+
					"between",
				s,
				words(Rights()),
			)
		}
	}
	return Role(s), nil
}

// rights returns what a role may do, in the order of Rights. The role "" may nothing.
func (r Role) rights() []Right {
	has := map[Right]bool{}
	for part := range strings.SplitSeq(string(r), ",") {
		has[Right(part)] = true
		for _, right := range Role(part).named() {
			has[right] = true
		}
	}
	return slices.DeleteFunc(Rights(), func(right Right) bool { return !has[right] })
}

// held are the rights of roles that were asked about, of which there are as many as access files have: checks ask all the time.
var held sync.Map

// may reports whether a role has one of some rights.
func (r Role) may(some ...Right) bool {
	has, ok := held.Load(r)
	if !ok {
		has, _ = held.LoadOrStore(r, r.rights())
	}
	return slices.ContainsFunc(has.([]Right), func(right Right) bool { return slices.Contains(some, right) })
}

// lacks says which rights would help somebody who has none of them.
func (r Role) lacks(needs []Right) string {
	if len(needs) == 1 {
		return fmt.Sprintf("role %s, needs the right %s", r, needs[0])
	}
	return fmt.Sprintf("role %s, needs one of the rights %s", r, words(needs))
}

func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, word := range list {
		out[i] = string(word)
	}
	return strings.Join(out, ", ")
}
