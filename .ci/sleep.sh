#!/usr/bin/env bash
# A test must not sleep: it is slow on a fast machine and fails on a slow one. Inside a testing/synctest bubble a sleep
# takes no time and says exactly what is meant, so files that use it, also by grant/engine's inWorld, are left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

found=$(find . -name '*_test.go' -exec grep -lZ 'time\.Sleep(' {} + | xargs -0 -r grep -LE '"testing/synctest"|inWorld\(' || true)
if [[ -n $found ]]; then
  echo "time.Sleep in tests; wait for what should happen (a channel, polling with a deadline) or use testing/synctest:" >&2
  printf '%s\n' "$found" | xargs grep -n 'time\.Sleep(' >&2
  exit 1
fi
