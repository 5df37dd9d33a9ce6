/**
 * <earshot-player base="/earshot/" job="ID">: watches a separation job, then plays its tracks on one clock.
 * <earshot-player base="/earshot/" draft="ID">: the same for a recording that is not separated yet: slim, with one track.
 *
 * One module of a few files, no dependency, no build step. Lowest first: `times.js`; `samples.js` (blocks of samples over HTTP
 * Range, a bounded number of them); `transport.js` (blocks into Web Audio, all tracks at the same instants; play, seek, loop,
 * waiting for the network); `watch.js` (polls the job); `scales.js` (frequencies and levels); `lanes.js` (a track's pictures);
 * `parts.js` (markup); the element here.
 * Of several players on a page one sounds at a time, and the one used last has the keyboard.
 *
 * Words: *frames* are samples per channel. All times that leave this file are seconds of the recording, so that a
 * preview, the whole result and any view below the player share one time axis.
 *
 * Not used, because a page on plain http has none of it: AudioWorklet, crypto.randomUUID, Web Locks.
 */

import { Lane, drawRuler } from "./lanes.js";
import { FORMATS, SHARE, TEMPLATE, TRACK, WORK, icon, skeleton, titleOf } from "./parts.js";
import { FrequencyAxis, Levels, SCALES, readHz } from "./scales.js";
import { LOUDEST_DB, SHORTEST_LOOP, SILENT_DB, clamp, clock, gainOf, roughly } from "./times.js";
import { Transport } from "./transport.js";
import { Watch, errorOf } from "./watch.js";

const SHORTEST_VIEW = 0.02; // seconds
const NARROWEST = 8; // pixels of time that a band has at least
const REMEMBERED = "earshot-spectrogram-scale";

/** The scale that this browser used last. Storage may be refused. */
const remembered = () => {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
};

/**
 * The element. Attributes: `base` (the address of the routes, ending in a slash) and `job` or `draft` (an id; an empty
 * `draft` waits for one); `blind` hides the model's name, the notes on quality and what tracks are compared with.
 *
 * Events (they bubble): `earshot-state` (detail: the job's state, or {status: "gone"}), `earshot-cursor` (seconds),
 * `earshot-selection` ([start, end] in seconds, or null), `earshot-stage` ({name, tracks, start, end} of what can be heard
 * from now on), `earshot-region` (the id of a region that was clicked), `earshot-blind` (whether names and figures are hidden),
 * `earshot-view` (the [start, end] in seconds that the lanes show), `earshot-band` ({track, start, end, low_hz, high_hz}: a box
 * drawn on a spectrogram, or null; the selection is then the same times, and whatever else changes it drops the band),
 * `earshot-take` ({id, state, ready} of the edit that was asked for, whenever it changes), `earshot-side` ("A" or "B": which of
 * the two is heard from now on).
 */
class EarshotPlayer extends HTMLElement {
  static observedAttributes = ["base", "job", "draft", "blind"];
  static #all = new Set();
  static #used = null; // the player that was used last
  static #scale = remembered() in SCALES ? remembered() : "mel"; // of every spectrogram on the page

