package text_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/text"
)

func TestACellIsNoFormula(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "kim": "kim", "5-1": "5-1", "김": "김",
		"=1+1": "'=1+1", "+82 2": "'+82 2", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1",
		"\n=1": "'\n=1", "＝1+1": "'＝1+1", "＠SUM(A1)": "'＠SUM(A1)", "\xff=1": "\xff=1",
	} {
		require.Equal(t, want, text.Cell(s), s)
	}
}
