// Why it goes slower than it could, or stands.

import { $, h, icon, inEnglish, keyed, set, show, text } from "./dom.js";
import { announce } from "./announce.js";
import { now } from "./clock.js";
import { count, datedIn, duration, moment, plural, sentence } from "./format.js";
import { t } from "./lang.js";
import { specZone } from "./orders.js";
import { causes, heldDetail } from "./words.js";

const wordsOf = (cause) => causes[cause] ?? { says: sentence(cause.replaceAll("_", " ")), tone: "warn" };

let holds = null;

export function render(status) {
  const before = holds;
  holds = status.holds ?? [];
  const live = (status.runs ?? []).filter((run) => run.live);
  show($("no-holds"), holds.length === 0);
  keyed($("holds"), holds, (hold) => hold.cause, make, (item, hold) => {
    const held = live.filter((run) => (run.holds ?? []).some((h) => h.cause === hold.cause)).length;
    const start = datedIn(status.starts_at, specZone(status));
    inEnglish(item.querySelector(".detail"), hold.detail, heldDetail(hold, status.control, start));
    text(item.querySelector(".in"), t(`in ${held} of ${plural(live.length, "replica")}`, `복제본 ${count(live.length)}개 중 ${held}개`));
  });
  tick();
  if (before) announceChanges(before);
}

export function tick() {
  const list = $("holds").children;
  (holds ?? []).forEach((hold, i) => {
    const since = list[i].querySelector("time");
    const age = duration((now() - Date.parse(hold.since)) / 1000);
    const at = moment(hold.since, now());
    text(since, t(`${at} (${age})`, `${at}부터 (${age})`));
    set(since, "datetime", hold.since);
  });
}

function make({ cause }) {
  const { says, stops, tone } = wordsOf(cause);
  return h("li", { "data-tone": tone },
    icon(stops ? "paused" : "throttled"),
    h("div", {},
      h("p", {}, h("strong", {}, says), t(" since ", " · "), h("time"), " ",
        h("span", { class: "chip" }, stops ? t("nothing is granted", "지급 멈춤") : t("slower", "감속"))),
      h("p", { class: "note" }, h("span", { class: "detail" }), " · ", h("span", { class: "in" }))));
}

function announceChanges(before) {
  const missing = (from, list) => from.filter((hold) => !list.some((other) => other.cause === hold.cause));
  const said = [
    ...missing(holds, before).map(({ cause, detail }) => t(`${wordsOf(cause).says}: ${detail}.`, `${wordsOf(cause).says}.`)),
    ...missing(before, holds).map(({ cause }) => t(`No longer: ${wordsOf(cause).says}.`, `해소됨: ${wordsOf(cause).says}.`)),
  ];
  if (said.length > 0) announce("holds", said.join(" "));
}
