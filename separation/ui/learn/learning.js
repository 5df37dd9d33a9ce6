// Step 2 of the Learn page: which system, how many components, and what happens while it learns.

import { make, problem, progress } from "../cards/ask.js";
import { roughly } from "../static/times.js";
import { Curve } from "./curve.js";

const [LEAST, MOST] = [5, 100];
const MOST_STEPS = 5000;

/** The choices of step 2 and the state of the lesson. Events: `learn`, `cancel`, `change`. */
export class Learning extends EventTarget {
  constructor(systems) {
    super();
    this.systems = systems;
    this.radios = systems.map(({ name }) => make("input", { type: "radio", name: "earshot-system", value: name, onchange: () => this.choose(name) }));
    const choices = systems.map(({ title, about }, index) =>
      make("label.learn-system", {}, this.radios[index], make("span", {}, make("b", {}, title), make("small", {}, about))),
    );
    this.bound = make("p.earshot-quiet", { hidden: true });
    this.slider = make("input", { type: "range", min: LEAST, max: MOST, step: 1, id: "earshot-components", oninput: () => this.showNumbers() });
    this.output = make("output", { for: "earshot-components" });
    this.steps = make("input", { type: "number", min: 1, max: MOST_STEPS, step: 1, id: "earshot-steps", oninput: () => this.changed() });
    this.more = make(
      "details.learn-more-settings",
      {},
      make("summary", {}, "More settings"),
      make("label.learn-field", { for: "earshot-steps" }, "Steps of learning", this.steps),
      make("p.earshot-quiet", {}, "More steps fit the clips better and take longer. Past the end of the curve's fall they change little."),
    );
    this.button = make("button.learn-go", { type: "button", onclick: () => this.dispatchEvent(new Event("learn")) });
    this.why = make("p.learn-why", { role: "status" });
    this.bar = progress();
    this.stop = make("button.earshot-button", { type: "button", hidden: true, onclick: () => this.dispatchEvent(new Event("cancel")) }, "Cancel");
    this.trouble = make("div.learn-trouble");
    this.curve = new Curve();
    const fields = make("fieldset.learn-systems", {}, make("legend", {}, "System"), choices, this.bound);
    const count = make(
      "div.learn-field",
      {},
      make("label", { for: "earshot-components" }, "Components of each source"),
      make("span.learn-slider", {}, this.slider, this.output),
      make("p.earshot-quiet", {}, "How many building blocks it has for each. Few keep sources apart, many render them more finely."),
    );
    const acts = make("div.learn-acts", {}, this.button, this.why);
    this.element = make(
      "div.learn-step-body.learn-two",
      {},
      fields,
      make("div", {}, count, this.more, acts, make("div.learn-line", {}, this.bar.element, this.stop), this.trouble, this.curve.element),
    );
    this.choose(systems[0].name);
    this.show(null);
  }

  get system() {
    return this.radios.find(({ checked }) => checked).value;
  }

  get chosen() {
    return this.systems.find(({ name }) => name === this.system);
  }

  /** What the server is asked for; steps only where they are others than the system's own. */
  get request() {
    const steps = Math.round(Number(this.steps.value));
    return { system: this.system, components: Number(this.slider.value), ...(steps === this.chosen.steps ? {} : { steps }) };
  }

  /** Steps that cannot be asked for, in words, or "". */
  get missing() {
    const steps = Number(this.steps.value);
    return Number.isInteger(steps) && steps >= 1 && steps <= MOST_STEPS ? "" : `Steps are a whole number from 1 to ${MOST_STEPS}.`;
  }

  /** Take choices that were made before. */
  restore({ system, components, steps } = {}) {
    if (!this.systems.some(({ name }) => name === system)) return;
    this.choose(system);
    if (components) this.slider.value = components;
    if (steps) this.steps.value = steps;
    this.showNumbers();
  }

  choose(name) {
    for (const radio of this.radios) radio.checked = radio.value === name;
    this.slider.value = this.chosen.components;
    this.steps.value = this.chosen.steps;
    this.showNumbers();
  }

  showNumbers() {
    this.output.textContent = this.slider.value;
    this.slider.setAttribute("aria-valuetext", `${this.slider.value} components`);
    this.slider.style.setProperty("--part", `${(100 * (this.slider.value - LEAST)) / (MOST - LEAST)}%`);
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Sources that were learned before ask for the system they were learned by; null for any. */
  bind(system) {
    if (system && system !== this.system) this.choose(system);
    for (const radio of this.radios) radio.disabled = Boolean(system) && radio.value !== system;
    this.bound.hidden = !system;
    this.bound.textContent = `${this.chosen.title}, because a source that was learned by it is used again.`;
  }

  /** What the button does, and what stands against it. */
  offer({ label, missing }) {
    if (this.button.textContent !== label) this.button.textContent = label;
    this.button.disabled = Boolean(missing) || this.working;
    const text = this.working ? "" : missing;
    if (this.why.textContent !== text) this.why.textContent = text;
  }

  // -- the lesson

  /** What the server says of the lesson; null for none. */
  show(lesson) {
    const { state, sources = [], losses = {} } = lesson ?? {};
    this.working = ["waiting", "running"].includes(state?.status);
    this.stop.hidden = !this.working;
    if (!this.working) this.stop.disabled = false;
    this.trouble.replaceChildren();
    this.bar.element.hidden = !state;
    this.curve.element.hidden = false;
    if (!state) return this.curve.show([], {}, 0);
    const names = sources.map(({ name }) => name);
    this.curve.show(names, losses, state.steps ?? 0);
    this.curve.element.hidden = state.status === "done" && !Object.keys(losses).length; // there was nothing to learn
    const place = Math.max(0, names.indexOf(state.source));
    const fraction = state.steps ? (place + state.step / state.steps) / names.length : 0;
    if (state.status === "waiting") this.bar.set(null, ahead(state.position));
    else if (state.status === "running" && !state.source) this.bar.set(null, "Listening to the clips…");
    else if (state.status === "running") this.bar.set(fraction, `Learning ${state.source}: step ${state.step} of ${state.steps}${left(state.remaining)}`);
    else if (state.status === "done") this.bar.set(1, Object.keys(losses).length ? "Learned. Its components are below." : "Ready: every source was known.");
    else if (state.status === "cancelled") this.bar.set(fraction, "Cancelled. Nothing was kept; press the button to learn anew.");
    else {
      this.bar.element.hidden = true;
      this.trouble.replaceChildren(problem({ parts: state.error }));
    }
    return undefined;
  }

  /** Before the server has answered, and while it cannot be reached. */
  say(text) {
    this.working = true;
    this.trouble.replaceChildren();
    this.bar.element.hidden = false;
    this.bar.set(null, text);
    this.changed();
  }

  fail(error) {
    this.working = false;
    this.bar.element.hidden = true;
    this.trouble.replaceChildren(problem(error));
    this.changed();
  }
}

function ahead(position) {
  if (!position) return "Waiting for its turn…";
  return position === 1 ? "Waiting: one lesson is ahead of yours" : `Waiting: ${position} lessons are ahead of yours`;
}

function left(seconds) {
  return seconds && seconds > 2 ? `, about ${roughly(seconds)} left` : "";
}