  #selection = null;
  #band = null;
  #wanted = null; // the region that was asked for; a stage may hold only a part of it
  #ahead = null;
  #boxed = null; // the selection when a box was begun: one drawn straight up inside it has its times
  #looping = false;
  #regions = [];
  #take = null; // id of the edit that was asked for
  #edited = null; // the take at hand: {id, base, stage, record}
  #side = "A"; // which is heard
  #original = null; // the stage of the job itself

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>:host { display: block; min-height: 720px } :host([draft]) { min-height: 0 }</style>
      <link rel="stylesheet" href="${new URL("player.css", import.meta.url)}">${TEMPLATE}`;
    this.ui = Object.fromEntries(
      [
        ...["player", "name", "facts", "job", "job-text", "job-left", "progress", "cancel", "failure", "deck", "start", "play", "loop"],
        ...["now", "of", "hint", "all-wave", "all-spectrogram", "out", "fit", "in", "volume", "help", "overview", "ruler", "window"],
        ...["marks", "tracks", "all", "mix", "delete", "notice", "notes", "menu", "help-dialog", "delete-dialog"],
        ...["timeline", "curtain", "takes", "part", "readout", "all-difference", "axis-choice", "boxing", "what", "card", "pictures"],
      ].map((name) => [name, root.querySelector(`.${name}`)]),
    );
    // Nothing is shown before its style is here; the box has its height from the start.
    this.ui.player.hidden = true;
    root.querySelector("link").onload = () => {
      this.ui.player.hidden = false;
      root.querySelector("style").remove();
      this.refresh();
    };
    this.rows = new Map();
    this.settings = new Map();
    this.wanted = this.#side; // while the samples of the other are on their way
    this.view = [0, 1];
    this.allSpectrogram = false;
    this.wire();
  }

  connectedCallback() {
    EarshotPlayer.#all.add(this);
    this.transport = new Transport();
    this.transport.setVolume(this.volume());
    this.transport.addEventListener("stage", () => (this.#side === "A" ? this.showStage() : this.showSide()));
    this.transport.addEventListener("side", () => this.turned());
    this.transport.addEventListener("change", () => {
      if (this.transport.playing) this.use();
      this.showTransport();
    });
    this.transport.addEventListener("gone", () => this.watch?.poll());
    this.off = new AbortController();
    const { signal } = this.off;
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    this.darkness = matchMedia("(prefers-color-scheme: dark)");
    this.darkness.addEventListener("change", () => this.theme(), { signal });
    this.themes = new MutationObserver(() => this.theme());
    for (const element of [document.documentElement, document.body]) {
      this.themes.observe(element, { attributes: true, attributeFilter: ["class"] });
    }
    this.sizes = new ResizeObserver(() => {
      this.refresh();
      if (this.bounds) this.emit("view", this.view); // what stands below has to find the lanes again
    });
    this.sizes.observe(this.ui.ruler);
    this.theme();
    this.restart();
    const frame = () => {
      this.follow();
      this.frame = requestAnimationFrame(frame);
    };
    frame();
  }

  disconnectedCallback() {
    EarshotPlayer.#all.delete(this);
    if (EarshotPlayer.#used === this) EarshotPlayer.#used = null;
    cancelAnimationFrame(this.frame);
    clearTimeout(this.resting);
    this.off.abort();
    this.themes.disconnect();
    this.sizes.disconnect();
    this.watch?.close();
    this.watch = null;
    this.dropTake();
    this.transport.close();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after || !this.isConnected || !this.transport) return;
    if (name !== "blind") {
      this.restart();
      return;
    }
    if (this.blind) this.take = null; // who knows what was changed does not judge blind
    if (this.blind) for (const setting of this.settings.values()) setting.minus = null; // a difference from the truth says how good it is
    this.showTracks();
    this.refresh();
    this.showFacts();
    this.showNotes();
    this.emit("blind", this.blind);
  }

  // -- for the page around it

  /** Seconds of the recording that are heard now. */
  get cursor() {
    return this.transport?.position ?? 0;
  }

  /** [start, end] in seconds, or null. */
  get selection() {
    return this.#selection;
  }

  /** {track, start, end, low_hz, high_hz} of the box drawn on a spectrogram, or null. */
  get band() {
    return this.#band;
  }

  /** Go there; before there is anything to play: start there. */
  seek(seconds) {
    if (!this.stage) this.startAt = seconds;
    this.transport.seek(seconds);
    const [start, end] = (this.#side === "B" && this.part) || [-Infinity, Infinity];
    if (seconds < start || seconds > end) this.say("B holds only the marked part: turn to A to go elsewhere.");
    this.reveal(this.transport.cursor);
  }

  /** A stretch that will be worked on first, [start, end] in seconds, or null: it is marked on the tracks. */
  set ahead(region) {
    this.#ahead = region;
    this.place();
  }

  /**
   * Regions drawn on the tracks: {id, track, start, end, title, strength (1 to 3), low_hz?, high_hz?}. A click loops the region
   * and says `earshot-region` (its id). One with frequencies is as high as they are where a spectrogram is shown.
   */
  set regions(regions) {
    this.#regions = regions;
    this.showRegions();
  }

  /** What the server says of the job: the answer of `earshot/jobs/ID`, or null. */
  get record() {
    return this.watch?.job ?? null;
  }

  /** The name of the stage that is loaded, "preview" or "full", or null. */
  get stageName() {
    return this.loaded ?? null;
  }

  /** [start, end] in seconds that the lanes show. */
  get visible() {
    return this.view;
  }

  /** Where the lanes lie in the element, {left, width} in CSS pixels: what stands below them on the same time axis needs it. */
  get lane() {
    const { left, width } = this.ui.ruler.getBoundingClientRect();
    return { left: left - this.getBoundingClientRect().left, width };
  }

  /** Whether what would tell a listener which model this is, and how good it ought to be, is hidden. */
  get blind() {
    return this.hasAttribute("blind");
  }

  /** Whether a picture other than the waveforms is shown. */
  get showsViews() {
    return [...this.settings.values()].some(({ spectrogram }) => spectrogram);
  }

  /** Seconds that each track of a job, this one or its take, has sounded since this was asked last: {track: seconds}. */
  takeHeard(job = this.subject) {
    const { transport } = this;
    transport.count();
    const heard = {};
    for (const [base, seconds] of transport.heard) {
      if (!base.startsWith(`${this.urlOf(job)}/`)) continue;
      for (const [track, more] of Object.entries(seconds)) heard[track] = (heard[track] ?? 0) + more;
      transport.heard.delete(base);
    }
    return heard;
  }

  /** The colour of a track, as it is now. */
  colourOf(name) {
    const item = this.rows.get(name)?.item;
    return item ? getComputedStyle(item).getPropertyValue("--track").trim() : "";
  }

  focus(options) {
    this.use();
    this.ui.player.focus(options);
  }

  /** This player has the keyboard from now on, and if it plays, no other does. */
  use() {
    EarshotPlayer.#used = this;
    if (!this.transport.playing) return;
    for (const other of EarshotPlayer.#all) if (other !== this) other.transport.pause();
  }

  /** Whether keys that are pressed outside of all players are for this one. */
  get usedLast() {
    const used = EarshotPlayer.#used;
    return used?.stage ? used === this : [...EarshotPlayer.#all].find(({ stage }) => stage) === this;
  }

  /** Select a region, loop it and play it. */
  loop(start, end) {
    this.select([start, end]);
    this.setLooping(true);
    this.seek(this.#selection ? this.#selection[0] : start);
    this.transport.play();
  }

  play() {
    this.transport.play();
  }

  pause() {
    this.transport.pause();
  }

  /** Ask the server now how things are, rather than at the next time. */
  look() {
    this.watch?.poll();
  }

  /** For tests and bug reports. */
  get debug() {
    const { transport } = this;
    const { audio, deck, library } = transport;
    return {
      contextTime: audio?.currentTime ?? 0,
      sampleRate: audio?.sampleRate ?? null,
      state: audio?.state ?? "none",
      position: transport.position,
      playing: transport.playing,
      sounding: Boolean(deck?.running),
      waiting: transport.waiting,
      underruns: transport.underruns,
      scheduled: [...(deck?.live ?? [])].map((node) => node.what),
      blocks: Object.fromEntries([...(library?.tracks ?? [])].map(([name, pcm]) => [name, pcm.blocks.size])),
    };
  }

  /** See `Transport.render`. */
  render(options) {
    return this.transport.render(options);
  }

  // -- the job

  /** A recording that is not separated yet: one track, and nothing to download. */
  get slim() {
    return this.hasAttribute("draft");
  }

  get subject() {
    return this.getAttribute(this.slim ? "draft" : "job") ?? "";
  }

  get url() {
    return this.urlOf(this.subject);
  }

  urlOf(subject) {
    return `${this.getAttribute("base") ?? ""}${this.slim ? "drafts" : "jobs"}/${encodeURIComponent(subject)}`;
  }

  restart() {
    this.watch?.close();
    this.watch = null;
    this.dropTake();
    this.transport.unload();
    this.loaded = this.made = this.#original = null;
    this.settings.clear();
    this.rows.clear();
    this.bounds = null;
    this.#selection = this.#band = this.#wanted = this.#ahead = null;
    this.probe = null;
    this.#regions = [];
    this.#looping = false;
    this.startAt = null;
    const { ui } = this;
    ui.player.classList.toggle("slim", this.slim);
    ui.player.classList.remove("zoomed");
    ui.player.setAttribute("aria-label", this.slim ? "The recording" : "Player");
    ui.tracks.innerHTML = skeleton.repeat(this.slim ? 1 : 4);
    this.showLegends();
    this.showReadout();
    ui.now.textContent = clock(0);
    ui.of.textContent = "";
    ui.failure.hidden = true;
    ui.deck.hidden = false;
    ui.deck.inert = true;
    ui.name.textContent = "";
    ui.facts.textContent = "";
    ui.notes.replaceChildren();
    ui.marks.replaceChildren();
    ui.all.disabled = ui.mix.disabled = true;
    ui.delete.hidden = true;
    this.say("");
    this.showJob("idle", this.subject ? "Looking for the separation" : "Nothing to play yet", "");
    this.showCurtain(this.subject ? "" : "Choose a recording: its waveform will be here.");
    if (!this.subject) {
      if (!this.slim) this.empty();
      return;
    }
    this.watch = new Watch(this.url, this.slim);
    this.watch.addEventListener("job", () => this.showWatch());
    this.watch.addEventListener("gone", (event) => this.gone(event.detail));
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(`earshot-${name}`, { detail, bubbles: true, composed: true }));
  }

  showWatch() {
    const { job, lost, stopping } = this.watch;
    if (lost) {
      this.showJob("lost", "Connection lost, retrying", "", job?.state.fraction);
      if (this.slim && !this.stage) this.showCurtain("Connection lost, retrying");
      return;
    }
    const { state, stages } = job;
    if (state.status !== "waiting" && state.status !== "running") this.watch.stopping = false;
    const best = ["full", "preview", "draft"].find((name) => stages[name]) ?? null;
    this.readLegend(job.legend);
    // The same stage again: its tracks are others (references came or went), or what they hold (a mixture at other levels).
    const made = best && JSON.stringify([best, stages[best].renewed, stages[best].tracks]);
    if (best && made !== this.made) {
      this.loaded = best;
      this.made = made;
      this.setDefaults(stages[best].tracks);
      if (this.#side === "A") this.transport.load(`${this.url}/${best}`, stages[best]);
      else this.replaceOriginal(`${this.url}/${best}`, stages[best]);
    }
    this.ui.name.textContent = job.name;
    this.ui.name.title = job.name;
    this.ui.cancel.hidden = !["waiting", "running"].includes(state.status);
    this.ui.cancel.disabled = stopping;
    this.ui.cancel.textContent = stopping ? "Stopping…" : "Cancel";
    this.ui.delete.hidden = !this.ui.cancel.hidden || job.expires === null; // null: its owner keeps it
    this.showStatus(state, best, job.expires);
    this.showFacts();
    this.showNotes();
    const key = JSON.stringify(state);
    if (key !== this.stateKey) this.emit("state", state);
    this.stateKey = key;
  }

  /** What lies over the empty tracks of a slim player. */
  showCurtain(text) {
    this.ui.curtain.textContent = text;
    this.ui.curtain.hidden = !text;
  }

  showReading(state) {
    if (state.status === "failed") {
      this.showFailure("This recording cannot be shown", state.error, false);
      return;
    }
    const percent = Math.floor(100 * state.fraction);
    const far = percent ? ` ${percent} %` : "";
    this.showCurtain(state.status === "done" ? "" : `Reading your file…${far} You can separate it already.`);
  }

  showStatus(state, best, expires) {
    if (this.slim) {
      this.showReading(state);
      return;
    }
    const left = state.remaining == null ? "" : `about ${roughly(state.remaining)} left`;
    if (this.watch.stopping) this.showJob("running", "Stopping…", "", state.fraction);
    else if (state.status === "waiting") {
      const ahead = { 0: "You are next", 1: "1 job ahead of you" }[state.position] ?? `${state.position} jobs ahead of you`;
      this.showJob("waiting", ahead, left, 0);
    } else if (state.status === "running") {
      const work = WORK[state.stage] ?? "Working";
      if (best === "preview") this.showJob("running", "Preview ready", [work.toLowerCase(), left].filter(Boolean).join(", "), state.fraction);
      else this.showJob("running", work, left, state.fraction);
    } else if (state.status === "done") this.showJob("done", "Ready", this.keptUntil(expires));
    else if (state.status === "cancelled") {
      this.showJob("cancelled", best ? "Cancelled: only the preview is here" : "Cancelled", best ? this.keptUntil(expires) : "");
      if (!best) this.empty();
    } else {
      this.showJob("failed", "Failed", "");
      this.showFailure("This did not work", state.error, Boolean(best));
    }
  }

  keptUntil(expires) {
    if (!expires) return "";
    const when = new Date(1000 * expires);
    const options = { weekday: "short", hour: "2-digit", minute: "2-digit" };
    return `kept until ${when.toLocaleString(undefined, options)}`;
  }

  showJob(kind, text, left, fraction) {
    const { ui } = this;
    ui.job.dataset.kind = kind;
    ui["job-text"].textContent = text;
    ui["job-left"].textContent = left;
    const percent = Math.round(100 * (fraction ?? 0));
    ui.progress.setAttribute("aria-valuenow", percent);
    ui.progress.firstElementChild.style.width = `${percent}%`;
  }

  showFailure(title, error, playable) {
    const { failure } = this.ui;
    failure.querySelector("h3").textContent = title;
    for (const part of ["asked", "found", "advice"]) failure.querySelector(`.${part}`).textContent = error?.[part] ?? "";
    failure.hidden = false;
    this.ui.deck.hidden = !playable;
  }

  empty() {
    this.ui.deck.hidden = true;
  }

  gone(error) {
    this.dropTake();
    this.transport.unload();
    this.#original = null;
    this.ui.cancel.hidden = true;
    this.showJob("gone", "Not here any more", "");
    this.showFailure(`This ${this.slim ? "recording" : "separation"} is not here any more`, error, false);
    this.emit("state", { status: "gone", error });
  }

  async cancelJob() {
    this.watch.stopping = true;
    this.showWatch();
    try {
      await this.watch.ask("/cancel", "POST");
    } catch (error) {
      this.watch.stopping = false;
      this.refused(error);
    }
  }

  async deleteJob() {
    try {
      await this.watch.ask("", "DELETE");
    } catch (error) {
      this.refused(error);
    }
  }

  refused(error) {
    const parts = error.parts ?? { found: "the connection is lost", advice: "Try again when it is back" };
    this.say(`${parts.found}. ${parts.advice}.`, true);
  }

  say(text, bad = false) {
    this.ui.notice.textContent = text;
    this.ui.notice.classList.toggle("bad", bad);
  }

  // -- the stage

  /** The stage of the job itself, whichever side is heard. */
  get stage() {
    return this.#original?.stage;
  }

  /** The stems sound, nothing twice: mixture, residual and references wait muted. */
  setDefaults(names) {
    const isStem = (name) => name !== "mixture" && name !== "residual" && !name.startsWith("reference-");
    const stems = names.filter(isStem);
    for (const [name, setting] of this.settings) if (!names.includes(name)) setting.solo = false; // it would silence all others
    for (const name of names) {
      const muted = stems.length ? !isStem(name) : name !== "mixture";
      if (!this.settings.has(name)) this.settings.set(name, { db: 0, muted, solo: false, spectrogram: this.allSpectrogram, minus: null });
    }
    this.applyLevels(names);
  }

  heard(name) {
    const anySolo = [...this.settings.values()].some(({ solo }) => solo);
    const { solo, muted } = this.settings.get(name);
    return anySolo ? solo : !muted;
  }

  applyLevels(names = this.stage?.tracks ?? []) {
    for (const name of names) this.transport.setLevel(name, this.heard(name) ? gainOf(this.settings.get(name).db) : 0);
    this.showTracks();
  }

  showStage() {
    this.#original = { base: this.transport.base, stage: this.transport.stage };
    this.showOriginal();
  }

  showOriginal() {
    const { stage, transport } = this;
    const wasWhole = !this.bounds || (this.view[0] <= this.bounds[0] && this.view[1] >= this.bounds[1]);
    const origin = stage.start / stage.sample_rate;
    this.bounds = [origin, origin + stage.length / stage.sample_rate];
    this.buildRows(stage);
    this.ui.deck.inert = false;
    this.ui.all.disabled = this.ui.mix.disabled = false;
    this.ui.of.textContent = ` / ${clock(this.bounds[1], 0)}`;
    if (this.startAt !== null) transport.seek(this.startAt);
    this.startAt = null;
    this.showWanted();
    this.showMarks();
    this.showRegions();
    this.showFacts();
    this.showNotes();
    this.showTracks();
    this.showTransport();
    this.setView(wasWhole ? this.bounds : this.view);
    this.refresh();
    this.emit("stage", { name: this.loaded, tracks: stage.tracks, start: this.bounds[0], end: this.bounds[1] });
  }

  buildRows(stage) {
    const colours = this.colours(stage.tracks);
    const rows = new Map();
    stage.tracks.forEach((name, index) => {
      const row = this.rows.get(name) ?? this.buildRow(name, index + 1);
      row.item.style.setProperty("--track", `var(--track-${colours[index]})`);
      row.lane = row.original = new Lane(`${this.#original.base}/${encodeURIComponent(name)}`, stage, row.canvas, row.picture);
      const setting = this.settings.get(name);
      if (!stage.tracks.includes(setting.minus)) setting.minus = null;
      rows.set(name, row);
    });
    this.rows = rows;
    this.ui.tracks.replaceChildren(...[...rows.values()].map(({ item }) => item));
  }

  /** A colour each source keeps; its reference has the same. */
  colours(names) {
    const sources = names.filter((name) => name !== "mixture" && name !== "residual" && !name.startsWith("reference-"));
    return names.map((name) => {
      const source = sources.indexOf(name.replace(/^reference-/, ""));
      return source >= 0 ? 1 + (source % 6) : name.startsWith("reference-") ? 6 : name;
    });
  }

  buildRow(name, number) {
    const item = document.createElement("li");
    item.className = "row track";
    item.dataset.track = name;
    item.innerHTML = TRACK(number);
    const find = (selector) => item.querySelector(selector);
    const title = titleOf(name);
    find(".label").textContent = title;
    find(".label").title = title;
    find(".solo").setAttribute("aria-label", `Solo ${title}`);
    find(".mute").setAttribute("aria-label", `Mute ${title}`);
    find(".picture").setAttribute("aria-label", `Spectrogram of ${title}`);
    find(".get").setAttribute("aria-label", `Download ${title}`);
    find(".level input").setAttribute("aria-label", `Gain of ${title}`);
    find(".solo").onclick = (event) => this.solo(name, event.shiftKey);
    find(".mute").onclick = () => this.mute(name);
    find(".picture").onclick = () => this.setSpectrogram(name, !this.settings.get(name).spectrogram);
    find(".get").onclick = (event) => this.openFormats(event.currentTarget, title, `download/${encodeURIComponent(name)}?`, this.picturesOf(name));
    find(".against").onclick = (event) => this.openAgainst(event.currentTarget, name);
    this.probeKeys(find(".probe"), name);
    find(".level input").oninput = (event) => this.setGain(name, Number(event.target.value));
    find(".level input").ondblclick = () => this.setGain(name, 0);
    item.addEventListener("pointerdown", () => (this.chosen = name));
    item.addEventListener("focusin", () => (this.chosen = name));
    this.pointers(find(".lane"), name);
    return { item, canvas: find(".outline"), picture: find(".heat"), lane: null };
  }

  showTracks() {
    const anySolo = [...this.settings.values()].some(({ solo }) => solo);
    for (const [name, { item }] of this.rows) {
      const { db, muted, solo, spectrogram } = this.settings.get(name);
      item.classList.toggle("unheard", anySolo ? !solo : muted);
      item.classList.toggle("spectrogram", spectrogram);
      item.querySelector(".solo").setAttribute("aria-pressed", solo);
      item.querySelector(".mute").setAttribute("aria-pressed", muted);
      item.querySelector(".picture").setAttribute("aria-pressed", spectrogram);
      const slider = item.querySelector(".level input");
      const text = db <= SILENT_DB ? "silent" : `${db > 0 ? "+" : db < 0 ? "−" : ""}${Math.abs(db).toFixed(1)} dB`;
      slider.value = db;
      slider.style.setProperty("--part", `${(100 * (db - SILENT_DB)) / (LOUDEST_DB - SILENT_DB)}%`);
      slider.setAttribute("aria-valuetext", text);
      item.querySelector("output").textContent = text;
    }
    const every = (holds) => this.rows.size > 0 && [...this.rows.keys()].every((name) => holds(this.settings.get(name), name));
    const differ = this.references.size > 0 && every(({ spectrogram, minus }, name) => spectrogram && minus === (this.references.get(name) ?? null));
    this.ui["all-wave"].setAttribute("aria-pressed", this.rows.size === 0 ? !this.allSpectrogram : every((one) => !one.spectrogram));
    const plain = every(({ spectrogram, minus }) => spectrogram && !minus);
    this.ui["all-spectrogram"].setAttribute("aria-pressed", this.rows.size === 0 ? this.allSpectrogram : plain);
    this.ui["all-difference"].setAttribute("aria-pressed", differ);
    this.ui["all-difference"].hidden = this.blind || !this.references.size;
    this.showLegends();
  }

  solo(name, add) {
    const on = !this.settings.get(name).solo;
    for (const [each, setting] of this.settings) if (each === name) setting.solo = on;
    else if (!add) setting.solo = false;
    this.applyLevels();
  }

  mute(name) {
    const setting = this.settings.get(name);
    if (!setting) return;
    setting.muted = !setting.muted;
    this.applyLevels();
  }

  setGain(name, db) {
    this.settings.get(name).db = clamp(db, SILENT_DB, LOUDEST_DB);
    this.applyLevels();
  }

  setSpectrogram(name, on) {
    this.settings.get(name).spectrogram = on;
    this.showTracks();
    this.refresh();
  }

  /** Spectrograms of all tracks or of none; with `differ`, stems that have a reference are shown minus it. */
  setAllSpectrogram(on, differ = false) {
    this.allSpectrogram = on;
    for (const name of this.rows.keys()) {
      const minus = on && differ ? (this.references.get(name) ?? null) : null;
      Object.assign(this.settings.get(name), { spectrogram: on, minus });
    }
    this.showTracks();
    this.refresh();
  }

  // -- spectrograms

  /** Stem -> the track that is its reference. */
  get references() {
    const names = [...this.rows.keys()];
    return new Map(names.filter((name) => names.includes(`reference-${name}`)).map((name) => [name, `reference-${name}`]));
  }

  /** What the rows of a spectrogram are. */
  get axis() {
    const key = `${EarshotPlayer.#scale} ${this.stage.sample_rate}`;
    if (key !== this.axisKey) this.axisNow = new FrequencyAxis(EarshotPlayer.#scale, this.stage.sample_rate, this.lowestHz[EarshotPlayer.#scale]);
    this.axisKey = key;
    return this.axisNow;
  }

  /** What bytes and colours mean: the same for all tracks, because all are painted alike. */
  readLegend({ step_db: step, lowest_hz: lowest, level, difference }) {
    if (this.levels) return;
    this.lowestHz = lowest;
    this.levels = { level: new Levels(step, level, false), difference: new Levels(step, difference, true) };
    for (const [kind, levels] of Object.entries(this.levels)) {
      const legend = this.shadowRoot.querySelector(`.legend.${kind}`);
      const [first, bar, last] = legend.children;
      [first.textContent, last.textContent] = levels.ends;
      bar.style.background = levels.gradient;
      const what = kind === "level" ? "0 dB is a sine of full scale" : "one track's level minus another's; what is below −70 dB counts as −70 dB";
      legend.setAttribute("aria-label", `Colours of the ${kind}s: from ${levels.ends[0]} to ${levels.ends[1]}; ${what}`);
      legend.title = what;
    }
  }

  /** Legends and tools are there while something needs them. */
  showLegends() {
    const shown = [...this.rows.keys()].map((name) => this.settings.get(name)).filter((setting) => setting?.spectrogram);
    const { ui } = this;
    this.shadowRoot.querySelector(".legend.level").hidden = shown.every(({ minus }) => minus);
    this.shadowRoot.querySelector(".legend.difference").hidden = !shown.some(({ minus }) => minus);
    ui.pictures.hidden = !shown.length;
    ui.card.querySelector(".of-difference").hidden = this.slim;
    ui["axis-choice"].textContent = SCALES[EarshotPlayer.#scale][0];
    ui["axis-choice"].setAttribute("aria-label", `Frequency axis: ${SCALES[EarshotPlayer.#scale][1]}`);
    for (const [name, { item }] of this.rows) {
      const minus = this.settings.get(name)?.minus;
      const against = item.querySelector(".against");
      against.hidden = this.blind || this.rows.size < 2;
      against.textContent = minus ? `minus ${titleOf(minus)}` : "Level";
      against.setAttribute("aria-label", `${titleOf(name)}: ${against.textContent}. Compare with another track`);
      against.title = "Compare with another track";
      item.querySelector(".probe").setAttribute("aria-label", `Frequency to read in the spectrogram of ${titleOf(name)}`);
    }
  }

  openAxes(button) {
    const items = Object.entries(SCALES).map(([scale, [, label, what]]) => ({ label, what, act: () => this.setScale(scale) }));
    this.openMenu(button, items);
  }

  /** One frequency axis for every player of the page, and for the next visit. */
  setScale(scale) {
    EarshotPlayer.#scale = scale;
    try {
      localStorage.setItem(REMEMBERED, scale);
    } catch {
      // A browser that remembers nothing shows the usual axis next time.
    }
    for (const player of EarshotPlayer.#all) {
      player.showLegends();
      player.refresh();
    }
  }

  /** The tracks that one can be compared with: what says most about it first. */
  openAgainst(button, name) {
    const reference = this.references.get(name);
    const others = [...this.rows.keys()].filter((other) => other !== name).sort((a, b) => (b === reference) - (a === reference));
    const choose = (minus) => () => {
      this.settings.get(name).minus = minus;
      this.showTracks();
      this.refresh();
    };
    const items = others.map((other) => ({
      label: `minus ${titleOf(other)}`,
      what: other === reference ? "what is wrong with it" : "",
      act: choose(other),
    }));
    this.openMenu(button, [{ label: "Level", what: "how loud it is", act: choose(null) }, ...items]);
  }

  /** What a spectrogram that is shown can be had as, for the download menu. */
  picturesOf(name) {
    const { lane } = this.rows.get(name);
    if (!this.settings.get(name).spectrogram || !lane.shown) return [];
    const url = `${lane.url}.png?${lane.shown.query}&width=1600&height=400`;
    return [{ label: "PNG", what: "the spectrogram as it is shown", act: () => this.download(url, `${titleOf(name)}, PNG`) }];
  }

  showAxis({ item, lane: { shown } }) {
    const lane = item.querySelector(".lane");
    const axis = shown?.axis ?? this.axis;
    const key = `${this.stage.sample_rate} ${axis.scale} ${lane.clientHeight}`;
    const element = lane.querySelector(".axis");
    if (element.dataset.key === key) return;
    element.dataset.key = key;
    element.replaceChildren(
      ...axis.marks(lane.clientHeight).map(([text, y]) => {
        const mark = Object.assign(document.createElement("span"), { textContent: text });
        mark.style.bottom = `${y}px`;
        return mark;
      }),
    );
  }

  /**
   * Read the spectrogram of a track at a place (0 to 1 from below) and a time, null for that of the cursor; or, with null,
   * nothing any more.
   */
  setProbe(probe) {
    this.probe = probe;
    this.showReadout();
  }

  showReadout() {
    const { name, place, seconds } = this.probe ?? {};
    const row = this.rows.get(name);
    const { readout, timeline } = this.ui;
    for (const { item } of this.rows.values()) item.querySelector(".probe").classList.toggle("on", item === row?.item);
    const at = seconds ?? this.cursor;
    const level = row && this.settings.get(name).spectrogram ? row.lane.levelAt(at, place) : "";
    readout.hidden = !level;
    if (!level) return;
    const { axis } = row.lane.shown;
    readout.textContent = `${clock(at, 1)} · ${readHz(axis.hz(place))} · ${level}`;
    const probe = row.item.querySelector(".probe");
    probe.style.bottom = `${100 * place}%`;
    probe.setAttribute("aria-valuemin", Math.round(axis.low));
    probe.setAttribute("aria-valuemax", Math.round(axis.top));
    probe.setAttribute("aria-valuenow", Math.round(axis.hz(place)));
    probe.setAttribute("aria-valuetext", readout.textContent.replaceAll(" · ", ", "));
    const lane = row.item.querySelector(".lane").getBoundingClientRect();
    const outer = timeline.getBoundingClientRect();
    const x = lane.left - outer.left + (lane.width * (at - this.view[0])) / (this.view[1] - this.view[0]);
    const y = lane.top - outer.top + lane.height * (1 - place);
    const right = x + 14 + readout.offsetWidth > outer.width; // no room there: on the other side
    readout.style.left = `${Math.max(0, right ? x - 14 - readout.offsetWidth : x + 14)}px`;
    readout.style.top = `${Math.max(0, y - 14 - readout.offsetHeight)}px`;
  }

  /** ↑ and ↓ on a spectrogram read it at the cursor, a step of frequency at a time. */
  probeKeys(element, name) {
    element.addEventListener("focus", () => {
      if (element.matches(":focus-visible")) this.setProbe({ name, place: this.probe?.name === name ? this.probe.place : 0.3, seconds: null });
    });
    element.addEventListener("blur", () => this.setProbe(null));
    element.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
      const height = this.rows.get(name)?.lane.shown?.height;
      if (!step || !height) return;
      event.preventDefault();
      const row = Math.floor((this.probe?.place ?? 0.3) * height); // the middle of a row, so that each step reads the next
      this.setProbe({ name, place: (clamp(row + step, 0, height - 1) + 0.5) / height, seconds: null });
    });
  }

  showFacts() {
    const { stage } = this;
    const job = this.watch?.job;
    if (!job || this.slim) return;
    const facts = this.blind ? [] : [`model ${job.model}${job.edited ? ", edited" : ""}`];
    if (stage) {
      const { sample_rate: rate, channels, length } = stage;
      facts.push(clock(length / rate, 0), `${(rate / 1000).toLocaleString("en", { maximumFractionDigits: 2 })} kHz`);
      facts.push({ 1: "mono", 2: "stereo" }[channels] ?? `${channels} channels`);
    }
    if (job.state.device) facts.push(`${job.state.device}${job.state.precision ? `, ${job.state.precision}` : ""}`);
    this.ui.facts.textContent = facts.join(" · ");
  }

  showNotes() {
    const { stage } = this;
    const state = this.watch?.job?.state;
    const notes = this.blind ? [] : [...new Set([...(state?.messages ?? []), ...(state?.report?.messages ?? [])])];
    if (!this.blind && stage && Number.isFinite(stage.null_db)) {
      const how = stage.null_db > -60 ? "do not quite add up" : "add up";
      const figure = `the difference is ${Math.round(-stage.null_db)} dB quieter than it`;
      notes.unshift(`The stems ${how} to the mixture: ${stage.null_db <= -180 ? "there is no difference" : figure}.`);
    }
    if (stage && stage.gain < 1) {
      const db = Math.abs(20 * Math.log10(stage.gain)).toFixed(1);
      notes.push(`All tracks are ${db} dB quieter than computed, by one common gain, so that none of them clips.`);
    }
    notes.push(...this.takeNotes());
    if (this.loaded === "preview" && state && ["waiting", "running"].includes(state.status)) {
      notes.push("This is the preview. The whole recording takes its place when it is ready, without a break.");
    }
    const key = notes.join("\n");
    if (key === this.notesKey && this.ui.notes.childElementCount === notes.length) return;
    this.notesKey = key;
    this.ui.notes.replaceChildren(...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  }

  showMarks() {
    const marks = (this.stage.uncertain_boundaries ?? []).map((offset) => {
      const seconds = this.bounds[0] + offset;
      const mark = document.createElement("button");
      const text = `At ${clock(seconds, 1)} the sources may have changed places: nothing told them apart`;
      Object.assign(mark, { type: "button", className: "mark", title: text });
      mark.setAttribute("aria-label", `${text}. Go there`);
      mark.dataset.seconds = seconds;
      mark.onclick = () => this.seek(seconds - 1);
      return mark;
    });
    this.ui.marks.replaceChildren(...marks);
  }

  showRegions() {
    for (const old of this.shadowRoot.querySelectorAll(".region")) old.remove();
    for (const { id, track, start, end, title, strength, low_hz: low, high_hz: high } of this.#regions) {
      const lane = this.rows.get(track)?.item.querySelector(".lane");
      if (!lane) continue;
      // The list of whoever asked for the regions is the way for the keyboard; here they are drawn for eye and pointer.
      const region = Object.assign(document.createElement("button"), { type: "button", className: "region", title, tabIndex: -1 });
      region.setAttribute("aria-hidden", "true");
      Object.assign(region.dataset, { start, end, strength });
      if (low !== undefined && high !== undefined) Object.assign(region.dataset, { low, high });
      region.onclick = () => {
        this.loop(start, end);
        this.emit("region", id);
      };
      lane.append(region);
    }
    this.place();
  }

  // -- view

  setView([start, end]) {
    const [low, high] = this.bounds;
    const span = clamp(end - start, Math.min(SHORTEST_VIEW, high - low), high - low);
    const first = clamp(start, low, high - span);
    this.view = [first, first + span];
    this.refresh();
    this.emit("view", this.view);
  }

  zoom(factor, centre = this.cursor) {
    if (!this.stage) return;
    const [start, end] = this.view;
    const around = clamp(centre, start, end);
    this.setView([around - (around - start) / factor, around + (end - around) / factor]);
  }

  reveal(seconds) {
    const [start, end] = this.view;
    if (!this.stage || (seconds >= start && seconds <= end)) return;
    const span = end - start;
    this.setView([seconds - 0.1 * span, seconds + 0.9 * span]);
  }

  /** Draw at the next frame, and fetch finer pictures when the view has come to rest. */
  refresh() {
    this.stale = true;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.refine(), 150);
  }

  async refine() {
    if (!this.stage || this.ui.player.hidden) return;
    const { start, length, sample_rate: rate } = this.shownStage;
    const [from, to] = this.view.map((seconds) => seconds * rate - start);
    const [first, last] = [clamp(from, 0, length), clamp(to, 0, length)];
    const pixels = (devicePixelRatio * (last - first)) / (to - from);
    const work = [...this.rows].map(async ([name, { lane, canvas }]) => {
      if (!lane.overview && (await lane.loadOverview())) this.stale = true;
      if (!this.settings.has(name) || last - first < 1) return; // another recording has taken its place; or nothing is in view
      const { spectrogram, minus } = this.settings.get(name);
      if (spectrogram) await this.loadPicture(lane, minus);
      else if (await lane.loadDetail(Math.floor(first), Math.ceil(last), canvas.clientWidth * pixels)) this.stale = true;
    });
    await Promise.all(work);
    const missing = [...this.rows.values()].some(({ lane }) => !lane.overview || lane.asked.picture === "failed");
    if (missing && this.isConnected) this.resting = setTimeout(() => this.refine(), 3000);
  }

  async loadPicture(lane, minus) {
    const levels = this.levels[minus ? "difference" : "level"];
    if (await lane.loadPicture(this.view, this.shownFrom, { axis: this.axis, levels, minus, lanes: this.rows.size })) {
      this.stale = true;
      this.showReadout();
    }
  }

  draw() {
    this.stale = false;
    if (!this.bounds || !this.stage || this.ui.player.hidden) return;
    const style = getComputedStyle(this.ui.player);
    const value = (name) => style.getPropertyValue(name).trim();
    const colours = { text: value("--dim"), line: value("--line-strong"), strong: value("--dim"), font: style.fontFamily };
    drawRuler(this.ui.ruler.querySelector("canvas"), this.view, colours);
    const scale = this.scale();
    for (const row of this.rows.values()) {
      const { lane, canvas } = row;
      this.showAxis(row);
      lane.placePicture(this.view);
      const edited = lane !== row.original;
      if (edited) row.original.draw(this.view, this.bounds[0], scale, value("--line-strong"));
      lane.draw(this.view, this.shownFrom, scale, getComputedStyle(canvas).color, edited);
    }
    this.drawOverview(scale, value("--dim"));
    this.place();
    if (this.probe) this.showReadout();
  }

  /** One vertical scale for all tracks: a quiet recording is drawn larger, up to four times. */
  scale() {
    let peak = 0;
    for (const { lane } of this.rows.values()) for (const value of lane.overview?.data ?? []) peak = Math.max(peak, Math.abs(value));
    return peak ? clamp(120 / peak, 0.9, 4) : 1;
  }

  drawOverview(scale, colour) {
    const first = this.rows.values().next().value;
    if (!first) return;
    const lane = Object.assign(Object.create(Lane.prototype), first.original, { canvas: this.ui.overview.querySelector("canvas"), detail: null });
    lane.draw(this.bounds, this.bounds[0], scale, colour);
    const [low, high] = this.bounds;
    const whole = this.view[1] - this.view[0] > 0.999 * (high - low);
    if (this.ui.player.classList.toggle("zoomed", !whole) !== this.wasZoomed) this.stale = true; // a slim lane changes its height
    this.wasZoomed = !whole;
    Object.assign(this.ui.window.style, {
      left: `${(100 * (this.view[0] - low)) / (high - low)}%`,
      width: `${(100 * (this.view[1] - this.view[0])) / (high - low)}%`,
      visibility: whole ? "hidden" : "visible",
    });
  }

  /** Put selection and marks where they belong. */
  place() {
    const [start, end] = this.view;
    const percent = (seconds) => (100 * (seconds - start)) / (end - start);
    for (const shade of this.shadowRoot.querySelectorAll(".shade")) {
      shade.hidden = !this.#selection;
      if (!this.#selection) continue;
      const [from, to] = this.#selection.map((seconds) => clamp(percent(seconds), -1, 101));
      shade.style.left = `${from}%`;
      shade.style.width = `${to - from}%`;
      shade.classList.toggle("looping", this.#looping);
    }
    for (const ahead of this.shadowRoot.querySelectorAll(".ahead")) {
      ahead.hidden = !this.#ahead;
      if (!this.#ahead) continue;
      const [from, to] = this.#ahead.map((seconds) => clamp(percent(seconds), -1, 101));
      ahead.style.left = `${from}%`;
      ahead.style.width = `${to - from}%`;
    }
    for (const region of this.shadowRoot.querySelectorAll(".region")) {
      const from = clamp(percent(Number(region.dataset.start)), -1, 101);
      const to = clamp(percent(Number(region.dataset.end)), -1, 101);
      region.hidden = to <= 0 || from >= 100;
      region.style.left = `${from}%`;
      region.style.width = `${to - from}%`;
      const { low, high } = region.dataset;
      const axis = low !== undefined && this.axisOf(region.closest(".track").dataset.track);
      region.classList.toggle("banded", Boolean(axis));
      region.style.bottom = axis ? `${100 * axis.place(Number(low))}%` : "";
      region.style.height = axis ? `${100 * (axis.place(Number(high)) - axis.place(Number(low)))}%` : "";
    }
    this.placeBand(percent);
    if (this.part) {
      const [from, to] = this.part.map((seconds) => clamp(percent(seconds), -1, 101));
      Object.assign(this.ui.part.style, { left: `${from}%`, width: `${to - from}%` });
    }
    for (const mark of this.ui.marks.children) {
      const left = percent(Number(mark.dataset.seconds));
      mark.style.left = `${left}%`;
      mark.hidden = left < 0 || left > 100;
    }
  }

  /** The axis of a track's spectrogram, or null while its waveform is shown. */
  axisOf(name) {
    return this.settings.get(name)?.spectrogram && this.levels ? (this.rows.get(name)?.lane.shown?.axis ?? this.axis) : null;
  }

  placeBand(percent) {
    for (const [name, { item }] of this.rows) {
      const element = item.querySelector(".band");
      const axis = this.#band?.track === name ? this.axisOf(name) : null;
      element.hidden = !axis;
      if (!axis) continue;
      const { start, end, low_hz: low, high_hz: high } = this.#band;
      const [from, to] = [start, end].map((seconds) => clamp(percent(seconds), -1, 101));
      const [bottom, top] = [low, high].map((hz) => 100 * axis.place(hz));
      Object.assign(element.style, { left: `${from}%`, width: `${to - from}%`, bottom: `${bottom}%`, height: `${top - bottom}%` });
    }
  }

  /** Once a frame: the playhead, the clock, what is stale. */
  follow() {
    if (!this.transport?.library) return;
    const { position, playing } = this.transport;
    const trouble = this.trouble();
    if (position !== this.lastPosition) {
      this.lastPosition = position;
      if (playing && !this.dragging) this.reveal(position);
      this.ui.now.textContent = clock(position);
      this.ui.ruler.setAttribute("aria-valuemin", this.bounds[0].toFixed(1));
      this.ui.ruler.setAttribute("aria-valuemax", this.bounds[1].toFixed(1));
      this.ui.ruler.setAttribute("aria-valuenow", position.toFixed(1));
      this.ui.ruler.setAttribute("aria-valuetext", `${clock(position, 1)} of ${clock(this.bounds[1], 1)}`);
      this.emit("cursor", position);
      if (this.probe?.seconds === null) this.showReadout();
      this.headStale = true;
    }
    if (trouble !== this.lastTrouble) {
      this.lastTrouble = trouble;
      this.showHint();
    }
    if (this.stale) this.draw();
    if (this.headStale || this.viewDrawn !== this.view) this.placeHeads(position);
  }

  placeHeads(position) {
    this.headStale = false;
    this.viewDrawn = this.view;
    const set = (lane, [start, end]) => {
      const part = (position - start) / (end - start);
      const head = lane.querySelector(".head-line");
      head.style.transform = `translateX(${part * lane.clientWidth}px)`;
      head.style.visibility = part >= 0 && part <= 1 ? "visible" : "hidden";
    };
    set(this.ui.overview, this.bounds);
    set(this.ui.ruler, this.view);
    for (const { item } of this.rows.values()) set(item.querySelector(".lane"), this.view);
  }

  showTransport() {
    const { playing } = this.transport;
    const label = playing ? "Pause" : "Play";
    const { play, loop } = this.ui;
    if (play.getAttribute("aria-label") !== label) {
      play.innerHTML = icon(playing ? "pause" : "play");
      play.setAttribute("aria-label", label);
      play.title = `${label} (Space)`;
    }
    loop.setAttribute("aria-pressed", this.#looping);
    this.showHint();
    this.lastPosition = undefined;
  }

  /** Why nothing sounds although it should; empty if all is well. */
  trouble() {
    if (this.transport.waiting) return "waiting for the network…";
    return this.transport.blocked ? "click to hear" : "";
  }

  showHint() {
    const { hint } = this.ui;
    const trouble = this.trouble();
    hint.classList.toggle("waiting", trouble !== "");
    if (trouble) hint.textContent = trouble;
    else if (this.#selection) {
      const [start, end] = this.#selection;
      const band = this.#band ? `\n${readHz(this.#band.low_hz)} – ${readHz(this.#band.high_hz)}` : "";
      hint.textContent = `${clock(start, 2)} – ${clock(end, 2)}  (${(end - start).toFixed(2)} s)${band}`;
    } else hint.textContent = "";
  }

  // -- selection

  /** Select [start, end] in seconds, or nothing. Before there is anything to play, it is kept for then. */
  select(region) {
    this.#wanted = region;
    const dropped = this.#band;
    this.#band = null;
    if (region && this.bounds) {
      const [start, end] = region.map((seconds) => clamp(seconds, ...this.bounds)).sort((a, b) => a - b);
      region = end - start >= SHORTEST_LOOP ? [start, end] : null;
    }
    this.#selection = region;
    if (!region) this.#looping = false;
    this.transport.setLoop(this.#looping ? region : null);
    this.place();
    this.showTransport();
    this.emit("selection", region);
    if (dropped) this.emit("band", null);
  }

  /** Select a band: {track, start, end, low_hz, high_hz}. The times are the selection. */
  selectBand(band) {
    this.#band = null;
    this.select([band.start, band.end]);
    if (!this.#selection) return;
    const [start, end] = this.#selection;
    this.#band = { ...band, start, end };
    this.place();
    this.showHint();
    this.emit("band", this.#band);
  }

  /** While on, dragging on a spectrogram draws bands: the way for a finger, whose drag up or down moves the page. */
  setBoxing(on) {
    this.boxing = on;
    this.ui.boxing.setAttribute("aria-pressed", on);
    this.ui.player.classList.toggle("boxing", on);
  }

  /** The band between two points of a lane, {x, y} in pixels of the page. */
  bandBetween(name, lane, one, other) {
    const box = lane.getBoundingClientRect();
    const axis = this.axisOf(name);
    const [start, end] = this.view;
    const secondsAt = (x) => clamp(start + ((x - box.left) / box.width) * (end - start), ...this.bounds);
    const narrow = Math.abs(other.x - one.x) < NARROWEST;
    const least = Math.max(SHORTEST_LOOP, (NARROWEST / box.width) * (end - start)) / 2;
    const middle = clamp(secondsAt((one.x + other.x) / 2), this.bounds[0] + least, this.bounds[1] - least);
    const within = this.#boxed && middle >= this.#boxed[0] && middle <= this.#boxed[1];
    const times = [one.x, other.x].map(secondsAt).sort((a, b) => a - b);
    const [from, to] = !narrow ? times : within ? this.#boxed : [middle - least, middle + least];
    const [low, high] = [one.y, other.y].map((y) => axis.hz((box.bottom - y) / box.height)).sort((a, b) => a - b);
    return { track: name, start: from, end: to, low_hz: low, high_hz: high };
  }

  /** Of a selection that was asked for earlier, what this stage holds; all of it is no selection. */
  showWanted() {
    const wanted = this.#wanted;
    if (!wanted) return;
    const whole = wanted[0] <= this.bounds[0] + SHORTEST_LOOP && wanted[1] >= this.bounds[1] - SHORTEST_LOOP;
    this.select(whole && !this.#looping ? null : wanted);
    this.#wanted = wanted; // the next stage may hold more of it
  }

  /** Move one end of the selection (0 or 1) to the cursor. */
  markEdge(edge) {
    const region = [...(this.#selection ?? this.bounds)];
    region[edge] = this.cursor;
    if (region[1] <= region[0]) region[1 - edge] = this.bounds[1 - edge];
    this.select(region);
  }

  setLooping(on) {
    this.#looping = on && this.#selection !== null;
    this.transport.setLoop(this.#looping ? this.#selection : null);
    this.place();
    this.showTransport();
    if (on && !this.#selection) this.say("Drag over a track to select what to loop.");
  }

  /**
   * Pointers on a lane: tap goes there, drag selects (or moves an end of the selection), two fingers zoom and move. On a
   * spectrogram a drag that sets out up or down, or with Shift, or while `boxing`, selects a band.
   */
  pointers(lane, name = null) {
    const down = new Map();
    const secondsAt = (x) => {
      const box = lane.getBoundingClientRect();
      return this.view[0] + ((x - box.left) / box.width) * (this.view[1] - this.view[0]);
    };
    const edgeAt = (event) => {
      if (!this.#selection) return -1;
      const near = ((event.pointerType === "touch" ? 16 : 6) * (this.view[1] - this.view[0])) / lane.clientWidth;
      return this.#selection.findIndex((edge) => Math.abs(edge - secondsAt(event.clientX)) < near);
    };
    let gesture = null;
    const finish = (event) => {
      const single = down.size === 1;
      down.delete(event.pointerId);
      if (down.size) return;
      const done = gesture;
      gesture = null;
      this.dragging = false;
      if (event.type === "pointercancel" || !done || !single) return;
      if (done.kind === "drag" && done.region) this.select(done.region);
      if (done.kind === "band") this.selectBand(done.band);
      if (done.kind === "tap") this.tap(secondsAt(event.clientX));
    };
    lane.addEventListener("pointerdown", (event) => {
      if (!this.stage || event.button !== 0 || event.target.closest(".mark, .region, .against")) return;
      lane.setPointerCapture(event.pointerId);
      down.set(event.pointerId, event.clientX);
      this.dragging = true;
      if (down.size === 2) {
        const [a, b] = down.values();
        gesture = { kind: "pinch", distance: Math.max(8, Math.abs(a - b)), centre: secondsAt((a + b) / 2), view: this.view };
      } else {
        const edge = edgeAt(event);
        const fixed = edge < 0 ? secondsAt(event.clientX) : this.#selection[1 - edge];
        gesture = { kind: "tap", from: { x: event.clientX, y: event.clientY }, fixed };
        gesture.boxes = this.boxing || event.shiftKey;
        this.#boxed = this.#selection;
      }
      this.hover(event, lane, name);
    });
    lane.addEventListener("pointermove", (event) => {
      this.hover(event, lane, name);
      if (!down.has(event.pointerId)) {
        lane.classList.toggle("edge", edgeAt(event) >= 0);
        return;
      }
      down.set(event.pointerId, event.clientX);
      if (gesture.kind === "pinch" && down.size === 2) {
        const [a, b] = down.values();
        const span = ((gesture.view[1] - gesture.view[0]) * gesture.distance) / Math.max(8, Math.abs(a - b));
        const box = lane.getBoundingClientRect();
        const start = gesture.centre - (((a + b) / 2 - box.left) / box.width) * span;
        this.setView([start, start + span]);
        return;
      }
      if (gesture.kind === "tap") gesture.kind = this.dragKind(gesture, event, name);
      if (gesture.kind === "band") {
        gesture.band = this.bandBetween(name, lane, gesture.from, { x: event.clientX, y: event.clientY });
        this.#band = gesture.band;
        this.#selection = [gesture.band.start, gesture.band.end];
        this.place();
        this.showHint();
      } else if (gesture.kind === "drag") {
        gesture.region = [gesture.fixed, secondsAt(event.clientX)].map((seconds) => clamp(seconds, ...this.bounds)).sort((a, b) => a - b);
        this.#selection = gesture.region;
        this.place();
        this.showHint();
      }
    });
    lane.addEventListener("pointerup", finish);
    lane.addEventListener("pointercancel", finish);
    lane.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") this.setProbe(null); // what a finger has read stays when it is lifted
    });
    lane.addEventListener("wheel", (event) => this.wheel(event, lane, secondsAt(event.clientX)), { passive: false });
  }

  /** What a drag is, once it has gone far enough to tell. */
  dragKind({ from, boxes }, event, name) {
    const [across, up] = [Math.abs(event.clientX - from.x), Math.abs(event.clientY - from.y)];
    if (this.axisOf(name)) {
      if (boxes) return Math.max(across, up) > 4 ? "band" : "tap";
      if (event.pointerType !== "touch" && up > 1.5 * across) return up > NARROWEST ? "band" : "tap";
    }
    return across > 4 ? "drag" : "tap";
  }

  /** Read the spectrogram under the pointer. */
  hover(event, lane, name) {
    if (!name || !this.settings.get(name)?.spectrogram || event.target.closest(".against")) return;
    const box = lane.getBoundingClientRect();
    const seconds = this.view[0] + clamp((event.clientX - box.left) / box.width, 0, 1) * (this.view[1] - this.view[0]);
    this.setProbe({ name, seconds, place: clamp((box.bottom - event.clientY) / box.height, 0, 1) });
  }

  tap(seconds) {
    const inside = this.#selection && seconds >= this.#selection[0] && seconds <= this.#selection[1];
    if (this.#selection && !inside) this.select(null);
    this.seek(seconds);
  }

  wheel(event, lane, seconds) {
    if (!this.stage) return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(-clamp(event.deltaY, -60, 60) / 120), seconds);
      return;
    }
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (!event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    const shift = (sideways / lane.clientWidth) * (this.view[1] - this.view[0]);
    this.setView([this.view[0] + shift, this.view[1] + shift]);
  }

  overviewPointers(lane) {
    let from = null;
    const secondsAt = (x) => {
      const box = lane.getBoundingClientRect();
      return this.bounds[0] + ((x - box.left) / box.width) * (this.bounds[1] - this.bounds[0]);
    };
    lane.addEventListener("pointerdown", (event) => {
      if (!this.stage || event.button !== 0) return;
      lane.setPointerCapture(event.pointerId);
      from = { x: event.clientX, view: this.view, moved: false };
    });
    lane.addEventListener("pointermove", (event) => {
      if (!from || (!from.moved && Math.abs(event.clientX - from.x) < 4)) return;
      from.moved = true;
      this.dragging = true;
      const shift = secondsAt(event.clientX) - secondsAt(from.x);
      this.setView(from.view.map((seconds) => seconds + shift));
    });
    lane.addEventListener("pointerup", (event) => {
      if (from && !from.moved) this.seek(secondsAt(event.clientX));
      from = null;
      this.dragging = false;
    });
    lane.addEventListener("pointercancel", () => (from = null));
    lane.addEventListener("wheel", (event) => this.wheel(event, lane, secondsAt(event.clientX)), { passive: false });
  }

  // -- takes: the job's own tracks (A) and those of an edit of it (B), heard in turn at the same instants

  /**
   * The id of an edit of this job, to be B as soon as it is ready; null: there is only A. B may hold a part of the recording:
   * then playing stays in it while B is heard. The take before stays until the new one is ready.
   */
  get take() {
    return this.#take;
  }

  set take(id) {
    if (id === this.#take) {
      if (id && id === this.#edited?.id) this.emit("take", { id, state: this.#edited.record.state, ready: true });
      return;
    }
    this.#take = id;
    this.takeWatch?.close();
    this.takeWatch = null;
    if (!id) {
      if (this.#side === "B") this.side = "A";
      this.transport.stand(null, null);
      this.#edited = null;
      this.showTakes();
      return;
    }
    const watch = (this.takeWatch = new Watch(this.urlOf(id), true));
    watch.addEventListener("job", () => this.showTake(watch));
    watch.addEventListener("gone", (event) => this.refuseTake(id, { status: "gone", error: event.detail }));
  }

  /** Which of the two is heard. */
  get side() {
    return this.#side;
  }

  /** Change over to the other, at the same instant; B only when it is there. */
  set side(side) {
    if (side === this.wanted || (side === "B" && !this.#edited)) return;
    this.wanted = side;
    this.transport.turn();
    this.showTakes();
  }

  /** What there is of a job, this one or its take, for whoever rates it: {record, name, stage, bounds}, or null. */
  resultOf(job) {
    const { id, record, stage } = this.#edited ?? {};
    const own = job === this.subject && this.stage && this.record;
    if (!own && job !== id) return null;
    const shown = own ? this.stage : stage;
    const start = shown.start / shown.sample_rate;
    const bounds = [start, start + shown.length / shown.sample_rate];
    return { record: own ? this.record : record, name: own ? this.loaded : "full", stage: shown, bounds };
  }

  /** [start, end] in seconds of the take at hand, or null. */
  get part() {
    return this.#edited && this.resultOf(this.#edited.id).bounds;
  }

  showTake(watch) {
    const { job: record } = watch;
    const id = this.#take;
    if (!record || watch !== this.takeWatch) return;
    const { state, stages } = record;
    if (["failed", "cancelled"].includes(state.status)) return this.refuseTake(id, state);
    if (!stages.full) return this.emit("take", { id, state, ready: false });
    if (this.#edited?.id === id) {
      this.#edited.record = record; // it can be heard a moment before it is done
      return this.emit("take", { id, state, ready: true });
    }
    this.#edited = { id, base: `${this.urlOf(id)}/full`, stage: stages.full, record };
    if (this.#side === "B") this.transport.load(this.#edited.base, stages.full);
    else this.transport.stand(this.#edited.base, stages.full);
    this.showTakes();
    this.emit("take", { id, state, ready: true });
  }

  /** An edit that will not come: what was at hand before stays. */
  refuseTake(id, state) {
    if (id !== this.#take) return;
    this.takeWatch?.close();
    this.takeWatch = null;
    if (this.#edited?.id === id) this.take = null; // it was here and is not any more
    else this.#take = this.#edited?.id ?? null;
    this.emit("take", { id, state, ready: false });
  }

  dropTake() {
    this.takeWatch?.close();
    this.takeWatch = this.#take = this.#edited = null;
    this.#side = this.wanted = "A";
    this.showTakes();
  }

  /** The whole result has come while the edit of a part is heard. */
  replaceOriginal(base, stage) {
    this.transport.stand(base, stage);
    this.#original = { base, stage };
    this.showOriginal();
    this.showSide();
  }

  turned() {
    this.#side = this.transport.base === this.#edited?.base ? "B" : "A";
    this.wanted = this.transport.next?.turned ? this.wanted : this.#side;
    this.say("");
    this.showSide();
    this.showTakes();
    this.emit("side", this.#side);
  }

  /** The lanes show the side that is heard. */
  showSide() {
    const { stage, base } = this.#edited ?? {};
    for (const [name, row] of this.rows) {
      const url = `${base}/${encodeURIComponent(name)}`;
      // A reference that came later is not among the tracks of an edit made before.
      if (this.#side === "A" || !stage.tracks.includes(name)) row.lane = row.original;
      else if (row.edited?.url === url) row.lane = row.edited;
      else row.lane = row.edited = new Lane(url, stage, row.canvas, row.picture);
      if (row.lane.shown) row.lane.paint();
      else row.picture.getContext("2d").clearRect(0, 0, row.picture.width, row.picture.height);
    }
    this.showNotes();
    this.showTransport();
    this.refresh();
  }

  get shownStage() {
    return this.#side === "B" ? this.#edited.stage : this.stage;
  }

  /** Seconds at which what the lanes show begins. */
  get shownFrom() {
    return this.shownStage.start / this.shownStage.sample_rate;
  }

  showTakes() {
    const { takes, part } = this.ui;
    takes.hidden = !this.#edited;
    part.hidden = !this.#edited;
    for (const button of takes.children) button.setAttribute("aria-pressed", button.dataset.side === this.wanted);
    if (!this.bounds || !this.stage) return;
    this.showNotes();
    this.place();
  }

  /** What a listener has to know of a take. */
  takeNotes() {
    if (!this.#edited) return [];
    const [start, end] = this.part;
    const { gain } = this.#edited.stage;
    const whole = start <= this.bounds[0] + SHORTEST_LOOP && end >= this.bounds[1] - SHORTEST_LOOP;
    const notes = [];
    if (!whole) notes.push(`B is the edit of ${clock(start, 1)} – ${clock(end, 1)}, separated anew on its own: while B is on, playing stays there.`);
    if (Math.abs(20 * Math.log10(gain / this.stage.gain)) > 0.05) notes.push("A and B are played with one gain, so that neither seems better by being louder.");
    return notes;
  }

  // -- downloads

  openFormats(button, title, path, more = []) {
    const items = FORMATS.map(([label, what, format, depth]) => ({
      label,
      what,
      act: () => this.download(`${this.transport.base}/${path}format=${format}&bit_depth=${depth}`, `${title}, ${label}`),
    }));
    this.openMenu(button, [...items, ...more]);
  }

  openMix(button) {
    const heard = this.stage.tracks.filter((name) => this.transport.levels[name] > 0);
    if (!heard.length) {
      this.say("Every track is silent now: turn one on first.", true);
      return;
    }
    const gains = heard.map((name) => `${name}:${Math.round(SHARE * this.transport.levels[name]) / SHARE}`).join(",");
    this.openFormats(button, "the mix", `mix?gains=${encodeURIComponent(gains)}&`);
  }

  /** Have the file made first, so that waiting and failing are seen here and not in the browser's download list. */
  async download(url, title) {
    this.say(`Preparing ${title}…`);
    try {
      const made = await fetch(url, { method: "HEAD", cache: "no-store" });
      if (!made.ok) throw Object.assign(new Error("refused"), { parts: await errorOf(await fetch(url, { cache: "no-store" })) });
      Object.assign(document.createElement("a"), { href: url, download: "" }).click();
      this.say(`${title}: the download has started.`);
    } catch (error) {
      this.refused(error);
    }
  }

  openMenu(button, items) {
    const { menu } = this.ui;
    this.menuOpener = button;
    menu.replaceChildren(
      ...items.map(({ label, what, act }) => {
        const item = document.createElement("button");
        item.type = "button";
        item.setAttribute("role", "menuitem");
        item.append(label, Object.assign(document.createElement("small"), { textContent: what }));
        item.onclick = () => {
          this.closeMenu();
          act();
        };
        return item;
      }),
    );
    this.putBeside(menu, button);
    menu.firstElementChild.focus({ preventScroll: true });
  }

  /** Show a box below a button, or above it where there is no room. */
  putBeside(element, button) {
    element.hidden = false;
    button.setAttribute("aria-expanded", "true");
    const box = button.getBoundingClientRect();
    const outer = this.ui.player.getBoundingClientRect();
    const left = clamp(box.left - outer.left, 8, Math.max(8, outer.width - element.offsetWidth - 8));
    const below = box.bottom - outer.top + 6;
    const above = box.top - outer.top - element.offsetHeight - 6;
    const fits = box.bottom + element.offsetHeight + 12 < innerHeight || above < 0;
    Object.assign(element.style, { left: `${left}px`, top: `${fits ? below : above}px` });
  }

  /** Show or hide the explanation of the spectrograms. */
  toggleCard(on) {
    const { what, card } = this.ui;
    if (on) this.putBeside(card, what);
    card.hidden = !on;
    what.setAttribute("aria-expanded", on);
    if (on) card.focus({ preventScroll: true });
  }

  closeMenu() {
    if (this.ui.menu.hidden) return;
    this.ui.menu.hidden = true;
    this.menuOpener.removeAttribute("aria-expanded");
    this.menuOpener.focus({ preventScroll: true });
  }

  menuKey(event) {
    const items = [...this.ui.menu.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) items.at((items.indexOf(this.shadowRoot.activeElement) + step) % items.length).focus();
    else if (event.key === "Escape" || event.key === "Tab") this.closeMenu();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // -- wiring

  wire() {
    const { ui } = this;
    ui.play.onclick = () => this.transport.toggle();
    ui.start.onclick = () => this.seek(this.bounds?.[0] ?? 0);
    ui.loop.onclick = () => this.setLooping(!this.#looping);
    ui.in.onclick = () => this.zoom(2);
    ui.out.onclick = () => this.zoom(0.5);
    ui.fit.onclick = () => this.stage && this.setView(this.bounds);
    ui["all-wave"].onclick = () => this.setAllSpectrogram(false);
    ui["all-spectrogram"].onclick = () => this.setAllSpectrogram(true);
    ui["all-difference"].onclick = () => this.setAllSpectrogram(true, true);
    ui["axis-choice"].onclick = (event) => this.openAxes(event.currentTarget);
    ui.boxing.onclick = () => this.setBoxing(!this.boxing);
    ui.what.onclick = () => this.toggleCard(ui.card.hidden);
    ui.card.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.toggleCard(false);
      ui.what.focus({ preventScroll: true });
    });
    for (const button of ui.takes.children) button.onclick = () => (this.side = button.dataset.side);
    ui.help.onclick = () => ui["help-dialog"].showModal();
    ui.cancel.onclick = () => this.cancelJob();
    ui.delete.onclick = () => ui["delete-dialog"].showModal();
    ui["delete-dialog"].onclose = () => ui["delete-dialog"].returnValue === "delete" && this.deleteJob();
    ui.all.onclick = (event) => this.openFormats(event.currentTarget, "all tracks", "download.zip?");
    ui.mix.onclick = (event) => this.openMix(event.currentTarget);
    const slider = ui.volume.querySelector("input");
    slider.oninput = () => {
      slider.style.setProperty("--part", `${slider.value}%`);
      this.transport?.setVolume(this.volume());
    };
    slider.oninput();
    this.pointers(ui.ruler);
    this.overviewPointers(ui.overview);
    ui.menu.addEventListener("keydown", (event) => this.menuKey(event));
    ui.player.addEventListener("focusin", () => this.use());
    ui.player.addEventListener("pointerdown", (event) => {
      this.use();
      this.transport.wake();
      if (!ui.menu.hidden && !event.target.closest(".menu")) this.closeMenu();
      if (!ui.card.hidden && !event.target.closest(".card, .what")) this.toggleCard(false);
      if (!event.target.closest(".track .lane")) this.setProbe(null);
    });
    // A click with the mouse leaves the keyboard with the player, so that Space plays and does not press the button again.
    ui.player.addEventListener("click", (event) => {
      const kept = event.target.closest(".menu, dialog, [aria-haspopup]");
      if (event.detail > 0 && !kept && ui.menu.hidden) ui.player.focus({ preventScroll: true });
    });
  }

  /** Loudness goes with the square of the slider, near enough to what an ear expects. */
  volume() {
    return (Number(this.ui.volume.querySelector("input").value) / 100) ** 2;
  }

  theme() {
    const { classList } = document.body;
    const standalone = !document.querySelector(".gradio-container");
    const dark = classList.contains("dark") || document.documentElement.classList.contains("dark");
    const asSystem = standalone && !classList.contains("light") && this.darkness.matches;
    this.ui.player.classList.toggle("dark", dark || asSystem);
    this.refresh();
  }

  /** Keys work wherever the focus is, unless whatever has it needs them itself. */
  key(event) {
    if (!this.stage || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.composedPath()[0];
    const inside = event.composedPath().includes(this);
    if (!inside && !this.usedLast) return;
    if (target.closest?.("dialog, .menu, textarea, select, [contenteditable], input:not([type=range])")) return;
    if (!inside && target !== document.body && target.closest?.("button, a, input, summary, [role], [tabindex]")) return;
    const onSlider = target.matches?.("input[type=range]");
    const onButton = target.matches?.("button, a, summary");
    if (onButton && (event.key === " " || event.key === "Enter")) return;
    if (onSlider && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    const act = this.action(event);
    if (!act) return;
    event.preventDefault();
    this.transport.wake();
    act();
  }

  action({ key, code, shiftKey }) {
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(code)?.[1];
    if (digit === "0") return () => this.setView(this.bounds);
    if (digit) {
      const name = this.stage.tracks[digit - 1];
      return name && (() => this.solo(name, shiftKey));
    }
    const step = shiftKey ? 1 : 5;
    return {
      " ": () => this.transport.toggle(),
      ArrowLeft: () => this.seek(this.cursor - step),
      ArrowRight: () => this.seek(this.cursor + step),
      Home: () => this.seek(this.bounds[0]),
      End: () => this.seek(this.bounds[1]),
      "+": () => this.zoom(2),
      "=": () => this.zoom(2),
      "-": () => this.zoom(0.5),
      "?": () => this.ui["help-dialog"].showModal(),
      Escape: () => this.select(null),
      i: () => this.markEdge(0),
      o: () => this.markEdge(1),
      l: () => this.setLooping(!this.#looping),
      b: this.#edited && (() => (this.side = this.wanted === "A" ? "B" : "A")),
      m: () => this.mute(this.chosen ?? this.stage.tracks[0]),
    }[key.length === 1 ? key.toLowerCase() : key];
  }
}

if (!customElements.get("earshot-player")) customElements.define("earshot-player", EarshotPlayer);

export { EarshotPlayer };
