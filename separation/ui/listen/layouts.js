/**
 * One page of a test as the server describes it (see `separation.listening.pages`): its sounds, its fields, and the rules that join
 * them. Which sound is which nobody knows here: sounds are tokens, drawn anew for every page.
 */

import { Bar } from "./bar.js";
import { Deck } from "./deck.js";
import { Rank, controlOf } from "./fields.js";
import { Marks } from "./marks.js";
import { announce, h, icon, paragraphs, say } from "./parts.js";
import { drawOutline, drawSpectrogram } from "./pictures.js";

const ROLE_KEYS = { target: "R", mixture: "M", x: "X", a: "A", b: "B" };
const RANGE_DB = 40; // of the level of the test, from bottom to top
const QUIET = 70; // percent: where the level begins, so that nobody is startled

/** A level in percent as a factor: even in decibels, and silence at the bottom. */
const gainOf = (percent) => (percent <= 0 ? 0 : 10 ** ((RANGE_DB * (percent / 100 - 1)) / 20));

const typing = (target) => target.matches?.("textarea, select, input:not([type=range], [type=radio], [type=checkbox])");
const pressing = (target) => target.matches?.("button, a, summary, input[type=radio], input[type=checkbox]");

/** Events: `say` (detail: a payload for the outbox). */
export class PageView extends EventTarget {
  /** `level`: the locked one in percent, or null if none has been set; `counts`: of this page's deck before a reload. */
  constructor(page, session, { level, counts }) {
    super();
    this.page = page;
    this.sounds = [
      ...page.references.map(({ token, role }) => ({ token, label: say(`sound.${role}`), key: ROLE_KEYS[role], role })),
      ...page.stimuli.map(({ token, label }, index) => ({ token, label: label || say("sound.one"), key: index < 10 ? `${(index + 1) % 10}` : null, role: null })),
    ];
    this.stimuli = this.sounds.filter(({ role }) => role === null);
    if (this.stimuli.every(({ label }) => /^[A-Z]$/.test(label))) for (const sound of this.stimuli) sound.key = sound.label;
    // A sound alone is heard to its end, once a press; to mark places in it, it has to go round.
    const alone = this.sounds.length === 1 && !page.fields.some(({ kind }) => kind === "marks");
    const rules = {
      ...page.rules,
      once: page.kind === "headphones" || (page.layout === "single" && alone),
      whole: page.layout === "single" && alone,
    };
    this.deck = new Deck(session, page.audio, this.sounds.map(({ token }) => token), rules, counts);
    this.deck.setGain(gainOf(level ?? 100));
    this.deck.addEventListener("did", ({ detail }) => this.tell(detail));
    this.deck.addEventListener("change", () => this.show());
    this.deck.addEventListener("ready", () => this.marks.forEach((marks) => marks.ready()));
    this.bar = this.sounds.length ? new Bar(this.deck) : null;
    this.buttons = new Map();
    for (const sound of this.sounds) this.buttons.set(sound.token, this.soundButton(sound));
    this.controls = this.makeControls(page.fields);
    this.marks = this.controls.filter((control) => control instanceof Marks);
    if (page.kind === "level") this.levelControl(level ?? QUIET);
    this.board = this.stimuli.length > 1 && this.stimuli.some(({ token }) => this.controlsOf(token).some(({ field }) => field.kind === "slider"));
    this.element = this.build();
    document.addEventListener("keydown", this.keyed);
    this.frame = requestAnimationFrame(this.tick);
    this.show();
  }

  tell(payload) {
    this.dispatchEvent(new CustomEvent("say", { detail: payload }));
  }

  labelOf(token) {
    return this.sounds.find((sound) => sound.token === token)?.label ?? "";
  }

  controlsOf(token) {
    return this.controls.filter(({ field }) => (field.of ?? null) === token);
  }

  /** What has been saved of a field so far. */
  valueOf({ name, of }) {
    return this.page.given[of ? `${name} ${of}` : name] ?? null;
  }

  /** A control for each field; the places of a ranking are one. */
  makeControls(fields) {
    const ranked = fields.filter(({ kind }) => kind === "rank");
    return fields.filter((field) => field.kind !== "rank" || field === ranked[0]).map((field) => this.control(field, ranked));
  }

  control(field, ranked) {
    const value = this.valueOf(field);
    let made;
    if (field.kind === "marks") made = new Marks(field, value, { deck: this.deck, views: Boolean(this.page.rules.views) });
    else if (field.kind === "rank") {
      const soundOf = (token) => ({ button: this.buttons.get(token), label: this.nameOf(token) });
      made = new Rank(ranked, ranked.map((each) => this.valueOf(each)), { soundOf });
    } else made = controlOf(field, value, { sound: field.of ? this.nameOf(field.of) : "" });
    made.addEventListener("given", ({ detail }) => this.tell({ kind: "given", ...detail }));
    made.addEventListener("moved", () => this.show());
    made.addEventListener("ranked", ({ detail }) => announce(say("rank.moved", { sound: detail.label, place: detail.place })));
    return made;
  }

