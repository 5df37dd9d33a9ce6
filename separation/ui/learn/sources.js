// Step 1 of the Learn page: two to four sources, each with clips in which it sounds alone, or learned before.

import { ask, at, make, problem } from "../cards/ask.js";
import { Sending, send, takeFiles } from "../stems/uploads.js";
import { lessons } from "./kept.js";
import { canRecord, recordButton } from "./microphone.js";
import { hear } from "./sound.js";

export const [FEWEST, MOST] = [2, 4];
const ENOUGH = 10; // seconds that teach a source well
const POINTS = 64; // strokes of a clip's outline
const LEAST = 1; // seconds without which nothing is learned
const NAME = /^[\p{L}\p{N}_ -]*$/u; // names become files and tracks
const RESERVED = ["mixture", "residual"]; // names of tracks

/** The sources. Event: `change` (names, clips or their number); `mixture` (detail: a card that wants a part of the mixture). */
export class Sources extends EventTarget {
  constructor() {
    super();
    this.cards = [];
    this.finds = false; // whether the system finds one source that it knows no clip of
    this.list = make("div.learn-sources");
    this.more = make("button.earshot-button", { type: "button", onclick: () => this.add({ focus: true }) }, "+ Another source");
    this.element = make("div.learn-step-body", {}, this.list);
    this.show([{}, {}]);
  }

  /** Show these sources, [{name, clips: [{clip, name, seconds}], from, rest}], instead of what is there. */
  show(sources) {
    for (const card of this.cards) card.stop();
    this.cards = [];
    for (const source of sources) this.cards.push(new Card(this, source));
    this.arrange();
  }

  add({ focus = false, ...source } = {}) {
    const card = new Card(this, source);
    this.cards.push(card);
    this.arrange();
    if (focus) card.name.select();
    return card;
  }

  remove(card) {
    card.stop();
    this.cards = this.cards.filter((each) => each !== card);
    this.arrange();
    this.cards.at(-1).name.focus();
  }

  arrange() {
    this.cards.forEach((card, index) => card.number(index, this.cards.length > FEWEST));
    this.more.hidden = this.cards.length >= MOST;
    this.list.replaceChildren(...this.cards.map(({ element }) => element));
    this.changed();
  }

  changed() {
    for (const card of this.cards) card.showEnough();
    this.showRest();
    this.dispatchEvent(new Event("change"));
  }

  /** Whether one source may do without clips, as the system has it that is chosen. */
  set findsUnknown(on) {
    this.finds = on;
    this.showRest();
  }

  showRest() {
    const taken = this.cards.some(({ rest }) => rest);
    for (const card of this.cards) card.none.hidden = taken || !this.finds || !card.bare;
  }

  /** Nothing can be taken from this lesson any more. */
  lose(lesson) {
    const losing = this.cards.filter(({ from }) => from?.lesson === lesson);
    for (const card of losing) card.drops();
    if (losing.length) this.changed();
  }

  get names() {
    return this.cards.map(({ title }) => title);
  }

  /** What can be laid out again by `show`. */
  get layout() {
    return this.cards.map(({ title, clips, from, rest }) => ({ name: title, from, rest, clips: clips.map(({ clip, name, seconds }) => ({ clip, name, seconds })) }));
  }

  get empty() {
    return this.cards.every(({ bare }) => bare);
  }

  /** The system that sources learned before ask for; null if there is none such. */
  get system() {
    return this.cards.find(({ from }) => from)?.from.system ?? null;
  }

