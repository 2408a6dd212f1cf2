package desk

import (
	"fmt"
	"slices"
)

// Role is what a principal may do. Each role may do what the ones before it may.
type Role string

// The roles, the least powerful first.
const (
	RoleViewer   Role = "viewer"   // see how far the campaign is, and who ordered what
	RoleSupport  Role = "support"  // look up one user
	RoleOperator Role = "operator" // give orders
)

var roles = []Role{RoleViewer, RoleSupport, RoleOperator}

// ParseRole reads the name of a role.
func ParseRole(s string) (Role, error) {
	if !slices.Contains(roles, Role(s)) {
		return "", fmt.Errorf("role %q: want viewer, support or operator", s)
	}
	return Role(s), nil
}

// includes reports whether who has this role may do what another one may. The role "" may nothing; everybody has it.
func (r Role) includes(other Role) bool { return slices.Index(roles, r) >= slices.Index(roles, other) }
