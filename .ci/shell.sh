#!/usr/bin/env bash
# Every shell script in the tree must parse, and satisfy shellcheck where that is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t scripts < <(find . -path ./.git -prune -o -type f -print | grep -v /testdata/ |
  while read -r file; do
    if [[ $file == *.sh || $(head -c 20 "$file" | tr -d '\0' | head -n 1) == '#!'*sh ]]; then echo "$file"; fi
  done)
for script in "${scripts[@]}"; do bash -n "$script"; done
if command -v shellcheck >/dev/null; then
  # SC2317: it takes a function that is called by name for dead code.
  shellcheck --external-sources --source-path=SCRIPTDIR --exclude=SC2317 "${scripts[@]}"
else
  echo "shellcheck is not installed: syntax was checked only"
fi
echo "${#scripts[@]} scripts"
