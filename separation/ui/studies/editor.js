/**
 * A study's text, with line numbers and its problems at their lines.
 *
 * `editor(text, onchange)` gives {element, set(text), mark(problems), disabled}. Tab stays a way out of it: indenting is by
 * spaces, as YAML wants.
 */

import { h } from "../../files/parts.js";

const WAIT = 700; // ms after the last key

export function editor(text, onchange) {
  const area = h("textarea", { class: "yaml", spellcheck: "false", autocapitalize: "off", wrap: "off", "aria-label": "The study's YAML", "aria-describedby": "yaml-problems" });
  const gutter = h("ol", { class: "gutter", "aria-hidden": "true" });
  const list = h("ul", { class: "problems", id: "yaml-problems", "aria-live": "polite" });
  const element = h("div", { class: "editor" }, h("div", { class: "pane" }, gutter, area), list);
  let timer = 0;
  let marked = new Set();

  function number() {
    const lines = area.value.split("\n").length;
    gutter.replaceChildren(...Array.from({ length: lines }, (_, i) => h("li", { class: marked.has(i + 1) && "bad" }, i + 1)));
    gutter.scrollTop = area.scrollTop;
  }

  function goTo(line) {
    const lines = area.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    area.focus();
    area.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
    area.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(area).lineHeight));
  }

  area.oninput = () => {
    number();
    clearTimeout(timer);
    timer = setTimeout(() => onchange(area.value), WAIT);
  };
  area.onscroll = () => (gutter.scrollTop = area.scrollTop);
  area.value = text;
  number();

  return {
    element,
    get value() {
      return area.value;
    },
    get focused() {
      return document.activeElement === area;
    },
    set(next) {
      if (area.value === next) return;
      const at = area.scrollTop;
      area.value = next;
      number();
      area.scrollTop = at;
    },
    lock() {
      area.readOnly = true;
    },
    mark(problems) {
      marked = new Set(problems.map((one) => one.line).filter(Boolean));
      number();
      list.replaceChildren(...problems.map((one) =>
        h("li", {}, one.line ? h("button", { type: "button", class: "at", onclick: () => goTo(one.line) }, `Line ${one.line}`) : null, h("span", {}, one.found))));
    },
  };
}
