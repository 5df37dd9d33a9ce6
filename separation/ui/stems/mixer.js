/**
 * <earshot-mixer base="…/earshot/">: a mixture from stems. Each file gets a name, a level and a mute button; the server renders
 * the mixture anew after every change, and `earshot-mix` says which it is and when it is there: detail {mix, rendered, stems:
 * [{id, name, level_db, muted}], duration, facts} or null. `clear()` forgets it; the server's copy is the page's to delete.
 */

import { Sending, ask, facts, make, send, takeFiles, words } from "./uploads.js";

const QUIET = 200; // milliseconds without a change until the server is told
const LOOK = 250; // milliseconds between two looks at the rendering
const [LEAST, MOST] = [-40, 12]; // dB

const TEMPLATE = `
<style>:host { display: block; min-height: 132px }</style>
<link rel="stylesheet" href="${new URL("stems.css", import.meta.url)}">
<section class="mixer" aria-label="Stems" hidden>
  <ul class="stems" aria-label="Stems of the mixture"></ul>
  <ul class="files"></ul>
  <label class="drop"><input type="file" multiple accept="audio/*,video/*"><b>Choose stems</b> or drop them here: two files or more, in any format</label>
  <p class="verdict" role="status"></p>
</section>`;

class EarshotMixer extends HTMLElement {
  #telling = 0;
  #looking = 0;
  #turn = 0; // the newest question

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = TEMPLATE;
    this.ui = Object.fromEntries(["mixer", "stems", "files", "drop", "verdict"].map((name) => [name, root.querySelector(`.${name}`)]));
    root.querySelector("link").onload = () => (this.ui.mixer.hidden = false);
    this.clear();
    takeFiles(this.ui.mixer, root.querySelector("input[type=file]"), (files) => this.take(files));
  }

  disconnectedCallback() {
    clearTimeout(this.#telling);
    clearTimeout(this.#looking);
  }

  get url() {
    return `${this.getAttribute("base") ?? ""}mixes`;
  }

  clear() {
    clearTimeout(this.#telling);
    clearTimeout(this.#looking);
    this.#turn += 1;
    this.mix = null;
    this.stems = [];
    this.ui.stems.replaceChildren();
    this.ui.files.replaceChildren();
    this.say("");
  }

  async take(files) {
    const waiting = files.map((file) => [file, new Sending(file)]);
    this.ui.files.append(...waiting.map(([, sending]) => sending.row));
    for (const [file, sending] of waiting) {
      if (sending.stop.signal.aborted) continue;
      try {
        await this.flush();
        const url = this.mix ? `${this.url}/${this.mix}/stems` : this.url;
        const answer = await send(url, file, { progress: (part) => sending.told(part), signal: sending.stop.signal });
        sending.row.remove();
        this.mix = answer.id;
        this.showStems(answer);
        this.follow(answer);
      } catch (error) {
        if (error.name !== "AbortError") sending.refused(error, file);
      }
    }
  }

  /** Rows for stems that are new; what is being typed in the others stays. */
  showStems({ stems }) {
    const known = new Map(this.stems.map((stem) => [stem.id, stem]));
    this.stems = stems.map((stem) => known.get(stem.id) ?? { ...stem, row: this.row(stem) });
    this.ui.stems.replaceChildren(...this.stems.map(({ row }) => row));
  }

  row(given) {
    const stem = () => this.stems.find(({ id }) => id === given.id);
    const name = make("input", { type: "text", value: given.name, maxLength: 60, className: "name", autocomplete: "off" });
    name.setAttribute("aria-label", `Name of ${given.file}`);
    name.onchange = () => {
      stem().name = name.value.trim();
      this.changed();
    };
    const level = make("input", { type: "range", min: LEAST, max: MOST, step: 0.5, value: given.level_db });
    level.setAttribute("aria-label", `Level of ${given.file}`);
    level.title = "Double-click for 0 dB";
    const output = make("output");
    const show = () => {
      const db = Number(level.value);
      output.textContent = `${db > 0 ? "+" : db < 0 ? "−" : ""}${Math.abs(db).toFixed(1)} dB`;
      level.setAttribute("aria-valuetext", output.textContent);
      level.style.setProperty("--part", `${(100 * (db - LEAST)) / (MOST - LEAST)}%`);
    };
    level.oninput = () => {
      stem().level_db = Number(level.value);
      show();
      this.changed();
    };
    level.ondblclick = () => {
      level.value = 0;
      level.oninput();
    };
    show();
    const mute = make("button", { type: "button", className: "mute", textContent: "M", title: "Mute" });
    mute.setAttribute("aria-label", `Mute ${given.file}`);
    mute.setAttribute("aria-pressed", given.muted);
    mute.onclick = () => {
      stem().muted = !stem().muted;
      mute.setAttribute("aria-pressed", stem().muted);
      this.changed();
    };
    const close = make("button", { type: "button", className: "close", textContent: "×", title: "Remove" });
    close.setAttribute("aria-label", `Remove ${given.file}`);
    close.onclick = () => this.remove(given.id);
    const about = make("span", { className: "facts", textContent: `${given.file} · ${facts(given)}`, title: given.file });
    return make("li", { className: "stem" }, name, mute, level, output, close, about);
  }

  async remove(id) {
    try {
      await this.flush();
      const answer = await ask(`${this.url}/${this.mix}/stems/${id}`, { method: "DELETE" });
      this.showStems(answer);
      this.follow(answer);
    } catch (error) {
      this.say(words(error), true);
    }
  }

  /** What stands against the names, in words, or "". */
  get problem() {
    const names = this.stems.map(({ name }) => name.toLowerCase());
    const twice = names.find((name, index) => names.indexOf(name) < index);
    if (names.includes("")) return "Every stem needs a name.";
    return twice ? `Two stems are called “${twice}”: give one of them another name.` : "";
  }

  /** Something is to be another way: the page hears of it at once, the server when it is quiet. */
  changed() {
    this.emit(false);
    this.say(this.problem || "Mixing…", Boolean(this.problem));
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => this.tell(), QUIET);
  }

  /** Tell the server now what it has not been told yet. */
  async flush() {
    if (!this.#telling) return;
    clearTimeout(this.#telling);
    await this.tell();
  }

  async tell() {
    this.#telling = 0;
    if (!this.mix || this.problem) return;
    const turn = ++this.#turn;
    try {
      const answer = await ask(`${this.url}/${this.mix}`, { method: "PUT", body: { stems: this.settings } });
      if (turn === this.#turn) this.follow(answer);
    } catch (error) {
      if (turn === this.#turn) this.say(words(error), true);
    }
  }

  get settings() {
    return this.stems.map(({ id, name, level_db, muted }) => ({ id, name, level_db, muted }));
  }

  /** Look again until the mixture is there as it is wanted. */
  follow(answer) {
    clearTimeout(this.#looking);
    const { rendered, state, audible, says } = answer;
    if (this.#telling) return; // it is wanted another way already
    this.answer = answer;
    if (this.problem) this.say(this.problem, true);
    else if (!rendered && state.status === "failed") this.say(words({ parts: state.error }), true);
    else if (!this.stems.length) this.say("");
    else if (!audible) this.say(says, true);
    else if (!rendered) {
      this.say("Mixing…");
      this.#looking = setTimeout(() => this.look(), LOOK);
    } else this.say(this.stems.length < 2 ? `${says} Add another stem to mix it with.` : says);
    this.emit(rendered && audible > 0);
  }

  async look() {
    const turn = ++this.#turn;
    try {
      const answer = await ask(`${this.url}/${this.mix}`);
      if (turn === this.#turn) this.follow(answer);
    } catch (error) {
      if (turn === this.#turn) this.say(words(error), true);
    }
  }

  emit(rendered) {
    const { mix, settings: stems } = this;
    const stage = this.answer?.stage;
    const form = rendered && stage ? { duration: stage.length / stage.sample_rate, facts: facts(stage) } : {};
    this.dispatchEvent(new CustomEvent("earshot-mix", { detail: { mix, stems, rendered, ...form } }));
  }

  say(text, bad = false) {
    this.ui.verdict.textContent = text;
    this.ui.verdict.classList.toggle("bad", bad);
  }
}

if (!customElements.get("earshot-mixer")) customElements.define("earshot-mixer", EarshotMixer);
