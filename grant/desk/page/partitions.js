// How far each partition is. A topic may have a thousand: then only the worst are shown until somebody wants them all.

import { $, h, keyed, set, show, svg, text } from "./dom.js";
import { now } from "./clock.js";
import { count, plural } from "./format.js";
import { t } from "./lang.js";

const few = 32; // so many are always shown
const worstShown = 16;
const chooseEvery = 10_000; // milliseconds; rows that come and go each second cannot be read

let status = null;
let all = false;
let chosen = new Set();
let chosenAt = -Infinity;

$("partitions-more").addEventListener("click", () => {
  all = !all;
  if (status) render(status);
});

export function render(next) {
  status = next;
  const list = status.partitions ?? [];
  const collapsed = list.length > few && !all;
  const worst = worstOf(list);
  const longest = Math.max(1, ...list.map((p) => p.end - p.first));
  const rows = collapsed ? choose(list) : list;
  keyed($("partitions"), rows, (p) => p.partition, make, (row, p) => update(row, p, { longest, worst: p === worst }));
  show($("partitions-more"), list.length > few);
  text($("partitions-more"), all
    ? t(`Show only the ${worstShown} with the most lag`, `가장 많이 남은 ${worstShown}개만 보기`)
    : t(`Show all ${count(list.length)} partitions`, `파티션 ${count(list.length)}개 모두 보기`));
  set($("partitions-more"), "aria-expanded", String(all));
  text($("partitions-summary"), summary(list, worst, collapsed));
}

// worstOf returns the partition with the most lag. When all have the same, none is the worst.
function worstOf(list) {
  const worst = list.reduce((a, b) => (b.lag > a.lag ? b : a), { lag: 0 });
  return list.some((p) => p.lag < worst.lag) ? worst : null;
}

function choose(list) {
  if (now() - chosenAt > chooseEvery || list.filter((p) => chosen.has(p.partition)).length < worstShown) {
    const byLag = [...list].sort((a, b) => b.lag - a.lag || a.partition - b.partition);
    chosen = new Set(byLag.slice(0, worstShown).map((p) => p.partition));
    chosenAt = now();
  }
  return list.filter((p) => chosen.has(p.partition));
}

function summary(list, worst, collapsed) {
  const done = list.filter((p) => p.lag === 0).length;
  const parts = [t(`${count(done)} of ${plural(list.length, "partition")} done`, `파티션 ${count(list.length)}개 중 ${count(done)}개 완료`)];
  if (worst) {
    parts.push(t(`the worst is ${worst.partition} with a lag of ${count(worst.lag)}`, `가장 많이 남은 파티션은 ${worst.partition}(${count(worst.lag)}개)`));
  }
  if (collapsed) {
    const seconds = chooseEvery / 1000;
    parts.push(t(`the ${worstShown} with the most lag, chosen every ${seconds} s`, `가장 많이 남은 ${worstShown}개만 표시, ${seconds}초마다 다시 선택`));
  }
  return parts.join(" · ");
}

function make(p) {
  const bar = svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "bar-back", width: 100, height: 10 }), svg("rect", { class: "bar-lag", width: 0, height: 10 }));
  return h("tr", {},
    h("th", { scope: "row", class: "number" }, String(p.partition)),
    h("td", { class: "number" }), h("td", { class: "bar-column" }, bar, h("span", { class: "mark" })),
    h("td", { class: "number" }), h("td", { class: "number end-column" }));
}

function update(row, p, { longest, worst }) {
  const [, lag, bar, checkpoint, end] = row.children;
  text(lag, count(p.lag));
  set(bar.querySelector(".bar-lag"), "width", ((100 * p.lag) / longest).toFixed(1));
  text(bar.querySelector(".mark"), worst ? t("most lag", "가장 많음") : p.lag === 0 ? t("done", "완료") : "");
  text(checkpoint, count(p.checkpoint));
  text(end, count(p.end));
  set(row, "class", worst ? "worst" : null);
}
