/**
 * Blocks and memory: of a model that keeps a block of numbers for each source, the blocks over time, what is remembered of them
 * from chunk to chunk, and how much they depend on each other.
 *
 * Rows are the dimensions of a block in the order in which they tell the sources apart; the server has sorted them. A *look* is
 * the memory at the end of a chunk.
 */

import { clamp, clock } from "../static/times.js";
import { cells, colourTable, fit, painted } from "./painting.js";
import { plot } from "./plots.js";
import { View, make } from "./view.js";

const MODES = {
  means: { title: "Blocks", hint: "The block of each source, frame by frame; dark where it is silent" },
  "memory-mean": { title: "Memory: mean", hint: "What the model takes for usual of each source, chunk by chunk" },
  "memory-spread": { title: "Memory: spread", hint: "How far the source's numbers usually lie from that" },
};
const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 2, minimumFractionDigits: 2 });
const figure = (value) => NUMBER.format(value).replace("-", "−");

const CONTENT = `
<p class="none" hidden></p>
<div class="all" hidden>
  <div class="facts"><p class="dim"></p>
    <div class="modes" role="group" aria-label="What the maps show">
      ${Object.entries(MODES).map(([mode, { title, hint }]) => `<button type="button" class="button" data-mode="${mode}" title="${hint}">${title}</button>`).join("")}
    </div></div>
  <div class="maps"></div>
  <div class="figures">
    <figure class="matrix"><h4>Dependence</h4><div class="square"><canvas role="img"></canvas></div><figcaption></figcaption></figure>
    <figure class="profile"><h4>Remembered at the cursor</h4><div></div><figcaption></figcaption></figure>
    <figure class="apart"><h4>How far apart the memory holds them</h4><div></div><figcaption></figcaption></figure>
  </div>
  <p class="keep dim"></p>
</div>
<div class="tip" hidden></div>`;

const MAP = `<div class="gutter"><p class="who"><span class="chip"></span><span class="label"></span></p>
  <div class="legend"><span></span><i></i><span></span></div><p class="dim mean"></p></div>
  <div class="lane heat signed"><canvas></canvas></div>`;

export default class Blocks extends View {
  static title = "Blocks and memory";
  static about =
    "The model describes each source by a block of numbers and remembers what they are usually like, so that a voice keeps its " +
    "track after a pause. Rows are these numbers, those that tell the sources apart most at the top; orange is above zero, blue below.";
  static example =
    "Two people talk, are both silent for five seconds, and talk again. Before the pause the upper rows of one map are orange where " +
    "those of the other are blue, and so they are after it: each voice has come back to its own track. Under “Memory: mean” the same " +
    "colours settle within the first chunks; a voice that is silent keeps its colours, because nothing new is learnt of it.";
  static sees = "views";

  #data = null;
  #mode = "means";
  #asked = 0;
  #look = -1;
  #maps = new Map(); // by source

  build() {
    this.content.innerHTML = CONTENT;
    const find = (selector) => this.content.querySelector(selector);
    const names = ["all", "none", "maps", "modes", "square", "profile", "apart", "keep", "tip"];
    this.ui = Object.fromEntries(names.map((name) => [name, find(`.${name}`)]));
    this.ui.facts = find(".facts p");
    this.ui.matrix = find(".matrix figcaption");
    for (const button of this.ui.modes.children) button.onclick = () => this.setMode(button.dataset.mode);
  }

