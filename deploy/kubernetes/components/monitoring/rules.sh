#!/usr/bin/env bash
# Wraps the rules of deploy/prometheus for the Prometheus Operator: kustomize can neither read outside of its folder nor put
# one file into another. Run by go generate.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

{
  cat <<'YAML'
# Written by go generate ./deploy from deploy/prometheus/granter.rules.yml; do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: granter
  namespace: granter
spec:
YAML
  sed 's/^./  &/' ../../../prometheus/granter.rules.yml
} >prometheusrule.yaml
