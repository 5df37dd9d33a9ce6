// A repository of the Hub before it is fetched: its card, its files and what happens to each, then the fetching itself.

import { ask, at, make, pause, problem, progress, sentence, size } from "./ask.js";

const WATCH = 300; // ms between two looks at a fetch
const MISSES = 10; // looks that may fail in a row
const VERDICTS = {
  taken: ["✓", "what Earshot reads"],
  pickle: ["✕", "left there: a pickle can run any program when it is opened"],
  code: ["✕", "left there: code; only Earshot's own architectures are ever run"],
  "too large": ["–", "left there: too large for what it is"],
  "not needed": ["–", "left there: not needed"],
};
const MOST = 12; // files that are listed

export class Look {
  /** @param card makes a card's element of a model; @param refresh reads what is installed again. */
  constructor({ card, refresh }) {
    this.makeCard = card;
    this.refresh = refresh;
    this.asked = 0;
    this.name = make("input", { type: "text", id: "earshot-repository", placeholder: "owner/name or owner/name@revision", autocomplete: "off", spellcheck: false, autocapitalize: "off", maxLength: 300 });
    this.button = make("button.earshot-button", { type: "submit" }, "Show its card");
    const form = make("form.look-form", {}, make("label", { for: "earshot-repository" }, "Repository"), this.name, this.button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.open(this.name.value);
    });
    this.answer = make("div.look-answer", { "aria-live": "polite" });
    this.element = make(
      "section.look",
      {},
      make("div", {}, make("h2", {}, "Open a model from the Hugging Face Hub"), make("p.earshot-quiet", {}, "Only models in Earshot's own format run here: numbers and a description, never code. You see the card, the size and the licence before anything is fetched.")),
      form,
      this.answer,
    );
  }

  /** Ask the Hub about a repository and show what it says. */
  async open(text) {
    const name = text.trim().replace(/^https:\/\/(www\.)?huggingface\.co\//, "").replace(/\/(tree|blob)\/([^/]+).*$/, "@$2").replace(/\/+$/, "");
    this.name.value = name;
    const asked = ++this.asked;
    if (!name) {
      this.answer.replaceChildren();
      this.name.focus();
      return;
    }
    this.button.disabled = true;
    const bar = progress();
    bar.set(null, `Asking the Hub about ${name}…`);
    this.answer.replaceChildren(bar.element);
    try {
      const found = await ask(at("models/look", { name }));
      if (asked === this.asked) {
        if (found.failed) this.answer.replaceChildren(problem({ parts: found.failed }, () => this.open(name)));
        else this.show(found);
      }
    } catch (error) {
      if (asked === this.asked) this.answer.replaceChildren(problem(error, () => this.open(name)));
    } finally {
      this.button.disabled = false;
    }
  }

  show(found) {
    this.shown = found.name.split("@")[0];
    const { model, files, missing, refusal, opens } = found;
    this.acts = make("div.look-acts");
    const side = make("div.look-side", {}, this.acts, files.length > 0 && listed(files));
    this.answer.replaceChildren(make("div.look-found", {}, model && this.makeCard(model), side));
    if (refusal) this.acts.append(refused(refusal));
    else if (opens) this.ready(opens, "It is on this machine already.");
    else this.offer(found.name, missing, model);
  }

  offer(name, missing, model) {
    const go = make("button.earshot-button.primary", { type: "button" }, `Fetch ${size(missing)}`);
    go.addEventListener("click", () => this.fetch(name, missing, model));
    this.acts.replaceChildren(make("p", {}, `Licence: ${model.licence}. ${size(missing)} would be fetched into the Hub's cache of this machine.`), go);
  }

  ready(name, words) {
    const use = make("a.earshot-use", { href: `./?model=${encodeURIComponent(name)}` }, "Use it");
    this.acts.replaceChildren(make("p", { role: "status" }, words), use);
  }

  /** What was shown is no longer on this machine. */
  forget(repo) {
    if (this.shown === repo) this.open(this.name.value);
  }

  async fetch(name, missing, model) {
    const bar = progress();
    const stop = make("button.earshot-button", { type: "button" }, "Cancel");
    bar.set(null, "Beginning…");
    this.acts.replaceChildren(bar.element, stop);
    stop.focus();
    const acts = this.acts;
    try {
      const { id } = await ask(at("models/fetch", { name }), { method: "POST" });
      stop.addEventListener("click", () => {
        stop.disabled = true;
        ask(at(`models/fetch/${id}/cancel`), { method: "POST" }).catch(() => (stop.disabled = false));
      });
      const ended = await this.follow(id, bar);
      if (ended.status === "done") await this.refresh();
      if (acts !== this.acts) return; // another repository is shown by now
      if (ended.status === "done") this.ready(ended.opens, "Fetched and checked: every number is there, and it is the file that the card describes.");
      else if (ended.status === "cancelled") {
        this.offer(name, missing, model);
        this.acts.prepend(make("p", { role: "status" }, "Stopped."));
      } else throw Object.assign(new Error(), { parts: ended.error });
    } catch (error) {
      if (acts === this.acts) acts.replaceChildren(problem(error, () => this.fetch(name, missing, model)));
    }
  }

  /** Until the fetch has ended, however it ends. */
  async follow(id, bar) {
    for (let misses = 0; ; await pause(WATCH)) {
      let state;
      try {
        state = await ask(at(`models/fetch/${id}`));
        misses = 0;
      } catch (error) {
        misses += 1;
        if (misses === MISSES || error.parts?.asked !== "Ask the server") throw error;
        continue;
      }
      const { status, done, total, seconds } = state;
      if (["done", "failed", "cancelled"].includes(status)) return state;
      if (!total) bar.set(null, "Asking the Hub…");
      else if (status === "checking") bar.set(1, "All is here; checking it…");
      else bar.set(done / total, `${size(done)} of ${size(total)}${left(done, total, seconds)}`);
    }
  }
}

function left(done, total, seconds) {
  if (seconds < 2 || done < total / 50) return "";
  const rest = ((total - done) * seconds) / done;
  return rest < 90 ? `, about ${Math.max(1, Math.round(rest))} s left` : `, about ${Math.round(rest / 60)} min left`;
}

function refused({ found, advice }) {
  return make("div.card-problem", { role: "alert" }, make("b", {}, "It is not fetched."), make("span", {}, sentence(found)), make("span", {}, sentence(advice)));
}

function listed(files) {
  const order = Object.keys(VERDICTS);
  const sorted = files.toSorted((one, other) => order.indexOf(one.verdict) - order.indexOf(other.verdict));
  const rows = sorted.slice(0, MOST).map(({ name, bytes, verdict }) => {
    const [mark, words] = VERDICTS[verdict];
    return make(`li.${verdict.replace(" ", "-")}`, {}, make("b", { "aria-hidden": "true" }, mark), make("code", {}, name), make("small", {}, `${size(bytes)}, ${words}`));
  });
  const more = sorted.length > MOST && make("li", {}, make("b"), make("small", {}, `and ${sorted.length - MOST} more that are left there`));
  return make("div.look-files", {}, make("h4", {}, "What the repository holds"), make("ul", {}, rows, more));
}
