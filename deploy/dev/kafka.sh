#!/usr/bin/env bash
# Kafka in KRaft mode on loopback, with everything it owns in one folder: one broker, or a few.
# Broker 1 is also the only controller: stop and kill the others to see partition leaders move.
#
# usage: kafka.sh start  DIR [options]      configure if DIR is new, start, wait until up, print the bootstrap addresses
#        kafka.sh stop   DIR [BROKER]       shut down cleanly; every broker unless one is named
#        kafka.sh kill   DIR [BROKER]       SIGKILL, as a crash would
#        kafka.sh config DIR [options]      only configure and format the storage; prints the addresses
#        kafka.sh run    DIR BROKER         run one configured broker in the foreground (what tests do)
#        kafka.sh tool   CLASS [ARG...]     one of Kafka's own tools, such as org.apache.kafka.tools.TopicCommand
#        kafka.sh jars   VERSION            print the folder of its jars (newest: of the newest)
#        kafka.sh versions                  print the versions that tests run on: GRANTER_DEV_KAFKA, or else several
#
# options: --version V             or "newest"; default GRANTER_DEV_KAFKA, or the first of the versions. DIR keeps to it
#          --brokers N             default 1
#          --partitions-default N  of a topic created without a number (default 1)
#          --sasl                  a second listener that wants SASL PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, and
#                                  authorisation: user granter/granter-secret may do everything, guest/guest-secret nothing
#          --feature NAME=LEVEL    of the storage format, such as share.version=1 (repeatable)
#          --tls                   a listener with TLS (with --sasl: TLS on the SASL listener), CA in DIR/ca.pem
#          -- key=value ...        more of server.properties; wins over the defaults
#
# DIR/bootstrap.plaintext, .sasl and .tls hold the addresses of each listener, comma-separated. start prints the first.
# env: GRANTER_DEV_KAFKA (which version), GRANTER_DEV_KAFKA_HEAP (default 1g, or 512m for each of several),
#      GRANTER_DEV_KAFKA_JVM (more options)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

store_password=dev-secret

