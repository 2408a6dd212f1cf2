// Records without a valid user ID: how many by reason, and a few of them. Their values are whatever somebody wrote to
// the topic; they are shown as text, apart from the direction of the text around them.

import { $, h, keyed, text } from "./dom.js";
import { count, plural, sentence } from "./format.js";
import { t } from "./lang.js";
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
  const since = replayed === 0 ? "" : t(`, ${count(replayed)} of them repaired and replayed`, ` 그중 ${count(replayed)}개는 고쳐서 다시 처리했습니다.`);
  text($("rejects-summary"), total + replayed === 0 ? t("none", "없음")
    : t(`${plural(total, "record")} without a valid user ID${since}`, `사용자 ID를 읽을 수 없는 레코드가 ${count(total)}개 있습니다.${since}`));
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
  return h("li", {}, h("span", { class: "note" }, t(`partition ${partition}, offset ${count(offset)}`, `파티션 ${partition}, 오프셋 ${count(offset)}`)), h("bdi", { class: "bytes" }, value));
}