  /** What still stands against learning, in words, or "". */
  get missing() {
    const names = this.names.map((name) => name.toLowerCase());
    if (names.includes("")) return "Give every source a name.";
    const twice = this.names.find((_, index) => names.indexOf(names[index]) < index);
    if (twice) return `Two sources are called “${twice}”: give one of them another name.`;
    const taken = this.names.find((name) => RESERVED.includes(name.toLowerCase()) || name.toLowerCase().startsWith("reference-"));
    const odd = this.names.find((name) => !NAME.test(name));
    if (odd) return `“${odd}” cannot be a name: use letters, digits, spaces, - and _ only.`;
    if (taken) return `“${taken}” is the name of another track: choose another one.`;
    if (this.cards.some(({ sending }) => sending)) return "A clip is still on its way.";
    const rest = this.cards.find((card) => card.rest);
    if (rest && !this.finds) return `This system cannot find ${rest.title} without a clip of it: bring one, or choose NMF or convolutive NMF.`;
    const bare = this.cards.filter((card) => card.bare).map(({ title }) => title);
    if (bare.length) return `Bring a clip of ${bare.join(" and of ")} first.`;
    const short = this.cards.find((card) => card.clips.length && card.seconds < LEAST);
    if (short) return `${short.title} has ${short.seconds.toFixed(1)} s of clips: bring ${LEAST} s or more, or better ${ENOUGH} s.`;
    const systems = new Set(this.cards.flatMap(({ from }) => (from ? [from.system] : [])));
    return systems.size > 1 ? "The sources learned before were learned by different systems and do not fit together: take one of them out." : "";
  }

  /** The sources as the server wants them. */
  get request() {
    return this.cards.map(({ title: name, clips, from }) =>
      from ? { name, from: from.lesson, source: from.source } : { name, clips: clips.map(({ clip }) => clip) },
    );
  }
}

/** One source. */
class Card {
  constructor(sources, { name, clips = [], from = null, rest = false }) {
    this.sources = sources;
    this.clips = [];
    this.from = from;
    this.rest = rest; // it has no clips, and is what the others leave
    this.sending = 0; // clips on their way
    this.given = name;
    this.name = make("input.learn-name", { type: "text", maxLength: 40, autocomplete: "off", spellcheck: false });
    this.name.addEventListener("input", () => this.sources.changed());
    this.name.addEventListener("keydown", (event) => event.key === "Enter" && this.name.blur());
    this.close = make("button.learn-close", { type: "button", onclick: () => this.sources.remove(this) }, "×");
    this.list = make("ul.learn-clips");
    this.input = make("input", { type: "file", multiple: true, accept: "audio/*,video/*" });
    this.drop = make("label.learn-drop", {}, this.input, make("b", {}, "Choose clips"), " or drop them here");
    this.record = recordButton({ label: "Record", take: (file) => this.take([file]), failed: (error) => this.say(error) });
    this.part = make("button.earshot-button", { type: "button", onclick: () => this.ask("mixture") }, "From the mixture");
    this.before = make("button.earshot-button", { type: "button", "aria-haspopup": "menu", onclick: () => this.offer() }, "Learned before");
    this.menu = make("div.learn-menu", { role: "menu", hidden: true });
    this.trouble = make("div.learn-trouble");
    this.meter = make("i");
    this.enough = make("p.learn-enough", {}, make("span.learn-meter", { "aria-hidden": "true" }, this.meter), make("span"));
    this.none = make("button.earshot-button", { type: "button", hidden: true, onclick: () => this.doWithout() }, "Without clips");
    this.none.title = "It will be what the others do not explain in the mixture";
    const ways = make("div.learn-ways", {}, this.record, this.part, this.before, this.none, this.menu);
    const why = !canRecord && make("p.earshot-quiet", {}, "The microphone needs https or localhost.");
    this.bring = make("div.learn-bring", {}, this.drop, ways, why);
    const head = make("header", {}, make("span.learn-dot", { "aria-hidden": "true" }), this.name, this.close);
    this.element = make("article.learn-source", {}, head, this.list, this.trouble, this.bring, this.enough);
    takeFiles(this.element, this.input, (files) => this.take(files));
    this.menu.addEventListener("keydown", (event) => this.menuKey(event));
    for (const clip of clips) this.put(clip);
    this.showFrom();
  }

  get title() {
    return this.name.value.trim();
  }

  ask(what) {
    this.sources.dispatchEvent(new CustomEvent(what, { detail: this }));
  }

  /** It is the source at this place now. */
  number(index, removable) {
    if (this.given === undefined && !this.name.value) this.given = `source ${index + 1}`;
    if (this.given !== undefined) this.name.value = this.given;
    this.given = undefined;
    this.element.style.setProperty("--track", `var(--track-${index + 1})`);
    this.element.setAttribute("aria-label", `Source ${index + 1}`);
    this.name.setAttribute("aria-label", `Name of source ${index + 1}`);
    this.input.setAttribute("aria-label", `Choose clips of source ${index + 1}`);
    this.close.setAttribute("aria-label", `Remove source ${index + 1}`);
    this.close.hidden = !removable;
  }