jvm() {
  local classpath home archive
  home=$(kafka_home)
  archive=$home/kafka.jsa
  need java
  [[ -d $home/lib ]] ||
    die "Kafka $kafka_version is not installed: run GRANTER_DEV_KAFKA=$kafka_version deploy/dev/install.sh"
  # In a fixed order, or the class archive does not fit. The JVM does without one that is missing or out of date.
  classpath=$(printf '%s:' "$home"/lib/*.jar)
  [[ ! -e $archive ]] || set -- -XX:SharedArchiveFile="$archive" -Xlog:cds=off "$@"
  # shellcheck disable=SC2086 # several options in one variable
  exec java ${GRANTER_DEV_KAFKA_JVM:-} -Dorg.slf4j.simpleLogger.showDateTime=true \
    -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS -cp "$classpath" "$@"
}

# properties ID: server.properties of one broker.
properties() {
  local id=$1 roles=broker transport=PLAINTEXT listeners advertised
  shift
  [[ -z $tls ]] || transport=SSL
  listeners=PLAINTEXT://${plaintext[id - 1]}
  [[ -z $sasl ]] || listeners+=,SASL://${secured[id - 1]}
  [[ -z $tls ]] || listeners+=,TLS://${encrypted[id - 1]}
  advertised=$listeners
  if ((id == 1)); then
    roles=broker,controller
    listeners+=,CONTROLLER://$controller
  fi
  cat <<CONF
node.id=$id
process.roles=$roles
controller.quorum.voters=1@$controller
controller.listener.names=CONTROLLER
listeners=$listeners
advertised.listeners=$advertised
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_$transport,TLS:SSL
log.dirs=$dir/broker-$id/data

# A mistyped topic is an error, as it should be in production.
auto.create.topics.enable=false
num.partitions=$partitions
default.replication.factor=1

# Groups and transactions: few partitions, replicated where there are brokers for it; start at once.
offsets.topic.num.partitions=5
offsets.topic.replication.factor=$brokers
transaction.state.log.num.partitions=5
transaction.state.log.replication.factor=$brokers
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=5
share.coordinator.state.topic.replication.factor=$brokers
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# Lets a test ask for a session timeout of a second.
group.min.session.timeout.ms=500

# Test records carry old timestamps: nothing expires unless the topic says so. Then it, and compaction, happen soon.
log.retention.ms=-1
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=500
log.segment.delete.delay.ms=1000
log.cleaner.backoff.ms=500
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216

# A killed broker loses its partitions to others, and may register again, after this long instead of 9 s. Registration
# is retried after 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 s, so a little more than 3 s would cost three more.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=2500
replica.lag.time.max.ms=5000
CONF
  if [[ -n $sasl ]]; then
    local plain=org.apache.kafka.common.security.plain.PlainLoginModule
    local scram=org.apache.kafka.common.security.scram.ScramLoginModule
    cat <<CONF

listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=$plain required user_granter="granter-secret" user_guest="guest-secret";
listener.name.sasl.scram-sha-256.sasl.jaas.config=$scram required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=$scram required;
# The plaintext listener, which the brokers use among themselves, stays all-powerful.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:granter
CONF
  fi
  if [[ -n $tls ]]; then
    cat <<CONF

ssl.keystore.type=PKCS12
ssl.keystore.location=$dir/server.p12
ssl.keystore.password=$store_password
CONF
  fi
  printf '%s\n' '' "$@"
}

# The addresses as one comma-separated line.
bootstrap() {
  local IFS=,
  printf '%s\n' "$*"
}

configure() {
  local brokers=1 partitions=1 sasl='' tls='' id features=()
  while (($#)); do
    case $1 in
    --version) kafka_version=${2/#newest/${kafka_versions[-1]}} && shift 2 ;;
    --feature) features+=(--feature "$2") && shift 2 ;;
    --brokers) brokers=$2 && shift 2 ;;
    --partitions-default) partitions=$2 && shift 2 ;;
    --sasl) sasl=yes && shift ;;
    --tls) tls=yes && shift ;;
    --) shift && break ;;
    *) usage ;;
    esac
  done
  printf '%s\n' "$kafka_version" >"$dir/version"
  local plaintext=() secured=() encrypted=() controller
  controller=127.0.0.1:$(reserve_port "$dir")
  for ((id = 1; id <= brokers; id++)); do
    plaintext+=("127.0.0.1:$(reserve_port "$dir")")
    [[ -z $sasl ]] || secured+=("127.0.0.1:$(reserve_port "$dir")")
    [[ -z $tls ]] || encrypted+=("127.0.0.1:$(reserve_port "$dir")")
  done
  if [[ -n $tls ]]; then
    need keytool
    keytool -genkeypair -alias server -keyalg EC -validity 3650 -dname CN=127.0.0.1 -ext san=ip:127.0.0.1,dns:localhost \
      -keystore "$dir/server.p12" -storetype PKCS12 -storepass "$store_password" >/dev/null 2>&1
    keytool -exportcert -rfc -alias server -keystore "$dir/server.p12" -storepass "$store_password" >"$dir/ca.pem" 2>/dev/null
    bootstrap "${encrypted[@]}" >"$dir/bootstrap.tls"
  fi
  local scram=()
  if [[ -n $sasl ]]; then
    bootstrap "${secured[@]}" >"$dir/bootstrap.sasl"
    local mechanism
    for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
      scram+=(--add-scram "$mechanism=[name=granter,password=granter-secret]")
      scram+=(--add-scram "$mechanism=[name=guest,password=guest-secret]")
    done
  fi
  for ((id = 1; id <= brokers; id++)); do
    mkdir -p "$dir/broker-$id"
    properties "$id" "$@" >"$dir/broker-$id/server.properties"
    (jvm -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format --cluster-id granter-dev-cluster-00 "${scram[@]}" "${features[@]}" \
      --config "$dir/broker-$id/server.properties") >"$dir/broker-$id/format.log" 2>&1 ||
      { grep -E 'Exception|error' "$dir/broker-$id/format.log" | head -n 3 >&2 && die "could not format the storage of broker $id"; }
  done
  bootstrap "${plaintext[@]}" >"$dir/bootstrap.plaintext"
}

start() {
  local folder folders=() launched=()
  [[ -e $dir/bootstrap.plaintext ]] || configure "$@"
  for folder in "$dir"/broker-*; do
    if ! running "$folder/kafka.pid" >/dev/null; then
      # Readiness is read from the log, so it must be this start's.
      : >"$folder/kafka.log"
      detached "$folder/kafka.log" "$here/kafka.sh" run "$dir" "${folder##*-}"
      folders+=("$folder")
      launched+=($!)
    fi
  done
  local i
  for i in "${!folders[@]}"; do
    until grep -q 'Kafka Server started' "${folders[i]}/kafka.log"; do
      if ! kill -0 "${launched[i]}" 2>/dev/null; then
        grep -E 'ERROR|Exception|error:' "${folders[i]}/kafka.log" | head -n 5 >&2
        die "broker ${folders[i]##*-} did not start (log: ${folders[i]}/kafka.log)"
      fi
      sleep 0.05
    done
  done
  cat "$dir/bootstrap.plaintext"
}

run() {
  local folder=$dir/broker-$1 heap=512m
  [[ -e $folder/server.properties ]] || die "$dir has no broker $1: run kafka.sh config first"
  [[ -d $dir/broker-2 ]] || heap=1g
  kafka_version=$(cat "$dir/version")
  heap=${GRANTER_DEV_KAFKA_HEAP:-$heap}
  write_pidfile "$folder/kafka.pid"
  cd "$folder"
  # The collector settings are those of Kafka's own start script.
  jvm "-Xmx$heap" "-Xms$heap" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 \
    kafka.Kafka "$folder/server.properties"
}

# end SIGNAL [BROKER]: all of them from the last to the first, because a clean shutdown needs the controller.
end() {
  local id
  if [[ -n ${2:-} ]]; then
    end_process "$dir/broker-$2/kafka.pid" "$1" 30
    return
  fi
  for ((id = 9; id >= 1; id--)); do
    end_process "$dir/broker-$id/kafka.pid" "$1" 30
  done
}

if [[ $* == versions ]]; then
  printf '%s\n' "${GRANTER_DEV_KAFKA:-${kafka_versions[@]}}"
  exit
fi
(($# >= 2)) || usage
command=$1
dir=$2
shift 2
case $command in
config | start)
  dir=$(absolute "$dir")
  if [[ $command == config ]]; then
    configure "$@"
    cat "$dir/bootstrap.plaintext"
  else
    start "$@"
  fi
  ;;
run)
  dir=$(absolute "$dir")
  run "${1:?which broker}"
  ;;
tool) jvm -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -XX:TieredStopAtLevel=1 "$dir" "$@" ;;
jars) printf '%s/lib\n' "$(kafka_home "${dir/#newest/${kafka_versions[-1]}}")" ;;
stop) end TERM "$@" ;;
kill) end KILL "$@" ;;
*) usage ;;
esac
