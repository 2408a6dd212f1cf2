// Signing in, which every page of the desk begins with.

import { getJSON, Problem, signOff, signOnAt, token, visit } from "./api.js";
import { $, set, show, text } from "./dom.js";

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

// enter shows the desk if the token, or the client certificate of the browser, opens it.
async function enter(auth) {
  const me = await getJSON("me", { auth });
  if (auth) token.keep(auth);
  signedOn = Boolean(me.signed_on);
  text($("user-name"), signedOn ? me.name.split(" (")[0] : me.name);
  set($("user-name"), "title", signedOn ? me.name : null);
  text($("user-role"), me.role);
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

export function explain(problem) {
  if (!(problem instanceof Problem)) throw problem;
  offer(problem);
  switch (problem.status) {
    case 401: if (!token.get() && signedOn) return "Your session has ended. Sign in again.";
      return "This token is not known here. It may have been replaced: ask for the new one.";
    case 403: return problem.message.startsWith("the provider knows you") ? `You may do nothing here yet: ${problem.message}`
      : `This token may not see the campaign: ${problem.message}`;
    case 429: return `Too many attempts. Try again ${problem.retryAfter ? `in ${problem.retryAfter} s` : "in a minute"}.`;
    default: return problem.message;
  }
}

// offer shows where people sign in by the provider, if a problem says that they do.
function offer({ signIn }) {
  if (!signIn) return;
  set($("sign-on"), "href", signOnAt(signIn));
  text($("sign-on"), signIn.title ? `Sign in with ${signIn.title}` : "Sign in with your organisation’s account");
  show($("sign-on"), true);
}

// ask shows the sign-in with what is wrong, if anything is.
export function ask(words) {
  inside = false;
  show($("desk"), false);
  show($("sign-in"), true);
  text($("sign-in-error"), words);
  set($("token"), "aria-invalid", words ? "true" : null);
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
    ask(problem.status === 401 && !auth ? "" : words);
    if (![401, 403].includes(problem.status)) setTimeout(() => inside || start(auth, Math.min(2 * wait, 10_000)), wait);
  }
}

// begin signs in whoever has been here before, or asks for a token; page is called with who it is.
export function begin(page) {
  opened = page;
  start(token.get() ?? linked);
}
