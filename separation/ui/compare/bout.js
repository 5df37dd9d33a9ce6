/**
 * One pair: two sounds side by side, a vote with reasons, then the names. Before the vote nothing here knows a name; A is the left
 * side and B the right one, as the server drew them.
 */

import { at, ask, make, problem, sentence } from "../cards/ask.js";
import { randomId } from "../rating/outbox.js";
import { clock } from "../static/times.js";
import { taskName } from "./choosing.js";
import { Sounds } from "./sounds.js";
import { Voting } from "./voting.js";

const SIDES = { left: "A", right: "B" };
const CHOICES = [["left", "A is better"], ["right", "B is better"], ["tie", "They are alike"], ["bad", "Both are bad"]];
const REASONS = { target: "keeps it better", others: "suppresses the others better", artefacts: "has fewer artefacts" };
const LABELS = ["bleed", "musical noise", "muffled", "gap", "phasey", "wrong source", "other"];
const AROUND = 1; // seconds before and after the place of a mark
const SAY_EVERY = 4000; // milliseconds between two words on what was heard

export class BoutView {
  /** `seen` is what the server says of the bout; `ways`: what the page can do next. */
  constructor(seen, ways) {
    Object.assign(this, { seen, ways, bout: seen.bout, stems: seen.stems });
    this.sounds = new Sounds(seen.bout, seen.audio, seen.sounds);
    this.voting = new Voting(seen.bout);
    this.stem = this.stems[0];
    this.place = "left"; // what is heard, or would be: left, right, mixture
    this.heard = { left: 0, right: 0 };
    for (const [role, seconds] of Object.entries(seen.given.heard)) this.count(role, seconds);
    this.fields = { ...seen.given.fields };
    this.voted = seen.state === "voted";
    this.element = make("div.stack", {}, this.buildDeck(), this.voted ? this.buildReveal() : this.buildVote());
    this.sounds.addEventListener("change", () => this.show());
    this.sounds.addEventListener("heard", ({ detail: { role, seconds } }) => {
      this.count(role, seconds);
      this.show();
    });
    this.sounds.addEventListener("trouble", ({ detail }) => this.trouble.replaceChildren(problem(detail)));
    document.addEventListener("keydown", this.key);
    addEventListener("pagehide", this.leave);
    this.timer = setInterval(() => this.tick(), 100);
    this.saying = setInterval(() => this.report(), SAY_EVERY);
    this.sounds.prepare([`left:${this.stem}`, `right:${this.stem}`, "mixture"]).then(() => this.sounds.prepare([...this.sounds.tokens.keys()]));
    this.show();
  }

  close() {
    this.leave();
    this.sounds.close();
    clearInterval(this.timer);
    clearInterval(this.saying);
    document.removeEventListener("keydown", this.key);
    removeEventListener("pagehide", this.leave);
  }

  // -- hearing

  get role() {
    return this.place === "mixture" ? "mixture" : `${this.place}:${this.stem}`;
  }

  count(role, seconds) {
    const side = role.split(":")[0];
    if (side in this.heard) this.heard[side] += seconds;
  }

  /** Tell the server what sounded; it is no act of the listener, so nobody waits for it. */
  report = () => {
    const heard = this.sounds.take();
    if (this.voted || !Object.keys(heard).length) return;
    this.voting.say({ kind: "heard", seconds: heard, saw_model: false, saw_metrics: false, saw_views: false });
    this.voting.flush().catch(() => {});
  };

  leave = () => this.report();

