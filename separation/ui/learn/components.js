// The components of a lesson as pictures, a group a source in the source's colour, the lowest sounding first; and surgery on
// them: hear one alone, mute it, hear nothing else, give it to another source, undo.
//
// The server keeps the surgery, `PUT …/surgery {moved: {index: source}, muted: [index]}`; what is shown here is always what was
// asked for last. The pictures do not depend on it.

import { ask, at, make, problem } from "../cards/ask.js";
import { hear } from "./sound.js";

const DRAGGED = "text/x-earshot-component";
const [BESIDE, GAP] = [68, 5]; // pixels beside a row of pictures, and between two of them

const KEYS = "With the keyboard: arrows choose, Enter plays, M mutes, S solos, a digit gives to the source of that number.";

/** Frequencies as people say them. */
function spokenHz(hz) {
  return hz < 1000 ? `${Math.round(hz)} Hz` : `${(hz / 1000).toFixed(1)} kHz`;
}

/** [r, g, b] of a CSS colour. */
function rgb(colour) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = colour;
  const hex = Number.parseInt(context.fillStyle.slice(1), 16);
  return [hex >> 16, (hex >> 8) & 255, hex & 255];
}

/** 256 colours from the ground through a source's own to the ink of the page, as a picture's bytes lie in memory. */
function ramp(ground, own, ink) {
  const bytes = new Uint8ClampedArray(4 * 256);
  const mix = (a, b, part) => a.map((value, index) => value + (b[index] - value) * part);
  for (let byte = 0; byte < 256; byte++) {
    const part = (byte / 255) ** 1.4;
    const colour = part < 0.65 ? mix(ground, own, part / 0.65) : mix(own, ink, (0.75 * (part - 0.65)) / 0.35);
    bytes.set([...colour, 255], 4 * byte);
  }
  return new Uint32Array(bytes.buffer);
}

/**
 * The gallery. Events: `change` (the surgery is another one); `again` (somebody wants
 * to hear it, see `offer`); `hear` (detail "A" or "B": before or after it).
 */
export class Components extends EventTarget {
  constructor() {
    super();
    this.toolbar = this.buildToolbar();
    this.groups = make("div.learn-groups");
    this.trouble = make("div.learn-trouble");
    this.about = make("p.earshot-quiet");
    this.said = make("p.learn-said", { role: "status" });
    this.element = make("section.learn-gallery", { "aria-label": "Components" }, this.about, this.toolbar, this.trouble, this.groups, this.said);
    this.themes = new MutationObserver(() => this.paint());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.clear();
  }

  close() {
    this.themes.disconnect();
  }

  clear() {
    this.turn = (this.turn ?? 0) + 1; // what is on its way is not wanted any more
    this.lesson = null;
    this.data = null;
    this.expected = [];
    this.editable = false;
    this.chosen = null;
    this.history = [];
    this.at = -1;
    this.tiles = new Map();
    this.telling = Promise.resolve();
    this.trouble.replaceChildren();
    this.show();
  }

  // -- what is there

  /** What there is, or will be: [{name, count, bare}]; one that is `bare` is found in each mixture, and has no pictures. */
  expect(sources) {
    const same = JSON.stringify(sources) === JSON.stringify(this.expected);
    this.expected = sources;
    if (!same) this.show();
  }

  /** Fetch the pictures as they are now. */
  async load(lesson) {
    const { turn } = this;
    const base = `lessons/${encodeURIComponent(lesson)}/components`;
    const data = await ask(at(base));
    if (!data.components.length) return; // it has just begun
    const answer = await fetch(at(`${base}.cells`, { version: data.version }), { cache: "no-store" });
    if (!answer.ok) throw new Error(`the pictures answered ${answer.status}`);
    const cells = new Uint8Array(await answer.arrayBuffer());
    if (turn !== this.turn) return;
    this.lesson = lesson;
    this.data = data;
    this.cells = cells;
    this.at = -1;
    this.history = [];
    this.record(this.asTold());
    for (const component of data.components) component.centroid = this.centroid(component.index);
    this.build();
  }

  /** The surgery that the server has. */
  asTold() {
    const moved = new Map(this.data.components.flatMap(({ index, source, home }) => (source === home ? [] : [[index, source]])));
    return { moved, muted: new Set(this.data.components.filter(({ muted }) => muted).map(({ index }) => index)) };
  }

