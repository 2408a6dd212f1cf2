// The audit trail: who did what, when, why, and what it changed.

import { getJSON } from "./api.js";
import { now } from "./clock.js";
import { $, h, icon, say, show, text } from "./dom.js";
import { count, moment, plural } from "./format.js";
import { korean, t } from "./lang.js";
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
    say($("history-error"), t(`The history could not be loaded: ${problem.message}`, `이력을 불러오지 못했습니다. ${problem.message}`), problem.english);
  } finally {
    asking = false;
  }
  if (askAgain) refresh();
}

function list() {
  const newestFirst = [...acts].reverse();
  const refused = acts.filter((act) => act.refused).length;
  const entries = plural(acts.length, "entry", "entries");
  const n = count(acts.length);
  text($("history-summary"), acts.length === 0 ? t("nobody has done anything yet", "아직 아무도 명령하지 않았습니다") : older
    ? t(`the last ${entries}, ${refused} refused; granter history has all`, `최근 ${n}건, 거부 ${refused}건. 전체는 granter history로 확인`)
    : t(`${entries}, ${refused} refused`, `${n}건, 거부 ${refused}건`));
  $("history").replaceChildren(...(all ? newestFirst : newestFirst.slice(0, few)).map(entry));
  show($("history-more"), acts.length > few);
  text($("history-more"), all ? t(`Show only the last ${few}`, `최근 ${few}건만 보기`)
    : older ? t(`Show the last ${entries}`, `최근 ${n}건 보기`) : t(`Show all ${entries}`, `${n}건 모두 보기`));
  $("history-more").setAttribute("aria-expanded", String(all));
}

const via = {
  cli: t("command line", "명령줄"), api: "API", run: t("flag of a run", "실행 옵션"), clock: t("by itself", "자동"),
};

// changed reports whether an act did something: an order may find what it wants.
const changed = (act) => act.refused || !act.after || act.before?.version === act.after.version || changes(act).length > 0;

function entry(act) {
  const tried = attempts[act.action] ?? act.action;
  const what = act.refused ? t(`${tried}: refused`, `${tried}: 거부됨`) : (actions[act.action] ?? act.action);
  const refused = act.refused?.replace(/^refused: /, "");
  return h("li", { class: act.refused ? "refused" : null },
    h("time", { datetime: act.at }, moment(act.at, now())),
    h("p", {}, act.refused ? icon("refused") : null, h("strong", {}, what), t(" by ", " · "), h("bdi", {}, act.who),
      h("span", { class: "note" }, ` · ${via[act.via] ?? act.via}`)),
    h("div", {},
      h("p", {}, act.why ? h("bdi", {}, `“${act.why}”`) : h("span", { class: "note" }, t("no reason given", "사유 없음"))),
      act.refused ? h("p", { class: "note" }, t("Nothing was changed: ", "변경된 것은 없습니다: "), h("span", { lang: korean ? "en" : null }, refused)) : null,
      changed(act) ? null : h("p", { class: "note" }, t("There was nothing to change.", "변경할 것이 없었습니다.")),
      ...changes(act).map(([thing, before, after]) => h("p", { class: "note" }, `${thing}: ${before} → ${after}`))));
}
