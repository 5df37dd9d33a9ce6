/**
 * `View`: what every picture under the player has in common. A view stands on the player's time axis: its `.lane` boxes lie
 * exactly under the player's lanes, show the same stretch, the same playhead and the same selection, and take the same gestures.
 *
 * A view is a file `NAME.js` beside this one with a class of its own as default export:
 *
 *     export default class extends View {
 *       static title, about, example   // the heading; what am I looking at, in one sentence; one worked example
 *       static sees                    // "views" or "metrics": what a listener has seen who has opened it
 *       build()                        // once: fill `this.content`
 *       stageChanged(stage)            // there is a stage to show, or another one, or it was made again
 *       viewChanged([start, end]) · cursorMoved(seconds) · selectionChanged(region or null) · closed()
 *     }
 *
 * All times are seconds of the recording. Not an island: nothing here plays, that is the player's.
 */

import { errorOf } from "../static/watch.js";

const file = (name) => new URL(name, import.meta.url);

const TEMPLATE = (name, { title, about, example }) => `
<style>:host { display: block; min-height: 120px }</style>
<link rel="stylesheet" href="${file("../static/tokens.css")}"><link rel="stylesheet" href="${file("views.css")}">
<link rel="stylesheet" href="${file(`${name}.css`)}">
<section class="view" aria-label="${title}" hidden>
  <header class="top">
    <h2>${title}</h2>
    <button type="button" class="icon close" aria-label="Close ${title}" title="Close">×</button>
    <div class="about"><p>${about}</p><details><summary>For example</summary><p>${example}</p></details></div>
  </header>
  <div class="failure" role="alert" hidden>
    <p><b class="asked"></b> <span class="found"></span> <span class="advice"></span></p><button type="button" class="button again">Try again</button>
  </div>
  <div class="content"></div>
</section>`;

export class View extends HTMLElement {
  #off = null;
  #built = false;
  #shown = "";

