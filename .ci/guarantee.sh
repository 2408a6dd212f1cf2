#!/usr/bin/env bash
# docs/guarantee.md names the test behind every promise: each must exist.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=0
# shellcheck disable=SC2016 # backquotes of Markdown
while read -r name; do
  if ! grep -rqs "^func $name(" --include='*_test.go' .; then
    echo "docs/guarantee.md names $name, and there is no such test" >&2
    missing=1
  fi
done < <(grep -o '`Test[A-Za-z0-9]*`' docs/guarantee.md | tr -d '`' | sort -u)
exit "$missing"
