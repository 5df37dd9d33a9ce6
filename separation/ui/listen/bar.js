/** Play, stop, and the bar of time: where we are, and what is repeated. By mouse, touch and keys. */

import { clock, h, icon, say } from "./parts.js";

const STEP = 0.1; // seconds an arrow key moves the end of a loop
const FAR = 1; // seconds with Shift, or of the position
const DRAGGED = 4; // CSS px from which on a press is a drag

/** The controls of a `Deck`; `tick()` is to be called with every picture. */
export class Bar {
  constructor(deck) {
    this.deck = deck;
    this.play = h("button", { type: "button", class: "play", "aria-label": say("play"), onclick: () => this.toggle() }, icon("play"));
    this.stop = h("button", { type: "button", class: "icon-button", "aria-label": say("stop"), title: say("stop"), onclick: () => deck.stop() }, icon("stop"));
    this.head = h("div", { class: "head", role: "slider", tabindex: 0, "aria-label": say("position"), "aria-valuemin": 0, "aria-valuenow": 0, "aria-valuetext": clock(0), onkeydown: (event) => this.keyed(event, "head") });
    this.ends = ["start", "end"].map((name) =>
      h("div", { class: `end ${name}`, role: "slider", tabindex: 0, "aria-label": say(`loop.${name}`), "aria-valuemin": 0, onkeydown: (event) => this.keyed(event, name), onpointerdown: (event) => this.dragEnd(event, name) }),
    );
    this.region = h("div", { class: "region" });
    this.lane = h("div", { class: "lane", onpointerdown: (event) => this.drag(event) }, this.region, this.head, deck.repeats ? this.ends : null);
    this.time = h("p", { class: "time" }, h("b", {}, clock(0)), " / ", clock(deck.duration));
    this.whole = h("button", { type: "button", class: "button small whole", onclick: () => deck.setLoop(null) }, icon("whole"), say("loop.whole"));
    this.note = h("p", { class: "note", role: "status" });
    this.element = h(
      "section",
      { class: deck.repeats ? "bar" : "bar once", "aria-label": say("playback") },
      h("div", { class: "bar-line" }, this.play, this.stop, this.lane, this.time),
      h("div", { class: "bar-foot" }, this.note, deck.repeats ? h("p", { class: "tip" }, say("loop.tip")) : null, deck.repeats ? this.whole : null),
    );
    this.show();
  }

  toggle() {
    const { deck } = this;
    if (deck.playing) deck.pause();
    else deck.play(deck.current ?? deck.tokens[0]);
  }

  secondsAt(clientX) {
    const { left, width } = this.lane.getBoundingClientRect();
    return Math.min(1, Math.max(0, (clientX - left) / width)) * this.deck.duration;
  }

  /** A press goes there; a drag makes a loop. */
  drag(event) {
    const { deck } = this;
    if (!deck.ready || !deck.repeats || event.button) return;
    const from = event.clientX;
    this.lane.setPointerCapture(event.pointerId);
    const moved = ({ clientX }) => {
      if (Math.abs(clientX - from) >= DRAGGED) this.paint([from, clientX].map((x) => this.secondsAt(x)).sort((a, b) => a - b));
    };
    const done = ({ type, clientX }) => {
      for (const name of ["pointerup", "pointercancel"]) this.lane.removeEventListener(name, done);
      this.lane.removeEventListener("pointermove", moved);
      this.held = null;
      if (type === "pointerup" && Math.abs(clientX - from) >= DRAGGED) deck.setLoop([from, clientX].map((x) => this.secondsAt(x)).sort((a, b) => a - b));
      else if (type === "pointerup") deck.seek(this.secondsAt(clientX));
      this.show();
    };
    this.lane.addEventListener("pointermove", moved);
    for (const name of ["pointerup", "pointercancel"]) this.lane.addEventListener(name, done);
  }

