/**
 * Inside the model: for every source a map of its masks (rows are basis functions, from low to high), what the mixture puts
 * through them, how undecided the model is, and one basis function or a band of them at a time, drawn and heard alone.
 *
 * The maps are the cells of the grid that the job has kept, fetched once and painted here: zooming asks nobody. A *place* is a
 * basis function's number from low to high, its *index* the model's own number, a *row* what of the grid shows it.
 */

import { clamp, clock } from "../static/times.js";
import { cells, colourTable, fit } from "./painting.js";
import { plot } from "./plots.js";
import { View, make } from "./view.js";

const AXIS_HZ = [1000, 100, 10000, 200, 500, 2000, 5000, 3000, 300, 1500, 4000, 6000, 8000, 20000, 15000, 1250, 750]; // the first first
const AXIS_ROOM = 17; // pixels between two of its marks
const LONGEST = 15; // seconds of an edit that is heard at once
const BEFORE = 3; // of them before the cursor
const DRAG = 8; // pixels that make a band of rows, or a stretch of time
const FAINTEST_DB = -60; // of a spectrum

const hertz = (hz) => (hz < 1000 ? `${Math.round(hz)} Hz` : `${(hz / 1000).toFixed(hz < 10000 ? 2 : 1)} kHz`);
const span = (seconds) => (seconds < 0.1 ? `${(1000 * seconds).toFixed(0)} ms` : `${seconds.toFixed(2)} s`);
const figure = (value) => (value >= 10 ? value.toFixed(0) : value.toFixed(2));

const CONTENT = `
<p class="none" hidden></p>
<div class="all" hidden>
  <div class="facts"><p class="dim"></p>
    <div class="modes" role="group" aria-label="What the maps show" hidden>
      <button type="button" class="button" data-mode="mask" title="The mask itself: what the latent is multiplied with">Masks</button>
      <button type="button" class="button" data-mode="share" title="Each source's part of the sum of all masks: who gets it, however loud">Shares</button>
    </div></div>
  <div class="maps"></div>
  <section class="chosen" aria-label="The chosen basis function">
    <header>
      <div class="title"><h3></h3><p class="dim"></p></div>
      <div class="step"><button type="button" class="icon" data-step="-1" title="Lower (arrow down)" aria-label="Lower">↓</button>
        <button type="button" class="icon" data-step="1" title="Higher (arrow up)" aria-label="Higher">↑</button></div>
      <div class="sources" role="group" aria-label="Source that is heard"></div>
      <div class="act"><button type="button" class="button strong hear"></button><button type="button" class="button mute"></button></div>
    </header>
    <p class="note dim" role="status"></p>
    <div class="figures"></div>
  </section>
</div>
<div class="tip" hidden></div>`;

const MAP = `<div class="gutter"><p class="who"><span class="chip"></span><span class="label"></span></p>
  <div class="legend"><span></span><i></i><span></span></div><p class="dim mean"></p><a class="save" download>Save as picture</a></div>
  <div class="lane heat" tabindex="0" role="slider" aria-orientation="vertical" aria-valuemin="1"><canvas></canvas><div class="axis" aria-hidden="true"></div>
  <div class="band"></div></div>`;
const CURVE = `<div class="gutter"><p class="who"><span class="label">Undecided?</span></p><p class="dim mean"></p></div>
  <div class="lane curve"><canvas></canvas></div>`;

export default class Masks extends View {
  static title = "Inside the model";
  static about =
    "The model splits the sound into many small building blocks, its basis functions, low ones at the bottom; each map shows how " +
    "much of every block, at every moment, goes to one source: the brighter, the more.";
  static example =
    "In the voice's map of a song, the bright stripes between 200 and 800 Hz are the voice's harmonics: they bend as the pitch " +
    "moves. Click one and press “Hear it alone”: a single thin tone of the voice is left. Where the same rows are bright in the " +
    "other map, the music has taken them. A model with learned basis functions has short waveforms for rows instead of tones; a row " +
    "that stays bright from beginning to end is a waveform that the model keeps for that source.";
  static sees = "views";

  #data = null;
  #chosen = null; // {source, low, high}: places
  #mode = "mask";
  #heard = { key: "", job: null };
  #asked = 0;
  #maps = new Map(); // by source, "" for the mixture's activations

