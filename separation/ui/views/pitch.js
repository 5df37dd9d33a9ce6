/**
 * The pitch of every voice, over the mixture's spectrogram: what a model that goes by pitch was told. A person draws, moves by
 * octaves, swaps, mutes and smooths, then hears the voices separated by the corrected tracks as take B of the player. Under it
 * what the model says of the chosen voice: how strong its harmonics are, how much it breathes, and its vocal tract.
 *
 * Corrections are a draft until they are heard, and outlive the view but not the page. What can be done to a track: `tracks.js`.
 */

import { Levels, noteOf, readHz } from "../static/scales.js";
import { clamp, clock } from "../static/times.js";
import { cells, colourTable, fit, painted } from "./painting.js";
import { bridged, changes, glide, muted, shifted, smoothed } from "./tracks.js";
import { View, make } from "./view.js";

const BEFORE = 5; // seconds before the cursor at which a part begins that is heard
const LOWEST_PICTURED_HZ = 440 * 2 ** (-45 / 12); // of the constant-Q pictures of the server
const [LOW_HZ, HIGH_HZ] = [60, 1250]; // of the lane
const MARKS_HZ = [65.4, 130.8, 261.6, 523.3, 1046.5]; // C2 to C6
const [WIDTH, HEIGHT] = [1024, 400]; // of the picture that is asked for

const span = ([start, end]) => `${clock(start, 1)} – ${clock(end, 1)}`;
const heights = (hz) => Math.log2(hz / LOW_HZ) / Math.log2(HIGH_HZ / LOW_HZ); // 0 to 1 from below

/** A track's colour "#rrggbb" on the picture, which is dark in either theme. */
function onDark(colour) {
  const channels = [1, 3, 5].map((at) => parseInt(colour.trim().slice(at, at + 2), 16));
  const bright = 0.3 * channels[0] + 0.6 * channels[1] + 0.1 * channels[2] > 130;
  return `rgb(${channels.map((value) => Math.round(bright ? value : value + 0.3 * (255 - value))).join(" ")})`;
}

const drafts = new Map(); // address of a job -> {tracks, past, coming}

const CONTENT = `
<div class="bar">
  <div class="voices" role="group" aria-label="Voice"></div>
  <div class="tools" role="group" aria-label="What dragging does">
    <button type="button" class="button" data-tool="select" title="Drag to choose a stretch of time">Select</button>
    <button type="button" class="button" data-tool="draw" title="Drag to draw the pitch of the chosen voice (D)">Draw</button></div>
  <span class="gap"></span>
  <div class="back"><button type="button" class="button undo" title="Ctrl+Z">Undo</button>
    <button type="button" class="button redo" title="Ctrl+Shift+Z">Redo</button></div>
</div>
<div class="row first"><div class="gutter"><p class="who"><span class="chip"></span><span class="label"></span></p><p class="dim now"></p>
  <p class="dim source"></p><a class="save" download>Save this track</a></div>
  <div class="lane heat pitch" tabindex="0" role="application" aria-roledescription="pitch tracks"><canvas class="picture"></canvas>
  <canvas class="lines"></canvas><div class="axis" aria-hidden="true"></div><div class="pen" hidden></div></div></div>
<div class="bar edit">
  <p class="where"></p>
  <div class="acts">
    <button type="button" class="button" data-act="up" title="Page up">Octave up</button>
    <button type="button" class="button" data-act="down" title="Page down">Octave down</button>
    <span class="swap"><button type="button" class="button" data-act="swap" title="X">Swap with</button><select aria-label="The voice to swap with"></select></span>
    <button type="button" class="button" data-act="mute" title="M or Delete">Mute</button>
    <button type="button" class="button" data-act="bridge" title="F: silent moments get the pitch between their neighbours">Fill gaps</button>
    <button type="button" class="button" data-act="smooth" title="S: leaps of a few moments go">Smooth</button>
    <button type="button" class="button" data-act="restore" title="R: as the model was told">As it was</button>
  </div>
</div>
<div class="bar hearing">
  <button type="button" class="button strong hear">Hear the change</button>
  <button type="button" class="button whole">Separate the whole file so</button>
  <p class="coming dim"></p>
</div>
<div class="work" hidden><progress max="1"></progress><span class="status" role="status"></span><button type="button" class="button stop">Stop</button></div>
<p class="note" role="status"></p>
<section class="inside" aria-label="What the model says of the chosen voice" hidden>
  <div class="row"><div class="gutter"><p class="who"><span class="label">Strength</span></p>
    <p class="dim">harmonics above, breath below; the brighter, the louder</p></div><div class="lane heat levels"><canvas></canvas></div></div>
  <div class="row"><div class="gutter"><p class="who"><span class="label">Vocal tract</span></p>
    <p class="dim">the filter that makes the vowel, 0 to <span class="top"></span></p></div><div class="lane heat tract"><canvas></canvas></div></div>
</section>
<details class="keys"><summary>All keys</summary><p class="dim">With the picture focused: <kbd>1</kbd>–<kbd>6</kbd> choose a voice ·
  <kbd>↑</kbd> <kbd>↓</kbd> move it by 20 cents, with <kbd>Shift</kbd> by a semitone · <kbd>Page up</kbd> <kbd>Page down</kbd> by an octave ·
  <kbd>M</kbd> mute · <kbd>F</kbd> fill gaps · <kbd>S</kbd> smooth · <kbd>X</kbd> swap · <kbd>R</kbd> as it was · <kbd>D</kbd> draw or select ·
  <kbd>Ctrl+Z</kbd> undo · <kbd>Enter</kbd> hear the change. A stretch is chosen with the player's own keys <kbd>I</kbd> and <kbd>O</kbd>.</p></details>`;

