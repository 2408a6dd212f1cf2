//go:build integration

package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// The schemas that the manifests are checked against: the oldest Kubernetes that README.md promises, and a new one.
var kubernetesVersions = []string{"1.31.0", "1.37.0"}

// overlays are rendered once each.
var overlays = []string{"dev", "staging", "production", claimsOverlay}

// claimsOverlay is the one with damage claims.
const claimsOverlay = "claims"

// claimsOfKubernetes are its Deployments beside the campaign's, and what runs by the clock.
var claimsOfKubernetes = []string{"granter-claims-serve", "granter-claims-receive", "granter-claims-process", "granter-claims-pay",
	"granter-claims-reconcile", "granter-claims-notify", "granter-claims-watch", "granter-claims-desk", "granter-claims-money"}

// manifests are the objects of one overlay.
type manifests []object

func (m manifests) of(kinds ...string) (list manifests) {
	for _, o := range m {
		if slices.Contains(kinds, o.kind()) {
			list = append(list, o)
		}
	}
	return list
}

func (m manifests) get(t *testing.T, kind, name string) object {
	t.Helper()
	i := slices.IndexFunc(m, func(o object) bool { return o.kind() == kind && o.name() == name })
	require.GreaterOrEqual(t, i, 0, "there is no %s %s", kind, name)
	return m[i]
}

func (m manifests) names() (list []string) {
	for _, o := range m {
		list = append(list, o.name())
	}
	return list
}

// workloads are what makes pods.
func (m manifests) workloads() manifests { return m.of("Job", "Deployment", "CronJob") }

// kustomize is its binary, at the version that is pinned with the other tools. It is run by itself, and not through the go
// command, which says on the same standard error what it downloads.
var kustomize = sync.OnceValues(func() (string, error) {
	path, err := exec.Command("go", "tool", "-modfile=../.ci/tools/go.mod", "-n", "kustomize").Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(path)), err
})

// rendered is what kustomize made of each overlay: each is asked for by a dozen tests.
var rendered = map[string][]byte{}

// render runs kustomize, which kubectl carries too, once for each overlay.
func render(t *testing.T, overlay string) manifests {
	t.Helper()
	if rendered[overlay] == nil {
		program, err := kustomize()
		require.NoError(t, err)
		var problems strings.Builder
		cmd := exec.Command(program, "build", "kubernetes/overlays/"+overlay)
		cmd.Stderr = &problems
		out, err := cmd.Output()
		require.NoError(t, err, "%s", problems.String())
		require.Empty(t, problems.String(), "kustomize warns")
		rendered[overlay] = out
	}
	return decode(t, rendered[overlay])
}

// eachOverlay runs a test on what each overlay renders.
func eachOverlay(t *testing.T, test func(t *testing.T, overlay string, all manifests)) {
	t.Helper()
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			test(t, overlay, render(t, overlay))
		})
	}
}

// validator returns kubernetes-validate, which carries the schemas of Kubernetes. It is installed once, into a folder of
// its own that is kept for the next time.
func validator(t *testing.T) string {
	t.Helper()
	home := os.Getenv("GRANTER_DEV_HOME")
	if home == "" {
		cache, err := os.UserCacheDir()
		require.NoError(t, err)
		home = filepath.Join(cache, "granter-dev")
	}
	requirements, err := os.ReadFile("kubernetes/requirements.txt")
	require.NoError(t, err)
	folder := filepath.Join(home, "kubernetes-validate")
	program, installed := filepath.Join(folder, "bin", "kubernetes-validate"), filepath.Join(folder, "requirements.txt")
	if have, err := os.ReadFile(installed); err == nil && bytes.Equal(have, requirements) {
		return program
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", folder},
		{filepath.Join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", "kubernetes/requirements.txt"},
	} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", strings.Join(args, " "), out)
	}
	require.NoError(t, os.WriteFile(installed, requirements, 0o644)) // the last step: an installation that broke off has none
	return program
}

func TestKubernetesSchemas(t *testing.T) {
	program := validator(t)
	secrets, err := os.ReadFile("kubernetes/secret.example.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	var files []string
	write := func(name string, text []byte) {
		file := filepath.Join(dir, name+".yaml")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		files = append(files, file)
	}
	write("secrets", secrets)
	objects := len(decode(t, secrets))
	for _, overlay := range overlays {
		var text bytes.Buffer
		encoder := yaml.NewEncoder(&text)
		for _, o := range render(t, overlay) {
			if o.text("apiVersion") != operatorAPI { // TestKubernetesMonitoring looks at these
				require.NoError(t, encoder.Encode(map[string]any(o)))
				objects++
			}
		}
		require.NoError(t, encoder.Close())
		write(overlay, text.Bytes())
	}
	for _, version := range kubernetesVersions {
		out, err := exec.Command(program, append([]string{"--strict", "-k", version}, files...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, objects, strings.Count(string(out), " passed for resource "), "%s", out)
	}
}

// The validator itself finds what is wrong.
func TestKubernetesSchemasAreStrict(t *testing.T) {
	program := validator(t)
	file := filepath.Join(t.TempDir(), "wrong.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: x}, automount: false}`), 0o600))
	out, err := exec.Command(program, "--strict", "-k", kubernetesVersions[0], file).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "automount")
}
