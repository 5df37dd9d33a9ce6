// The Models page: <earshot-models> shows everything installed as cards, opens repositories of the Hub (look.js) and looks
// inside models (inside.js). Figures' numbers come with the list; what costs something is fetched when a section is opened.

import { ask, at, make, pause, problem, progress, sentence, size } from "./ask.js";
import { Look } from "./look.js";

const WATCH = 400; // ms between two looks at a job
const MISSES = 10; // looks at a job that may fail in a row

const MEANINGS = {
  "SI-SDRi": "How much nearer to the true sources the stems are than the mixture was. 0 is no nearer; more is better.",
  "GNSDR (BSS-eval v3)": "How much better the stems are than the mixture, by an older measure that papers on singing use: it forgives what a filter could mend. More is better.",
  "attenuation where nobody sings": "How much quieter than the mixture the vocals are where nobody sings. More is better.",
}; // what families of scores say, for people who have never met them

class EarshotModels extends HTMLElement {
  async connectedCallback() {
    if (this.list) return;
    this.list = make("div.cards", { "aria-busy": "true" });
    this.count = make("span.card-count");
    this.bounds = make("section.cards-bounds", { hidden: true });
    this.note = make("p.cards-note", { role: "status" });
    this.token = ""; // the owner's, for as long as the page is open
    this.look = new Look({ card: (model) => new Card(model, this).element, refresh: () => this.load() });
    this.append(
      this.look.element,
      make("div.cards-head", {}, make("h2", {}, "On this machine"), this.count),
      this.note,
      this.list,
      this.bounds,
    );
    await this.load();
    this.arrive();
  }

  /** Everything installed, again. */
  async load() {
    try {
      this.here = await ask(at("models"));
    } catch (error) {
      this.list.replaceChildren(problem(error, () => this.load()));
      return;
    } finally {
      this.list.removeAttribute("aria-busy");
    }
    const { models } = this.here;
    this.cards = new Map(models.map((model) => [model.name, this.cards?.get(model.name)?.renew(model) ?? new Card(model, this)]));
    const wanted = [...this.cards.values()].map((card) => card.element);
    const same = wanted.length === this.list.children.length && wanted.every((card, place) => card === this.list.children[place]);
    if (!same) this.list.replaceChildren(...wanted); // an open section keeps its place and its scroll position
    if (!wanted.length) this.list.replaceChildren(make("p.earshot-quiet", {}, "No model is installed. Open one from the Hub above."));
    const fetched = models.filter((model) => model.cached);
    const bytes = fetched.reduce((sum, model) => sum + model.cached.bytes, 0);
    const bundled = `${models.length - fetched.length} bundled`;
    this.count.textContent = fetched.length ? `${bundled}, ${fetched.length} from the Hub (${size(bytes)} on the disk)` : bundled;
    this.showBounds();
  }

  showBounds() {
    const rows = this.here.oracles.map(({ name, about }) => make("div", {}, make("dt", {}, make("code", {}, name)), make("dd", {}, about)));
    this.bounds.hidden = !rows.length;
    this.bounds.replaceChildren(
      make("h2", {}, "Bounds"),
      make(
        "p.earshot-quiet",
        {},
        "Not models: they are told the true sources, so they show how good a model of their kind could be at best. Use them where the sources are known: on the examples, and on the Evaluate page.",
      ),
      make("dl", {}, rows),
    );
  }

  /** An address may name a model: its card is shown, or the repository is looked at. */
  arrive() {
    const name = new URLSearchParams(location.search).get("model");
    if (!name) return;
    const card = this.cards?.get(name) ?? [...(this.cards?.values() ?? [])].find(({ model }) => model.cached?.repo === name.split("@")[0]);
    if (card) {
      card.element.classList.add("asked-for");
      card.element.scrollIntoView({ block: "start" });
      card.element.focus({ preventScroll: true });
    } else this.look.open(name);
  }