  picture(index) {
    const size = this.data.rows * this.data.frames;
    return this.cells.subarray(index * size, (index + 1) * size);
  }

  /** Where most of it sounds, in rows from below; empty ones come last. */
  centroid(index) {
    let [sum, weight] = [0, 0];
    this.picture(index).forEach((byte, place) => {
      const magnitude = byte && 10 ** ((this.data.range_db * (byte / 255 - 1)) / 20);
      sum += magnitude * Math.floor(place / this.data.frames);
      weight += magnitude;
    });
    return weight ? sum / weight : Infinity;
  }

  get surgery() {
    return this.history[this.at] ?? { moved: new Map(), muted: new Set() };
  }

  /** The surgery as a text: the same text, the same sound. */
  get key() {
    const { moved, muted } = this.surgery;
    return JSON.stringify([[...moved].sort(([a], [b]) => a - b), [...muted].sort((a, b) => a - b)]);
  }

  /** The surgery in words, or "" for none. */
  get words() {
    const { moved, muted } = this.surgery;
    return [moved.size && `${moved.size} moved`, muted.size && `${muted.size} muted`].filter(Boolean).join(", ");
  }

  ownerOf({ index, home }) {
    return this.surgery.moved.get(index) ?? home;
  }

  set editing(on) {
    this.editable = on;
    this.show();
  }

  // -- drawing

  build() {
    const { components } = this.data;
    this.tiles = new Map(components.map((component) => [component.index, this.tiles.get(component.index) ?? this.tile(component.index)]));
    this.show();
  }

  /** Few are wide, many narrow; those of several frames are never too narrow for them. */
  get width() {
    const homes = this.data?.components.map(({ home }) => home) ?? [];
    const counts = [...this.expected.map(({ count }) => count), ...(this.data?.sources ?? []).map((name) => homes.filter((home) => home === name).length)];
    const least = this.data?.frames > 1 ? 40 : 24;
    const room = (this.groups.clientWidth - BESIDE) / (1 + Math.max(...counts, 0)) - GAP; // and one from elsewhere
    return Math.floor(Math.min(Math.max(least, room), 2 * least));
  }

  tile(index) {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const element = make("div.learn-tile", { role: "option", tabIndex: -1 }, canvas);
    element.dataset.index = index;
    element.addEventListener("click", () => this.press(index));
    element.addEventListener("keydown", (event) => this.pressed(event, index));
    element.addEventListener("dragstart", (event) => {
      event.dataTransfer.setData(DRAGGED, String(index));
      event.dataTransfer.effectAllowed = "move";
      this.choose(index);
    });
    return { element, canvas };
  }

  group(name, index, words, tiles) {
    const head = make("h4", {}, make("span.learn-dot", { "aria-hidden": "true" }), name, words && make("small", {}, words));
    const ends = make("span.learn-ends", { "aria-hidden": "true" }, make("i", {}, "high"), make("i", {}, "low"));
    const group = make("section.learn-group", { style: { "--track": `var(--track-${index + 1})` } }, head, make("div.learn-row", {}, ends, tiles));
    const dragged = (event) => this.editable && event.dataTransfer?.types.includes(DRAGGED);
    group.addEventListener("dragover", (event) => {
      if (!dragged(event)) return;
      event.preventDefault();
      group.classList.add("over");
    });
    group.addEventListener("dragleave", (event) => !group.contains(event.relatedTarget) && group.classList.remove("over"));
    group.addEventListener("drop", (event) => {
      if (!dragged(event)) return;
      event.preventDefault();
      group.classList.remove("over");
      this.move(Number(event.dataTransfer.getData(DRAGGED)), name);
    });
    return group;
  }

  /** The components that have a picture: those that were learned from clips. */
  get known() {
    const bare = this.expected.filter((each) => each.bare).map(({ name }) => name);
    return this.data.components.filter(({ home }) => !bare.includes(home));
  }

  ownedBy(name) {
    return this.known.filter((each) => this.ownerOf(each) === name);
  }

