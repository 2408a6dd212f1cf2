// How far the campaign is, at a glance.

import { $, h, icon, keyed, set, show, text } from "./dom.js";
import { announce } from "./announce.js";
import { now } from "./clock.js";
import * as f from "./format.js";
import { specZone } from "./orders.js";
import { drawSparkline } from "./sparkline.js";
import { knows } from "./parts.js";
import { limit, phases } from "./words.js";

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
  text($("countdown-label"), left > 0 ? "Starts in" : "Due since");
  text($("countdown"), f.countdown(Math.abs(left)));
  if (!status.last_checkpoint) return;
  const age = Math.max(0, (now() - Date.parse(status.last_checkpoint)) / 1000);
  const late = age > 10 && ["running", "throttled"].includes(status.phase);
  text($("checkpoint"), `${age < 10 ? f.ratio(age) + " s" : f.duration(age)} ago${late ? ": late" : ""}`);
  set($("checkpoint"), "data-tone", late ? "warn" : null);
}

function renderName() {
  text($("title"), status.title || status.campaign);
  set($("title"), "lang", f.languageOf(status.title ?? ""));
  text($("campaign"), status.campaign);
  text($("spec"), status.spec.slice(0, 8));
  set($("spec"), "title", status.spec);
  const started = status.phase === "waiting" ? "" : ` · started ${f.datedIn(status.starts_at, specZone(status))}`;
  const ends = status.ends_at ? ` · ends ${f.datedIn(status.ends_at, specZone(status))}` : "";
  text($("span"), started + ends);
}

function renderPhase(before) {
  const { name, says } = phases[status.phase] ?? { name: f.sentence(status.phase), says: "" };
  const phase = { name, says: status.topic_changed || says };
  if (before !== status.phase) {
    $("phase").replaceChildren(icon(status.phase), phase.name);
    set($("phase"), "data-phase", status.phase);
    if (before) announce("phase", `${phase.name}. ${phase.says}`);
  }
  const orders = (status.orders ?? []).filter((order) => !heldBy(order)).map((order) => `${f.sentence(order.says)}${goal(order)}.`);
  keyed($("ordered"), orders, (words) => words, () => h("li"), text);
  const passes = [...new Set((status.runs ?? []).filter((run) => run.live && run.pass).map((run) => run.pass))];
  text($("phase-says"), passes.length > 0 ? `${phase.says} In this pass: ${passes.join(", ")}.` : phase.says);
  const share = status.percentage > 0 ? `${f.percentage(status.percentage)} ` : "";
  const title = `${share}${phase.name.toLowerCase()} · ${status.campaign}`;
  if (document.title !== title) document.title = title;

  const zone = specZone(status);
  text($("starts-at"), inBoth(status.starts_at, zone));
  text($("postponed"), status.postponed_from ? `Postponed from ${f.datedIn(status.postponed_from, zone)}` : "");
}

// heldBy reports whether a hold says of an order what there is to say.
const heldBy = ({ action }) => (status.holds ?? []).some(({ cause }) => cause === `operator_${action}`);

// goal says how far it is to where operators ordered to finish.
const goal = ({ action }) => (action === "finish" && status.finish_lag !== undefined ? `, ${f.plural(status.finish_lag, "record")} from here` : "");

const inBoth = (t, zone) =>
  f.isLocal(t, zone) ? f.dated(t) : `${f.datedIn(t, zone)} · ${f.dated(t)} here`;

function renderProgress() {
  const { granted, expected, percentage } = status;
  if (!knows(status, "ledger")) return renderNoProgress();
  text($("granted"), f.count(granted));
  const taken = (status.taken ?? []).map((t) =>
    `; ${t.item} taken by ${f.count(t.taken)}${takenShare(t, granted)}`).join("");
  const excluded = status.excluded > 0 ? `; ${f.count(status.excluded)} excluded` : "";
  const late = status.listed?.granted > 0 ? `; ${f.count(status.listed.granted)} who are to be excluded were granted before they were listed` : "";
  const rebuilt = status.rebuilt?.length > 0
    ? `; the ledger was made again on ${f.datedIn(status.rebuilt.at(-1).at, specZone(status))}: what people did about users before may not be in it` : "";
  text($("of-expected"), (expected ? `of ${f.count(expected)} users granted` : "users granted") + taken + excluded + late + rebuilt);
  text($("percentage"), f.percentage(percentage));
  text($("of-records"), expected ? "" : "of the records");
  set($("progress"), "value", Math.min(100, percentage).toFixed(2));
  set($("progress"), "aria-valuetext", `${f.percentage(percentage)}, ${f.count(granted)} users`);
}

// takenShare says how many of those who can have taken an item.
const takenShare = ({ taken, first }, granted) => {
  const of = first || granted;
  return `${first ? ` of the first ${f.count(first)}` : ""}${of ? ` (${f.percentage((100 * taken) / of)})` : ""}`;
};

function renderNoProgress() {
  text($("granted"), "–");
  text($("of-expected"), "who is granted is not known");
  for (const id of ["percentage", "of-records"]) text($(id), "");
  set($("progress"), "value", "0");
  set($("progress"), "aria-valuetext", "not known");
}

function renderRate() {
  const at = Date.parse(status.at);
  rates.push({ at, rate: status.rate });
  while (rates[0].at < at - remembered) rates.shift();
  text($("rate"), f.rate(status.rate));
  text($("limit"), status.control.throttle > 0 ? `limit ${limit(status.control.throttle)}` : "no limit set");
  drawSparkline($("sparkline"), rates, { at, span: remembered, line: status.control.throttle });
}

function renderEnd() {
  const zone = specZone(status);
  const end = status.estimated_end;
  const done = ["finished", "ended"].includes(status.phase);
  text($("end"), end && !done ? f.moment(end, now()) : "–");
  text($("end-zone"), end && !done && !f.isLocal(end, zone) ? f.datedIn(end, zone) : "");
  text($("left"), done ? "nothing is left" : end ? `in ${f.duration(status.seconds_left)}, at the present rate` : "not known without a rate");
}

function renderTiles() {
  const lag = knows(status, "kafka", "checkpoint");
  text($("lag"), lag ? f.count(status.lag) : "–");
  text($("lag-of"), lag ? `of ${f.plural(status.records, "record")}` : "not known");
  if (!status.last_checkpoint) text($("checkpoint"), "none yet");
  text($("checkpoint-at"), status.last_checkpoint ? f.moment(status.last_checkpoint, now()) : "");
  text($("ledger"), status.ledger_bytes > 0 ? f.bytes(status.ledger_bytes) : "–");
  const perUser = status.ledger_bytes > 0 && status.granted > 0;
  text($("ledger-per-user"), perUser ? `${f.ratio(status.ledger_bytes / status.granted)} bytes a user, estimated` : "");
  text($("redis"), redisMemory());
}

// redisMemory is that of the master that is nearest to its limit.
function redisMemory() {
  const share = ({ redis: r }) => (r.memory_limit_bytes > 0 ? r.memory_bytes / r.memory_limit_bytes : 0);
  const known = (status.runs ?? []).filter((run) => run.live && run.redis.memory_bytes > 0);
  if (known.length === 0) return "";
  const { redis } = known.reduce((a, b) => (share(b) > share(a) ? b : a));
  if (!(redis.memory_limit_bytes > 0)) return `Redis uses ${f.bytes(redis.memory_bytes)}`;
  return `Redis uses ${f.bytes(redis.memory_bytes)} of ${f.bytes(redis.memory_limit_bytes)}`;
}
