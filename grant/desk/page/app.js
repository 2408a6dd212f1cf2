// The operations page of a campaign: follows the status, and gives it to the parts of the page.

import { token } from "./api.js";
import { announce } from "./announce.js";
import * as clock from "./clock.js";
import * as controls from "./controls.js";
import { $, set, show, text } from "./dom.js";
import { dated, duration } from "./format.js";
import * as headline from "./headline.js";
import * as history from "./history.js";
import * as holds from "./holds.js";
import * as faults from "./parts.js";
import * as partitions from "./partitions.js";
import * as rejects from "./rejects.js";
import * as replicas from "./replicas.js";
import { ask, begin, explain } from "./session.js";
import { follow } from "./stream.js";

const parts = [faults, headline, holds, controls, replicas, partitions, rejects, history];
const tooOld = 4; // seconds; a status comes each second

let stream = null;
let lost = null; // why there is no connection, and when it is tried again
let toldLost = false;

$("banner-retry").addEventListener("click", () => stream?.hurry());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && lost) stream?.hurry();
});

function onStatus(status) {
  clock.sync(status.at);
  lost = null;
  show($("loading"), false);
  show($("sections"), true);
  for (const part of parts) attempt(() => part.render(status));
  text($("as-of"), `As of ${dated(status.at)} · order ${status.control.version} · spec ${status.spec}`);
  renderConnection();
}

// attempt keeps a mistake in one part of the page from taking the others along.
function attempt(render) {
  try {
    render();
  } catch (error) {
    reportError(error);
  }
}

function onLost(why) {
  lost = why;
  renderConnection();
}

function onDenied(problem) {
  stream.stop();
  token.forget();
  document.querySelector("dialog[open]")?.close();
  ask(explain(problem));
}

function renderConnection() {
  const age = clock.age();
  const never = age === Infinity;
  const old = age > tooOld || (lost !== null && (never || age > 1.5));
  show($("banner"), old && (lost !== null || !never));
  text($("connection"), old ? (never ? "Connecting" : "Lost") : "Live");
  set($("connection"), "data-tone", old ? (never ? "plain" : "bad") : "good");
  show($("banner-retry"), Boolean(lost?.retryAt));
  if (old) {
    const data = never ? "" : `, showing data of ${duration(age)} ago`;
    text($("banner-what"), lost?.retryAt === null || (!lost && !never) ? `No fresh data${data}.` : `${never ? "No connection" : "Connection lost"}${data}.`);
    text($("banner-why"), lost ? `${lost.problem.message.replace(/[^.]$/, "$&.")} ${next(lost.retryAt)}` : "The desk is connected but sends none.");
  }
  if (old !== toldLost) {
    toldLost = old;
    if (!never) announce("connection", old ? "Connection lost." : "Connected again.");
  }
}

function next(retryAt) {
  if (retryAt === null) return "";
  const seconds = Math.ceil((retryAt - performance.now()) / 1000);
  return seconds > 0 ? `Next attempt in ${seconds} s.` : "Trying now.";
}

// Countdowns and ages go on between two statuses.
setInterval(() => {
  if (!stream || document.hidden) return;
  for (const part of [faults, headline, holds, controls]) attempt(part.tick);
  renderConnection();
}, 250);

begin((me) => {
  show($("all"), me.campaigns.length > 1);
  controls.allow(me.rights);
  history.allow(me.rights);
  stream?.stop();
  stream = follow({ onStatus, onLost, onDenied });
});
