// Calls of the desk's API. The token lives in this tab's sessionStorage; with a client certificate there is none.

import { t } from "./lang.js";
import { problems } from "./shared.js";

const tokenKey = "granter-token";

export const token = {
  get: () => sessionStorage.getItem(tokenKey),
  keep: (value) => sessionStorage.setItem(tokenKey, value),
  forget: () => sessionStorage.removeItem(tokenKey),
};

// The campaign is in the page's address: …/campaigns/NAME/.
const campaign = location.pathname.split("/").at(-2);

// pathOf says where something is, from where this script is: all but who one is, and which campaigns there are, belongs to a
// campaign.
const pathOf = (what) => new URL(`api/v1/${["me", "campaigns"].includes(what) ? what : `campaigns/${campaign}/${what}`}`, import.meta.url);

// Problem is an answer that is none: RFC 9457, or no answer at all (status 0). Its message is in the page's language, and english
// is what the desk says in that language only; empty: nothing beyond the message.
export class Problem extends Error {
  constructor(status, { type = "", title = "", detail = "", sign_in: signIn = null } = {}, retryAfter = 0) {
    const said = detail || title;
    const kind = type.split(":").at(-1);
    const known = said && t(said, problems[kind] ?? t("The request failed.", "요청을 처리하지 못했습니다."));
    super(known || t(`The desk answered ${status}.`, `데스크의 응답 코드: ${status}.`));
    this.english = t("", said);
    this.kind = kind;
    this.status = status;
    this.signIn = signIn; // where people sign in by an OpenID provider: {path, title}; null: by none
    this.retryAfter = retryAfter; // seconds; 0: not said
  }
}

// broken is a problem that the page says itself: there is no answer.
export function broken(message) {
  const problem = new Problem(0);
  problem.message = message;
  return problem;
}

// request fails with a Problem unless the answer is a good one.
export async function request(path, { method = "GET", body, signal, auth = token.get(), key } = {}) {
  const headers = { Accept: "application/json" };
  if (key) headers["Idempotency-Key"] = key;
  if (auth) headers.Authorization = `Bearer ${auth}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(pathOf(path), {
      method, headers, signal, cache: "no-store", redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw broken(t("The desk does not answer.", "데스크가 응답하지 않습니다."));
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Problem(response.status, problem, Number(response.headers.get("Retry-After")) || 0);
}

// visit signs in, or out, on the pages that the desk renders. If that fails, they ask for the token themselves.
export const visit = (auth, how = "sign-in") => fetch(new URL(`users/${how}`, import.meta.url), {
  method: "POST", redirect: "manual", headers: { Authorization: `Bearer ${auth}`, "Content-Type": "application/x-www-form-urlencoded" },
}).catch(() => {});

// here is where this page is, from where the desk begins.
export function here() {
  const root = new URL(".", import.meta.url);
  return location.pathname.slice(root.pathname.length) + location.search;
}

// signOnAt is where somebody signs in by the provider, and comes back to this page.
export function signOnAt({ path }) {
  const root = new URL(".", import.meta.url);
  const to = new URL(path, root);
  to.searchParams.set("next", location.pathname.slice(root.pathname.length));
  return to.href;
}

// signOff ends the session of somebody who signed in by the provider, and says where it ends there, too.
export const signOff = async () => {
  const answer = await fetch(new URL("oidc/sign-out", import.meta.url), { method: "POST", headers: { Accept: "application/json" } });
  return (await answer.json()).go_on;
};

export const getJSON = async (path, options) => (await request(path, options)).json();

// events yields what a stream of server-sent events says: {event, data}, and {} for a comment, which is a sign of life.
export async function* events(path, signal) {
  const response = await request(path, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) yield parse(block);
  }
}

function parse(block) {
  const found = {};
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([a-z]+): ?([^]*)$/.exec(line) ?? [];
    if (field === "event") found.event = value;
    if (field === "data") found.data = found.data === undefined ? value : `${found.data}\n${value}`;
  }
  return found;
}
