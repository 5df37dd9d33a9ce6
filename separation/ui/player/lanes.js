/** What a lane shows on the view's time axis: waveform, spectrogram (a grid of levels, painted here), ruler. */

import { clamp, clock } from "./times.js";

const PIXELS = 600_000; // of the spectrograms of all lanes together: half a byte each as they come over the network

/** A track's waveform and its spectrogram, each on a canvas, both on the view's time axis. */
export class Lane {
  constructor(url, stage, canvas, picture) {
    this.url = url;
    this.stage = stage;
    this.canvas = canvas;
    this.picture = picture;
    this.overview = null;
    this.detail = null;
    this.shown = null; // the levels that are painted: {start, end, width, height, bytes, axis, levels, minus}
    this.asked = { peaks: "", picture: "" };
  }

  /** Peaks of [start, start + length) in samples, as {start, length, points, data}; null if they did not come. */
  async peaks(start, length, points) {
    try {
      const response = await fetch(`${this.url}.peaks?points=${points}&start=${start}&length=${length}`, { cache: "no-store" });
      if (!response.ok) return null;
      const data = new Int8Array(await response.arrayBuffer());
      return { start, length, points: data.length / 2, data };
    } catch {
      return null;
    }
  }

  async loadOverview() {
    this.overview ??= await this.peaks(0, this.stage.length, Math.min(2048, this.stage.length));
    return this.overview;
  }

  /** Whether what is drawn for these samples could be finer. */
  async loadDetail(first, last, pixels) {
    const margin = Math.round((last - first) / 2);
    const start = Math.max(0, first - margin);
    const length = Math.min(this.stage.length, last + margin) - start;
    const points = Math.min(4096, Math.ceil((pixels * length) / (last - first)), length);
    const overviewStep = this.stage.length / (this.overview?.points ?? 1);
    if (this.overview && length / points >= overviewStep) return false;
    const covers = this.detail && this.detail.start <= first && this.detail.start + this.detail.length >= last;
    if (covers && this.detail.length / this.detail.points <= (1.5 * length) / points) return false;
    const key = [start, length, points].join();
    this.asked.peaks = key;
    const detail = await this.peaks(start, length, points);
    if (!detail || this.asked.peaks !== key) return false;
    this.detail = detail;
    return true;
  }

  /** Least and greatest value (±127) between two samples, from the finest peaks that hold them. */
  range(first, last) {
    const inside = (peaks) => peaks && first >= peaks.start && last <= peaks.start + peaks.length;
    const peaks = inside(this.detail) ? this.detail : this.overview;
    if (!peaks) return [0, 0];
    const step = peaks.length / peaks.points;
    const from = clamp(Math.floor((first - peaks.start) / step), 0, peaks.points - 1);
    const to = clamp(Math.ceil((last - peaks.start) / step), from + 1, peaks.points);
    let least = 127;
    let greatest = -127;
    for (let i = from; i < to; i++) {
      least = Math.min(least, peaks.data[2 * i]);
      greatest = Math.max(greatest, peaks.data[2 * i + 1]);
    }
    return [least, greatest];
  }

  /** Draw the waveform; `over`: over that of a longer stage, which stays where this one does not reach. */
  draw(view, origin, scale, colour, over = false) {
    if (!this.overview) return; // what an earlier stage has drawn stays until there is something better
    const [context, width, height] = fitCanvas(this.canvas);
    const rate = this.stage.sample_rate;
    const perPixel = ((view[1] - view[0]) * rate) / width;
    const first = (view[0] - origin) * rate;
    if (over) context.clearRect(Math.ceil(-first / perPixel), 0, Math.ceil(this.stage.length / perPixel), height);
    else context.clearRect(0, 0, width, height);
    const middle = height / 2;
    const thin = Math.max(1, devicePixelRatio / 2);
    context.fillStyle = colour;
    for (let x = 0; x < width; x++) {
      const from = first + x * perPixel;
      if (from + perPixel < 0 || from > this.stage.length) continue;
      const [least, greatest] = this.range(from, from + perPixel);
      const top = clamp(middle - (greatest * scale * middle) / 127, 0, height);
      const bottom = clamp(middle - (least * scale * middle) / 127, 0, height);
      context.fillRect(x, Math.min(top, middle - thin / 2), 1, Math.max(thin, bottom - top));
    }
  }

