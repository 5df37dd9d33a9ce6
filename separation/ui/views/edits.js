/**
 * The view *Edit*: change the masks of the model, hear the change as take B of the player, go back. An edit is a job of its own
 * (`earshot/jobs/ID/edits`); the same one asked for twice is the same job, so that going back costs nothing.
 *
 * What is turned is a draft until it is heard; what has been heard is in the history, which outlives the view but not the page.
 */

import { clamp, clock } from "../static/times.js";
import { View, make } from "./view.js";

const BEFORE = 5; // seconds before the cursor at which a part begins
const GATE = 60; // dB: the threshold from which the slider goes down to 0
const SOFTEST = -3; // powers of two on the slider of the sharpness
const HARDEST = 6;

const ORIGINAL = { sharpness: 1, threshold_db: null, muted: [], solo: null, oracle: [], intermediate: false };
const histories = new Map(); // address of a job -> {states, at}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const hertz = (hz) => (hz < 1000 ? `${Math.round(hz)} Hz` : `${(hz / 1000).toFixed(hz < 10000 ? 1 : 0)} kHz`);
const span = ([start, end]) => `${clock(start, 1)} – ${clock(end, 1)}`;
const signed = (value) => `${Math.abs(value) < 0.05 ? "±" : value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
const power = (sharpness) => (sharpness >= 10 ? sharpness.toFixed(0) : sharpness.toFixed(sharpness < 1 ? 2 : 1));

const TEMPLATE = `
<div class="controls">
  <div class="dials">
    <div class="dial"><label class="name" for="sharpness">Sharpness</label><output class="sharpness-is" for="sharpness"></output>
      <input id="sharpness" class="sharpness" type="range" min="${SOFTEST}" max="${HARDEST}" step="0.1" aria-describedby="sharpness-means">
      <span class="ends"><i>all alike</i><i>winner takes all</i></span><small id="sharpness-means" class="sharpness-means"></small></div>
    <div class="dial"><label class="name" for="threshold">Threshold</label><output class="threshold-is" for="threshold"></output>
      <input id="threshold" class="threshold" type="range" min="0" max="${GATE}" step="1" aria-describedby="threshold-means">
      <span class="ends"><i>off</i><i>strict</i></span><small id="threshold-means" class="threshold-means"></small></div>
  </div>
  <div class="parts">
    <section><h3>Mute a part of a source</h3><ul class="muted"></ul>
      <div class="quick"><span>Mute</span><select class="where" aria-label="Below or above"><option value="below">below</option><option value="above">above</option></select>
        <input class="hz" type="number" min="20" step="10" value="200" aria-label="Frequency in Hz"><span>Hz of</span>
        <select class="whose" aria-label="Source"></select><button type="button" class="button add">Mute</button></div></section>
    <section class="truth"><h3>Swap in the true mask</h3><div class="oracle"></div><p class="dim why-not"></p></section>
    <section class="stage"><h3>Last stage of the model</h3><label class="tick"><input class="intermediate" type="checkbox">Leave it out: hear what the masks alone give</label></section>
  </div>
</div>
<div class="lane strip"><div class="region coming"><span></span></div><div class="region there" hidden><span>B</span></div></div>
<p class="dim coming-text"></p>
<div class="actions">
  <button type="button" class="button strong hear">Hear it</button>
  <button type="button" class="button whole">Apply to the whole file</button>
  <span class="gap"></span>
  <button type="button" class="button undo" title="Back to the edit before">Undo</button>
  <button type="button" class="button redo" title="On to the edit after">Redo</button>
  <button type="button" class="button reset" title="All sliders back: nothing is changed">Reset</button>
</div>
<div class="work" hidden><progress max="1"></progress><span class="status" role="status"></span><button type="button" class="button stop">Stop</button></div>
<p class="trouble" role="alert" hidden></p>
<div class="result" hidden>
  <div class="sides" role="group" aria-label="Which is heard">
    <button type="button" class="button" data-side="A">A original</button><button type="button" class="button" data-side="B">B edited</button></div>
  <div class="effect"></div>
  <span class="gap"></span>
  <a class="button get" download>Download B</a><a class="button rate" target="_blank" rel="noopener">Rate B</a>
