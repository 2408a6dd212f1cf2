// How far the campaign is, at a glance.

import { $, h, icon, keyed, say, set, show, text } from "./dom.js";
import { announce } from "./announce.js";
import { now } from "./clock.js";
import * as f from "./format.js";
import { korean, t } from "./lang.js";
import { specZone } from "./orders.js";
import { drawSparkline } from "./sparkline.js";
import { knows } from "./parts.js";
import { limit, passName, phases, standing } from "./words.js";

let status = null;
const rates = []; // {at, rate} of the last minutes
const remembered = 5 * 60_000; // milliseconds

export function render(next) {
  const phaseBefore = status?.phase;
  status = next;
  renderName();
  renderPhase(phaseBefore);
  renderProgress();
  renderRate();
  renderEnd();
  renderTiles();
  tick();
}

// tick renders what changes with time alone.
export function tick() {
  if (!status) return;
  const left = (Date.parse(status.starts_at) - now()) / 1000;
  show($("start"), status.phase === "waiting" || left > 0);
  text($("countdown-label"), left > 0 ? t("Starts in", "시작까지") : t("Due since", "시작 예정 시각에서 지난 시간"));
  text($("countdown"), f.countdown(Math.abs(left)));
  if (!status.last_checkpoint) return;
  const age = Math.max(0, (now() - Date.parse(status.last_checkpoint)) / 1000);
  const late = age > 10 && ["running", "throttled"].includes(status.phase);
  const ago = age < 10 ? t(`${f.ratio(age)} s`, `${f.ratio(age)}초`) : f.duration(age);
  text($("checkpoint"), late ? t(`${ago} ago: late`, `${ago} 전: 늦음`) : t(`${ago} ago`, `${ago} 전`));
  set($("checkpoint"), "data-tone", late ? "warn" : null);
}

function renderName() {
  text($("title"), status.title || status.campaign);
  set($("title"), "lang", f.languageOf(status.title ?? ""));
  text($("campaign"), status.campaign);
  text($("spec"), status.spec.slice(0, 8));
  set($("spec"), "title", status.spec);
  const [start, end] = [status.starts_at, status.ends_at].map((time) => time && f.datedIn(time, specZone(status)));
  const started = status.phase === "waiting" ? "" : t(` · started ${start}`, ` · 시작 ${start}`);
  const ends = end ? t(` · ends ${end}`, ` · 종료 ${end}`) : "";
  text($("span"), started + ends);
}

function renderPhase(before) {
  const { name, says } = phases[status.phase] ?? { name: f.sentence(status.phase), says: "" };
  const changed = status.topic_changed && t(status.topic_changed, "토픽이 이전에 읽던 것과 다르며, 어떻게 할지 운영자가 아직 결정하지 않았습니다.");
  const phase = { name, says: changed || says };
  if (before !== status.phase) {
    $("phase").replaceChildren(icon(status.phase), phase.name);
    set($("phase"), "data-phase", status.phase);
    if (before) announce("phase", `${phase.name}. ${phase.says}`);
  }
  const orders = (status.orders ?? []).filter((order) => !heldBy(order)).map((order) => `${f.sentence(standing(order, status.control))}${goal(order)}.`);
  keyed($("ordered"), orders, (words) => words, () => h("li"), text);
  const passes = [...new Set((status.runs ?? []).filter((run) => run.live && run.pass).map((run) => run.pass))];
  const pass = passes.length > 0 ? t(` In this pass: ${passes.join(", ")}.`, ` 이번 패스: ${passes.map(passName).join(", ")}.`) : "";
  say($("phase-says"), phase.says + pass, korean && status.topic_changed ? status.topic_changed : "");
  const share = status.percentage > 0 ? `${f.percentage(status.percentage)} ` : "";
  const title = `${share}${phase.name.toLowerCase()} · ${status.campaign}`;
  if (document.title !== title) document.title = title;

  const zone = specZone(status);
  text($("starts-at"), inBoth(status.starts_at, zone));
  text($("postponed"), status.postponed_from ? t(`Postponed from ${f.datedIn(status.postponed_from, zone)}`, `원래 시작: ${f.datedIn(status.postponed_from, zone)}`) : "");
}

// heldBy reports whether a hold says of an order what there is to say.
const heldBy = ({ action }) => (status.holds ?? []).some(({ cause }) => cause === `operator_${action}`);

// goal says how far it is to where operators ordered to finish.
const goal = ({ action }) => (action === "finish" && status.finish_lag !== undefined
  ? t(`, ${f.plural(status.finish_lag, "record")} from here`, `. 여기서부터 레코드 ${f.count(status.finish_lag)}개`) : "");

const inBoth = (time, zone) =>
  f.isLocal(time, zone) ? f.dated(time) : t(`${f.datedIn(time, zone)} · ${f.dated(time)} here`, `${f.datedIn(time, zone)} · 내 시간대로 ${f.dated(time)}`);