  /** Ask, then take a model out of the cache. Who is signed in on the Ratings page need not enter the token again. */
  async remove(card) {
    const { model } = card;
    const { repo, commit, bytes } = model.cached;
    const secret = this.here.removal === "token" && !(await ask(at("owner/session")).catch(() => null))?.signed_in;
    const token = make("input", { type: "password", autocomplete: "off", value: this.token, required: true });
    const said = make("p.card-said", { role: "alert" });
    const go = make("button.earshot-button.danger", { type: "submit" }, "Remove");
    const form = make(
      "form",
      { method: "dialog" },
      make("h2", {}, `Remove ${repo}?`),
      make("p", {}, `${size(bytes)} of commit ${commit.slice(0, 12)} leave this machine. It can be fetched again for as long as it is on the Hub.`),
      secret && make("label", {}, "The owner's token", token),
      said,
      make("div.card-acts", {}, go, make("button.earshot-button", { type: "button", onclick: () => dialog.close() }, "Keep it")),
    );
    const dialog = make("dialog.card-dialog", { "aria-label": `Remove ${repo}?` }, form);
    dialog.addEventListener("close", () => dialog.remove());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        const headers = secret ? { Authorization: `Bearer ${token.value}` } : {};
        const { freed } = await ask(at("owner/models", { name: model.name }), { method: "DELETE", headers });
        this.token = token.value;
        dialog.close();
        this.note.textContent = `${repo} was removed: ${size(freed)} are free again.`;
        await this.load();
        this.look.forget(repo);
      } catch (error) {
        said.textContent = error.parts ? `${sentence(error.parts.found)} ${sentence(error.parts.advice)}` : "It could not be removed.";
        go.disabled = false;
      }
    });
    this.append(dialog);
    dialog.showModal();
  }
}

/** One model. */
class Card {
  constructor(model, page) {
    this.page = page;
    this.element = make("article.model-card", { tabIndex: -1 });
    this.speed = make("section.card-speed");
    this.model = model;
    this.fill();
  }

  /** The same card with new figures: what is open stays open. */
  renew(model) {
    this.model = model;
    if (!this.timing) this.showSpeed();
    return this;
  }

  fill() {
    const { model } = this;
    const { cached } = model;
    const where = model.name.replace(/@([0-9a-f]{12})[0-9a-f]{28}$/, " at $1");
    this.element.setAttribute("aria-label", model.title);
    this.element.dataset.model = model.name;
    this.showSpeed();
    this.element.replaceChildren(
      make("header", {}, make("h3", {}, model.title), make("span.card-kind", {}, cached ? "from the Hub" : model.name.includes("/") ? "on the Hub" : "bundled")),
      make("code.card-name", {}, where),
      make("p", {}, model.summary),
      this.acts(),
      ...model.notes.map((note) => make("p.card-warning", {}, note)),
      make("dl.card-facts", {}, [...model.facts, ...this.disk()].map(([term, text]) => make("div", {}, make("dt", {}, term), make("dd", {}, text)))),
      ...scores(model.scores),
      this.speed,
      ...listed("Weak at", model.weaknesses),
      make("div.card-sections", {}, this.sections()),
    );
  }