  /** How loud the test is: set once, here, and the same on every page that follows. */
  levelControl(percent) {
    const field = { name: "level", kind: "slider", label: say("level.label"), help: say("level.help"), min: 0, max: 100, step: 1 };
    this.level = controlOf(field, percent, {});
    const hear = () => this.deck.setGain(gainOf(this.level.value));
    this.level.addEventListener("moved", hear);
    hear();
  }

  /** How a sound is called in a sentence: "sound 3", "A", "the reference". */
  nameOf(token) {
    const sound = this.sounds.find((each) => each.token === token);
    if (!sound) return "";
    return /^\d+$/.test(sound.label) ? say("sound.number", { number: sound.label }) : sound.label;
  }

  soundButton({ token, label, key, role }) {
    const button = h(
      "button",
      { type: "button", class: `sound ${role ? "reference" : "stimulus"}`, "data-token": token, "aria-keyshortcuts": key, onclick: () => this.press(token, "button") },
      icon("sound"),
      h("span", { class: "name" }, label),
      h("small", { class: "heard" }),
      key && key !== label ? h("kbd", { "aria-hidden": "true" }, key) : null,
    );
    return button;
  }

  /** A sound was asked for. */
  press(token, way) {
    const { deck } = this;
    if (!deck.ready) return announce(say("sounds.loading", { done: deck.pcm.size, of: deck.tokens.length }));
    if (deck.playing && deck.current === token && way === "button") return this.pause();
    if (!deck.play(token, way)) return announce(say("plays.used", { sound: this.nameOf(token) }));
    announce(say("playing", { sound: this.nameOf(token) }));
    this.showOwn();
    return undefined;
  }

  pause() {
    this.deck.pause();
    announce(say("paused"));
  }

