/**
 * What can be answered: a control for each kind of field. Each has `.element`, `.value` (null: nothing yet), `.enable(live)`,
 * `.focus()` and `.flush()`, and says `given` with {field, of, value} when the listener has set it.
 *
 * Native elements throughout, so that keyboards, screen readers and phones know what to do. Which control is live is decided by
 * the page (`layouts`).
 */

import { h, icon, newId, say, written } from "./parts.js";

const SETTLED = 250; // milliseconds after which a control that is being moved counts as set
const WORDS = 700; // the same for words being typed
const LONGEST_TEXT = 4000; // characters

/** The word for a value: bands of equal width, lowest first, or one word a whole point. */
function wordOf({ min, max, bands }, value) {
  if (!bands?.length) return "";
  const points = max - min === bands.length - 1;
  const place = ((value - min) / (max - min)) * (points ? bands.length - 1 : bands.length);
  return bands[Math.min(bands.length - 1, points ? Math.round(place) : Math.floor(place))];
}

/** What every control shares: saying a value once it has settled. */
class Control extends EventTarget {
  constructor(field, value) {
    super();
    this.field = field;
    this.value = value ?? null;
  }

  /** The listener has set it. */
  set(value, settle = 0) {
    this.value = value;
    clearTimeout(this.timer);
    this.waiting = true;
    this.warn(false);
    this.dispatchEvent(new Event("moved"));
    if (settle) this.timer = setTimeout(() => this.flush(), settle);
    else this.flush();
  }

  /** Say what has been set and not been said. */
  flush() {
    clearTimeout(this.timer);
    if (!this.waiting) return;
    this.waiting = false;
    const { name, of } = this.field;
    this.dispatchEvent(new CustomEvent("given", { detail: { field: name, of: of ?? null, value: this.value } }));
  }

  get answered() {
    return this.value !== null && this.value !== "" && this.value !== false && !(Array.isArray(this.value) && !this.value.length);
  }

  /** Why it cannot stay as it is, or "". */
  get problem() {
    return this.field.required && !this.answered ? say("missing.field", { label: this.field.label }) : "";
  }

  enable(live) {
    for (const input of this.element.querySelectorAll("input, select, textarea, button")) input.disabled = !live;
    this.element.classList.toggle("off", !live);
  }

  focus() {
    this.element.querySelector("input, select, textarea, button")?.focus();
  }

  /** Show that it is missing. */
  warn(missing) {
    this.element.classList.toggle("missing", missing);
    for (const input of this.element.querySelectorAll("input, textarea")) {
      if (missing) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
  }

  /** Label and help above, the control below. */
  labelled(control, id) {
    const { label, help, required } = this.field;
    const mark = required ? h("small", { class: "required" }, say("required")) : null;
    return h(
      "div",
      { class: `field ${this.field.kind}` },
      h("label", { for: id, class: "label" }, label, mark),
      help ? h("p", { class: "help", id: `${id}-help` }, help) : null,
      control,
    );
  }

  grouped(role, ...children) {
    const { label, help, required } = this.field;
    const id = newId("group");
    const mark = required ? h("small", { class: "required" }, say("required")) : null;
    return h(
      "div",
      { class: `field ${this.field.kind}`, role, "aria-labelledby": id, "aria-describedby": help ? `${id}-help` : null },
      h("p", { class: "label", id }, label, mark),
      help ? h("p", { class: "help", id: `${id}-help` }, help) : null,
      ...children,
    );
  }
}

class Slider extends Control {
  constructor(field, value, { sound }) {
    super(field, value);
    const { min, max, step } = field;
    const name = sound ? `${field.label}: ${sound}` : field.label;
    this.input = h("input", {
      type: "range",
      min,
      max,
      step: step ?? 1,
      "aria-label": name,
      oninput: () => this.moved(),
      // A click or a key on the end that it stands at moves nothing, and is an answer all the same.
      onpointerup: () => this.moved(),
      onkeyup: ({ key }) => ["Home", "End", "PageUp", "PageDown"].includes(key) || key.startsWith("Arrow") ? this.moved() : null,
      onchange: () => this.flush(),
    });
    this.output = h("output", { class: "value", "aria-hidden": "true" });
    const heading = sound ? null : h("p", { class: "label", "aria-hidden": "true" }, field.label);
    const help = field.help && !sound ? h("p", { class: "help" }, field.help) : null;
    this.element = h("div", { class: "field slider" }, heading, help, h("div", { class: "track" }, this.input, this.output));
    this.input.value = this.value ?? min;
    this.show();
  }

