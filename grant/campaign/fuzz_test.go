package campaign

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz", data)
		if err != nil {
			assert.Nil(t, c)
			assert.True(t, utf8.ValidString(err.Error()))
			return
		}
		again, err := Parse("canonical", c.Canonical)
		require.NoError(t, err, "%s", c.Canonical)
		require.Equal(t, string(c.Canonical), string(again.Canonical))
		require.Equal(t, c.Hash, again.Hash)
		require.True(t, c.StartsAt.Equal(again.StartsAt) && c.EndsAt.Equal(again.EndsAt))
		require.Equal(t, c.Input, again.Input)
		require.Equal(t, c.Items, again.Items)
	})
}

func FuzzDiff(f *testing.F) {
	one, err := Load("testdata/good/emoticons.yaml")
	require.NoError(f, err)
	two, err := Load("testdata/good/cash.yaml")
	require.NoError(f, err)
	f.Add(one.Canonical, two.Canonical)
	f.Add([]byte("[{id: [a]}, {id: a, b: 1}]"), []byte("? {id: x}\n: 1\n"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		Diff(a, b)
		assert.Empty(t, Diff(a, a))
	})
}
