#!/usr/bin/env bash
# docs/guarantee.md names the test behind every promise, and its package: each must exist there. After a failure of real servers
# the audit must prove: the tests of those tables ask it. That it is the last question, each scenario sees to (mustEndWithAnAudit).
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

# Prints the tests of cmd/granter from which no call leads to the audit.
unaudited() {
  awk '
    /^func / { name = $0; sub(/^func (\([^)]*\) )?/, "", name); sub(/[^A-Za-z0-9_].*/, "", name) }
    { body[name] = body[name] "\n" $0 }
    END {
      asks["audit"] = 1
      do {
        more = 0
        for (f in body) if (!(f in asks)) for (g in asks)
          if (body[f] ~ "[^A-Za-z0-9_\"]" g "[(,)}]" && f != "") { asks[f] = 1; more = 1; break }
      } while (more)
      for (f in body) if (f ~ /^Test/ && !(f in asks)) print f
    }' cmd/granter/*_test.go | sort -u
}

failures=$(awk '/^## / { on = /^## (granter|Redis|Kafka)$/ } on' docs/guarantee.md)
for name in $(comm -12 <(names 'Test[A-Za-z0-9]*' "$failures") <(unaudited)); do
  # Where servers fail they are real.
  if grep -qs "^func $name(" cmd/granter/*_integration_test.go; then
    echo "docs/guarantee.md names $name, after which the audit must prove, and it does not ask it (see exactlyOnce)" >&2
    missing=1
  fi
done
exit "$missing"