function renderProgress() {
  const { granted, expected, percentage } = status;
  if (!knows(status, "ledger")) return renderNoProgress();
  text($("granted"), f.count(granted));
  const taken = (status.taken ?? []).map((item) => {
    const [n, share] = [f.count(item.taken), takenShare(item, granted)];
    return t(`; ${item.item} taken by ${n}${share}`, `; ${item.item} ${n}명 받음${share}`);
  }).join("");
  const [out, before] = [status.excluded, status.listed?.granted].map((n) => n > 0 && f.count(n));
  const excluded = out ? t(`; ${out} excluded`, `; ${out}명 제외`) : "";
  const late = before
    ? t(`; ${before} who are to be excluded were granted before they were listed`, `; 제외 대상 ${before}명은 목록에 오르기 전에 지급됨`) : "";
  const again = status.rebuilt?.length > 0 && f.datedIn(status.rebuilt.at(-1).at, specZone(status));
  const rebuilt = again
    ? t(`; the ledger was made again on ${again}: what people did about users before may not be in it`,
      `; ${again}에 원장을 다시 만들었습니다. 그 전에 사용자별로 처리한 내용이 빠져 있을 수 있습니다`) : "";
  const users = expected ? t(`of ${f.count(expected)} users granted`, `/ ${f.count(expected)}명에게 지급`) : t("users granted", "명에게 지급");
  text($("of-expected"), users + taken + excluded + late + rebuilt);
  text($("percentage"), f.percentage(percentage));
  text($("of-records"), expected ? "" : t("of the records", "(레코드 기준)"));
  set($("progress"), "value", Math.min(100, percentage).toFixed(2));
  set($("progress"), "aria-valuetext", t(`${f.percentage(percentage)}, ${f.count(granted)} users`, `${f.percentage(percentage)}, ${f.count(granted)}명`));
}

// takenShare says how many of those who can have taken an item.
const takenShare = ({ taken, first }, granted) => {
  const of = first || granted;
  const share = of ? ` (${f.percentage((100 * taken) / of)})` : "";
  return first ? t(` of the first ${f.count(first)}${share}`, ` / 선착순 ${f.count(first)}명${share}`) : share;
};

function renderNoProgress() {
  text($("granted"), "–");
  text($("of-expected"), t("who is granted is not known", "누구에게 지급되었는지 알 수 없음"));
  for (const id of ["percentage", "of-records"]) text($(id), "");
  set($("progress"), "value", "0");
  set($("progress"), "aria-valuetext", t("not known", "알 수 없음"));
}

function renderRate() {
  const at = Date.parse(status.at);
  rates.push({ at, rate: status.rate });
  while (rates[0].at < at - remembered) rates.shift();
  text($("rate"), f.rate(status.rate));
  text($("limit"), status.control.throttle > 0
    ? t(`limit ${limit(status.control.throttle)}`, `제한: ${limit(status.control.throttle)}`) : t("no limit set", "제한 없음"));
  drawSparkline($("sparkline"), rates, { at, span: remembered, line: status.control.throttle });
}

function renderEnd() {
  const zone = specZone(status);
  const end = status.estimated_end;
  const done = ["finished", "ended"].includes(status.phase);
  text($("end"), end && !done ? f.moment(end, now()) : "–");
  text($("end-zone"), end && !done && !f.isLocal(end, zone) ? f.datedIn(end, zone) : "");
  const left = end && f.duration(status.seconds_left);
  text($("left"), done ? t("nothing is left", "남은 것 없음")
    : end ? t(`in ${left}, at the present rate`, `현재 속도로 ${left} 뒤`) : t("not known without a rate", "속도가 없어 알 수 없음"));
}

function renderTiles() {
  const lag = knows(status, "kafka", "checkpoint");
  text($("lag"), lag ? f.count(status.lag) : "–");
  text($("lag-of"), lag
    ? t(`of ${f.plural(status.records, "record")}`, `전체 레코드 ${f.count(status.records)}개`) : t("not known", "알 수 없음"));
  if (!status.last_checkpoint) text($("checkpoint"), t("none yet", "아직 없음"));
  text($("checkpoint-at"), status.last_checkpoint ? f.moment(status.last_checkpoint, now()) : "");
  text($("ledger"), status.ledger_bytes > 0 ? f.bytes(status.ledger_bytes) : "–");
  const perUser = status.ledger_bytes > 0 && status.granted > 0;
  const each = perUser && f.ratio(status.ledger_bytes / status.granted);
  text($("ledger-per-user"), perUser ? t(`${each} bytes a user, estimated`, `사용자당 약 ${each}바이트`) : "");
  text($("redis"), redisMemory());
}

// redisMemory is that of the master that is nearest to its limit.
function redisMemory() {
  const share = ({ redis: r }) => (r.memory_limit_bytes > 0 ? r.memory_bytes / r.memory_limit_bytes : 0);
  const known = (status.runs ?? []).filter((run) => run.live && run.redis.memory_bytes > 0);
  if (known.length === 0) return "";
  const { redis } = known.reduce((a, b) => (share(b) > share(a) ? b : a));
  const [used, most] = [redis.memory_bytes, redis.memory_limit_bytes].map(f.bytes);
  if (!(redis.memory_limit_bytes > 0)) return t(`Redis uses ${used}`, `Redis 사용량 ${used}`);
  return t(`Redis uses ${used} of ${most}`, `Redis 사용량 ${used} / ${most}`);
}