  show() {
    this.showToolbar();
    const { data, expected } = this;
    const names = data?.sources ?? expected.map(({ name }) => name);
    this.about.hidden = this.toolbar.hidden = !names.length;
    const long = data?.frames > 1 ? ", its time from left to right" : "";
    this.about.textContent = `Each picture is one building block of a source: low notes below, high ones above${long}, and the stronger the colour the louder. ${KEYS}`;
    const focused = this.groups.contains(document.activeElement) ? document.activeElement : null;
    this.groups.style.setProperty("--tile", `${this.width}px`);
    this.groups.replaceChildren(...names.map((name, place) => this.filled(name, place)));
    if (!data) return;
    for (const component of data.components) this.dress(component);
    for (const list of this.groups.querySelectorAll("[role=listbox]")) {
      const entry = list.querySelector("[aria-selected=true]") ?? list.querySelector("[role=option]");
      if (entry) entry.tabIndex = 0;
    }
    focused?.focus({ preventScroll: true });
    this.paint();
  }

  /** The group of a source, with its components or, until they are there, with their places. */
  filled(name, place) {
    const own = this.data ? this.ownedBy(name).sort((a, b) => a.centroid - b.centroid || a.index - b.index) : [];
    const { count = 0, bare = false } = this.expected.find((each) => each.name === name) ?? {};
    const waiting = own.length || this.editable || bare ? 0 : count;
    const tiles = make("div.learn-tiles");
    if (bare) tiles.append(make("p.earshot-quiet", {}, "No pictures: it is found anew in every mixture, as what the others do not explain."));
    if (own.length) {
      tiles.setAttribute("role", "listbox");
      tiles.setAttribute("aria-label", `Components of ${name}`);
      tiles.setAttribute("aria-orientation", "horizontal");
    } else if (!waiting && !bare) tiles.append(make("p.earshot-quiet", {}, "It has none now: all of it goes to the others."));
    tiles.append(...own.map(({ index }) => this.tiles.get(index).element));
    tiles.append(...Array.from({ length: waiting }, () => make("i.learn-tile.waiting", { "aria-hidden": "true" })));
    const group = this.group(name, place, own.length ? this.summary(name, own) : "", tiles);
    group.classList.toggle("empty", !own.length && !waiting);
    return group;
  }

  summary(name, own) {
    const muted = own.filter(({ index }) => this.surgery.muted.has(index)).length;
    const guests = own.filter(({ home }) => home !== name).length;
    const parts = [`${own.length} component${own.length === 1 ? "" : "s"}`, muted && `${muted} muted`, guests && `${guests} from elsewhere`];
    return parts.filter(Boolean).join(", ");
  }

  dress(component) {
    const { element } = this.tiles.get(component.index);
    const muted = this.surgery.muted.has(component.index);
    const moved = this.ownerOf(component) !== component.home;
    element.classList.toggle("muted", muted);
    element.classList.toggle("moved", moved);
    element.style.setProperty("--home", `var(--track-${1 + this.data.sources.indexOf(component.home)})`);
    element.setAttribute("aria-selected", component.index === this.chosen);
    element.tabIndex = -1;
    element.draggable = this.editable;
    const parts = [this.title(component), muted && "muted", moved && `from ${component.home}`];
    const text = parts.filter(Boolean).join(", ");
    element.setAttribute("aria-label", text);
    element.title = text;
  }

  title({ index, peak_hz: peak }) {
    return `Component ${index + 1}, strongest at ${spokenHz(peak)}`;
  }

  /** Draw what is not drawn yet in the colours of now. */
  paint() {
    if (!this.data) return;
    const style = getComputedStyle(this.element);
    const value = (name) => style.getPropertyValue(name).trim();
    const { frames, rows, sources, version, components } = this.data;
    const ramps = new Map();
    for (const component of components) {
      const { canvas } = this.tiles.get(component.index);
      const owner = this.ownerOf(component);
      const colours = ["--lane", `--track-${sources.indexOf(owner) + 1}`, "--text"].map(value);
      const drawn = [version, ...colours].join();
      if (canvas.dataset.drawn === drawn) continue;
      canvas.dataset.drawn = drawn;
      if (!ramps.has(owner)) ramps.set(owner, ramp(...colours.map(rgb)));
      Object.assign(canvas, { width: frames, height: rows });
      const context = canvas.getContext("2d");
      const image = context.createImageData(frames, rows);
      const pixels = new Uint32Array(image.data.buffer);
      const picture = this.picture(component.index);
      for (let row = 0; row < rows; row++) {
        const from = (rows - 1 - row) * frames; // the lowest frequency comes first
        for (let frame = 0; frame < frames; frame++) pixels[row * frames + frame] = ramps.get(owner)[picture[from + frame]];
      }
      context.putImageData(image, 0, 0);
    }
  }

