#!/usr/bin/env bash
# Finds every fuzz test in the tree and runs each for a while. Without one it fails: then the search is broken.
#
# usage: fuzz.sh [TIME]   per test, as go test -fuzztime takes it (default 10s)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# once PACKAGE FUZZ TIME: the fuzz engine now and then takes its own end for a failure of the test, when a worker is slow at that
# moment. That has no failing input, and says only this; then the test runs once more.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
once() {
  go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" "$1" </dev/null 2>&1 | tee "$log"
}
ended() { grep -q '^ *context deadline exceeded$' "$log" && ! grep -q 'Failing input' "$log"; }

found=0
while read -r package dir; do
  while read -r fuzz; do
    printf '%s in %s\n' "$fuzz" "${package#github.com/granter/granter/}"
    once "$package" "$fuzz" "${1:-10s}" || { ended && once "$package" "$fuzz" "${1:-10s}"; } || exit
    found=$((found + 1))
  done < <(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go 2>/dev/null)
done < <(go list -f '{{.ImportPath}} {{.Dir}}' ./...)
((found)) || { echo "found no fuzz test" >&2 && exit 1; }
echo "$found fuzz tests"