  buildDeck() {
    const { name, start, duration, credits, licence } = this.seen.recording;
    this.stemRadios = segments("What to listen to", this.stems.map((stem) => [stem, stem]), this.stem, (stem) => {
      this.stem = stem;
      this.sounds.prepare([`left:${stem}`, `right:${stem}`]);
      if (this.place === "mixture") this.place = "left";
      if (this.sounds.playing) this.sounds.hear(this.role);
      this.show();
    });
    this.keys = Object.fromEntries(
      Object.entries(SIDES).map(([side, letter]) => [side, make("button.deck", { type: "button", onclick: () => this.go(side) }, make("b", {}, letter), make("span"))]),
    );
    this.keys.mixture = make("button.deck.mixture", { type: "button", onclick: () => this.go("mixture") }, make("b", {}, "Mixture"), make("span", {}, "what both were given"));
    this.play = make("button.play", { type: "button", "aria-label": "Play", onclick: () => this.sounds.toggle(this.role) });
    this.bar = make("input", { type: "range", min: 0, max: this.sounds.duration, step: 0.01, value: 0, "aria-label": "Place in the recording" });
    this.bar.oninput = () => this.sounds.seek(Number(this.bar.value));
    this.time = make("span.time");
    this.trouble = make("div");
    const about = [`${duration.toFixed(0)} s${start ? `, from ${clock(start, 1)}` : ""}`, taskName(this.seen.recording.task), licence].filter(Boolean).join(" · ");
    return make(
      "section.card.listen",
      { "aria-label": "Listen" },
      make("div.heading", {}, make("h2", {}, name), make("p.quiet", {}, about)),
      this.stemRadios.element,
      make("div.decks", {}, this.keys.left, this.keys.right, this.keys.mixture),
      make("div.transport", {}, this.play, this.bar, this.time),
      this.trouble,
      make("p.quiet.hint", {}, make("kbd", {}, "A"), " ", make("kbd", {}, "B"), " switch, ", make("kbd", {}, "M"), " mixture, ", make("kbd", {}, "space"), " plays and stops, ", make("kbd", {}, "←"), " ", make("kbd", {}, "→"), " move. The place is kept when you switch."),
      credits && make("details", {}, make("summary", {}, "Who made this recording"), make("p.quiet", {}, credits)),
    );
  }

  go(place) {
    this.place = place;
    this.trouble.replaceChildren();
    this.sounds.hear(this.role);
    this.show();
  }

