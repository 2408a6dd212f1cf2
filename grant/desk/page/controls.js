// The buttons and the dialog with which operators give orders.

import { announce } from "./announce.js";
import { getJSON } from "./api.js";
import { now } from "./clock.js";
import { $, h, keyed, set, show, text } from "./dom.js";
import { count, dated, datedIn, moment, zoneName, zoneSuffix } from "./format.js";
import { Obedience, orders, possible, specZone } from "./orders.js";
import { refresh as refreshHistory } from "./history.js";
import { limit } from "./words.js";

const presets = [0, 10_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

let status = null;
let asked = null; // the name of the order that the dialog is about
let opener = null; // the button that opened it
let sending = false;
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
}, n === 0 ? "No limit" : count(n))));

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
  text($("order-limit-note"), empty ? "0 lifts the limit." : n === 0 ? "No limit: as fast as it goes." : `At most ${limit(n)}.`);
}

// The new start is asked for in the campaign's zone, because that is how everybody talks about it.
function prepareStart() {
  const zone = specZone(status);
  const local = new Date(Date.parse(status.starts_at) + zone * 60_000).toISOString().slice(0, 19);
  $("order-start").value = local;
  text($("order-zone"), `by the campaign’s clock (${zoneName(zone)})`);
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
  text($("order-start-note"), start ? `${datedIn(start, specZone(status))} is ${dated(start)} here.` : "");
}

// compose returns the order that the dialog describes, or marks the first field that is not right.
function compose() {
  const why = $("order-why").value.trim();
  const order = { action: asked };
  if (asked === "throttle") {
    const value = $("order-limit").value;
    if (!/^\d+$/.test(value)) return wrong("order-limit", "Give a whole number of users per second, or 0 for no limit.");
    order.throttle = Number(value);
  }
  if (["pause", "throttle"].includes(asked) && $("order-for").value !== "") {
    if (order.throttle === 0) return wrong("order-for", "No limit has no end: choose until somebody orders otherwise.");
    order.for = $("order-for").value;
  }
  if (asked === "postpone") {
    order.starts_at = newStart();
    if (order.starts_at === undefined) return wrong("order-start", "Give the day and the time of the new start.");
    if (Date.parse(order.starts_at) === Date.parse(status.starts_at)) return wrong("order-start", "That is when it starts already.");
  }
  if (orders[asked].ends && $("order-name").value.trim() !== status.campaign) {
    return wrong("order-name", `Type ${status.campaign} to confirm.`);
  }
  if (why === "") return wrong("order-why", "Say why: the history keeps it.");
  order.why = why;
  return order;
}

function wrong(id, words) {
  fail(words, id);
  $(id).focus();
  return null;
}

function fail(words, id = null) {
  text($("order-error"), words);
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
    const { act } = await getJSON("orders", { method: "POST", body: order });
    obedience = new Obedience(act, status, performance.now());
    succeed(act);
  } catch (problem) {
    fail(explain(problem));
    text($("outcome"), `${orders[asked].title}: ${explain(problem)}`);
  } finally {
    sending = false;
    set($("order-go"), "aria-disabled", null);
    refreshHistory();
  }
}

function explain(problem) {
  switch (problem.status) {
    case 0: return "The desk did not answer: whether the order was taken is not known. The history tells, once it is back.";
    case 401: return `Not signed in any more: ${problem.message}`;
    case 403: return `You may not do this: ${problem.message}`;
    case 429: return `Too many requests${problem.retryAfter ? `: try again in ${problem.retryAfter} s` : ", try again soon"}.`;
    default: return problem.message;
  }
}

function succeed(act) {
  const done = `${orders[act.action].done}: order ${act.after.version}, ${moment(act.at, now())}.`;
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
