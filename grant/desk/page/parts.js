// What the status is put together from, and which of it could not be asked: each fault in its own words, with how old
// is what is shown instead.

import { $, h, icon, keyed, text } from "./dom.js";
import { announce } from "./announce.js";
import { now } from "./clock.js";
import { duration, moment } from "./format.js";
import { parts as words } from "./words.js";

let faults = null; // of the last status: {key, says, at, why}

export function render(status) {
  const before = faults;
  faults = faultsOf(status);
  keyed($("faults"), faults, ({ key }) => key, make, (item, fault) => text(item.querySelector(".why"), fault.why));
  tick();
  if (before) announceChanges(before);
}

export function tick() {
  for (const [i, item] of [...$("faults").children].entries()) text(item.querySelector(".age"), ageOf(faults[i]));
}

function faultsOf(status) {
  const list = status.parts.filter((part) => part.error).map((part) => ({
    key: part.part, says: `${words[part.part] ?? part.part} cannot be asked`, at: part.at, why: part.error, aged: true,
  }));
  const differs = status.spec_differs;
  if (differs) {
    list.unshift({
      key: "spec_differs", says: "The desk’s file has another spec than the ledger",
      why: `Shown is the ledger’s (${differs.ledger.slice(0, 12)}), by which users are granted. The file has ${differs.file.slice(0, 12)}: ${differs.fields}`,
    });
  }
  for (const { name, state, since, error } of status.subscribers ?? []) {
    if (!["failing", "silent"].includes(state)) continue;
    list.push({
      key: `subscriber ${name}`, says: `${name} is ${state === "failing" ? "taking no events" : "sent no events"} since ${moment(since)}`,
      why: error ?? (name.startsWith("hook:") ? "Whoever tells hooks says nothing any more: does a run, or granter hooks, go on?"
        : "Whoever publishes to it says nothing any more: is granter publish running?"),
    });
  }
  return list;
}

function ageOf(fault) {
  if (!fault.aged) return "";
  if (!fault.at) return "Nothing is known of it yet.";
  return `Shown is what was known ${duration(Math.max(0, (now() - Date.parse(fault.at)) / 1000))} ago.`;
}

function make({ key, says }) {
  return h("li", { "data-part": key }, icon("warning"),
    h("div", {}, h("p", {}, h("strong", {}, `${says}.`), " ", h("span", { class: "age" })), h("p", { class: "why note" })));
}

function announceChanges(before) {
  const missing = (from, list) => from.filter((fault) => !list.some((other) => other.key === fault.key));
  const said = [...missing(faults, before).map(({ says }) => `${says}.`), ...missing(before, faults).map(({ says }) => `No longer: ${says}.`)];
  if (said.length > 0) announce("parts", said.join(" "));
}

// knows reports whether something is known of all of some parts, however old it is.
export const knows = (status, ...names) => names.every((name) => status.parts.some((part) => part.part === name && part.at));

// current reports whether a part is as of now.
export const current = (status, name) => status.parts.some((part) => part.part === name && part.at && !part.error);
