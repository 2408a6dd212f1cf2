// The audit trail: who did what, when, why, and what it changed.

import { getJSON } from "./api.js";
import { now } from "./clock.js";
import { $, h, icon, show, text } from "./dom.js";
import { moment, plural } from "./format.js";
import { actions, attempts, changes } from "./words.js";

const few = 20; // entries that are shown at first

let acts = [];
let older = false; // there are more than these
let version = null; // of the control when they were asked for
let all = false;
let asking = false;
let askAgain = false;
let allowed = false;

$("history-refresh").addEventListener("click", refresh);
$("history-more").addEventListener("click", () => {
  all = !all;
  list();
});

// allow shows the trail to those who may see it.
export function allow(rights) {
  allowed = rights.includes("history");
  show($("history-section"), allowed);
}

export function render(status) {
  if (!allowed || status.control.version === version) return;
  version = status.control.version;
  refresh();
}

// refresh asks for the trail. What happens while it is being asked for may be missing from the answer: then once more.
export async function refresh() {
  askAgain = asking;
  if (asking || !allowed) return;
  asking = true;
  try {
    const trail = await getJSON("history");
    acts = trail.acts ?? [];
    older = Boolean(trail.older);
    text($("history-error"), "");
    list();
  } catch (problem) {
    text($("history-error"), `The history could not be loaded: ${problem.message}`);
  } finally {
    asking = false;
  }
  if (askAgain) refresh();
}

function list() {
  const newestFirst = [...acts].reverse();
  const refused = acts.filter((act) => act.refused).length;
  text($("history-summary"), acts.length === 0 ? "nobody has done anything yet" :
    `${older ? "the last " : ""}${plural(acts.length, "entry", "entries")}, ${refused} refused${older ? "; granter history has all" : ""}`);
  $("history").replaceChildren(...(all ? newestFirst : newestFirst.slice(0, few)).map(entry));
  show($("history-more"), acts.length > few);
  text($("history-more"), all ? `Show only the last ${few}` : `Show ${older ? "the last" : "all"} ${plural(acts.length, "entry", "entries")}`);
  $("history-more").setAttribute("aria-expanded", String(all));
}

const via = { cli: "command line", api: "API", run: "flag of a run", clock: "by itself" };

// changed reports whether an act did something: an order may find what it wants.
const changed = (act) => act.refused || !act.after || act.before?.version === act.after.version || changes(act).length > 0;

function entry(act) {
  const what = act.refused ? `${attempts[act.action] ?? act.action}: refused` : (actions[act.action] ?? act.action);
  return h("li", { class: act.refused ? "refused" : null },
    h("time", { datetime: act.at }, moment(act.at, now())),
    h("p", {}, act.refused ? icon("refused") : null, h("strong", {}, what), " by ", h("bdi", {}, act.who),
      h("span", { class: "note" }, ` · ${via[act.via] ?? act.via}`)),
    h("div", {},
      h("p", {}, act.why ? h("bdi", {}, `“${act.why}”`) : h("span", { class: "note" }, "no reason given")),
      act.refused ? h("p", { class: "note" }, `Nothing was changed: ${act.refused.replace(/^refused: /, "")}`) : null,
      changed(act) ? null : h("p", { class: "note" }, "There was nothing to change."),
      ...changes(act).map(([thing, before, after]) => h("p", { class: "note" }, `${thing}: ${before} → ${after}`))));
}
