// Says what changed to screen readers: one thing at a time, and not more often than one can listen to.

import { $ } from "./dom.js";

const pauseBetween = 5_000; // milliseconds

const waiting = new Map(); // by topic, so that of several changes of one thing only the last is said
let timer = null;
let spokenAt = -Infinity;

export function announce(topic, words) {
  waiting.set(topic, words);
  timer ??= setTimeout(speak, Math.max(0, spokenAt + pauseBetween - performance.now()));
}

function speak() {
  timer = null;
  spokenAt = performance.now();
  $("announcer").textContent = [...waiting.values()].join(" ");
  waiting.clear();
}