  /**
   * Ask for the view's spectrogram; the one shown stays, stretched to its own place, until it is here. Whether it came.
   * `axis`, `levels`: what its rows and its bytes mean; `minus`: the track it is compared with, or null; `lanes`: how many.
   */
  async loadPicture(view, origin, { axis, levels, minus, lanes }) {
    const rate = this.stage.sample_rate;
    const start = clamp(Math.floor((view[0] - origin) * rate), 0, this.stage.length - 1);
    const length = clamp(Math.ceil((view[1] - view[0]) * rate), 1, this.stage.length - start);
    const { clientWidth, clientHeight } = this.canvas;
    const fine = Math.min(devicePixelRatio, Math.sqrt(PIXELS / (lanes * Math.max(1, clientWidth * clientHeight))));
    const width = clamp(Math.round(clientWidth * fine), 64, 2048);
    const height = clamp(Math.round(clientHeight * fine), 32, 512);
    const query = `start=${start}&length=${length}&scale=${axis.scale}${minus ? `&minus=${encodeURIComponent(minus)}` : ""}`;
    const source = `${this.url}.levels?${query}&width=${width}&height=${height}`;
    if (this.asked.picture === source) return false;
    this.asked.picture = source;
    const bytes = await this.bytes(source);
    if (this.asked.picture !== source) return false;
    if (bytes?.length !== width * height) {
      this.asked.picture = "failed";
      return false;
    }
    const times = { start: origin + start / rate, end: origin + (start + length) / rate };
    this.shown = { ...times, width, height, bytes, axis, levels, minus, query };
    this.paint();
    this.placePicture(this.view ?? view);
    return true;
  }

  async bytes(source) {
    this.loading?.abort();
    this.loading = new AbortController();
    try {
      const response = await fetch(source, { cache: "no-store", signal: this.loading.signal });
      return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
    } catch {
      return null;
    }
  }

  paint() {
    const { width, height, bytes, levels } = this.shown;
    Object.assign(this.picture, { width, height });
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < bytes.length; i++) pixels[i] = levels.paints[bytes[i]];
    this.picture.getContext("2d").putImageData(image, 0, 0);
  }

  placePicture(view) {
    this.view = view;
    if (!this.shown) return;
    const span = view[1] - view[0];
    this.picture.style.left = `${(100 * (this.shown.start - view[0])) / span}%`;
    this.picture.style.width = `${(100 * (this.shown.end - this.shown.start)) / span}%`;
  }

  /** The level painted at a time and a height (0 to 1) of the lane, in words; empty where nothing is painted. */
  levelAt(seconds, place) {
    const { start, end, width, height, bytes, levels } = this.shown ?? {};
    if (!bytes || seconds < start || seconds > end) return "";
    const column = Math.min(width - 1, Math.floor((width * (seconds - start)) / (end - start)));
    const row = Math.min(height - 1, Math.floor(height * (1 - place)));
    return levels.read(bytes[row * width + column]);
  }
}

/** Size a canvas to its box in device pixels: [context, width, height]. */
function fitCanvas(canvas) {
  const width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  const height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return [canvas.getContext("2d"), width, height];
}

const RULER_STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000,
];

export function drawRuler(canvas, view, colours) {
  const [context, width, height] = fitCanvas(canvas);
  const ratio = devicePixelRatio;
  const span = view[1] - view[0];
  const step = RULER_STEPS.find((each) => (each / span) * width >= 76 * ratio) ?? 36000;
  const minor = step / ([0.2, 2, 20, 0.02, 0.002, 120, 7200].includes(step) ? 4 : 5);
  const digits = step >= 1 ? 0 : Math.ceil(-Math.log10(step) - 1e-9);
  context.clearRect(0, 0, width, height);
  context.font = `${11 * ratio}px ${colours.font}`;
  context.textBaseline = "alphabetic";
  for (let i = Math.floor(view[0] / minor); i * minor <= view[1]; i++) {
    const x = Math.round(((i * minor - view[0]) / span) * width);
    const major = Math.abs((i * minor) / step - Math.round((i * minor) / step)) < 1e-6;
    context.fillStyle = major ? colours.strong : colours.line;
    const tick = (major ? 7 : 4) * ratio;
    context.fillRect(x, height - tick, Math.max(1, Math.floor(ratio)), tick);
    if (!major) continue;
    const label = clock(i * minor, digits);
    const room = width - context.measureText(label).width;
    context.fillStyle = colours.text;
    if (x >= 0 && x + 4 * ratio <= room) context.fillText(label, x + 4 * ratio, height - 9 * ratio);
  }
}
