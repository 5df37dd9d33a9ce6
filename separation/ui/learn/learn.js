// The Learn page: <earshot-learn> leads from clips of each source over learning to a mixture taken apart, and to surgery on what
// was learned. The lesson itself is the server's: it goes on without this page, and `?lesson=ID` comes back to it.

import { ask, at, make, problem } from "../cards/ask.js";
import { Components } from "./components.js";
import { forget, keepLayout, layout, lessonOf, lessons, remember } from "./kept.js";
import { Learning } from "./learning.js";
import { Mixture, MixturePanel } from "./mixture.js";
import { Result } from "./result.js";
import { Sources } from "./sources.js";
import { hush } from "./sound.js";

const POLL = 600; // milliseconds between two looks at a lesson
const HIDDEN = 4000; // the same while nobody looks at the page
const RETRY = 3000;
const FINAL = ["done", "failed", "cancelled"];
const NO_PLAYER = { asked: "Show the player", found: "it could not be loaded", advice: "Check the connection and load the page again" };

const step = (number, title) => make("h2.earshot-step", {}, make("b", { "aria-hidden": "true" }, String(number)), title);

class EarshotLearn extends HTMLElement {
  async connectedCallback() {
    if (this.begun) return;
    this.begun = true;
    for (const file of ["stems/references.js", "views/views.js", "rating/rating.js"]) import(at(file)).catch(() => {}); // it does without
    const style = make("link", { rel: "stylesheet", href: at("static/tokens.css").href });
    document.head.append(style);
    try {
      this.start = await ask(at("learn/start"));
    } catch (error) {
      this.begun = false;
      this.replaceChildren(problem(error, () => this.connectedCallback()));
      return;
    }
    this.build();
    this.wire();
    import(at("static/player.js")).catch(() => this.far.say({ parts: NO_PLAYER }));
    await this.arrive();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    this.components?.close();
    this.themes?.disconnect();
    hush();
  }

  // -- what is on the page

