/** What all votes say: places with intervals, by task and by reason, with and without flagged votes. Recomputable from the export. */

import { ask, at, make, problem } from "../cards/ask.js";
import { taskName } from "./choosing.js";

const REASONS = { "": "The vote itself", target: "Target preserved", others: "Others suppressed", artefacts: "No artefacts" };
const NARROWEST = 1; // log-odds to either side of the middle of the axis

export class BoardView {
  constructor(element) {
    this.element = element;
    this.asked = { task: "", attribute: "", stem: "", random: "no", flagged: "yes" };
    this.turn = 0;
  }

  hide() {
    this.turn++;
    this.element.hidden = true;
  }

  async show(task = this.asked.task) {
    const mine = ++this.turn;
    if (task !== this.asked.task) Object.assign(this.asked, { task, stem: "" });
    this.element.hidden = false;
    try {
      const found = await ask(at("compare/leaderboard", this.asked));
      if (mine === this.turn) this.fill(found);
    } catch (error) {
      if (mine === this.turn) this.element.replaceChildren(make("h2", { id: "board-title" }, "Leaderboard"), problem(error, () => this.show()));
    }
  }

  change(changes) {
    Object.assign(this.asked, changes);
    this.show();
  }

  fill(found) {
    this.asked.task = found.board.task;
    const focused = document.activeElement?.getAttribute?.("aria-label");
    const head = make("div.line", {}, make("h2", { id: "board-title" }, "Leaderboard"), make("p.quiet", {}, counted(found)));
    this.element.replaceChildren(head, this.controls(found), ...this.places(found), this.notes(found));
    if (focused) this.element.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }

  controls(found) {
    const pick = (label, options, value, changed) => {
      const select = make("select", { "aria-label": label }, options.map(([each, words]) => make("option", { value: each, selected: each === value }, words)));
      select.onchange = () => changed(select.value);
      return make("label.field", {}, make("span", { "aria-hidden": "true" }, label), select);
    };
    const check = (label, on, changed) => {
      const input = make("input", { type: "checkbox", checked: on, "aria-label": label, onchange: () => changed(input.checked) });
      return make("label.switch", {}, input, label);
    };
    const { task, attribute, stem } = found.board;
    return make(
      "div.controls",
      {},
      found.tasks.length > 1 && pick("Task", found.tasks.map((name) => [name, taskName(name)]), task, (value) => this.change({ task: value, stem: "" })),
      pick("Ranked by", Object.entries(REASONS), attribute, (value) => this.change({ attribute: value, stem: value ? this.asked.stem : "" })),
      attribute && pick("Stem", [["", "All stems"], ...found.stems.map((name) => [name, name])], stem, (value) => this.change({ stem: value })),
      check("Only pairs drawn at random", found.board.only_random, (on) => this.change({ random: on ? "yes" : "no" })),
      check("Leave out flagged votes", !found.board.flagged, (on) => this.change({ flagged: on ? "no" : "yes" })),
    );
  }

  places(found) {
    if (!found.places.length) return [make("p", {}, found.votes ? "No vote orders two systems yet." : "No votes yet. The first one is yours.")];
    const ends = found.places.flatMap(({ low, high, strength }) => [low ?? strength, high ?? strength]);
    const most = Math.max(NARROWEST, ...ends.map(Math.abs)) * 1.08;
    const at = (value) => `${(50 * (1 + value / most)).toFixed(2)}%`;
    const heads = ["Place", "System", "Strength, with its 95 % interval", "Beats the average", "Votes", "Won", "Lost", "Tie", "Both bad"];
    const rows = found.places.map((one) => {
      const span = one.low === null ? "" : `, from ${signed(one.low)} to ${signed(one.high)}`;
      const line = make("div.interval", { role: "img", "aria-label": `${signed(one.strength)}${span}` }, make("u"), make("s"), make("i"));
      line.style.setProperty("--low", at(one.low ?? one.strength));
      line.style.setProperty("--high", at(one.high ?? one.strength));
      line.style.setProperty("--at", at(one.strength));
      const rank = one.best_rank === one.worst_rank ? `${one.best_rank}` : `${one.best_rank}–${one.worst_rank}`;
      const note = one.preliminary && make("small", {}, `preliminary: fewer than ${found.preliminary} votes`);
      const numbers = [`${Math.round(100 * one.chance)} %`, one.votes, one.wins, one.losses, one.ties, one.bad].map((value, index) => headed(make("td.number", {}, `${value}`), heads[index + 3]));
      return make("tr", {}, headed(make("td.number.rank", {}, rank), heads[0]), make("th", { scope: "row" }, one.title, note), make("td.drawn", {}, line), numbers);
    });
    const head = make("tr", {}, heads.map((text, index) => make(index > 2 || index === 0 ? "th.number" : "th", { scope: "col" }, text)));
    const table = make("table.places", {}, make("caption.sr", {}, "Systems, the strongest first"), make("thead", {}, head), make("tbody", {}, rows));
    const box = make("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Leaderboard, as a table" }, table);
    return [box, make("p.quiet", {}, "A place such as 1–3 says which places the votes leave open. Strength is in log-odds: at +1.1 a system wins three times as often as it loses against the average one. Intervals draw whole listeners.")];
  }

  notes(found) {
    const notes = found.notes.map((text) => make("li", {}, text));
    if (found.side) {
      const [bias, low, high] = found.side;
      notes.push(make("li", {}, `Bias for the left side: ${signed(bias)}${low === null ? "" : ` [${signed(low)}, ${signed(high)}]`} in log-odds; it is taken out of the strengths.`));
    }
    for (const [flag, count] of Object.entries(found.flagged)) notes.push(make("li", {}, `${count} flagged “${flag}”: ${found.flags[flag]}.`));
    const how = Object.entries(found.how).map(([name, count]) => `${count} ${{ random: "at random", expected: "where a vote says most", winner: "with a winner that stayed" }[name]}`);
    if (how.length) notes.push(make("li", {}, `Pairs were drawn ${how.join(", ")}.`));
    const link = make("a", { href: at("compare/votes.jsonl"), download: "votes.jsonl" }, "All votes");
    return make("div.notes", {}, make("ul", {}, notes), make("p.quiet", {}, link, " as JSON lines; ", make("code", {}, "earshot leaderboard votes.jsonl"), " computes this table again."));
  }
}

/** A cell that says what it is where the table is too narrow for its head. */
function headed(cell, text) {
  cell.dataset.head = text;
  return cell;
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

function counted({ votes, listeners, recordings, ties, bad }) {
  const many = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;
  return votes ? `${many(votes, "vote")} of ${many(listeners, "listener")} on ${many(recordings, "recording")}; ${many(ties, "tie")}, ${bad} both bad` : "";
}
