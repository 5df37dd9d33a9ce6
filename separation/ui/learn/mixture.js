// The mixture of the Learn page: one recording, chosen in either of two places; shown in both, a part of it can be taken in one.

import { ask, at, make, problem, root } from "../cards/ask.js";
import { Sending, send, takeFiles } from "../stems/uploads.js";
import { clock } from "../static/times.js";
import { canRecord, recordButton } from "./microphone.js";

const SHORTEST = 0.3; // seconds of a part that says anything of a source

/** The recording that is to be taken apart: `current` is {draft, name} or null. Event: `change`. */
export class Mixture extends EventTarget {
  current = null;

  set(current) {
    if (current?.draft === this.current?.draft) return;
    this.current = current;
    this.dispatchEvent(new Event("change"));
  }

  /** One that was chosen before, if it is still kept. */
  async restore(current) {
    if (!current) return;
    try {
      await ask(at(`drafts/${encodeURIComponent(current.draft)}`));
      if (!this.current) this.set(current);
    } catch {
      // it has expired: there is none
    }
  }
}

/**
 * A place that shows the mixture, and lets it be chosen. With `sources` (the page's) it has a button for each that takes the
 * part that is selected.
 */
export class MixturePanel {
  constructor({ mixture, examples, sources = null }) {
    this.mixture = mixture;
    this.sources = sources;
    this.changing = this.isBrief = false;
    const input = make("input", { type: "file", accept: "audio/*,video/*", "aria-label": "Choose the mixture" });
    this.sent = make("ul.learn-clips");
    this.trouble = make("div.learn-trouble");
    const record = recordButton({ label: "Record", take: (file) => this.take(file), failed: (error) => this.say(error) });
    const bundled = examples.map(({ title, mixture: given }) =>
      make("button.earshot-button", { type: "button", onclick: () => this.choose(given) }, `Example: ${title}`),
    );
    this.keep = make("button.earshot-button", { type: "button", hidden: true, onclick: () => this.change(false) }, "Keep the one there is");
    this.chooser = make(
      "div.learn-chooser",
      {},
      make("label.learn-drop", {}, input, make("b", {}, "Choose the mixture"), " or drop it here"),
      make("div.learn-ways", {}, record, bundled, this.keep),
      !canRecord && make("p.earshot-quiet", {}, "The microphone needs https or localhost."),
    );
    takeFiles(this.chooser, input, ([file]) => this.take(file));
    this.title = make("strong");
    const again = make("button.earshot-button", { type: "button", onclick: () => this.change(true) }, "Another mixture");
    this.head = make("div.learn-chosen", {}, this.title, again);
    this.stage = make("div.learn-slim");
    this.element = make("div.learn-mixture", {}, this.chooser, this.sent, this.trouble, this.head, this.stage);
    if (sources) this.addCutter();
    mixture.addEventListener("change", () => this.change(false));
    this.show();
  }

  /** Only its name: it can be heard below. */
  set brief(on) {
    if (on === this.isBrief) return;
    this.isBrief = on;
    this.show();
  }

  change(on) {
    this.changing = on;
    this.show();
    if (on) this.chooser.querySelector("input").focus();
  }

  show() {
    const { current } = this.mixture;
    this.chooser.hidden = Boolean(current) && !this.changing;
    this.keep.hidden = !current;
    this.head.hidden = !current;
    this.stage.hidden = !current || this.isBrief;
    if (current) this.title.textContent = current.name;
    if (current && !this.isBrief) this.showPlayer(current.draft);
    if (this.sources) this.showCutter();
  }

  showPlayer(draft) {
    this.player ??= this.build();
    this.player.setAttribute("draft", draft);
  }

  build() {
    const player = document.createElement("earshot-player");
    player.setAttribute("base", new URL("earshot/", root).pathname);
    player.setAttribute("draft", "");
    player.addEventListener("earshot-selection", () => this.sources && this.showCutter());
    player.addEventListener("earshot-state", ({ detail }) => detail.status === "gone" && this.mixture.set(null));
    this.stage.append(player);
    return player;
  }

  say(error) {
    this.trouble.replaceChildren(problem(error));
  }

  choose(current) {
    this.trouble.replaceChildren();
    if (current.draft === this.mixture.current?.draft) this.change(false);
    else this.mixture.set(current);
  }

  async take(file) {
    if (!file) return;
    this.trouble.replaceChildren();
    const sending = new Sending(file);
    sending.row.classList.add("learn-sending");
    this.sent.replaceChildren(sending.row);
    try {
      const told = { progress: (part) => sending.told(part), signal: sending.stop.signal };
      this.choose(await send(at("learn/mixture"), file, told));
      sending.row.remove();
    } catch (error) {
      if (error.name !== "AbortError") sending.refused(error, file);
    }
  }

  // -- a part of it

  addCutter() {
    this.cutters = make("div.learn-cutters", { role: "group", "aria-label": "What the selected part is" });
    this.hint = make("p.earshot-quiet", { role: "status" });
    this.element.append(this.hint, this.cutters);
    this.sources.addEventListener("change", () => this.showCutter());
  }

  get part() {
    const selection = this.mixture.current ? this.player?.selection : null;
    return selection && selection[1] - selection[0] >= SHORTEST ? selection : null;
  }

  showCutter() {
    const { part } = this;
    this.cutters.hidden = this.hint.hidden = !this.mixture.current;
    this.hint.textContent = part
      ? `Selected: ${clock(part[0], 1)} to ${clock(part[1], 1)}. Who is it?`
      : "Drag over the waveform where one source is alone. Press play to listen first.";
    const cards = this.sources.cards;
    while (this.cutters.children.length > cards.length) this.cutters.lastChild.remove();
    cards.forEach((card, index) => {
      const button = this.cutters.children[index] ?? this.cutters.appendChild(this.cutter(index));
      button.style.setProperty("--track", `var(--track-${index + 1})`);
      button.lastChild.textContent = `This is ${card.title || `source ${index + 1}`} alone`;
      button.disabled = !part;
    });
  }

  cutter(index) {
    const act = () => this.cut(index);
    return make("button.earshot-button", { type: "button", onclick: act }, make("span.learn-dot", { "aria-hidden": "true" }), make("span"));
  }

  async cut(index) {
    const [start, stop] = this.part;
    this.trouble.replaceChildren();
    try {
      const name = `${clock(start, 1)} to ${clock(stop, 1)} of the mixture`;
      await this.sources.cards[index].cut({ draft: this.mixture.current.draft, start, stop }, name);
      this.player.select(null);
      this.hint.textContent = `${this.sources.cards[index].title} has it.`;
    } catch (error) {
      this.say(error);
    }
  }
}
