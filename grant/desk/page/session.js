// Signing in, which every page of the desk begins with.

import { getJSON, here, Problem, signOff, signOnAt, token, visit } from "./api.js";
import { $, say, set, show, text } from "./dom.js";
import { t } from "./lang.js";
import { roles } from "./words.js";

let opened = null; // what a page does when somebody has signed in
let inside = false;
let signedOn = false; // by the provider, and not by a token

$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("token").value.trim());
});
$("sign-out").addEventListener("click", async () => {
  const auth = token.get();
  token.forget();
  if (signedOn) {
    const there = await signOff().catch(() => "");
    if (there) return location.assign(there);
  }
  if (auth) await visit(auth, "sign-out");
  location.reload(); // so that nothing of the campaign stays in the page
});

// Pages on which users are looked up are rendered by the desk, and need a cookie instead of a header: signing in there with
// the token of this tab sets it. A client certificate needs none.
const rendered = document.querySelectorAll("a.rendered");
for (const link of rendered) {
  link.addEventListener("click", async (event) => {
    if (!token.get()) return;
    event.preventDefault();
    await visit(token.get());
    location.href = link.href;
  });
}

// The desk keeps the language that somebody chooses, and leads back to this page.
for (const link of document.querySelectorAll(".languages a")) {
  const to = new URL(link.href);
  to.searchParams.set("next", here());
  link.href = to.href;
}

// enter shows the desk if the token, or the client certificate of the browser, opens it.
async function enter(auth) {
  const me = await getJSON("me", { auth });
  if (auth) token.keep(auth);
  signedOn = Boolean(me.signed_on);
  text($("user-name"), signedOn ? me.name.split(" (")[0] : me.name);
  set($("user-name"), "title", signedOn ? me.name : null);
  text($("user-role"), roles[me.role] ?? me.role);
  set($("user-role"), "lang", roles[me.role] ? null : "en"); // names of rights
  show($("sign-out"), Boolean(auth) || signedOn);
  for (const link of rendered) show(link, me.rights.includes("users"));
  show($("sign-in"), false);
  show($("desk"), true);
  inside = true;
  opened(me);
}

async function signIn(auth) {
  const button = $("sign-in-form").querySelector("button");
  if (button.disabled) return;
  if (!auth) return ask({ message: t("Paste the token that you were given.", "받은 토큰을 붙여 넣으세요.") });
  // A header takes visible ASCII only; every token is made of it.
  if (!/^[\x21-\x7e]+$/.test(auth)) return ask({ message: t("This is no token: it has characters that no token has.", "토큰이 아닙니다. 토큰에 없는 문자가 있습니다.") });
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

// explain says what a problem is to somebody who signs in: a message, and in a page of another language what is in English only.
export function explain(problem) {
  if (!(problem instanceof Problem)) throw problem;
  offer(problem);
  const { message, english, retryAfter } = problem;
  switch (problem.status) {
    case 401: if (!token.get() && signedOn) return { message: t("Your session has ended. Sign in again.", "로그인이 만료되었습니다. 다시 로그인하세요.") };
      return { message: t("This token is not known here. It may have been replaced: ask for the new one.",
        "여기에서 알 수 없는 토큰입니다. 교체되었을 수 있으니 새 토큰을 요청하세요.") };
    case 403: return problem.kind === "no_role"
      ? { message: t(`You may do nothing here yet: ${message}`, "아직 아무 권한이 없습니다. 이 데스크의 운영자에게 역할을 요청하세요."), english }
      : { message: t(`This token may not see the campaign: ${message}`, "이 토큰으로는 캠페인을 볼 수 없습니다."), english };
    case 429: return { message: retryAfter ? t(`Too many attempts. Try again in ${retryAfter} s.`, `시도가 너무 많습니다. ${retryAfter}초 뒤에 다시 시도하세요.`)
      : t("Too many attempts. Try again in a minute.", "시도가 너무 많습니다. 잠시 후 다시 시도하세요.") };
    default: return problem;
  }
}

// offer shows where people sign in by the provider, if a problem says that they do.
function offer({ signIn }) {
  if (!signIn) return;
  set($("sign-on"), "href", signOnAt(signIn));
  if (signIn.title) text($("sign-on"), t(`Sign in with ${signIn.title}`, `${signIn.title} 계정으로 로그인`));
  show($("sign-on"), true);
}

// ask shows the sign-in with what is wrong, if anything is.
export function ask({ message = "", english = "" } = {}) {
  inside = false;
  show($("desk"), false);
  show($("sign-in"), true);
  say($("sign-in-error"), message, english);
  set($("token"), "aria-invalid", message ? "true" : null);
  $("token").focus();
}

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
    const words = explain(problem);
    ask(problem.status === 401 && !auth ? {} : words);
    if (![401, 403].includes(problem.status)) setTimeout(() => inside || start(auth, Math.min(2 * wait, 10_000)), wait);
  }
}

// begin signs in whoever has been here before, or asks for a token; page is called with who it is.
export function begin(page) {
  opened = page;
  start(token.get() ?? linked);
}
