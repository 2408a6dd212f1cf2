#!/usr/bin/env bash
# No line of a Go file is wider than .editorconfig says: 130 columns, of which a tab takes four. Files that are not wrapped yet
# are listed in .ci/columns.txt. That list may only become shorter: a file in it that has no wide line must leave it.
#
# usage: columns.sh [FILE...]   default: every Go file that git tracks
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

((${#})) || mapfile -t -d '' files < <(git ls-files -z '*.go')
((${#})) && files=("$@")
failed=0
for file in "${files[@]}"; do
  [[ -f $file ]] || continue # deleted, and not committed yet
  wide=$(sed 's/\t/    /g' "$file" | LC_ALL=C.UTF-8 grep -nE '.{131}' | cut -d: -f1 | tr '\n' ' ') || true
  if grep -qxF "$file" .ci/columns.txt; then
    [[ -n $wide ]] || { echo "$file has no wide line any more: take it out of .ci/columns.txt" >&2 && failed=1; }
  elif [[ -n $wide ]]; then
    echo "$file: lines wider than 130 columns: $wide" >&2
    failed=1
  fi
done
while read -r file; do
  [[ -f $file ]] || { echo "$file is in .ci/columns.txt, and not in the tree" >&2 && failed=1; }
done <.ci/columns.txt
exit "$failed"
