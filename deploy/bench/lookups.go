package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/granter/granter/grant/desk"
)

// lookersAtOnce is how many people look users up: each may do so 20 times a second.
const lookersAtOnce = 2000

// lookers makes the lines of the access file of those who look users up, and a file of their tokens.
func (c *checkBench) lookers() (lines string, err error) {
	var access, tokens strings.Builder
	for i := range lookersAtOnce {
		token, line, err := desk.NewToken(fmt.Sprintf("support-%d", i), desk.RoleSupport)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&access, line)
		fmt.Fprintln(&tokens, token)
	}
	c.tokens = filepath.Join(c.dir, "tokens")
	return access.String(), os.WriteFile(c.tokens, []byte(tokens.String()), 0o600)
}

// look has users looked up as support does: all that is known of one in one campaign, recorded in the access log before it is
// answered.
func (c *checkBench) look(more ...string) (asked, error) {
	return c.load(c.desk, append([]string{"-path", "/api/v1/campaigns/bench/users/%s", "-tokens", c.tokens}, more...)...)
}

// lookups measures lookups alone, beside the bare handler.
func (c *checkBench) lookups() ([]checked, error) {
	bare, err := c.load(c.bare)
	fast, err2 := c.look("-conns", "32")
	calm, err3 := c.look("-conns", "8", "-rate", "100")
	return []checked{
		{name: lookupsFast, asked: fast, of: "bare",
			ratio: fast.PerSecond / bare.PerSecond},
		{name: lookupsPaced, asked: calm},
	}, errors.Join(err, err2, err3)
}
