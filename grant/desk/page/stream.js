// Follows the status, and connects again when the connection is lost: after half a second, then twice as long each time.

import { broken, events, Problem } from "./api.js";
import { t } from "./lang.js";

const firstWait = 500; // milliseconds
const longestWait = 10_000;
const silence = 30_000; // longer than the desk is ever silent on a connection that works

// follow calls onStatus with each status; onLost with what is wrong and when it tries again, in performance.now()'s
// milliseconds; onDenied, once, when trying again would not help.
export function follow({ onStatus, onLost, onDenied }) {
  let stopped = false;
  let wait = firstWait;
  let connection = new AbortController();
  let wake = () => {};

  async function connect() {
    connection = new AbortController();
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => connection.abort(), silence);
    };
    alive();
    try {
      for await (const { event, data } of events("events", connection.signal)) {
        alive();
        if (event === "status") {
          wait = firstWait;
          onStatus(JSON.parse(data));
        } else if (event === "problem") {
          onLost({ problem: new Problem(0, JSON.parse(data)), retryAt: null });
        }
      }
      return broken(t("The desk ended the connection.", "데스크가 연결을 끝냈습니다."));
    } catch (error) {
      return error instanceof Problem ? error : broken(t("The connection broke.", "연결이 끊겼습니다."));
    } finally {
      clearTimeout(watchdog);
    }
  }

  async function run() {
    while (!stopped) {
      const problem = await connect();
      if (stopped) return;
      if (problem.status === 401 || problem.status === 403) return onDenied(problem);
      // Many pages lose the same desk at the same moment and should not come back at the same one.
      const pause = Math.max(wait * (0.75 + Math.random() / 2), problem.retryAfter * 1000);
      wait = Math.min(2 * wait, longestWait);
      onLost({ problem, retryAt: performance.now() + pause });
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, pause);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  const hurry = () => wake();
  window.addEventListener("online", hurry);
  run();
  return {
    hurry,
    stop() {
      stopped = true;
      window.removeEventListener("online", hurry);
      connection.abort();
      wake();
    },
  };
}
