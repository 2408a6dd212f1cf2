// The time by the desk's clock, which is what all times of a status are compared with: a reader's laptop may be wrong.

let ahead = 0; // milliseconds that the desk's clock is ahead of this one's
let arrived = null;

// sync takes the time at which a status was made. The message that travelled least tells the clocks apart best.
export function sync(at) {
  const measured = Date.parse(at) - Date.now();
  ahead = Math.abs(measured - ahead) > 1000 ? measured : Math.max(ahead, measured);
  arrived = performance.now();
}

// now is in Unix milliseconds.
export const now = () => Date.now() + ahead;

// age is how long ago the last status came, in seconds. It does not depend on any clock being right.
export const age = () => (arrived === null ? Infinity : (performance.now() - arrived) / 1000);
