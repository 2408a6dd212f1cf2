package preflight

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant/ledger"
)

func (j *judgement) judgeRedis() {
	r := j.redis
	if r.err != nil {
		j.judgeUnreachable(r.err)
		return
	}
	var names []string
	for _, n := range r.Masters {
		names = append(names, n.Addr)
	}
	j.pass("redis.reachable", fmt.Sprintf("%s: %s", plural(len(names), "server"), few(names, 8)))
	j.eachMaster("redis.version", judgeVersion)
	j.eachMaster("redis.role", j.judgeRole)
	j.eachMaster("redis.eviction", judgeEviction)
	j.eachMaster("redis.memory", j.judgeMemory)
	j.eachMaster("redis.persistence", j.judgePersistence)
	j.eachMaster("redis.disk", judgeDisk)
	if r.Probed {
		j.eachMaster("redis.rights", judgeRights)
	} else {
		j.warn("redis.rights", "not tried: nothing is to be written", "granter check tries all that granting does, with the user of the run")
	}
	j.eachMaster("redis.clock", judgeClock)
	if r.Cluster {
		j.judgeCluster()
	}
}

// eachMaster makes one result of what is found on every master: the worst status, and who has it.
func (j *judgement) eachMaster(name string, one func(n *ledger.NodeFacts) Result) {
	worst := Result{Name: name, Status: Pass}
	var found []string
	with := map[string][]string{} // detail → masters
	for i := range j.redis.Masters {
		n := &j.redis.Masters[i]
		r := one(n)
		if r.Detail == "" {
			continue // another result says it
		}
		if rank(r.Status) > rank(worst.Status) {
			worst.Status, worst.Advice = r.Status, r.Advice
			found = nil
		}
		if r.Status == worst.Status {
			if !slices.Contains(found, r.Detail) {
				found = append(found, r.Detail)
			}
			with[r.Detail] = append(with[r.Detail], n.Addr)
		}
	}
	if len(found) == 0 {
		return
	}
	for i, detail := range found {
		if len(with[detail]) < len(j.redis.Masters) {
			found[i] = few(with[detail], 8) + ": " + detail
		}
	}
	worst.Detail = few(found, 5)
	j.results = append(j.results, worst)
}

func rank(s Status) int { return slices.Index([]Status{Pass, Warn, Fail}, s) }

func (j *judgement) judgeUnreachable(err error) {
	const unchecked = "; not checked: persistence, memory, rights, spec, checkpoint, gaps"
	kind := ledger.Kind(err)
	text := err.Error()
	advice := ledger.Hint(kind)
	switch {
	case kind == ledger.KindAuth:
		j.fail("redis.login", text+unchecked, "check --redis-user and the password in GRANTER_REDIS_PASSWORD or GRANTER_REDIS_PASSWORD_FILE")
		return
	case kind == ledger.KindNoPerm:
		j.fail("redis.rights", text+unchecked, advice)
		return
	case strings.Contains(text, "cluster support disabled"):
		advice = "it is one Redis, no cluster: leave out --redis-cluster and name one address by --redis"
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		advice = "it does not speak TLS: leave out --redis-tls, or use its TLS port"
	case kind == ledger.KindNetwork, kind == ledger.KindTimeout:
		advice = "check --redis, that Redis runs, whether it wants TLS (--redis-tls), and firewalls"
	case advice == "":
		advice = "look at its log"
	}
	if _, ok := j.Redis.(*redis.ClusterClient); ok && len(j.redis.Masters) > 0 {
		text = fmt.Sprintf("not every master answers: %s", text)
	}
	j.fail("redis.reachable", text+unchecked, advice)
}

func judgeVersion(n *ledger.NodeFacts) Result {
	var major, minor int
	if _, err := fmt.Sscanf(n.Version, "%d.%d", &major, &minor); err != nil {
		return Result{Status: Warn, Detail: "version unknown, because INFO does not tell", Advice: "allow INFO, or make sure that it is Redis 6.2 or later"}
	}
	if major < 6 || major == 6 && minor < 2 {
		return Result{
			Status: Fail, Detail: "Redis " + n.Version + ": too old",
			Advice: "use Redis 6.2 or later",
		}
	}
	return Result{Status: Pass, Detail: "Redis " + n.Version}
}

