// The runs: which live, what they do, whether they obey, and whether they agree with one another.

import { $, h, inEnglish, keyed, set, show, text } from "./dom.js";
import { now } from "./clock.js";
import * as f from "./format.js";
import { t } from "./lang.js";
import { disputed } from "./orders.js";
import { passName, states } from "./words.js";

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
  text($("replicas-more"), all ? t("Show only those that run", "실행 중인 것만 보기")
    : t(`Show ${f.plural(ended.length, "ended run")}`, `끝난 실행 ${f.count(ended.length)}개 보기`));
  set($("replicas-more"), "aria-expanded", String(all));

  const lost = shown.length - live.length;
  const obey = live.filter((run) => run.obeys).length;
  const order = status.control.version;
  const [n, heeding, gone] = [live.length, obey, ended.length].map(f.count);
  const parts = [t(`${n} live`, `실행 중 ${n}개`)];
  if (lost > 0) parts.push(t(`${f.count(lost)} lost`, `연락 끊김 ${f.count(lost)}개`));
  if (ended.length > 0) parts.push(t(`${gone} ended`, `종료 ${gone}개`));
  if (live.length > 0 && order > 0) parts.push(t(`${heeding} of ${n} obey order ${order}`, `${n}개 중 ${heeding}개가 명령 ${order} 반영`));
  text($("replicas-summary"), parts.join(" · "));
  keyed($("replicas-warnings"), warnings(live), (w) => w, () => h("li"), text);
}

function warnings(live) {
  const list = [];
  const { pause, limit } = disputed(status);
  if (pause) {
    list.push(t(`Redis lost orders: it knows of ${status.control.paused ? "a" : "no"} pause, and replicas do not agree. Pause or resume again.`,
      "Redis가 명령을 잃었습니다. 일시 중지 여부가 복제본과 다릅니다. 일시 중지나 재개를 다시 명령하세요."));
  }
  if (limit) {
    list.push(t(`Redis lost orders: it knows of ${status.control.throttle > 0 ? "a" : "no"} limit, and replicas do not agree. Set it again.`,
      "Redis가 명령을 잃었습니다. 속도 제한이 복제본과 다릅니다. 다시 설정하세요."));
  }
  const specs = new Set([status.spec, ...live.map((run) => run.spec)]);
  if (specs.size > 1) {
    const hashes = [...specs].map((s) => s.slice(0, 8)).join(", ");
    list.push(t(`Replicas work by different specs: ${hashes}. Stop those that are wrong.`,
      `복제본들이 서로 다른 스펙으로 실행 중입니다: ${hashes}. 잘못된 것을 멈추세요.`));
  }
  const versions = new Set(live.map((run) => run.version));
  const builds = [...versions].join(", ");
  if (versions.size > 1) {
    list.push(t(`Replicas run different versions of granter: ${builds}.`, `복제본들의 granter 버전이 서로 다릅니다: ${builds}.`));
  }
  return list;
}

const columns = [
  t("State", "상태"), t("Obeys", "명령 반영"), t("Partitions", "파티션"), t("Rate, users/s", "속도(명/초)"), t("Granted", "지급"),
  t("Shard skew", "샤드 편중"), t("Redis latency", "Redis 지연 시간"), t("Redis memory", "Redis 메모리"),
  t("Redis replicas behind", "Redis 복제 지연"), t("Redis clock", "Redis 시계"),
];
const wide = [0, 2]; // state and partitions
const numeric = 3; // from this column on

function make(run) {
  const cells = columns.map((label, i) =>
    h("td", { role: "cell", "data-label": label, class: i >= numeric ? "number" : wide.includes(i) ? "wide" : null },
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
  cell(name, `${run.host}/${run.pid}`, t(`${run.version} · run ${run.run}`, `${run.version} · 실행 ${run.run}`));
  set(name, "title", t(`spec ${run.spec}`, `스펙 ${run.spec}`));
  cell(state, ...stateOf(run));
  if (run.state === "failed" && !active(run)) inEnglish(state.children[1], run.error ?? "");
  cell(obeys, ...obedience(run));
  cell(partitions, list.length === 0 ? t("none", "없음") : f.ranges(list),
    list.length > 1 ? t(`${f.count(list.length)} partitions`, `${f.count(list.length)}개`) : "");
  set(partitions, "title", list.length > 1 ? f.ranges(list, Infinity) : null);
  cell(rate, run.live ? f.rate(run.rate) : "–", run.limit > 0 && run.live ? t(`limit ${f.rate(run.limit)}`, `제한 ${f.rate(run.limit)}`) : "");
  const read = f.count(run.tally.consumed);
  cell(granted, f.count(run.tally.granted), t(`of ${read} read`, `읽은 레코드 ${read}개`));
  cell(skew, run.live ? f.ratio(run.skew) : "–");
  redisCells(run.live ? run.redis : null, latency, memory, behind, clock);
}

function redisCells(redis, latency, memory, behind, clock) {
  if (!redis) return [latency, memory, behind, clock].forEach((element) => cell(element, "–"));
  const { latency_seconds: seconds, memory_bytes: used, memory_limit_bytes: most } = redis;
  cell(latency, f.milliseconds(seconds));
  const unknown = t("unknown", "알 수 없음");
  const share = f.percentage((100 * used) / most);
  cell(memory, used < 0 ? unknown : f.bytes(used), used >= 0 && most > 0 ? t(`${share} of ${f.bytes(most)}`, `${f.bytes(most)} 중 ${share}`) : "");
  cell(behind, redis.replica_lag_bytes < 0 ? unknown : f.bytes(redis.replica_lag_bytes));
  const off = Math.abs(redis.clock_ahead_seconds) > clockMatters;
  const way = redis.clock_ahead_seconds < 0 ? t("behind", "느림") : t("ahead", "빠름");
  cell(clock, `${f.milliseconds(Math.abs(redis.clock_ahead_seconds))} ${way}`, off ? t("clocks disagree", "시계가 서로 다름") : "", off ? "warn" : null);
}

function stateOf(run) {
  const pass = run.pass ? t(`pass: ${run.pass}`, `패스: ${passName(run.pass)}`) : "";
  if (run.live) return [t("Live", "실행 중"), [t(run.state, states[run.state] ?? run.state), pass].filter(Boolean).join(" · "), null];
  const since = f.moment(run.updated_at, now());
  if (active(run)) return [t("Lost", "연락 끊김"), t(`silent since ${since}`, `${since}부터 소식 없음`), "bad"];
  if (run.state === "failed") return [t("Failed", "실패"), run.error ?? "", "bad"];
  return [states[run.state] ?? run.state, [pass, since].filter(Boolean).join(" · "), null];
}

function obedience(run) {
  if (!run.live) return ["–"];
  const { version } = status.control;
  if (version === 0) return [t("Yes", "예"), t("no orders yet", "아직 명령 없음")];
  if (run.obeys) return [t("Yes", "예"), t(`order ${run.control}`, `명령 ${run.control}`)];
  return [t("Not yet", "아직"), t(`order ${run.control} of ${version}`, `명령 ${version} 중 ${run.control}까지`), "warn"];
}
