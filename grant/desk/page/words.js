// What the desk says in identifiers, in words.

import { count, dated, plural } from "./format.js";

export const phases = {
  waiting: { name: "Waiting", says: "It has not started yet." },
  running: { name: "Running", says: "At full speed." },
  throttled: { name: "Throttled", says: "Slower than it could be." },
  paused: { name: "Paused", says: "Replicas are there, and nobody is granted anything." },
  idle: { name: "Idle", says: "Records wait, and no replica runs." },
  finished: { name: "Finished", says: "Every record in the topic is granted or accounted for." },
  ended: { name: "Ended", says: "The campaign’s end has passed." },
};

// Those that stop let nobody be granted anything; the others slow down. The tone says how much it is out of order, and
// the act what the history tells about it.
export const causes = {
  ledger_unavailable: { says: "Redis refuses or does not answer", stops: true, tone: "bad" },
  operator_pause: { says: "Paused by operator", stops: true, tone: "warn", act: "pause", measured: false },
  critical: { says: "Paused by a critical measurement", stops: true, tone: "bad" },
  preflight: { says: "Preflight failed", stops: true, tone: "bad" },
  schedule: { says: "Before the start", stops: true, tone: "info" },
  latency: { says: "Slowed by the latency of Redis", tone: "warn" },
  memory: { says: "Slowed by the memory of Redis", tone: "warn" },
  replica_lag: { says: "Slowed by replicas of Redis that are behind", tone: "warn" },
  query: { says: "Slowed by the Prometheus query", tone: "warn" },
  operator_throttle: { says: "Limited by operator", tone: "info", act: "throttle" },
};

export const reasons = {
  empty: "no value",
  tombstone: "user was deleted (key without a value)",
  negative: "negative",
  sign: "starts with a plus sign",
  space: "white space",
  leading_zero: "leading zero",
  not_decimal: "not a decimal number",
  over_limit: "above the limit for IDs",
  length: "not 8 bytes",
  invalid_json: "not JSON",
  missing_field: "field is missing",
  field_type: "field is no whole number",
  ambiguous: "field is there more than once",
};

export const actions = {
  pause: "Paused",
  resume: "Resumed",
  throttle: "Throttled",
  abort: "Aborted",
  finish: "Told to finish",
  postpone: "Postponed",
  "start-early": "Started early",
  force: "Started although preflight failed",
};

// What was tried, for orders that were refused.
export const attempts = {
  pause: "Pause",
  resume: "Resume",
  throttle: "Throttle",
  abort: "Abort",
  finish: "Finish",
  postpone: "Postpone",
  "start-early": "Start early",
  force: "Start although preflight fails",
  unknown: "An order",
};

export const states = {
  waiting: "Waiting",
  running: "Running",
  finished: "Finished",
  stopped: "Stopped",
  failed: "Failed",
};

export const limit = (throttle) => (throttle > 0 ? `${count(throttle)} users/s` : "no limit");

const start = (control) => (control.starts_at ? dated(control.starts_at) : "by the spec");

// changes says what an act made of the control: [what, before, after].
export function changes({ before, after }) {
  if (!before || !after || before.version === after.version) return [];
  const list = [];
  if (before.paused !== after.paused) {
    const say = (control) => (control.paused ? "paused" : "not paused");
    list.push(["Granting", say(before), say(after)]);
  }
  if (before.throttle !== after.throttle) list.push(["Limit", limit(before.throttle), limit(after.throttle)]);
  if ((before.starts_at ?? "") !== (after.starts_at ?? "")) list.push(["Start", start(before), start(after)]);
  if ((before.abort ?? 0) !== (after.abort ?? 0)) list.push(["Runs that began before", "go on", "stop with a checkpoint"]);
  if ((before.finish?.version ?? 0) !== (after.finish?.version ?? 0)) {
    const ends = Object.keys(after.finish?.ends ?? {}).length;
    list.push(["Runs that began before", "go on", `end where the topic ended then, in ${plural(ends, "partition")}`]);
  }
  return list;
}
