package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
)

// The proof opens the file of every document, names what is missing, and does not take another database's folder.
func TestTheProofOpensDocuments(t *testing.T) {
	database, folder := claimsDatabase(t), t.TempDir()
	s, err := store.Open(t.Context(), database, "")
	require.NoError(t, err)
	list, err := s.Get(t.Context(), "shown")
	require.NoError(t, err)
	sent := documents.Sent{
		Kind: "proof_of_service_use", Name: "x.pdf", Body: strings.NewReader("%PDF-1.7\n%%EOF\n"), By: store.Owner,
	}
	kept, err := documents.NewKeeper(s, documents.Folder(folder), nil).Add(t.Context(), list[0], sent)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	at := []string{"--database", database, "--documents", folder}
	prove := append([]string{"prove"}, at...)
	code, out, errs := ask(prove...)
	require.Zero(t, code, errs)
	require.Contains(t, out, "1 documents\n")
	require.Contains(t, out, "Files of 1 documents: 15 bytes, 0 missing, 0 altered; 0 files that no claim has")

	require.NoError(t, documents.Folder(folder).Delete(kept.Blob))
	code, out, errs = ask(prove...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "WRONG claim shown: document "+kept.Digest[:12]+" is missing")
	require.Contains(t, errs, "1 findings")
	code, out, _ = ask(append(prove, "--json")...)
	require.Equal(t, exitFailed, code)
	var answer struct {
		Documents int                `json:"documents"`
		Files     documents.Compared `json:"files"`
		Wrong     []store.Finding    `json:"wrong"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	require.Equal(t, documents.Compared{Documents: 1, Missing: 1}, answer.Files)
	require.Equal(t, 1, answer.Documents)
	require.Len(t, answer.Wrong, 1)

	require.NoError(t, os.WriteFile(filepath.Join(folder, "database"), []byte("another\n"), 0o600))
	for _, command := range [][]string{prove, append([]string{"serve", "--page", "127.0.0.1:0", "--listen", "off"}, at...)} {
		code, _, errs = ask(command...)
		require.NotZero(t, code, command)
		require.Contains(t, errs, "the folder has the documents of another database")
	}
}