</div>
<section class="past"><h3>History</h3><ol class="history"></ol></section>`;

class EditsView extends View {
  static title = "Edit";
  static about =
    "The model has given every source a share of every moment and frequency; here you change those shares, hear the change as B in the " +
    "player, and go back and forth between A, the original, and B.";
  static example =
    "The voice still has some drums in it. Turn the threshold to 12 dB and press “Hear it”: where the voice's share is less than a " +
    "quarter of the strongest, it now gets nothing, and the drums go. Press B on the keyboard to compare: if the ends of words sound " +
    "clipped, the threshold was too strict. Undo, and try 20 dB.";
  static sees = "views";

  #possible = null; // what the server says can be changed
  #latents = null; // {hz, order} of the basis functions, once they are here
  #draft = structuredClone(ORIGINAL);
  #around = null; // the part without a selection; it stays while the cursor is in it
  #job = null; // the edit that is being made
  #rows = []; // what another view has handed over before this one was ready

  // -- hooks

  build() {
    this.content.innerHTML = TEMPLATE;
    this.ui = Object.fromEntries([...this.content.querySelectorAll("[class]")].map((element) => [element.classList[element.classList.length - 1], element]));
    const { ui } = this;
    this.allow(false);
    ui.sharpness.oninput = () => this.change({ sharpness: Math.round(100 * 2 ** Number(ui.sharpness.value)) / 100 });
    ui.threshold.oninput = () => this.change({ threshold_db: Number(ui.threshold.value) ? GATE - Number(ui.threshold.value) : null });
    for (const dial of [ui.sharpness, ui.threshold]) {
      dial.ondblclick = () => this.change(dial === ui.sharpness ? { sharpness: 1 } : { threshold_db: null });
    }
    ui.intermediate.onchange = () => this.change({ intermediate: ui.intermediate.checked });
    ui.add.onclick = () => this.muteBand();
    ui.hz.onkeydown = (event) => event.key === "Enter" && this.muteBand();
    ui.hear.onclick = () => this.hear(false);
    ui.whole.onclick = () => this.hear(true);
    ui.undo.onclick = () => this.undo();
    ui.redo.onclick = () => this.go(this.history.at + 1);
    ui.reset.onclick = () => this.change(structuredClone(ORIGINAL));
    ui.stop.onclick = () => this.stop();
    ui.rate.onclick = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      const rate = new CustomEvent("earshot-rate", { detail: this.player.take, bubbles: true, composed: true, cancelable: true });
      if (!this.dispatchEvent(rate)) event.preventDefault(); // it is rated on this page
    };
    for (const button of ui.sides.children) button.onclick = () => (this.player.side = button.dataset.side);
  }

  connectedCallback() {
    this.off = new AbortController();
    const { signal } = this.off;
    this.player.addEventListener("earshot-take", ({ detail }) => this.ui && this.follow(detail), { signal });
    this.player.addEventListener("earshot-side", () => this.ui && this.showResult(), { signal });
    return super.connectedCallback();
  }

  closed() {
    this.off.abort();
  }

  async stageChanged() {
    this.#possible = await this.ask(`${this.url}/edits?stage=${this.player.stageName}`);
    const { editable, why, advice } = this.#possible;
    if (!editable) {
      this.allow(false);
      throw Object.assign(new Error(why), { parts: { asked: "Edit this separation", found: why, advice } });
    }
    const { hz, order } = await this.ask(`${this.stageUrl}/latents`);
    this.#latents = { hz, order };
    if (this.drafted !== this.url) this.#draft = structuredClone(this.current.change);
    this.drafted = this.url;
    this.setUp();
    this.allow(true);
    for (const rows of this.#rows.splice(0)) this.takeRows(rows);
    this.show();
    this.showResult();
  }

  viewChanged() {
    this.showStrip();
  }

  cursorMoved() {
    if (!this.player.selection) this.showStrip();
  }

  selectionChanged() {
    this.showStrip();
  }

  /** Basis functions that another view wants muted: {source, basis, what}. */
  takeRows(rows) {
    if (!this.#latents) {
      this.#rows.push(rows);
      return;
    }
    this.mute(rows.source, rows.basis, this.range(rows.basis));
    this.ui.muted.scrollIntoView({ block: "nearest" });
  }

  // -- what can be changed

  get history() {
    if (!histories.has(this.url)) histories.set(this.url, { states: [{ change: structuredClone(ORIGINAL), part: null, job: null }], at: 0 });
    return histories.get(this.url);
  }

  get current() {
    const { states, at } = this.history;
    return states[at];
  }

  get noun() {
    return this.#possible.bins ? "frequency bins" : "basis functions";
  }

  /** Controls only where they do something. */
  allow(editable) {
    for (const child of this.content.children) child.classList.toggle("unless", !editable);
  }

  /** The controls that depend on the model and the recording. */
  setUp() {
    const { ui } = this;
    const { references, staged } = this.#possible;
    const [sources, oracle] = [this.inOrder(this.#possible.sources), this.inOrder(this.#possible.oracle)];
    ui.whose.replaceChildren(...sources.map((name) => make("option", { value: name, textContent: name })));
    ui.oracle.replaceChildren(
      ...oracle.map((name) => {
        const box = make("input", { type: "checkbox", value: name });
        box.onchange = () => this.change({ oracle: [...ui.oracle.querySelectorAll(":checked")].map(({ value }) => value) });
        return make("label", { className: "tick" }, box, name);
      }),
    );
    ui["why-not"].textContent = oracle.length
      ? "What the source would get if somebody who knows the true sources cut the mixture: the best that this model's masks could do."
      : `This needs the true sources (${sources.join(", ")}); ${references.length ? `here there is only ${references.join(", ")}` : "this recording has none"}. Add their files under “Have the true stems?”, above.`;
    ui.stage.hidden = !staged;
  }

  change(fields) {
    Object.assign(this.#draft, fields);
    this.complain(null);
    this.show();
  }

  /** Mute basis functions of a source, on top of what is muted already. */
  mute(source, basis, where) {
    if (!basis.length) return;
    const muted = this.#draft.muted.filter((rows) => !(rows.source === source && same(rows.basis, basis)));
    this.change({ muted: [...muted, { source, basis: [...basis], where }] });
  }

  muteBand() {
    const { ui } = this;
    const hz = Number(ui.hz.value);
    const below = ui.where.value === "below";
    const { order, hz: centroids } = this.#latents;
    const basis = order.filter((_, place) => (below ? centroids[place] < hz : centroids[place] > hz));
    if (basis.length) this.mute(ui.whose.value, basis, `${ui.where.value} ${hertz(hz)}`);
    else this.complain({ parts: { found: `no ${this.noun} lie ${ui.where.value} ${hertz(hz)}`, advice: `The model hears ${hertz(centroids[0])} to ${hertz(centroids.at(-1))}` } });
  }

  /** Where basis functions lie, in words. */
  range(basis) {
    const { order, hz } = this.#latents;
    const chosen = new Set(basis);
    const at = hz.filter((_, place) => chosen.has(order[place]));
    const [low, high] = [hertz(at[0]), hertz(at.at(-1))];
    return low === high ? `at ${low}` : `${low} to ${high}`;
  }

  /** What is different, in words; empty if nothing is. */
  words({ sharpness, threshold_db: threshold, muted, solo, oracle, intermediate }) {
    const said = [];
    if (oracle.length) said.push(`true mask of ${oracle.join(" and ")}`);
    if (sharpness !== 1) said.push(`sharpness ${power(sharpness)}`);
    if (threshold !== null) said.push(`threshold ${threshold} dB`);
    for (const { source, where } of muted) said.push(`${source} muted ${where}`);
    if (solo) said.push(`only ${solo.where} of ${solo.source}`);
    if (intermediate) said.push("without the last stage");
    return said.join(", ");
  }

  /** The same for the server: one list of basis functions a source. */
  asEdit({ muted, ...rest }) {
    const bySource = new Map();
    for (const { source, basis } of muted) bySource.set(source, new Set([...(bySource.get(source) ?? []), ...basis]));
    return { ...rest, muted: [...bySource].map(([source, basis]) => ({ source, basis: [...basis] })) };
  }

  /** [start, end] of what is edited next: the selection as far as it may go, or so much around the cursor. */
  get part() {
    const [first, last] = this.bounds;
    const { longest, shortest } = this.#possible;
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

  // -- making and hearing

  /** Have the draft made, of the part or the whole, and turn to it. */
  async hear(whole) {
    if (same(this.#draft, ORIGINAL)) {
      await this.go(0);
      return this.player.play();
    }
    const { history } = this;
    const part = whole ? null : [...this.part];
    const change = structuredClone(this.#draft);
    if (!same([change, part], [this.current.change, this.current.part])) {
      history.states.splice(history.at + 1, Infinity, { change, part, job: null });
      history.at++;
    }
    this.show();
    return (await this.make(this.current)) && this.player.play();
  }

  undo() {
    if (same(this.#draft, this.current.change)) return this.go(this.history.at - 1);
    return this.change(structuredClone(this.current.change)); // what was turned and not heard goes first
  }

  /** Be at another place of the history. */
  async go(at) {
    const { history } = this;
    history.at = clamp(at, 0, history.states.length - 1);
    this.#draft = structuredClone(this.current.change);
    this.complain(null);
    if (this.current.change && history.at > 0) {
      this.show();
      await this.make(this.current);
      return;
    }
    await this.stop();
    this.player.side = "A";
    this.show();
  }

  /** Have an edit made, and turn to it when it is ready. Whether it came. */
  async make(state) {
    await this.stop();
    this.complain(null);
    const round = (this.round = {});
    this.work("Asking for it…", null);
    try {
      const [start, end] = state.part ?? [null, null];
      const body = { stage: this.player.stageName, edit: this.asEdit(state.change), start, end };
      const { job } = await this.ask(`${this.url}/edits`, { method: "POST", body });
      if (this.round !== round) return false;
      state.job = this.#job = job;
      await this.coming(job);
      if (this.round !== round) return false;
      state.made = true;
      this.player.side = "B";
      this.showEffect(job);
      return true;
    } catch (error) {
      if (this.round === round) this.refused(state, error);
      return false;
    } finally {
      if (this.round === round) {
        this.#job = null;
        this.work(null);
        this.showResult();
      }
    }
  }

  /** An edit that could not be made: it is not in the history, and the sliders stay for another try. */
  refused(state, error) {
    const { history } = this;
    if (!error.stopped) this.complain(error);
    const at = history.states.indexOf(state);
    if (at > 0 && !state.made) {
      history.states.splice(at, 1);
      history.at = Math.min(history.at, Math.max(0, at - 1));
    }
    this.show();
  }

  /** Resolves when the player has the edit as take B; an Error with the three parts if it will not come. */
  coming(job) {
    return new Promise((done, refuse) => {
      this.awaited = { job, done, refuse };
      this.player.take = job;
    });
  }

  /** What the player says of a take that is on its way. */
  follow({ id, state, ready }) {
    const { awaited } = this;
    if (awaited?.job !== id) {
      this.showResult();
      return;
    }
    if (ready) awaited.done();
    else if (["failed", "cancelled", "gone"].includes(state.status)) {
      const stopped = state.status === "cancelled";
      const parts = state.error ?? { found: "it was stopped", advice: "Press “Hear it” again" };
      awaited.refuse(Object.assign(new Error(state.status), { parts, stopped }));
    } else {
      const ahead = state.position === 1 ? "1 job is ahead of it" : `${state.position} jobs are ahead of it`;
      const far = state.stage === "read" ? "Getting ready…" : `Separating… ${Math.round(100 * state.fraction)} %`;
      this.work(state.status === "waiting" ? (state.position ? `Waiting: ${ahead}` : "It is next") : far, state.status === "waiting" ? null : state.fraction);
      return;
    }
    this.awaited = null;
  }

  /** Stop what is being made. */
  async stop() {
    const job = this.#job;
    this.round = null;
    this.#job = null;
    this.work(null);
    if (!job || !this.awaited) return;
    this.awaited = null;
    try {
      await this.ask(`${this.player.urlOf(job)}/cancel`, { method: "POST" });
    } catch (error) {
      this.complain(error);
    }
  }

  // -- what is shown

  show() {
    const { ui, history } = this;
    const { sharpness, threshold_db: threshold, muted, solo, oracle, intermediate } = this.#draft;
    ui.sharpness.value = clamp(Math.log2(Math.max(sharpness, 2 ** SOFTEST)), SOFTEST, HARDEST);
    ui["sharpness-is"].textContent = sharpness === 1 ? "1, as it is" : `to the power of ${power(sharpness)}`;
    ui["sharpness-means"].textContent =
      sharpness === 1
        ? "Right: each moment goes more to whoever is strongest, with less of the others in it, but more artefacts."
        : sharpness > 1
          ? "Shares are more decided: less of the others is heard, artefacts become more."
          : "Shares are more alike: artefacts become fewer, more of the others is heard.";
    ui.threshold.value = threshold === null ? 0 : GATE - threshold;
    ui["threshold-is"].textContent = threshold === null ? "off" : `${threshold} dB`;
    ui["threshold-means"].textContent =
      threshold === null
        ? "Right: a source that is far below the strongest at a moment and frequency loses its share of it."
        : threshold === 0
          ? "Only the strongest source keeps anything."
          : `A source more than ${threshold} dB below the strongest loses its share to the others.`;
    ui.intermediate.checked = intermediate;
    for (const box of ui.oracle.querySelectorAll("input")) box.checked = oracle.includes(box.value);
    ui.muted.replaceChildren(
      ...muted.map((rows, index) => this.chip(`${rows.source}, ${rows.where}`, rows, () => this.change({ muted: muted.toSpliced(index, 1) }))),
      ...(solo ? [this.chip(`only ${solo.where} of ${solo.source}`, solo, () => this.change({ solo: null }))] : []),
    );
    const changed = !same(this.#draft, this.current.change);
    const nothing = same(this.#draft, ORIGINAL);
    ui.hear.textContent = nothing && history.at > 0 ? "Hear the original" : "Hear it";
    ui.hear.disabled = nothing && history.at === 0;
    ui.whole.disabled = nothing || !this.#possible.whole || this.player.stageName !== "full";
    ui.whole.title = this.wholeTitle();
    ui.undo.disabled = !changed && history.at === 0;
    ui.redo.disabled = history.at >= history.states.length - 1;
    ui.reset.disabled = nothing;
    this.showStrip();
    this.showHistory();
  }

  wholeTitle() {
    if (!this.#possible.whole) return "This page has a GPU only while it separates: edit parts here, or run Earshot on your own machine";
    return this.player.stageName === "full" ? "Separate the whole recording again with this edit" : "Wait until the whole recording is separated";
  }

  chip(text, { basis }, drop) {
    const button = make("button", { type: "button", textContent: "×", title: "Take this back" });
    button.setAttribute("aria-label", `Take back: ${text}`);
    button.onclick = drop;
    return make("li", { title: `${basis.length} ${this.noun}` }, text, button);
  }

  showStrip() {
    if (!this.#possible?.editable || !this.stage) return;
    const { ui } = this;
    const place = (element, [start, end]) => {
      const [from, to] = [start, end].map((seconds) => clamp(this.percent(seconds), -1, 101));
      Object.assign(element.style, { left: `${from}%`, width: `${to - from}%` });
    };
    const { part } = this;
    const { selection, part: there } = this.player;
    place(ui.coming, part);
    ui.there.hidden = !there;
    if (there) place(ui.there, there);
    const [first, last] = this.bounds;
    const all = part[0] <= first + 0.05 && part[1] >= last - 0.05;
    const why = selection
      ? selection[1] - selection[0] > part[1] - part[0] + 0.05
        ? `: the first ${this.#possible.longest} s of your selection`
        : ": your selection"
      : ": around the cursor. Drag over a track to choose another part";
    const text = all ? "The next edit is of everything." : `The next edit is of ${span(part)}${why}.`;
    if (ui["coming-text"].textContent !== text) ui["coming-text"].textContent = text;
  }

  showHistory() {
    const { states, at } = this.history;
    const key = JSON.stringify([states, at]);
    if (this.shownHistory === key) return;
    this.shownHistory = key;
    const items = states.map(({ change, part }, index) => {
      const words = index ? this.words(change) : "The original";
      const where = index ? (part ? span(part) : "the whole file") : "";
      const button = make("button", { type: "button" }, make("span", { textContent: words }), make("small", { textContent: where }));
      if (index === at) button.setAttribute("aria-current", "true");
      button.onclick = () => this.go(index);
      return make("li", {}, button);
    });
    this.ui.history.replaceChildren(...items);
    this.ui.past.hidden = states.length < 2;
  }

  work(text, fraction = null) {
    const { ui } = this;
    ui.work.hidden = text === null;
    ui.status.textContent = text ?? "";
    const bar = ui.work.querySelector("progress");
    if (fraction === null) bar.removeAttribute("value");
    else bar.value = fraction;
  }

  /** What there is to hear: the two sides, and what can be done with B. */
  showResult() {
    const { ui, player } = this;
    const { take, part, side } = player;
    ui.result.hidden = !part;
    if (this.stage) this.showStrip();
    if (!part || !take) return;
    for (const button of ui.sides.children) button.setAttribute("aria-pressed", button.dataset.side === side);
    ui.get.href = `${player.urlOf(take)}/full/download.zip?format=wav&bit_depth=24`;
    const rate = new URL(location.href);
    rate.searchParams.set("job", take);
    ui.rate.href = rate.href;
    ui.rate.title = "Below; the ratings of B are its own, and say which edit was heard";
    ui.effect.hidden = ui.effect.dataset.job !== take;
  }

  /** How far each source came nearer to its reference. */
  async showEffect(job) {
    const { ui } = this;
    let sources = {};
    try {
      ({ sources } = await this.ask(`${this.player.urlOf(job)}/effect`));
    } catch (error) {
      this.complain(error);
    }
    const known = Object.entries(sources).filter(([, { before, after }]) => before !== null && after !== null);
    ui.effect.dataset.job = job;
    ui.effect.replaceChildren(
      ...known.map(([name, { before, after }]) => {
        const gain = make("b", { textContent: signed(after - before), className: Math.abs(after - before) < 0.05 ? "" : after > before ? "good" : "bad" });
        return make("span", { title: "SI-SDR of the edited part against the reference: higher is nearer to it" }, `${name} `, gain, ` dB SI-SDR (${before.toFixed(1)} → ${after.toFixed(1)})`);
      }),
    );
    if (known.length) this.dispatchEvent(new CustomEvent("earshot-saw", { detail: "metrics", bubbles: true, composed: true }));
    this.showResult();
  }

  /** Say what went wrong with an edit; null: nothing any more. */
  complain(error) {
    const { trouble } = this.ui;
    trouble.hidden = !error;
    if (!error) return;
    if (!error.parts) console.error(error);
    const { asked, found, advice } = error.parts ?? { found: "something went wrong in the page", advice: "Try again" };
    trouble.textContent = [asked && `${asked}:`, `${found}.`, `${advice}.`].filter(Boolean).join(" ");
  }
}

if (!customElements.get("earshot-view-edits")) customElements.define("earshot-view-edits", EditsView);

export default EditsView;
