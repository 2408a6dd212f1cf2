//go:build integration

package pagetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store/storetest"
	realdesk "github.com/granter/granter/grant/desk"
)

// schemathesis returns the program, which is installed once, into a folder that is kept for the next time.
func schemathesis(t *testing.T) string {
	t.Helper()
	const list = "testdata/schemathesis/requirements.txt"
	requirements, err := os.ReadFile(list)
	require.NoError(t, err)
	folder := filepath.Join(devHome(t), "schemathesis")
	program, installed := filepath.Join(folder, "bin", "schemathesis"), filepath.Join(folder, "requirements.txt")
	if have, err := os.ReadFile(installed); err == nil && bytes.Equal(have, requirements) {
		return program
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", folder},
		{filepath.Join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", list},
	} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", strings.Join(args, " "), out)
	}
	require.NoError(t, os.WriteFile(installed, requirements, 0o644)) // the last step: an installation that broke off has none
	return program
}

const schemaSpec = `campaign: sorry-2022
title: 사과의 마음을 담은 이모티콘
starts_at: 2022-11-05T09:00:00+09:00
zone: Asia/Seoul
source: {topic: %s}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
  - {id: cheer-up-90d, kind: emoticon, validity: {days: 90, from: taken, until: end_of_day}}
`

// TestSchemathesis: whatever the API's document allows is answered as it says, and what it forbids is refused. The campaign and
// its users are those of the document's examples. GRANTER_SEED tries other requests than the usual ones.
func TestSchemathesis(t *testing.T) {
	program := schemathesis(t)
	s := ship(t)
	topic := s.topic("schemathesis", 1)
	spec := s.file("spec.yaml", fmt.Sprintf(schemaSpec, topic))
	s.do("load", "-f", spec, "--ids", s.file("ids", "12345678\n23456789\n"))
	s.do("run", "-f", spec, "--listen=off")
	principals := map[string]realdesk.Role{}
	for i := range 40 {
		principals[fmt.Sprintf("operator-%d", i)] = "operator,claims-intake,claims-secretary,claims-council"
	}
	_, _ = storetest.At(t, filepath.Join(s.dir, "claims.db")) // the database that the desk opens, too
	var tokens []string
	for _, token := range s.serve(principals, "--claims", filepath.Join(s.dir, "claims.db")) {
		tokens = append(tokens, token)
	}
	for _, name := range []string{"hooks.py", "schemathesis.toml"} {
		text, err := os.ReadFile(filepath.Join("testdata", "schemathesis", name))
		require.NoError(t, err)
		s.file(name, string(text))
	}
	seed := os.Getenv("GRANTER_SEED")
	if seed == "" {
		seed = "1"
	}
	cmd := exec.Command(program, "--config-file", "schemathesis.toml", "run", s.desk+"/api/openapi.yaml", "--url", s.desk,
		"--no-color", "--workers=1", "--max-examples=8", "--seed="+seed)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "GRANTER_TOKENS="+strings.Join(tokens, " "), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	t.Logf("GRANTER_SEED=%s", seed)
	for line := range strings.Lines(string(out)) {
		t.Logf("%.500s", strings.TrimSpace(line)) // an answer may be a page
	}
	require.NoError(t, err)
	require.Regexp(t, `Tested: +\d\d`, string(out))
}
