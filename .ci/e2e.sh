#!/usr/bin/env bash
# End to end: the built binary, a real Kafka and a real Redis, as an operator would use them. Takes about 20 seconds.
#
# usage: e2e.sh
# env:   KEEP=yes leaves the services running and says where
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

users=200000
duplicates=2000 # 1%
malformed=1000  # 0.5%
records=$((users + duplicates + malformed))
work=$(mktemp -d)
checks=0

cleanup() {
  local status=$?
  if ((status)); then
    echo "--- last messages of granter" >&2
    tail -n 20 "$work"/*.log >&2 2>/dev/null || true
  fi
  if [[ ${KEEP:-} == yes ]]; then
    echo "kept: $work; stop with: deploy/dev/down.sh --delete $work/services"
  else
    if [[ -d $work/services ]]; then deploy/dev/down.sh --delete "$work/services" || true; fi
    rm -rf "$work"
  fi
}
trap cleanup EXIT

fail() {
  echo "FAIL: $*" >&2
  exit 1
}

# field NAME FILE: a number at the top level of an indented JSON object.
field() { sed -n "s/^  \"$1\": \([0-9]*\),\{0,1\}\$/\1/p" "$2"; }

# expect WHAT WANT GOT
expect() {
  [[ $3 == "$2" ]] || fail "$1: want $2, got ${3:-nothing}"
  checks=$((checks + 1))
  echo "ok: $1 = $2"
}

# exits CODE COMMAND...: its output goes to a log.
exits() {
  local want=$1 got=0
  shift
  "$@" >>"$work/commands.log" 2>&1 || got=$?
  expect "exit code of granter ${*:2}" "$want" "$got"
}

# balanced FILE: the accounting identity, in total.
balanced() {
  expect "granted + duplicate + rejected + withheld" "$(field consumed "$1")" \
    $(($(field granted "$1") + $(field duplicate "$1") + $(field rejected "$1") + $(field withheld "$1")))
}

# spec NAME: a campaign on a topic of that name.
spec() {
  cat >"$work/$1.yaml" <<SPEC
campaign: $1
title: Three emoticons for everybody
starts_at: 2099-01-05T00:00:00+09:00
population: $2
source: {topic: $1, max_rejected: 1%}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
  - {id: cheer-up-90d, kind: emoticon, validity: 90d}
SPEC
}

go build -o "$work/granter" ./cmd/granter
granter() { "$work/granter" "$@"; }

eval "$(deploy/dev/up.sh "$work/services")"
export GRANTER_BROKERS GRANTER_REDIS GRANTER_LISTEN=off

spec everybody "$users"
f=(-f "$work/everybody.yaml")

echo "--- an empty ledger grants nothing"
granter load "${f[@]}" --generate "$users" --duplicates 1% --malformed 0.5% --partitions 8 --json >"$work/load.json" 2>"$work/load.log"
expect "records published" "$records" "$(field records "$work/load.json")"
exits 0 granter check "${f[@]}"
exits 3 granter verify "${f[@]}" 7

echo "--- a run grants every user once"
granter run "${f[@]}" --now --why "a test" --json >"$work/run.json" 2>"$work/run.log"
expect "consumed" "$records" "$(field consumed "$work/run.json")"
expect "granted" "$users" "$(field granted "$work/run.json")"
expect "duplicate" "$duplicates" "$(field duplicate "$work/run.json")"
expect "rejected" "$malformed" "$(field rejected "$work/run.json")"
balanced "$work/run.json"
exits 0 granter verify "${f[@]}" 0 7 $((users - 1))
exits 3 granter verify "${f[@]}" 7 $((users + 1))
exits 2 granter verify "${f[@]}" seven

echo "--- a second run finds nothing to do, and one that reads everything again grants nobody twice"
granter run "${f[@]}" --now --why "a test" --json >"$work/second.json" 2>"$work/second.log"
expect "granted" 0 "$(field granted "$work/second.json")"
granter load "${f[@]}" --generate "$users" --json >"$work/load.json" 2>"$work/load.log"
granter run "${f[@]}" --now --why "a test" --json >"$work/again.json" 2>"$work/again.log"
expect "granted" 0 "$(field granted "$work/again.json")"
expect "duplicate" "$users" "$(field duplicate "$work/again.json")"
balanced "$work/again.json"

echo "--- a run that is killed is continued by the next"
many=3000000
spec crash "$many"
f=(-f "$work/crash.yaml")
granter load "${f[@]}" --generate "$many" --partitions 8 --json >"$work/load.json" 2>"$work/load.log"
"$work/granter" run "${f[@]}" --now --why "a test" --json >"$work/killed.json" 2>"$work/killed.log" &
pid=$!
before=$(redis-cli -p "${GRANTER_REDIS##*:}" dbsize)
until (($(redis-cli -p "${GRANTER_REDIS##*:}" dbsize) > before + 20)) || ! kill -0 "$pid" 2>/dev/null; do :; done
kill -KILL "$pid" 2>/dev/null || true
code=0
wait "$pid" 2>/dev/null || code=$?
expect "exit code of the killed run" 137 "$code"
granter status "${f[@]}" --json >"$work/status.json" 2>"$work/status.log"
echo "killed with $(field granted "$work/status.json") of $many granted"
granter run "${f[@]}" --now --why "a test" --json >"$work/continued.json" 2>"$work/continued.log"
balanced "$work/continued.json"
granter status "${f[@]}" --prove --json >"$work/status.json" 2>"$work/status.log"
expect "granted by both" "$many" "$(field granted "$work/status.json")"
expect "lag" 0 "$(field lag "$work/status.json")"
exits 0 granter status "${f[@]}" --prove

echo "$checks passed, 0 failed"
