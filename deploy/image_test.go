package deploy

import (
	"bufio"
	"debug/buildinfo"
	"debug/elf"
	"go/version"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// instruction is one of a Dockerfile. Its flags, such as --from=build, are apart from its arguments.
type instruction struct {
	name, args string
	flags      map[string]string
}

// dockerfile reads deploy/Dockerfile: one instruction a line, after the continued lines are joined. It has neither
// heredocs nor another escape character.
func dockerfile() (list []instruction) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		panic(err)
	}
	code := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(string(text), "")
	for line := range strings.Lines(strings.ReplaceAll(code, "\\\n", " ")) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			continue
		}
		i := instruction{name: name, flags: map[string]string{}}
		fields := strings.Fields(args)
		for len(fields) > 0 && strings.HasPrefix(fields[0], "--") {
			key, value, _ := strings.Cut(fields[0][2:], "=")
			i.flags[key] = value
			fields = fields[1:]
		}
		i.args = strings.Join(fields, " ")
		list = append(list, i)
	}
	return list
}

// ignored reports what .dockerignore says of a path: the last pattern that fits it, or a folder above it, decides.
func ignored(patterns []string, path string) bool {
	out := false
	for _, pattern := range patterns {
		bare, keeps := strings.CutPrefix(pattern, "!")
		expr := regexp.QuoteMeta(bare)
		for _, r := range [][2]string{{`\*\*/`, `(.*/)?`}, {`\*\*`, `.*`}, {`\*`, `[^/]*`}} {
			expr = strings.ReplaceAll(expr, r[0], r[1])
		}
		if regexp.MustCompile("^" + expr + "(/.*)?$").MatchString(path) {
			out = !keeps
		}
	}
	return out
}

// copyContext copies what the engine is sent when it builds the image.
func copyContext(to string) error {
	f, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return err
	}
	defer f.Close()
	var patterns []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	return copyTree(to, func(path string) bool { return !ignored(patterns, path) })
}

// copyTree copies the files of the repository that are wanted. In a worktree, .git is a file.
func copyTree(to string, wanted func(path string) bool) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case name == ".git" && entry.IsDir():
			return fs.SkipDir
		case name == ".git" || entry.IsDir() || !wanted(filepath.ToSlash(name)):
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, data, info.Mode().Perm())
	})
}

func TestIgnoredFollowsDocker(t *testing.T) {
	t.Parallel()
	patterns := []string{"**", "!cmd", "**/testdata", "**/*_test.go"}
	for path, want := range map[string]bool{
		"README.md": true, "cmd/granter/main.go": false, "cmd/granter/main_test.go": true, "cmd/x/testdata/script/a.txtar": true,
		"command/main.go": true, "deploy/cmd/main.go": true,
	} {
		assert.Equal(t, want, ignored(patterns, path), path)
	}
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	last := map[string]instruction{} // of the final stage
	var stages []string
	context := filepath.Join(t.TempDir(), "context")
	require.NoError(t, copyContext(context))
	for _, i := range dockerfile() {
		switch i.name {
		case "FROM":
			clear(last)
			image, stage, _ := strings.Cut(i.args, " AS ")
			if image != "scratch" && !slices.Contains(stages, image) {
				requirePinned(t, image)
			}
			if compiler, ok := strings.CutPrefix(image, "golang:"); ok {
				require.GreaterOrEqual(t, version.Compare("go"+compiler, language(t)), 0, "%s is older than go.mod wants", image)
			}
			stages = append(stages, stage)
		case "COPY":
			sources := strings.Fields(i.args)
			for _, source := range sources[:len(sources)-1] {
				if from, ok := i.flags["from"]; ok {
					require.Contains(t, stages, from)
					continue
				}
				_, err := os.Stat(filepath.Join(context, source))
				require.NoError(t, err, "COPY %s: .dockerignore leaves it out, or it does not exist", source)
			}
		}
		last[i.name] = i
	}
	require.Len(t, stages, 2)
	require.Equal(t, "scratch", last["FROM"].args, "no shell")
	require.NotContains(t, last, "RUN")
	require.Equal(t, `["/granter"]`, last["ENTRYPOINT"].args, "the list form needs no shell")
	user, group, _ := strings.Cut(last["USER"].args, ":")
	for _, id := range []string{user, group} {
		n, err := strconv.Atoi(id)
		require.NoError(t, err, "Kubernetes cannot tell whether a name is root")
		require.Positive(t, n)
	}
	require.Contains(t, last["LABEL"].args, `org.opencontainers.image.version="$VERSION"`)
}

// language is the version of Go that go.mod asks for.
func language(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(text)
	require.NotNil(t, m)
	return "go" + string(m[1])
}

// requirePinned requires an image with the tag of one version, so that a build of tomorrow is the build of today.
// Versions of PostgreSQL have two numbers.
func requirePinned(t *testing.T, image string) {
	t.Helper()
	require.Regexp(t, `^(postgres:[0-9]+\.[0-9]+|[a-z0-9./-]+:v?[0-9]+\.[0-9]+\.[0-9]+)(-[a-z0-9.-]+)?(@sha256:[0-9a-f]{64})?$`, image, "not one version")
}

// A binary that asks for no interpreter and no library runs in an image that has none.
func TestImageBinaryIsStatic(t *testing.T) {
	t.Parallel()
	b := binary(t)
	file, err := elf.Open(b.path)
	require.NoError(t, err)
	defer file.Close()
	for _, p := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "it wants a dynamic linker")
	}
	libraries, err := file.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
	require.Nil(t, file.Section(".symtab"), "stripped")

	out, err := exec.Command(b.path, "--version").Output()
	require.NoError(t, err)
	require.Contains(t, string(out), testVersion)

	info, err := buildinfo.ReadFile(b.path)
	require.NoError(t, err)
	for _, s := range info.Settings {
		require.NotContains(t, s.Value, scratch, "-trimpath leaves no path of the building machine")
	}
}

// What only the demo, tests or a release need is not in what is deployed: it would be the larger part of it, to be patched,
// scanned and compiled.
func TestImageBinaryHasNothingOfTheDemo(t *testing.T) {
	t.Parallel()
	b := binary(t)
	info, err := buildinfo.ReadFile(b.path)
	require.NoError(t, err)
	for _, m := range info.Deps {
		for _, stranger := range []string{
			"github.com/twmb/franz-go/pkg/kfake", "github.com/alicebob/", "github.com/yuin/gopher-lua", // Kafka, Redis and its Lua, inside the process
			"google.golang.org/grpc", "google.golang.org/genproto/", "github.com/grpc-ecosystem/", // traces go by plain HTTP
			"github.com/cpuguy83/go-md2man", "github.com/russross/blackfriday", // manual pages
			"github.com/stretchr/", "github.com/chromedp/", "github.com/getkin/", // tests
		} {
			assert.False(t, strings.HasPrefix(m.Path, stranger), "%s is in the binary", m.Path)
		}
	}
	file, err := os.Stat(b.path)
	require.NoError(t, err)
	// 44.7 MiB with events of IDs of every kind and the council's API: .ci/binary.sh says what weighs how much.
	require.Less(t, file.Size(), int64(46<<20), "bytes, stripped")
	out, err := exec.Command(b.path, "demo").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "make demo")
}
