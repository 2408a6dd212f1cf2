#!/usr/bin/env bash
# Finds every fuzz test in the tree and runs each for a while. Without one it fails: then the search is broken. A package is
# compiled once for all its fuzz tests, which go test would do again for each, and only granter's own packages count what is
# reached in them: go test -fuzz has all that they import do so, SQLite included, which takes minutes to compile.
#
# usage: fuzz.sh [TIME]   per test, as go test -fuzztime takes it (default 10s)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
corpus=$(go env GOCACHE)/fuzz # where go test keeps what it found interesting

# once PACKAGE DIR FUZZ TIME: the fuzz engine now and then takes its own end for a failure of the test, when a worker is slow at
# that moment. That has no failing input, and says only this; then the test runs once more.
once() {
  (cd "$2" && "$work/test" -test.run '^$' -test.fuzz "^$3\$" -test.fuzztime "$4" -test.fuzzcachedir "$corpus/$1") \
    </dev/null 2>&1 | tee "$work/log"
}
ended() { grep -q '^ *context deadline exceeded$' "$work/log" && ! grep -q 'Failing input' "$work/log"; }

found=0
while read -r package dir; do
  mapfile -t fuzz < <(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go 2>/dev/null)
  ((${#fuzz[@]})) || continue
  go test -c -vet=off -gcflags='github.com/granter/granter/...=-d=libfuzzer' -o "$work/test" "$package"
  for name in "${fuzz[@]}"; do
    printf '%s in %s\n' "$name" "${package#github.com/granter/granter/}"
    once "$package" "$dir" "$name" "${1:-10s}" || { ended && once "$package" "$dir" "$name" "${1:-10s}"; } || exit
    found=$((found + 1))
  done
done < <(go list -f '{{.ImportPath}} {{.Dir}}' ./...)
((found)) || { echo "found no fuzz test" >&2 && exit 1; }
echo "$found fuzz tests"