  build() {
    this.content.innerHTML = CONTENT;
    const find = (selector) => this.content.querySelector(selector);
    const names = ["all", "none", "maps", "chosen", "modes", "sources", "hear", "mute", "note", "figures", "tip"];
    this.ui = Object.fromEntries(names.map((name) => [name, find(`.${name}`)]));
    this.ui.facts = find(".facts p");
    for (const button of this.ui.modes.children) button.onclick = () => this.setMode(button.dataset.mode);
    for (const button of find(".step").children) button.onclick = () => this.step(Number(button.dataset.step));
    this.ui.hear.onclick = () => this.hear();
    this.ui.mute.onclick = () => this.hand("mute");
  }

  async stageChanged(stage) {
    if (!stage.latents) {
      this.showNothing();
      return;
    }
    const asked = ++this.#asked;
    this.waiting?.abort();
    const url = `${this.stageUrl}/latents`;
    const record = await this.ask(url);
    record.sources = this.inOrder(record.sources);
    record.histograms = record.sources.map((source) => record.histograms.find((each) => each.source === source));
    const paths = record.sources.map((source) => `masks/${encodeURIComponent(source)}`);
    const [activations, ...masks] = await Promise.all(["activations", ...paths].map((path) => cells(`${url}/${path}.cells`)));
    if (asked !== this.#asked || !this.isConnected) return; // another stage has come meanwhile
    const before = this.#data;
    this.#data = {
      url,
      record,
      activations,
      origin: this.bounds[0],
      masks: Object.fromEntries(record.sources.map((source, i) => [source, masks[i]])),
      powers: Float64Array.from({ length: 256 }, (_, level) => 10 ** ((record.floor_db / 10) * (1 - level / 255))),
    };
    const same = before && String([before.record.order, before.record.sources]) === String([record.order, record.sources]);
    if (!same) this.showModel();
    this.paint();
    this.showEntropy();
    const source = this.separate[0] ?? record.sources[0];
    const place = record.loudest[source];
    this.choose(same ? this.#chosen : { source, low: place, high: place });
  }

  viewChanged() {
    this.draw();
  }

  closed() {
    this.#asked++;
    this.waiting?.abort();
    cancelAnimationFrame(this.frame);
  }

  // -- the model

  /** "basis function" or "bin": what this model's rows are. */
  word(count = 1) {
    return `${this.#data.record.bins ? "bin" : "basis function"}${count === 1 ? "" : "s"}`;
  }

  /** The sources that are tracks: who asked for some only can hear those alone. */
  get separate() {
    return this.#data.record.sources.filter((source) => this.stage.tracks.includes(source));
  }

  showNothing() {
    this.#asked++;
    this.#data = null;
    this.ui.all.hidden = true;
    this.ui.none.hidden = false;
    this.ui.none.textContent =
      `There is nothing inside to look at: ${this.player.record?.model ?? "this model"} works on the waveform itself, without masks, or ran ` +
      "before they were kept. Separate the recording with vocals or speakers (choose the model above): their masks are kept and shown here.";
  }

  showModel() {
    const { record } = this.#data;
    const { ui } = this;
    ui.none.hidden = true;
    ui.all.hidden = false;
    const count = record.order.length;
    const kind = record.bins
      ? `It masks a spectrogram: ${count} bins of ${(record.sample_rate / 2 / (count - 1)).toFixed(1)} Hz.`
      : `It has learned ${count} basis functions, sorted by the mean frequency of what they listen for.`;
    const most = `90 % of this recording's energy passes through ${record.carrying} of them.`;
    const loud = record.mask_top > 1 ? ` Its masks reach ${figure(record.mask_top)}: above 1 they amplify.` : "";
    ui.facts.textContent = `${kind} ${most}${loud} Click a row to choose it, drag up or down to choose several. A column is ${span(record.duration / record.columns)}.`;
    ui.modes.hidden = record.shares;
    this.#maps.clear();
    ui.maps.replaceChildren(...[...record.sources, ""].map((source) => this.makeMap(source)), this.makeCurve());
    ui.sources.replaceChildren(
      ...this.separate.map((source) => {
        const button = make("button", { type: "button", className: "button", textContent: source, dataset: { source } });
        button.onclick = () => this.choose({ ...this.#chosen, source });
        return button;
      }),
    );
    ui.sources.hidden = this.separate.length < 2;
    this.setMode(record.shares ? "mask" : this.#mode);
  }

  makeMap(source) {
    const row = make("div", { className: "row", dataset: { source } });
    row.innerHTML = MAP;
    const find = (selector) => row.querySelector(selector);
    find(".label").textContent = source || "mixture";
    row.style.setProperty("--track", this.player.colourOf(source || "mixture") || "var(--track-residual)");
    const { record, url } = this.#data;
    const [low, high] = find(".legend").querySelectorAll("span");
    const scale = `linear-gradient(to right, ${record.colours.map((colour) => `#${colour}`).join(", ")})`;
    find(".legend i").style.background = scale;
    if (!source) {
      low.textContent = `−${-record.floor_db} dB`;
      high.textContent = "0 dB";
      find(".mean").textContent = "what goes in; 0 dB is the strongest";
    }
    const lane = find(".lane");
    lane.setAttribute("aria-valuemax", record.order.length);
    lane.setAttribute("aria-label", source ? `${this.word()} of ${source}` : `${this.word()} of the mixture`);
    lane.onkeydown = (event) => this.key(event, source);
    this.rows(lane, source);
    find(".save").onclick = (event) => {
      const [start, end] = this.player.visible;
      const query = new URLSearchParams({ offset: start - this.#data.origin, duration: end - start, width: 2048, height: 512 });
      if (source && this.#mode === "share") query.set("weighting", "share");
      event.currentTarget.href = `${url}/${source ? `masks/${encodeURIComponent(source)}` : "activations"}.png?${query}`;
      event.currentTarget.download = `${source || "mixture"} ${source ? this.#mode : "activations"}.png`;
    };
    this.#maps.set(source, { row, lane, canvas: find("canvas"), band: find(".band"), axis: find(".axis"), high, low, mean: find(".mean"), image: null });
    return row;
  }

  makeCurve() {
    const row = make("div", { className: "row" });
    row.innerHTML = CURVE;
    this.curve = { lane: row.querySelector(".lane"), canvas: row.querySelector("canvas"), mean: row.querySelector(".mean") };
    return row;
  }

  setMode(mode) {
    this.#mode = mode;
    for (const button of this.ui.modes.children) button.setAttribute("aria-pressed", button.dataset.mode === mode);
    for (const [source, { low, high, mean }] of this.#maps) {
      if (!source) continue;
      low.textContent = "0";
      const top = mode === "share" ? 1 : this.#data.record.paint_top;
      high.textContent = top === this.#data.record.mask_top || mode === "share" ? String(top) : `${figure(top)} and more`;
      mean.textContent = mode === "share" ? "part of the sum of all masks" : "mask: what it is multiplied with";
    }
    this.paint();
  }

  showEntropy() {
    const { entropy, sources } = this.#data.record;
    const { mean } = this.curve;
    if (entropy.mean === null) mean.textContent = sources.length < 2 ? "one source: nothing to decide" : "nothing sounds";
    else mean.textContent = `entropy ${entropy.mean.toFixed(2)} on average; bottom (0): all to one source, top (1): the same to each`;
  }

  // -- the maps

  /** The colour number of every cell of a map, 0 to 255. */
  levels(source) {
    const { record, masks, activations } = this.#data;
    if (!source) return activations;
    if (this.#mode === "share") return masks[source].map((_, at) => Math.round(255 * this.share(source, at)));
    if (record.paint_top === record.mask_top) return masks[source];
    return masks[source].map((value) => Math.min(255, Math.round((value * record.mask_top) / record.paint_top)));
  }

  share(source, at) {
    const { record, masks } = this.#data;
    let total = 0;
    for (const each of record.sources) total += masks[each][at];
    return total ? masks[source][at] / total : 1 / record.sources.length;
  }

  /** Paint every map once, a pixel a cell; `draw` stretches that over what is visible. */
  paint() {
    if (!this.#data) return;
    const { record } = this.#data;
    const { rows, columns } = record;
    const table = colourTable(record.colours);
    for (const [source, map] of this.#maps) {
      const levels = this.levels(source);
      const pixels = new Uint32Array(rows * columns);
      for (let row = 0; row < rows; row++) {
        const from = (rows - 1 - row) * columns; // the lowest row is drawn last
        for (let column = 0; column < columns; column++) pixels[row * columns + column] = table[levels[from + column]];
      }
      map.image ??= document.createElement("canvas");
      Object.assign(map.image, { width: columns, height: rows });
      map.image.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), columns, rows), 0, 0);
    }
    this.draw();
  }

  draw() {
    cancelAnimationFrame(this.frame);
    if (this.#data) this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const { record, origin } = this.#data;
    const [start, end] = this.player.visible;
    const perSecond = record.columns / record.duration;
    for (const { canvas, image, axis, lane } of this.#maps.values()) {
      const [context, width, height] = fit(canvas);
      context.clearRect(0, 0, width, height);
      const across = (end - start) * perSecond;
      context.imageSmoothingEnabled = across > width / 4; // far in, a cell is a block with edges
      context.drawImage(image, (start - origin) * perSecond, 0, across, record.rows, 0, 0, width, height);
      this.showAxis(axis, lane.clientHeight);
    }
    this.drawCurve(start, end);
  }

  showAxis(axis, height) {
    const { hz } = this.#data.record;
    if (axis.dataset.height === String(height)) return;
    axis.dataset.height = height;
    const taken = [-AXIS_ROOM / 2, height + AXIS_ROOM / 2];
    const marks = AXIS_HZ.flatMap((frequency) => {
      const place = hz.findIndex((each) => each >= frequency);
      if (place < 0 || (place === 0 && hz[0] > frequency * 1.1)) return [];
      const y = height * this.heightOf(place);
      if (taken.some((other) => Math.abs(other - y) < AXIS_ROOM)) return [];
      taken.push(y);
      const mark = make("span", { textContent: frequency < 1000 ? `${frequency} Hz` : `${frequency / 1000} kHz` });
      mark.style.bottom = `${y}px`;
      return [mark];
    });
    axis.replaceChildren(...marks);
  }

  drawCurve(start, end) {
    const { entropy } = this.#data.record;
    const { origin } = this.#data;
    const [context, width, height] = fit(this.curve.canvas);
    const style = getComputedStyle(this.curve.canvas);
    context.clearRect(0, 0, width, height);
    context.strokeStyle = style.color;
    context.lineWidth = 1.5 * devicePixelRatio;
    context.beginPath();
    let pen = false;
    entropy.entropy.forEach((value, i) => {
      const x = (width * (origin + (i + 0.5) * entropy.step - start)) / (end - start);
      if (value === null) pen = false;
      else if (pen) context.lineTo(x, height - 3 - value * (height - 6));
      else context.moveTo(x, height - 3 - value * (height - 6));
      pen = value !== null;
    });
    context.stroke();
  }

  // -- pointers and keys

  placeAt(lane, y) {
    const { top, height } = lane.getBoundingClientRect();
    const { edges, rows } = this.#data.record;
    const at = clamp((1 - (y - top) / height) * rows, 0, rows - 1e-6);
    const row = Math.floor(at);
    return edges[row] + Math.floor((at - row) * (edges[row + 1] - edges[row]));
  }

  /** Where a basis function begins, from below: 0 to 1. */
  heightOf(place) {
    const { edges, rows } = this.#data.record;
    const row = this.rowOf(place);
    return place === edges[rows] ? 1 : (row + (place - edges[row]) / (edges[row + 1] - edges[row])) / rows;
  }

  /** A click chooses the row under it, a drag up or down a band of them; time is the player's, which reads the same pointers. */
  rows(lane, source) {
    let from = null;
    const band = (event) => {
      const edges = [this.placeAt(lane, from.y), this.placeAt(lane, event.clientY)].sort((a, b) => a - b);
      this.choose({ source: this.separate.includes(source) ? source : this.#chosen.source, low: edges[0], high: edges[1] }, false);
    };
    lane.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = { x: event.clientX, y: event.clientY, rows: false };
    });
    lane.addEventListener("pointermove", (event) => {
      this.point(lane, source, event);
      if (!from || event.buttons === 0) return;
      from.rows ||= Math.abs(event.clientY - from.y) >= DRAG;
      if (from.rows) band(event);
    });
    lane.addEventListener("pointerup", (event) => {
      if (!from) return;
      if (!from.rows && Math.abs(event.clientX - from.x) < DRAG) band({ clientY: from.y });
      from = null;
      this.choose(this.#chosen);
    });
    lane.addEventListener("pointercancel", () => (from = null));
    lane.addEventListener("pointerleave", () => (this.ui.tip.hidden = true));
  }

  /** Say what lies under the pointer: time, basis function, masks. */
  point(lane, source, event) {
    const { tip } = this.ui;
    const { record, origin } = this.#data;
    const seconds = this.secondsAt(lane, event.clientX);
    const column = Math.floor(((seconds - origin) / record.duration) * record.columns);
    tip.hidden = event.pointerType === "touch" || column < 0 || column >= record.columns;
    if (tip.hidden) return;
    const place = this.placeAt(lane, event.clientY);
    const at = this.rowOf(place) * record.columns + column;
    const db = record.floor_db * (1 - this.#data.activations[at] / 255);
    const values = record.sources.map((each) => `${each}: ${figure(this.value(each, at))}`).join(" · ");
    const level = this.#data.activations[at] ? `−${(-db).toFixed(0)} dB`.replace("−0", "0") : `under −${-record.floor_db} dB`;
    tip.replaceChildren(
      make("b", { textContent: `${clock(seconds, 2)} · ${this.word()} ${place + 1} of ${record.order.length}, ${hertz(record.hz[place])}` }),
      "\n",
      make("span", { textContent: `${this.#mode === "share" ? "share" : "mask"} of ${values}` }),
      "\n",
      make("span", { textContent: `mixture: ${level}` }),
    );
    const box = this.content.getBoundingClientRect();
    const left = clamp(event.clientX - box.left + 14, 0, box.width - tip.offsetWidth);
    const top = event.clientY - box.top - tip.offsetHeight - 12;
    tip.style.transform = `translate(${left}px, ${Math.max(0, top)}px)`;
  }

  value(source, at) {
    const { record, masks } = this.#data;
    return this.#mode === "share" ? this.share(source, at) : (masks[source][at] / 255) * record.mask_top;
  }

  rowOf(place) {
    return this.#data.record.edges.findLastIndex((first, row) => first <= place && row < this.#data.record.rows);
  }

  key(event, source) {
    const page = Math.max(1, Math.round(this.#data.record.order.length / 16));
    const far = this.#data.record.order.length;
    const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: page, PageDown: -page, Home: -far, End: far };
    const step = steps[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || (step === undefined && event.key !== "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    if (this.separate.includes(source)) this.#chosen.source = source;
    if (event.key === "Enter") this.hear();
    else this.step(step, event.shiftKey);
  }

  /** Go on by so many places; `wider` moves the upper edge of the band (or the lower one, downwards) only. */
  step(by, wider = false) {
    const { source, low, high } = this.#chosen;
    const last = this.#data.record.order.length - 1;
    const to = clamp((by > 0 ? high : low) + by, 0, last);
    if (wider) this.choose({ source, low: Math.min(low, to), high: Math.max(high, to) });
    else this.choose({ source, low: to, high: to });
  }

  // -- the chosen basis functions

  choose(chosen, settled = true) {
    this.#chosen = chosen;
    const { record } = this.#data;
    const { low, high, source } = chosen;
    const count = record.order.length;
    const several = high > low;
    const title = this.content.querySelector(".title");
    const word = this.word(several ? 2 : 1);
    const name = `${word[0].toUpperCase()}${word.slice(1)} ${low + 1}${several ? ` to ${high + 1}` : ""} of ${count}`;
    title.querySelector("h3").textContent = `${name}, ${hertz(record.hz[low])}${several ? ` to ${hertz(record.hz[high])}` : ""}`;
    title.querySelector("p").textContent = `mean mask of ${record.sources.map((each) => `${each}: ${figure(this.mean(each, low, high))}`).join(" · ")}`;
    this.ui.hear.textContent = several ? "Hear them alone" : "Hear it alone";
    this.ui.mute.textContent = several ? "Mute these…" : "Mute it…";
    for (const button of this.ui.sources.children) button.setAttribute("aria-pressed", button.dataset.source === source);
    const bottom = this.heightOf(low);
    for (const [each, { band, lane }] of this.#maps) {
      Object.assign(band.style, { bottom: `${100 * bottom}%`, height: `${100 * (this.heightOf(high + 1) - bottom)}%` });
      band.classList.toggle("active", each === source);
      lane.setAttribute("aria-valuenow", low + 1);
      lane.setAttribute("aria-valuetext", title.querySelector("h3").textContent);
    }
    if (settled) this.showBasis();
  }

  /** Mean mask of a source in these rows, weighted with what the mixture puts through them. */
  mean(source, low, high) {
    const { record, masks, activations, powers } = this.#data;
    let [sum, weight] = [0, 0];
    for (let row = this.rowOf(low); row <= this.rowOf(high); row++) {
      const count = Math.min(high + 1, record.edges[row + 1]) - Math.max(low, record.edges[row]);
      for (let at = row * record.columns; at < (row + 1) * record.columns; at++) {
        if (!activations[at]) continue;
        const energy = count * powers[activations[at]];
        sum += energy * masks[source][at];
        weight += energy;
      }
    }
    return weight ? ((sum / weight) * record.mask_top) / 255 : 0;
  }

  /** Of a band, the one that is drawn: the middle one. */
  async showBasis() {
    const { url, record } = this.#data;
    const { source, low, high } = this.#chosen;
    const place = (low + high) >> 1;
    const path = `${url}/basis/${record.order[place]}?source=${encodeURIComponent(source)}`;
    if (this.shownBasis === path) return;
    this.shownBasis = path;
    try {
      const basis = await this.ask(path);
      if (this.shownBasis === path && this.isConnected) this.drawBasis(basis, high > low);
    } catch (error) {
      if (this.shownBasis !== path) return;
      this.shownBasis = null;
      this.say(error);
    }
  }

  drawBasis(basis, several) {
    const { record } = this.#data;
    const colours = { encoder: "var(--accent)", decoder: "var(--text)" };
    const which = several ? ` Drawn: number ${basis.place + 1}, in the middle of them.` : "";
    const figures = [];
    if (basis.encoder && basis.decoder) {
      const sides = ["encoder", "decoder"].map((side) => [side, basis[side]]);
      const key = `<span style="--key: ${colours.encoder}">encoder: listens for it</span><span style="--key: ${colours.decoder}">decoder: speaks with it</span>`;
      const last = Math.max(...sides.map(([, wave]) => wave.time.at(-1))) * 1000;
      figures.push([
        "Waveform",
        `${key}${which}`,
        plot({
          label: `Waveforms of ${this.word()} ${basis.place + 1}: encoder and decoder, each scaled to its own peak`,
          x: { low: 0, high: last, label: "time in ms" },
          y: { low: -1, high: 1, count: 2 },
          curves: sides.map(([side, { time, waveform }]) => {
            const peak = Math.max(...waveform.map(Math.abs)) || 1;
            return { xs: time.map((t) => 1000 * t), ys: waveform.map((value) => value / peak), colour: colours[side], dashed: side === "decoder" };
          }),
        }),
      ]);
      figures.push([
        "Spectrum",
        `Its mean frequency is ${hertz(basis.hz)}; dB below the peak.`,
        plot({
          label: `Spectra of ${this.word()} ${basis.place + 1}, mean frequency ${hertz(basis.hz)}`,
          x: { low: 0, high: record.sample_rate / 2000, label: "frequency in kHz" },
          y: { low: FAINTEST_DB, high: 0 },
          curves: sides.map(([side, { hz, db }]) => ({ xs: hz.map((f) => f / 1000), ys: db, colour: colours[side], dashed: side === "decoder" })),
        }),
      ]);
    } else {
      const what = basis.bin ? `A bin is a tone of ${hertz(basis.hz)} that fades in and out with the transform's window.` : "";
      figures.push(["Waveform", `${what} This separation keeps no waveforms; separate again to see them.`, ""]);
    }
    figures.push(this.histogram());
    this.ui.figures.replaceChildren(
      ...figures.map(([title, caption, svg]) => {
        const box = make("figure", {});
        box.innerHTML = `<h4>${title}</h4>${svg}<figcaption>${caption}</figcaption>`;
        return box;
      }),
    );
  }

  /** How the mixture's energy is spread over the values of each source's mask; every basis function together. */
  histogram() {
    const { histograms } = this.#data.record;
    const top = histograms[0].edges.at(-1);
    const used = histograms.map(({ share }) => share.findLastIndex((part) => part > 0.0005));
    const high = top > 1 ? histograms[0].edges[Math.max(1, ...used) + 1] : top;
    const most = Math.max(0.01, ...histograms.flatMap(({ share }) => share));
    const curves = histograms.map(({ source, edges, share }) => ({
      xs: share.flatMap((_, i) => [edges[i], edges[i + 1]]).map((edge) => Math.min(edge, high)),
      ys: share.flatMap((part) => [100 * part, 100 * part]),
      colour: this.player.colourOf(source) || "var(--accent)",
      filled: true,
    }));
    const svg = plot({
      label: "Histogram of the masks: percent of the mixture's energy by mask value, one curve a source",
      x: { low: 0, high, label: "mask value, all of them together" },
      y: { low: 0, high: 100 * most },
      curves,
    });
    const names = make("span", {});
    for (const [i, { source }] of histograms.entries()) {
      const name = make("span", { textContent: source });
      name.style.setProperty("--key", curves[i].colour);
      names.append(name);
    }
    return ["All masks", `${names.innerHTML} Percent of the mixture's energy. Towers at the ends: the model has decided; a hill between: it is torn.`, svg];
  }

  // -- hearing

  /** What is heard: the selection, or so much around the cursor. */
  stretch() {
    const [first, last] = this.bounds;
    const [start, end] = this.player.selection ?? [this.player.cursor - BEFORE, this.player.cursor - BEFORE + LONGEST];
    const from = clamp(start, first, Math.max(first, this.player.selection ? last : last - LONGEST));
    return [from, Math.min(end, from + LONGEST, last)];
  }

  get rowsChosen() {
    const { source, low, high } = this.#chosen;
    return { source, basis: this.#data.record.order.slice(low, high + 1) };
  }

  hand(what) {
    this.dispatchEvent(new CustomEvent("earshot-rows", { detail: { ...this.rowsChosen, what }, bubbles: true, composed: true }));
  }

  /** The chosen rows of the shown source alone, through the decoder: an edit, which the player takes beside the original. */
  async hear() {
    const { hear } = this.ui;
    if (hear.disabled) return;
    const [start, end] = this.stretch();
    const solo = this.rowsChosen;
    const place = this.#chosen.low;
    const key = JSON.stringify([this.stageUrl, solo, start, end]);
    hear.disabled = true;
    this.say(null, "Making it…");
    try {
      if (this.#heard.key !== key || this.player.take !== this.#heard.job) {
        const body = { stage: this.player.stageName, edit: { solo }, start, end };
        const { job } = await this.ask(`${this.url}/edits`, { method: "POST", body });
        await this.ready(job);
        this.#heard = { key, job };
      }
      this.alone(solo.source);
      this.player.side = "B";
      this.player.loop(start, end);
      const what = solo.basis.length > 1 ? `${solo.basis.length} ${this.word(2)}` : `${this.word()} ${place + 1}`;
      this.say(null, `Now B in the player: ${what} of ${solo.source} alone, ${clock(start, 1)} to ${clock(end, 1)}. A is the original.`);
    } catch (error) {
      if (error.name === "AbortError") this.say(null);
      else this.say(error);
    } finally {
      hear.disabled = false;
    }
  }

  /** Make a job the player's take B, and wait until it can be heard. Another take, another stage or closing the view ends that. */
  ready(job) {
    const { player } = this;
    this.waiting = new AbortController();
    const { signal } = this.waiting;
    return new Promise((done, refuse) => {
      signal.onabort = () => refuse(signal.reason);
      const look = ({ detail: { id, state, ready } }) => {
        if (id !== job) return this.waiting.abort();
        if (ready) return done();
        if (["failed", "cancelled", "gone"].includes(state.status)) {
          const parts = state.error ?? { found: "it was stopped", advice: "Press the button again" };
          return refuse(Object.assign(new Error(state.status), { parts }));
        }
        if (state.position > 0) this.say(null, `Waiting: ${state.position} ${state.position === 1 ? "job" : "jobs"} ahead.`);
      };
      player.addEventListener("earshot-take", look, { signal });
      player.take = job;
    }).finally(() => this.waiting.abort());
  }

  /** What belongs to the rest must not sound beside it, nor the source itself be muted. */
  alone(source) {
    const { player } = this;
    const beside = this.stage.tracks.filter((name) => !this.#data.record.sources.includes(name));
    const heard = player.heard(source) && !beside.some((name) => player.heard(name));
    if (!heard && !player.settings.get(source).solo) player.solo(source, false);
  }

  say(error, text = "") {
    const { note } = this.ui;
    note.classList.toggle("bad", Boolean(error));
    if (error && !error.parts) console.error(error);
    const parts = error ? error.parts ?? { found: "something went wrong in the page", advice: "Try again" } : null;
    note.textContent = parts ? `${parts.found}. ${parts.advice}.` : text;
  }
}

if (!customElements.get("earshot-view-masks")) customElements.define("earshot-view-masks", Masks);
