// What the desk says in identifiers, in words.

import { count, dated, plural } from "./format.js";
import { korean, t } from "./lang.js";
import * as shared from "./shared.js";

export const phases = {
  waiting: { name: t("Waiting", "시작 전"), says: t("It has not started yet.", "아직 시작되지 않았습니다.") },
  running: { name: t("Running", "진행 중"), says: t("At full speed.", "최대 속도로 지급하고 있습니다.") },
  throttled: { name: t("Throttled", "감속 중"), says: t("Slower than it could be.", "낼 수 있는 속도보다 느리게 지급하고 있습니다.") },
  paused: { name: t("Paused", "일시 중지"), says: t("Nobody is granted anything for now.", "지금은 아무에게도 지급되지 않습니다.") },
  finishing: { name: t("Finishing", "마감 중"), says: t("Runs end where it was ordered to finish.", "마감 명령을 받은 지점에서 실행이 끝납니다.") },
  idle: { name: t("Idle", "실행 없음"), says: t("Records wait, and no replica runs.", "레코드가 기다리고 있지만 실행 중인 복제본이 없습니다.") },
  finished: {
    name: t("Finished", "완료"),
    says: t("Every record in the topic, or up to where it was ordered to finish, is granted or accounted for.",
      "토픽의 모든 레코드(또는 마감 명령을 받은 지점까지)가 지급되었거나 처리 내역이 남아 있습니다."),
  },
  aborted: { name: t("Aborted", "중단됨"), says: t("Nobody is granted anything until an operator resumes.", "운영자가 재개할 때까지 아무에게도 지급되지 않습니다.") },
  ended: { name: t("Ended", "종료"), says: t("The campaign’s end has passed.", "캠페인 종료 시각이 지났습니다.") },
  unknown: { name: t("Not known", "알 수 없음"), says: t("What it follows from cannot be asked.", "상태를 판단할 근거를 확인할 수 없습니다.") },
};

// What each part of a status is, as the beginning of a sentence.
export const parts = {
  spec: t("What users are granted", "지급 내용(스펙)"),
  control: t("What operators have ordered", "운영자의 명령"),
  runs: t("What replicas say of themselves", "복제본의 상태"),
  ledger: t("Who is granted", "지급 현황"),
  checkpoint: t("How far the topic is read", "토픽을 읽은 위치"),
  kafka: "Kafka",
};

// Those that stop let nobody be granted anything; the others slow down. The tone says how much it is out of order.
export const causes = {
  ledger_unavailable: { says: t("Redis refuses or does not answer", "Redis가 거부하거나 응답하지 않음"), stops: true, tone: "bad" },
  operator_abort: { says: t("Stands by: aborted", "대기 중: 중단됨"), stops: true, tone: "warn" },
  operator_finish: { says: t("Stands by: finished as ordered", "대기 중: 명령대로 마감됨"), stops: true, tone: "info" },
  operator_pause: { says: t("Paused by operator", "운영자가 일시 중지함"), stops: true, tone: "warn" },
  critical: { says: t("Paused by a critical measurement", "위험한 측정값으로 일시 중지됨"), stops: true, tone: "bad" },
  preflight: { says: t("Preflight failed", "시작 전 점검 실패"), stops: true, tone: "bad" },
  schedule: { says: t("Before the start", "시작 시각 전"), stops: true, tone: "info" },
  open_transaction: { says: t("A producer’s transaction is open", "프로듀서의 트랜잭션이 열려 있음"), tone: "warn" },
  latency: { says: t("Slowed by the latency of Redis", "Redis 응답 지연으로 감속"), tone: "warn" },
  memory: { says: t("Slowed by the memory of Redis", "Redis 메모리 사용량으로 감속"), tone: "warn" },
  replica_lag: { says: t("Slowed by replicas of Redis that are behind", "Redis 복제 지연으로 감속"), tone: "warn" },
  query: { says: t("Slowed by the Prometheus query", "Prometheus 쿼리 결과로 감속"), tone: "warn" },
  operator_throttle: { says: t("Limited by operator", "운영자가 속도를 제한함"), tone: "info" },
};

// Why a record was rejected, as the page of rejected records says it.
export const reasons = Object.fromEntries(Object.entries(shared.reasons).map(([reason, words]) => [reason, t(...words)]));

export const actions = {
  pause: t("Paused", "일시 중지"),
  resume: t("Resumed", "재개"),
  throttle: t("Throttled", "속도 제한"),
  abort: t("Aborted", "중단"),
  finish: t("Told to finish", "마감 명령"),
  postpone: t("Postponed", "연기"),
  "start-early": t("Started early", "예정보다 일찍 시작"),
  force: t("Started although preflight failed", "시작 전 점검 실패에도 시작"),
  "new-topic": t("Began anew at the first record of the topic", "토픽의 첫 레코드부터 새로 시작"),
  expire: t("Came to its end", "명령 기간 만료"),
  replay: t("Repaired and replayed rejected records", "거부된 레코드를 고쳐 다시 처리"),
  act: t("Did something about single users", "개별 사용자 처리"),
  export: t("Copied the ledger to a file", "원장을 파일로 복사"),
  import: t("Made the ledger of a file", "파일로 원장 생성"),
  rebuild: t("Made the ledger again of the topic", "토픽으로 원장 재생성"),
  reconcile: t("Granted users whom an audit missed", "감사에서 빠진 사용자에게 지급"),
  take: t("Had users take items", "사용자 대신 항목 받기 처리"),
  purge: t("Removed records that need not be kept", "보관 기한이 지난 기록 삭제"),
};