  key = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest?.("select, textarea, input:not([type=range])");
    const place = { a: "left", b: "right", m: "mixture" }[event.key.toLowerCase()];
    if (place && !event.target.closest?.("select, textarea, input[type=text]")) this.go(place);
    else if (event.key === " " && !typing && !event.target.closest?.("button, summary, a")) {
      event.preventDefault();
      this.sounds.toggle(this.role);
    } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !typing && event.target !== this.bar) {
      event.preventDefault();
      this.sounds.seek(Math.max(0, Math.min(this.sounds.duration, this.sounds.position + (event.key === "ArrowLeft" ? -2 : 2))));
    }
  };

  tick() {
    const { position, duration } = this.sounds;
    if (document.activeElement !== this.bar || this.sounds.playing) this.bar.value = position;
    this.time.textContent = `${clock(position, 1)} / ${clock(duration, 1)}`;
    if (this.sounds.playing) this.sounds.switcher.account();
  }

  /** What is heard is said in words and by a pressed button, never by a colour alone. */
  show() {
    const { playing } = this.sounds;
    for (const [place, button] of Object.entries(this.keys)) {
      const on = place === this.place;
      button.setAttribute("aria-pressed", on);
      button.classList.toggle("sounding", on && playing);
    }
    for (const [side, letter] of Object.entries(SIDES)) {
      const button = this.keys[side];
      const words = side === this.place && playing ? `playing ${this.stem}` : this.voted ? this.seen.revealed.sides[side].title : `heard ${Math.floor(this.heard[side])} s`;
      if (button.lastChild.textContent !== words) button.lastChild.textContent = words;
      button.setAttribute("aria-label", `${letter}, ${words}`);
    }
    const label = playing ? "Pause" : "Play";
    if (this.play.getAttribute("aria-label") !== label) {
      this.play.setAttribute("aria-label", label);
      this.ways.tell(playing ? `Playing ${this.place === "mixture" ? "the mixture" : `${SIDES[this.place]}, ${this.stem}`}.` : "Paused.");
    }
    this.play.classList.toggle("on", playing);
    if (!this.voted) this.showVote();
  }

  // -- voting

  buildVote() {
    this.choice = segments("Your vote", CHOICES, this.fields.vote ?? null, (value) => this.give("vote", value), "choices");
    this.lack = make("p.quiet", { role: "status" });
    this.cast = make("button.earshot-button.strong.large", { type: "button", onclick: () => this.finish() }, "Cast the vote and see the names");
    this.consent = make("input", { type: "checkbox" });
    this.refused = make("div");
    this.saved = make("span.quiet", { role: "status" });
    this.voting.addEventListener("change", () => this.showSaved());
    this.showSaved();
    const sources = this.stems.filter((stem) => stem !== "residual");
    const options = [["left", "A"], ["tie", "alike"], ["right", "B"]];
    const tables = sources.map((stem) =>
      make(
        "div.reasons",
        {},
        make("h3", {}, stem),
        this.seen.attributes.map((attribute) => {
          const field = `${attribute}:${stem}`;
          const radios = segments(`${stem}: which one ${REASONS[attribute]}`, options, this.fields[field] ?? null, (value) => this.give(field, value), "small");
          return make("div.reason", {}, make("span", { "aria-hidden": "true" }, `Which one ${REASONS[attribute]}?`), radios.element);
        }),
      ),
    );
    return make(
      "section.card.vote",
      { "aria-label": "Vote" },
      make("h2", {}, "Which one is better?"),
      this.choice.element,
      make("details", { open: Boolean(Object.keys(this.fields).length > 1) }, make("summary", {}, "Say why"), make("div.pair", {}, tables)),
      this.buildMarks(),
      make("label.switch", {}, this.consent, "The audio of this pair may be kept with my vote and used to train models"),
      make("div.line", {}, this.cast, this.lack, this.saved),
      this.refused,
    );
  }

  give(field, value) {
    this.fields[field] = value;
    this.voting.say({ kind: "given", field, value });
    this.voting.flush().catch((error) => this.refuse(error));
    this.showVote();
  }

  refuse(error) {
    this.refused.replaceChildren(problem(error));
    if (error.status === 409) this.ways.refresh();
  }

  showSaved() {
    const words = { saved: Object.keys(this.fields).length ? "Saved" : "", saving: "Saving…", waiting: "Not saved yet, trying again…" };
    this.saved.textContent = words[this.voting.state];
  }

  showVote() {
    if (!this.cast || this.busy) return;
    const { least } = this.seen;
    const short = Object.keys(SIDES).filter((side) => this.heard[side] < least - 0.05);
    const need = short.map((side) => SIDES[side]).join(" and ");
    const words = short.length ? `Hear ${least.toFixed(0)} s of ${need} first.` : this.fields.vote ? "" : "Choose an answer.";
    if (this.lack.textContent !== words) this.lack.textContent = words;
    this.cast.disabled = Boolean(short.length) || !this.fields.vote;
  }

  buildMarks() {
    const label = make("select", { "aria-label": "What is heard" }, LABELS.map((name) => make("option", { value: name }, name)));
    const list = make("ul.marks");
    const show = ({ mark, stem: role, start, end, label: what }) => {
      const [side, stem] = role.split(":");
      const words = `${SIDES[side]}, ${stem}: ${what}, ${clock(start, 1)} to ${clock(end, 1)}`;
      const row = make("li", {}, make("span", {}, words));
      const take = make("button.plain", { type: "button", "aria-label": `Remove the mark: ${words}` }, "×");
      take.onclick = () => {
        this.voting.say({ kind: "unmark", mark });
        this.voting.flush().catch((error) => this.refuse(error));
        row.remove();
      };
      row.append(take);
      list.append(row);
      return words;
    };
    const add = make("button.earshot-button", { type: "button" }, "Mark this place");
    add.onclick = () => {
      if (this.place === "mixture") return this.ways.tell("Choose A or B first: marks are about one of the two.");
      const at = this.sounds.position;
      const span = { start: Math.max(0, at - AROUND), end: Math.min(this.sounds.duration, at + AROUND) };
      const mark = { mark: randomId(), stem: this.role, ...span, label: label.value };
      this.voting.say({ kind: "mark", ...mark, severity: 2 });
      this.voting.flush().catch((error) => this.refuse(error));
      this.ways.tell(`Marked ${show(mark)}.`);
    };
    this.seen.given.marks.forEach(show);
    const text = make("p.quiet", {}, "A mark lies one second before and after the place that you hear now.");
    return make("details", { open: Boolean(this.seen.given.marks.length) }, make("summary", {}, "Mark what you hear"), make("div.stack.tight", {}, make("div.line", {}, label, add), text, list));
  }

  async finish() {
    this.sounds.pause();
    this.report();
    if (this.consent.checked) this.voting.say({ kind: "consent", training: true });
    this.voting.say({ kind: "finished" });
    this.busy = this.cast.disabled = true;
    this.refused.replaceChildren();
    try {
      await this.voting.flush();
      this.ways.tell("Your vote is cast.");
      await this.ways.refresh();
    } catch (error) {
      this.busy = false;
      this.showVote();
      this.refuse(error);
    }
  }

  // -- the names

  buildReveal() {
    const { sides, choice, flags, stay } = this.seen.revealed;
    const said = { left: `You preferred A: ${sides.left.title}.`, right: `You preferred B: ${sides.right.title}.`, tie: "You heard no difference that matters.", bad: "You found both bad." }[choice] ?? "";
    const next = make("button.earshot-button.strong.large", { type: "button", onclick: () => this.ways.draw({ after: this.bout }) }, "Next pair");
    const keep = stay && make("button.earshot-button", { type: "button", onclick: () => this.ways.draw({ after: this.bout, stay: true }) }, "Winner stays");
    const other = make("button.earshot-button", { type: "button", onclick: () => this.ways.draw({}) }, "Another recording");
    const choose = make("button.earshot-button", { type: "button", onclick: () => this.ways.start() }, "Choose yourself");
    const trouble = make("div");
    const withdraw = make("button.plain", { type: "button" }, "Withdraw this vote");
    withdraw.onclick = async () => {
      try {
        await ask(at(`compare/bouts/${this.bout}`), { method: "DELETE" });
        this.ways.tell("The vote is withdrawn and deleted.");
        await this.ways.start();
      } catch (error) {
        trouble.replaceChildren(problem(error));
      }
    };
    const flagged = flags.length > 0 && make("p.flagged", {}, make("b", {}, "This vote is flagged: "), `${flags.join(", ")}. It is kept and counted; the leaderboard can be seen with and without such votes.`);
    return make(
      "section.card.reveal",
      { "aria-label": "The names" },
      make("h2", {}, said),
      make("div.pair", {}, Object.entries(SIDES).map(([side, letter]) => this.side(letter, sides[side], choice === side))),
      flagged,
      make("div.line.start", {}, next, keep, other, choose),
      make("div.line.start", {}, withdraw),
      trouble,
    );
  }

  side(letter, one, won) {
    const metrics = [...new Map(one.metrics.map(({ metric, unit }) => [metric, `${metric}, ${unit}`]))];
    const rows = this.stems.map((stem) => {
      const of = metrics.map(([metric]) => one.metrics.find((found) => found.stem === stem && found.metric === metric));
      const cells = of.map((found) => make("td.number", {}, found ? found.value.toFixed(1).replace("-", "−") : "–"));
      return of.some(Boolean) && make("tr", {}, make("th", { scope: "row" }, stem), cells);
    });
    const head = make("tr", {}, make("th", { scope: "col" }, "Stem"), metrics.map(([, words]) => make("th.number", { scope: "col" }, words)));
    const gains = this.stems.map((stem) => [stem, one.gains_db[stem]]).map(([stem, gain]) => `${stem} ${gain >= 0 ? "+" : "−"}${Math.abs(gain).toFixed(1)} dB`);
    const table = make("table.measures", {}, make("caption.sr", {}, `Measures of ${letter}`), make("thead", {}, head), make("tbody", {}, rows));
    return make(
      "div.named",
      {},
      make("p.letter", {}, make("b", {}, letter), won && make("span.tag", {}, "your choice")),
      make("h3", {}, one.title),
      make("p.quiet", {}, [one.summary, one.licence && `Licence: ${one.licence}.`].filter(Boolean).join(" ")),
      metrics.length > 0 && table,
      make("p.quiet", {}, [`Played at ${gains.join(", ")}.`, ...one.unmatched.map(sentence)].join(" ")),
      one.listed ? make("a", { href: "./models" }, `Card of ${one.card}`) : make("p.quiet", {}, `${one.card}, on this page only.`),
    );
  }
}

let group = 0;

/** A choice of one among a few, as radio buttons that look like one piece: `[value, words]` each. */
export function segments(legend, options, value, chosen, kind = "") {
  const name = `group-${++group}`;
  const inputs = options.map(([each]) => make("input", { type: "radio", name, value: each, checked: each === value, onchange: () => chosen(each) }));
  const labels = options.map(([, words], index) => make("label", {}, inputs[index], make("span", {}, words)));
  const element = make(`fieldset.segments${kind ? `.${kind}` : ""}`, {}, make("legend.sr", {}, sentence(legend).slice(0, -1)), labels);
  return { element, inputs };
}
