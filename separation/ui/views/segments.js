/**
 * <earshot-view-segments>: the numbers of every second on the player's time axis. A click, or Enter, loops a second; the worst
 * five seconds of the chosen stem and metric are a press away, then the next worst.
 *
 * The server measures (`earshot/jobs/ID/STAGE/segments`) and the strip grows with what is known. Colours and words compare a
 * second with this recording's own median: they say where to listen, not whether the model is any good. Drawn on a canvas,
 * because an hour has 3600 cells; for who cannot see it there is a list box that says the second it is on.
 */

import { clamp, clock } from "../static/times.js";
import { axisOf, isNumber, mean, median, paint, placeOf, said, sharing, spreadOf } from "./cells.js";
import { View, make } from "./view.js";

const COMPARED = ["si_sdr", "bss_eval_v4.SDR", "bss_eval_v4.SIR", "bss_eval_v4.SAR"]; // with the true sources
const SHOWN = [...COMPARED, "stem_similarity", "residual_db", "mask_entropy", "estimate_db"];
const TOGETHER = ["residual_db", "mask_entropy"]; // of all stems together
const PLAIN = {
  si_sdr: "How much of the stem is the true source, all errors counted together.",
  "bss_eval_v4.SDR": "How close the stem is to the true source, all errors counted together.",
  "bss_eval_v4.SIR": "How little of the other sources is left in the stem.",
  "bss_eval_v4.SAR": "How free the stem is of noises that were in no source: gurgling, gaps, musical noise.",
  stem_similarity: "How much the stems sound the same: a source that is in two of them was not separated.",
  residual_db: "What of the mixture is in no stem.",
  mask_entropy: "How undecided the model was about what belongs to which stem.",
  estimate_db: "How loud the stem is.",
};
const UNHEARD_DB = -90; // a residual below is rounding
const SHORT = { stem_similarity: "Similarity", estimate_db: "Level" };
const PATIENCE = 3000; // ms between two looks at most
const WORST = 5; // seconds

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

class Segments extends View {
  static title = "Every second";
  static about =
    "Each bar is one second of the recording: how well the chosen stem came out there, or, where the true sources are not known, what can be said without them.";
  static example =
    "The bars of the vocals are blue but for three orange ones at 0:41: there SIR is 9 dB below the rest of the song. A click loops that second, and one hears the snare drum in the voice. The line of the oracle stays high, so a better mask could have kept it out.";
  static sees = "metrics";
  static chosen = { metric: null, source: null }; // kept from one opening to the next

  #round = null; // the look that is going on
  #answer = null;
  #hovered = null;
  #active = null; // of the keyboard
  #worst = null; // {key, stretches, index}
  numbers = null; // of the chosen stem and metric, one each second
  many = 1; // seconds that share a bar

