/**
 * Pitch tracks as numbers: what can be done to a stretch of one, and how two versions differ. A track is a Float32Array with a
 * value a frame in Hz, 0 where the voice is silent. Nothing here knows a page.
 */

const MIDDLE = 4; // frames on each side that smoothing looks at

/** `count` cents up (or down); silence stays silence. */
export const shifted = (hz, cents) => hz.map((value) => value * 2 ** (cents / 1200));

export const muted = (hz) => hz.map(() => 0);

/** The median around each frame, of the frames that are voiced: leaps of a few frames go, glides stay. */
export function smoothed(hz) {
  return hz.map((value, at) => {
    if (!value) return 0;
    const near = hz.slice(Math.max(0, at - MIDDLE), at + MIDDLE + 1).filter(Boolean).sort();
    return near[near.length >> 1];
  });
}

/** Silent frames get a pitch that glides from what is before to what is after; one that is missing is as the other. */
export function bridged(hz, before, after) {
  const filled = Float32Array.from(hz);
  for (let at = 0; at < hz.length; at++) {
    if (filled[at]) continue;
    let end = at;
    while (end < hz.length && !hz[end]) end++;
    const left = filled[at - 1] || before;
    const right = (end < hz.length ? hz[end] : after) || left;
    for (let i = at; i < end; i++) filled[i] = glide(left || right, right, (i - at + 1) / (end - at + 1));
    at = end;
  }
  return filled;
}

/** Between two frequencies, even in cents. */
export const glide = (from, to, part) => (from && to ? from * (to / from) ** part : 0);

/** Where one version of a track is not as the other: [[first, [values of the other]], …]; a few equal frames join two. */
export function changes(one, other) {
  const runs = [];
  for (let at = 0; at < one.length; at++) {
    if (Math.abs(one[at] - other[at]) < 0.05) continue;
    const last = runs.at(-1);
    if (last && at - last[1] < 8) last[1] = at + 1;
    else runs.push([at, at + 1]);
  }
  return runs.map(([first, end]) => [first, Array.from(other.subarray(first, end), (value) => Math.round(10 * value) / 10)]);
}
