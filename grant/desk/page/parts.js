// What the status is put together from, and which of it could not be asked: each fault in its own words, with how old
// is what is shown instead.

import { $, h, icon, inEnglish, keyed, say, text } from "./dom.js";
import { announce } from "./announce.js";
import { now } from "./clock.js";
import { duration, moment } from "./format.js";
import { korean, t } from "./lang.js";
import { parts as words } from "./words.js";

let faults = null; // of the last status: {key, says, at, why, english}, the last of which is in no other language

export function render(status) {
  const before = faults;
  faults = faultsOf(status);
  keyed($("faults"), faults, ({ key }) => key, make, (item, { why, english }) => {
    if (why) say(item.querySelector(".why"), why, english);
    else inEnglish(item.querySelector(".why"), english);
  });
  tick();
  if (before) announceChanges(before);
}

export function tick() {
  for (const [i, item] of [...$("faults").children].entries()) text(item.querySelector(".age"), ageOf(faults[i]));
}

function faultsOf(status) {
  const list = status.parts.filter((part) => part.error).map((part) => ({
    key: part.part, says: t(`${words[part.part] ?? part.part} cannot be asked`, `확인할 수 없음: ${words[part.part] ?? part.part}`),
    at: part.at, english: part.error, aged: true,
  }));
  const differs = status.spec_differs;
  if (differs) {
    const [ledger, file] = [differs.ledger, differs.file].map((hash) => hash.slice(0, 12));
    list.unshift({
      key: "spec_differs", says: t("The desk’s file has another spec than the ledger", "데스크의 파일과 원장의 스펙이 다릅니다"),
      why: t(`Shown is the ledger’s (${ledger}), by which users are granted. The file has ${file}: ${differs.fields}`,
        `지급에 쓰이는 원장의 스펙(${ledger})을 표시합니다. 파일의 스펙은 ${file}입니다.`),
      english: korean ? differs.fields : "",
    });
  }
  for (const { name, state, since, error } of status.subscribers ?? []) {
    if (!["failing", "silent"].includes(state)) continue;
    const at = moment(since);
    const silent = name.startsWith("hook:")
      ? t("Whoever tells hooks says nothing any more: does a run, or granter hooks, go on?",
        "훅을 호출하는 쪽에서 소식이 없습니다. 실행이나 granter hooks가 돌고 있는지 확인하세요.")
      : t("Whoever publishes to it says nothing any more: is granter publish running?",
        "이벤트를 보내는 쪽에서 소식이 없습니다. granter publish가 실행 중인지 확인하세요.");
    list.push({
      key: `subscriber ${name}`,
      says: state === "failing" ? t(`${name} is taking no events since ${at}`, `${name}: ${at}부터 이벤트를 받지 않음`)
        : t(`${name} is sent no events since ${at}`, `${name}: ${at}부터 이벤트가 전송되지 않음`),
      why: error ? "" : silent, english: error ?? "",
    });
  }
  return list;
}

function ageOf(fault) {
  if (!fault.aged) return "";
  if (!fault.at) return t("Nothing is known of it yet.", "아직 알려진 것이 없습니다.");
  const ago = duration(Math.max(0, (now() - Date.parse(fault.at)) / 1000));
  return t(`Shown is what was known ${ago} ago.`, `${ago} 전에 확인된 내용을 표시합니다.`);
}

function make({ key, says }) {
  return h("li", { "data-part": key }, icon("warning"),
    h("div", {}, h("p", {}, h("strong", {}, `${says}.`), " ", h("span", { class: "age" })), h("p", { class: "why note" })));
}

function announceChanges(before) {
  const missing = (from, list) => from.filter((fault) => !list.some((other) => other.key === fault.key));
  const said = [...missing(faults, before).map(({ says }) => `${says}.`), ...missing(before, faults).map(({ says }) => t(`No longer: ${says}.`, `해소됨: ${says}.`))];
  if (said.length > 0) announce("parts", said.join(" "));
}

// knows reports whether something is known of all of some parts, however old it is.
export const knows = (status, ...names) => names.every((name) => status.parts.some((part) => part.part === name && part.at));

// current reports whether a part is as of now.
export const current = (status, name) => status.parts.some((part) => part.part === name && part.at && !part.error);
