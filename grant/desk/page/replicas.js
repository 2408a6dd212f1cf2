// The runs: which live, what they do, whether they obey, and whether they agree with one another.

import { $, h, keyed, set, show, text } from "./dom.js";
import { now } from "./clock.js";
import * as f from "./format.js";
import { disputed } from "./orders.js";
import { states } from "./words.js";

const lostMatters = 15 * 60_000; // milliseconds; who has been silent for longer is history
const clockMatters = 1; // second between the clocks of Redis and of a replica: grants carry Redis's

let status = null;
let all = false;

$("replicas-more").addEventListener("click", () => {
  all = !all;
  if (status) render(status);
});

const active = (run) => run.state === "waiting" || run.state === "running";

function current(run) {
  return run.live || (active(run) && now() - Date.parse(run.updated_at) < lostMatters);
}

export function render(next) {
  status = next;
  const runs = [...(status.runs ?? [])].reverse(); // the youngest first
  const shown = runs.filter(current).sort((a, b) => a.host.localeCompare(b.host, "en", { numeric: true }) || a.pid - b.pid);
  const ended = runs.filter((run) => !current(run));
  const rows = all || shown.length === 0 ? [...shown, ...ended] : shown;
  const live = runs.filter((run) => run.live);
  keyed($("replicas"), rows, (run) => run.run, make, update);
  show($("replicas-more"), ended.length > 0 && shown.length > 0);
  text($("replicas-more"), all ? "Show only those that run" : `Show ${f.plural(ended.length, "ended run")}`);
  set($("replicas-more"), "aria-expanded", String(all));

  const lost = shown.length - live.length;
  const obey = live.filter((run) => run.obeys).length;
  const parts = [`${f.count(live.length)} live`];
  if (lost > 0) parts.push(`${f.count(lost)} lost`);
  if (ended.length > 0) parts.push(`${f.count(ended.length)} ended`);
  if (live.length > 0 && status.control.version > 0) parts.push(`${f.count(obey)} of ${f.count(live.length)} obey order ${status.control.version}`);
  text($("replicas-summary"), parts.join(" · "));
  keyed($("replicas-warnings"), warnings(live), (w) => w, () => h("li"), text);
}

function warnings(live) {
  const list = [];
  const { pause, limit } = disputed(status);
  if (pause) list.push(`Redis lost orders: it knows of ${status.control.paused ? "a" : "no"} pause, and replicas do not agree. Pause or resume again.`);
  if (limit) list.push(`Redis lost orders: it knows of ${status.control.throttle > 0 ? "a" : "no"} limit, and replicas do not agree. Set it again.`);
  const specs = new Set([status.spec, ...live.map((run) => run.spec)]);
  if (specs.size > 1) {
    list.push(`Replicas work by different specs: ${[...specs].map((s) => s.slice(0, 8)).join(", ")}. Stop those that are wrong.`);
  }
  const versions = new Set(live.map((run) => run.version));
  if (versions.size > 1) list.push(`Replicas run different versions of granter: ${[...versions].join(", ")}.`);
  return list;
}

const columns = [
  "State", "Obeys", "Partitions", "Rate, users/s", "Granted", "Shard skew", "Redis latency", "Redis memory",
  "Redis replicas behind", "Redis clock",
];
const wide = ["State", "Partitions"];
const numeric = 3; // from this column on

function make(run) {
  const cells = columns.map((label, i) =>
    h("td", { role: "cell", "data-label": label, class: i >= numeric ? "number" : wide.includes(label) ? "wide" : null },
      h("span", { class: "main" }), h("span", { class: "note" })));
  return h("tr", { role: "row" },
    h("th", { scope: "row", role: "rowheader" },
      h("span", { class: "main" }, `${run.host}/${run.pid}`), h("span", { class: "note" })),
    ...cells);
}

// cell shows what it is, a note below, and a tone if it deserves attention; then the words do so, too.
function cell(element, main, note = "", tone = null) {
  text(element.children[0], main);
  text(element.children[1], note);
  set(element, "data-tone", tone);
  set(element, "data-empty", main === "–" && note === "" ? "" : null);
}

function update(row, run) {
  const [name, state, obeys, partitions, rate, granted, skew, latency, memory, behind, clock] = row.children;
  const list = run.partitions ?? [];
  cell(name, `${run.host}/${run.pid}`, `${run.version} · run ${run.run}`);
  set(name, "title", `spec ${run.spec}`);
  cell(state, ...stateOf(run));
  cell(obeys, ...obedience(run));
  cell(partitions, list.length === 0 ? "none" : f.ranges(list), list.length > 1 ? `${f.count(list.length)} partitions` : "");
  set(partitions, "title", list.length > 1 ? f.ranges(list, Infinity) : null);
  cell(rate, run.live ? f.rate(run.rate) : "–", run.limit > 0 && run.live ? `limit ${f.rate(run.limit)}` : "");
  cell(granted, f.count(run.tally.granted), `of ${f.count(run.tally.consumed)} read`);
  cell(skew, run.live ? f.ratio(run.skew) : "–");
  redisCells(run.live ? run.redis : null, latency, memory, behind, clock);
}

function redisCells(redis, latency, memory, behind, clock) {
  if (!redis) return [latency, memory, behind, clock].forEach((element) => cell(element, "–"));
  const { latency_seconds: seconds, memory_bytes: used, memory_limit_bytes: most } = redis;
  cell(latency, f.milliseconds(seconds));
  cell(memory, used < 0 ? "unknown" : f.bytes(used), used >= 0 && most > 0 ? `${f.percentage((100 * used) / most)} of ${f.bytes(most)}` : "");
  cell(behind, redis.replica_lag_bytes < 0 ? "unknown" : f.bytes(redis.replica_lag_bytes));
  const off = Math.abs(redis.clock_ahead_seconds) > clockMatters;
  const way = redis.clock_ahead_seconds < 0 ? "behind" : "ahead";
  cell(clock, `${f.milliseconds(Math.abs(redis.clock_ahead_seconds))} ${way}`, off ? "clocks disagree" : "", off ? "warn" : null);
}

function stateOf(run) {
  const pass = run.pass ? `pass: ${run.pass}` : "";
  if (run.live) return ["Live", [run.state, pass].filter(Boolean).join(" · "), null];
  const since = f.moment(run.updated_at, now());
  if (active(run)) return ["Lost", `silent since ${since}`, "bad"];
  if (run.state === "failed") return ["Failed", run.error ?? "", "bad"];
  return [states[run.state] ?? run.state, [pass, since].filter(Boolean).join(" · "), null];
}

function obedience(run) {
  if (!run.live) return ["–"];
  if (status.control.version === 0) return ["Yes", "no orders yet"];
  if (run.obeys) return ["Yes", `order ${run.control}`];
  return ["Not yet", `order ${run.control} of ${status.control.version}`, "warn"];
}