  build() {
    const { systems, examples } = this.start;
    this.lesson = null; // id
    this.record = null; // what the server says of it
    this.mixture = new Mixture();
    this.sources = new Sources();
    this.learning = new Learning(systems);
    this.components = new Components();
    this.result = new Result();
    this.near = new MixturePanel({ mixture: this.mixture, examples, sources: this.sources });
    this.far = new MixturePanel({ mixture: this.mixture, examples });
    this.tries = examples.map((example) =>
      make("button.learn-try", { type: "button", onclick: () => this.try(example) }, make("b", {}, `Try it: ${example.title}`), make("small", {}, example.summary)),
    );
    this.afresh = make("button.earshot-button", { type: "button", hidden: true, onclick: () => this.clear() }, "Start afresh");
    this.separating = make("button.learn-go", { type: "button", onclick: () => this.separate() }, "Separate");
    this.why = make("p.learn-why", { role: "status" });
    this.first = make("div.learn-acts", {}, this.separating, this.why);
    this.keeping = this.buildKeeping();
    this.earlier = make("section.earshot-earlier", { "aria-label": "My earlier lessons", hidden: true }, make("h2", {}, "My earlier lessons"), make("ul"));
    this.cutting = make("details.learn-cutting", {}, make("summary", {}, "Is a source alone somewhere in your mixture? Take it from there"), this.near.element);
    const promise =
      "Bring about ten seconds of each sound alone, and press Learn. The model is taught here and now, from nothing else, and takes a mixture of them apart.";
    this.replaceChildren(
      make("header.learn-head", {}, make("div", {}, make("h1", {}, "Teach it your own sounds"), make("p", {}, promise)), make("div.learn-tries", {}, this.tries)),
      make(
        "section.earshot-card.learn-step",
        { "aria-label": "Sources" },
        make("div.learn-chosen", {}, step(1, "Sources"), make("div.learn-tools", {}, this.sources.more, this.afresh)),
        this.sources.element,
        this.cutting,
      ),
      make("section.earshot-card.learn-step", { "aria-label": "Learn" }, step(2, "Learn"), this.learning.element, this.components.element),
      make(
        "section.earshot-card.learn-step",
        { "aria-label": "Separate" },
        make("div.learn-chosen", {}, step(3, "Separate"), this.far.head),
        this.far.element,
        this.first,
        this.result.element,
        this.keeping,
      ),
      make("div.earshot-below", {}, this.buildNotes(), this.earlier),
    );
    this.classList.add("view");
    this.theme();
    this.themes = new MutationObserver(() => this.theme());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  buildKeeping() {
    this.link = make("input", { type: "text", readOnly: true });
    this.copied = make("p.earshot-note", { role: "status" });
    this.zip = make("a.earshot-button", { download: "" }, "Download the model");
    const copy = make("button.earshot-button", { type: "button", onclick: () => this.copy() }, "Copy link");
    const label = make("label", {}, "Link to this lesson", this.link);
    const how = make("p.earshot-quiet", {}, "The folder in the archive opens anywhere: ", make("code", {}, "earshot separate MIXTURE.wav --model FOLDER"), ".");
    return make("div.learn-keeping", { hidden: true }, this.zip, make("div.earshot-share", {}, label, copy), how, this.copied);
  }

  buildNotes() {
    const items = this.start.credits.map(({ what, author, licence, licence_url: href, source }) =>
      make("li", {}, `${what}: ${author}, `, make("a", { href, rel: "noreferrer" }, licence), `, ${source}`),
    );
    const kept = `Clips, mixtures and lessons are kept on the server for ${this.start.keep_hours} hours, then deleted.`;
    const now = "A lesson can be deleted at once, in the list of your lessons.";
    const who = items.length > 0 && make("details.earshot-credits", {}, make("summary", {}, "Who made the examples?"), make("ul", {}, items));
    return make("section", { "aria-label": "What happens to my clips" }, make("h2", {}, "What happens to my clips?"), make("p.earshot-quiet", {}, `${kept} ${now}`), who);
  }

  theme() {
    this.classList.toggle("dark", document.body.classList.contains("dark"));
  }

  wire() {
    this.sources.addEventListener("change", () => this.changed());
    this.sources.addEventListener("mixture", () => this.offerMixture());
    this.learning.addEventListener("change", () => this.changed());
    this.learning.addEventListener("learn", () => this.learn());
    this.learning.addEventListener("cancel", () => this.cancel());
    this.mixture.addEventListener("change", () => {
      this.result.clear();
      this.changed();
    });
    this.components.addEventListener("change", () => this.offer());
    this.components.addEventListener("again", () => this.separate());
    this.components.addEventListener("hear", ({ detail }) => this.result.hear(detail));
    this.result.addEventListener("change", () => this.offer());
    this.result.addEventListener("separated", ({ detail }) => this.lesson && remember(this.lesson, { separated: detail }));
    this.changed();
    this.showEarlier();
  }

  /** Something in steps 1 or 2 is another way: keep it, and say what can be done now. */
  changed() {
    if (!this.keeping || this.laying) return;
    const { current } = this.mixture;
    if (this.arrived) keepLayout({ lesson: this.lesson, sources: this.sources.layout, mixture: current, ...this.learning.request });
    this.learning.bind(this.sources.system);
    this.sources.findsUnknown = this.learning.chosen.finds_unknown;
    this.afresh.hidden = this.sources.empty && !this.lesson && !current;
    this.offer();
  }

  offer() {
    if (!this.keeping) return;
    const { working } = this.learning;
    const then = this.mixture.current ? ", then separate" : "";
    this.learning.offer({ label: `${this.ready ? "Learn again" : "Learn"}${then}`, missing: this.sources.missing || this.learning.missing });
    const { heard, busy, side } = this.result;
    const news = heard !== null && heard !== this.components.key;
    this.components.offer({ news, busy, side });
    const missing = this.ready ? (this.mixture.current ? "" : "Choose a mixture first.") : working ? "It is still learning." : "Learn first: step 2.";
    this.separating.disabled = Boolean(missing) || busy;
    this.why.textContent = missing;
    this.first.hidden = heard !== null; // from then on the gallery's button does it
    this.far.brief = heard !== null;
  }

  get ready() {
    return this.record?.state.status === "done";
  }

  offerMixture() {
    this.cutting.open = true;
    this.bringUp(this.cutting);
    this.cutting.querySelector("summary").focus({ preventScroll: true });
  }

  bringUp(element) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    element.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  }

  // -- what it begins with

  /** An address may name a lesson; else what lay here last is laid out again. */
  async arrive() {
    const id = new URLSearchParams(location.search).get("lesson");
    const last = layout();
    this.arrived = true; // from here on what is on the page may take the place of what lay here last
    const kept = !id || last?.lesson === id ? last : lessonOf(id)?.layout;
    if (kept) await this.lay(kept);
    if (id) this.open(id);
  }

