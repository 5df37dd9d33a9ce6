/**
 * Draws the strip of every second: bars on an axis, coloured by how they compare with their median, with thin lines beside them.
 * Only numbers and a canvas; what they mean is said by `segments.js`.
 */

import { clamp } from "../static/times.js";

const TOP = 18; // CSS px above the bars, for the numbers
const FOOT = 6; // and below them
const SPREAD = { dB: 6, "": 0.15 }; // from the median to the end of the colours
const WIDE = 38; // CSS px from which on a bar has its number
const THIN = 2; // CSS px below which seconds share a bar
const HATCH = 6; // CSS px between two lines of a hatch

export const isNumber = (value) => value !== null && value !== undefined;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** "12.1 dB", "−3.0 dB", "0.82". */
export function said(value, unit, digits = unit ? 1 : 2) {
  const text = Math.abs(value).toFixed(digits);
  return `${value < 0 && Number(text) ? "−" : ""}${text}${unit ? ` ${unit}` : ""}`;
}

/** How far from the median the colours reach. */
export const spreadOf = ({ unit }) => SPREAD[unit];

/** Where bars begin and end, {low, high, base, ticks}, for a metric's card and all numbers that are drawn. */
export function axisOf({ unit, direction }, values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part) => sorted[Math.round(part * (sorted.length - 1))] ?? 0;
  if (unit === "") {
    const high = [0.2, 0.5].find((enough) => at(1) <= enough) ?? 1;
    return { low: 0, high, base: 0, ticks: [0, high / 2, high] };
  }
  if (unit === "dBFS") return { low: -70, high: 0, base: -70, ticks: [-60, -40, -20, 0] };
  const low = clamp(10 * Math.floor(at(0.02) / 10), direction === "lower" ? -100 : -30, 0);
  const high = clamp(10 * Math.ceil(at(0.98) / 10), Math.max(low, 0) + (direction === "lower" ? 0 : 10), 50);
  const step = high - low > 60 ? 20 : 10;
  const ticks = [];
  for (let tick = step * Math.ceil(low / step); tick <= high; tick += step) ticks.push(tick);
  return { low, high, base: direction === "lower" ? low : 0, ticks };
}

/** The place of a value in a strip so many CSS px high. */
export function placeOf(value, { low, high }, height) {
  return TOP + ((high - clamp(value, low, high)) / (high - low)) * (height - TOP - FOOT);
}