  moved() {
    if (this.input.disabled) return;
    const value = Number(this.input.value);
    if (this.value === value) return;
    this.set(value, SETTLED);
    this.show();
  }

  get said() {
    if (this.value === null) return say("unset");
    const word = wordOf(this.field, this.value);
    const number = written(this.value, this.field.step ?? 1);
    return word ? `${number}, ${word}` : number;
  }

  show() {
    const unset = this.value === null;
    this.input.setAttribute("aria-valuetext", this.said);
    this.input.style.setProperty("--part", (Number(this.input.value) - this.field.min) / (this.field.max - this.field.min));
    this.element.classList.toggle("unset", unset);
    this.output.replaceChildren(unset ? "–" : h("b", {}, written(this.value, this.field.step ?? 1)), unset ? "" : h("small", {}, wordOf(this.field, this.value)));
  }

  focus() {
    this.input.focus({ preventScroll: true });
  }
}

class Options extends Control {
  constructor(field, value, { sound }) {
    super(field, value);
    const group = newId("choice");
    const several = field.kind === "choices";
    const chosen = several ? new Set(value ?? []) : null;
    const rows = field.options.map((option) => {
      const input = h("input", {
        type: several ? "checkbox" : "radio",
        name: group,
        value: option.value,
        onchange: () => {
          if (several) {
            if (input.checked) chosen.add(option.value);
            else chosen.delete(option.value);
            this.set(field.options.map((each) => each.value).filter((each) => chosen.has(each)));
          } else this.set(option.value);
        },
      });
      input.checked = several ? chosen.has(option.value) : option.value === value;
      const number = field.kind === "scale" ? h("b", { "aria-hidden": "true" }, `${option.value}`.replace("-", "−")) : null;
      return h("label", { class: "option" }, input, number, h("span", {}, option.label));
    });
    this.element = this.grouped(several ? "group" : "radiogroup", h("div", { class: "options", "data-count": rows.length }, rows));
    if (sound) this.element.dataset.sound = sound;
  }

  focus() {
    (this.element.querySelector("input:checked") ?? this.element.querySelector("input")).focus();
  }
}

class Check extends Control {
  constructor(field, value) {
    super(field, value);
    const input = h("input", { type: "checkbox", onchange: () => this.set(input.checked) });
    input.checked = value === true;
    const mark = field.required ? h("small", { class: "required" }, say("required")) : null;
    this.element = h(
      "div",
      { class: "field check" },
      h("label", { class: "option" }, input, h("span", {}, field.label, mark)),
      field.help ? h("p", { class: "help" }, field.help) : null,
    );
  }
}

class Words extends Control {
  constructor(field, value) {
    super(field, value);
    const id = newId("text");
    const input = h("textarea", {
      id,
      rows: field.max === 1 ? 1 : 3,
      maxlength: LONGEST_TEXT,
      "aria-describedby": field.help ? `${id}-help` : null,
      oninput: () => this.set(input.value.trim() ? input.value : null, WORDS),
      onblur: () => this.flush(),
    });
    input.value = value ?? "";
    this.element = this.labelled(input, id);
  }
}

class Num extends Control {
  constructor(field, value) {
    super(field, value);
    const id = newId("number");
    const { min, max, step } = field;
    this.input = h("input", {
      id,
      type: "number",
      inputmode: "decimal",
      min: min ?? null,
      max: max ?? null,
      step: step ?? "any",
      "aria-describedby": field.help ? `${id}-help` : null,
      oninput: () => this.set(this.input.value === "" || !this.input.validity.valid ? null : Number(this.input.value), WORDS),
      onblur: () => this.flush(),
    });
    this.input.value = value ?? "";
    this.element = this.labelled(this.input, id);
  }

