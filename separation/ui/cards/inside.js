// The basis functions of a model with a learned transform: a sheet of waveforms from low to high, the spectra of all as a heat
// map, and the one that is chosen in both. They belong to the model, not to a recording.

import { at, make } from "./ask.js";

const CELL = [42, 28]; // CSS px of one waveform on the sheet
const ROWS = 12; // of the sheet; where there are more, every second or third waveform is drawn
const SIDES = { encoder: "listens for", decoder: "speaks with" };

export class Inside {
  constructor(found, model) {
    this.found = found;
    this.model = model;
    this.side = "encoder";
    this.chosen = Math.floor(found.shown.length / 2);
    this.build();
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.sheet.parentElement);
    this.themes = new MutationObserver(() => this.draw());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  build() {
    const { found } = this;
    const { shown, count, sample_rate: rate, length } = found;
    const some = shown.length < count ? `, of which ${shown.length} are shown` : "";
    const words = `${count} little waveforms of ${length} samples (${((1000 * length) / rate).toFixed(1)} ms)${some}, from the lowest to the highest. With these the model takes sound apart, and puts it together again.`;
    this.sheet = make("canvas.inside-sheet", { role: "img", "aria-label": `The waveforms of ${shown.length} basis functions, low to high` });
    this.sheet.addEventListener("click", (event) => this.choose(this.cellAt(event)));
    this.slider = make("input", { type: "range", min: 0, max: shown.length - 1, value: this.chosen, "aria-label": "Basis function, from low to high" });
    this.slider.addEventListener("input", () => this.choose(Number(this.slider.value)));
    this.left = make("small.inside-left");
    this.told = make("p.inside-told", { role: "status" });
    this.wave = make("canvas.inside-curve", { role: "img", "aria-label": "Waveform of the chosen basis function" });
    this.spectrum = make("canvas.inside-curve", { role: "img", "aria-label": "Spectrum of the chosen basis function" });
    this.image = make("img", { alt: "Spectra of all basis functions: a column each, low frequencies below", decoding: "async", draggable: false });
    this.mark = make("i");
    const picture = make("div.inside-picture", { onclick: (event) => this.choose(this.columnAt(event)) }, this.image, this.mark);
    this.element = make(
      "div.inside",
      {},
      make("p", {}, words),
      make("p.earshot-quiet", {}, "An example: rows that curve once answer to a voice's fundamental, rows full of ripples to its s and t. Where most of the spectra lie is where this model looks closest."),
      this.sides(),
      make("div", {}, this.sheet, this.left),
      make("label.inside-pick", {}, make("span", {}, "low"), this.slider, make("span", {}, "high")),
      this.told,
      make("div.inside-curves", {}, make("figure", {}, this.wave, make("figcaption", {}, `waveform, ${((1000 * length) / rate).toFixed(1)} ms`)), make("figure", {}, this.spectrum, make("figcaption", {}, `spectrum, 0 to ${rate / 2000} kHz, 50 dB`))),
      make("figure.inside-spectra", {}, make("div", {}, make("span", {}, `${rate / 2000} kHz`), make("span", {}, "0")), picture, make("figcaption", {}, "spectra of all, a column each, from low to high")),
    );
  }

  sides() {
    const buttons = Object.entries(SIDES).map(([side, words]) => {
      const title = `what it ${words}`;
      const button = make("button", { type: "button", title, "aria-pressed": String(side === this.side) }, `${side[0].toUpperCase()}${side.slice(1)}: ${title}`);
      button.addEventListener("click", () => {
        this.side = side;
        for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
        this.draw();
      });
      return button;
    });
    return make("div.inside-sides", { role: "group", "aria-label": "Which half of the transform" }, buttons);
  }

  choose(place) {
    this.chosen = Math.min(Math.max(place, 0), this.found.shown.length - 1);
    this.slider.value = this.chosen;
    this.draw();
  }

  cellAt(event) {
    const box = this.sheet.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * this.columns);
    return (Math.floor((event.clientY - box.top) / CELL[1]) * this.columns + column) * this.every;
  }

  columnAt(event) {
    const box = this.image.getBoundingClientRect();
    return Math.floor(((event.clientX - box.left) / box.width) * this.found.shown.length);
  }

  // -- drawing

  draw() {
    const width = this.sheet.parentElement?.clientWidth;
    if (!width) return;
    const style = getComputedStyle(this.element);
    this.colours = Object.fromEntries(["text", "dim", "line", "accent", "accent-soft"].map((name) => [name, style.getPropertyValue(`--earshot-${name}`)]));
    this.drawSheet(width);
    const { index, hz } = this.found.shown[this.chosen];
    const words = `Basis function ${index}: number ${this.chosen + 1} of ${this.found.shown.length} from below, centred on ${hz < 1000 ? `${hz} Hz` : `${(hz / 1000).toFixed(2)} kHz`}`;
    if (this.told.textContent !== words) this.told.textContent = words;
    this.slider.setAttribute("aria-valuetext", words);
    this.drawCurve(this.wave, this.found[this.side][this.chosen], -100, 100);
    this.drawCurve(this.spectrum, this.found[`${this.side}_db`][this.chosen], -50, 0);
    const source = at("models/spectra.png", { name: this.model, side: this.side }).href;
    if (this.image.src !== source) this.image.src = source;
    this.mark.style.left = `${(100 * (this.chosen + 0.5)) / this.found.shown.length}%`;
  }

  drawSheet(width) {
    const waves = this.found[this.side];
    this.columns = Math.max(1, Math.floor(width / CELL[0]));
    this.every = Math.ceil(waves.length / (this.columns * ROWS));
    this.left.textContent = this.every > 1 ? `One in ${this.every} is drawn here; the slider has them all.` : "";
    const drawn = waves.filter((_, place) => place % this.every === 0);
    const context = prepared(this.sheet, width, Math.ceil(drawn.length / this.columns) * CELL[1]);
    const step = width / this.columns;
    const chosen = Math.floor(this.chosen / this.every);
    for (const [place, wave] of drawn.entries()) {
      const [x, y] = [(place % this.columns) * step, Math.floor(place / this.columns) * CELL[1]];
      if (place === chosen) {
        context.fillStyle = this.colours["accent-soft"];
        context.fillRect(x, y, step, CELL[1]);
        context.strokeStyle = this.colours.accent;
        context.lineWidth = 1.5;
        context.strokeRect(x + 1, y + 1, step - 2, CELL[1] - 2);
      }
      context.strokeStyle = place === chosen ? this.colours.accent : this.colours.text;
      context.lineWidth = 1;
      trace(context, wave, [x + 4, y + 4, step - 8, CELL[1] - 8], -100, 100);
    }
  }

  drawCurve(canvas, values, low, high) {
    const width = canvas.parentElement.clientWidth;
    const context = prepared(canvas, width, 110);
    context.strokeStyle = this.colours.line;
    context.beginPath();
    const base = low < 0 && high > 0 ? 55 : 109.5;
    context.moveTo(0, base);
    context.lineTo(width, base);
    context.stroke();
    context.strokeStyle = this.colours.accent;
    context.lineWidth = 1.6;
    trace(context, values, [2, 4, width - 4, 102], low, high);
  }
}

/** A canvas of this many CSS px, empty, sharp on every screen. */
function prepared(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}

function trace(context, values, [left, top, width, height], low, high) {
  context.beginPath();
  for (const [place, value] of values.entries()) {
    const x = left + (width * place) / Math.max(1, values.length - 1);
    context.lineTo(x, top + (height * (high - value)) / (high - low));
  }
  context.stroke();
}