  disk() {
    const { cached } = this.model;
    if (!cached) return [];
    const used = new Date(cached.used * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });
    return [["On the disk", `${size(cached.bytes)}, last read ${used}`]];
  }

  sections() {
    const { model } = this;
    const here = model.cached || !model.name.includes("/");
    return [
      here && model.learning && section("Learning curve", (body) => this.showLearning(body)),
      here && section("Inside: basis functions", (body) => this.showInside(body)),
      model.trained_on.length > 0 && section("Trained on", (body) => body.append(make("ul", {}, model.trained_on.map((each) => make("li", {}, each))))),
      section("Cite", (body) => body.append(make("p", {}, model.citation))),
    ];
  }

  acts() {
    const { model, page } = this;
    const here = model.cached || !model.name.includes("/");
    if (!here) return "";
    const use = make("a.earshot-use", { href: `./?model=${encodeURIComponent(model.name)}` }, "Use it");
    const remove = model.cached && page.here.removal !== "nobody";
    return make(
      "div.card-acts",
      {},
      use,
      remove && make("button.earshot-button", { type: "button", onclick: () => page.remove(this) }, "Remove…"),
    );
  }

  async showLearning(body) {
    await import(at("evaluate/figure.js"));
    const figure = make("earshot-figure");
    figure.setAttribute("name", `${this.model.title} learning curve`);
    figure.setAttribute("src", at("models/learning", { name: this.model.name }).href);
    body.append(
      make(
        "p.earshot-quiet",
        {},
        "How much better than the mixture it got on examples that it was not trained on, and the loss it was trained to lower. The band is one standard error; where the curve still rises at its end, longer training would have helped.",
      ),
      figure,
    );
  }

  async showInside(body) {
    body.append(make("p.earshot-quiet", { role: "status" }, "Looking inside…"));
    try {
      const [{ Inside }, found] = await Promise.all([import("./inside.js"), ask(at("models/inside", { name: this.model.name }))]);
      if (found.kind === "basis") body.replaceChildren(new Inside(found, this.model.name).element);
      else body.replaceChildren(make("p", {}, found.about));
    } catch (error) {
      body.replaceChildren(
        problem(error, () => {
          body.replaceChildren();
          this.showInside(body);
        }),
      );
    }
  }

  // -- how fast

  showSpeed() {
    const { model } = this;
    if (!model.cached && model.name.includes("/")) return this.speed.replaceChildren();
    const known = model.speeds.map(({ device, seconds }) => {
      const times = 1 / seconds;
      const words = `On the ${named(device)}: ${round(times)} times as fast as it plays`;
      return make("div.card-row", {}, make("span", {}, named(device)), speedStrip(times, words), make("strong", {}, `${round(times)}×`));
    });
    const told = model.speeds.map(({ device, seconds }) => `${spoken(60 * seconds)} on the ${named(device)}`).join(", ");
    const words = known.length ? "Time it again" : "Time it now";
    const go = make("button.earshot-button.small", { type: "button", onclick: () => this.time() }, words);
    this.speed.replaceChildren(
      make("div.card-line", {}, make("h4", {}, "Speed here"), model.timing && go),
      ...(known.length ? [...known, speedScale(), make("p.earshot-quiet", {}, `A minute of audio takes ${told}.`)] : [make("p.earshot-quiet", {}, "It has not run on this machine yet.")]),
    );
    return undefined;
  }

  /** A short separation of noise, waiting its turn like any other. */
  async time() {
    this.timing = true;
    const bar = progress();
    const stop = make("button.earshot-button.small", { type: "button" }, "Cancel");
    this.speed.replaceChildren(make("div.card-line", {}, make("h4", {}, "Speed here"), stop), bar.element);
    stop.focus();
    bar.set(null, "Getting the model ready…");
    let failure = null;
    try {
      const { job } = await ask(at("models/time", { name: this.model.name }), { method: "POST" });
      const here = `jobs/${encodeURIComponent(job)}`;
      stop.addEventListener("click", () => ask(at(`${here}/cancel`), { method: "POST" }).catch(() => bar.set(null, "Cancel did not get through.")));
      failure = await this.follow(here, bar);
      ask(at(here), { method: "DELETE" }).catch(() => null); // it expires by itself, too
    } catch (error) {
      failure = error;
    }
    this.timing = false;
    await this.page.load();
    this.showSpeed();
    if (failure) this.speed.append(problem(failure));
    if (document.activeElement === document.body) this.speed.querySelector("button")?.focus();
  }

  /** Until the job has ended; what went wrong, if something did. */
  async follow(here, bar) {
    for (let misses = 0; misses < MISSES; await pause(WATCH)) {
      let state;
      try {
        ({ state } = await ask(at(here)));
        misses = 0;
      } catch (error) {
        misses += 1;
        if (misses === MISSES) throw error;
        continue;
      }
      if (state.status === "failed") return Object.assign(new Error(), { parts: state.error });
      if (state.status === "done" || state.status === "cancelled") return null;
      if (state.status === "waiting") bar.set(null, state.position ? `Waiting for ${state.position} before it…` : "Waiting…");
      else bar.set(state.fraction, `Separating noise: ${Math.round(100 * state.fraction)} %`);
    }
    return null;
  }
}

// -- scores: a dot on a line, with its interval