const ACTS = { PageUp: "up", PageDown: "down", m: "mute", Delete: "mute", f: "bridge", s: "smooth", x: "swap", r: "restore" };

export default class Pitch extends View {
  static title = "Pitch";
  static about =
    "This model finds each voice by its pitch: the lines are what it was told that every voice sings, over the spectrogram of the " +
    "mixture. Where a line leaves the bright stripe of its voice, the voice is separated wrongly, and you can correct it here.";
  static example =
    "The tenor sounds hollow at 0:12. Its line lies an octave above the stripe that moves with it. Drag over that second, choose tenor, " +
    "press “Octave down”, then “Hear the change”: B in the player is separated by the corrected line, A by the old one.";
  static sees = "views";

  #told = null; // what the server says: {first, hop, voices, …}, with Float32Arrays
  #chosen = "";
  #tool = "select";
  #inside = null;
  #asked = 0;
  #stroke = null; // where the pen was last: {at, hz}
  #around = null; // the part that is heard without a selection; it stays while the cursor is in it
  #images = new Map();

  build() {
    this.content.innerHTML = CONTENT;
    const names = ["voices", "undo", "redo", "where", "hear", "whole", "coming", "work", "status", "stop", "note", "inside", "now", "source", "save", "top"];
    this.ui = Object.fromEntries(names.map((name) => [name, this.content.querySelector(`.${name}`)]));
    const { ui } = this;
    ui.lane = this.content.querySelector(".lane.pitch");
    [ui.picture, ui.lines] = ui.lane.querySelectorAll("canvas");
    ui.pen = ui.lane.querySelector(".pen");
    ui.axis = ui.lane.querySelector(".axis");
    ui.other = this.content.querySelector(".swap select");
    for (const button of this.content.querySelectorAll("[data-tool]")) button.onclick = () => this.setTool(button.dataset.tool);
    for (const button of this.content.querySelectorAll("[data-act]")) button.onclick = () => this.act(button.dataset.act);
    ui.undo.onclick = () => this.undo();
    ui.redo.onclick = () => this.redo();
    ui.hear.onclick = () => this.hear(false);
    ui.whole.onclick = () => this.hear(true);
    ui.stop.onclick = () => this.stop();
    ui.lane.onkeydown = (event) => this.key(event);
    ui.lane.addEventListener("pointermove", (event) => this.say(this.reading(event)));
    ui.lane.addEventListener("pointerleave", () => this.say(""));
    this.pen();
    this.setTool("select");
  }