  keyed = (event) => {
    const { target, key } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(target)) return;
    if (target.closest?.("dialog")) return;
    const sound = this.sounds.find((each) => each.key === key.toUpperCase());
    if (sound && !event.repeat) {
      event.preventDefault();
      this.press(sound.token, "key");
      if (this.board) this.sliderOf(sound.token)?.focus();
    } else if (key === " " && this.bar && !pressing(target) && target.getAttribute?.("role") !== "slider") {
      event.preventDefault();
      if (this.deck.playing) this.pause();
      else this.press(this.deck.current ?? this.deck.tokens[0], "key");
    } else if (key === "Escape" && this.bar) this.deck.stop();
  };

  sliderOf(token) {
    const slider = this.controlsOf(token).find(({ field }) => field.kind === "slider");
    return slider && !slider.input.disabled ? slider : null;
  }

  build() {
    const { page } = this;
    const layout = this.board ? "board" : page.layout;
    const made = { board: () => this.asBoard(), rank: () => this.asRank(), form: () => this.asForm() }[layout] ?? (() => this.asButtons());
    const text = paragraphs(page.text);
    return h("div", { class: `sheet ${layout} ${page.kind}` }, text.length ? h("div", { class: "prose" }, text) : null, this.bar?.element, made(), this.pictures(), this.keys());
  }

  references() {
    const references = this.sounds.filter(({ role }) => role !== null);
    return references.length ? h("div", { class: "references", role: "group", "aria-label": say("references") }, references.map(({ token }) => this.buttons.get(token))) : null;
  }

  elements(controls) {
    return controls.map(({ element }) => element);
  }

  /** Sliders side by side under one scale; on a narrow page, one under the other. */
  asBoard() {
    const strips = this.stimuli.map(({ token }, index) => {
      const sliders = this.controlsOf(token).filter(({ field }) => field.kind === "slider");
      return h("div", { class: "strip", "data-token": token, style: `--column: ${index + 2}`, role: "group", "aria-label": this.nameOf(token) }, this.buttons.get(token), this.elements(sliders));
    });
    const first = this.controls.find(({ field }) => field.of && field.kind === "slider").field;
    const board = h("div", { class: "strips", style: `--count: ${strips.length}` }, this.references(), strips, this.ladder(first));
    const asked = first.label === this.page.title ? null : h("p", { class: "asked" }, first.label);
    const others = this.controls.filter(({ field }) => field.kind !== "slider" || !field.of);
    const own = this.stimuli.map(({ token }) => {
      const controls = others.filter(({ field }) => field.of === token);
      return controls.length ? h("section", { class: "own", "data-token": token, hidden: true }, h("h2", {}, this.nameOf(token)), this.elements(controls)) : null;
    });
    return [asked, board, own, this.elements(others.filter(({ field }) => !field.of))];
  }

  /** The words beside the sliders. */
  ladder(field) {
    const { min, max, bands = [] } = field;
    const points = bands.length > 1 && max - min === bands.length - 1;
    const ticks = points ? bands.map((_, index) => min + index) : Array.from({ length: bands.length + 1 }, (_, index) => min + (index * (max - min)) / bands.length);
    const part = (value) => `--at: ${(value - min) / (max - min)}`;
    const lines = (bands.length ? ticks : [min, max]).map((value) => h("i", { style: part(value) }, h("b", {}, Math.round(value * 10) / 10)));
    const place = (index) => (points ? index / (bands.length - 1) : (index + 0.5) / bands.length);
    // `--slot` is where a word stands under a slider that lies: there is no room for it beyond the ends.
    const words = bands.map((word, index) => h("span", { style: `--at: ${place(index)}; --slot: ${(index + 0.5) / bands.length}` }, word));
    return h("div", { class: points ? "ladder points" : "ladder", "aria-hidden": "true" }, h("div", { class: "ladder-inner" }, lines, words));
  }

  asButtons() {
    for (const { field, element } of this.controls) if (field.kind === "slider" && field.bands?.length) element.append(this.ladder(field));
    const row = h("div", { class: "sounds", "data-count": this.stimuli.length, role: "group", "aria-label": say("sounds") }, this.stimuli.map(({ token }) => this.buttons.get(token)));
    // One sound alone has the large button of the bar.
    return [this.references(), this.sounds.length > 1 && this.stimuli.length ? row : null, h("div", { class: "fields" }, this.ordered())];
  }

  /** Controls in the order of the fields, those about one of several sounds under its name. */
  ordered() {
    let last = null;
    return this.controls.flatMap(({ field, element }) => {
      const named = field.of && field.of !== last && this.stimuli.length > 1 && field.kind !== "rank" ? h("h2", {}, this.nameOf(field.of)) : null;
      last = field.of ?? null;
      return [named, element];
    });
  }

  asRank() {
    return [this.references(), h("div", { class: "fields" }, this.ordered())];
  }

  asForm() {
    const single = this.sounds.length === 1;
    const groups = this.sounds.map(({ token }) => h("div", { class: "sound-group" }, single ? null : this.buttons.get(token), this.elements(this.controlsOf(token))));
    return h("div", { class: "fields" }, groups, this.level?.element, this.elements(this.controls.filter(({ field }) => !field.of)));
  }

  /** What is heard as pictures, where the page allows it. */
  pictures() {
    if (!this.page.rules.views || !this.sounds.length) return null;
    this.canvases = ["waveform", "spectrogram"].map((name) => h("canvas", { class: `outline ${name}` }));
    const lanes = this.canvases.map((canvas) => h("div", { class: "lane", "aria-hidden": "true" }, canvas, h("i", { class: "head" })));
    return h("details", { class: "views", ontoggle: ({ target }) => this.viewed(target.open) }, h("summary", {}, say("views")), lanes);
  }

  viewed(shown) {
    this.tell({ kind: "did", what: "view", of: this.deck.current, at: null, detail: { view: "pictures", shown } });
    this.drawn = null;
    this.show();
  }

  keys() {
    if (!this.sounds.length) return null;
    const numbered = this.sounds.map(({ key }) => key).filter((key) => /^\d$/.test(key ?? ""));
    const named = this.sounds.filter(({ key }) => key && !/^\d$/.test(key));
    const lines = [
      [say("key.space"), say("keys.play")],
      ...named.map(({ key, label }) => [key, label]),
      ...(numbered.length ? [[[...new Set([numbered[0], numbered.at(-1)])].join(" … "), say("keys.sounds")]] : []),
      ...(this.board ? [["↑ ↓", say("keys.slider")]] : []),
      ["Esc", say("stop")],
    ];
    return h("details", { class: "keys" }, h("summary", {}, say("keys")), h("dl", {}, lines.map(([key, what]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)))));
  }

  tick = () => {
    this.bar?.tick();
    for (const marks of this.marks) marks.tick();
    for (const canvas of this.canvases ?? []) canvas.nextSibling.style.left = `${(100 * this.deck.position) / this.deck.duration}%`;
    this.frame = requestAnimationFrame(this.tick);
  };

  /** Everything that depends on what is heard. */
  show() {
    if (!this.element) return;
    const { deck, page } = this;
    this.bar?.show();
    for (const { token } of this.sounds) {
      const button = this.buttons.get(token);
      const now = deck.current === token;
      const playing = now && deck.playing;
      button.setAttribute("aria-pressed", playing);
      button.classList.toggle("current", now);
      button.classList.toggle("waiting", !deck.pcm.has(token));
      const state = playing ? "sounding" : "sound";
      if (button.dataset.icon !== state) {
        button.dataset.icon = state;
        button.querySelector("svg").replaceWith(icon(state));
      }
      button.querySelector(".heard").textContent = this.stateOf(token, playing, now);
      button.disabled = !playing && deck.ready && !deck.mayPlay(token);
    }
    const limited = page.rules.only_heard && this.board;
    for (const control of this.controls) {
      const { of, kind } = control.field;
      if (this.board && of && kind === "slider") control.enable(!limited || deck.current === of);
    }
    for (const strip of this.element.querySelectorAll(".strip")) strip.classList.toggle("current", strip.dataset.token === deck.current);
    this.showOwn();
    this.draw();
  }

  /** The pictures of what is heard, or would be. */
  draw() {
    const { deck } = this;
    const token = deck.current ?? deck.tokens[0];
    if (!this.canvases?.[0].closest("details").open || this.drawn === token || !deck.pcmOf(token)) return;
    this.drawn = token;
    drawOutline(this.canvases[0], deck.pcmOf(token), deck.channels);
    drawSpectrogram(this.canvases[1], deck.pcmOf(token), deck.channels, deck.audio.sample_rate);
  }

  stateOf(token, playing, now) {
    const { deck } = this;
    const { plays = null } = deck.rules;
    if (deck.failed.has(token)) return say("state.failed");
    if (playing) return say("state.playing");
    if (plays !== null) return say("state.plays", { left: plays - deck.plays.get(token), of: plays });
    if (now && deck.heard.get(token) > 0) return say("state.paused");
    return deck.heardEnough(token) ? say("state.heard") : "";
  }

  /** What is asked of one sound is shown while that one is chosen. */
  showOwn() {
    for (const section of this.element.querySelectorAll(".own")) section.hidden = section.dataset.token !== this.deck.current;
  }

  /** What keeps the listener here: [{text, control | null, token | null}]. */
  missing() {
    const { deck, page } = this;
    this.flush();
    deck.switcher?.account();
    const listed = (tokens) => tokens.map((token) => this.nameOf(token)).join(", ");
    const asked = this.stimuli.length && page.layout !== "abx" ? this.stimuli : this.sounds;
    const unheard = page.rules.must_play ? asked.map(({ token }) => token).filter((token) => !deck.heardEnough(token)) : [];
    const found = unheard.length ? [{ text: say(deck.rules.whole ? "missing.whole" : "missing.heard", { sounds: listed(unheard) }), control: null, token: unheard[0] }] : [];
    const problems = this.controls.filter((control) => control.problem);
    for (const control of this.controls) control.warn(problems.includes(control));
    const sliders = problems.filter(({ field }) => this.board && field.kind === "slider" && field.of);
    if (sliders.length) found.push({ text: say("missing.rated", { sounds: listed(sliders.map(({ field }) => field.of)) }), control: sliders[0], token: sliders[0].field.of });
    for (const control of problems.filter((each) => !sliders.includes(each))) {
      const { of = null } = control.field;
      found.push({ text: of && this.stimuli.length > 1 ? `${this.nameOf(of)}: ${control.problem}` : control.problem, control, token: of });
    }
    return found;
  }

  /** Take the listener to what is missing. */
  goTo({ control, token }) {
    const own = control?.element.closest(".own");
    if (own) own.hidden = false;
    control?.element.scrollIntoView({ block: "center" });
    if (control && !control.element.classList.contains("off")) control.focus();
    else if (this.buttons.get(token)?.isConnected) this.buttons.get(token).focus();
    else this.bar?.play.focus();
  }

  /** What the server says is missing: "FIELD", "FIELD TOKEN" or, not heard yet, "play TOKEN". */
  point(names) {
    const found = names.map((name) => {
      const [field, token = null] = name.split(" ");
      return { control: this.controlsOf(token).find((each) => each.field.name === field) ?? this.controls.find((each) => each.field.name === field) ?? null, token };
    });
    for (const { control } of found) control?.warn(true);
    if (found.length) this.goTo(found[0]);
  }

  flush() {
    for (const control of this.controls) control.flush();
  }

  close() {
    this.flush();
    document.removeEventListener("keydown", this.keyed);
    cancelAnimationFrame(this.frame);
    this.deck.close();
  }
}

