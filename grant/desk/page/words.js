// What the desk says in identifiers, in words.

import { count, dated, plural } from "./format.js";

export const phases = {
  waiting: { name: "Waiting", says: "It has not started yet." },
  running: { name: "Running", says: "At full speed." },
  throttled: { name: "Throttled", says: "Slower than it could be." },
  paused: { name: "Paused", says: "Nobody is granted anything for now." },
  finishing: { name: "Finishing", says: "Runs end where it was ordered to finish." },
  idle: { name: "Idle", says: "Records wait, and no replica runs." },
  finished: { name: "Finished", says: "Every record in the topic, or up to where it was ordered to finish, is granted or accounted for." },
  aborted: { name: "Aborted", says: "Nobody is granted anything until an operator resumes." },
  ended: { name: "Ended", says: "The campaign’s end has passed." },
  unknown: { name: "Not known", says: "What it follows from cannot be asked." },
};

// What each part of a status is, as the beginning of a sentence.
export const parts = {
  spec: "What users are granted",
  control: "What operators have ordered",
  runs: "What replicas say of themselves",
  ledger: "Who is granted",
  checkpoint: "How far the topic is read",
  kafka: "Kafka",
};

// Those that stop let nobody be granted anything; the others slow down. The tone says how much it is out of order.
export const causes = {
  ledger_unavailable: { says: "Redis refuses or does not answer", stops: true, tone: "bad" },
  operator_abort: { says: "Stands by: aborted", stops: true, tone: "warn" },
  operator_finish: { says: "Stands by: finished as ordered", stops: true, tone: "info" },
  operator_pause: { says: "Paused by operator", stops: true, tone: "warn" },
  critical: { says: "Paused by a critical measurement", stops: true, tone: "bad" },
  preflight: { says: "Preflight failed", stops: true, tone: "bad" },
  schedule: { says: "Before the start", stops: true, tone: "info" },
  open_transaction: { says: "A producer’s transaction is open", tone: "warn" },
  latency: { says: "Slowed by the latency of Redis", tone: "warn" },
  memory: { says: "Slowed by the memory of Redis", tone: "warn" },
  replica_lag: { says: "Slowed by replicas of Redis that are behind", tone: "warn" },
  query: { says: "Slowed by the Prometheus query", tone: "warn" },
  operator_throttle: { says: "Limited by operator", tone: "info" },
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
  not_uuid: "not a UUID",
  not_utf8: "not UTF-8",
  too_long: "more than 256 bytes",
  missing_header: "header is missing",
  no_schema_id: "no schema ID in front",
  unknown_schema: "schema is not known",
  unusable_schema: "schema of another format",
  malformed_payload: "not what its schema says",
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
  "new-topic": "Began anew at the first record of the topic",
  expire: "Came to its end",
  replay: "Repaired and replayed rejected records",
  act: "Did something about single users",
  export: "Copied the ledger to a file",
  import: "Made the ledger of a file",
  rebuild: "Made the ledger again of the topic",
  reconcile: "Granted users whom an audit missed",
  take: "Had users take items",
  purge: "Removed records that need not be kept",
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
  "new-topic": "Begin anew at the first record of the topic",
  replay: "Replay rejected records",
  export: "Copy the ledger to a file",
  import: "Make the ledger of a file",
  rebuild: "Make the ledger again of the topic",
  reconcile: "Grant users whom an audit missed",
  unknown: "An order",
};

export const states = {
  waiting: "Waiting",
  running: "Running",
  finished: "Finished",
  stopped: "Stopped",
  aborted: "Aborted",
  failed: "Failed",
};

export const limit = (throttle) => (throttle > 0 ? `${count(throttle)} users/s` : "no limit");

const start = (control) => (control.starts_at ? dated(control.starts_at) : "by the spec");

// until and ends say when an order ends by itself.
const until = (by) => (by?.until ? ` until ${dated(by.until)}` : "");
const ends = (by) => (by?.until ? `ends ${dated(by.until)}` : "until somebody resumes");

// changes says what an act made of the control: [what, before, after].
export function changes({ before, after }) {
  if (!before || !after || before.version === after.version) return [];
  const list = [];
  const aborted = (control) => Boolean(control.aborted_by) || control.abort > 0;
  if (aborted(before) !== aborted(after)) {
    const say = (control) => (aborted(control) ? "aborted until somebody resumes" : "not aborted");
    list.push(["Campaign", say(before), say(after)]);
  }
  if (before.paused !== after.paused) {
    const say = (control) => (control.paused ? `paused${until(control.paused_by)}` : "not paused");
    list.push(["Granting", say(before), say(after)]);
  } else if (until(before.paused_by) !== until(after.paused_by)) {
    list.push(["Pause", ends(before.paused_by), ends(after.paused_by)]);
  }
  if (before.throttle !== after.throttle || until(before.throttled_by) !== until(after.throttled_by)) {
    const say = (control) => `${limit(control.throttle)}${until(control.throttled_by)}`;
    list.push(["Limit", say(before), say(after)]);
  }
  if ((before.starts_at ?? "") !== (after.starts_at ?? "")) list.push(["Start", start(before), start(after)]);
  if ((before.finish?.version ?? 0) !== (after.finish?.version ?? 0)) {
    const say = ({ finish }) => (finish ? `where the topic ended at order ${finish.version}, in ${plural(Object.keys(finish.ends).length, "partition")}` : "with the topic");
    list.push(["Runs end", say(before), say(after)]);
  }
  return list;
}
