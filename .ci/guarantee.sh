#!/usr/bin/env bash
# docs/guarantee.md names the test behind every promise, and its package: each must exist there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck disable=SC2016 # backquotes of Markdown
names() { grep -oE "\`$1\`" <<<"$2" | tr -d '`' | sort -u || true; }

missing=0
while read -r line; do
  folders=(cmd/granter grant/source) # those of a test without a package
  for folder in $(names '[a-z]+(/[a-z]+)*' "$line"); do
    [[ -d $folder ]] && folders+=("$folder")
  done
  for name in $(names 'Test[A-Za-z0-9]*' "$line"); do
    found=0
    for folder in "${folders[@]}"; do
      ! grep -qs "^func $name(" "$folder"/*_test.go || found=1
    done
    if ((!found)); then
      echo "docs/guarantee.md names $name in ${folders[*]}, and there is no such test" >&2
      missing=1
    fi
  done
done <docs/guarantee.md
exit "$missing"
