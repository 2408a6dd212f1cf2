#!/usr/bin/env bash
# Finds every fuzz test in the tree and runs each for a while. Without one it fails: then the search is broken.
#
# usage: fuzz.sh [TIME]   per test, as go test -fuzztime takes it (default 10s)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

found=0
while read -r package dir; do
  while read -r fuzz; do
    printf '%s in %s\n' "$fuzz" "${package#github.com/granter/granter/}"
    go test -run '^$' -fuzz "^$fuzz\$" -fuzztime "${1:-10s}" "$package" </dev/null
    found=$((found + 1))
  done < <(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go 2>/dev/null)
done < <(go list -f '{{.ImportPath}} {{.Dir}}' ./...)
((found)) || { echo "found no fuzz test" >&2 && exit 1; }
echo "$found fuzz tests"