  async stageChanged() {
    const asked = ++this.#asked;
    const told = await this.ask(`${this.url}/pitch?stage=${this.player.stageName}`);
    if (asked !== this.#asked || !this.isConnected) return;
    for (const voice of told.voices) voice.hz = Float32Array.from(voice.hz);
    this.#told = told;
    if (!told.voices.some(({ name }) => name === this.#chosen)) this.#chosen = told.voices[0].name;
    const { tracks } = this.draft;
    if (told.voices.some(({ name, hz }) => tracks[name]?.length !== hz.length)) drafts.delete(this.url); // of a shorter stage
    this.#images.clear();
    this.showVoices();
    this.show();
    this.draw();
    await this.fetchInside(asked);
  }

  viewChanged() {
    this.draw();
  }

  cursorMoved() {
    this.showNow();
    if (!this.player.selection) this.showWhere();
  }

  selectionChanged() {
    this.showWhere();
  }

  closed() {
    this.#asked++;
    this.waiting?.abort();
    cancelAnimationFrame(this.frame);
  }

  // -- the tracks

  /** The corrected tracks of this job, and the way back: {tracks: {name: Float32Array}, past, future}. */
  get draft() {
    if (!drafts.has(this.url)) {
      const tracks = Object.fromEntries(this.#told.voices.map(({ name, hz }) => [name, Float32Array.from(hz)]));
      drafts.set(this.url, { tracks, past: [], future: [] });
    }
    return drafts.get(this.url);
  }

  get track() {
    return this.draft.tracks[this.#chosen];
  }

  told(name) {
    return this.#told.voices.find((voice) => voice.name === name).hz;
  }

  /** What the server is asked to change. */
  get changes() {
    return this.#told.voices.flatMap(({ name, hz }) =>
      changes(hz, this.draft.tracks[name]).map(([first, values]) => ({ voice: name, first: this.#told.first + first, hz: values })),
    );
  }

  indexAt(seconds) {
    return Math.round(seconds / this.#told.hop) - this.#told.first;
  }

  secondsOf(index) {
    return (this.#told.first + index) * this.#told.hop;
  }

  /** [first, end) of the frames that an action is about: the selection, or all. */
  get frames() {
    const { selection } = this.player;
    const { length } = this.track;
    if (!selection) return [0, length];
    const [first, end] = selection.map((seconds) => Math.ceil(seconds / this.#told.hop - 1e-6) - this.#told.first);
    const from = clamp(first, 0, length - 1);
    return [from, clamp(end, from + 1, length)];
  }

  /** Other values for frames of voices, as one step of the history: {name: [first, values]}. */
  change(parts) {
    const before = {};
    let differs = false;
    for (const [name, [first, values]] of Object.entries(parts)) {
      const there = this.draft.tracks[name].slice(first, first + values.length);
      differs ||= there.some((value, i) => Math.abs(value - values[i]) > 1e-3);
      before[name] = [first, there];
    }
    if (!differs) return this.say("That changes nothing here.");
    this.apply(parts);
    Object.assign(this.draft, { past: [...this.draft.past.slice(-99), [before, parts]], future: [] });
    this.say("");
    this.show();
  }

  apply(parts) {
    for (const [name, [first, values]] of Object.entries(parts)) this.draft.tracks[name].set(values, first);
    this.draw();
  }

  undo() {
    const step = this.draft.past.pop();
    if (!step) return;
    this.draft.future.push(step);
    this.apply(step[0]);
    this.show();
  }

  redo() {
    const step = this.draft.future.pop();
    if (!step) return;
    this.draft.past.push(step);
    this.apply(step[1]);
    this.show();
  }

  act(name) {
    const [first, end] = this.frames;
    const [voice, hz] = [this.#chosen, this.track.slice(first, end)];
    const within = (values) => values.map((value) => (value ? clamp(value, 20, 2 * this.#told.highest_hz) : 0));
    const made = {
      up: () => within(shifted(hz, 1200)),
      down: () => within(shifted(hz, -1200)),
      higher: () => within(shifted(hz, 20)),
      lower: () => within(shifted(hz, -20)),
      "semitone-up": () => within(shifted(hz, 100)),
      "semitone-down": () => within(shifted(hz, -100)),
      mute: () => muted(hz),
      smooth: () => smoothed(hz),
      bridge: () => bridged(hz, this.track[first - 1] ?? 0, this.track[end] ?? 0),
      restore: () => this.told(voice).slice(first, end),
    }[name];
    if (name === "swap") {
      const other = this.ui.other.value;
      this.change({ [voice]: [first, this.draft.tracks[other].slice(first, end)], [other]: [first, hz] });
    } else this.change({ [voice]: [first, made()] });
  }

  key(event) {
    const { key, shiftKey } = event;
    const number = Number(key);
    let react = null;
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "z") react = () => (shiftKey ? this.redo() : this.undo());
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (number >= 1 && number <= this.#told.voices.length) react = () => this.choose(this.#told.voices[number - 1].name);
    else if (key === "ArrowUp") react = () => this.act(shiftKey ? "semitone-up" : "higher");
    else if (key === "ArrowDown") react = () => this.act(shiftKey ? "semitone-down" : "lower");
    else if (key === "Enter") react = () => this.hear(false);
    else if (key.toLowerCase() === "d") react = () => this.setTool(this.#tool === "draw" ? "select" : "draw");
    else if (ACTS[key] ?? ACTS[key.toLowerCase()]) react = () => this.act(ACTS[key] ?? ACTS[key.toLowerCase()]);
    if (!react) return;
    event.preventDefault();
    event.stopPropagation(); // the player has keys of its own
    react();
  }

  // -- drawing by hand

  setTool(tool) {
    this.#tool = tool;
    for (const button of this.content.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === tool);
    this.ui.pen.hidden = tool !== "draw";
  }

  /** The pen lies over the lane while the tool is on, so that the player does not see its pointer. */
  pen() {
    const { pen, lane } = this.ui;
    let before = null;
    const at = (event) => {
      const { top, height } = lane.getBoundingClientRect();
      const hz = LOW_HZ * (HIGH_HZ / LOW_HZ) ** clamp(1 - (event.clientY - top) / height, 0, 1);
      return { at: clamp(this.indexAt(this.secondsAt(lane, event.clientX)), 0, this.track.length - 1), hz };
    };
    pen.onpointerdown = (event) => {
      if (event.button !== 0) return;
      event.stopPropagation();
      lane.focus({ preventScroll: true });
      pen.setPointerCapture(event.pointerId);
      before = Float32Array.from(this.track);
      this.#stroke = at(event);
      this.track[this.#stroke.at] = this.#stroke.hz;
      this.draw();
    };
    pen.onpointermove = (event) => {
      if (!before) return;
      event.stopPropagation();
      const [from, to] = [this.#stroke, at(event)];
      const steps = Math.abs(to.at - from.at);
      for (let i = 0; i <= steps; i++) {
        const part = steps ? i / steps : 1;
        this.track[Math.round(from.at + part * (to.at - from.at))] = glide(from.hz, to.hz, part);
      }
      this.#stroke = to;
      this.draw();
    };
    const finish = () => {
      if (!before) return;
      const drawn = Float32Array.from(this.track);
      const differs = drawn.map((value, i) => (value === before[i] ? 0 : 1));
      const [first, last] = [differs.indexOf(1), differs.lastIndexOf(1)];
      this.track.set(before);
      before = null;
      if (first >= 0) this.change({ [this.#chosen]: [first, drawn.slice(first, last + 1)] });
    };
    pen.onpointerup = finish;
    pen.onpointercancel = finish;
  }

  // -- what is shown

  showVoices() {
    const { ui } = this;
    const { voices } = this.#told;
    ui.voices.replaceChildren(
      ...voices.map(({ name }, i) => {
        const chip = make("span", { className: "chip" });
        const button = make("button", { type: "button", className: "button", title: `${i + 1}`, dataset: { voice: name } }, chip, name);
        button.style.setProperty("--track", this.colour(name));
        button.onclick = () => this.choose(name);
        return button;
      }),
    );
    const from = { file: "Tracks from files.", mixture: "Found in the mixture: mistakes are likely.", stem: "From each voice's own stem." };
    ui.source.textContent = this.#told.corrected ? "Corrected by hand." : from[this.#told.source];
    ui.lane.setAttribute("aria-label", `Pitch tracks of ${voices.map(({ name }) => name).join(", ")}`);
    ui.axis.replaceChildren(
      ...MARKS_HZ.map((hz) => {
        const mark = make("span", { textContent: `${noteOf(hz)} ${Math.round(hz)} Hz` });
        mark.style.bottom = `${100 * heights(hz)}%`;
        return mark;
      }),
    );
    this.choose(this.#chosen);
  }

  choose(name) {
    this.#chosen = name;
    const { ui } = this;
    for (const button of ui.voices.children) button.setAttribute("aria-pressed", button.dataset.voice === name);
    const others = this.#told.voices.filter((voice) => voice.name !== name);
    ui.other.replaceChildren(...others.map((voice) => make("option", { value: voice.name, textContent: voice.name })));
    ui.other.parentElement.hidden = !others.length;
    const row = this.content.querySelector(".row.first");
    row.style.setProperty("--track", this.colour(name));
    row.querySelector(".label").textContent = name;
    ui.save.href = `${this.url}/pitch/${encodeURIComponent(name)}.csv`;
    ui.save.title = "As the model was told: seconds and Hz";
    this.showNow();
    this.showWhere();
    this.draw();
  }

  colour(name) {
    return this.player.colourOf(name) || "var(--track-residual)";
  }

  show() {
    const { past, future } = this.draft;
    const { ui } = this;
    const changed = this.changes.length > 0;
    ui.undo.disabled = !past.length;
    ui.redo.disabled = !future.length;
    ui.hear.disabled = ui.whole.disabled = !changed || !this.#told.editable;
    ui.whole.disabled ||= !this.#told.whole || this.player.stageName !== "full";
    ui.whole.title = this.#told.whole ? "The whole recording again, by these tracks" : "This page has a GPU only while it separates: hear parts here";
    this.showWhere();
  }

  showWhere() {
    if (!this.#told || !this.stage) return;
    const { ui } = this;
    const { selection } = this.player;
    const where = selection ? `from ${span(selection)}` : "in the whole recording (drag over the picture to choose a stretch)";
    ui.where.textContent = `Change ${this.#chosen} ${where}:`;
    const note = this.changes.length ? `B will be ${span(this.part)}${selection ? "" : ", around the cursor"}.` : "Nothing is changed yet.";
    ui.coming.textContent = this.#told.editable ? note : "This is a correction itself: correct the separation that it was made from.";
  }

  showNow() {
    if (!this.#told || !this.ui) return;
    const hz = this.track[this.indexAt(this.player.cursor)] ?? 0;
    const text = hz ? `${readHz(hz)}, ${noteOf(hz)}` : "silent";
    if (this.ui.now.textContent !== text) this.ui.now.textContent = text;
  }

  reading(event) {
    if (!this.#told) return "";
    const { lane } = this.ui;
    const { top, height } = lane.getBoundingClientRect();
    const hz = LOW_HZ * (HIGH_HZ / LOW_HZ) ** clamp(1 - (event.clientY - top) / height, 0, 1);
    const seconds = this.secondsAt(lane, event.clientX);
    const at = this.indexAt(seconds);
    const sung = this.#told.voices.map(({ name }) => [name, this.draft.tracks[name][at]]).filter(([, value]) => value);
    const voices = sung.map(([name, value]) => `${name} ${noteOf(value)}`).join(" · ") || "nobody sings";
    return `${clock(seconds, 2)} · ${readHz(hz)}, ${noteOf(hz)} — ${voices}`;
  }

  say(text, bad = false) {
    const { note } = this.ui;
    note.classList.toggle("bad", bad);
    if (note.textContent !== text) note.textContent = text;
  }

  draw() {
    cancelAnimationFrame(this.frame);
    if (this.#told) this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const view = this.player.visible;
    this.drawPicture(view);
    this.drawLines(view);
    this.drawInside(view);
  }

  /** The mixture's picture for what is visible; the one that is there stays, stretched, until it has come. */
  drawPicture(view) {
    const { picture } = this.ui;
    const [context, width, height] = fit(picture);
    context.clearRect(0, 0, width, height);
    const shown = this.#images.get("picture");
    if (shown) {
      const scale = width / (view[1] - view[0]);
      context.globalAlpha = 0.7; // so that the lines stand out
      context.drawImage(shown.image, (shown.start - view[0]) * scale, 0, (shown.end - shown.start) * scale, height);
      context.globalAlpha = 1;
    }
    clearTimeout(this.resting);
    if (!shown || Math.abs(shown.start - view[0]) + Math.abs(shown.end - view[1]) > 0.02 * (view[1] - view[0])) {
      this.resting = setTimeout(() => this.fetchPicture(), shown ? 200 : 0);
    }
  }

  async fetchPicture() {
    if (!this.stage || !this.isConnected) return;
    const { sample_rate: rate, start: origin, length: whole } = this.stage;
    const [from, to] = this.player.visible.map((seconds) => Math.round(seconds * rate) - origin);
    const start = clamp(from, 0, whole - 1);
    const length = clamp(to - start, 1, whole - start);
    const query = `start=${start}&length=${length}&width=${WIDTH}&height=${HEIGHT}&scale=cqt`;
    const path = `${this.stageUrl}/mixture.levels?${query}`;
    if (this.#images.get("asked") === path) return;
    this.#images.set("asked", path);
    let bytes;
    try {
      bytes = await cells(path);
    } catch {
      return; // the lines are what this view is about; the next move asks again
    }
    if (this.#images.get("asked") !== path || bytes.length !== WIDTH * HEIGHT) return;
    const { step_db: step, level } = this.player.record.legend;
    const whole_image = painted(bytes, HEIGHT, WIDTH, new Levels(step, level, false).paints);
    const octaves = Math.log2(rate / 2 / LOWEST_PICTURED_HZ);
    const row = (hz) => HEIGHT * (1 - Math.log2(hz / LOWEST_PICTURED_HZ) / octaves);
    const image = make("canvas", { width: WIDTH, height: HEIGHT });
    const top = row(HIGH_HZ);
    image.getContext("2d").drawImage(whole_image, 0, top, WIDTH, row(LOW_HZ) - top, 0, 0, WIDTH, HEIGHT);
    this.#images.set("picture", { image, start: (origin + start) / rate, end: (origin + start + length) / rate });
    this.draw();
  }

  drawLines([start, end]) {
    const [context, width, height] = fit(this.ui.lines);
    const style = getComputedStyle(this.section);
    const colour = (name) => onDark(this.colour(name).replace(/^var\((.*)\)$/, (_, variable) => style.getPropertyValue(variable)));
    context.clearRect(0, 0, width, height);
    context.lineJoin = context.lineCap = "round";
    const [first, last] = [Math.max(0, this.indexAt(start) - 1), this.indexAt(end) + 1];
    const x = (index) => ((this.secondsOf(index) - start) / (end - start)) * width;
    const y = (hz) => height * (1 - heights(hz));
    const line = (hz, paint, thick) => {
      context.beginPath();
      let pen = false;
      for (let i = first; i <= Math.min(last, hz.length - 1); i++) {
        if (hz[i] && pen && Math.abs(Math.log2(hz[i] / hz[i - 1])) < 0.3) context.lineTo(x(i), y(hz[i]));
        else if (hz[i]) context.moveTo(x(i), y(hz[i]));
        pen = hz[i] > 0;
      }
      Object.assign(context, { strokeStyle: paint, lineWidth: thick * devicePixelRatio });
      context.stroke();
    };
    const names = this.#told.voices.map(({ name }) => name).filter((name) => name !== this.#chosen);
    for (const name of [...names, this.#chosen]) {
      const hz = this.draft.tracks[name];
      const chosen = name === this.#chosen;
      if (changes(this.told(name), hz).length) {
        context.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
        line(this.told(name), "rgb(255 255 255 / 75%)", 1.25);
        context.setLineDash([]);
      }
      line(hz, "rgb(0 0 4 / 80%)", chosen ? 6 : 4.5);
      line(hz, chosen ? "#ffffff" : colour(name), chosen ? 4 : 2.25);
      if (chosen) line(hz, colour(name), 2.5);
    }
  }

  // -- what the model says of the chosen voice

  async fetchInside(asked) {
    this.#inside = null;
    this.ui.inside.hidden = !this.stage.voices;
    if (!this.stage.voices) return;
    const record = await this.ask(`${this.stageUrl}/inside`);
    const levels = await cells(`${this.stageUrl}/inside.cells`);
    if (asked !== this.#asked || !this.isConnected) return;
    this.#inside = { ...record, levels, table: colourTable(record.colours), origin: this.bounds[0] };
    const { hz } = record;
    this.ui.top.textContent = readHz(hz.at(-1) + (hz.at(-1) - hz.at(-2)) / 2);
    this.draw();
  }

  /** Pictures of one voice, painted once: {levels, tract}. */
  imagesOf(name) {
    const key = `inside ${name}`;
    if (!this.#images.has(key)) {
      const { voices, rows, columns, levels, table } = this.#inside;
      const from = voices.indexOf(name) * rows * columns;
      const part = levels.subarray(from, from + rows * columns);
      const tract = new Uint8Array((rows - 2) * columns);
      for (let row = 2; row < rows; row++) tract.set(part.subarray(row * columns, (row + 1) * columns), (rows - 1 - row) * columns);
      this.#images.set(key, { levels: painted(part.subarray(0, 2 * columns), 2, columns, table), tract: painted(tract, rows - 2, columns, table) });
    }
    return this.#images.get(key);
  }

  drawInside([start, end]) {
    if (!this.#inside?.voices.includes(this.#chosen)) return;
    const { duration, columns, origin } = this.#inside;
    const perSecond = columns / duration;
    const images = this.imagesOf(this.#chosen);
    for (const kind of ["levels", "tract"]) {
      const [context, width, height] = fit(this.content.querySelector(`.lane.${kind} canvas`));
      const image = images[kind];
      const across = (end - start) * perSecond;
      context.clearRect(0, 0, width, height);
      context.imageSmoothingEnabled = kind === "tract" && across > width / 8;
      context.drawImage(image, (start - origin) * perSecond, 0, across, image.height, 0, 0, width, height);
    }
  }

  // -- hearing

  /** [start, end] of what is heard: the selection as far as it may go, or so much around the cursor. */
  get part() {
    const [first, last] = this.bounds;
    const { longest, shortest } = this.#told;
    const { selection, cursor } = this.player;
    if (selection) {
      const start = clamp(selection[0], first, last - shortest);
      return [start, clamp(selection[1], start + shortest, Math.min(last, start + longest))];
    }
    if (!this.#around || cursor < this.#around[0] || cursor > this.#around[1]) {
      const start = clamp(cursor - BEFORE, first, Math.max(first, last - longest));
      this.#around = [start, Math.min(last, start + longest)];
    }
    return this.#around;
  }

  /** Have the voices separated by the corrected tracks, and turn to that as B. */
  async hear(whole) {
    const { ui } = this;
    const { changes: changed } = this;
    if (!changed.length || ui.hear.disabled) return;
    const [start, end] = whole ? [null, null] : this.part;
    ui.hear.disabled = ui.whole.disabled = true;
    this.work("Asking for it…");
    this.say("");
    try {
      const body = { stage: this.player.stageName, changes: changed, start, end };
      const { job } = await this.ask(`${this.url}/pitch`, { method: "POST", body });
      await this.ready(job);
      this.player.side = "B";
      if (whole) this.player.play();
      else this.player.loop(start, end);
      this.say(`Now B in the player: separated by the corrected pitch${whole ? "" : `, ${span([start, end])}`}. A is as it was.`);
    } catch (error) {
      const parts = error.parts ?? { found: "something went wrong in the page", advice: "Try again" };
      if (!error.parts && error.name !== "AbortError") console.error(error);
      if (error.name === "AbortError") this.say("");
      else this.say(`${parts.found}. ${parts.advice}.`, true);
    } finally {
      this.work(null);
      this.show();
    }
  }

  /** Resolves when the player has the job as take B. Another take, another stage or closing the view ends the waiting. */
  ready(job) {
    const { player } = this;
    const waiting = (this.waiting = new AbortController());
    const { signal } = waiting;
    this.job = job;
    return new Promise((done, refuse) => {
      signal.onabort = () => refuse(signal.reason);
      const look = ({ detail: { id, state, ready } }) => {
        if (id !== job) return waiting.abort();
        if (ready) return done();
        if (["failed", "cancelled", "gone"].includes(state.status)) {
          const parts = state.error ?? { found: "it was stopped", advice: "Press the button again" };
          return refuse(Object.assign(new Error(state.status), { parts }));
        }
        const ahead = state.position === 1 ? "1 job is ahead of it" : `${state.position} jobs are ahead of it`;
        if (state.status === "waiting") this.work(state.position ? `Waiting: ${ahead}` : "It is next");
        else this.work(`Separating… ${Math.round(100 * state.fraction)} %`, state.fraction);
      };
      player.addEventListener("earshot-take", look, { signal });
      player.take = job;
    }).finally(() => {
      signal.onabort = null;
      waiting.abort();
    });
  }

  async stop() {
    this.waiting?.abort();
    try {
      if (this.job) await this.ask(`${this.player.urlOf(this.job)}/cancel`, { method: "POST" });
    } catch (error) {
      this.say(`${error.parts.found}. ${error.parts.advice}.`, true);
    }
  }

  work(text, fraction = null) {
    const { ui } = this;
    ui.work.hidden = text === null;
    ui.status.textContent = text ?? "";
    const bar = ui.work.querySelector("progress");
    if (fraction === null) bar.removeAttribute("value");
    else bar.value = fraction;
  }
}

if (!customElements.get("earshot-view-pitch")) customElements.define("earshot-view-pitch", Pitch);