  build() {
    this.content.innerHTML = `
      <div class="choices">
        <div class="group metrics" role="radiogroup" aria-label="What is measured"></div>
        <div class="group stems" role="radiogroup" aria-label="Stem"></div>
      </div>
      <p class="meaning"></p>
      <div class="strip">
        <div class="what"><b></b> <span></span></div>
        <div class="lane" plain><canvas aria-hidden="true"></canvas>
          <div class="list" role="listbox" tabindex="0" aria-activedescendant="second"><div id="second" role="option" aria-selected="true"></div></div>
        </div>
        <div class="ticks" aria-hidden="true"></div>
      </div>
      <p class="reading"></p>
      <ul class="legend"></ul>
      <p class="summary"></p>
      <p class="progress" role="status" hidden><i></i><span></span></p>
      <p class="note" hidden></p>
      <div class="foot">
        <button type="button" class="button strong play" disabled>
          <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M7 4.5v15l12.5-7.5z"/></svg>Play the worst five seconds</button>
        <button type="button" class="button next" disabled>Next worst</button>
        <label class="only"><input type="checkbox" checked><span></span></label>
        <p class="told" role="status"></p>
      </div>`;
    const names = ["metrics", "stems", "meaning", "what", "lane", "list", "ticks", "reading", "legend", "summary", "progress", "note"];
    this.ui = Object.fromEntries([...names, "play", "next", "only", "told"].map((name) => [name, this.content.querySelector(`.${name}`)]));
    this.canvas = this.content.querySelector("canvas");
    this.option = this.content.querySelector("#second");
    this.ui.play.onclick = (event) => this.playWorst(0, event);
    this.ui.next.onclick = (event) => this.playWorst(this.#worst.index + 1, event);
    this.gestures();
  }

  closed() {
    this.#round = null;
  }

  // -- from the server

  async stageChanged() {
    const round = (this.#round = Symbol("look"));
    const path = `${this.stageUrl}/segments`;
    this.#answer = this.numbers = this.#active = this.#hovered = null;
    this.ui.play.disabled = true;
    this.forgetWorst();
    this.showProgress({ state: "waiting" });
    let method = "POST"; // which also measures
    for (;;) {
      const began = performance.now();
      let answer = null;
      try {
        answer = await this.ask(path, { method });
      } catch (error) {
        if (round !== this.#round) return;
        if (error.status || !this.#answer) {
          this.showProgress({ state: "failed" });
          throw error;
        }
      }
      if (round !== this.#round) return;
      if (answer) this.show(answer);
      else this.showProgress({ state: "lost" });
      if (answer?.state === "failed") throw Object.assign(new Error(answer.error.found), { parts: answer.error });
      if (answer?.state === "complete") return;
      method = !answer || answer.state === "idle" ? "POST" : "GET";
      await wait(clamp(4 * (performance.now() - began), 400, PATIENCE));
      if (round !== this.#round) return;
    }
  }

  show(answer) {
    this.#answer = answer;
    this.showProgress(answer);
    this.showChoices();
    this.showAll();
  }

  showProgress({ state, fraction = 0, position }) {
    const { progress } = this.ui;
    const ahead = position > 1 ? `${position - 1} other recordings come first` : "this recording is next";
    const percent = Math.floor(100 * fraction);
    const text = {
      lost: "Connection lost, retrying",
      waiting: position ? `Waiting to be measured: ${ahead}` : "Asking for the numbers",
      measuring: `Measuring every second: ${percent} %`,
      idle: `Measuring every second: ${percent} %`,
    }[state];
    progress.hidden = !text;
    progress.firstElementChild.style.setProperty("--part", `${100 * fraction}%`);
    if (progress.lastElementChild.textContent !== (text ?? "")) progress.lastElementChild.textContent = text ?? "";
  }

  // -- what is chosen

  get metrics() {
    return SHOWN.filter((name) => this.#answer?.metrics?.[name]);
  }

  get metric() {
    const { metric } = Segments.chosen;
    return this.metrics.includes(metric) ? metric : this.metrics[0];
  }

  get card() {
    return this.#answer.metrics[this.metric];
  }

  get together() {
    return TOGETHER.includes(this.metric);
  }

  /** The sources that the metric is known of. */
  get sources() {
    const { missing, sources } = this.#answer;
    return COMPARED.includes(this.metric) ? sources.filter((source) => !missing.includes(source)) : sources;
  }

  get source() {
    if (this.together) return "";
    const { source } = Segments.chosen;
    return this.sources.includes(source) ? source : this.sources[0];
  }

  /** The track that is meant: what to hear alone. */
  get track() {
    return { residual_db: "residual", mask_entropy: null }[this.metric] ?? (this.source || null);
  }

  get short() {
    return this.shortOf(this.metric);
  }

  shortOf(metric) {
    return SHORT[metric] ?? this.#answer.metrics[metric].title.split(" (")[0];
  }

  series(of) {
    const source = of === "mixture" && this.metric === "estimate_db" ? "" : this.source;
    return this.#answer.series?.find((one) => one.source === source && one.metric === this.metric && one.of === of) ?? null;
  }

  showChoices() {
    const { metrics, stems } = this.ui;
    if (!this.metrics.length) return;
    const choice = (group, value, title) => {
      const input = make("input", { type: "radio", name: group, value });
      input.onchange = () => {
        Segments.chosen[group] = value;
        this.forgetWorst();
        this.showChoices();
        this.showAll();
      };
      const label = make("span", { textContent: title });
      return make("label", { className: "pick" }, input, label);
    };
    const key = JSON.stringify([this.metrics, this.#answer.sources]);
    if (key !== this.choicesKey) {
      this.choicesKey = key;
      metrics.replaceChildren(...this.metrics.map((name) => choice("metric", name, this.shortOf(name))));
      stems.replaceChildren(...this.#answer.sources.map((name) => choice("source", name, name)));
    }
    for (const input of metrics.querySelectorAll("input")) input.checked = input.value === this.metric;
    for (const input of stems.querySelectorAll("input")) {
      input.checked = input.value === this.source;
      input.disabled = !this.together && !this.sources.includes(input.value);
      input.nextElementSibling.style.setProperty("--dot", this.player.colourOf(input.value));
    }
    stems.hidden = this.together;
  }

  // -- what is said

  showAll() {
    if (!this.metrics.length) return;
    const { card, ui } = this;
    const better = { higher: " Higher is better.", lower: " Lower is better.", neither: "" }[card.direction];
    const unit = card.unit ? `, in ${card.unit}` : "";
    ui.meaning.textContent = `${PLAIN[this.metric]} ${card.title}${unit}: ${card.about}${better}`;
    ui.what.firstElementChild.textContent = this.together ? "all stems together" : this.source;
    ui.what.lastElementChild.textContent = `${this.short}${card.unit ? `, ${card.unit}` : ""}`;
    ui.list.setAttribute("aria-label", `${this.short} of ${this.together ? "all stems" : this.source}, second by second`);
    this.numbers = this.series("estimate")?.values ?? [];
    this.beside = { mixture: this.series("mixture")?.values ?? [], oracle: this.series("oracle")?.values ?? [] };
    this.known = this.numbers.filter(isNumber);
    this.middle = this.known.length ? median(this.known) : null;
    const all = [this.numbers, ...Object.values(this.beside)].flatMap((values) => values.filter(isNumber));
    this.axis = axisOf(card, all);
    this.showLegend();
    this.showSummary();
    this.showNote();
    this.showWorst();
    this.showReading();
    this.redraw();
  }

  showSummary() {
    const { summary } = this.ui;
    const { unit } = this.card;
    if (this.middle === null) {
      const [reason] = Object.entries(this.series("estimate")?.reasons ?? {}).sort(([, a], [, b]) => b.length - a.length);
      const why = reason ? `: ${this.#answer.reasons[reason[0]]}` : "";
      summary.textContent = this.#answer.complete ? `There is no second with a number${why}.` : "";
      return;
    }
    const missing = this.numbers.length - this.known.length;
    const others = Object.entries(this.beside)
      .map(([of, values]) => [of, values.filter(isNumber)])
      .filter(([, values]) => values.length)
      .map(([of, values]) => `${of === "oracle" ? "the oracle" : "the mixture"} has ${said(median(values), unit)}`);
    const seconds = this.known.length === 1 ? "one second" : `${this.known.length} seconds`;
    const without = missing ? ` (${missing} without a number left out)` : "";
    summary.textContent = `Median ${said(this.middle, unit)} over ${seconds}${without}${others.length ? `; ${others.join(", ")}` : ""}.`;
  }

  showNote() {
    const { note } = this.ui;
    const { compared, missing } = this.#answer;
    let text = "";
    if (!compared) text = "The true sources of this recording are not known: this is what can be said without them. Add them under “Have the true stems?”, above, and every second gets SI-SDR, SDR, SIR and SAR.";
    else if (missing.length) text = `No true source was given for ${missing.join(" and ")}: there, only what needs none is measured.`;
    note.hidden = !text;
    note.textContent = text;
  }

  showLegend() {
    const { legend } = this.ui;
    const { unit, direction } = this.card;
    const entry = (className, text) => make("li", { className }, make("i"), text);
    const items = [];
    if (direction === "neither") {
      const plain = entry("plain", this.source);
      plain.firstElementChild.style.background = this.player.colourOf(this.source);
      items.push(plain);
    } else {
      const spread = said(spreadOf(this.card), unit, unit ? 0 : 2);
      const item = entry("colours", `${spread} better`);
      item.prepend(`${spread} worse than this recording's median`);
      items.push(item);
    }
    if (this.beside.mixture.some(isNumber)) items.push(entry("mixture", "the mixture as it is"));
    if (this.beside.oracle.some(isNumber)) items.push(entry("oracle", "an oracle that knows the true sources"));
    if (this.known.length < this.numbers.length) items.push(entry("hatch", "silent, or without a number: point to it to read why"));
    if (this.many > 1) items.push(make("li", { textContent: `Each bar is ${this.many} seconds, as high as their mean, coloured as the worst of them: zoom in` }));
    legend.replaceChildren(...items);
  }

  /** What there is to know of a second, in words. */
  words(index) {
    const { unit } = this.card;
    const start = this.bounds[0] + index * this.#answer.hop;
    const time = `${clock(start, 0)} to ${clock(start + this.#answer.hop, 0)}`;
    const value = this.numbers[index];
    if (value === undefined) return `${time}: not measured yet.`;
    if (value === null) {
      const reason = Object.entries(this.series("estimate").reasons).find(([, places]) => places.includes(index))?.[0];
      return `${time}: no ${this.short}${reason ? `, because ${this.#answer.reasons[reason]}` : ""}.`;
    }
    const comparison = this.unheard(value) ? ", far too quiet to be heard" : this.againstMedian(value);
    const sentences = [`${time}: ${this.short} ${said(value, unit)}${comparison}.`];
    const told = Object.entries(this.beside)
      .filter(([, values]) => isNumber(values[index]))
      .map(([of, values]) => (of === "oracle" ? `the oracle reaches ${said(values[index], unit)}` : `the mixture has ${said(values[index], unit)}`));
    if (told.length) sentences.push(`${told.join("; ")}.`.replace(/^t/, "T"));
    return sentences.join(" ");
  }

  unheard(value) {
    return this.metric === "residual_db" && value < UNHEARD_DB;
  }

  /** ", 9 dB below this recording's median" */
  againstMedian(value) {
    const { unit } = this.card;
    const off = value - this.middle;
    const digits = unit ? 0 : 2;
    if (Number(Math.abs(off).toFixed(digits)) === 0) return ", as this recording's median";
    return `, ${said(Math.abs(off), unit.replace("FS", ""), digits)} ${off < 0 ? "below" : "above"} this recording's median`;
  }

  /** The second that is pointed at, that the keyboard is on, or that is heard. */
  get current() {
    return this.#hovered ?? (this.ui.list.matches(":focus-visible") ? this.#active : null);
  }

  showReading() {
    if (!this.#answer?.count || !this.metrics.length) return;
    const index = this.current ?? this.indexAt(this.player.cursor);
    const text = this.words(index);
    if (this.ui.reading.textContent !== text) this.ui.reading.textContent = text;
    if (this.#active === null) return;
    this.option.setAttribute("aria-posinset", this.#active + 1);
    this.option.setAttribute("aria-setsize", this.#answer.count);
    this.option.textContent = this.words(this.#active);
  }

  indexAt(seconds) {
    return clamp(Math.floor((seconds - this.bounds[0]) / this.#answer.hop), 0, this.#answer.count - 1);
  }

  // -- the picture

  viewChanged() {
    this.redraw();
  }

  cursorMoved() {
    this.showReading();
  }

  redraw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (!this.isConnected || !this.stage || !this.numbers) return;
    const style = getComputedStyle(this.section);
    const value = (name) => style.getPropertyValue(name).trim();
    const names = ["worse", "middle", "better", "text", "dim", "line", "lane"];
    const colours = Object.fromEntries(names.map((name) => [name, value(`--${name}`)]));
    const view = this.player.visible.map((seconds) => seconds - this.bounds[0]);
    paint(this.canvas, {
      card: this.card,
      axis: this.axis,
      numbers: this.numbers,
      beside: this.beside,
      middle: this.middle,
      hop: this.#answer.hop,
      view,
      marked: this.current,
      colours: { ...colours, mixture: value("--track-mixture"), plain: this.player.colourOf(this.source) || value("--accent") },
      font: style.fontFamily,
    });
    const many = sharing(this.canvas.clientWidth, (view[1] - view[0]) / this.#answer.hop);
    if (many !== this.many) {
      this.many = many;
      this.showLegend();
    }
    this.showTicks();
  }

  showTicks() {
    const { ticks } = this.axis;
    const height = this.canvas.clientHeight;
    const key = JSON.stringify([ticks, height]);
    if (key === this.ticksKey) return;
    this.ticksKey = key;
    this.ui.ticks.replaceChildren(
      ...ticks.map((tick) => {
        const mark = make("span", { textContent: said(tick, "", this.card.unit ? 0 : this.axis.high < 1 ? 2 : 1) });
        mark.style.top = `${placeOf(tick, this.axis, height)}px`;
        return mark;
      }),
    );
  }

  // -- what one can do with it

  gestures() {
    const { lane, list } = this.ui;
    let from = null; // the second on which the pointer went down
    const under = (event) => (this.#answer?.count ? this.indexAt(this.secondsAt(lane, event.clientX)) : null);
    const point = (index) => {
      if (index === this.#hovered) return;
      this.#hovered = index;
      this.showReading();
      this.redraw();
    };
    lane.addEventListener("pointermove", (event) => point(under(event)));
    lane.addEventListener("pointerleave", () => point(null));
    lane.addEventListener("pointercancel", () => (from = null));
    lane.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = under(event);
      if (from !== null) this.#active = from;
      this.player.transport.wake();
    });
    lane.addEventListener("pointerup", (event) => {
      const to = under(event);
      if (from !== null && to !== null) this.loop(Math.min(from, to), Math.max(from, to));
      if (from !== null) this.player.focus({ preventScroll: true }); // so that Space plays
      from = null;
    });
    list.addEventListener("mousedown", (event) => event.preventDefault()); // or the list would have the keyboard
    lane.addEventListener("wheel", (event) => this.player.wheel(event, lane, this.secondsAt(lane, event.clientX)), { passive: false });
    list.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("focus", () => {
      if (!this.#answer?.count) return;
      this.#active ??= this.indexAt(this.player.cursor);
      this.showReading();
      this.redraw();
    });
    list.addEventListener("blur", () => this.redraw());
  }

  key(event) {
    if (!this.#answer?.count || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#answer.count - 1;
    const at = this.#active ?? this.indexAt(this.player.cursor);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 10, PageDown: at + 10, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      this.#active = clamp(to, 0, last);
      this.player.reveal(this.bounds[0] + (this.#active + 0.5) * this.#answer.hop);
      this.showReading();
      this.redraw();
    } else if (event.key === "Enter") this.loop(at, at);
    else if (event.key === " ") this.player.transport.toggle();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Loop seconds, the first and the last of them included. */
  loop(first, last) {
    const { hop, duration } = this.#answer;
    this.hear();
    this.player.loop(this.bounds[0] + first * hop, this.bounds[0] + Math.min(duration, (last + 1) * hop));
  }

  /** A fault of one stem is hidden by the others: they add up to the mixture. */
  hear() {
    const { player, track } = this;
    const setting = track && player.settings.get(track);
    if (this.ui.only.querySelector("input").checked && setting && !setting.solo) player.solo(track);
  }

  // -- the worst of it

  forgetWorst() {
    this.#worst = null;
    this.ui.told.textContent = "";
  }

  showWorst() {
    const { play, next, only } = this.ui;
    const heard = this.known.some((value) => !this.unheard(value));
    const neutral = this.card.direction === "neither";
    play.disabled = neutral || !heard;
    play.title = neutral ? "A level is neither good nor bad: choose another metric" : heard ? "" : "There is nothing to be heard";
    next.disabled = play.disabled || !this.#worst || this.#worst.index + 1 >= this.#worst.stretches.length;
    only.hidden = !this.track;
    only.querySelector("span").textContent = `hear only ${this.track}`;
  }

  async playWorst(index, event) {
    const { told } = this.ui;
    if (event.detail > 0) this.player.focus({ preventScroll: true }); // a click leaves the keyboard with the player
    const key = `${this.metric} ${this.source} ${this.numbers.length}`;
    const round = this.#round;
    try {
      if (this.#worst?.key !== key) {
        const query = new URLSearchParams({ source: this.source, metric: this.metric, of: "estimate", seconds: WORST });
        const { stretches } = await this.ask(`${this.stageUrl}/segments/worst?${query}`);
        if (round !== this.#round) return;
        this.#worst = { key, stretches, index: 0 };
        index = Math.min(index, Math.max(0, stretches.length - 1));
      }
    } catch (error) {
      this.fail(error);
      return;
    }
    const { stretches } = this.#worst;
    if (!stretches.length) {
      told.textContent = "There is nothing to be heard that could be bad: silence is left out.";
      return;
    }
    this.#worst.index = index;
    const [start, end] = stretches[index].map((seconds) => this.bounds[0] + seconds);
    this.hear();
    this.player.loop(start, end);
    const values = this.numbers.slice(this.indexAt(start), this.indexAt(end - 0.01) + 1).filter(isNumber);
    const level = values.length ? `, ${this.short} ${said(mean(values), this.card.unit)} on average` : "";
    const place = index ? `Number ${index + 1} of the ${stretches.length} worst` : "The worst";
    told.textContent = `${place}: ${clock(start, 0)} to ${clock(end, 0)}${level}. Silence is left out.`;
    this.showWorst();
  }
}

if (!customElements.get("earshot-view-segments")) customElements.define("earshot-view-segments", Segments);

export default Segments;
