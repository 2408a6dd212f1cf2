// The list of all campaigns. It is asked for while somebody looks at it.

import { getJSON } from "./api.js";
import { announce } from "./announce.js";
import { $, h, icon, keyed, set, show, text } from "./dom.js";
import * as f from "./format.js";
import { ask, begin, explain } from "./session.js";
import { causes, phases } from "./words.js";

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
    text($("campaigns-error"), problem.message);
    connected(false);
  }
  if (!document.hidden) timer = setTimeout(look, every);
}

function connected(yes) {
  text($("connection"), yes ? "Live" : "Lost");
  set($("connection"), "data-tone", yes ? "good" : "bad");
}

function render(campaigns) {
  text($("campaigns-summary"), campaigns.length === 0 ? "There is none yet: a campaign is here when its first run starts." : f.plural(campaigns.length, "campaign"));
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
    cell("Phase", null, h("span", { class: "phase" })),
    cell("Granted", null, h("span", { class: "granted main" }), h("progress", { max: "100", value: "0" })),
    cell("Start", null, h("span", { class: "start main" }), h("span", { class: "zone note" })),
    cell("Replicas", "number replicas"),
    cell("What holds it", "holding", h("span", { class: "wrong" }), h("span", { class: "held" })));
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
  set(bar, "aria-label", `${f.percentage(c.percentage)} of ${c.title || c.campaign}`);
  text(find(".start"), c.starts_at ? f.dated(c.starts_at) : "–");
  const zone = c.starts_at ? f.zoneOf(c.starts_at) : 0;
  text(find(".zone"), c.starts_at && !f.isLocal(c.starts_at, zone) ? f.datedIn(c.starts_at, zone) : "");
  text(find(".replicas"), c.error ? "–" : f.count(c.replicas));
  text(find(".wrong"), c.error ? `Cannot be read: ${c.error}` : "");
  text(find(".held"), c.error ? "" : held(c));
}

function progress(c) {
  if (c.error) return "not known";
  if (!(c.expected > 0)) return f.plural(c.granted, "user");
  return `${f.percentage(c.percentage)} · ${f.count(c.granted)} of ${f.count(c.expected)}`;
}

function held({ holds }) {
  if (holds.length === 0) return "nothing";
  return holds.map(({ cause, detail }) => `${causes[cause]?.says ?? f.sentence(cause.replaceAll("_", " "))}: ${detail}`).join(" · ");
}
