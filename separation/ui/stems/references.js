/**
 * <earshot-references>: true stems for the separation in the <earshot-player> beside it (in the same parent). One line until it
 * is opened or files are dropped on it; offered files change nothing until "Use these stems" is pressed. Hidden while the
 * player is blind, and until the separation is done.
 */

import { Sending, ask, facts, make, send, takeFiles, words } from "./uploads.js";

const CHEVRON = `<svg class="chevron" viewBox="0 0 24 24" aria-hidden="true"><path d="m6 9 6 6 6-6" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
const OUT = ""; // the choice that leaves a file out

const TEMPLATE = `
<style>:host { display: block; min-height: 58px }</style>
<link rel="stylesheet" href="${new URL("stems.css", import.meta.url)}">
<section class="panel" aria-label="True stems" hidden>
  <header class="line">
    <h2><button type="button" class="open" aria-expanded="false" aria-controls="body">${CHEVRON}<span>Have the true stems? Drop them here</span></button></h2>
    <p class="summary" role="status"></p>
  </header>
  <div class="body" id="body" hidden>
    <p class="about">With the recordings that were mixed you can hear the truth beside each part, and every second gets a score.
      They are compared with the mixture first, stay with this separation and go when it goes.</p>
    <ul class="used" aria-label="True stems in use"></ul>
    <label class="drop"><input type="file" multiple accept="audio/*,video/*"><b>Choose files</b> or drop them here: each stem as long as the recording, in any format</label>
    <ul class="files" aria-label="Offered files"></ul>
    <p class="verdict" role="status"></p>
    <p class="buttons"><button type="button" class="button strong use">Use these stems</button><span class="notice" role="status"></span></p>
  </div>
