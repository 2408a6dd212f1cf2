// Signing in, which every page of the desk begins with.

import { getJSON, Problem, token, visit } from "./api.js";
import { $, set, show, text } from "./dom.js";

let opened = null; // what a page does when somebody has signed in
let inside = false;

$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("token").value.trim());
});
$("sign-out").addEventListener("click", async () => {
  const auth = token.get();
  token.forget();
  if (auth) await visit(auth, "sign-out");
  location.reload(); // so that nothing of the campaign stays in the page
});

// The page on which users are looked up is rendered by the desk, and needs a cookie instead of a header: signing in there with
// the token of this tab sets it. A client certificate needs none.
$("lookup").addEventListener("click", async (event) => {
  if (!token.get()) return;
  event.preventDefault();
  await visit(token.get());
  location.href = event.target.href;
});

// enter shows the desk if the token, or the client certificate of the browser, opens it.
async function enter(auth) {
  const me = await getJSON("me", { auth });
  if (auth) token.keep(auth);
  text($("user-name"), me.name);
  text($("user-role"), me.role);
  show($("sign-out"), Boolean(auth));
  show($("lookup"), me.rights.includes("users"));
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
  switch (problem.status) {
    case 401: return "This token is not known here. It may have been replaced: ask for the new one.";
    case 403: return `This token may not see the campaign: ${problem.message}`;
    case 429: return `Too many attempts. Try again ${problem.retryAfter ? `in ${problem.retryAfter} s` : "in a minute"}.`;
    default: return problem.message;
  }
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
    ask(problem.status === 401 && !auth ? "" : explain(problem));
    if (![401, 403].includes(problem.status)) setTimeout(() => inside || start(auth, Math.min(2 * wait, 10_000)), wait);
  }
}

// begin signs in whoever has been here before, or asks for a token; page is called with who it is.
export function begin(page) {
  opened = page;
  start(token.get() ?? linked);
}
