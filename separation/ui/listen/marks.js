/**
 * Regions that a listener marks: the bar of time, with the outline of what is heard where the page allows it, and a list in which
 * everything can be done without a mouse. A value is a list of {start, end, label}, seconds from the start of the sound.
 */

import { Control } from "./fields.js";
import { clock, h, icon, newId, say, written } from "./parts.js";
import { drawOutline } from "./pictures.js";

const SHORTEST = 0.05; // seconds
const MOST = 50;
const HEIGHT = 96; // CSS px

export class Marks extends Control {
  constructor(field, value, { deck, views }) {
    super(field, value);
    this.deck = deck;
    this.views = views;
    this.marks = (value ?? []).map((mark) => ({ ...mark }));
    this.canvas = views ? h("canvas", { class: "outline", "aria-hidden": "true" }) : null;
    this.shades = h("div", { class: "shades" });
    this.head = h("i", { class: "head" });
    this.lane = h("div", { class: "lane", style: `height: ${views ? HEIGHT : HEIGHT / 2}px`, "aria-hidden": "true", onpointerdown: (event) => this.drag(event) }, this.canvas, this.shades, this.head);
    this.list = h("ul", { class: "marks" });
    this.begin = h("button", { type: "button", class: "button", onclick: () => this.startHere() }, say("marks.start"));
    this.finish = h("button", { type: "button", class: "button", disabled: true, onclick: () => this.endHere() }, say("marks.end"));
    this.element = this.grouped("group", this.lane, h("div", { class: "row" }, this.begin, this.finish, h("small", { class: "help" }, say("marks.how"))), this.list);
    this.show();
  }

  startHere() {
    this.started = this.deck.position;
    this.finish.disabled = false;
    this.begin.textContent = say("marks.from", { time: clock(this.started) });
    this.finish.focus();
  }

  endHere() {
    const here = this.deck.position;
    // While it repeats, the end may lie before the start: then it is up to the end.
    this.add(this.started, here > this.started + SHORTEST ? here : this.deck.duration);
    this.started = null;
    this.begin.textContent = say("marks.start");
    this.finish.disabled = true;
  }

  add(start, end) {
    if (this.marks.length >= MOST) return;
    this.marks.push({ start, end, label: this.field.options[0]?.value ?? "" });
    this.marks.sort((a, b) => a.start - b.start);
    this.changed();
    const row = this.list.children[this.marks.findIndex((mark) => mark.start === start && mark.end === end)];
    row?.querySelector("select, input")?.focus();
  }

  changed() {
    const round = (seconds) => Math.round(seconds * 1000) / 1000;
    this.set(this.marks.map(({ start, end, label }) => ({ start: round(start), end: round(end), label })));
    this.show();
  }

  drag(event) {
    if (this.element.classList.contains("off") || !this.deck.duration) return;
    const box = this.lane.getBoundingClientRect();
    const at = ({ clientX }) => Math.min(1, Math.max(0, (clientX - box.left) / box.width)) * this.deck.duration;
    const from = at(event);
    const shade = h("i", { class: "shade new" });
    this.shades.append(shade);
    this.lane.setPointerCapture(event.pointerId);
    const moved = (move) => this.place(shade, Math.min(from, at(move)), Math.max(from, at(move)));
    this.lane.addEventListener("pointermove", moved);
    const done = (last) => {
      this.lane.removeEventListener("pointermove", moved);
      shade.remove();
      const [start, end] = [Math.min(from, at(last)), Math.max(from, at(last))];
      if (end - start >= SHORTEST) this.add(start, end);
      else this.deck.seek(start);
    };
    this.lane.addEventListener("pointerup", done, { once: true });
  }

  place(shade, start, end) {
    shade.style.left = `${(100 * start) / this.deck.duration}%`;
    shade.style.width = `${(100 * (end - start)) / this.deck.duration}%`;
  }

  /** The sounds are here. */
  ready() {
    this.show();
    this.draw();
  }

  draw() {
    const sound = this.deck.pcmOf(this.field.of ?? this.deck.current);
    if (this.canvas && sound) drawOutline(this.canvas, sound, this.deck.channels);
  }

  tick() {
    if (this.deck.duration) this.head.style.left = `${(100 * this.deck.position) / this.deck.duration}%`;
  }

  show() {
    if (!this.deck.duration) return;
    this.shades.replaceChildren(
      ...this.marks.map(({ start, end }, index) => {
        const shade = h("i", { class: "shade" }, h("b", {}, index + 1));
        this.place(shade, start, end);
        return shade;
      }),
    );
    this.list.replaceChildren(...this.marks.map((mark, index) => this.row(mark, index)));
  }

  row(mark, index) {
    const time = (name) => {
      const input = h("input", {
        type: "number",
        step: 0.1,
        min: 0,
        max: written(this.deck.duration, 0.01),
        "aria-label": say(`marks.${name}-of`, { number: index + 1 }),
        onchange: () => {
          const value = Number(input.value);
          const [start, end] = name === "start" ? [value, mark.end] : [mark.start, value];
          const fits = input.value !== "" && start >= 0 && end <= this.deck.duration + 0.001 && end - start >= SHORTEST;
          if (fits) Object.assign(mark, { start, end });
          this.changed();
        },
      });
      input.value = mark[name].toFixed(1);
      return input;
    };
    const id = newId("mark");
    const label = h("select", { id, "aria-label": say("marks.label-of", { number: index + 1 }), onchange: () => ((mark.label = label.value), this.changed()) }, this.field.options.map((option) => h("option", { value: option.value }, option.label)));
    label.value = mark.label;
    const remove = () => {
      this.marks.splice(index, 1);
      this.changed();
      this.begin.focus();
    };
    return h(
      "li",
      {},
      h("b", {}, index + 1),
      h("span", { class: "times" }, time("start"), " – ", time("end"), " s"),
      this.field.options.length ? label : null,
      h("button", { type: "button", class: "icon-button", "aria-label": say("marks.remove", { number: index + 1 }), title: say("marks.remove", { number: index + 1 }), onclick: remove }, icon("bin")),
    );
  }
}
