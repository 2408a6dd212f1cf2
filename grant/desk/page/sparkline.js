// A line of the last minutes, without axes: is it steady, falling, at its limit?

import { set, svg } from "./dom.js";
import { count, duration } from "./format.js";
import { t } from "./lang.js";

const width = 300;
const height = 36;
const gap = 5_000; // milliseconds without a sample, after which the line is broken

// drawSparkline draws samples {at, rate} of the span of milliseconds that ends at a moment, and a dashed line (0: none).
export function drawSparkline(parent, samples, { at, span, line }) {
  const top = 1.1 * Math.max(1, line, ...samples.map((s) => s.rate));
  const x = (t) => (width * (1 - (at - t) / span)).toFixed(1);
  const y = (rate) => (height - 1 - ((height - 2) * rate) / top).toFixed(1);
  let path = "";
  samples.forEach((s, i) => {
    const starts = i === 0 || s.at - samples[i - 1].at > gap;
    path += `${starts ? "M" : "L"}${x(s.at)} ${y(s.rate)}`;
    if (starts) path += "h0.1"; // one sample alone is a dot
  });
  const chart = parent.firstElementChild ?? parent.appendChild(empty());
  const [limit, curve] = chart.children;
  set(limit, "d", line > 0 ? `M0 ${y(line)}H${width}` : "");
  set(curve, "d", path);
  const rates = samples.map((s) => s.rate);
  const since = duration((at - samples[0].at) / 1000);
  const [least, most] = [Math.min(...rates), Math.max(...rates)].map(count);
  set(chart, "aria-label", t(`In the last ${since} between ${least} and ${most} users/s`, `최근 ${since} 동안 초당 ${least}~${most}명`));
}

function empty() {
  return svg("svg", { role: "img", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" },
    svg("path", { class: "limit-line" }), svg("path", { class: "curve" }));
}