func (j *judgement) judgeRole(n *ledger.NodeFacts) Result {
	switch {
	case n.Role == ledger.Unknown:
		return Result{Status: Warn, Detail: "unknown, because INFO does not tell", Advice: "allow INFO, or make sure that it is a master"}
	case n.Mode == "sentinel" || n.Role == "sentinel":
		return Result{Status: Fail, Detail: "this is a Sentinel", Advice: "name the master that it watches by --redis-sentinel"}
	case n.Mode == "cluster" && !j.redis.Cluster:
		return Result{Status: Fail, Detail: "this is a node of a cluster", Advice: "use --redis-cluster"}
	case n.Role != "master":
		return Result{Status: Fail, Detail: "this is a replica, which cannot be written", Advice: "point --redis at its master, use --redis-sentinel, or end replication (REPLICAOF NO ONE)"}
	}
	return Result{Status: Pass, Detail: "master with " + plural(max(n.Replicas, 0), "replica")}
}

func judgeEviction(n *ledger.NodeFacts) Result {
	switch n.MaxMemoryPolicy {
	case "noeviction":
		return Result{Status: Pass, Detail: "noeviction"}
	case ledger.Unknown:
		return Result{Status: Warn, Detail: "unknown, because INFO does not tell", Advice: "make sure that maxmemory-policy is noeviction"}
	}
	return Result{
		Status: Fail, Detail: n.MaxMemoryPolicy + ": Redis would throw grants away when memory runs out",
		Advice: "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf; give the ledger a Redis of its own if others need eviction",
	}
}

// room is how much memory a master may use, and who says so; 0 or less: nobody does.
func (j *judgement) room(n *ledger.NodeFacts) (bytes int64, name string) {
	if n.MaxMemory > 0 {
		return n.MaxMemory, "maxmemory"
	}
	return j.redis.machine[n.Addr], "of the machine"
}

// judgeMemory holds what the population needs against what there is.
func (j *judgement) judgeMemory(n *ledger.NodeFacts) Result {
	room, name := j.room(n)
	unlimited := n.MaxMemory == 0
	if room <= 0 || n.UsedMemory < 0 {
		return Result{Status: Warn, Detail: "unknown, because INFO does not tell", Advice: "make sure that there is enough: see sample.ids"}
	}
	used := fmt.Sprintf("%s used of %s (%s)", memory(n.UsedMemory), memory(room), name)
	if j.demand == nil {
		return Result{Status: Pass, Detail: used + "; what is needed is not known"}
	}
	// What this campaign has taken already is in both numbers. Slots of a cluster are never filled quite evenly.
	masters := float64(len(j.redis.Masters))
	unevenly := 1.0
	if masters > 1 {
		unevenly = 1.1
	}
	taken := float64(j.redis.totals.Bytes)
	if taken == 0 { // MEMORY USAGE is forbidden
		if taken = MemoryOf(float64(j.redis.totals.Granted), float64(j.redis.totals.Chunks)); j.Campaign.Input.Opaque() {
			taken = MembersMemory(j.Campaign, float64(j.redis.totals.Granted))
		}
	}
	var need [2]float64
	for i, total := range j.demand.bytes {
		need[i] = max(0, total-taken) * unevenly / masters
	}
	j.projected = max(j.projected, float64(n.UsedMemory)+need[1])
	free := float64(room - n.UsedMemory)
	detail := fmt.Sprintf("%s more needed, %s", between(need, memory[float64]), used)
	enough := memory((float64(n.UsedMemory) + need[1]) * 1.25)
	advice := fmt.Sprintf("raise maxmemory to %s or more, here and in redis.conf", enough)
	if unlimited {
		advice = fmt.Sprintf("use a machine with %s or more", enough)
	}
	switch {
	case need[0] > free:
		return Result{Status: Fail, Detail: detail + ": it does not fit", Advice: advice}
	case need[1] > free:
		return Result{Status: Warn, Detail: detail + ": it may not fit", Advice: advice}
	case need[1] > 0.8*free:
		return Result{Status: Warn, Detail: detail + ": it just fits", Advice: advice}
	}
	return Result{Status: Pass, Detail: detail}
}

