package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Whatever is done to the text of a receipt is refused, but other white space: also what would be the same number or time, what
// readers of JSON take differently, and what is not signed at all.
func TestATextThatIsNotAReceiptsIsRefused(t *testing.T) {
	w := granted(t)
	s, v := keys(t)
	all, _ := w.receipts(s)
	mine, err := all.Of(grant.NumberID(7))
	require.NoError(t, err)
	text, err := json.MarshalIndent(mine, "", "  ")
	require.NoError(t, err)
	verified := func(text []byte) error {
		r, err := ReadReceipt(text)
		if err == nil {
			_, err = r.Verify(v)
		}
		return err
	}
	require.NoError(t, verified(text))
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, text))
	require.NoError(t, verified(compact.Bytes()))
	at := mine.At.Format("2006-01-02T15:04:05.999Z07:00")
	for name, edit := range map[string][2]string{
		"zeros in front of the user":  {`"user": "7"`, `"user": "07"`},
		"zeros in front of the flush": {`"flush": "`, `"flush": "0`},
		"another zone":                {strings.TrimSuffix(at, "Z") + `Z"`, strings.TrimSuffix(at, "Z") + `+00:00"`},
		"a finer time":                {strings.TrimSuffix(at, "Z") + `Z"`, strings.TrimSuffix(at, "Z") + `0001Z"`},
		"a capital":                   {`"blind": "` + mine.Blind, `"blind": "` + strings.ToUpper(mine.Blind)},
		"a name in capitals":          {`"user"`, `"USER"`},
		"a user for other readers":    {`"user": "7"`, `"user": "8", "user": "7"`},
		"more than is signed":         {`"user": "7"`, `"user": "7", "bonus": "1,000,000 won"`},
		"something behind it":         {"", ""},
	} {
		edited := strings.Replace(string(text), edit[0], edit[1], 1)
		if edit[0] == "" {
			edited += "{}"
		}
		require.NotEqual(t, string(text), edited, name)
		require.Error(t, verified([]byte(edited)), name)
	}
	for i := 0; i < len(text); i += 5 {
		edited := bytes.Clone(text)
		edited[i] ^= 1
		if strings.TrimSpace(string(text[i:i+1])) == "" && strings.TrimSpace(string(edited[i:i+1])) == "" {
			continue
		}
		require.Error(t, verified(edited), "byte %d, %q", i, text[i])
	}
}