  // -- one of them

  component(index) {
    return this.data.components.find((each) => each.index === index);
  }

  choose(index) {
    if (this.chosen !== null) this.tiles.get(this.chosen)?.element.setAttribute("aria-selected", false);
    this.chosen = index;
    const { element } = this.tiles.get(index);
    element.setAttribute("aria-selected", true);
    for (const other of element.parentElement.children) other.tabIndex = other === element ? 0 : -1;
    this.showToolbar();
  }

  press(index) {
    if (!this.data || !this.editable) return;
    this.choose(index);
    this.sound();
  }

  pressed(event, index) {
    if (!this.editable || event.ctrlKey || event.metaKey || event.altKey) return;
    const { element } = this.tiles.get(index);
    const tiles = [...element.parentElement.children];
    const place = tiles.indexOf(element);
    const go = (to) => () => {
      const next = tiles[Math.min(Math.max(to, 0), tiles.length - 1)];
      this.choose(Number(next.dataset.index));
      next.focus();
    };
    const source = this.data.sources[Number(event.key) - 1];
    const act = {
      ArrowRight: go(place + 1),
      ArrowLeft: go(place - 1),
      ArrowDown: go(place + this.across(tiles)),
      ArrowUp: go(place - this.across(tiles)),
      Home: go(0),
      End: go(tiles.length - 1),
      Enter: () => this.press(index),
      " ": () => this.press(index),
      m: () => this.mute(index),
      s: () => this.solo(index),
    }[event.key] ?? (source && (() => this.move(index, source)));
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    if (this.chosen !== index) this.choose(index);
    act();
  }

  /** Tiles in a row. */
  across(tiles) {
    return Math.max(1, tiles.filter(({ offsetTop }) => offsetTop === tiles[0].offsetTop).length);
  }

  async sound() {
    const url = at(`lessons/${encodeURIComponent(this.lesson)}/components/${this.chosen}.wav`, { version: this.data.version });
    const error = await hear(url.href, this.play);
    if (error) this.trouble.replaceChildren(problem(error));
  }

  // -- surgery

  buildToolbar() {
    const button = (label, act, key) => make("button.earshot-button", { type: "button", onclick: act, title: key ?? "" }, label);
    const one = (act) => () => act(this.chosen);
    this.play = button("Hear it", () => this.sound(), "Enter");
    this.play.setAttribute("aria-pressed", false);
    this.muting = button("Mute", one((index) => this.mute(index)), "M");
    this.soloing = button("Solo", one((index) => this.solo(index)), "S: mute all others");
    this.giving = make("span.learn-give", { role: "group", "aria-label": "Give it to another source" });
    this.undoing = button("Undo", () => this.step(-1));
    this.redoing = button("Redo", () => this.step(1));
    this.resetting = button("Undo all", () => this.change({ moved: new Map(), muted: new Set() }, "All changes are undone"));
    this.name = make("p.learn-picked");
    const acts = make("div.learn-tools", {}, this.play, this.muting, this.soloing, this.giving);
    this.again = button("Separate again", () => this.dispatchEvent(new Event("again")));
    this.again.classList.add("learn-again");
    this.sides = ["A", "B"].map((side) => button(side === "A" ? "▶ A before" : "▶ B after", () => this.dispatchEvent(new CustomEvent("hear", { detail: side }))));
    const past = make("div.learn-tools", {}, this.undoing, this.redoing, this.resetting, this.again, this.sides);
    return make("div.learn-toolbar", { role: "group", "aria-label": "The chosen component" }, this.name, acts, past);
  }