/** How many seconds share a bar. */
export const sharing = (width, seconds) => Math.max(1, Math.ceil((THIN * seconds) / Math.max(1, width)));

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** Between two colours as style sheets write them, "#rrggbb". */
function mixed(from, to, part) {
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((value, i) => Math.round(value + part * (b[i] - value))).join(" ")})`;
}

/**
 * What is to be drawn.
 *
 * @typedef {object} Strip
 * @property {object} card - the metric's, {unit, direction}
 * @property {object} axis - of `axisOf`
 * @property {(number|null)[]} numbers - one each second, of the stem
 * @property {{mixture: (number|null)[], oracle: (number|null)[]}} beside - of what is drawn as lines
 * @property {number|null} middle - the numbers' median
 * @property {number} hop - seconds a number
 * @property {[number, number]} view - seconds from the stage's start
 * @property {number|null} marked - the second that is pointed at
 * @property {object} colours - worse, middle, better, plain, text, dim, line, lane, mixture
 * @property {string} font - family
 */

/** @param {HTMLCanvasElement} canvas @param {Strip} strip */
export function paint(canvas, strip) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const { numbers, hop, view, axis, colours } = strip;
  const scale = width / (view[1] - view[0]);
  const x = (seconds) => (seconds - view[0]) * scale;
  const together = sharing(width, (view[1] - view[0]) / hop);
  const first = Math.max(0, together * Math.floor(view[0] / hop / together));
  const last = Math.min(numbers.length, Math.ceil(view[1] / hop));
  const place = { x, height, hop, together, first, last };
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  for (const tick of axis.ticks) {
    const y = Math.round(placeOf(tick, axis, height)) + 0.5;
    line(context, [[0, y], [width, y]]);
  }
  bars(context, strip, place);
  for (const [of, style] of [["mixture", { colour: colours.mixture, dash: [5, 4] }], ["oracle", { colour: colours.text, dash: [] }]]) {
    beside(context, strip.beside[of], axis, place, { ...style, around: colours.lane });
  }
  if (strip.marked !== null) {
    context.strokeStyle = colours.text;
    context.lineWidth = 2;
    context.strokeRect(x(strip.marked * hop) + 1, 1, Math.max(2, hop * scale - 2), height - 2);
  }
}

function bars(context, strip, { x, height, hop, together, first, last }) {
  const { card, axis, numbers, colours } = strip;
  const worse = card.direction === "lower" ? Math.max : Math.min;
  const base = placeOf(axis.base, axis, height);
  context.font = `11px ${strip.font}`;
  context.textAlign = "center";
  for (let at = first; at < last; at += together) {
    const known = numbers.slice(at, at + together).filter(isNumber);
    const left = Math.round(x(at * hop)); // whole pixels, or thin bars have seams
    const right = Math.round(x(Math.min(at + together, numbers.length) * hop));
    const gap = right - left > 5 ? 1 : 0;
    if (!known.length) {
      hatch(context, left, right - gap, height, colours.dim);
      continue;
    }
    const y = placeOf(mean(known), axis, height);
    const [top, bottom] = y < base ? [Math.min(y, base - 2), base] : [base, Math.max(y, base + 2)];
    context.fillStyle = colourOf(worse(...known), strip); // one bad second of many must be seen
    context.fillRect(left, top, right - left - gap, bottom - top);
    if (right - left < WIDE || together > 1) continue;
    context.fillStyle = colours.text;
    context.fillText(said(known[0], "", card.unit ? 1 : 2), (left + right) / 2, TOP - 6);
  }
}

function colourOf(value, { card, middle, colours }) {
  if (card.direction === "neither") return colours.plain;
  const better = ((value - middle) / spreadOf(card)) * (card.direction === "lower" ? -1 : 1);
  return mixed(colours.middle, better < 0 ? colours.worse : colours.better, Math.min(1, Math.abs(better)));
}

function hatch(context, left, right, height, colour) {
  context.save();
  context.beginPath();
  context.rect(left, TOP, right - left, height - TOP - FOOT);
  context.clip();
  context.strokeStyle = colour;
  context.globalAlpha = 0.55;
  context.lineWidth = 1;
  const slant = height;
  for (let at = HATCH * Math.floor((left - slant) / HATCH); at < right; at += HATCH) {
    line(context, [[at, height], [at + slant, 0]]);
  }
  context.restore();
}

/** A step a second, with gaps where there is no number; of seconds that share a bar, their mean. */
function beside(context, numbers, axis, { x, height, hop, together, first }, { colour, dash, around }) {
  const runs = [[]];
  for (let at = first; at < numbers.length; at += together) {
    const known = numbers.slice(at, at + together).filter(isNumber);
    if (!known.length) {
      if (runs.at(-1).length) runs.push([]);
      continue;
    }
    const y = placeOf(mean(known), axis, height);
    runs.at(-1).push([x(at * hop), y], [x(Math.min(at + together, numbers.length) * hop), y]);
  }
  const strokes = [[around, 3.5, 0.7], [colour, 1.75, 1]];
  for (const [stroke, thickness, opacity] of strokes) {
    context.save();
    Object.assign(context, { strokeStyle: stroke, lineWidth: thickness, globalAlpha: opacity });
    context.setLineDash(dash);
    for (const run of runs) line(context, run);
    context.restore();
  }
}

function line(context, points) {
  if (!points.length) return;
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points.slice(1)) context.lineTo(...point);
  context.stroke();
}
