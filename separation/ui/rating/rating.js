/**
 * <earshot-rating job="ID">: how the stems of a separation sound, in one line until it is opened. It belongs to the
 * <earshot-player> beside it (in the same parent): its selection, and a band drawn on a spectrogram, is what is marked; its
 * clock says what was heard. What this browser has rated before, and what there is to rate next: `mine.js`. An edit that the
 * player holds as take B is rated here, too: whoever offers that says `earshot-rate` (detail: the edit's id), cancelled if it is taken.
 *
 * Everything said becomes an event in `outbox.js` at once; what is shown is the rating as the server has it, and on top what
 * is still on its way. Nothing is sent before the element is opened. Views that other modules put on the page say that
 * they were seen: `earshot-saw` (bubbling, composed; detail "metrics" or "views"); and hide while `player.blind`.
 *
 * All times inside are seconds of the recording, as in the player; events have seconds from the start of what was served.
 */

import { make, wanted } from "./mine.js";
import { desk, keyOf, randomId, read, write } from "./outbox.js";

const SCALES = [
  ["overall", "Overall", ["Bad", "Poor", "Fair", "Good", "Excellent"]],
  ["target", "It is all there", ["Mostly missing", "Much is missing", "Some is missing", "Nearly all", "All of it"]],
  ["others", "Nothing else is heard", ["Others dominate", "Much of others", "Some of others", "Hardly any", "None"]],
  ["artefacts", "No artefacts", ["Very annoying", "Annoying", "Slightly annoying", "Barely heard", "None"]],
];
const LABELS = [
  ["bleed", "Another sound is heard through"],
  ["musical noise", "Twittering, bubbling tones"],
  ["muffled", "Dull, as behind a curtain"],
  ["gap", "It drops out for a moment"],
  ["phasey", "Hollow, swirling"],
  ["wrong source", "This belongs to another stem"],
  ["other", "Anything else; say it in the comment"],
];
const SEVERITY = ["slight", "clear", "strong"];
const HEARD_EVERY = 15_000; // milliseconds
const LISTEN_EVERY = 250; // milliseconds: how exactly it is known in which mode something was heard
const TYPING = 1200; // milliseconds without a key until a comment is saved
const HIDE = "earshot.hide";

const STAR = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="m12 2.6 2.9 6 6.6.9-4.8 4.6 1.2 6.5-5.9-3.2-5.9 3.2 1.2-6.5L2.5 9.5l6.6-.9z"/></svg>`;
const CHEVRON = `<svg class="chevron" viewBox="0 0 24 24" aria-hidden="true"><path d="m6 9 6 6 6-6" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/></svg>`;

const STYLE = `<link rel="stylesheet" href="${new URL("rating.css", import.meta.url)}">`;
const TEMPLATE = `
<style>:host { display: block; min-height: 58px }</style>${STYLE}
<section class="rating" aria-label="Rate this separation" hidden>
  <header class="line">
    <h2><button type="button" class="open" aria-expanded="false" aria-controls="body">${CHEVRON}<span>How does it sound?</span></button></h2>
    <p class="summary"></p>
    <button type="button" class="button small back" hidden>Rate A, the original</button>
    <p class="state" role="status"></p>
  </header>
  <div class="body" id="body" hidden>
    <ul class="stems"></ul>
    <div class="marking">
      <div class="ask">
        <button type="button" class="button mark-it">Mark what you hear</button>
        <p class="hint"></p>
      </div>
      <form class="form" hidden>
        <fieldset class="pills which"><legend>In</legend></fieldset>
        <fieldset class="pills label"><legend>What</legend></fieldset>
        <fieldset class="pills severity"><legend>How strong</legend></fieldset>
        <p class="band"><span class="term">Frequencies</span><span class="range"></span>
          <button type="button" class="clear" title="Mark all frequencies" aria-label="Mark all frequencies">×</button></p>
        <p class="buttons"><button class="button strong">Save the mark</button><button type="button" class="button quiet cancel">Cancel</button></p>
      </form>
      <ol class="marks" aria-label="What you have marked"></ol>
    </div>
    <div class="terms">
      <label class="check"><input type="checkbox" class="consent"><span><b>My rating and this audio may be used to train models.</b>
        <span class="kept"></span></span></label>
      <label class="check"><input type="checkbox" class="hide"><span><b>Hide names, figures and views until I have rated.</b>
        <span class="why">You then judge by ear: the model’s name, what was measured and the views inside the model come when every stem has its stars.
        What you could see, spectrograms too, and how you listened is recorded with your rating.</span></span></label>
      <button type="button" class="button quiet withdraw" hidden>Withdraw my rating</button>
    </div>
    <p class="next" hidden><span></span><button type="button" class="button"></button></p>
  </div>
  <dialog aria-label="Withdraw my rating"><h3>Withdraw your rating?</h3>
    <p>Every answer, mark and comment is deleted from the server, and the audio that was kept with it. This cannot be undone.</p>
    <form method="dialog"><button class="button" value="">Keep it</button><button class="button danger" value="withdraw">Withdraw</button></form></dialog>
