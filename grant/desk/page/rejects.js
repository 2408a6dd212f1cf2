// Records without a valid user ID: how many by reason, and a few of them. Their values are whatever somebody wrote to
// the topic; they are shown as text, apart from the direction of the text around them.

import { $, h, keyed, text } from "./dom.js";
import { count, plural, sentence } from "./format.js";
import { reasons } from "./words.js";

$("all-rejects").href = `../../users/rejected/${location.pathname.split("/").at(-2)}`;

export function render(status) {
  const samples = status.samples ?? [];
  const known = new Set([...Object.keys(status.rejects ?? {}), ...samples.map((s) => s.reason)]);
  const list = [...known]
    .map((reason) => ({ reason, n: status.rejects?.[reason] ?? 0, samples: samples.filter((s) => s.reason === reason) }))
    .sort((a, b) => b.n - a.n || a.reason.localeCompare(b.reason));
  const total = list.reduce((sum, r) => sum + r.n, 0);
  const replayed = (status.replays?.granted ?? 0) + (status.replays?.duplicate ?? 0);
  const since = replayed === 0 ? "" : `, ${count(replayed)} of them repaired and replayed`;
  text($("rejects-summary"), total + replayed === 0 ? "none" : `${plural(total, "record")} without a valid user ID${since}`);
  keyed($("rejects"), list, (r) => r.reason, make, update);
}

function make({ reason }) {
  return h("li", {},
    h("p", { class: "reason" }, h("strong", {}, sentence(reasons[reason] ?? reason.replaceAll("_", " "))), h("span", { class: "n" })),
    h("ul", { class: "samples" }));
}

function update(item, { n, samples }) {
  text(item.querySelector(".n"), count(n));
  keyed(item.querySelector(".samples"), samples, (s) => `${s.partition}/${s.offset}`, makeSample, () => {});
}

function makeSample({ partition, offset, value }) {
  return h("li", {}, h("span", { class: "note" }, `partition ${partition}, offset ${count(offset)}`), h("bdi", { class: "bytes" }, value));
}
