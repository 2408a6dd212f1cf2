#!/usr/bin/env bash
# Installs what the tests need on Debian 12: redis-server, PostgreSQL, a Java 17 runtime, Maven, Kafka's jars, Prometheus,
# Chromium for the operations page, Python for the Kubernetes schemas, and systemd-analyze.
# Says nothing and returns at once when everything is there.
#
# usage: install.sh
# env:   GRANTER_DEV_HOME   where jars and dev data live (default ~/.cache/granter-dev)
#        GRANTER_DEV_KAFKA  one more version of Kafka, and the one that is used when none is named
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

complete() {
  local program
  for program in redis-server redis-cli java prometheus promtool chromium systemd-analyze; do
    command -v "$program" >/dev/null || return 1
  done
  postgres_installed || return 1
  python3 -c 'import venv, ensurepip' 2>/dev/null && kafka_installed
}

[[ " ${kafka_versions[*]} " == *" $kafka_version "* ]] || kafka_versions+=("$kafka_version")

# Debian keeps its servers out of PATH.
postgres_installed() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

kafka_installed() {
  local version
  for version in "${kafka_versions[@]}"; do [[ -e $(kafka_home "$version")/.complete ]] || return 1; done
}

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "installing packages needs root: run this as root, install sudo, or ask for: $*"
  fi
}

install_packages() {
  local packages=()
  command -v redis-server >/dev/null && command -v redis-cli >/dev/null || packages+=(redis-server)
  postgres_installed || packages+=(postgresql)
  command -v java >/dev/null || packages+=(default-jre-headless)
  command -v prometheus >/dev/null && command -v promtool >/dev/null || packages+=(prometheus)
  command -v chromium >/dev/null || packages+=(chromium fonts-dejavu-core fonts-nanum)
  command -v systemd-analyze >/dev/null || packages+=(systemd)
  python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
  # Maven is needed only to fetch the jars.
  kafka_installed || command -v mvn >/dev/null || packages+=(maven)
  ((${#packages[@]})) || return 0

  command -v apt-get >/dev/null ||
    die "cannot install ${packages[*]}: this is not Debian. Install Redis 7, PostgreSQL 15, Java 17, Maven, Prometheus and Chromium with your own package manager, then run this again"
  say "installing ${packages[*]}"
  local log
  log=$(mktemp)
  if ! as_root apt-get update -qq >"$log" 2>&1 ||
    ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get could not install ${packages[*]} (full log: $log)"
  fi
  rm -f "$log"

  # Debian starts them on their usual ports on installation. Nobody asked for those; what was there before is left alone.
  local service
  for service in redis-server postgresql prometheus prometheus-node-exporter; do
    [[ " ${packages[*]} " == *" ${service/-node-exporter/} "* ]] || continue
    if [[ -d /run/systemd/system ]]; then
      as_root systemctl disable --now "$service" >/dev/null 2>&1 || true
    else
      as_root service "$service" stop >/dev/null 2>&1 || true
      as_root update-rc.d "$service" disable >/dev/null 2>&1 || true
    fi
  done
}

check_versions() {
  local redis java
  redis=$(redis-server --version | sed -n 's/.* v=\([0-9]*\).*/\1/p')
  ((redis >= 7)) || die "redis-server is version $redis, but 7 or newer is needed"
  java=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  ((java >= 17)) || die "java is version $java, but 17 is needed"
}

# install_kafka VERSION
install_kafka() {
  local home log
  home=$(kafka_home "$1")
  [[ -e $home/.complete ]] && return
  say "fetching the jars of Kafka $1 into $home"
  rm -rf "$home"
  mkdir -p "$home"
  log=$home/install.log
  if ! mvn -q -B -f "$here/pom.xml" -Dkafka.version="$1" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$home/lib" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "mvn could not fetch Kafka's jars (full log: $log). Maven needs to reach a mirror of Maven Central: see ~/.m2/settings.xml"
  fi
  share_classes "$1" "$home/kafka.jsa" || say "note: no class archive could be made, so a broker starts a second later"
  touch "$home/.complete"
}

# share_classes VERSION FILE: a class-data archive halves a broker's start. Run one broker until it is up, and let the JVM
# write what it loaded.
share_classes() {
  local dir
  dir=$(mktemp -d)
  "$here/kafka.sh" config "$dir" --version "$1" >/dev/null 2>&1 &&
    GRANTER_DEV_KAFKA_JVM="-XX:ArchiveClassesAtExit=$2" "$here/kafka.sh" start "$dir" >/dev/null 2>&1 &&
    "$here/kafka.sh" stop "$dir"
  rm -rf "$dir"
  [[ -s $2 ]]
}

if complete; then exit 0; fi
mkdir -p "$dev_home"
# Two builds on one machine may get here together.
if command -v flock >/dev/null; then
  exec 9>"$dev_home/install.lock"
  flock 9
  if complete; then exit 0; fi
fi
install_packages
check_versions
for version in "${kafka_versions[@]}"; do install_kafka "$version"; done
say "dev services are installed"
