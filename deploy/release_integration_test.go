//go:build integration

package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/stretchr/testify/require"
)

const (
	releaseVersion = "v1.2.3"
	releaseName    = "granter_1.2.3_linux_amd64"
)

// release builds one platform in a copy of the tree, and returns the files of dist.
func release(t *testing.T, tree string, env ...string) map[string][]byte {
	t.Helper()
	require.NoError(t, copyTree(tree, func(path string) bool {
		first, _, _ := strings.Cut(path, "/")
		return first != "bin" && first != "dist"
	}))
	cmd := exec.Command(filepath.Join(tree, "deploy", "release", "build.sh"), releaseVersion, "linux/amd64")
	cmd.Env = append(os.Environ(), append(env, "SOURCE_DATE_EPOCH=1672844400")...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	files := map[string][]byte{}
	entries, err := os.ReadDir(filepath.Join(tree, "dist"))
	require.NoError(t, err)
	for _, entry := range entries {
		files[entry.Name()], err = os.ReadFile(filepath.Join(tree, "dist", entry.Name()))
		require.NoError(t, err)
	}
	return files
}

// Two builders with other folders, zones and settings get the same bytes. They share the cache of compiled packages, because
// without it this would take two minutes: that those do not depend on the folder is what -trimpath promises, and not looked at
// here. Linking and packing are done twice.
func TestReleaseIsReproducible(t *testing.T) {
	files := release(t, filepath.Join(t.TempDir(), "one"))
	other := release(t, filepath.Join(t.TempDir(), "another, with a longer name"),
		"TZ=Asia/Seoul", "LANG=ko_KR.UTF-8", "GOFLAGS=-tags=nothing", "GOAMD64=v3", "GOOS=darwin")
	require.Len(t, files, 3)
	for name := range files {
		require.True(t, bytes.Equal(files[name], other[name]), "%s differs", name)
	}

	var sums strings.Builder
	for _, name := range []string{releaseName + ".cdx.json", releaseName + ".tar.gz"} {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	require.Equal(t, sums.String(), string(files["SHA256SUMS"]))

	archive := unpack(t, files[releaseName+".tar.gz"])
	for _, name := range []string{
		"LICENSE", "README.md", "completions/granter.bash", "completions/granter.fish", "completions/granter.zsh",
		"man/man1/granter.1", "man/man1/granter-run.1", "systemd/granter@.service", "systemd/granter-desk@.service",
	} {
		require.NotEmpty(t, archive[name], name)
	}
	binary := filepath.Join(t.TempDir(), "granter")
	require.NoError(t, os.WriteFile(binary, archive["granter"], 0o755))
	if runtime.GOARCH == "amd64" {
		out, err := exec.Command(binary, "--version").Output()
		require.NoError(t, err)
		require.Contains(t, string(out), releaseVersion)
	}
	requireComplete(t, binary, files[releaseName+".cdx.json"])
}

func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(archive))
	require.NoError(t, err)
	files := map[string][]byte{}
	for reader := tar.NewReader(zipped); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		require.Zero(t, header.Uid+header.Gid, header.Name)
		require.EqualValues(t, 1672844400, header.ModTime.Unix())
		name, inside := strings.CutPrefix(header.Name, releaseName+"/")
		require.True(t, inside, header.Name)
		files[name], err = io.ReadAll(reader)
		require.NoError(t, err)
	}
}

// requireComplete requires that the SBOM lists every module of the binary with its version and hash, and nothing else.
func requireComplete(t *testing.T, binary string, sbom []byte) {
	t.Helper()
	var bom cdx.BOM
	require.NoError(t, cdx.NewBOMDecoder(bytes.NewReader(sbom), cdx.BOMFileFormatJSON).Decode(&bom))
	require.Equal(t, "2023-01-04T15:00:00Z", bom.Metadata.Timestamp)
	program, err := os.ReadFile(binary)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%x", sha256.Sum256(program)), (*bom.Metadata.Component.Hashes)[0].Value)
	require.Equal(t, releaseVersion, bom.Metadata.Component.Version)

	info, err := buildinfo.ReadFile(binary)
	require.NoError(t, err)
	want := map[string]string{"std@" + strings.TrimPrefix(info.GoVersion, "go"): ""}
	for _, m := range info.Deps {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:"))
		require.NoError(t, err)
		want[m.Path+"@"+m.Version] = hex.EncodeToString(sum)
	}
	have := map[string]string{}
	for _, c := range *bom.Components {
		require.Equal(t, "pkg:golang/"+c.Name+"@"+strings.ReplaceAll(c.Version, "+", "%2B"), c.PackageURL)
		hash := ""
		if c.Hashes != nil {
			hash = (*c.Hashes)[0].Value
		}
		have[c.Name+"@"+c.Version] = hash
	}
	require.Equal(t, want, have)
}

func TestReleaseWantsAVersion(t *testing.T) {
	for _, args := range [][]string{{}, {"-v"}, {"linux/amd64"}, {"1.0 beta"}} {
		out, err := exec.Command("release/build.sh", args...).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "usage: build.sh VERSION")
	}
}