</section>`;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
}

const span = (start, end) => `${clock(start)} – ${clock(end)}`;

/** A band as people say it: "1.2 – 3.4 kHz". */
function band([low, high]) {
  const digits = (value) => String(Number(value.toPrecision(value < 1 ? 1 : 2)));
  const one = (hz) => (hz < 1000 ? `${digits(hz)} Hz` : `${digits(hz / 1000)} kHz`);
  const [from, to] = [one(low), one(high)];
  return from.split(" ")[1] === to.split(" ")[1] ? `${from.split(" ")[0]} – ${to}` : `${from} – ${to}`;
}

const isStem = (name) => name !== "mixture" && name !== "residual" && !name.startsWith("reference-");
const nothing = () => ({ answers: {}, marks: new Map(), comments: {}, training: null, events: 0 });
const answerKey = (stem, scale) => `${scale} ${stem}`;

/** What an event makes of a rating; the same as the server's `rating_of`. */
function apply(rating, payload) {
  const { kind } = payload;
  if (kind === "answer") rating.answers[answerKey(payload.stem, payload.scale)] = payload.value;
  else if (kind === "mark") rating.marks.set(payload.mark, payload);
  else if (kind === "unmark") rating.marks.delete(payload.mark);
  else if (kind === "comment") rating.comments[payload.stem] = payload.text;
  else if (kind === "consent") rating.training = payload.training;
}

function fromServer({ answers, marks, comments, training, events }) {
  const rating = nothing();
  for (const { stem, scale, value } of answers) rating.answers[answerKey(stem, scale)] = value;
  for (const mark of marks) rating.marks.set(mark.mark, mark);
  for (const { stem, text } of comments) rating.comments[stem] = text;
  return Object.assign(rating, { training, events });
}

let names = 0; // groups of radio buttons need names of their own

/** A row of radio buttons that look like stars or pills. `onpick` gets the value, or null if it is taken back. */
class Choice {
  constructor(host, { legend, options, stars = false, onpick }) {
    const name = `choice-${names++}`;
    this.host = host;
    host.setAttribute("role", "radiogroup");
    host.setAttribute("aria-label", legend);
    this.inputs = options.map(({ value, title, text = "", hint = "" }) => {
      const input = make("input", { type: "radio", name, value, ariaLabel: stars ? `${value}: ${title}` : "" });
      if (!stars) input.removeAttribute("aria-label");
      const label = make("label", { title: hint || title }, input);
      if (stars) label.insertAdjacentHTML("beforeend", STAR);
      else label.append(make("span", { textContent: text || title }));
      input.onchange = () => onpick(value);
      host.append(label);
      return input;
    });
    if (!stars) return;
    this.word = make("span", { className: "word", ariaHidden: "true" });
    this.clear = make("button", { type: "button", className: "clear", textContent: "×", title: "Take it back" });
    this.clear.setAttribute("aria-label", `Take back: ${legend}`);
    this.clear.onclick = () => {
      onpick(null);
      this.inputs[0].focus({ preventScroll: true });
    };
    this.titles = options.map(({ title }) => title);
    host.append(this.word, this.clear);
  }

  show(value) {
    for (const input of this.inputs) input.checked = input.value === String(value);
    if (!this.word) return;
    this.word.textContent = value ? this.titles[value - 1] : "";
    this.clear.style.visibility = value ? "visible" : "hidden";
  }
}

class EarshotRating extends HTMLElement {
  static observedAttributes = ["job"];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = TEMPLATE;
    const find = (selector) => root.querySelector(selector);
    this.ui = {
      ...Object.fromEntries(
        [
            ...["rating", "open", "summary", "state", "body", "stems", "hint", "form", "marks", "consent", "kept", "hide", "withdraw"],
            ...["band", "next", "back"],
          ].map(
          (name) => [name, find(`.${name}`)],
        ),
      ),
      markIt: find(".mark-it"),
      cancel: find(".form .cancel"),
      dialog: find("dialog"),
    };
    find("link").onload = () => {
      this.ui.rating.hidden = false;
      find("style").remove();
    };
    this.controls = new Map();
    this.take = null; // the id of the player's take, while that is rated
    this.reset();
    this.wire();
  }

  connectedCallback() {
    this.off = new AbortController();
    const { signal } = this.off;
    const player = this.player;
    player.addEventListener("earshot-state", ({ detail }) => detail.status === "gone" && this.begin(true), { signal });
    for (const name of ["earshot-state", "earshot-stage", "earshot-blind"]) player.addEventListener(name, () => this.look(), { signal });
    player.addEventListener("earshot-selection", () => this.showMarking(), { signal });
    player.addEventListener("earshot-band", () => this.showMarking(), { signal });
    wanted.addEventListener("change", () => this.showNext(), { signal });
    player.addEventListener("earshot-region", ({ detail }) => this.point(detail), { signal });
    player.addEventListener("earshot-take", () => this.look(), { signal });
    document.addEventListener("earshot-saw", ({ detail }) => (this.saw[detail] = true), { signal });
    document.addEventListener("earshot-rate", (event) => this.rateTake(event), { signal });
    desk.addEventListener("change", ({ detail }) => this.changed(detail), { signal });
    desk.addEventListener("refused", ({ detail }) => this.complain(detail), { signal });
    desk.addEventListener("kept", ({ detail }) => this.showKept(detail), { signal });
    addEventListener("pagehide", () => this.leave(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden && this.sayHeard(), { signal });
    this.themes = new MutationObserver(() => this.paint());
    for (const element of [document.documentElement, document.body]) {
      this.themes.observe(element, { attributes: true, attributeFilter: ["class"] });
    }
    this.timers = [setInterval(() => this.sayHeard(), HEARD_EVERY), setInterval(() => this.listen(), LISTEN_EVERY)];
    this.look();
  }

  disconnectedCallback() {
    this.off.abort();
    this.themes.disconnect();
    for (const timer of this.timers) clearInterval(timer);
  }

  attributeChangedCallback(_, before, after) {
    if (before === after) return;
    if (before) this.sayHeard();
    this.take = null;
    this.begin();
  }

  /** Rate the player's take, because somebody asks for it; not while there is none. */
  rateTake(event) {
    if (!this.player.resultOf?.(event.detail)) return;
    event.preventDefault();
    this.turn(event.detail);
    this.player.side = "B";
    if (this.ui.body.hidden) this.expand(true);
    this.scrollIntoView({ block: "nearest" });
    this.ui.open.focus({ preventScroll: true });
  }

  /** From now on this edit is rated, or with null the separation itself. What was seen of the one was seen of the other. */
  turn(edit) {
    if (edit === this.take) return;
    const { saw } = this;
    this.sayHeard();
    this.take = edit;
    this.begin();
    this.saw = saw;
  }

  get player() {
    return this.parentElement?.querySelector("earshot-player");
  }

  /** What is rated: the separation of the page, or an edit of it. */
  get job() {
    return this.take ?? this.getAttribute("job") ?? "";
  }

  /** Whether names are hidden until all is rated. Not beside an edit: who has made it knows what it is. */
  get hides() {
    return !this.player?.take && Boolean(read(HIDE, false));
  }

  reset() {
    this.subject = null; // what is rated, once it is there
    this.rating = nothing();
    this.editing = null;
    this.told = ""; // what of the page was recorded as seen
    this.trial = null;
    this.saw = { model: false, metrics: false, views: false };
    this.sounded = { seconds: {}, modes: {} }; // what was heard and is not told yet
    this.controls.clear();
    this.ui.stems.replaceChildren();
    this.ui.marks.replaceChildren();
    this.ui.form.hidden = true;
    this.expand(false);
    this.ui.open.disabled = true;
    this.ui.summary.textContent = "";
    this.ui.state.textContent = "";
  }

  // -- what there is to rate

  /** Look at the player: when the separation is complete it can be rated. */
  look() {
    const { player } = this;
    if (this.take && this.take !== player?.take) return this.turn(null); // another edit has taken its place
    const result = player?.resultOf?.(this.job);
    if (!result) return this.showWaiting();
    const { state, name, expires } = result.record;
    const complete = !["waiting", "running"].includes(state.status) && (result.name === "full" || state.status !== "done");
    if (!complete) return this.showWaiting();
    this.note();
    if (this.subject?.stage === result.name) return this.show();
    this.ui.open.disabled = false;
    const mine = desk.mine.find((each) => each.job === this.job && each.stage === result.name);
    const waiting = desk.pending.find((each) => each.job === this.job && each.stage === result.name);
    const hidden = (mine ?? waiting)?.hidden ?? this.hides;
    this.subject = { job: this.job, stage: result.name, hidden };
    this.about = { name: this.take ? `${name}, edited` : name, expires };
    this.bounds = result.bounds;
    this.stems = result.stage.tracks.filter(isStem);
    this.buildStems();
    this.show();
    if (mine || waiting) this.load();
    if (wanted.opened === this.job || this.take) this.expand(true);
  }

  showWaiting() {
    if (!this.subject) this.ui.summary.textContent = "You can rate the stems when the separation is complete.";
  }

  /** The rating as the server has it, and what is still on its way on top. */
  async load() {
    const { subject } = this;
    try {
      const trial = await desk.serve(subject);
      await desk.refresh();
      if (this.subject !== subject) return;
      this.trial = trial;
      this.rating = fromServer(trial.rating);
    } catch (error) {
      if (this.subject !== subject) return;
      if (!error.passing) this.complain(error.parts);
      this.retry = setTimeout(() => this.subject === subject && !this.trial && this.load(), 5000);
    }
    for (const { payload, ...item } of desk.pending) if (keyOf(item) === keyOf(subject)) apply(this.rating, payload);
    this.show();
  }

  changed(key) {
    if (this.subject && key && key === keyOf(this.subject)) {
      // Another tab has said something, or has withdrawn it all.
      if (desk.tokenOf(this.subject)) this.load();
      else this.begin();
    }
    this.showState();
  }

  /** Start again, as if nothing had been said; or, when the separation is gone, not at all. */
  begin(gone = false) {
    clearTimeout(this.retry);
    if (gone) this.take = null;
    this.reset();
    this.player?.toggleAttribute("blind", this.hides);
    this.hidden = gone;
    if (!gone) this.look();
  }

  async expand(open) {
    this.ui.body.hidden = !open;
    this.ui.open.setAttribute("aria-expanded", open);
    if (!open || !this.subject) return;
    const selection = this.player.selection;
    this.subject.around = (selection ? (selection[0] + selection[1]) / 2 : this.player.cursor) - this.bounds[0];
    this.paint();
    wanted.look(this.job);
    if (!this.trial) await this.load();
  }

  // -- what is said

  say(payload, options) {
    if (payload.kind !== "heard") this.saySeen();
    apply(this.rating, payload);
    desk.say({ ...this.subject }, payload, options);
    desk.remember({ ...this.subject, ...this.about, said: this.summary() });
    this.show();
  }

  /** Note what can be seen now. Who has chosen the model knows it, whatever is hidden. */
  note() {
    const chosen = read("earshot.jobs", []).some(({ id }) => id === this.job);
    this.saw.model ||= chosen || !this.player.blind;
    this.saw.views ||= this.player.showsViews;
    // Views that were opened before for another separation are as open for this one.
    for (const kind of this.parentElement.querySelector("earshot-views")?.shown ?? []) this.saw[kind] = true;
  }

  /** What has sounded since the last look, and how: alone or with others, in a loop or not; and of an edit that is compared. */
  listen() {
    const { player } = this;
    if (!player?.takeHeard) return;
    const { seconds, modes } = this.sounded;
    const add = (sum, heard) => {
      for (const [name, value] of heard) sum[name] = (sum[name] ?? 0) + value;
    };
    const sounding = (of) => Object.entries(player.takeHeard(of)).filter(([, value]) => value > 0);
    const heard = sounding(this.subject?.job ?? this.job); // while another one is opened, still of the one before
    if (heard.length) add(seconds, heard);
    if (heard.length === 1) add((modes.solo ??= {}), heard);
    if (heard.length && player.transport.loop) add((modes.loop ??= {}), heard);
    const other = [player.subject, player.take].filter((job) => job && job !== this.subject?.job).flatMap(sounding);
    if (other.length) add((modes["other take"] ??= {}), other);
  }

  heard() {
    this.note();
    this.listen();
    const rounded = (sum) => Object.fromEntries(Object.entries(sum).map(([name, value]) => [name, Math.round(1000 * value) / 1000]));
    const modes = Object.fromEntries(Object.entries(this.sounded.modes).map(([mode, sum]) => [mode, rounded(sum)]));
    const seconds = rounded(this.sounded.seconds);
    this.sounded = { seconds: {}, modes: {} };
    const { model, metrics, views } = this.saw;
    return { kind: "heard", seconds, modes, saw_model: model, saw_metrics: metrics, saw_views: views };
  }

  /** What was heard since the last time; only of what somebody rates. */
  sayHeard(options = {}) {
    if (!this.subject || !(this.trial || desk.left(this.subject).length)) return;
    this.listen();
    if (![this.sounded.seconds, ...Object.values(this.sounded.modes)].some((sum) => Object.values(sum).some((value) => value >= 0.1))) return;
    const payload = this.heard();
    this.told = JSON.stringify(this.saw);
    this.say(payload, { silent: true, ...options });
  }

  /** Before anything is said: what could be seen when it was. */
  saySeen() {
    this.note();
    if (this.told === JSON.stringify(this.saw)) return;
    this.told = JSON.stringify(this.saw);
    desk.say({ ...this.subject }, this.heard(), { silent: true });
  }

  leave() {
    for (const { comment } of this.controls.values()) comment.save({ closing: true });
    this.sayHeard({ closing: true });
    desk.close();
  }

  // -- building

  buildStems() {
    this.controls.clear();
    this.ui.stems.replaceChildren(...this.stems.map((stem) => this.buildStem(stem)));
    const which = this.ui.form.querySelector(".which");
    which.replaceChildren(which.firstElementChild);
    this.which = new Choice(which, {
      legend: "In which stem",
      options: this.stems.map((stem) => ({ value: stem, title: stem })),
      onpick: (stem) => (this.editing.stem = stem),
    });
    this.paint();
  }

  buildStem(stem) {
    const choices = new Map();
    const scale = ([name, title, words]) => {
      const host = make("div", { className: "stars" });
      const options = words.map((word, index) => ({ value: index + 1, title: word }));
      const onpick = (value) => this.say({ kind: "answer", stem, scale: name, value });
      choices.set(name, new Choice(host, { legend: `${title}: ${stem}`, options, stars: true, onpick }));
      return host;
    };
    const hear = make("button", { type: "button", className: "button small hear", textContent: "Hear it alone" });
    hear.setAttribute("aria-label", `Hear ${stem} alone`);
    hear.onclick = () => this.hear(stem);
    const detail = make("div", { className: "detail", hidden: true });
    const more = make("button", { type: "button", className: "button small quiet more", textContent: "More detail" });
    more.setAttribute("aria-label", `More detail on ${stem}`);
    more.setAttribute("aria-expanded", "false");
    more.onclick = () => {
      detail.hidden = !detail.hidden;
      more.setAttribute("aria-expanded", !detail.hidden);
    };
    for (const each of SCALES.slice(1)) detail.append(make("p", { className: "scale", textContent: each[1] }), scale(each));
    const comment = this.buildComment(stem);
    detail.append(make("p", { className: "scale", textContent: "Comment" }), comment.area);
    this.controls.set(stem, { choices, comment, more });
    const who = make("p", { className: "who" }, make("span", { className: "chip", dataset: { stem } }), make("b", { textContent: stem }));
    return make("li", { className: "stem", dataset: { stem } }, who, scale(SCALES[0]), hear, more, detail);
  }

  buildComment(stem) {
    const area = make("textarea", { rows: 2, maxLength: 4000, placeholder: "What stands out?" });
    area.setAttribute("aria-label", `Comment on ${stem}`);
    let timer = null;
    const save = (options) => {
      clearTimeout(timer);
      if (area.value !== (this.rating.comments[stem] ?? "")) this.say({ kind: "comment", stem, text: area.value }, options);
    };
    area.oninput = () => {
      clearTimeout(timer);
      timer = setTimeout(save, TYPING);
    };
    area.onchange = () => save();
    return { area, save };
  }

  /** Solo a stem from the cursor on; pressed again, everything sounds as before. */
  hear(stem) {
    const { player } = this;
    const alone = player.settings.get(stem).solo;
    if (player.take) player.side = this.take ? "B" : "A";
    player.solo(stem, false);
    if (!alone) player.play();
  }

  wire() {
    const { ui } = this;
    ui.open.onclick = () => this.expand(ui.body.hidden);
    ui.markIt.onclick = () => this.edit(null);
    ui.cancel.onclick = () => this.endEdit();
    ui.form.onsubmit = (event) => {
      event.preventDefault();
      this.saveMark();
    };
    new Choice(ui.form.querySelector(".label"), {
      legend: "What you hear",
      options: LABELS.map(([value, hint]) => ({ value, title: value, hint })),
      onpick: (label) => (this.editing.label = label),
    });
    new Choice(ui.form.querySelector(".severity"), {
      legend: "How strong",
      options: SEVERITY.map((word, index) => ({ value: index + 1, title: word })),
      onpick: (severity) => (this.editing.severity = severity),
    });
    ui.band.querySelector(".clear").onclick = () => {
      this.player.select(this.player.selection);
      ui.form.querySelector(".strong").focus({ preventScroll: true });
    };
    ui.next.querySelector("button").onclick = () => wanted.go(this.job);
    ui.consent.onchange = () => this.say({ kind: "consent", training: ui.consent.checked });
    ui.hide.onchange = () => this.setHidden(ui.hide.checked);
    ui.back.onclick = () => {
      this.turn(null);
      this.expand(true);
      ui.open.focus({ preventScroll: true });
    };
    ui.withdraw.onclick = () => ui.dialog.showModal();
    ui.dialog.onclose = () => ui.dialog.returnValue === "withdraw" && this.withdraw();
  }

  // -- marks

  /** Open the form for a new mark, or for one that is there. */
  edit(mark) {
    const { player, ui } = this;
    const loudest = this.stems.find((stem) => player.settings.get(stem)?.solo) ?? this.stems[0];
    const stem = [player.band?.track, player.chosen].find((name) => this.stems.includes(name)) ?? loudest;
    this.editing = mark ? { ...mark } : { mark: randomId(), stem, label: LABELS[0][0], severity: 2 };
    if (mark) {
      const [start, end] = [mark.start + this.bounds[0], mark.end + this.bounds[0]];
      player.loop(start, end);
      if (mark.band_hz) player.selectBand({ track: mark.stem, start, end, low_hz: mark.band_hz[0], high_hz: mark.band_hz[1] });
    }
    for (const [name, value] of [["which", this.editing.stem], ["label", this.editing.label], ["severity", this.editing.severity]]) {
      for (const input of ui.form.querySelectorAll(`.${name} input`)) input.checked = input.value === String(value);
    }
    ui.form.hidden = false;
    this.showMarking();
    ui.form.querySelector(".label input:checked").focus({ preventScroll: true });
  }

  endEdit() {
    this.editing = null;
    this.ui.form.hidden = true;
    this.showMarking();
    this.ui.markIt.focus({ preventScroll: true });
  }

  saveMark() {
    const { selection } = this.player;
    if (!selection) return;
    const inside = selection.map((seconds) => clamp(seconds, ...this.bounds));
    const [start, end] = inside.map((seconds) => Math.max(0, Math.round(1000 * (seconds - this.bounds[0])) / 1000));
    const { mark, stem, label, severity } = this.editing;
    this.say({ kind: "mark", mark, stem, start, end, label, severity, band_hz: this.band });
    this.endEdit();
  }

  /** The band that is drawn on a spectrogram now, [low, high] in Hz, or null. */
  get band() {
    const drawn = this.player.band;
    return drawn ? [drawn.low_hz, drawn.high_hz].map((hz) => Math.round(10 * hz) / 10) : null;
  }

  /** A region on the lanes was clicked. */
  point(id) {
    this.expand(true);
    const row = this.ui.marks.querySelector(`[data-mark="${CSS.escape(id)}"]`);
    row?.querySelector("button").focus({ preventScroll: true });
  }

  get marks() {
    return [...this.rating.marks.values()].sort((a, b) => a.start - b.start || a.mark.localeCompare(b.mark));
  }

  // -- showing

  show() {
    if (!this.subject) return;
    for (const [stem, { choices, comment, more }] of this.controls) {
      for (const [scale, choice] of choices) choice.show(this.rating.answers[answerKey(stem, scale)]);
      const text = this.rating.comments[stem] ?? "";
      if (this.shadowRoot.activeElement !== comment.area) comment.area.value = text;
      const further = text || SCALES.slice(1).some(([scale]) => this.rating.answers[answerKey(stem, scale)]);
      more.classList.toggle("used", Boolean(further));
    }
    this.ui.open.querySelector("span").textContent = this.take ? "How does B sound?" : "How does it sound?";
    this.ui.back.hidden = !this.take;
    this.ui.hide.closest("label").hidden = Boolean(this.take);
    this.ui.summary.textContent = this.summary() || "Rate the stems, and mark what you hear.";
    this.ui.consent.checked = this.rating.training === true;
    this.ui.withdraw.hidden = !this.said;
    this.showHidden();
    this.showClip();
    this.showMarking();
    this.showMarks();
    this.showNext();
    this.showState();
    this.paint(); // the player's tracks may have got their colours only now
  }

  get said() {
    const { answers, marks, comments, training } = this.rating;
    return Object.values(answers).some(Boolean) || marks.size > 0 || Object.values(comments).some(Boolean) || training !== null;
  }

  summary() {
    const stars = this.stems
      .map((stem) => [stem, this.rating.answers[answerKey(stem, "overall")]])
      .filter(([, value]) => value)
      .map(([stem, value]) => `${stem} ${"★".repeat(value)}${"☆".repeat(5 - value)}`);
    const { size } = this.rating.marks;
    return [...stars, size ? `${size} ${size === 1 ? "mark" : "marks"}` : ""].filter(Boolean).join("  ·  ");
  }

  /** Names stay hidden until every stem has its stars; then they are shown, and that is recorded. */
  showHidden() {
    const rated = this.stems.every((stem) => this.rating.answers[answerKey(stem, "overall")]);
    const { hide } = this.ui;
    hide.checked = Boolean(read(HIDE, false));
    hide.disabled = this.said && !rated;
    hide.parentElement.title = hide.disabled ? "You have begun to rate: this can be changed when every stem has its stars" : "";
    const blind = this.hides && this.subject.hidden && !rated;
    this.player.toggleAttribute("blind", blind);
  }

  /** From now on; a trial that has been rated stays as it was served. */
  setHidden(on) {
    write(HIDE, on);
    if (!this.said) {
      if (on) this.player.take = null;
      this.subject = { ...this.subject, hidden: on };
      this.trial = null;
      this.rating = nothing();
      this.load();
    }
    this.show();
  }

  /** What else there is to rate, where the owner collects ratings. */
  showNext() {
    const { next } = this.ui;
    const { wanted: all, left } = wanted.known;
    const rated = this.subject && this.stems.every((stem) => this.rating.answers[answerKey(stem, "overall")]);
    const [words, button] = next.children;
    next.hidden = !all || !this.subject || Boolean(this.take);
    button.hidden = !left;
    button.textContent = rated ? "Rate the next one" : "Another one, please";
    button.classList.toggle("strong", Boolean(rated));
    const others = left === 1 ? "One other separation waits" : `${left} other separations wait`;
    words.textContent = wanted.trouble || (left ? `${rated ? "Thank you. " : ""}${others} to be rated.` : rated ? "Thank you. Nothing else waits to be rated." : "");
  }

  showClip() {
    const [start, end] = (this.trial?.clip ?? [0, Math.min(60, this.bounds[1] - this.bounds[0])]).map((seconds) => seconds + this.bounds[0]);
    const whole = end - start >= this.bounds[1] - this.bounds[0] - 0.01;
    const what = whole ? "the mixture and its stems are" : `the minute ${span(start, end)} of the mixture and its stems is`;
    const until = this.trial?.lasting.audio === false ? "until this demo restarts" : "after this separation is deleted";
    const kept =
      "The owner of this page may then train models with both and pass them on for that; no name goes with them, because none is known. " +
      `For this ${what} kept with your answers ${until}. Untick it to have the audio deleted here again; copies that were passed on before ` +
      "remain. Without it, only your answers are kept.";
    if (this.ui.kept.textContent !== kept) this.ui.kept.textContent = kept;
  }

  showKept({ key, kept }) {
    if (!this.subject || key !== keyOf(this.subject) || kept || !this.rating.training) return;
    this.complain({ found: "your answers are saved, but the audio could not be kept", advice: "nothing more is needed from you" });
  }

  showMarking() {
    if (!this.subject) return;
    const { selection } = this.player;
    const { hint, markIt, form } = this.ui;
    const { band: drawn } = this;
    const [first, last] = this.bounds;
    const inside = selection && selection[0] < last && selection[1] > first;
    markIt.disabled = !inside || !form.hidden;
    hint.textContent = inside
      ? `${span(...selection)}${drawn ? `, ${band(drawn)},` : ""} is selected.`
      : selection
        ? `Only ${span(first, last)} is rated here: select something in it.`
        : "Drag over a waveform to select where something is wrong, then mark it.";
    form.querySelector(".strong").disabled = !inside;
    this.ui.band.querySelector(".range").textContent = drawn ? band(drawn) : "All. Draw a box on a spectrogram (Shift + drag) to mark some of them.";
    this.ui.band.classList.toggle("all", !drawn);
  }

  showMarks() {
    const { marks } = this;
    const { stems } = this;
    this.player.regions = marks
      .filter(({ stem }) => stems.includes(stem))
      .map(({ mark, stem, start, end, label, severity, band_hz }) => ({
        id: mark,
        track: stem,
        start: start + this.bounds[0],
        end: end + this.bounds[0],
        title: `${label}, ${SEVERITY[severity - 1]}: ${span(start + this.bounds[0], end + this.bounds[0])}${band_hz ? `, ${band(band_hz)}` : ""}`,
        strength: severity,
        ...(band_hz ? { low_hz: band_hz[0], high_hz: band_hz[1] } : {}),
      }));
    const key = JSON.stringify(marks);
    if (this.marksKey === key && this.ui.marks.childElementCount === marks.length) return;
    this.marksKey = key;
    this.ui.marks.replaceChildren(...marks.map((mark) => this.buildMark(mark)));
    this.paint();
  }

  buildMark(mark) {
    const [start, end] = [mark.start + this.bounds[0], mark.end + this.bounds[0]];
    const where = mark.band_hz ? `, ${band(mark.band_hz)}` : "";
    const text = `${mark.label} in ${mark.stem}, ${SEVERITY[mark.severity - 1]}, ${span(start, end)}${where}`;
    const button = (className, textContent, title, onclick) => {
      const made = make("button", { type: "button", className, textContent, onclick, title });
      made.setAttribute("aria-label", `${title}: ${text}`);
      return made;
    };
    const play = button("where", span(start, end), "Loop this", () => this.player.loop(start, end));
    const what = make("span", { className: "what" }, make("span", { className: "chip", dataset: { stem: mark.stem } }));
    what.append(make("b", { textContent: mark.label }), ` in ${mark.stem}, ${SEVERITY[mark.severity - 1]}${where}`);
    const edit = button("button small quiet", "Edit", "Edit", () => this.edit(mark));
    const remove = button("button small quiet", "Remove", "Remove", () => {
      this.say({ kind: "unmark", mark: mark.mark });
      this.ui.markIt.focus({ preventScroll: true });
    });
    return make("li", { dataset: { mark: mark.mark } }, play, what, edit, remove);
  }

  /** The colours of the player's tracks. */
  paint() {
    for (const chip of this.shadowRoot.querySelectorAll(".chip")) chip.style.background = this.player?.colourOf?.(chip.dataset.stem) ?? "";
  }

  showState() {
    if (!this.subject) return;
    const left = desk.left(this.subject).length;
    const { state } = this.ui;
    if (left) this.complaint = null;
    const kind = this.complaint ? "bad" : left ? (desk.trouble ? "waiting" : "saving") : this.said ? "saved" : "";
    const away = desk.trouble?.status === 0 || !desk.trouble ? "Waiting for the network" : `Not saved yet (${desk.trouble.parts.found})`;
    const text = {
      bad: this.complaint,
      waiting: `${away}: kept in this browser, ${left} left`,
      saving: "Saving…",
      saved: this.trial?.lasting.answers === false ? "Saved until this demo restarts" : "Saved",
      "": "",
    }[kind];
    state.dataset.kind = kind;
    if (state.textContent !== text) state.textContent = text;
  }

  complain({ found, advice }) {
    const sentence = `${found}. ${advice}.`;
    this.complaint = `${sentence[0].toUpperCase()}${sentence.slice(1)}`;
    this.showState();
  }

  async withdraw() {
    const entry = desk.mine.find((each) => this.subject && keyOf(each) === keyOf(this.subject));
    try {
      if (entry) await desk.withdraw(entry);
      this.begin();
    } catch (error) {
      this.complain(error.parts);
    }
  }
}

if (!customElements.get("earshot-rating")) customElements.define("earshot-rating", EarshotRating);

export { EarshotRating };