  dragEnd(event, name) {
    event.stopPropagation();
    const { deck } = this;
    if (!deck.ready || event.button) return;
    const handle = event.currentTarget;
    handle.setPointerCapture(event.pointerId);
    const [start, end] = deck.loop;
    const regionAt = ({ clientX }) => (name === "start" ? [Math.min(this.secondsAt(clientX), end - 0.01), end] : [start, Math.max(this.secondsAt(clientX), start + 0.01)]);
    const moved = (move) => this.paint(regionAt(move));
    const done = (last) => {
      for (const each of ["pointerup", "pointercancel"]) handle.removeEventListener(each, done);
      handle.removeEventListener("pointermove", moved);
      this.held = null;
      if (last.type === "pointerup") deck.setLoop(regionAt(last));
      this.show();
    };
    handle.addEventListener("pointermove", moved);
    for (const each of ["pointerup", "pointercancel"]) handle.addEventListener(each, done);
  }

  keyed(event, name) {
    const { deck } = this;
    const far = name === "head" || event.shiftKey ? FAR : STEP;
    const steps = { ArrowLeft: -far, ArrowDown: -far, ArrowRight: far, ArrowUp: far, Home: -deck.duration, End: deck.duration };
    const step = steps[event.key];
    if (step === undefined || !deck.ready || !deck.repeats) return;
    event.preventDefault();
    const [start, end] = deck.loop;
    const { min_loop: shortest = 0.5 } = deck.rules;
    if (name === "head") deck.seek(deck.position + step);
    else if (name === "start") deck.setLoop([Math.min(Math.max(0, start + step), Math.max(0, end - shortest)), end]);
    else deck.setLoop([start, Math.max(Math.min(deck.duration, end + step), start + shortest)]);
  }

  /** Draw a loop that is being made. */
  paint(region) {
    this.held = region;
    this.show();
  }

  show() {
    const { deck } = this;
    const { duration } = deck;
    if (!duration) return;
    const [start, end] = this.held ?? deck.loop;
    const part = (seconds) => `${(100 * seconds) / duration}%`;
    this.region.style.left = part(start);
    this.region.style.width = part(end - start);
    [start, end].forEach((seconds, index) => {
      const handle = this.ends[index];
      handle.style.left = part(seconds);
      handle.setAttribute("aria-valuemax", duration.toFixed(1));
      handle.setAttribute("aria-valuenow", seconds.toFixed(1));
      handle.setAttribute("aria-valuetext", clock(seconds));
    });
    const label = deck.playing ? say("pause") : say("play");
    if (this.play.getAttribute("aria-label") !== label) {
      this.play.setAttribute("aria-label", label);
      this.play.replaceChildren(icon(deck.playing ? "pause" : "play"));
    }
    this.play.title = `${label} (${say("key.space")})`;
    this.play.disabled = !deck.ready || (!deck.playing && !deck.mayPlay(deck.current ?? deck.tokens[0]));
    this.stop.disabled = !deck.ready;
    this.whole.disabled = !deck.looped;
    this.head.setAttribute("aria-valuemax", duration.toFixed(1));
    this.element.classList.toggle("loading", !deck.ready);
    const note = this.noteNow();
    if (this.note.dataset.text !== note) {
      this.note.dataset.text = note;
      this.note.replaceChildren(note, deck.failed.size ? h("button", { type: "button", class: "button small", onclick: () => deck.retry() }, say("again")) : "");
    }
    this.tick();
  }

  /** What is in the way, or how often it may still be heard. */
  noteNow() {
    const { deck } = this;
    if (deck.failed.size) return say("sounds.failed");
    if (!deck.ready) return say("sounds.loading", { done: deck.pcm.size, of: deck.tokens.length });
    return deck.silent ? say("sounds.blocked") : this.playsLeft();
  }

  /** Of a sound that is alone on its page and may be heard only so often. */
  playsLeft() {
    const { deck } = this;
    const { plays = null } = deck.rules;
    return plays === null || deck.tokens.length > 1 ? "" : say("state.plays", { left: plays - deck.plays.get(deck.tokens[0]), of: plays });
  }

  tick() {
    const { position, duration } = this.deck;
    if (!duration) return;
    this.head.style.left = `${(100 * position) / duration}%`;
    const text = clock(position);
    if (this.time.firstChild.textContent === text) return;
    this.time.firstChild.textContent = text;
    this.head.setAttribute("aria-valuenow", position.toFixed(1));
    this.head.setAttribute("aria-valuetext", text);
  }
}
