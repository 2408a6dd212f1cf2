package review

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/documents/clamdtest"
	"github.com/granter/granter/grant/claims/store"
)

// Beside each document it says whether anybody has looked for malware in it, or why nobody has; a redacted version is no
// exception.
func TestTheScanOfEachDocumentIsShown(t *testing.T) {
	o := newOffice(t, 20_000_000)
	scanner, err := clamdtest.Start()
	require.NoError(t, err)
	defer scanner.Close()
	add := func(n string, s documents.Sent) *store.Kept {
		s.Kind, s.Name, s.By = "sales_damage", n+".pdf", store.Owner
		s.Body = strings.NewReader("%PDF-1.7\n1 0 obj\n<< /N " + n + " >>\nendobj\ntrailer\n<< >>\n%%EOF\n")
		kept, err := o.Documents.Add(t.Context(), o.claim(0), s)
		require.NoError(t, err)
		return kept
	}
	shown := func() string {
		_, body := o.get("/claims/" + id(0))
		_, list, _ := strings.Cut(body, `id="documents-list"`)
		list, _, _ = strings.Cut(list, "</ul>")
		return list
	}

	add("1", documents.Sent{})
	require.Contains(t, shown(), `data-scan="not_scanned">not scanned for malware: no scanner is configured`)

	o.Documents.Scanner = documents.Clamd(scanner.Addr())
	scanner.Away(true)
	waiting := add("2", documents.Sent{})
	require.Contains(t, shown(), `data-scan="quarantined">quarantined: waits for the malware scanner`)
	require.NotContains(t, shown(), "documents/"+waiting.Digest, "nobody gets it")
	require.NotContains(t, shown(), `data-scan="clean"`)

	scanner.Away(false)
	_, err = o.Documents.Rescan(t.Context())
	require.NoError(t, err)
	require.NotContains(t, shown(), `data-scan="quarantined"`)
	require.Equal(t, 1, strings.Count(shown(), `data-scan="clean">no malware found`))
	require.Equal(t, 1, strings.Count(shown(), `data-scan="not_scanned"`), "the first was never looked at")

	by := store.Actor{Name: "kim", Duty: "reviewer"}
	o.check(0, "review")
	_, err = o.Documents.Add(t.Context(), o.claim(0), documents.Sent{Redacts: waiting.Digest, Name: "r.pdf", By: by,
		Body: strings.NewReader("%PDF-1.7\n1 0 obj\n<< /R 1 >>\nendobj\ntrailer\n<< >>\n%%EOF\n")})
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(shown(), `data-scan="clean"`))
	_, korean := o.get("/claims/" + id(0) + "?lang=ko")
	require.Contains(t, korean, "악성코드 없음")
}