func (j *judgement) judgePersistence(n *ledger.NodeFacts) Result {
	snapshots := n.Save != "" && n.Save != ledger.Unknown
	switch {
	case n.AOF == "yes" && n.AppendFsync == "always":
		return Result{Status: Pass, Detail: "append-only file, always: nothing acknowledged is lost"}
	case n.AOF == "yes" && n.AppendFsync == "no":
		return Result{
			Status: Warn, Detail: "append-only file, fsync no: up to about 30 seconds may have to be replayed from Kafka after a crash",
			Advice: "CONFIG SET appendfsync everysec, and the same in redis.conf",
		}
	case n.AOF == "yes":
		fsync := n.AppendFsync
		if fsync == ledger.Unknown {
			fsync = "fsync unknown (everysec is the default)"
		}
		return Result{Status: Pass, Detail: "append-only file, " + fsync + ": up to a second may have to be replayed from Kafka after a crash"}
	case snapshots:
		return Result{
			Status: Warn, Detail: "snapshots only (save " + n.Save + "): everything since the last one has to be replayed from Kafka after a crash",
			Advice: "turn the append-only file on (CONFIG SET appendonly yes, and in redis.conf), or make sure that the topic keeps its records",
		}
	case n.AOF == ledger.Unknown || n.Save == ledger.Unknown:
		return Result{Status: Warn, Detail: "unknown, because INFO or CONFIG GET does not tell", Advice: "make sure that Redis persists: an append-only file, everysec"}
	case j.AllowVolatile:
		return Result{Status: Pass, Detail: "none, as allowed: a restart of Redis loses every grant"}
	}
	return Result{
		Status: Fail, Detail: "none: a restart of Redis loses every grant",
		Advice: "turn the append-only file on (CONFIG SET appendonly yes, and in redis.conf), or allow the loss by --allow-volatile",
	}
}

func judgeDisk(n *ledger.NodeFacts) Result {
	switch {
	case n.LastAOFWrite == "err":
		return Result{Status: Fail, Detail: "the last write of the append-only file failed", Advice: "free the disk and look at Redis's log: it refuses writes until then"}
	case n.LastSave == "err":
		return Result{Status: Fail, Detail: "the last snapshot failed", Advice: "free disk and memory and look at Redis's log: it refuses writes until a snapshot succeeds (BGSAVE)"}
	case n.LastSave == ledger.Unknown && n.LastAOFWrite == ledger.Unknown:
		return Result{Status: Warn, Detail: "unknown, because INFO does not tell", Advice: "look at Redis's log for failed snapshots"}
	}
	return Result{Status: Pass, Detail: "the last writes to disk succeeded"}
}

func judgeRights(n *ledger.NodeFacts) Result {
	switch {
	case n.Role != "master" && n.Role != ledger.Unknown:
		return Result{} // a replica refuses everything, and redis.role says so
	case n.WriteError != "":
		advice := n.WriteHint
		switch {
		case strings.Contains(n.WriteError, "user executing the script can't"): // that is how Redis 7 says NOPERM inside a script
			advice = ledger.Hint(ledger.KindNoPerm)
		case advice == "":
			advice = "repeat it with redis-cli and look at Redis's log"
		}
		return Result{Status: Fail, Detail: "trying to grant failed: " + n.WriteError, Advice: advice}
	}
	return Result{Status: Pass, Detail: "all that granting does works"}
}

func judgeClock(n *ledger.NodeFacts) Result {
	skew := max(n.ClockAhead.Abs()-n.RoundTrip/2, 0)
	text := strconv.FormatFloat(n.ClockAhead.Abs().Seconds(), 'f', 3, 64) + " s"
	if n.ClockAhead < 0 {
		text += " behind this machine"
	} else {
		text += " ahead of this machine"
	}
	const advice = "synchronise both clocks (chrony, NTP): Redis's is the time of every grant, and this machine's decides about starts_at"
	switch {
	case skew > time.Minute:
		return Result{Status: Fail, Detail: text, Advice: advice}
	case skew > time.Second:
		return Result{Status: Warn, Detail: text, Advice: advice}
	}
	return Result{Status: Pass, Detail: text}
}

func (j *judgement) judgeCluster() {
	r := j.redis
	switch {
	case r.Anchors != "":
		j.fail("redis.cluster", r.Anchors, "rebalance the slots: redis-cli --cluster rebalance")
	case r.State == "ok":
		j.pass("redis.cluster", fmt.Sprintf("all slots are served by %s, and each could notice a loss", plural(len(r.Masters), "master")))
	case r.State == ledger.Unknown:
		j.warn("redis.cluster", "unknown, because CLUSTER INFO does not tell", "make sure that all slots have a master")
	default:
		j.fail("redis.cluster", "cluster_state is "+r.State+": some slots have no master", "see CLUSTER INFO and CLUSTER NODES; redis-cli --cluster fix")
	}
}
