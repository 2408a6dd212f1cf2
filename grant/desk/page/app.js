// The operations page of a campaign: follows the status, and gives it to the parts of the page.

import { token } from "./api.js";
import { announce } from "./announce.js";
import * as clock from "./clock.js";
import * as controls from "./controls.js";
import { $, say, set, show, text } from "./dom.js";
import { dated, duration } from "./format.js";
import * as headline from "./headline.js";
import * as history from "./history.js";
import * as holds from "./holds.js";
import { t } from "./lang.js";
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
  text($("as-of"), t(`As of ${dated(status.at)} · order ${status.control.version} · spec ${status.spec}`,
    `${dated(status.at)} 기준 · 명령 ${status.control.version} · 스펙 ${status.spec}`));
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
  text($("connection"), old ? (never ? t("Connecting", "연결 중") : t("Lost", "끊김")) : t("Live", "연결됨"));
  set($("connection"), "data-tone", old ? (never ? "plain" : "bad") : "good");
  show($("banner-retry"), Boolean(lost?.retryAt));
  if (old) {
    const data = never ? "" : t(`, showing data of ${duration(age)} ago`, ` ${duration(age)} 전의 데이터를 표시합니다.`);
    const stale = lost?.retryAt === null || (!lost && !never);
    text($("banner-what"), stale ? t(`No fresh data${data}.`, `새 데이터가 없습니다.${data}`)
      : never ? t(`No connection${data}.`, `연결되지 않았습니다.${data}`) : t(`Connection lost${data}.`, `연결이 끊겼습니다.${data}`));
    const why = $("banner-why");
    if (!lost) text(why, t("The desk is connected but sends none.", "데스크에 연결되어 있지만 데이터가 오지 않습니다."));
    else say(why, `${lost.problem.message.replace(/[^.]$/, "$&.")} ${next(lost.retryAt)}`, lost.problem.english);
  }
  if (old !== toldLost) {
    toldLost = old;
    if (!never) announce("connection", old ? t("Connection lost.", "연결이 끊겼습니다.") : t("Connected again.", "다시 연결되었습니다."));
  }
}

function next(retryAt) {
  if (retryAt === null) return "";
  const seconds = Math.ceil((retryAt - performance.now()) / 1000);
  return seconds > 0 ? t(`Next attempt in ${seconds} s.`, `${seconds}초 뒤에 다시 시도합니다.`) : t("Trying now.", "지금 시도하는 중입니다.");
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