  showToolbar() {
    const picked = this.editable && this.chosen !== null ? this.component(this.chosen) : null;
    const owner = picked && this.ownerOf(picked);
    const { muted } = this.surgery;
    this.name.textContent = picked
      ? `${this.title(picked)} · ${owner}${owner === picked.home ? "" : `, from ${picked.home}`}`
      : this.editable
        ? "Choose a component: hear it, mute it, or drag it to another source."
        : "Still learning: the pictures change with every step.";
    for (const each of [this.play, this.muting, this.soloing]) each.disabled = !picked;
    this.muting.setAttribute("aria-pressed", Boolean(picked) && muted.has(picked.index));
    this.soloing.setAttribute("aria-pressed", Boolean(picked) && this.alone(picked.index));
    this.showGiving(owner, picked);
    this.undoing.disabled = !this.editable || this.at < 1;
    this.redoing.disabled = !this.editable || this.at >= this.history.length - 1;
    this.resetting.disabled = !this.editable || !this.words;
  }

  /** A button for each source but the one that has it. */
  showGiving(owner, picked) {
    const sources = this.data?.sources ?? this.expected.map(({ name }) => name);
    const others = sources.map((name, place) => [name, place]).filter(([name]) => name !== (owner ?? sources[0]));
    while (this.giving.children.length > others.length) this.giving.lastChild.remove();
    others.forEach(([name, place], index) => {
      const own = make("button.earshot-button", { type: "button" }, make("span.learn-dot", { "aria-hidden": "true" }), make("span"));
      const button = this.giving.children[index] ?? this.giving.appendChild(own);
      button.style.setProperty("--track", `var(--track-${place + 1})`);
      button.lastChild.textContent = `Give to ${name}`;
      button.title = String(place + 1);
      button.disabled = !picked;
      button.onclick = () => this.move(this.chosen, name);
    });
  }

  alone(index) {
    const { muted } = this.surgery;
    return muted.size > 0 && muted.size === this.known.length - 1 && !muted.has(index);
  }

  mute(index) {
    const { moved, muted } = this.surgery;
    const without = new Set(muted);
    const on = !without.delete(index);
    if (on) without.add(index);
    this.change({ moved, muted: without }, `Component ${index + 1} is ${on ? "muted" : "on again"}`);
  }

  solo(index) {
    const { moved } = this.surgery;
    const off = this.alone(index);
    const all = this.known.map((each) => each.index);
    // what was muted before the solo is muted after it
    const before = this.history.slice(0, this.at).findLast(({ muted }) => muted.size !== all.length - 1)?.muted ?? [];
    const others = off ? before : all.filter((other) => other !== index);
    this.change({ moved, muted: new Set(others) }, off ? "The solo is off" : `All but component ${index + 1} are muted`);
  }

  move(index, source) {
    const { moved, muted } = this.surgery;
    const component = this.component(index);
    if (!component || this.ownerOf(component) === source) return;
    const now = new Map(moved);
    if (component.home === source) now.delete(index);
    else now.set(index, source);
    this.chosen = index;
    this.change({ moved: now, muted }, `Component ${index + 1} belongs to ${source} now`);
  }

  record(surgery) {
    this.history = [...this.history.slice(0, this.at + 1), surgery];
    this.at = this.history.length - 1;
  }

  change(surgery, words) {
    this.record(surgery);
    this.told(words);
  }

  step(by) {
    this.at += by;
    this.told(by < 0 ? "Undone" : "Done again");
  }

  /** Show it and tell the server, one after the other, the last word last. */
  told(words) {
    this.trouble.replaceChildren();
    this.said.textContent = `${words}. Separate again to hear the change.`;
    this.show();
    const { lesson, key } = this;
    const { moved, muted } = this.surgery;
    const body = { moved: Object.fromEntries(moved), muted: [...muted] };
    this.telling = this.telling.then(async () => {
      if (lesson !== this.lesson || key !== this.key) return; // there is a newer word
      try {
        await ask(at(`lessons/${encodeURIComponent(lesson)}/surgery`), { method: "PUT", body });
      } catch (error) {
        if (lesson === this.lesson) this.trouble.replaceChildren(problem(error, () => this.told(words)));
      }
    });
    this.dispatchEvent(new Event("change"));
  }

  /** Whether the surgery can be heard now, whether that is under way, and which side is heard: null where there is only one. */
  offer({ news, busy, side }) {
    this.again.disabled = !news || busy;
    this.again.textContent = busy ? "Separating…" : "Separate again";
    this.sides.forEach((button, place) => {
      button.hidden = side === null;
      button.setAttribute("aria-pressed", side === "AB"[place]);
    });
  }

  /** Resolves when the server has heard of everything. */
  settled() {
    return this.telling;
  }
}
