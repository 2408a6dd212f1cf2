// What operators can order: how it is asked, and what it does, in one sentence.

import { count, datedIn, plural, zoneOf } from "./format.js";
import { current } from "./parts.js";
import { limit } from "./words.js";

const liveRuns = (status) => (status.runs ?? []).filter((run) => run.live);

// replicas starts a sentence about those that live, or takes the one for when none does.
function replicas(status, will, none) {
  const n = liveRuns(status).length;
  if (n === 0) return `No replica runs now${none}.`;
  return `${n === 1 ? "The one live replica" : `The ${count(n)} live replicas`} will ${will}.`;
}

const speed = (status) => (status.control.throttle > 0 ? `at up to ${limit(status.control.throttle)}` : "at full speed");

// resuming says what resume takes back: abort and pause or, when there is neither, the order to finish.
function resuming(s) {
  if (s.control.aborted_by) {
    return `Lifts the abort. Runs that stand by go on, ${speed(s)}; those that have ended must be started again, and go on from the checkpoint.`;
  }
  if (!s.control.paused && s.control.finish) return "Takes back the order to finish: whoever came to the topic since is granted, too.";
  return replicas(s, `go on granting within a second, ${speed(s)}`, `; those that start will grant ${speed(s)}`);
}

// Each order has the label of its button, the dialog's title, the words of the button that gives it and those for
// afterwards, what it does to a campaign of a status, and whether it ends runs: then the campaign's name must be typed.
export const orders = {
  pause: {
    label: "Pause…", title: "Pause the campaign", go: "Pause", done: "Paused",
    says: (s) => replicas(s, "stop granting within a second and wait, losing nothing, until somebody resumes",
      "; those that start will grant nobody until somebody resumes"),
  },
  resume: {
    label: "Resume…", title: "Resume the campaign", go: "Resume", done: "Resumed", says: resuming,
  },
  throttle: {
    label: "Throttle…", title: "Limit the rate", go: "Set the limit", done: "Limit set",
    says: (s) => `Changes the limit from “${limit(s.control.throttle)}” to the one below; replicas obey within a second.`,
  },
  postpone: {
    label: "Postpone…", title: "Postpone the start", go: "Postpone", done: "Start moved",
    says: (s) => `Moves the start from ${datedIn(s.starts_at, specZone(s))}; replicas that wait go on waiting until the new one.`,
  },
  finish: {
    label: "Finish…", title: "Finish the runs", go: "Finish", done: "Told to finish", ends: true,
    says: (s) => replicas(s, `end with success as soon as everything that is in the topic now is granted, ${plural(s.lag, "record")} from here; ` +
      "whoever comes later is granted when somebody resumes", "; those that start will end there, until somebody resumes"),
  },
  abort: {
    label: "Abort…", title: "Abort the runs", go: "Abort", done: "Aborted", ends: true, danger: true,
    says: (s) => replicas(s, `end, with a checkpoint, and leave ${plural(s.lag, "record")}; nobody is granted anything until somebody resumes`,
      "; those that start will end, too, until somebody resumes"),
  },
};

// specZone is the offset that the spec writes its start with.
export const specZone = (status) => zoneOf(status.postponed_from ?? status.starts_at);

// disputed says what Redis and the live replicas do not agree on although all have seen the last order. Redis has lost
// orders then, and replicas keep to them until there is a new one.
export function disputed(status) {
  const live = liveRuns(status).filter((run) => run.control === status.control.version);
  const held = (cause) => live.some((run) => (run.holds ?? []).some((hold) => hold.cause === cause));
  return {
    pause: live.length > 0 && held("operator_pause") !== status.control.paused,
    limit: live.length > 0 && held("operator_throttle") !== status.control.throttle > 0,
  };
}

// possible lists the orders that make sense now: [place of the button, name of the order]. Pausing and resuming share a
// place, so that the focus stays on it; when it is disputed or not known, who knows which of them is needed?
export function possible(status, now) {
  const { paused, aborted_by: aborted, finish } = status.control;
  const pauses = [["pause", paused || aborted ? "resume" : "pause"]];
  if (finish && !paused && !aborted) pauses.push(["reopen", "resume"]);
  const list = disputed(status).pause || !current(status, "control") ? [["pause", "pause"], ["resume", "resume"]] : pauses;
  list.push(["throttle", "throttle"]);
  if (now < Date.parse(status.starts_at)) list.push(["postpone", "postpone"]);
  list.push(["finish", "finish"]);
  return aborted ? list : [...list, ["abort", "abort"]];
}

// Obedience follows how replicas take an order: those that lived when it was given, by what their records say.
export class Obedience {
  constructor(act, status, arrivedAt) {
    this.act = act;
    this.waitsFor = new Map(liveRuns(status).map((run) => [run.run, `${run.host}/${run.pid}`]));
    this.total = this.waitsFor.size;
    this.since = arrivedAt; // by the page's clock, in milliseconds
    this.seconds = 0;
  }

  get complete() {
    return this.waitsFor.size === 0;
  }

  // see takes a later status. The time that counts is the one of Redis, as the record that obeys and the act have it.
  see(status) {
    for (const run of status.runs ?? []) {
      const ended = !["waiting", "running"].includes(run.state);
      if (!this.waitsFor.has(run.run) || (run.control < this.act.after.version && !ended)) continue;
      this.waitsFor.delete(run.run);
      const at = Date.parse(run.updated_at) + run.redis.clock_ahead_seconds * 1000;
      this.seconds = Math.max(this.seconds, (at - Date.parse(this.act.at)) / 1000);
    }
  }

  says(nowMilliseconds) {
    if (this.total === 0) return "No replica runs now; those that start will obey.";
    const obey = this.total - this.waitsFor.size;
    const heads = `${count(obey)} of ${plural(this.total, "replica")} ${obey === 1 ? "obeys" : "obey"}`;
    if (this.complete) return `${heads} after ${Math.max(0.1, this.seconds).toFixed(1)} s.`;
    const waited = Math.floor((nowMilliseconds - this.since) / 1000);
    return `${heads}; waiting for ${[...this.waitsFor.values()].slice(0, 3).join(", ")} for ${waited} s.`;
  }
}
