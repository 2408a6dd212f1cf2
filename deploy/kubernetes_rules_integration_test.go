//go:build integration

package deploy

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// operatorAPI is the Prometheus Operator's, of which the validator has no schemas.
const operatorAPI = "monitoring.coreos.com/v1"

// What a replica ends with decides whether there will be another one.
func TestKubernetesJobKnowsTheExitCodes(t *testing.T) {
	eachOverlay(t, func(t *testing.T, _ string, all manifests) {
		job := all.get(t, "Job", "granter-run")
		require.NotContains(t, job.object("spec"), "completions", "a work queue")
		require.Positive(t, job.number("spec", "parallelism"))
		want := map[int]string{2: "FailJob", 6: "FailJob", 4: "Ignore"}
		assert.Equal(t, want, actions(t, job), "1 and 5 count towards backoffLimit: both may pass")
	})
}

// The Job of an audit succeeds when the promise is proven, and is not tried again when it is not.
func TestKubernetesAuditKnowsTheExitCodes(t *testing.T) {
	eachOverlay(t, func(t *testing.T, overlay string, all manifests) {
		if overlay == "dev" {
			return
		}
		job := all.get(t, "Job", "granter-audit")
		want := map[int]string{2: "FailJob", 7: "FailJob", 8: "FailJob", 4: "Ignore"}
		assert.Equal(t, want, actions(t, job), "1 counts towards backoffLimit: it may pass")
		assert.Equal(t, "Recreate", all.get(t, "Deployment", "granter-audit-follow").text("spec", "strategy", "type"),
			"two would write to one volume")
	})
}

// The report of the day is made each morning, by one at a time, and is not tried again when a person must look.
func TestKubernetesReportsTheMoneyOfEachDay(t *testing.T) {
	all := render(t, claimsOverlay)
	timed := all.get(t, "CronJob", "granter-claims-money")
	assert.Equal(t, "0 6 * * *", timed.text("spec", "schedule"), "as deploy/systemd/granter-claims-money.timer")
	assert.Equal(t, "Asia/Seoul", timed.text("spec", "timeZone"), "the zone is said")
	assert.Equal(t, "Forbid", timed.text("spec", "concurrencyPolicy"), "each report names the one before")
	assert.Equal(t, map[int]string{2: "FailJob"}, actions(t, timed.object("spec", "jobTemplate")))
	p := podOf(t, timed, all)
	for variable := range p.env {
		assert.NotContains(t, variable, "KAFKA", "it has no password that it does not need")
	}
}

// actions are what a Job does by exit code. A pod whose node goes is never at fault.
func actions(t *testing.T, job object) map[int]string {
	t.Helper()
	require.Equal(t, "Never", job.text("spec", "template", "spec", "restartPolicy"), "podFailurePolicy needs it")
	require.Positive(t, job.number("spec", "backoffLimit"))
	by := map[int]string{}
	disrupted := ""
	for _, rule := range job.list("spec", "podFailurePolicy", "rules") {
		if codes := rule.object("onExitCodes"); codes != nil {
			assert.Equal(t, "granter", codes.text("containerName"))
			assert.Equal(t, "In", codes.text("operator"))
			for _, code := range codes["values"].([]any) {
				by[code.(int)] = rule.text("action")
			}
		}
		for _, condition := range rule.list("onPodConditions") {
			assert.Equal(t, "DisruptionTarget", condition.text("type"))
			disrupted = rule.text("action")
		}
	}
	assert.Equal(t, "Ignore", disrupted)
	return by
}

// A Deployment starts again whatever ends: its runs stand by while the campaign is aborted. The Job fails.
func TestKubernetesDeploymentsStandBy(t *testing.T) {
	eachOverlay(t, func(t *testing.T, _ string, all manifests) {
		for _, workload := range all.workloads() {
			if p := podOf(t, workload, all); slices.Contains(p.args(), "run") {
				assert.Equal(t, workload.kind() == "Deployment", slices.Contains(p.args(), "--stand-by"), workload.name())
			}
		}
	})
}