  get problem() {
    const { label, min, max } = this.field;
    if (this.input.value === "" && !this.input.validity.badInput) return super.problem;
    if (this.input.validity.valid) return "";
    return say("wrong.number", { label, range: [min, max].map((each) => (each === null || each === undefined ? "…" : written(each, 1))).join(" – ") });
  }
}

/** An order, best first, by dragging or by buttons: one field a sound, whose value is its place from 1. */
export class Rank extends Control {
  /** `fields` and `values` one a sound; `soundOf(token)` -> {button, label}. */
  constructor(fields, values, { soundOf }) {
    super(fields[0], values.some((value) => value === null) ? null : values);
    this.fields = fields;
    const known = this.value ?? fields.map((_, place) => place + 1);
    const order = fields.map(({ of }) => of).sort((a, b) => known[fields.findIndex(({ of }) => of === a)] - known[fields.findIndex(({ of }) => of === b)]);
    this.rows = new Map(order.map((token) => [token, this.row(token, soundOf(token))]));
    this.list = h("ol", { class: "ranks" }, [...this.rows.values()]);
    this.fine = h("button", { type: "button", class: "button fine", onclick: () => this.keep() }, icon("check"), say("rank.keep"));
    this.element = this.grouped("group", h("p", { class: "ends" }, say("rank.best")), this.list, h("p", { class: "ends" }, say("rank.worst")), this.fine);
    this.show();
  }

  flush() {
    if (!this.waiting) return;
    this.waiting = false;
    const places = new Map(this.order.map((token, place) => [token, place + 1]));
    for (const { name, of } of this.fields) this.dispatchEvent(new CustomEvent("given", { detail: { field: name, of, value: places.get(of) } }));
  }

  row(token, { button, label }) {
    const move = (step) => () => this.move(token, step);
    const row = h(
      "li",
      { class: "rank-row" },
      h("span", { class: "grip", "aria-hidden": "true", onpointerdown: (event) => this.drag(event, row) }, icon("grip")),
      h("b", { class: "place" }),
      button,
      h("button", { type: "button", class: "icon-button higher", "aria-label": say("rank.up", { sound: label }), title: say("rank.up", { sound: label }), onclick: move(-1) }, icon("up")),
      h("button", { type: "button", class: "icon-button lower", "aria-label": say("rank.down", { sound: label }), title: say("rank.down", { sound: label }), onclick: move(1) }, icon("down")),
    );
    row.dataset.token = token;
    row.dataset.label = label;
    return row;
  }

  get order() {
    return [...this.list.children].map(({ dataset }) => dataset.token);
  }

  keep() {
    this.set(this.order);
    this.show();
  }

  move(token, step) {
    const row = this.rows.get(token);
    const other = step < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return;
    if (step < 0) other.before(row);
    else other.after(row);
    this.keep();
    const again = row.querySelector(step < 0 ? ".higher" : ".lower");
    (again.disabled ? row.querySelector(step < 0 ? ".lower" : ".higher") : again).focus();
    this.dispatchEvent(new CustomEvent("ranked", { detail: { label: row.dataset.label, place: this.order.indexOf(token) + 1 } }));
  }

  drag(event, row) {
    event.preventDefault();
    const before = this.order.join();
    const grip = event.currentTarget;
    grip.setPointerCapture(event.pointerId);
    row.classList.add("dragged");
    const moved = ({ clientY }) => {
      for (const other of this.list.children) {
        const { top, height } = other.getBoundingClientRect();
        if (other === row || clientY < top || clientY > top + height) continue;
        const below = row.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING;
        if (below && clientY > top + height / 2) other.after(row);
        else if (!below && clientY < top + height / 2) other.before(row);
        this.show();
        return;
      }
    };
    const done = () => {
      row.classList.remove("dragged");
      grip.removeEventListener("pointermove", moved);
      if (this.order.join() !== before) this.keep();
    };
    grip.addEventListener("pointermove", moved);
    grip.addEventListener("lostpointercapture", done, { once: true });
  }

  show() {
    const rows = [...this.list.children];
    rows.forEach((row, index) => {
      row.querySelector(".place").textContent = index + 1;
      row.querySelector(".higher").disabled = index === 0;
      row.querySelector(".lower").disabled = index === rows.length - 1;
    });
    this.element.classList.toggle("unset", this.value === null);
    this.fine.hidden = this.value !== null;
  }

}

const KINDS = { slider: Slider, scale: Options, choice: Options, choices: Options, check: Check, text: Words, number: Num };

/**
 * The control of a field. `value` is what has been saved so far; `about.sound` is the name of the sound that it is about, if
 * there is one. Ranks and marks are made of more than a field: see `Rank` and `marks`.
 */
export const controlOf = (field, value, about) => new KINDS[field.kind](field, value, about);

export { Control };