// What was tried, for orders that were refused.
export const attempts = {
  pause: t("Pause", "일시 중지"),
  resume: t("Resume", "재개"),
  throttle: t("Throttle", "속도 제한"),
  abort: t("Abort", "중단"),
  finish: t("Finish", "마감"),
  postpone: t("Postpone", "연기"),
  "start-early": t("Start early", "예정보다 일찍 시작"),
  force: t("Start although preflight fails", "시작 전 점검 실패에도 시작"),
  "new-topic": t("Begin anew at the first record of the topic", "토픽의 첫 레코드부터 새로 시작"),
  replay: t("Replay rejected records", "거부된 레코드 다시 처리"),
  export: t("Copy the ledger to a file", "원장을 파일로 복사"),
  import: t("Make the ledger of a file", "파일로 원장 생성"),
  rebuild: t("Make the ledger again of the topic", "토픽으로 원장 재생성"),
  reconcile: t("Grant users whom an audit missed", "감사에서 빠진 사용자에게 지급"),
  unknown: t("An order", "명령"),
};

export const states = {
  waiting: t("Waiting", "시작 대기"),
  running: t("Running", "실행 중"),
  finished: t("Finished", "완료"),
  stopped: t("Stopped", "정지"),
  aborted: t("Aborted", "중단됨"),
  failed: t("Failed", "실패"),
};

// Roles that have names; whoever has rights of their own is shown those.
export const roles = {
  viewer: t("viewer", "조회"), support: t("support", "상담"), operator: t("operator", "운영자"), auditor: t("auditor", "감사"), service: t("service", "서비스"),
};

export const rate = (n) => t(`${count(n)} users/s`, `초당 ${count(n)}명`);

export const limit = (throttle) => (throttle > 0 ? rate(throttle) : t("no limit", "제한 없음"));

// standing says of an order that is in force what it is, who gave it, when and why. The desk says so itself, in English.
export function standing({ action, says }, control) {
  if (!korean) return says;
  const { what, by } = {
    abort: { what: "중단", by: control.aborted_by },
    pause: { what: "일시 중지", by: control.paused_by },
    throttle: { what: `모든 복제본을 합쳐 ${limit(control.throttle)}으로 제한`, by: control.throttled_by },
    finish: { what: "마감 명령", by: control.finish },
  }[action] ?? { what: says };
  if (!by?.who) return `${what}. 명령한 사람과 사유는 이력에 있습니다`;
  const why = by.why ? `: ${by.why}` : "";
  return `${what}. ${by.who}, ${dated(by.at)}${by.until ? `, ${dated(by.until)}까지` : ""}${why}`;
}

// heldDetail says in the page's language what a hold follows from, where that is known in more than the desk's own words; start
// is when the campaign begins.
export function heldDetail({ cause, detail }, control, start) {
  if (!korean) return null;
  const [, action] = /^operator_(.+)$/.exec(cause) ?? [];
  if (action && control) return standing({ action, says: detail }, control);
  return cause === "schedule" && start ? `${start}에 시작` : null;
}

// passName is a pass that is not for everybody: canary 1%, or only 20 users.
export function passName(pass) {
  const [, share] = /^canary (.+)$/.exec(pass) ?? [];
  const [, users] = /^only (\d+) users?$/.exec(pass) ?? [];
  return t(pass, share ? `카나리 ${share}` : users ? `목록의 ${count(users)}명` : pass);
}

const start = (control) => (control.starts_at ? dated(control.starts_at) : t("by the spec", "스펙대로"));

// until and ends say when an order ends by itself.
const until = (by) => (by?.until ? t(` until ${dated(by.until)}`, `(${dated(by.until)}까지)`) : "");
const ends = (by) => (by?.until ? t(`ends ${dated(by.until)}`, `${dated(by.until)}에 끝남`) : t("until somebody resumes", "재개할 때까지"));

// changes says what an act made of the control: [what, before, after].
export function changes({ before, after }) {
  if (!before || !after || before.version === after.version) return [];
  const list = [];
  const aborted = (control) => Boolean(control.aborted_by) || control.abort > 0;
  if (aborted(before) !== aborted(after)) {
    const say = (control) => (aborted(control) ? t("aborted until somebody resumes", "재개할 때까지 중단") : t("not aborted", "중단 아님"));
    list.push([t("Campaign", "캠페인"), say(before), say(after)]);
  }
  if (before.paused !== after.paused) {
    const say = (control) => (control.paused ? t("paused", "일시 중지") + until(control.paused_by) : t("not paused", "일시 중지 아님"));
    list.push([t("Granting", "지급"), say(before), say(after)]);
  } else if (until(before.paused_by) !== until(after.paused_by)) {
    list.push([t("Pause", "일시 중지"), ends(before.paused_by), ends(after.paused_by)]);
  }
  if (before.throttle !== after.throttle || until(before.throttled_by) !== until(after.throttled_by)) {
    const say = (control) => `${limit(control.throttle)}${until(control.throttled_by)}`;
    list.push([t("Limit", "속도 제한"), say(before), say(after)]);
  }
  if ((before.starts_at ?? "") !== (after.starts_at ?? "")) list.push([t("Start", "시작"), start(before), start(after)]);
  if ((before.finish?.version ?? 0) !== (after.finish?.version ?? 0)) {
    const say = ({ finish }) => {
      if (!finish) return t("with the topic", "토픽의 끝에서");
      const n = Object.keys(finish.ends).length;
      return t(`where the topic ended at order ${finish.version}, in ${plural(n, "partition")}`,
        `명령 ${finish.version} 시점의 토픽 끝에서(파티션 ${count(n)}개)`);
    };
    list.push([t("Runs end", "실행 종료"), say(before), say(after)]);
  }
  return list;
}
