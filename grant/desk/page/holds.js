// Why it goes slower than it could, or stands.

import { $, h, icon, keyed, set, show, text } from "./dom.js";
import { announce } from "./announce.js";
import { now } from "./clock.js";
import { duration, moment, plural, sentence } from "./format.js";
import { causes } from "./words.js";

const wordsOf = (cause) => causes[cause] ?? { says: sentence(cause.replaceAll("_", " ")), tone: "warn" };

let holds = null;

export function render(status) {
  const before = holds;
  holds = status.holds ?? [];
  const live = (status.runs ?? []).filter((run) => run.live);
  show($("no-holds"), holds.length === 0);
  keyed($("holds"), holds, (hold) => hold.cause, make, (item, hold) => {
    const held = live.filter((run) => (run.holds ?? []).some((h) => h.cause === hold.cause)).length;
    text(item.querySelector(".detail"), hold.detail);
    text(item.querySelector(".in"), `in ${held} of ${plural(live.length, "replica")}`);
  });
  tick();
  if (before) announceChanges(before);
}

export function tick() {
  const list = $("holds").children;
  (holds ?? []).forEach((hold, i) => {
    const since = list[i].querySelector("time");
    const age = duration((now() - Date.parse(hold.since)) / 1000);
    text(since, `${moment(hold.since, now())} (${age})`);
    set(since, "datetime", hold.since);
  });
}

function make({ cause }) {
  const { says, stops, tone } = wordsOf(cause);
  return h("li", { "data-tone": tone },
    icon(stops ? "paused" : "throttled"),
    h("div", {},
      h("p", {}, h("strong", {}, says), " since ", h("time"), " ", h("span", { class: "chip" }, stops ? "nothing is granted" : "slower")),
      h("p", { class: "note" }, h("span", { class: "detail" }), " · ", h("span", { class: "in" }))));
}

function announceChanges(before) {
  const missing = (from, list) => from.filter((hold) => !list.some((other) => other.cause === hold.cause));
  const said = [
    ...missing(holds, before).map((hold) => `${wordsOf(hold.cause).says}: ${hold.detail}.`),
    ...missing(before, holds).map((hold) => `No longer: ${wordsOf(hold.cause).says}.`),
  ];
  if (said.length > 0) announce("holds", said.join(" "));
}