  async lay({ sources, mixture, ...choices }) {
    this.laying = true;
    this.sources.show(sources);
    this.learning.restore(choices);
    this.laying = false;
    await this.mixture.restore(mixture);
    this.changed();
  }

  /** Ask before clips that a person brought are put aside. */
  async mayReplace() {
    if (this.sources.empty || this.lesson) return true;
    const go = make("button.earshot-button", { value: "yes" }, "Put them aside");
    const stay = make("button.earshot-button", { value: "" }, "Keep them");
    const form = make("form", { method: "dialog" }, make("p", {}, "The clips in step 1 make room. Go on?"), make("div.learn-tools", {}, go, stay));
    const dialog = make("dialog.card-dialog", { "aria-label": "Put the clips aside?" }, form);
    this.append(dialog);
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve));
    dialog.remove();
    return dialog.returnValue === "yes";
  }

  async clear() {
    if (!(await this.mayReplace())) return;
    this.leave();
    this.mixture.set(null);
    this.sources.show([{}, {}]);
    this.changed();
  }

  /** No lesson is open any more; what it was made from stays. */
  leave() {
    clearTimeout(this.timer);
    this.lesson = this.record = null;
    this.address(null);
    this.components.clear();
    this.result.clear();
    this.learning.show(null);
    this.keeping.hidden = true;
    this.showEarlier();
  }

  // -- an example

  async try(example) {
    if (!(await this.mayReplace())) return;
    this.leave();
    for (const button of this.tries) button.disabled = true;
    if (this.learning.system === example.system) this.learning.restore(example); // any other system can be tried with it, too
    this.sources.show(example.sources.map(({ name }) => ({ name })));
    this.mixture.set(example.mixture);
    this.learning.say("Fetching the clips…");
    try {
      for (const [index, { clips }] of example.sources.entries()) {
        for (const { draft, seconds, name } of clips) await this.sources.cards[index].cut({ draft, start: 0, stop: seconds }, name);
      }
      await this.learn();
    } catch (error) {
      this.learning.fail(error);
    } finally {
      for (const button of this.tries) button.disabled = false;
    }
  }

  // -- learning

  async learn() {
    const { request } = this.learning;
    const then = this.mixture.current;
    const laid = { sources: this.sources.layout, mixture: then, ...request };
    const title = this.learning.chosen.title;
    this.learning.say("Asking for a lesson…");
    this.bringUp(this.learning.element.closest("section"));
    try {
      const { id } = await ask(at("lessons"), { method: "POST", body: { ...request, sources: this.sources.request } });
      this.leave();
      const { system, components } = request;
      remember(id, { system, components, title, sources: this.sources.names, made: Date.now(), layout: laid, then: Boolean(then) });
      this.open(id);
    } catch (error) {
      this.learning.fail(error);
    }
  }

  async cancel() {
    this.learning.stop.disabled = true;
    try {
      await ask(at(`lessons/${encodeURIComponent(this.lesson)}/cancel`), { method: "POST" });
    } catch (error) {
      this.learning.stop.disabled = false;
      this.learning.trouble.replaceChildren(problem(error));
    }
  }

  /** Follow a lesson until it ends. */
  open(id) {
    clearTimeout(this.timer);
    this.lesson = id;
    this.drawn = -1; // the version of the pictures
    this.learning.say("Looking for the lesson…");
    this.address(id);
    this.showEarlier();
    this.poll();
  }

  address(id) {
    const url = new URL(location.href);
    if (id) url.searchParams.set("lesson", id);
    else url.searchParams.delete("lesson");
    history.replaceState(history.state, "", url);
    url.searchParams.delete("__theme");
    this.link.value = url.href;
  }

  async poll() {
    const id = this.lesson;
    let wait = document.hidden ? HIDDEN : POLL;
    try {
      const record = await ask(at(`lessons/${encodeURIComponent(id)}`));
      if (id !== this.lesson) return;
      await this.showLesson(record);
      if (FINAL.includes(record.state.status)) return;
    } catch (error) {
      if (id !== this.lesson) return;
      if (error.status === 404) return void this.gone(error);
      this.learning.say("Connection lost, retrying…");
      wait = RETRY;
    }
    if (id === this.lesson) this.timer = setTimeout(() => this.poll(), wait);
  }

  gone(error) {
    forget(this.lesson);
    this.sources.lose(this.lesson);
    this.leave();
    this.learning.fail(error);
    this.changed();
  }

  async showLesson(record) {
    const id = this.lesson;
    const first = !this.record;
    this.record = record;
    this.learning.show(record);
    if (first) await this.layFrom(record);
    const { status } = record.state;
    this.components.expect(record.sources.map(({ name, seconds }) => ({ name, count: countOf(record, name), bare: seconds === 0 })));
    if (record.version !== this.drawn && !["failed", "cancelled"].includes(status)) await this.draw(id, record.version);
    if (id !== this.lesson) return;
    if (["failed", "cancelled"].includes(status)) {
      this.components.clear();
      forget(id);
      this.sources.lose(id);
      this.address(null);
    }
    if (status === "done") await this.learned(id);
    this.changed();
  }

  /** Pictures of a model that is still learning may not be there yet. */
  async draw(id, version) {
    try {
      await this.components.load(id);
      if (id === this.lesson) this.drawn = version;
    } catch (error) {
      if (this.record.state.status === "done") throw error;
    }
  }

  async learned(id) {
    const known = lessonOf(id);
    remember(id, { done: true });
    this.components.editing = true;
    this.zip.href = at(`lessons/${encodeURIComponent(id)}/download.zip`).href;
    this.keeping.hidden = false;
    this.showEarlier();
    if (known?.separated) await this.result.restore(known.separated);
    else if (known?.then) this.separate();
  }

  /** A lesson that somebody else made, or an old one: its sources stand in step 1 as learned. */
  async layFrom({ id, system, components, sources, state }) {
    if (lessonOf(id)) return;
    remember(id, { system, components, sources: sources.map(({ name }) => name), made: Date.now(), title: this.titleOf(system), done: state.status === "done" });
    const from = (name) => ({ lesson: id, source: name, system, words: this.titleOf(system) });
    await this.lay({ sources: sources.map(({ name }) => ({ name, from: from(name) })), mixture: this.mixture.current, system });
  }

  titleOf(system) {
    return this.start.systems.find(({ name }) => name === system)?.title ?? system;
  }

  // -- separating

  async separate() {
    const { lesson } = this;
    await this.components.settled();
    if (lesson !== this.lesson || !this.mixture.current) return;
    const { key, words } = this.components;
    const first = this.result.heard === null;
    await this.result.separate(lesson, this.mixture.current, { key, words });
    if (first && this.result.heard !== null) this.bringUp(this.result.shown);
  }

  // -- keeping

  async copy() {
    this.link.select();
    try {
      await navigator.clipboard.writeText(this.link.value);
      this.copied.textContent = "The link is copied. Whoever has it can use, change and delete this lesson.";
    } catch {
      this.copied.textContent = "The link is selected: copy it with Ctrl+C. Whoever has it can use, change and delete this lesson.";
    }
  }

  showEarlier() {
    const list = lessons();
    this.earlier.hidden = !list.length;
    this.earlier.querySelector("ul").replaceChildren(...list.map((lesson) => this.row(lesson)));
  }

  row({ id, sources, title, components, made }) {
    const url = new URL(location.href);
    url.searchParams.set("lesson", id);
    const link = make("a", { href: url.href }, sources.join(" + "));
    if (id === this.lesson) link.setAttribute("aria-current", "true");
    const when = new Date(made).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    const facts = make("span.earshot-quiet", {}, `${title}, ${typeof components === "number" ? `${components} components, ` : ""}${when}`);
    const remove = make("button.learn-close", { type: "button", "aria-label": `Delete the lesson ${sources.join(" + ")}` }, "×");
    remove.onclick = () => this.deleteLesson(id, remove);
    return make("li", {}, link, facts, remove);
  }

  async deleteLesson(id, button) {
    button.disabled = true;
    try {
      await ask(at(`lessons/${encodeURIComponent(id)}`), { method: "DELETE" });
    } catch (error) {
      if (error.status !== 404) {
        button.disabled = false;
        button.closest("li").append(problem(error));
        return;
      }
    }
    forget(id);
    this.sources.lose(id);
    if (id === this.lesson) this.leave();
    this.showEarlier();
    this.changed();
  }
}

/** Components of a source: one number for all, or one a source. */
function countOf({ components }, name) {
  return typeof components === "number" ? components : (components[name] ?? 0);
}

if (!customElements.get("earshot-learn")) customElements.define("earshot-learn", EarshotLearn);