</section>`;

class EarshotReferences extends HTMLElement {
  #asked = 0; // the newest question whether the stems add up

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = TEMPLATE;
    const names = ["panel", "open", "summary", "body", "used", "drop", "files", "verdict", "use", "notice", "buttons"];
    this.ui = Object.fromEntries(names.map((name) => [name, root.querySelector(`.${name}`)]));
    this.ready = new Promise((done) => (root.querySelector("link").onload = done));
    this.job = null;
    this.state = null;
    this.names = {};
    this.sending = 0;
    this.ui.open.onclick = () => this.open(this.ui.body.hidden);
    this.ui.use.onclick = () => this.use();
    takeFiles(this.ui.panel, root.querySelector("input[type=file]"), (files) => this.take(files));
  }

  connectedCallback() {
    this.player = this.parentElement.querySelector("earshot-player");
    this.off = new AbortController();
    for (const name of ["state", "stage", "blind"]) {
      this.player.addEventListener(`earshot-${name}`, () => this.show(), { signal: this.off.signal });
    }
    this.show();
  }

  disconnectedCallback() {
    this.off.abort();
  }

  get url() {
    return `${this.player.url}/references`;
  }

  /** Follow the player: another job begins anew. */
  async show() {
    await this.ready;
    const { record, blind } = this.player;
    const done = record?.state.status === "done" && Boolean(record.stages.full);
    if (record && record.id !== this.job) {
      this.job = record.id;
      this.state = null;
      this.names = {};
      this.ui.files.replaceChildren();
      this.say("");
      this.verdict(null);
      this.open(false);
    }
    this.ui.panel.hidden = !done;
    this.style.display = blind ? "none" : "";
    if (!done) return;
    const used = record.stages.full.tracks.filter((name) => name.startsWith("reference-")).map((name) => name.slice(10));
    this.ui.open.querySelector("span").textContent = used.length ? "True stems" : "Have the true stems? Drop them here";
    this.ui.summary.textContent = used.length ? `In use: ${used.join(", ")}` : "";
    if (!this.ui.body.hidden && this.state && `${this.state.used}` !== `${used}`) this.look();
  }

  async open(on) {
    this.ui.open.setAttribute("aria-expanded", on);
    this.ui.body.hidden = !on;
    if (on) await this.look();
  }

  /** Ask what there is. */
  async look() {
    const { job } = this;
    try {
      const state = await ask(this.url);
      if (job !== this.job) return;
      this.state = state;
      this.showState();
      this.check();
    } catch (error) {
      this.say(words(error), true);
    }
  }

  showState() {
    const { used, offered } = this.state;
    this.ui.used.replaceChildren(...used.map((name) => this.usedRow(name)));
    for (const row of this.ui.files.querySelectorAll(".offer")) row.remove();
    this.ui.files.prepend(...offered.map((one) => this.offerRow(one)));
    this.showButton();
  }

  usedRow(name) {
    const remove = make("button", { type: "button", className: "button quiet", textContent: "Remove" });
    remove.setAttribute("aria-label", `Remove the true ${name}`);
    remove.onclick = () => this.change(`${this.url}/named/${encodeURIComponent(name)}`, { method: "DELETE" }, `${name} is removed.`);
    return make("li", {}, make("b", { textContent: name }), make("span", { className: "facts", textContent: "is a track of the player" }), remove);
  }

  offerRow(one) {
    this.names[one.id] ??= one.name;
    const own = this.state.sources.includes(one.name) ? null : one.name;
    const choices = [...this.state.sources.map((name) => [name, name]), ...(own ? [[own, `${own} (its own name)`]] : []), [OUT, "Leave it out"]];
    const which = make("select", {}, ...choices.map(([value, text]) => new Option(text, value)));
    which.value = this.names[one.id];
    which.setAttribute("aria-label", `What ${one.file} is`);
    which.onchange = () => {
      this.names[one.id] = which.value;
      this.showButton();
      this.check();
    };
    const close = make("button", { type: "button", className: "close", textContent: "×" });
    close.setAttribute("aria-label", `Remove ${one.file}`);
    close.onclick = () => this.change(`${this.url}/offered/${one.id}`, { method: "DELETE" }, "");
    return make(
      "li",
      { className: "offer" },
      make("span", { className: "file", textContent: one.file, title: one.file }),
      make("span", { className: "facts", textContent: facts(one) }),
      make("label", { className: "which" }, "is ", which),
      close,
    );
  }

  /** The offers that are not left out. */
  get chosen() {
    return (this.state?.offered ?? []).filter(({ id }) => this.names[id] !== OUT);
  }

  /** What stands against using them, in words, or "". */
  get problem() {
    const names = this.chosen.map(({ id }) => this.names[id]);
    const twice = names.find((name, index) => names.indexOf(name) < index);
    return twice ? `Two files are “${twice}”: say what the other one is, or leave it out.` : "";
  }

  showButton() {
    const count = this.chosen.length;
    this.ui.buttons.hidden = !this.state?.offered.length;
    this.ui.use.disabled = !count || this.sending > 0 || Boolean(this.problem);
    this.say(this.problem, true);
  }

  async take(files) {
    if (!this.state) await this.open(true);
    else this.open(true);
    const { job } = this;
    const waiting = files.map((file) => [file, new Sending(file)]);
    this.ui.files.append(...waiting.map(([, sending]) => sending.row));
    this.sending += waiting.length;
    this.showButton();
    for (const [file, sending] of waiting) {
      try {
        if (file.size > this.state.largest) throw Object.assign(new Error("large"), { parts: tooLarge(this.state.largest) });
        if (!sending.stop.signal.aborted) {
          await send(this.url, file, { progress: (part) => sending.told(part), signal: sending.stop.signal });
        }
        sending.row.remove();
      } catch (error) {
        if (error.name !== "AbortError") sending.refused(error, file);
      }
      this.sending -= 1;
      if (job !== this.job) return;
      await this.look();
    }
  }

  /** Do they add up to the mixture? The newest question counts. */
  async check() {
    const number = ++this.#asked;
    const keys = this.chosen.map(({ id }) => id);
    if (!keys.length || this.sending) {
      this.verdict(null);
      return;
    }
    this.verdict({ says: "Listening whether they add up to the recording…", waiting: true });
    try {
      const replaced = this.chosen.map(({ id }) => this.names[id]).filter((name) => this.state.used.includes(name));
      const answer = await ask(`${this.url}/sum?offers=${keys.join()}&replaced=${encodeURIComponent(replaced)}`);
      if (number !== this.#asked) return;
      this.verdict(answer);
      this.rename(answer.names);
    } catch (error) {
      if (number === this.#asked) this.verdict({ says: words(error), fits: false });
    }
  }

  /** Names that the sound suggests count as long as nobody has chosen others. */
  rename(names) {
    let changed = false;
    for (const one of this.state.offered) {
      const better = names[one.id];
      if (!better || better === one.name || this.names[one.id] !== one.name) continue;
      one.name = this.names[one.id] = better;
      changed = true;
    }
    if (changed) this.showState();
  }

  verdict(answer) {
    this.ui.verdict.textContent = answer?.says ?? "";
    this.ui.verdict.className = `verdict ${!answer || answer.waiting ? "" : answer.fits ? "good" : "bad"}`;
  }

  async use() {
    const names = Object.fromEntries(this.chosen.map(({ id }) => [id, this.names[id]]));
    this.ui.use.disabled = true;
    this.say("Putting them beside the other tracks…");
    const titles = Object.values(names).join(", ");
    await this.change(`${this.url}/use`, { method: "POST", body: { names } }, `In use now: ${titles}. They wait muted among the tracks.`);
  }

  async change(url, options, said) {
    try {
      await ask(url, options);
      await this.look();
      this.player.look();
      this.say(said);
    } catch (error) {
      this.showButton();
      this.say(words(error), true);
    }
  }

  say(text, bad = false) {
    this.ui.notice.textContent = text;
    this.ui.notice.classList.toggle("bad", bad);
    if (text) this.ui.buttons.hidden = false;
    this.ui.use.hidden = !this.state?.offered.length;
  }
}

function tooLarge(largest) {
  return { asked: "Send it", found: `it has more than the ${largest / 1e6} MB that are allowed here`, advice: "Use FLAC or MP3" };
}

if (!customElements.get("earshot-references")) customElements.define("earshot-references", EarshotReferences);
