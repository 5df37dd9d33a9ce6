/** Small plots with axes as SVG: a few curves over numbers, drawn once. Not interactive, and no time axis of the recording. */

const WIDTH = 360;
const HEIGHT = 172;
const EDGE = { left: 40, right: 10, top: 8, bottom: 34 };
const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const STEPS = [1, 2, 2.5, 5, 10];

/** Round numbers between two, about so many: ticks(0, 4000, 5) -> 0, 1000, … 4000. */
export function ticks(low, high, count = 5) {
  const wanted = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(wanted));
  const step = unit * STEPS.find((each) => each * unit >= wanted * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/**
 * An SVG of curves. `x` and `y` are axes {low, high, label, count}; `curves` are {xs, ys, colour, dashed, filled, title}; y values
 * beyond the axis are drawn on its edge. `label` says in words what is seen.
 */
export function plot({ x, y, curves, label }) {
  const across = (value) => EDGE.left + ((value - x.low) / (x.high - x.low)) * (WIDTH - EDGE.left - EDGE.right);
  const up = (value) => {
    const part = Math.min(1, Math.max(0, (value - y.low) / (y.high - y.low)));
    return HEIGHT - EDGE.bottom - part * (HEIGHT - EDGE.top - EDGE.bottom);
  };
  const floor = up(y.low);
  const path = ({ xs, ys, filled }) => {
    const points = xs.map((value, i) => `${across(value).toFixed(1)} ${up(ys[i]).toFixed(1)}`).join("L");
    return filled ? `M${across(xs[0]).toFixed(1)} ${floor}L${points}L${across(xs.at(-1)).toFixed(1)} ${floor}Z` : `M${points}`;
  };
  const text = (value) => NUMBER.format(value).replace("-", "−");
  const below = ticks(x.low, x.high, x.count).map((at) => {
    return `<line x1="${across(at)}" x2="${across(at)}" y1="${floor}" y2="${floor + 4}"/><text x="${across(at)}" y="${floor + 16}" class="below">${text(at)}</text>`;
  });
  const beside = ticks(y.low, y.high, y.count ?? 3).map((at) => {
    return `<line class="grid" x1="${EDGE.left}" x2="${WIDTH - EDGE.right}" y1="${up(at)}" y2="${up(at)}"/><text x="${EDGE.left - 6}" y="${up(at) + 4}" class="beside">${text(at)}</text>`;
  });
  const drawn = curves.map((curve) => {
    const fill = curve.filled ? `fill="${curve.colour}" fill-opacity="0.18"` : 'fill="none"';
    return `<path d="${path(curve)}" stroke="${curve.colour}" ${curve.dashed ? 'stroke-dasharray="4 3"' : ""} ${fill}/>`;
  });
  const title = label.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">${beside.join("")}${below.join("")}${drawn.join("")}
    <text class="below" x="${(EDGE.left + WIDTH - EDGE.right) / 2}" y="${HEIGHT - 3}">${x.label}</text></svg>`;
}
