package main

import (
	"cmp"
	"errors"
	"os"
	"os/user"
	"strconv"
	"strings"
	"unicode"

	"github.com/granter/granter/grant/claims/resident"
)

const (
	whoHelp = "who you are, for the audit trail: it is added to the name of the system user (or GRANTER_WHO)."
	maxWho  = 100 // bytes
)

// whoami names whoever gives an order. What the system knows comes first; what is only said is marked as such.
func whoami(says string) (string, error) {
	if says != strings.TrimSpace(says) || len(says) > maxWho || strings.ContainsFunc(says, unicode.IsControl) {
		return "", usageError(errors.New("--who: want a name of 100 bytes at most, without blanks around it"))
	}
	if err := resident.Refuse("--who", says, true); err != nil { // what was done is kept with it
		return "", usageError(err)
	}
	host, _ := os.Hostname()
	name := ""
	// By number: where the number has no name, as in a container, user.Current would believe USER.
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil {
		name = u.Username
	}
	return named(os.Geteuid(), name, host, os.Getenv("SUDO_USER"), says), nil
}

// named writes USER@HOST, and in brackets who that may be. Anybody may set SUDO_USER; only for root is it as good as
// its name, since root could write anything into the audit trail.
func named(uid int, name, host, sudo, says string) string {
	out := cmp.Or(name, "uid "+strconv.Itoa(uid)) + "@" + cmp.Or(host, "unknown")
	var more []string
	switch {
	case sudo == "" || sudo == name:
	case uid == 0:
		more = append(more, "sudo from "+sudo)
	default:
		more = append(more, "SUDO_USER says "+sudo)
	}
	if says != "" {
		more = append(more, "says "+says)
	}
	if len(more) > 0 {
		out += " (" + strings.Join(more, ", ") + ")"
	}
	return out
}
