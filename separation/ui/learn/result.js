// Step 3 of the Learn page: the mixture, taken apart by the learned model; before and after surgery as A and B of one player.

import { ask, at, make, problem, root } from "../cards/ask.js";

/**
 * The separations of a lesson. `base` is the job that is A, `take` the one that is B, each of one surgery (`Components.key`).
 * Events: `change`; `separated` (detail: {job, key, words}).
 */
export class Result extends EventTarget {
  constructor() {
    super();
    this.player = document.createElement("earshot-player");
    this.views = document.createElement("earshot-views");
    this.references = document.createElement("earshot-references");
    this.rating = document.createElement("earshot-rating");
    this.note = make("p.learn-ab", { role: "status", hidden: true });
    this.trouble = make("div.learn-trouble");
    const parts = [this.note, this.player, this.references, this.views, this.rating];
    this.shown = make("section.earshot-result.learn-result", { "aria-label": "Result", hidden: true }, parts);
    this.element = make("div", {}, this.trouble, this.shown);
    this.player.addEventListener("earshot-state", ({ detail }) => this.stood(detail.status));
    this.player.addEventListener("earshot-take", ({ detail }) => this.took(detail));
    this.player.addEventListener("earshot-side", () => this.dispatchEvent(new Event("change")));
    this.clear();
  }

  /** Forget what is shown. */
  clear() {
    this.turn = (this.turn ?? 0) + 1; // what is on its way is not wanted any more
    this.jobs = new Map(); // surgery -> job
    this.base = this.take = this.last = null; // {job, key, words}; `last` is the B before, until this one is there
    this.done = this.ready = this.asking = false;
    this.shown.hidden = true;
    this.note.hidden = true;
    this.player.removeAttribute("job");
    this.dispatchEvent(new Event("change"));
  }

  /** The surgery that is heard as the newest. */
  get heard() {
    return (this.take ?? this.base)?.key ?? null;
  }

  /** Until A and B, if there is one, are there. */
  get busy() {
    return this.asking || Boolean(this.base && !this.done) || Boolean(this.take && !this.ready);
  }

  /** Which of A and B is heard; null where there is only one. */
  get side() {
    return this.take && this.ready ? this.player.side : null;
  }

  /** Play this side, or stop it if it plays. */
  hear(side) {
    if (this.player.side === side && this.player.transport.playing) return this.player.pause();
    this.player.side = side;
    return this.player.play();
  }

  /** Open what was separated on an earlier visit, if it is still kept. */
  async restore(given) {
    const { turn } = this;
    try {
      await ask(at(`jobs/${encodeURIComponent(given.job)}`));
    } catch {
      return;
    }
    if (turn === this.turn && !this.base) this.open(given);
  }

  open(given) {
    this.jobs.set(given.key, given.job);
    this.base = given;
    this.take = this.last = null;
    this.done = false;
    this.shown.hidden = false;
    this.rating.setAttribute("job", given.job); // first: it takes what was heard of the one before
    this.player.setAttribute("base", new URL("earshot/", root).pathname);
    this.player.setAttribute("job", given.job);
    this.tell();
  }

  /** Separate `mixture` by the lesson as it is now; what was heard before is A from then on. */
  async separate(lesson, mixture, { key, words }) {
    const { turn } = this;
    this.trouble.replaceChildren();
    this.asking = true;
    this.dispatchEvent(new Event("change"));
    try {
      const job = this.jobs.get(key) ?? (await this.begin(lesson, mixture));
      if (turn !== this.turn) return;
      this.jobs.set(key, job);
      if (this.base) this.compare({ job, key, words });
      else this.open({ job, key, words });
      this.dispatchEvent(new CustomEvent("separated", { detail: { job, key, words } }));
    } catch (error) {
      if (turn === this.turn) this.trouble.replaceChildren(problem(error));
    } finally {
      if (turn === this.turn) this.asking = false;
      this.dispatchEvent(new Event("change"));
    }
  }

  async begin(lesson, { draft }) {
    const { job } = await ask(at(`lessons/${encodeURIComponent(lesson)}/separate`), { method: "POST", body: { draft } });
    return job;
  }

  /** How the job that is A is getting on; the player itself says so to the visitor. */
  stood(status) {
    if (status === "gone") return this.clear();
    this.done = status === "done";
    if (["failed", "cancelled"].includes(status)) {
      this.jobs.clear();
      this.base = this.take = this.last = null; // it can be separated anew
    }
    return this.tell();
  }

  // -- A and B

  compare(given) {
    this.last = this.ready ? this.take : null;
    this.ready = false;
    this.take = given.job === this.base.job ? null : given;
    this.player.take = this.take?.job ?? null;
    this.tell();
  }

  /** The player says how B is getting on. */
  took({ id, state, ready }) {
    if (id !== this.take?.job) return;
    if (ready && !this.ready) this.player.side = "B";
    this.ready = ready;
    if (["failed", "cancelled", "gone"].includes(state.status)) {
      this.jobs.delete(this.take.key);
      this.take = this.last; // the player still has it
      this.ready = Boolean(this.take);
      if (state.error) this.trouble.replaceChildren(problem({ parts: state.error }));
    }
    this.tell();
  }

  tell() {
    const { base, take } = this;
    this.note.hidden = !take;
    if (take) {
      const [before, after] = [base, take].map(({ words }) => words || "as it was learned");
      const waits = this.ready ? "" : " B is being made…";
      this.note.textContent = `A: ${before}. B: ${after}.${waits} The key B, or the buttons A and B, change over at the same instant.`;
    }
    this.dispatchEvent(new Event("change"));
  }
}
