package audit

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/granter/granter/grant"
)

// Another language, with nothing but its standard library, comes to the same.
func TestPythonVerifiesAReceipt(t *testing.T) {
	t.Run("dense", func(t *testing.T) {
		verifiedByPython(granted(t), grant.NumberID(5<<16|30), "327711")
	})
	for _, ids := range []grant.IDs{grant.IDsUUID, grant.IDsString} {
		t.Run(string(ids), func(t *testing.T) {
			verifiedByPython(grantedMembers(t, ids), grant.TextID(aMember(ids, 7)), aMember(ids, 8))
		})
	}
}

func verifiedByPython(w *world, user grant.UserID, another string) {
	w.Helper()
	t := w.T
	private, public, err := Keygen("audit.test")
	require.NoError(t, err)
	s, err := note.NewSigner(private)
	require.NoError(t, err)
	all, _ := w.receipts(s)
	r, err := all.Of(user)
	require.NoError(t, err)
	dir := t.TempDir()
	key, file := filepath.Join(dir, "key.pub"), filepath.Join(dir, "receipt.json")
	require.NoError(t, os.WriteFile(key, []byte(public+"\n"), 0o600))
	check := func(r *Receipt) (string, error) {
		text, err := json.Marshal(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, text, 0o600))
		return pythonSays(t, key, file)
	}
	out, err := check(r)
	require.NoError(t, err, out)
	require.Contains(t, out, "VERIFIED: user "+user.String())
	for name, edit := range map[string]func(*Receipt){
		"another user":  func(r *Receipt) { r.User = another },
		"a later time":  func(r *Receipt) { r.At = r.At.Add(1e6) },
		"the signature": func(r *Receipt) { r.Head = r.Head[:len(r.Head)-9] + "AAAA" + r.Head[len(r.Head)-5:] },
		"the spec":      func(r *Receipt) { r.Spec += " " },
		"the format":    func(r *Receipt) { r.Format = 7 - r.Format },
		"the same user": func(r *Receipt) { r.User = "0327710" },
		"the same time": func(r *Receipt) { r.At = r.At.Add(1000) },
	} {
		edited := *r
		edit(&edited)
		out, err := check(&edited)
		require.Error(t, err, "%s: %s", name, out)
		require.Contains(t, out, "ValueError", name)
	}
}

// pythonSays has the verifier in Python check a file.
func pythonSays(t *testing.T, key, file string) (string, error) {
	t.Helper()
	python, err := exec.LookPath("python3")
	require.NoError(t, err, "deploy/dev/install.sh needs python3, too")
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("..", "..", "docs", "verify_receipt.py"), key, file).
		CombinedOutput()
	return string(out), err
}