/** Scores by metric, each metric on an axis of its own: a dB of one is no dB of another. */
function scores(all) {
  if (!all.length) return [];
  const families = new Map();
  for (const score of all) {
    const [family, ...rest] = score.metric.split(", ");
    const key = `${family} ${score.unit}`;
    if (!families.has(key)) families.set(key, { family, unit: score.unit, rows: [] });
    families.get(key).rows.push({ ...score, what: rest.join(", ") || score.data });
  }
  for (const { rows } of families.values()) {
    const names = rows.map(({ what }) => what);
    for (const row of rows) row.on = names.filter((name) => name === row.what).length > 1 ? row.data : ""; // told apart by their data
  }
  const groups = [...families.values()].map(({ family, unit, rows }) => {
    const axis = axisOf(rows.flatMap(({ value, interval }) => [value, ...(interval ?? [])]));
    return make("div.card-family", {}, make("h5", {}, family, unit && make("small", {}, ` in ${unit}`)), MEANINGS[family] && make("p.card-meaning", {}, MEANINGS[family]), rows.map((row) => scoreRow(row, axis)), scale(axis));
  });
  const how = new Map(all.map(({ data, note }) => [[data, note].filter(Boolean).join("; "), true]));
  const commands = [...new Set(all.map(({ command }) => command).filter(Boolean))];
  const details = section("How these were measured", (body) =>
    body.append(
      make("ul", {}, [...how.keys()].map((text) => make("li", {}, text))),
      ...commands.map((command) => make("p", {}, "Measured by ", make("code", {}, command))),
    ),
  );
  return [make("section.card-scores", {}, make("h4", {}, "Scores ", make("small", {}, "the dot is the measured value, the bar how sure it is")), groups, details)];
}

function scoreRow({ what, on, value, unit, interval }, axis) {
  const place = (at) => `${(100 * (at - axis.low)) / (axis.high - axis.low)}%`;
  const sure = interval && `between ${interval[0].toFixed(1)} and ${interval[1].toFixed(1)} ${unit}`;
  const label = `${what}${on && `, ${on}`}: ${value.toFixed(1)} ${unit}${sure ? `, ${sure}` : ""}`;
  const bar = interval && make("i", { style: { left: place(interval[0]), width: `${(100 * (interval[1] - interval[0])) / (axis.high - axis.low)}%` } });
  const strip = make("div.card-strip", { role: "img", "aria-label": label, title: label }, bar, make("b", { style: { left: place(value) } }));
  return make("div.card-row", {}, make("span", {}, what, on && make("small", {}, on)), strip, make("strong", {}, value.toFixed(1)));
}

/** From zero, where all values are on one side of it, in steps of 1, 2 or 5. */
function axisOf(values) {
  const [least, most] = [Math.min(0, ...values), Math.max(0, ...values)];
  const rough = (most - least || 1) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const [low, high] = [Math.floor(least / step) * step, Math.ceil(most / step) * step || step];
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, place) => low + place * step);
  return { low, high, ticks };
}

function scale({ low, high, ticks }) {
  return scaleOf(ticks.map((at) => [(at - low) / (high - low), String(round(at))]));
}

function scaleOf(ticks) {
  const marks = ticks.map(([place, text]) => make("span", { style: { left: `${100 * place}%` } }, text));
  return make("div.card-row.card-scale", { "aria-hidden": "true" }, make("span"), make("div", {}, marks));
}

function speedScale() {
  return scaleOf([0, 1, 2, 3, 4].map((place) => [place / 4, `${10 ** (place - 1)}×`]));
}

/** Times real time on a logarithmic line from 0.1 to 1000; the mark is where separating takes as long as playing. */
function speedStrip(times, words) {
  const place = (at) => `${Math.min(100, Math.max(0, 25 * (Math.log10(at) + 1)))}%`;
  return make("div.card-strip", { role: "img", "aria-label": words, title: words }, make("em", { style: { left: place(1) } }), make("b", { style: { left: place(times) } }));
}

// -- small parts

function section(title, open) {
  const body = make("div.card-body");
  const details = make("details", {}, make("summary", {}, title), body);
  details.addEventListener("toggle", () => details.open && !body.hasChildNodes() && open(body));
  return details;
}

function listed(title, items) {
  return items.length ? [make("section", {}, make("h4", {}, title), make("ul", {}, items.map((item) => make("li", {}, item))))] : [];
}

function round(value) {
  return Math.abs(value) >= 10 ? Math.round(value) : Number(value.toPrecision(2));
}

/** A device as people call it. */
function named(device) {
  const [kind, number] = device.split(":");
  return ({ cpu: "CPU", cuda: "GPU", mps: "GPU" }[kind] ?? kind) + (number ? ` ${number}` : "");
}

function spoken(seconds) {
  if (seconds < 99) return `${round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

if (!customElements.get("earshot-models")) customElements.define("earshot-models", EarshotModels);