func TestKubernetesSelectors(t *testing.T) {
	eachOverlay(t, func(t *testing.T, overlay string, all manifests) {
		var pods []pod
		for _, workload := range all.workloads() {
			p := podOf(t, workload, all)
			pods = append(pods, p)
			if workload.kind() == "Deployment" {
				assert.True(t, p.labels.includes(workload.object("spec", "selector", "matchLabels")), workload.name())
			}
		}
		selected := func(selector object) (list []pod) {
			for _, p := range pods {
				if p.labels.includes(selector) {
					list = append(list, p)
				}
			}
			return list
		}
		for _, service := range all.of("Service") {
			behind := selected(service.object("spec", "selector"))
			require.Len(t, behind, 1, service.name())
			for _, port := range service.list("spec", "ports") {
				assert.Contains(t, behind[0].ports(), port.text("targetPort"))
			}
		}
		budgets := all.of("PodDisruptionBudget")
		if overlay == "dev" {
			require.Empty(t, budgets)
		} else {
			want := []string{"granter-run", "granter-follow", "granter-desk"}
			if overlay == claimsOverlay {
				want = append(want, "granter-claims-serve", "granter-claims-desk", "granter-claims-receive")
			}
			require.ElementsMatch(t, want, budgets.names(),
				"an audit that is stopped is made again: its node may go")
		}
		for _, budget := range budgets {
			guarded := selected(budget.object("spec", "selector", "matchLabels"))
			require.Len(t, guarded, 1, budget.name())
			assert.Equal(t, budget.name(), guarded[0].name())
			// Kubernetes can only count what has a scale.
			assert.Equal(t, guarded[0].kind() == "Job", budget.at("spec", "minAvailable") != nil)
			assert.Less(t, budget.number("spec", "minAvailable"), max(2, guarded[0].number("spec", "parallelism")), "a node can be drained")
			assert.Equal(t, "AlwaysAllow", budget.text("spec", "unhealthyPodEvictionPolicy"), "waiting for starts_at")
		}
	})
}

// Everything is denied but what a policy names, and every policy names something that is there.
func TestKubernetesNetworkPolicies(t *testing.T) {
	eachOverlay(t, func(t *testing.T, overlay string, all manifests) {
		deny := all.get(t, "NetworkPolicy", "deny-all").object("spec")
		require.Empty(t, deny["podSelector"], "all pods")
		require.Equal(t, []any{"Ingress", "Egress"}, deny["policyTypes"])
		require.NotContains(t, deny, "ingress")
		require.NotContains(t, deny, "egress")

		egress := map[int]bool{}
		for _, policy := range all.of("NetworkPolicy") {
			selector := policy.object("spec", "podSelector", "matchLabels")
			for _, workload := range all.workloads() {
				p := podOf(t, workload, all)
				if !p.labels.includes(selector) || p.timed() { // which serves nothing
					continue
				}
				for _, rule := range policy.list("spec", "ingress") {
					require.NotEmpty(t, rule.list("from"), "from anywhere")
					for _, port := range rule.list("ports") {
						assert.Contains(t, p.ports(), port.text("port"), "%s lets in what %s does not serve", policy.name(), p.name())
					}
				}
			}
			for _, rule := range policy.list("spec", "egress") {
				require.NotEmpty(t, rule.list("to"), "to anywhere")
				for _, port := range rule.list("ports") {
					egress[port.number("port")] = true
				}
			}
		}
		want := []int{53, 6379, 9090, 9092, 9093, 26379}
		if overlay == claimsOverlay {
			want = append(want, 443, 3310, 5432)
			slices.Sort(want)
		}
		assert.Equal(t, want, slices.Sorted(maps.Keys(egress)))
	})
}

// The operator's resources: Prometheus finds every pod, and its rules are those that promtool has tested.
func TestKubernetesMonitoring(t *testing.T) {
	eachOverlay(t, func(t *testing.T, overlay string, all manifests) {
		if overlay == "dev" {
			require.Empty(t, all.of("PodMonitor", "PrometheusRule"), "a laptop has no operator")
			return
		}
		monitor := all.get(t, "PodMonitor", "granter")
		assert.Equal(t, operatorAPI, monitor.text("apiVersion"))
		assert.ElementsMatch(t, []string{"jobLabel", "selector", "podMetricsEndpoints"}, slices.Collect(maps.Keys(monitor.object("spec"))))
		endpoints := monitor.list("spec", "podMetricsEndpoints")
		require.Len(t, endpoints, 1)
		for _, workload := range all.workloads() {
			p := podOf(t, workload, all)
			assert.True(t, p.labels.includes(monitor.object("spec", "selector", "matchLabels")), p.name())
			assert.Contains(t, p.labels, monitor.text("spec", "jobLabel"))
			if !p.timed() {
				assert.Contains(t, p.ports(), endpoints[0].text("port"))
			}
		}

		rule := all.get(t, "PrometheusRule", "granter")
		assert.Equal(t, operatorAPI, rule.text("apiVersion"))
		text, err := os.ReadFile("prometheus/granter.rules.yml")
		require.NoError(t, err)
		rules := decode(t, text)
		require.Len(t, rules, 1)
		require.NotEmpty(t, rules[0].list("groups"))
		require.Equal(t, squeezed(t, rules[0]), squeezed(t, rule.object("spec")), "prometheusrule.yaml is out of date: run go generate ./deploy")
	})
}

// squeezed is a value with every white space in its texts as one blank: kustomize writes an expression over several lines
// with empty ones in between, which means the same.
func squeezed(t *testing.T, v object) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return strings.Join(strings.Fields(strings.ReplaceAll(string(text), `\n`, " ")), " ")
}
