package desk

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// reloading is a file with a word in it; "bad" is wrong.
type reloading struct {
	*testing.T
	path string
	log  *text
	*reloaded[string]
}

func newReloading(t *testing.T, path string) *reloading {
	t.Helper()
	r := &reloading{T: t, path: path, log: &text{}}
	r.write("one")
	r.reloaded = &reloaded[string]{
		what: "the word", paths: []string{path}, log: slog.New(slog.NewTextHandler(r.log, nil)), grace: time.Hour, after: "none",
		parse: func(contents [][]byte) (string, error) {
			if strings.HasPrefix(string(contents[0]), "bad") {
				return "", errors.New("that word is " + string(contents[0]))
			}
			return string(contents[0]), nil
		},
	}
	require.NoError(t, r.load())
	return r
}

func (r *reloading) write(word string) {
	r.Helper()
	require.NoError(r, os.WriteFile(r.path, []byte(word), 0o600))
}

// says requires a word after the files have been looked at again, more than once.
func (r *reloading) says(word string) {
	r.Helper()
	for range 3 {
		time.Sleep(lookEvery)
		require.Equal(r, word, r.get())
	}
}

func (r *reloading) logged(what string, times int) {
	r.Helper()
	require.Equal(r, times, strings.Count(r.log.String(), what), "%s in\n%s", what, r.log)
}

func TestANewVersionIsInForceAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloading(t, filepath.Join(t.TempDir(), "word"))
		r.says("one")
		r.write("two")
		require.Equal(t, "one", r.get(), "files are not looked at for each request")
		r.says("two")
		r.logged("read again: the word", 1)
	})
}

// Neither size nor time says that the file has changed.
func TestANewVersionOfTheSameSizeAndTimeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloading(t, filepath.Join(t.TempDir(), "word"))
		before, err := os.Stat(r.path)
		require.NoError(t, err)
		r.write("two")
		require.NoError(t, os.Chtimes(r.path, before.ModTime(), before.ModTime()))
		r.says("two")
	})
}

// Kubernetes mounts a folder in which ..data is a link, and replaces the link.
func TestANewVersionBehindALinkCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for _, version := range []string{"v1", "v2"} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		}
		require.NoError(t, os.Symlink("v1", filepath.Join(dir, "..data")))
		require.NoError(t, os.Symlink(filepath.Join("..data", "word"), filepath.Join(dir, "word")))
		r := newReloading(t, filepath.Join(dir, "word"))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "v2", "word"), []byte("two"), 0o600))
		require.NoError(t, os.Symlink("v2", filepath.Join(dir, "..new")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
		r.says("two")
	})
}

func TestABrokenVersionKeepsTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloading(t, filepath.Join(t.TempDir(), "word"))
		r.write("bad")
		r.says("one")
		r.logged("level=ERROR", 1)
		r.logged("that word is bad", 1)

		r.write("bad in another way")
		r.says("one")
		r.logged("level=ERROR", 2)

		require.NoError(t, os.Remove(r.path))
		r.says("one")
		r.logged("level=ERROR", 3)
		r.logged("no such file", 1)

		r.write("one")
		r.says("one")
		r.write("bad")
		r.says("one")
		r.logged("that word is bad\"", 2)

		r.write("two")
		r.says("two")
		r.logged("read again", 1)
	})
}

// Whatever is wrong, and however it changes, the last good version does not outlive the grace.
func TestABrokenVersionKeepsTheOldOneForTheGraceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloading(t, filepath.Join(t.TempDir(), "word"))
		require.Empty(t, r.trouble())
		r.write("bad")
		time.Sleep(lookEvery)
		require.Contains(t, r.trouble(), "that word is bad (its last good version is in force until")
		time.Sleep(r.grace / 2)
		require.NoError(t, os.Remove(r.path))
		r.says("one")
		time.Sleep(r.grace / 2)
		r.says("none")
		r.logged("the last good version is no longer in force", 1)
		require.Contains(t, r.trouble(), "nobody is let in by it")

		r.write("one") // as it was
		r.says("one")
		require.Empty(t, r.trouble())
		r.logged("read again: the word", 1)

		r.write("bad")
		r.says("one")
		time.Sleep(r.grace)
		r.says("none")
		r.grace = forever
		r.write("two")
		r.says("two")
		require.NoError(t, os.Remove(r.path))
		time.Sleep(1000 * time.Hour)
		r.says("two")
		require.Contains(t, r.trouble(), "no such file or directory (the last good version stays in force)")
	})
}

func TestTheFirstVersionMustBeRight(t *testing.T) {
	none := &reloaded[string]{what: "the word", paths: []string{filepath.Join(t.TempDir(), "none")}}
	err := none.load()
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "the word: ")
}
