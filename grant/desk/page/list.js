// The list of all campaigns. It is asked for while somebody looks at it.

import { getJSON } from "./api.js";
import { announce } from "./announce.js";
import { $, h, icon, inEnglish, keyed, say, set, show, text } from "./dom.js";
import * as f from "./format.js";
import { korean, t } from "./lang.js";
import { ask, begin, explain } from "./session.js";
import { causes, heldDetail, phases } from "./words.js";

const every = 3000; // milliseconds
const several = new URLSearchParams(location.search).has("all"); // somebody came from a campaign's page

let timer = 0;
let known = null; // phases by campaign, to tell what changes

begin((me) => {
  if (me.campaigns.length === 1 && !several) {
    location.replace(addressOf(me.campaigns[0]));
    return;
  }
  look();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && known) look();
});

const addressOf = (campaign) => `campaigns/${encodeURIComponent(campaign)}/`;

async function look() {
  clearTimeout(timer);
  try {
    render((await getJSON("campaigns")).campaigns);
    text($("campaigns-error"), "");
    connected(true);
  } catch (problem) {
    if (problem.status === 401) return ask(explain(problem));
    say($("campaigns-error"), problem.message, problem.english);
    connected(false);
  }
  if (!document.hidden) timer = setTimeout(look, every);
}

function connected(yes) {
  text($("connection"), yes ? t("Live", "연결됨") : t("Lost", "끊김"));
  set($("connection"), "data-tone", yes ? "good" : "bad");
}

function render(campaigns) {
  text($("campaigns-summary"), campaigns.length === 0
    ? t("There is none yet: a campaign is here when its first run starts.", "아직 없습니다. 첫 실행이 시작되면 캠페인이 여기에 나타납니다.")
    : t(f.plural(campaigns.length, "campaign"), `캠페인 ${f.count(campaigns.length)}개`));
  show($("campaigns-table"), campaigns.length > 0);
  keyed($("campaigns"), campaigns, (c) => c.campaign, make, update);
  const now = new Map(campaigns.map((c) => [c.campaign, c.phase]));
  const said = known === null ? [] : campaigns.filter((c) => known.get(c.campaign) !== c.phase)
    .map((c) => `${c.title || c.campaign}: ${nameOf(c.phase)}.`);
  known = now;
  if (said.length > 0) announce("campaigns", said.join(" "));
}

const nameOf = (phase) => (phases[phase] ?? { name: f.sentence(phase) }).name;

function make({ campaign }) {
  const cell = (label, name, ...inside) => h("td", { role: "cell", class: name, "data-label": label }, ...inside);
  return h("tr", { role: "row" },
    h("th", { scope: "row", role: "rowheader" },
      h("a", { class: "main", href: addressOf(campaign) }), h("code", { class: "note" }, campaign)),
    cell(t("Phase", "상태"), null, h("span", { class: "phase" })),
    cell(t("Granted", "지급"), null, h("span", { class: "granted main" }), h("progress", { max: "100", value: "0" })),
    cell(t("Start", "시작"), null, h("span", { class: "start main" }), h("span", { class: "zone note" })),
    cell(t("Replicas", "복제본"), "number replicas"),
    cell(t("What holds it", "지연 원인"), "holding", h("span", { class: "wrong" }), h("ul", { class: "held" })));
}

function update(row, c) {
  const find = (selector) => row.querySelector(selector);
  text(find("a"), c.title || c.campaign);
  set(find("a"), "lang", f.languageOf(c.title ?? ""));
  if (find(".phase").dataset.phase !== c.phase) {
    find(".phase").replaceChildren(icon(c.phase), nameOf(c.phase));
    set(find(".phase"), "data-phase", c.phase);
  }
  text(find(".granted"), progress(c));
  const bar = find("progress");
  show(bar, !c.error && c.expected > 0);
  set(bar, "value", Math.min(100, c.percentage).toFixed(2));
  set(bar, "aria-label", t(`${f.percentage(c.percentage)} of ${c.title || c.campaign}`, `${c.title || c.campaign} ${f.percentage(c.percentage)}`));
  text(find(".start"), c.starts_at ? f.dated(c.starts_at) : "–");
  const zone = c.starts_at ? f.zoneOf(c.starts_at) : 0;
  text(find(".zone"), c.starts_at && !f.isLocal(c.starts_at, zone) ? f.datedIn(c.starts_at, zone) : "");
  text(find(".replicas"), c.error ? "–" : f.count(c.replicas));
  if (c.error) say(find(".wrong"), t(`Cannot be read: ${c.error}`, "읽을 수 없습니다."), korean ? c.error : "");
  else text(find(".wrong"), "");
  const holds = c.error ? [] : held(c, zone);
  keyed(find(".held"), holds, ({ key }) => key, () => h("li", {}, h("span"), h("span")), showHold);
}

function progress(c) {
  if (c.error) return t("not known", "알 수 없음");
  if (!(c.expected > 0)) return t(f.plural(c.granted, "user"), `${f.count(c.granted)}명`);
  const [granted, expected] = [c.granted, c.expected].map(f.count);
  return `${f.percentage(c.percentage)} · ${t(`${granted} of ${expected}`, `${expected}명 중 ${granted}명`)}`;
}

// held are what holds a campaign, the weightiest first.
function held({ holds, control, starts_at: start }, zone) {
  if (holds.length === 0) return [{ key: "", says: t("nothing", "없음"), detail: "" }];
  return holds.map((hold) => ({
    key: hold.cause, says: `${causeOf(hold.cause)}: `, detail: hold.detail, inPlace: heldDetail(hold, control, start && f.datedIn(start, zone)),
  }));
}

const causeOf = (cause) => causes[cause]?.says ?? f.sentence(cause.replaceAll("_", " "));

function showHold({ children: [says, detail] }, hold) {
  text(says, hold.says);
  inEnglish(detail, hold.detail, hold.inPlace ?? null);
}
