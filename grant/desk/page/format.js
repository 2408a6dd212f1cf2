// Numbers, times and durations as readers of the page's language write them, and the day has 24 hours. In English there are thin
// spaces between thousands, which nobody reads wrongly, wherever they learned English.

import { korean, lang, t } from "./lang.js";

const locale = "en-GB";
const thinSpace = "\u202f";

function numbers(options) {
  const format = new Intl.NumberFormat(locale, options);
  return (n) => format.formatToParts(n).map((p) => (p.type === "group" ? t(thinSpace, p.value) : p.value)).join("");
}

const whole = numbers({ maximumFractionDigits: 0 });
const tenths = numbers({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
const hundredths = numbers({ minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const count = whole;

// rate is in things per second: those below ten deserve a decimal.
export const rate = (n) => (n > 0 && n < 10 ? tenths(n) : whole(n));

export const ratio = (n) => tenths(n);

// percentage is cut, not rounded: 100.00 is for when it is done.
export const percentage = (n) => `${hundredths(Math.floor(n * 100) / 100)}${t(thinSpace, "")}%`;

export const plural = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(n) {
  let unit = 0;
  for (; n >= 1024 && unit < units.length - 1; unit++) n /= 1024;
  return `${unit === 0 || n >= 100 ? whole(n) : tenths(n)} ${units[unit]}`;
}

export function milliseconds(seconds) {
  const ms = seconds * 1000;
  return `${Math.abs(ms) < 10 && ms !== 0 ? tenths(ms) : whole(ms)} ms`;
}

// duration is in words, by its two largest units at most.
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return t(`${s} s`, `${s}초`);
  const minutes = (n) => t(`${n} min`, `${n}분`);
  const hours = (n) => t(`${n} h`, `${n}시간`);
  if (s < 3600) return minutes(Math.floor(s / 60));
  if (s < 86400) return `${hours(Math.floor(s / 3600))} ${minutes(Math.floor((s % 3600) / 60))}`;
  return `${days(Math.floor(s / 86400))} ${hours(Math.floor((s % 86400) / 3600))}`;
}

const days = (n) => t(`${n} d`, `${n}일`);

// countdown is a duration as a clock shows it, 02:13:44.
export function countdown(seconds) {
  const s = Math.max(0, Math.ceil(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const clock = `${two(Math.floor((s % 86400) / 3600))}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`;
  return s < 86400 ? clock : `${days(Math.floor(s / 86400))} ${clock}`;
}

const day = { day: "numeric", month: "short", year: "numeric" };
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const timeOfDay = new Intl.DateTimeFormat(locale, { ...clock, timeZoneName: "short" });
const dayAndTime = new Intl.DateTimeFormat(locale, { ...day, ...clock, timeZoneName: "short" });
const dayOnly = new Intl.DateTimeFormat(locale, day);
const shifted = new Intl.DateTimeFormat(locale, { ...day, ...clock, timeZone: "UTC" });
const clockOnly = new Intl.DateTimeFormat(locale, { ...clock, timeZone: "UTC" });

// inKorean is a time in a zone that is minutes ahead of UTC, with its day or without, as the desk's other pages write it.
function inKorean(time, minutes, withDay) {
  const there = new Date(new Date(time).getTime() + minutes * 60_000);
  const day = `${there.getUTCFullYear()}년 ${there.getUTCMonth() + 1}월 ${there.getUTCDate()}일 `;
  return `${withDay ? day : ""}${clockOnly.format(there)} ${minutes === 0 ? "UTC" : `(${zoneName(minutes)})`}`;
}

const here = (time) => -new Date(time).getTimezoneOffset();

// moment is a time in the reader's zone, with its day unless that is today.
export function moment(time, now = Date.now()) {
  const date = new Date(time);
  const today = dayOnly.format(date) === dayOnly.format(now);
  return korean ? inKorean(time, here(time), !today) : (today ? timeOfDay : dayAndTime).format(date);
}

export const dated = (time) => (korean ? inKorean(time, here(time), true) : dayAndTime.format(new Date(time)));

// zoneOf returns the offset from UTC, in minutes, that an RFC 3339 time is written with.
export function zoneOf(rfc3339) {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(rfc3339) ?? [null, "+", "0", "0"];
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
}

// zoneSuffix is how RFC 3339 writes an offset.
export function zoneSuffix(minutes) {
  const two = (n) => String(n).padStart(2, "0");
  const m = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(m / 60))}:${two(m % 60)}`;
}

export const zoneName = (minutes) => (minutes === 0 ? "UTC" : `UTC${zoneSuffix(minutes)}`);

// datedIn is a time in a zone that is only known by its offset.
export function datedIn(time, minutes) {
  return korean ? inKorean(time, minutes, true) : `${shifted.format(Date.parse(time) + minutes * 60_000)} ${zoneName(minutes)}`;
}

// isLocal reports whether the reader's clock shows the same as one in that zone.
export const isLocal = (time, minutes) => here(time) === minutes;

// ranges writes a list of partitions as people do: 0–3, 8. Of more ranges than most it shows the first and the last.
export function ranges(list, most = 8) {
  const sorted = [...list].sort((a, b) => a - b);
  const out = [];
  for (let i = 0; i < sorted.length; i++) {
    const from = sorted[i];
    while (sorted[i + 1] === sorted[i] + 1) i++;
    out.push(from === sorted[i] ? `${from}` : `${from}–${sorted[i]}`);
  }
  if (out.length > most) out.splice(most - 1, out.length - most, "…");
  return out.join(", ");
}

// sentence starts a phrase with a capital.
export const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

// languageOf is the language of what people wrote in a spec, which need not be the page's; null: the page's.
export function languageOf(words) {
  const theirs = /\p{Script=Hangul}/u.test(words) ? "ko" : "en";
  return theirs === lang ? null : theirs;
}