  stop() {
    for (const { abort } of this.list.querySelectorAll("li")) abort?.();
  }

  say(error) {
    this.trouble.replaceChildren(problem(error));
  }

  // -- clips

  async take(files) {
    this.trouble.replaceChildren();
    this.drops();
    const waiting = files.map((file) => [file, new Sending(file)]);
    for (const [, { row, close }] of waiting) {
      row.classList.add("learn-sending");
      row.abort = () => close.click();
    }
    this.list.append(...waiting.map(([, { row }]) => row));
    this.sending += waiting.length;
    this.sources.changed();
    for (const [file, sending] of waiting) {
      try {
        if (sending.stop.signal.aborted) continue;
        const told = { progress: (part) => sending.told(part), signal: sending.stop.signal };
        const { clip, seconds } = await send(at("lessons/clips"), file, told);
        this.put({ clip, seconds, name: file.name }, sending.row);
      } catch (error) {
        if (error.name !== "AbortError") sending.refused(error, file);
      } finally {
        this.sending -= 1;
        this.sources.changed();
      }
    }
  }

  /** Take a stretch of a recording, {draft, start, stop}; `name` is what it is called. Throws what the server refuses. */
  async cut(stretch, name) {
    this.trouble.replaceChildren();
    this.drops();
    this.sending += 1;
    this.sources.changed();
    try {
      const { clip, seconds } = await ask(at("lessons/clips"), { method: "POST", body: stretch });
      this.put({ clip, seconds, name });
    } finally {
      this.sending -= 1;
      this.sources.changed();
    }
  }

  /** Nothing is known of it. */
  get bare() {
    return !this.clips.length && !this.from && !this.rest;
  }

  /** Whoever brings a clip does not want what was learned before. */
  drops() {
    this.from = null;
    this.rest = false;
    this.showFrom();
  }

  put(given, instead = null) {
    const url = at(`lessons/clips/${encodeURIComponent(given.clip)}.wav`).href;
    const say = (error) => error && this.say(error);
    const play = make("button.learn-play", { type: "button", "aria-label": `Play ${given.name}`, "aria-pressed": false });
    play.onclick = async () => say(await hear(url, play));
    const outline = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    outline.setAttribute("class", "learn-outline");
    outline.setAttribute("aria-hidden", "true");
    const seconds = make("span.learn-seconds", {}, `${given.seconds.toFixed(1)} s`);
    const close = make("button.learn-close", { type: "button", "aria-label": `Remove ${given.name}` }, "×");
    const row = make("li.learn-clip", {}, play, outline, seconds, close, make("span.learn-file", { title: given.name }, given.name));
    const entry = { ...given, row };
    close.onclick = () => {
      if (play.getAttribute("aria-pressed") === "true") play.click();
      this.removeClip(entry);
    };
    this.clips.push(entry);
    if (instead?.isConnected) instead.replaceWith(row);
    else this.list.append(row);
    this.draw(entry, outline);
  }

  removeClip(entry) {
    this.clips = this.clips.filter((each) => each !== entry);
    entry.row.remove();
    this.sources.changed();
  }

  /** The outline; a clip that is not kept any more goes. */
  async draw(entry, svg) {
    const answer = await fetch(at(`lessons/clips/${encodeURIComponent(entry.clip)}.peaks`, { points: POINTS }), { cache: "no-store" }).catch(() => null);
    if (answer?.status === 404) {
      this.removeClip(entry);
      this.say({ parts: { asked: `Use ${entry.name}`, found: "it is not kept here any more", advice: "Bring it again" } });
    }
    if (!answer?.ok) return;
    const pairs = new Int8Array(await answer.arrayBuffer());
    const count = pairs.length / 2;
    const top = pairs.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const strokes = Array.from({ length: count }, (_, index) => {
      const [low, high] = [pairs[2 * index], pairs[2 * index + 1]].map((value) => 20 - (18 * value) / top);
      return `M${2 * index + 1} ${high.toFixed(1)}V${Math.max(low, high + 0.8).toFixed(1)}`;
    });
    svg.setAttribute("viewBox", `0 0 ${2 * count} 40`);
    svg.setAttribute("preserveAspectRatio", "none");
    const path = document.createElementNS(svg.namespaceURI, "path");
    path.setAttribute("d", strokes.join(""));
    svg.replaceChildren(path);
  }

