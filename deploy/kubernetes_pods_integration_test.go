//go:build integration

package deploy

import (
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/campaign"
)

// pod is what a workload makes, with its one container.
type pod struct {
	object
	labels, spec, container object
	env                     map[string]string
}

func podOf(t *testing.T, workload object, all manifests) pod {
	t.Helper()
	p := pod{object: workload, env: map[string]string{}}
	template := workload.object("spec", "template")
	if p.timed() {
		template = workload.object("spec", "jobTemplate", "spec", "template")
	}
	p.labels, p.spec = template.object("metadata", "labels"), template.object("spec")
	containers := p.spec.list("containers")
	require.Len(t, containers, 1)
	require.Empty(t, p.spec.list("initContainers"))
	p.container = containers[0]
	for _, from := range p.container.list("envFrom") {
		for key, value := range all.get(t, "ConfigMap", from.text("configMapRef", "name")).object("data") {
			p.env[key] = value.(string)
		}
	}
	for _, variable := range p.container.list("env") {
		p.env[variable.text("name")] = variable.text("value")
		if from := variable.object("valueFrom", "configMapKeyRef"); from != nil {
			p.env[variable.text("name")] = all.get(t, "ConfigMap", from.text("name")).text("data", from.text("key"))
			require.NotEmpty(t, p.env[variable.text("name")])
		}
	}
	return p
}

// timed reports whether it runs by the clock, and ends.
func (p *pod) timed() bool { return p.kind() == "CronJob" }

func (p *pod) args() []string { return p.container.texts("args") }

// ports are those that the container names.
func (p *pod) ports() map[string]int {
	ports := map[string]int{}
	for _, port := range p.container.list("ports") {
		ports[port.text("name")] = port.number("containerPort")
	}
	return ports
}

// eachPod runs a test on every pod of every overlay.
func eachPod(t *testing.T, test func(t *testing.T, p pod, all manifests)) {
	t.Helper()
	eachOverlay(t, func(t *testing.T, overlay string, all manifests) {
		want := []string{"granter-run", "granter-follow", "granter-desk"}
		if overlay != "dev" {
			want = append(want, "granter-audit", "granter-audit-follow")
		}
		if overlay == claimsOverlay {
			want = append(want, claimsOfKubernetes...)
		}
		require.ElementsMatch(t, want, all.workloads().names())
		for _, workload := range all.workloads() {
			t.Run(workload.name(), func(t *testing.T) { test(t, podOf(t, workload, all), all) })
		}
	})
}

// mebibytes reads a quantity of memory.
func mebibytes(t *testing.T, quantity string) int64 {
	t.Helper()
	number, ok := strings.CutSuffix(quantity, "Mi")
	require.True(t, ok, "%q: want Mi", quantity)
	n, err := strconv.ParseInt(number, 10, 64)
	require.NoError(t, err)
	return n
}

func TestKubernetesPodsSpeakGranter(t *testing.T) {
	b := binary(t)
	eachPod(t, func(t *testing.T, p pod, _ manifests) {
		b.understands(t, p.args(), p.env)
		if p.args()[0] == "run" {
			grace := time.Duration(p.spec.number("terminationGracePeriodSeconds")) * time.Second
			require.GreaterOrEqual(t, grace, b.drains(t, p.env), "SIGTERM drains")
		}
	})
}

// The restricted Pod Security Standard, and what it leaves open.
func TestKubernetesPodsAreConfined(t *testing.T) {
	eachPod(t, func(t *testing.T, p pod, all manifests) {
		security := p.spec.object("securityContext")
		assert.Equal(t, true, security["runAsNonRoot"])
		assert.Positive(t, security.number("runAsUser"))
		assert.Equal(t, "RuntimeDefault", security.text("seccompProfile", "type"))
		own := p.container.object("securityContext")
		assert.Equal(t, false, own["allowPrivilegeEscalation"])
		assert.Equal(t, true, own["readOnlyRootFilesystem"])
		assert.Equal(t, []any{"ALL"}, own.at("capabilities", "drop"))
		assert.Equal(t, false, p.spec["automountServiceAccountToken"])
		all.get(t, "ServiceAccount", p.spec.text("serviceAccountName"))
		assert.Equal(t, "restricted", all.get(t, "Namespace", p.text("metadata", "namespace")).
			text("metadata", "labels", "pod-security.kubernetes.io/enforce"))
		requirePinned(t, p.container.text("image"))
		for _, field := range []string{"hostNetwork", "hostPID", "hostIPC"} {
			assert.NotContains(t, p.spec, field)
		}
	})
}

func TestKubernetesPodsHaveTheirShare(t *testing.T) {
	eachPod(t, func(t *testing.T, p pod, _ manifests) {
		resources := p.container.object("resources")
		for _, kind := range []string{"requests", "limits"} {
			assert.NotEmpty(t, resources.text(kind, "cpu"))
			assert.NotEmpty(t, resources.text(kind, "memory"))
		}
		limit := mebibytes(t, resources.text("limits", "memory"))
		requireMemoryLimit(t, p.env["GOMEMLIMIT"], limit<<20)
		assert.LessOrEqual(t, mebibytes(t, resources.text("requests", "memory")), limit)
		if p.timed() {
			return // it is alone
		}
		spread := p.spec.list("topologySpreadConstraints")
		require.Len(t, spread, 1)
		assert.True(t, p.labels.includes(spread[0].object("labelSelector", "matchLabels")))
	})
}

