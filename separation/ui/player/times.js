/** Numbers and times as people read them. Lowest of the player's files. */

export const LOUDEST_DB = 12;
export const SILENT_DB = -48; // the lower end of a gain slider means silence
export const SHORTEST_LOOP = 0.05; // seconds
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
export const gcd = (a, b) => (b ? gcd(b, a % b) : a);
export const gainOf = (db) => (db <= SILENT_DB ? 0 : 10 ** (db / 20));

/** 75.25 -> "1:15.250"; hours only where the recording has them. */
export function clock(seconds, digits = 3) {
  const unit = 10 ** digits;
  const ticks = Math.round(Math.max(0, seconds) * unit);
  const whole = Math.floor(ticks / unit);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const fraction = digits ? "." + String(ticks % unit).padStart(digits, "0") : "";
  return (hours ? `${hours}:${two(minutes)}` : minutes) + `:${two(whole % 60)}${fraction}`;
}

/** A duration as a person says it: "40 s", "3 min", "2 h 5 min". */
export function roughly(seconds) {
  if (seconds < 5) return "a few seconds";
  if (seconds < 55) return `${Math.ceil(seconds / 5) * 5} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
