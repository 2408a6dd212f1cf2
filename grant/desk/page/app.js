// The operations page: signs in, follows the status, and gives it to the parts of the page.

import { choose, getJSON, Problem, token } from "./api.js";
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
import { follow } from "./stream.js";

const parts = [faults, headline, holds, controls, replicas, partitions, rejects, history];
const tooOld = 4; // seconds; a status comes each second

let stream = null;
let lost = null; // why there is no connection, and when it is tried again
let toldLost = false;

$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("token").value.trim());
});
$("sign-out").addEventListener("click", () => {
  token.forget();
  location.reload(); // so that nothing of the campaign stays in the page
});
$("banner-retry").addEventListener("click", () => stream?.hurry());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && lost) stream?.hurry();
});

// enter shows the desk if the token, or the client certificate of the browser, opens it.
async function enter(auth) {
  const me = await getJSON("me", { auth });
  if (auth) token.keep(auth);
  choose(me.campaigns[0]);
  text($("user-name"), me.name);
  text($("user-role"), me.role);
  show($("sign-out"), Boolean(auth));
  controls.allow(me.rights);
  history.allow(me.rights);
  show($("sign-in"), false);
  show($("desk"), true);
  stream?.stop();
  stream = follow({ onStatus, onLost, onDenied });
}

async function signIn(auth) {
  const button = $("sign-in-form").querySelector("button");
  if (button.disabled) return;
  if (!auth) return ask("Paste the token that you were given.");
  // A header takes visible ASCII only; every token is made of it.
  if (!/^[\x21-\x7e]+$/.test(auth)) return ask("This is no token: it has characters that no token has.");
  button.disabled = true;
  try {
    await enter(auth);
    $("token").value = "";
    $("main").focus();
  } catch (problem) {
    ask(explain(problem));
  } finally {
    button.disabled = false;
  }
}

function explain(problem) {
  if (!(problem instanceof Problem)) throw problem;
  switch (problem.status) {
    case 401: return "This token is not known here. It may have been replaced: ask for the new one.";
    case 403: return `This token may not see the campaign: ${problem.message}`;
    case 429: return `Too many attempts. Try again ${problem.retryAfter ? `in ${problem.retryAfter} s` : "in a minute"}.`;
    default: return problem.message;
  }
}

// ask shows the sign-in with what is wrong, if anything is.
function ask(words) {
  show($("desk"), false);
  show($("sign-in"), true);
  text($("sign-in-error"), words);
  set($("token"), "aria-invalid", words ? "true" : null);
  $("token").focus();
}

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

// A link may carry a token behind its #, which no browser sends to anybody. It opens the desk in a tab that nobody is
// signed in to, and leaves the address, so that it is not bookmarked or sent on with it.
function handed() {
  const auth = new URLSearchParams(location.hash.slice(1)).get("token");
  if (auth) window.history.replaceState(null, "", location.pathname + location.search);
  return auth;
}
const linked = handed();
window.addEventListener("hashchange", () => {
  const auth = handed();
  if (auth && $("desk").hidden) signIn(auth);
});

// Who reloads the page while the desk is away wants the campaign back, not the sign-in.
async function start(auth, wait = 1000) {
  try {
    await enter(auth);
  } catch (problem) {
    if (problem.status === 401) token.forget();
    if (problem.status === 401 && linked && auth !== linked) return start(linked);
    ask(problem.status === 401 && !auth ? "" : explain(problem));
    if (![401, 403].includes(problem.status)) setTimeout(() => stream ?? start(auth, Math.min(2 * wait, 10_000)), wait);
  }
}

start(token.get() ?? linked);
