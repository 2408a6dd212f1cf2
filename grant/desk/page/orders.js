// What operators can order: how it is asked, and what it does, in one sentence.

import { count, datedIn, plural, zoneOf } from "./format.js";
import { t } from "./lang.js";
import { current } from "./parts.js";
import { limit } from "./words.js";

const liveRuns = (status) => (status.runs ?? []).filter((run) => run.live);

// replicas starts a sentence about those that live, or takes the one for when none does.
function replicas(status, will, none) {
  const n = liveRuns(status).length;
  if (n === 0) return t(`No replica runs now${none}.`, `지금 실행 중인 복제본이 없습니다. ${none}.`);
  return t(`${n === 1 ? "The one live replica" : `The ${count(n)} live replicas`} will ${will}.`, `실행 중인 복제본 ${count(n)}개가 ${will}.`);
}

const speed = ({ control: { throttle } }) => (throttle > 0
  ? t(`at up to ${limit(throttle)}`, `최대 ${limit(throttle)}의 속도로`) : t("at full speed", "최대 속도로"));

// resuming says what resume takes back: abort and pause or, when there is neither, the order to finish.
function resuming(s) {
  if (s.control.aborted_by) {
    return t(`Lifts the abort. Runs that stand by go on, ${speed(s)}; those that have ended must be started again, and go on from the checkpoint.`,
      `중단을 해제합니다. 대기 중인 실행은 ${speed(s)} 계속하고, 끝난 실행은 다시 시작해야 하며 체크포인트부터 이어집니다.`);
  }
  if (!s.control.paused && s.control.finish) {
    return t("Takes back the order to finish: whoever came to the topic since is granted, too.",
      "마감 명령을 취소합니다. 그 뒤에 토픽에 들어온 사용자에게도 지급됩니다.");
  }
  return replicas(s, t(`go on granting within a second, ${speed(s)}`, `1초 안에 ${speed(s)} 지급을 계속합니다`),
    t(`; those that start will grant ${speed(s)}`, `시작되는 복제본은 ${speed(s)} 지급합니다`));
}

// Each order has the label of its button, the dialog's title, the words of the button that gives it and those for
// afterwards, what it does to a campaign of a status, and whether it ends runs: then the campaign's name must be typed.
export const orders = {
  pause: {
    label: t("Pause…", "일시 중지…"), title: t("Pause the campaign", "캠페인 일시 중지"), go: t("Pause", "일시 중지"), done: t("Paused", "일시 중지했습니다"),
    says: (s) => replicas(s, t("stop granting within a second and wait, losing nothing, until somebody resumes",
      "1초 안에 지급을 멈추고 재개할 때까지 기다립니다. 잃는 것은 없습니다"),
    t("; those that start will grant nobody until somebody resumes", "시작되는 복제본은 재개할 때까지 아무에게도 지급하지 않습니다")),
  },
  resume: {
    label: t("Resume…", "재개…"), title: t("Resume the campaign", "캠페인 재개"), go: t("Resume", "재개"), done: t("Resumed", "재개했습니다"), says: resuming,
  },
  throttle: {
    label: t("Throttle…", "속도 제한…"), title: t("Limit the rate", "속도 제한"), go: t("Set the limit", "제한 설정"), done: t("Limit set", "속도 제한을 설정했습니다"),
    says: (s) => t(`Changes the limit from “${limit(s.control.throttle)}” to the one below; replicas obey within a second.`,
      `현재 제한(${limit(s.control.throttle)})을 아래 값으로 바꿉니다. 복제본은 1초 안에 따릅니다.`),
  },
  postpone: {
    label: t("Postpone…", "연기…"), title: t("Postpone the start", "시작 연기"), go: t("Postpone", "연기"), done: t("Start moved", "시작 시각을 바꿨습니다"),
    says: (s) => {
      const start = datedIn(s.starts_at, specZone(s));
      return t(`Moves the start from ${start}; replicas that wait go on waiting until the new one.`,
        `시작 시각(${start})을 바꿉니다. 대기 중인 복제본은 새 시각까지 계속 기다립니다.`);
    },
  },
  finish: {
    label: t("Finish…", "마감…"), title: t("Finish the runs", "실행 마감"), go: t("Finish", "마감"), done: t("Told to finish", "마감을 명령했습니다"), ends: true,
    says: (s) => replicas(s, t(`end with success as soon as everything that is in the topic now is granted, ${plural(s.lag, "record")} from here; ` +
      "whoever comes later is granted when somebody resumes",
    `지금 토픽에 있는 것(레코드 ${count(s.lag)}개 남음)을 모두 지급하면 정상 종료합니다. 그 뒤에 들어온 사용자에게는 재개하면 지급됩니다`),
    t("; those that start will end there, until somebody resumes", "시작되는 복제본도 재개할 때까지 그 지점에서 끝납니다")),
  },
  abort: {
    label: t("Abort…", "중단…"), title: t("Abort the runs", "실행 중단"), go: t("Abort", "중단"), done: t("Aborted", "중단했습니다"), ends: true, danger: true,
    says: (s) => replicas(s, t(`end, with a checkpoint, and leave ${plural(s.lag, "record")}; nobody is granted anything until somebody resumes`,
      `체크포인트를 남기고 레코드 ${count(s.lag)}개를 남겨 둔 채 끝납니다. 재개할 때까지 아무에게도 지급되지 않습니다`),
    t("; those that start will end, too, until somebody resumes", "시작되는 복제본도 재개할 때까지 바로 끝납니다")),
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
    if (this.total === 0) {
      return t("No replica runs now; those that start will obey.", "지금 실행 중인 복제본이 없습니다. 시작되는 복제본이 따릅니다.");
    }
    const obey = this.total - this.waitsFor.size;
    const heads = t(`${count(obey)} of ${plural(this.total, "replica")} ${obey === 1 ? "obeys" : "obey"}`,
      `복제본 ${count(this.total)}개 중 ${count(obey)}개가 따름`);
    const took = Math.max(0.1, this.seconds).toFixed(1);
    if (this.complete) return t(`${heads} after ${took} s.`, `${heads}(${took}초).`);
    const waited = Math.floor((nowMilliseconds - this.since) / 1000);
    const whom = [...this.waitsFor.values()].slice(0, 3).join(", ");
    return t(`${heads}; waiting for ${whom} for ${waited} s.`, `${heads}. ${whom} 응답을 ${waited}초째 기다리는 중.`);
  }
}