  // -- learned before

  /** What this browser has learned: {lesson, source, system, words}. */
  get known() {
    return lessons()
      .filter(({ done }) => done)
      .flatMap(({ id, sources, system, title, made }) => {
        const when = new Date(made).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
        return sources.map((source) => ({ lesson: id, source, system, words: `${title}, ${when}` }));
      });
  }

  offer() {
    if (!this.menu.hidden) return this.hideMenu();
    const items = this.known.map((from) => {
      const item = make("button", { type: "button", role: "menuitem" }, from.source, make("small", {}, from.words));
      item.onclick = () => {
        this.hideMenu();
        this.use(from);
      };
      return item;
    });
    const none = make("p.earshot-quiet", {}, "Nothing yet: every source that you learn here can be used again beside others.");
    this.menu.replaceChildren(...(items.length ? items : [none]));
    this.menu.hidden = false;
    this.before.setAttribute("aria-expanded", true);
    this.menu.querySelector("button")?.focus({ preventScroll: true });
    const away = (event) => {
      if (this.menu.contains(event.target) || this.before.contains(event.target)) return;
      document.removeEventListener("pointerdown", away);
      this.hideMenu(false);
    };
    document.addEventListener("pointerdown", away);
    return undefined;
  }

  hideMenu(focus = true) {
    this.menu.hidden = true;
    this.before.setAttribute("aria-expanded", false);
    if (focus) this.before.focus({ preventScroll: true });
  }

  menuKey(event) {
    const items = [...this.menu.querySelectorAll("button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) items.at((items.indexOf(document.activeElement) + step) % items.length)?.focus();
    else if (event.key === "Escape" || event.key === "Tab") this.hideMenu();
    else return;
    event.preventDefault();
  }

  use(from) {
    this.stop();
    this.clips = [];
    this.list.replaceChildren();
    this.from = from;
    this.rest = false;
    if (/^source \d$/.test(this.title)) this.name.value = from.source;
    this.showFrom();
    this.sources.changed();
  }

  /** It shall be found without clips. */
  doWithout() {
    this.rest = true;
    this.showFrom();
    this.sources.changed();
  }

  /** What stands in the place of clips. */
  showFrom() {
    this.list.querySelector(".learn-from")?.remove();
    if (!this.from && !this.rest) return;
    const title = this.from ? `Do not use ${this.from.source}` : "Bring clips of it instead";
    const close = make("button.learn-close", { type: "button", "aria-label": title }, "×");
    close.onclick = () => {
      this.drops();
      this.sources.changed();
    };
    const words = this.from
      ? make("span", {}, make("b", {}, this.from.source), ` as it was learned before (${this.from.words})`)
      : make("span", {}, make("b", {}, "No clips"), ": whatever the others do not explain in the mixture");
    this.list.prepend(make("li.learn-from", {}, words, close));
  }

  // -- how much there is

  get seconds() {
    return this.clips.reduce((sum, clip) => sum + clip.seconds, 0);
  }

  showEnough() {
    const { seconds } = this;
    const [, words] = this.enough.children;
    this.enough.classList.toggle("enough", seconds >= ENOUGH || Boolean(this.from));
    this.meter.style.width = `${Math.min(100, (100 * (this.from ? ENOUGH : seconds)) / ENOUGH)}%`;
    const text = this.from
      ? "Nothing to learn: it is known"
      : this.rest
        ? "Found anew in every mixture"
        : seconds >= ENOUGH
          ? `${Math.round(seconds)} s: enough to learn well`
          : seconds > 0
            ? `${seconds.toFixed(1)} s: ${ENOUGH} s teach more`
            : `About ${ENOUGH} seconds of it alone`;
    if (words.textContent !== text) words.textContent = text;
  }
}