  async stageChanged(stage) {
    const asked = ++this.#asked;
    this.ui.all.hidden = !stage.blocks;
    this.ui.none.hidden = Boolean(stage.blocks);
    if (!stage.blocks) {
      this.#data = null;
      this.ui.none.textContent = `There are no blocks to look at: ${this.player.record?.model ?? "this model"} keeps none. Separate the recording with a model that does, such as disentangled.`;
      return;
    }
    const url = `${this.stageUrl}/blocks`;
    const names = [...Object.keys(MODES), "active", "correlation"];
    const [record, ...bytes] = await Promise.all([this.ask(url), ...names.map((name) => cells(`${url}/${name}.cells`))]);
    if (asked !== this.#asked || !this.isConnected) return; // another stage has come meanwhile
    const tables = { signed: colourTable(record.colours.signed), plain: colourTable(record.colours.plain) };
    this.#data = { url, record, tables, origin: this.bounds[0], ...Object.fromEntries(names.map((name, i) => [name, bytes[i]])) };
    this.#look = -1;
    this.showModel();
    this.setMode(this.#mode);
    this.drawMatrix();
    this.drawApart();
    this.cursorMoved(this.player.cursor);
  }

  viewChanged() {
    this.draw();
    if (this.#data) this.drawMatrix();
  }

  cursorMoved(seconds) {
    if (!this.#data) return;
    const look = this.lookAt(seconds);
    if (look !== this.#look) this.drawProfile(look);
  }

  closed() {
    this.#asked++;
    cancelAnimationFrame(this.frame);
  }

  // -- what there is

  get sources() {
    return this.inOrder(this.#data.record.sources);
  }

  colour(source) {
    return this.player.colourOf(source) || "var(--accent)";
  }

  /** The look whose chunk a time lies in. */
  lookAt(seconds) {
    const { record, origin } = this.#data;
    const at = record.times.findIndex((time) => seconds - origin < time);
    return at < 0 ? record.times.length - 1 : at;
  }

  showModel() {
    const { record, url } = this.#data;
    const passes = record.kept
      ? `What is usual of them is remembered from chunk to chunk; there ${record.times.length === 1 ? "is one chunk" : `are ${record.times.length} chunks`} here.`
      : "This model has no memory: what is shown as one is that of each chunk alone, and nothing keeps the order of the sources.";
    this.ui.facts.textContent = `Each source is a block of ${record.dimensions} numbers a frame. ${passes}`;
    this.#maps.clear();
    this.ui.maps.replaceChildren(...this.sources.map((source) => this.makeMap(source)));
    const link = make("a", { href: `${url}/memory`, textContent: "Save what is remembered", download: "memory.safetensors" });
    const use = make("code", { textContent: "earshot separate OTHER.wav --output stems --model MODEL --memory memory.safetensors" });
    const parts = [link, " to go on with the same voices in another recording: ", use];
    this.ui.keep.replaceChildren(...(record.kept ? parts : []));
  }

  makeMap(source) {
    const row = make("div", { className: "row", dataset: { source } });
    row.innerHTML = MAP;
    const find = (selector) => row.querySelector(selector);
    find(".label").textContent = source;
    row.style.setProperty("--track", this.colour(source));
    const [low, high] = find(".legend").querySelectorAll("span");
    const lane = find(".lane");
    lane.addEventListener("pointermove", (event) => this.point(lane, source, event));
    lane.addEventListener("pointerleave", () => (this.ui.tip.hidden = true));
    this.#maps.set(source, { lane, low, high, scale: find(".legend i"), mean: find(".mean"), canvas: find("canvas"), image: null });
    return row;
  }

  setMode(mode) {
    this.#mode = mode;
    for (const button of this.ui.modes.children) button.setAttribute("aria-pressed", button.dataset.mode === mode);
    if (!this.#data) return;
    const { record, tables, active } = this.#data;
    const signed = mode !== "memory-spread";
    const columns = mode === "means" ? record.columns : record.times.length;
    for (const [source, map] of this.#maps) {
      const at = record.sources.indexOf(source);
      map.low.textContent = signed ? figure(-this.top(mode)) : "0";
      map.high.textContent = figure(this.top(mode));
      const colours = signed ? record.colours.signed : record.colours.plain;
      map.scale.style.background = `linear-gradient(to right, ${colours.map((colour) => `#${colour}`).join(", ")})`;
      const heard = active.subarray(at * record.columns, (at + 1) * record.columns).reduce((sum, level) => sum + level, 0);
      map.mean.textContent =
        mode === "means"
          ? `has ${Math.round((100 * heard) / (255 * record.columns))} % of the sound`
          : `${figure(record.seconds[at].at(-1))} s of it remembered in the end`;
      map.lane.setAttribute("aria-label", `${MODES[mode].title} of ${source}: ${MODES[mode].hint}`);
      const size = record.dimensions * columns;
      const levels = this.#data[mode].subarray(at * size, (at + 1) * size);
      map.image = painted(levels, record.dimensions, columns, signed ? tables.signed : tables.plain);
    }
    this.draw();
  }

  // -- the maps

  draw() {
    cancelAnimationFrame(this.frame);
    if (this.#data) this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const { record, origin } = this.#data;
    const [start, end] = this.player.visible;
    for (const { canvas, image } of this.#maps.values()) {
      const [context, width, height] = fit(canvas);
      context.clearRect(0, 0, width, height);
      context.imageSmoothingEnabled = false;
      const place = (seconds) => (width * (origin + seconds - start)) / (end - start);
      if (this.#mode === "means") {
        context.drawImage(image, place(0), 0, place(record.duration) - place(0), height);
      } else {
        record.times.forEach((time, look) => {
          const from = look ? record.times[look - 1] : 0;
          context.drawImage(image, look, 0, 1, image.height, place(from), 0, place(time) - place(from) + 0.5, height);
        });
      }
    }
  }

  /** Say what lies under the pointer: time, dimension, value. */
  point(lane, source, event) {
    const { tip } = this.ui;
    const { record, origin } = this.#data;
    const seconds = this.secondsAt(lane, event.clientX);
    const inside = seconds >= origin && seconds < origin + record.duration;
    tip.hidden = event.pointerType === "touch" || !inside;
    if (tip.hidden) return;
    const { top, height } = lane.getBoundingClientRect();
    const row = clamp(Math.floor(((event.clientY - top) / height) * record.dimensions), 0, record.dimensions - 1);
    const means = this.#mode === "means";
    const columns = means ? record.columns : record.times.length;
    const column = means ? Math.floor(((seconds - origin) / record.duration) * columns) : this.lookAt(seconds);
    const values = this.sources.map((each) => `${each}: ${figure(this.value(each, row, column, columns))}`).join(" · ");
    tip.replaceChildren(
      make("b", { textContent: `${clock(seconds, 2)} · ${source}, row ${row + 1} of ${record.dimensions} (dimension ${record.order[row] + 1})` }),
      "\n",
      make("span", { textContent: `${MODES[this.#mode].title.toLowerCase()}: ${values}` }),
    );
    const box = this.content.getBoundingClientRect();
    const left = clamp(event.clientX - box.left + 14, 0, box.width - tip.offsetWidth);
    tip.style.transform = `translate(${left}px, ${Math.max(0, event.clientY - box.top - tip.offsetHeight - 12)}px)`;
  }

  value(source, row, column, columns, mode = this.#mode) {
    const { record } = this.#data;
    const at = record.sources.indexOf(source) * record.dimensions + row;
    const level = this.#data[mode][at * columns + column];
    return mode === "memory-spread" ? (level / 255) * this.top(mode) : ((level - 128) / 127) * this.top(mode);
  }

  /** The value of the brightest colour. */
  top(mode) {
    const { record } = this.#data;
    return { means: record.top, "memory-mean": record.memory_top, "memory-spread": record.spread_top }[mode];
  }

  // -- the figures

  drawMatrix() {
    const { record, tables, correlation } = this.#data;
    const size = record.sources.length * record.dimensions;
    const canvas = this.ui.square.querySelector("canvas");
    const [context, width, height] = fit(canvas);
    context.imageSmoothingEnabled = false;
    context.drawImage(painted(correlation, size, size, tables.signed), 0, 0, width, height);
    context.strokeStyle = "#ffffff";
    context.lineWidth = 2 * devicePixelRatio;
    for (let at = 1; at < record.sources.length; at++) {
      const place = (width * at) / record.sources.length;
      context.beginPath();
      context.moveTo(place, 0);
      context.lineTo(place, height);
      context.moveTo(0, place);
      context.lineTo(width, place);
      context.stroke();
    }
    canvas.setAttribute("aria-label", `Correlations of all dimensions of all blocks; ${figure(record.between)} on average between blocks, ${figure(record.within)} inside them`);
    const share = 100 / record.sources.length;
    const labels = record.sources.flatMap((source, at) => {
      const beside = make("span", { className: "beside", textContent: source });
      const below = make("span", { className: "below", textContent: source });
      Object.assign(beside.style, { top: `${share * at}%`, height: `${share}%` });
      Object.assign(below.style, { left: `${share * at}%`, width: `${share}%` });
      return [beside, below];
    });
    for (const old of this.ui.square.querySelectorAll("span")) old.remove();
    this.ui.square.append(...labels);
    const scale = `<i class="scale" style="background: linear-gradient(to right, ${record.colours.signed.map((colour) => `#${colour}`).join(", ")})"></i>`;
    this.ui.matrix.innerHTML =
      `Correlation −1${scale}1 of every two numbers. Inside a block (on the diagonal) anything is allowed; between blocks dark is ` +
      `best: there it is ${figure(record.between)} on average, ${figure(record.within)} inside. As Gaussians the blocks tell ${figure(record.dependence)} nats of each other.`;
  }

  /** Mean and spread of every dimension as the memory has them at the cursor. */
  drawProfile(look) {
    this.#look = look;
    const { record, origin } = this.#data;
    const columns = record.times.length;
    const rows = Array.from({ length: record.dimensions }, (_, row) => row);
    const xs = rows.map((row) => row + 1);
    const curves = this.sources.flatMap((source) => {
      const mean = rows.map((row) => this.value(source, row, look, columns, "memory-mean"));
      const spread = rows.map((row) => this.value(source, row, look, columns, "memory-spread"));
      const colour = this.colour(source);
      return [
        { xs, ys: mean, colour },
        ...[-1, 1].map((sign) => ({ xs, ys: mean.map((value, row) => value + sign * spread[row]), colour, dashed: true })),
      ];
    });
    const most = Math.max(0.5, ...curves.flatMap(({ ys }) => ys.map(Math.abs)));
    const [box, caption] = [this.ui.profile.querySelector("div"), this.ui.profile.querySelector("figcaption")];
    box.innerHTML = plot({
      label: `Mean and spread of the ${record.dimensions} numbers of each source, as they are remembered`,
      x: { low: 1, high: record.dimensions, label: "row, from the top" },
      y: { low: -most, high: most, count: 4 },
      curves,
    });
    const names = this.sources.map((source) => {
      const name = make("span", { textContent: `${source}, ${figure(record.seconds[record.sources.indexOf(source)][look])} s` });
      name.style.setProperty("--key", this.colour(source));
      return name;
    });
    const until = ` Mean, and dashed one spread around it, after ${clock(origin + record.times[look], 1)}. Where the curves lie apart, these rows tell the sources apart.`;
    caption.replaceChildren(...names, until);
  }

  drawApart() {
    const { record, origin } = this.#data;
    const [box, caption] = [this.ui.apart.querySelector("div"), this.ui.apart.querySelector("figcaption")];
    const { times, apart } = record;
    if (times.length < 2) {
      box.replaceChildren();
      caption.textContent = `One chunk only: the two lie ${figure(apart[0])} nats apart.`;
      return;
    }
    box.innerHTML = plot({
      label: `How many nats a frame the memory holds the sources apart, over time; ${figure(apart.at(-1))} in the end`,
      x: { low: origin, high: origin + record.duration, label: "seconds" },
      y: { low: 0, high: Math.max(1, ...apart) * 1.05 },
      curves: [{ xs: times.map((time) => origin + time), ys: apart, colour: "var(--accent)" }],
    });
    caption.textContent =
      `Nats by which a frame of one source is unlike what is remembered of another: ${figure(apart.at(-1))} in the end. The higher, the surer ` +
      "the model is of who comes back after a pause.";
  }
}

if (!customElements.get("earshot-view-blocks")) customElements.define("earshot-view-blocks", Blocks);
