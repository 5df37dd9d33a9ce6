/**
 * What the Evaluate page does in the browser: follows a run, ranks, draws, and lets a second be heard.
 *
 * `new Evaluation(element, root)` takes the page's markup (`evaluate.html`) and the address of the app; `open(id)` shows a
 * run and follows it until it ends. Everything shown comes from the run's routes; figures are `<earshot-figure>`, sound is
 * `<earshot-player>`. A run's id is a capability: it stays in this browser's storage and in the address.
 */

import "./figure.js";

const KEY = "earshot.runs";
const KEPT = 30;
const POLL = 1000; // milliseconds
const RETRY = 3000;

const percent = (part, whole) => (whole ? Math.round((100 * part) / whole) : 0);
const rounded = (value) => (value === null ? "–" : (Math.round(100 * value) / 100 + 0).toFixed(2).replace("-", "−"));

function element(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A time as a person says it. */
function roughly(seconds) {
  if (seconds < 5) return "a few seconds";
  if (seconds < 55) return `${Math.ceil(seconds / 5) * 5} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Put choices into a select and keep what somebody has chosen, if it is still there. */
function fill(select, choices, fallback) {
  const key = JSON.stringify([choices, fallback]);
  if (select.dataset.key === key) return;
  const chosen = select.dataset.touched ? select.value : undefined;
  select.dataset.key = key;
  select.replaceChildren(...choices.map(([value, text]) => element("option", { value, text })));
  const wanted = choices.some(([value]) => value === chosen) ? chosen : fallback;
  if (wanted !== undefined && choices.some(([value]) => value === wanted)) select.value = wanted;
}

class Evaluation {
  constructor(page, root) {
    this.page = page;
    this.root = root;
    this.id = null;
    this.run = null;
    this.shown = -1;
    this.kind = "box";
    this.find = (selector) => page.querySelector(selector);
    this.wire();
    this.showEarlier();
    const linked = new URLSearchParams(location.search).get("run");
    if (linked) this.open(linked, false);
  }

  // -- which run

  open(id, scroll = true) {
    if (this.id !== id) this.reset();
    this.id = id;
    const link = new URL(location.href);
    link.searchParams.set("run", id);
    history.replaceState(history.state, "", link);
    this.find(".run").hidden = false;
    this.find(".run-empty").hidden = true;
    if (scroll) {
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.find(".run").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
    }
    clearTimeout(this.timer);
    this.poll();
  }

  reset() {
    this.run = null;
    this.shown = -1;
    this.listening = null;
    this.find(".run-results").hidden = true;
    this.find(".run-listen").hidden = true;
    this.find(".run-player").replaceChildren();
    for (const { dataset } of this.page.querySelectorAll(".run-results select")) {
      delete dataset.key;
      delete dataset.touched;
    }
    for (const figure of this.page.querySelectorAll("earshot-figure")) figure.removeAttribute("src");
    this.page.querySelector(".run-state").textContent = "Looking for the evaluation…";
  }

  url(path = "", query = {}) {
    const url = new URL(`earshot/runs/${encodeURIComponent(this.id)}${path}`, this.root);
    for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
    return url.href;
  }

  async poll() {
    const { id } = this;
    let wait = POLL;
    try {
      const response = await fetch(this.url(), { cache: "no-store" });
      if (id !== this.id) return;
      if (response.status === 404) {
        this.gone();
        return;
      }
      if (!response.ok) throw new Error(`it answered ${response.status}`);
      this.run = await response.json();
      if (id !== this.id) return;
      this.show();
      if (!["waiting", "running"].includes(this.run.state.status)) return;
    } catch {
      if (id !== this.id) return;
      this.find(".run-state").textContent = "Connection lost, retrying…";
      wait = RETRY;
    }
    this.timer = setTimeout(() => this.poll(), wait);
  }

  gone() {
    this.forget(this.id);
    this.id = null;
    const link = new URL(location.href);
    link.searchParams.delete("run");
    history.replaceState(history.state, "", link);
    this.find(".run").hidden = true;
    this.find(".run-empty").hidden = false;
    this.find(".run-empty").textContent = "That evaluation is not here any more: it has expired or was deleted. Run it again.";
  }

  // -- how far it is

  show() {
    const { state, title, protocol, tracks, models } = this.run;
    const unfinished = ["waiting", "running"].includes(state.status);
    this.find(".run-what h2").textContent = title;
    this.find(".run-protocol").textContent = `${protocol.title} · ${models.length} ${models.length === 1 ? "model" : "models"} · ${tracks.length} ${tracks.length === 1 ? "track" : "tracks"}`;
    this.find(".run-protocol").title = protocol.about;
    this.find(".run-cancel").hidden = !unfinished;
    this.find(".run-delete").hidden = unfinished;
    for (const [format, selector] of [["csv", ".run-csv"], ["parquet", ".run-parquet"]]) {
      this.find(selector).hidden = !state.done;
      this.find(selector).href = this.url(`/table.${format}`);
    }
    const done = state.status === "done" ? 100 : percent(state.done, state.total);
    const bar = this.find(".run-progress");
    bar.setAttribute("aria-valuenow", done);
    bar.firstElementChild.style.width = `${done}%`;
    bar.dataset.status = state.status;
    this.find(".run-state").textContent = this.words(state);
    const messages = this.find(".run-messages");
    messages.hidden = !state.messages.length;
    messages.querySelector("summary").textContent = `${state.messages.length} not measured`;
    messages.querySelector("ul").replaceChildren(...state.messages.map((text) => element("li", { text })));
    this.remember({ id: this.id, name: title, protocol: protocol.title, expires: this.run.expires });
    const there = this.run.metrics.length > 0;
    this.find(".run-results").hidden = !there;
    if (there && this.shown !== state.done) {
      this.shown = state.done;
      this.offer();
      this.refresh();
    }
  }

  words({ status, done, total, remaining, position, error, seconds }) {
    if (status === "waiting") return position ? `${position} ahead of this one` : "It is next";
    if (status === "running") {
      const left = remaining === null ? "" : `, about ${roughly(remaining)} left`;
      return total ? `${done} of ${total} measured${left}. You may close this page: it goes on.` : "Reading the recordings…";
    }
    if (status === "cancelled") return `Cancelled: ${done} of ${total} are measured.`;
    if (status === "failed") return `${error.asked}: ${error.found}. ${error.advice}.`;
    const until = new Date(1000 * this.run.expires).toLocaleString(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });
    return `Done in ${roughly(seconds)}. Kept until ${until}.`;
  }

  /** What there is to choose from, now. */
  offer() {
    const { metrics, sources, models } = this.run;
    const titles = metrics.map(({ name, title, unit }) => [name, unit ? `${title} (${unit})` : title]);
    fill(this.find(".run-metric"), titles, metrics[0].name);
    const alike = new Set(models.map((model) => model.sources.join())).size === 1;
    const named = sources.filter(Boolean);
    fill(this.find(".run-source"), [["", "All, as a mean"], ...named.map((name) => [name, name])], alike ? named[0] ?? "" : "");
    const every = models.map(({ model, name }) => [model, name]);
    const real = models.filter(({ bound }) => !bound).map(({ model }) => model);
    fill(this.find(".run-heat-model"), every, real[0] ?? models[0].model);
    fill(this.find(".run-across"), titles, metrics[Math.min(1, metrics.length - 1)].name);
    fill(this.find(".run-first"), every, real[0] ?? models[0].model);
    fill(this.find(".run-second"), every, real[1] ?? models.find(({ model }) => model !== real[0])?.model);
  }

  get chosen() {
    return { metric: this.find(".run-metric").value, source: this.find(".run-source").value, v: String(this.shown) };
  }

  refresh() {
    this.showCard();
    this.rank();
    this.drawSpread();
    this.drawHeat();
    this.drawScatter();
    this.drawDuel();
  }

  showCard() {
    const card = this.run.metrics.find(({ name }) => name === this.chosen.metric);
    const facts = [
      card.direction === "higher" ? "Higher is better" : "Lower is better",
      card.range && `range ${card.range}${card.unit ? ` ${card.unit}` : ""}`,
    ].filter(Boolean);
    const paper = card.paper ? [element("p", { text: card.paper, class: "earshot-quiet" })] : [];
    const about = card.about || "This metric has no description.";
    this.find(".run-card > div").replaceChildren(element("p", { text: about }), element("p", { text: `${facts.join("; ")}.` }), ...paper);
  }

  async rank() {
    const asked = this.url("/ranking", this.chosen);
    this.ranked = asked;
    const response = await fetch(asked, { cache: "no-store" }).catch(() => null);
    const body = await response?.json().catch(() => null);
    if (this.ranked !== asked) return;
    const table = this.find(".run-ranking");
    const note = this.find(".run-ranking-note");
    if (!response?.ok || !body || body.nothing) {
      table.replaceChildren();
      note.textContent = body?.nothing ? body.nothing : body?.asked ? `${body.asked}: ${body.found}. ${body.advice}.` : "The ranking could not be loaded.";
      return;
    }
    const unit = body.metric.unit ? ` (${body.metric.unit})` : "";
    const heads = ["", "Model", `Median${unit}`, `Mean${unit}`, "95 % interval", "Tracks (n)", "Silent", "Left out", "In training?"];
    const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col", text })));
    let place = 0;
    const rows = body.rows.map((row) => this.line(row, row.bound || row.median === null ? "" : String(++place)));
    table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
    note.textContent = body.notes.join(" ");
  }

  line(row, place) {
    const number = (text) => element("td", { text, class: "number" });
    const name = element("th", { scope: "row" }, element("span", { text: row.name }));
    if (row.title && row.title !== row.name) name.append(element("small", { text: row.title }));
    const interval = row.low === null ? "–" : `${rounded(row.low)} to ${rounded(row.high)}`;
    const left = Object.entries(row.left_out);
    const sum = left.reduce((total, [, count]) => total + count, 0);
    const why = sum
      ? element("details", {}, element("summary", { text: String(sum) }), ...left.map(([reason, count]) => element("p", { text: `${count} × ${reason}` })))
      : element("span", { text: "0" });
    const leaks = row.leaks.length
      ? element("details", { class: "run-leak" }, element("summary", { text: "Possibly" }), ...row.leaks.map((text) => element("p", { text })))
      : element("span", { text: row.bound ? "–" : "Nothing on its card says so" });
    return element(
      "tr",
      { class: row.bound ? "bound" : undefined },
      number(place),
      name,
      number(rounded(row.median)),
      number(rounded(row.mean)),
      number(interval),
      number(String(row.tracks)),
      number(String(row.silent_segments)),
      element("td", {}, why),
      element("td", {}, leaks),
    );
  }

  drawSpread() {
    this.find(".run-spread").setAttribute("src", this.url("/figures/spread", { ...this.chosen, kind: this.kind }));
  }

  drawHeat() {
    this.find(".run-heat").setAttribute("src", this.url("/figures/heat", { ...this.chosen, model: this.find(".run-heat-model").value }));
  }

  drawScatter() {
    this.find(".run-scatter").setAttribute("src", this.url("/figures/scatter", { ...this.chosen, across: this.find(".run-across").value }));
  }

  drawDuel() {
    const [model, other] = [this.find(".run-first").value, this.find(".run-second").value];
    this.find(".run-duel").setAttribute("src", this.url("/figures/pair", { ...this.chosen, model, other: other || model }));
  }

  // -- hearing a second

  /** A cell was chosen: find or make the job of that track, and loop the second as soon as it is here. */
  async listen({ track, second }) {
    const model = this.find(".run-heat-model").value;
    const { source, duration } = this.find(".run-heat").figure;
    const wish = { model, track, second, source, end: second + duration, done: false };
    this.listening = wish;
    this.find(".run-listen").hidden = false;
    this.heard(`Fetching ${track}, second ${second}…`);
    try {
      const response = await fetch(this.url("/listen"), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ model, track, second }),
      });
      const body = await response.json();
      if (this.listening !== wish) return;
      if (!response.ok) {
        this.heard(`${body.asked}: ${body.found}. ${body.advice}.`);
        return;
      }
      wish.job = body.job;
      await this.load(body.job);
      this.tryToLoop();
    } catch {
      if (this.listening === wish) this.heard("The second could not be fetched. Check the connection and click again.");
    }
  }

  heard(text) {
    this.find(".run-heard").textContent = text;
  }

  async load(job) {
    await import(new URL("earshot/static/player.js", this.root));
    let player = this.find("earshot-player");
    if (!player) {
      player = document.createElement("earshot-player");
      player.setAttribute("base", new URL("earshot/", this.root).pathname);
      player.addEventListener("earshot-state", ({ detail }) => this.follow(detail));
      this.find(".run-player").append(player);
      this.page.querySelector(".run-listen").scrollIntoView({ block: "nearest" });
    }
    if (player.getAttribute("job") !== job) {
      this.find(".run-hear").hidden = true;
      player.setAttribute("job", job);
    }
  }

  follow({ status, error }) {
    if (status === "gone") {
      this.find(".run-listen").hidden = true;
      this.find("earshot-player").remove();
    } else if (status === "failed" && error) this.heard(`${error.asked}: ${error.found}. ${error.advice}.`);
    else this.tryToLoop();
  }

  /** Loop the wished second once the player holds it: a preview may lie elsewhere, then the whole track is waited for. */
  tryToLoop() {
    const wish = this.listening;
    const player = this.find("earshot-player");
    if (!wish || wish.done || !player?.stage || !player.bounds || player.getAttribute("job") !== wish.job) return;
    if (player.watch?.job?.id !== wish.job) return;
    const [start, end] = player.bounds;
    const last = Math.min(wish.end, end);
    if (wish.second < start - 0.01 || wish.second >= end || (wish.end > end + 1 && player.loaded !== "full")) return;
    wish.done = true;
    const there = { mixture: "mixture", estimate: wish.source, reference: `reference-${wish.source}` };
    for (const button of this.page.querySelectorAll("[data-hear]")) {
      button.dataset.track = there[button.dataset.hear];
      button.hidden = !player.stage.tracks.includes(button.dataset.track);
    }
    this.find(".run-hear").hidden = false;
    player.loop(wish.second, last);
    this.hear(this.find("[data-hear='estimate']:not([hidden])") ?? this.find("[data-hear='mixture']"));
    this.heard(`${wish.track}, second ${wish.second} to ${Math.round(100 * last) / 100}, again and again`);
  }

  hear(button) {
    const player = this.find("earshot-player");
    const { track } = button.dataset;
    if (!player.settings.get(track)?.solo) player.solo(track, false);
    for (const each of this.page.querySelectorAll("[data-hear]")) each.setAttribute("aria-pressed", each === button);
    player.play();
  }

  // -- wiring

  wire() {
    const changed = (selector, act) =>
      this.find(selector).addEventListener("change", ({ target }) => {
        target.dataset.touched = "yes";
        act();
      });
    changed(".run-metric", () => this.refresh());
    changed(".run-source", () => this.refresh());
    changed(".run-heat-model", () => this.drawHeat());
    changed(".run-across", () => this.drawScatter());
    changed(".run-first", () => this.drawDuel());
    changed(".run-second", () => this.drawDuel());
    this.find(".run-kind").addEventListener("click", (event) => {
      const { kind } = event.target.closest("[data-kind]")?.dataset ?? {};
      if (!kind) return;
      this.kind = kind;
      for (const button of this.page.querySelectorAll("[data-kind]")) button.setAttribute("aria-pressed", button.dataset.kind === kind);
      this.drawSpread();
    });
    this.find(".run-hear").addEventListener("click", (event) => {
      const button = event.target.closest("[data-hear]");
      if (button) this.hear(button);
    });
    this.find(".run-heat").addEventListener("earshot-cell", ({ detail }) => this.listen(detail));
    this.find(".run-duel").addEventListener("earshot-drawn", ({ detail }) => {
      this.find(".run-says").textContent = detail?.says.join(" ") ?? "";
    });
    this.find(".run-cancel").addEventListener("click", () => this.change("POST", "/cancel"));
    this.find(".run-copy").addEventListener("click", () => this.copy());
    const ask = this.find(".run-ask");
    this.find(".run-delete").addEventListener("click", () => ask.showModal());
    ask.addEventListener("close", async () => {
      if (ask.returnValue !== "delete") return;
      ask.returnValue = "";
      if (await this.change("DELETE", "")) this.gone();
    });
  }

  async change(method, path) {
    const response = await fetch(this.url(path), { method }).catch(() => null);
    if (response?.ok) return true;
    this.find(".run-state").textContent = "The server did not take that. Check the connection and try again.";
    return false;
  }

  async copy() {
    const link = new URL(location.href);
    link.searchParams.delete("__theme");
    try {
      await navigator.clipboard.writeText(link.href);
      this.find(".run-state").textContent = "The link is copied. Whoever has it can see, download and delete.";
    } catch {
      this.find(".run-state").textContent = `The link is the address of this page: ${link.href}`;
    }
  }

  // -- this browser's own runs

  runs() {
    try {
      return JSON.parse(localStorage.getItem(KEY)) ?? [];
    } catch {
      return []; // storage is switched off or holds something else
    }
  }

  keep(list) {
    try {
      localStorage.setItem(KEY, JSON.stringify(list.slice(0, KEPT)));
    } catch {
      // private windows may refuse: then nothing is remembered, which is what such a visitor wants
    }
    this.showEarlier();
  }

  remember(run) {
    const known = this.runs();
    if (JSON.stringify(known.find(({ id }) => id === run.id)) !== JSON.stringify(run)) this.keep([run, ...known.filter(({ id }) => id !== run.id)]);
  }

  forget(id) {
    this.keep(this.runs().filter((run) => run.id !== id));
  }

  showEarlier() {
    const now = Date.now() / 1000;
    const list = this.runs().filter((run) => !run.expires || run.expires > now);
    this.find(".run-earlier").hidden = !list.length;
    this.find(".run-earlier ul").replaceChildren(
      ...list.map((run) => {
        const link = element("a", { href: new URL(`?run=${run.id}`, location.href).href, text: run.name ?? "An evaluation" });
        link.addEventListener("click", (event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          this.open(run.id);
        });
        return element("li", {}, link, element("span", { class: "earshot-quiet", text: run.protocol ?? "" }));
      }),
    );
  }
}

export { Evaluation };