  /** The player that the view belongs to; set before the view is put into the page. */
  player = null;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const name = this.localName.replace("earshot-view-", "");
    root.innerHTML = TEMPLATE(name, this.constructor);
    this.section = root.querySelector(".view");
    this.content = root.querySelector(".content");
    root.querySelector(".close").onclick = () => this.close();
    root.querySelector(".again").onclick = () => this.refresh(true);
    this.styled = Promise.all([...root.querySelectorAll("link")].map((link) => new Promise((done) => (link.onload = link.onerror = done))));
  }

  async connectedCallback() {
    this.#off = new AbortController();
    const { signal } = this.#off;
    const listen = (name, react) => this.player.addEventListener(`earshot-${name}`, react, { signal });
    listen("stage", () => this.refresh());
    listen("view", () => this.lay());
    listen("cursor", ({ detail }) => this.#follow(detail));
    listen("selection", ({ detail }) => this.#select(detail));
    this.darkness = matchMedia("(prefers-color-scheme: dark)");
    this.darkness.addEventListener("change", () => this.#theme(), { signal });
    this.themes = new MutationObserver(() => this.#theme());
    for (const element of [document.documentElement, document.body]) {
      this.themes.observe(element, { attributes: true, attributeFilter: ["class"] });
    }
    this.sizes = new ResizeObserver(() => this.lay());
    this.sizes.observe(this);
    this.lanes = new MutationObserver(() => this.#dress());
    this.lanes.observe(this.content, { childList: true, subtree: true });
    await this.styled;
    if (signal.aborted) return;
    this.shadowRoot.querySelector("style").remove();
    this.section.hidden = false;
    this.#theme();
    if (!this.#built) this.build();
    this.#built = true;
    this.#dress();
    this.lay();
    this.refresh(true);
  }

  disconnectedCallback() {
    this.#off.abort();
    this.themes.disconnect();
    this.sizes.disconnect();
    this.lanes.disconnect();
    this.#shown = "";
    this.closed();
  }

  // -- what a view fills in

  build() {}
  stageChanged() {}
  viewChanged() {}
  cursorMoved() {}
  selectionChanged() {}
  closed() {}

  // -- what it may use

  /** The address of the job. */
  get url() {
    return this.player.url;
  }

  /** The address of the stage that the player has. */
  get stageUrl() {
    return `${this.url}/${this.player.stageName}`;
  }

  get stage() {
    return this.player.stage ?? null;
  }

  /** [start, end] of the stage in seconds. */
  get bounds() {
    const { start, length, sample_rate: rate } = this.stage;
    return [start / rate, (start + length) / rate];
  }

  /** Names of sources in the order of the player's tracks; those that are no tracks come last. */
  inOrder(names) {
    const { tracks } = this.stage;
    const place = (name) => (tracks.includes(name) ? tracks.indexOf(name) : tracks.length);
    return names.toSorted((one, other) => place(one) - place(other));
  }

  /** What a route answers as JSON; an Error with the three `parts` if it refuses. */
  async ask(path, { method = "GET", body } = {}) {
    const headers = body === undefined ? {} : { "Content-Type": "application/json" };
    const options = { method, cache: "no-store", headers, body: body === undefined ? undefined : JSON.stringify(body) };
    let response;
    try {
      response = await fetch(path, options);
    } catch {
      const parts = { asked: "Ask the server", found: "it cannot be reached", advice: "Check the connection and try again" };
      throw Object.assign(new Error(parts.found), { parts });
    }
    if (!response.ok) throw Object.assign(new Error(`refused: ${response.status}`), { status: response.status, parts: await errorOf(response) });
    return response.json();
  }

  /** Say what went wrong, with a way to try again; null: nothing any more. */
  fail(error) {
    const box = this.shadowRoot.querySelector(".failure");
    box.hidden = !error;
    if (!error) return;
    const unknown = { asked: "Show this view", found: "something unexpected went wrong in the page", advice: "Try again" };
    for (const [part, text] of Object.entries(error.parts ?? unknown)) box.querySelector(`.${part}`).textContent = `${text}.`;
    if (!error.parts) console.error(error);
  }

  /** Where a time lies on the axis, in percent of a lane's width. */
  percent(seconds) {
    const [start, end] = this.player.visible;
    return (100 * (seconds - start)) / (end - start);
  }

  /** The time at a place of the window, `event.clientX`, over a lane. */
  secondsAt(lane, x) {
    const { left, width } = lane.getBoundingClientRect();
    const [start, end] = this.player.visible;
    return start + ((x - left) / width) * (end - start);
  }

  /** The view goes; whoever holds it may open it again. */
  close() {
    this.dispatchEvent(new CustomEvent("earshot-close", { bubbles: true, composed: true }));
    this.remove();
  }

  /** Show the stage that is here now; `again` also if it is the one that is shown. */
  async refresh(again = false) {
    if (!this.#built || !this.stage) return;
    const shown = `${this.stageUrl} ${this.stage.tracks} ${this.stage.gain} ${this.stage.renewed}`;
    if (shown === this.#shown && !again) return;
    this.#shown = shown;
    this.fail(null);
    this.lay();
    try {
      await this.stageChanged(this.stage);
    } catch (error) {
      if (shown === this.#shown && this.isConnected) this.fail(error);
    }
  }

  /** Lie under the player's lanes again. */
  lay() {
    if (!this.isConnected || !this.player.stage) return;
    const { left, width } = this.player.lane;
    const shift = this.player.getBoundingClientRect().left + left - this.content.getBoundingClientRect().left;
    this.section.style.setProperty("--lane-left", `${Math.round(shift)}px`);
    this.section.style.setProperty("--lane-width", `${width}px`);
    this.#follow(this.player.cursor, true);
    this.#select(this.player.selection);
    if (this.#built) this.viewChanged(this.player.visible);
  }

  // -- below the surface

  #theme() {
    const { classList } = document.body;
    const standalone = !document.querySelector(".gradio-container");
    const dark = classList.contains("dark") || document.documentElement.classList.contains("dark");
    const asSystem = standalone && !classList.contains("light") && this.darkness.matches;
    if (this.section.classList.toggle("dark", dark || asSystem) !== this.wasDark) this.lay();
    this.wasDark = dark || asSystem;
  }

  /** Give each lane its playhead, its selection and its gestures. */
  #dress() {
    for (const lane of this.content.querySelectorAll(".lane:not([dressed])")) {
      lane.setAttribute("dressed", "");
      for (const part of ["shade", "head-line"]) {
        lane.append(Object.assign(document.createElement("div"), { className: part, hidden: true }));
      }
      if (!lane.hasAttribute("plain")) this.player.pointers(lane);
      this.#select(this.player.selection);
      this.#follow(this.player.cursor, true);
    }
  }

  #follow(seconds, silent = false) {
    const left = this.percent(seconds);
    for (const head of this.content.querySelectorAll(".head-line")) {
      head.hidden = !(left >= 0 && left <= 100);
      head.style.left = `${left}%`;
    }
    if (!silent && this.#built) this.cursorMoved(seconds);
  }

  #select(region) {
    const edges = region?.map((seconds) => Math.min(101, Math.max(-1, this.percent(seconds))));
    for (const shade of this.content.querySelectorAll(".shade")) {
      shade.hidden = !edges;
      if (edges) Object.assign(shade.style, { left: `${edges[0]}%`, width: `${edges[1] - edges[0]}%` });
    }
    if (this.#built) this.selectionChanged(region ?? null);
  }
}

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const { dataset, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}