func TestKubernetesProbes(t *testing.T) {
	eachPod(t, func(t *testing.T, p pod, _ manifests) {
		if p.timed() {
			require.NotContains(t, p.container, "livenessProbe", "it serves nothing")
			return
		}
		for probe, path := range map[string]string{"livenessProbe": "/healthz", "readinessProbe": "/readyz"} {
			get := p.container.object(probe, "httpGet")
			assert.Equal(t, path, get.text("path"))
			assert.Equal(t, "metrics", get.text("port"))
		}
		assert.Equal(t, ":"+strconv.Itoa(p.ports()["metrics"]), p.env["GRANTER_LISTEN"], "granter listens where the probes ask")
		if desk := p.ports()["desk"]; desk != 0 {
			assert.Contains(t, p.args(), "--desk=:"+strconv.Itoa(desk))
			// Where others can listen it asks for a certificate, or to be told that none is needed.
			insecure := p.env["GRANTER_DESK_INSECURE"] == "true"
			assert.Equal(t, insecure, p.env["GRANTER_DESK_CERT"] == "" && p.env["GRANTER_DESK_KEY"] == "")
			assert.Equal(t, p.env["GRANTER_KAFKA_SASL"] == "", insecure, "only where nothing else is secured")
		}
	})
}

// Whatever file an argument or a variable names is mounted, from a ConfigMap that is rendered or from a Secret that the
// example describes.
func TestKubernetesFilesAreMounted(t *testing.T) {
	example, err := os.ReadFile("kubernetes/secret.example.yaml")
	require.NoError(t, err)
	secrets := manifests(decode(t, example))
	eachPod(t, func(t *testing.T, p pod, all manifests) {
		files, optional := map[string]bool{}, map[string]bool{}
		mounts := map[string]string{}
		for _, mount := range p.container.list("volumeMounts") {
			mounts[mount.text("name")] = mount.text("mountPath")
			written := mount.text("name") == "reports" || mount.text("name") == "documents"
			assert.Equal(t, !written, mount["readOnly"] == true, mount.text("name"))
		}
		for _, volume := range p.spec.list("volumes") {
			folder, ok := mounts[volume.text("name")]
			require.True(t, ok, "volume %s is mounted nowhere", volume.text("name"))
			var keys object
			switch claim, name := volume.text("persistentVolumeClaim", "claimName"), volume.text("configMap", "name"); {
			case volume.text("name") == "documents": // of pages and desks together
				assert.Contains(t, p.args(), "--documents="+folder)
				modes := all.get(t, "PersistentVolumeClaim", claim).texts("spec", "accessModes")
				assert.Equal(t, []string{"ReadWriteMany"}, modes)
				continue
			case claim != "": // written by nobody else: most volumes belong to one node at a time
				assert.Equal(t, "reports", volume.text("name"))
				assert.Equal(t, p.name(), claim)
				flag := "--report="
				if p.timed() {
					flag = "--out="
				}
				assert.Contains(t, p.args(), flag+folder+"/")
				all.get(t, "PersistentVolumeClaim", claim)
				continue
			case name != "":
				keys = all.get(t, "ConfigMap", name).object("data")
			default:
				keys = secrets.get(t, "Secret", volume.text("secret", "secretName")).object("stringData")
			}
			for key := range keys {
				files[path.Join(folder, key)] = true
				optional[path.Join(folder, key)] = volume.at("secret", "optional") == true
			}
		}
		named := p.args()
		for _, value := range p.env {
			named = append(named, value)
		}
		for _, word := range named {
			if _, file, ok := strings.Cut(word, "/etc/granter/"); ok {
				file = "/etc/granter/" + file
				assert.True(t, files[file], "%s is not mounted", file)
				assert.False(t, optional[file], "%s may be missing", file)
			}
		}
	})
}

func TestKubernetesCampaigns(t *testing.T) {
	eachOverlay(t, func(t *testing.T, overlay string, all manifests) {
		run := podOf(t, all.get(t, "Job", "granter-run"), all)
		require.Equal(t, "/etc/granter/campaign/campaign.yaml", run.env["GRANTER_FILE"])
		for _, volume := range run.spec.list("volumes") {
			if volume.text("name") == "campaign" {
				text := all.get(t, "ConfigMap", volume.text("configMap", "name")).text("data", "campaign.yaml")
				_, err := campaign.Parse("campaign.yaml", []byte(text))
				require.NoError(t, err)
				return
			}
		}
		require.Fail(t, "no campaign", overlay)
	})
	want, err := os.ReadFile("campaigns/emoticons.yaml")
	require.NoError(t, err)
	have, err := os.ReadFile("kubernetes/base/campaign.yaml")
	require.NoError(t, err)
	require.Equal(t, string(want), string(have), "the example is the one of deploy/campaigns")
	want, err = os.ReadFile("programmes/outage-2022.yaml")
	require.NoError(t, err)
	have, err = os.ReadFile("kubernetes/components/claims/programme.yaml")
	require.NoError(t, err)
	require.Equal(t, string(want), string(have), "the programme is the one of deploy/programmes")
}
