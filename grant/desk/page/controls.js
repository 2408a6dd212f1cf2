// The buttons and the dialog with which operators give orders.

import { announce } from "./announce.js";
import { getJSON } from "./api.js";
import { now } from "./clock.js";
import { $, h, keyed, say, set, show, text } from "./dom.js";
import { count, dated, datedIn, moment, zoneName, zoneSuffix } from "./format.js";
import { t } from "./lang.js";
import { Obedience, orders, possible, specZone } from "./orders.js";
import { refresh as refreshHistory } from "./history.js";
import { limit } from "./words.js";

const presets = [0, 10_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

let status = null;
let asked = null; // the name of the order that the dialog is about
let opener = null; // the button that opened it
let sending = false;
let unsure = null; // an order whose answer was lost, and its key: the desk knows it when it is sent again, and carries it out once
let obedience = null;
let allowed = new Set(); // names of orders, among other rights

const dialog = $("order");

$("order-form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("order-cancel").addEventListener("click", () => dialog.close());
$("order-close").addEventListener("click", () => dialog.close());
$("order-limit").addEventListener("input", explainLimit);
$("order-start").addEventListener("input", explainStart);
$("order-spec").addEventListener("input", explainStart);
dialog.addEventListener("close", () => {
  // The button that opened the dialog may be gone: there is no postponing after the start.
  if (!opener.isConnected) $("controls-title").focus();
});

$("order-presets").append(...presets.map((n) => h("button", {
  type: "button",
  click: () => {
    $("order-limit").value = n;
    explainLimit();
  },
}, n === 0 ? t("No limit", "제한 없음") : count(n))));

// allow shows the orders to those who may give them. The desk decides; this only spares others the sight.
export function allow(rights) {
  allowed = new Set(rights);
  show($("controls"), Object.keys(orders).some((name) => allowed.has(name)));
}

export function render(next) {
  status = next;
  keyed($("buttons"), possible(status, now()).filter(([, name]) => allowed.has(name)), ([place]) => place, () => h("button", { type: "button", click: open }), (button, [, name]) => {
    text(button, orders[name].label);
    set(button, "data-order", name);
    set(button, "class", orders[name].danger ? "danger" : null);
  });
  if (!obedience || obedience.complete) return;
  obedience.see(status);
  renderObedience();
  if (obedience.complete) announce("order", obedience.says(performance.now()));
}

export function tick() {
  if (obedience && !obedience.complete) renderObedience();
}

function open(event) {
  opener = event.currentTarget;
  asked = opener.getAttribute("data-order");
  unsure = null;
  const order = orders[asked];
  $("order-form").reset();
  show($("order-form"), true);
  show($("order-done"), false);
  text($("order-title"), order.title);
  text($("order-says"), order.says(status));
  text($("order-go"), order.go);
  set($("order-go"), "class", order.danger ? "danger" : "primary");
  set(dialog, "aria-labelledby", "order-title");
  show($("order-throttle"), asked === "throttle");
  show($("order-postpone"), asked === "postpone");
  show($("order-limited"), asked === "pause" || asked === "throttle");
  show($("order-confirm"), Boolean(order.ends));
  text($("order-campaign"), status.campaign);
  fail("");
  if (asked === "throttle") {
    $("order-limit").value = status.control.throttle || "";
    explainLimit();
  }
  if (asked === "postpone") prepareStart();
  dialog.showModal();
  $("order-form").querySelector("div:not([hidden]) > input").focus();
}

function explainLimit() {
  const n = Number($("order-limit").value);
  const empty = $("order-limit").value === "";
  text($("order-limit-note"), empty ? t("0 lifts the limit.", "0을 입력하면 제한을 해제합니다.")
    : n === 0 ? t("No limit: as fast as it goes.", "제한 없음: 가능한 최대 속도로 지급합니다.") : t(`At most ${limit(n)}.`, `최대 ${limit(n)}입니다.`));
}

// The new start is asked for in the campaign's zone, because that is how everybody talks about it.
function prepareStart() {
  const zone = specZone(status);
  const local = new Date(Date.parse(status.starts_at) + zone * 60_000).toISOString().slice(0, 19);
  $("order-start").value = local;
  text($("order-zone"), t(`by the campaign’s clock (${zoneName(zone)})`, `캠페인 시간대(${zoneName(zone)})`));
  show($("order-back"), Boolean(status.postponed_from));
  if (status.postponed_from) text($("order-spec-start"), datedIn(status.postponed_from, zone));
  explainStart();
}

function newStart() {
  if ($("order-spec").checked) return null;
  const value = $("order-start").value;
  if (value === "") return undefined;
  return `${value.length === 16 ? `${value}:00` : value}${zoneSuffix(specZone(status))}`;
}

function explainStart() {
  const start = newStart();
  $("order-start").disabled = start === null;
  text($("order-start-note"), start
    ? t(`${datedIn(start, specZone(status))} is ${dated(start)} here.`, `${datedIn(start, specZone(status))}, 내 시간대로 ${dated(start)}입니다.`) : "");
}

// compose returns the order that the dialog describes, or marks the first field that is not right.
function compose() {
  const why = $("order-why").value.trim();
  const order = { action: asked };
  if (asked === "throttle") {
    const value = $("order-limit").value;
    if (!/^\d+$/.test(value)) return wrong("order-limit", t("Give a whole number of users per second, or 0 for no limit.",
      "초당 사용자 수를 정수로 입력하세요. 0은 제한 없음입니다."));
    order.throttle = Number(value);
  }
  if (["pause", "throttle"].includes(asked) && $("order-for").value !== "") {
    if (order.throttle === 0) return wrong("order-for", t("No limit has no end: choose until somebody orders otherwise.",
      "제한 없음에는 유지 시간을 정할 수 없습니다. ‘다른 명령이 있을 때까지’를 선택하세요."));
    order.for = $("order-for").value;
  }
  if (asked === "postpone") {
    order.starts_at = newStart();
    if (order.starts_at === undefined) return wrong("order-start", t("Give the day and the time of the new start.", "새 시작 날짜와 시각을 입력하세요."));
    if (Date.parse(order.starts_at) === Date.parse(status.starts_at)) return wrong("order-start", t("That is when it starts already.", "이미 그 시각에 시작하도록 되어 있습니다."));
  }
  if (orders[asked].ends && $("order-name").value.trim() !== status.campaign) {
    return wrong("order-name", t(`Type ${status.campaign} to confirm.`, `확인을 위해 ${status.campaign} 이름을 입력하세요.`));
  }
  if (why === "") return wrong("order-why", t("Say why: the history keeps it.", "사유를 입력하세요. 이력에 남습니다."));
  order.why = why;
  return order;
}

function wrong(id, words) {
  fail(words, id);
  $(id).focus();
  return null;
}

function fail(words, id = null, english = "") {
  say($("order-error"), words, english);
  for (const input of $("order-form").querySelectorAll("input, select")) set(input, "aria-invalid", input.id === id ? "true" : null);
}

async function send() {
  if (sending) return;
  const order = compose();
  if (!order) return;
  fail("");
  sending = true;
  set($("order-go"), "aria-disabled", "true");
  try {
    const { act } = await getJSON("orders", { method: "POST", body: order, key: keyOf(order) });
    unsure = null;
    obedience = new Obedience(act, status, performance.now());
    succeed(act);
  } catch (problem) {
    if (problem.status >= 400 && problem.status < 500 && problem.kind !== "under_way") unsure = null; // it is an answer
    const { message, english } = explain(problem);
    fail(message, null, english);
    say($("outcome"), `${orders[asked].title}: ${message}`, english);
  } finally {
    sending = false;
    set($("order-go"), "aria-disabled", null);
    refreshHistory();
  }
}

function keyOf(order) {
  const body = JSON.stringify(order);
  if (unsure?.body !== body) unsure = { body, key: Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-") };
  return unsure.key;
}

// explain says what a problem is to somebody who gives an order: a message, and what is in English only.
function explain({ status: code, message, english, retryAfter }) {
  switch (code) {
    case 0: return { message: t("The desk did not answer: whether the order was taken is not known. The history tells, once it is back.",
      "데스크가 응답하지 않아 명령이 접수되었는지 알 수 없습니다. 데스크가 돌아오면 이력에서 확인하세요.") };
    case 401: return { message: t(`Not signed in any more: ${message}`, "로그인이 풀렸습니다. 다시 로그인하세요."), english };
    case 403: return { message: t(`You may not do this: ${message}`, "이 작업을 할 권한이 없습니다."), english };
    case 429: return { message: retryAfter
      ? t(`Too many requests: try again in ${retryAfter} s.`, `요청이 너무 많습니다. ${retryAfter}초 뒤에 다시 시도하세요.`)
      : t("Too many requests, try again soon.", "요청이 너무 많습니다. 잠시 후 다시 시도하세요.") };
    default: return { message, english };
  }
}

function succeed(act) {
  const done = t(`${orders[act.action].done}: order ${act.after.version}, ${moment(act.at, now())}.`,
    `${orders[act.action].done}: 명령 ${act.after.version}, ${moment(act.at, now())}.`);
  text($("order-done-title"), done);
  $("outcome").replaceChildren(h("strong", {}, done), " ", h("span", { id: "obeyed" }));
  show($("order-form"), false);
  show($("order-done"), true);
  set(dialog, "aria-labelledby", "order-done-title");
  renderObedience();
  $("order-close").focus();
  announce("order", done);
}

function renderObedience() {
  const words = obedience.says(performance.now());
  text($("order-obeyed"), words);
  text($("obeyed"), words);
}
