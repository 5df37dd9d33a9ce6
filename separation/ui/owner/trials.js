/** The list of trials: filtered, sorted and cut into pages by the server; what is asked for stands in the address. */

import { SCALES, ask, dayOf, fillIn, h, lasting, many, number } from "./parts.js";

const COUNT = matchMedia("(max-width: 760px)").matches ? 20 : 50; // a row is a card there
const WAIT = 350; // ms after the last key, before it is searched for
const DEFAULTS = { sort: "served", descending: "1", start: "0", low: "1", high: "5" };
const COLUMNS = [
  ["served", "Served"], ["name", "Recording"], ["model", "Model"], ["overall", "Overall"], ["marks", "Marks"],
  [null, "Comments"], [null, "May train models"], ["heard", "Heard"],
]; // prettier-ignore

export async function trialsView(view, query) {
  const [{ choices }, page] = await Promise.all([ask("overview"), ask(`trials?${asked(query)}`)]);
  const list = h("section", { class: "card list" });
  view.append(filters(choices, query, list), list);
  fill(list, page, query);
}

const asked = (query) => new URLSearchParams({ ...Object.fromEntries(query), count: COUNT });
const value = (query, name) => query.get(name) ?? DEFAULTS[name] ?? "";

/** The address of this list with something changed; what is as usual is left out. */
function changed(query, changes) {
  const next = new URLSearchParams(query);
  if (!("start" in changes)) next.delete("start");
  for (const [name, each] of Object.entries(changes)) {
    if (each === "" || each === DEFAULTS[name]) next.delete(name);
    else next.set(name, each);
  }
  return `#trials${next.size ? `?${next}` : ""}`;
}

function filters(choices, query, list) {
  const form = h("form", { class: "card filters", "aria-label": "Filter", onsubmit: (event) => event.preventDefault() });
  let waiting = null;
  // The list changes in place, so that whoever types keeps the field; the address follows without another entry in the history.
  const apply = async () => {
    const changes = {};
    for (const each of form.elements) if (each.name) changes[each.name] = each.type === "checkbox" ? (each.checked ? "1" : "") : each.value;
    const address = changed(query, changes);
    history.replaceState(null, "", address);
    query = new URLSearchParams(address.split("?")[1] ?? "");
    reset.hidden = !narrowed(query);
    const now = (list.asked = asked(query).toString());
    list.setAttribute("aria-busy", "true");
    try {
      const page = await ask(`trials?${now}`);
      if (list.asked === now) fill(list, page, query);
    } catch (error) {
      if (list.asked === now) list.replaceChildren(h("p", { role: "alert" }, error.message));
    }
    list.removeAttribute("aria-busy");
  };
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, WAIT);
  };
  const select = (name, title, options) =>
    h("label", {}, title, h("select", { name, onchange: apply }, options.map(([key, text]) => h("option", { value: key, selected: key === value(query, name) }, text))));
  const any = (title, values, names = {}) => [["", title], ...values.map((each) => [each, names[each] ?? each])];
  const points = [1, 2, 3, 4, 5].map((each) => [String(each), String(each)]);
  const field = (name, title, type, placeholder) => h("label", {}, title, h("input", { name, type, placeholder, value: value(query, name), oninput: type === "search" ? soon : null, onchange: type === "search" ? null : apply }));
  const check = (name, title) => h("label", { class: "switch" }, h("input", { type: "checkbox", name, checked: value(query, name) === "1", onchange: apply }), title);
  const reset = h("a", { class: "button", href: "#trials", hidden: !narrowed(query) }, "Show all");
  form.append(
    h("div", { class: "fields" },
      select("model", "Model", any("all", choices.models)),
      choices.kinds.length > 1 && select("kind", "Kind", any("all", choices.kinds)),
      select("stem", "Stem", any("all", choices.stems)),
      select("scale", "Scale", any("any", choices.scales, SCALES)),
      select("label", "Mark", any("any or none", choices.labels)),
      h("div", { class: "range" }, select("low", "Answered from", points), select("high", "to", points)),
      h("div", { class: "range" }, field("since", "Served from", "date"), field("until", "to", "date")),
      field("text", "Search", "search", "comments and names")),
    h("div", { class: "switches" },
      check("blind", "Blind only"), check("consented", "May train models"), check("audio", "With audio"), check("empty", "Also without an answer"),
      query.get("listener") && h("span", { class: "tag" }, `only listener ${query.get("listener").slice(0, 10)}…`), reset));
  return form;
}

const narrowed = (query) => [...query.keys()].some((name) => !["sort", "descending", "start"].includes(name));

function fill(list, page, query) {
  const { total, start, trials } = page;
  if (!trials.length) {
    fillIn(list, h("p", { class: "none" }, narrowed(query) ? "No trial fits. " : "Nothing was rated yet. ",
      narrowed(query) && h("a", { href: "#trials" }, "Show all")));
    return;
  }
  const last = start + trials.length;
  fillIn(list,
    h("div", { class: "line" }, h("h2", {}, many(total, "trial")), order(query), pager(query, start, last, total)),
    h("table", { class: "trials" },
      h("thead", {}, h("tr", {}, COLUMNS.map(([key, title]) => heading(key, title, query)))),
      h("tbody", {}, trials.map(row))),
    total > trials.length && h("div", { class: "line end" }, pager(query, start, last, total)));
}

function heading(key, title, query) {
  if (!key) return h("th", { scope: "col" }, title);
  const current = value(query, "sort") === key;
  const down = value(query, "descending") === "1";
  const href = changed(query, { sort: key, descending: current && down ? "0" : "1" });
  return h("th", { scope: "col", "aria-sort": current ? (down ? "descending" : "ascending") : null }, h("a", { href }, title, current && h("i", { "aria-hidden": "true" }, down ? " ↓" : " ↑")));
}

/** The order, where there is no room for the heads of columns. */
function order(query) {
  const options = COLUMNS.filter(([key]) => key).flatMap(([key, title]) => [["1", "↓"], ["0", "↑"]].map(([descending, sign]) => [key, descending, `${title} ${sign}`]));
  const here = `${value(query, "sort")} ${value(query, "descending")}`;
  return h("label", { class: "order" }, "Order",
    h("select", { onchange: (event) => { const [sort, descending] = event.target.value.split(" "); location.hash = changed(query, { sort, descending }); } },
      options.map(([key, descending, text]) => h("option", { value: `${key} ${descending}`, selected: here === `${key} ${descending}` }, text))));
}

function pager(query, start, last, total) {
  const to = (first, text) => (first < 0 || first >= total || first === start
    ? h("span", { class: "button", "aria-disabled": "true" }, text)
    : h("a", { class: "button", href: changed(query, { start: String(first) }) }, text));
  return h("nav", { class: "pager", "aria-label": "Pages of the list" }, h("span", {}, `${number(start + 1)} – ${number(last)}`), total > last - start && [to(start ? Math.max(0, start - COUNT) : -1, "Previous"), to(start + COUNT, "Next")]);
}

function row(trial) {
  const overall = trial.answers.filter(({ scale }) => scale === "overall");
  const labels = [...new Set(trial.labels)].map((label) => {
    const count = trial.labels.filter((each) => each === label).length;
    return h("span", { class: "tag" }, count > 1 ? `${label} × ${count}` : label);
  });
  const blind = trial.answers.some((answer) => answer.blind);
  const cells = [
    h("td", { class: "when" }, dayOf(1000 * trial.made)),
    h("td", { class: "name" }, h("a", { href: `#trial?id=${trial.id}` }, trial.name ?? "Without a name"), trial.audio && h("small", {}, "with audio")),
    h("td", { class: "model" }, trial.model, trial.edited && h("span", { class: "tag" }, "edited"), (blind || trial.hidden) && h("small", {}, blind ? "blind" : "names hidden")),
    h("td", {}, overall.map(({ stem, value: points }) => h("span", { class: "point" }, h("b", {}, points), ` ${stem}`)), !overall.length && h("span", { class: "quiet" }, trial.answers.length ? "other scales" : "–")),
    h("td", {}, labels.length ? labels : h("span", { class: "quiet" }, "–")),
    h("td", {}, trial.commented ? number(trial.commented) : h("span", { class: "quiet" }, "–")),
    h("td", {}, { true: "yes", false: "no" }[trial.consent] ?? h("span", { class: "quiet" }, "not answered")),
    h("td", { class: "when" }, lasting(trial.heard)),
  ];
  cells.forEach((cell, i) => {
    cell.dataset.title = COLUMNS[i][1];
    cell.classList.toggle("none", cell.textContent === "–");
  });
  const open = (event) => {
    if (!event.target.closest("a") && !getSelection().toString()) location.hash = `trial?id=${trial.id}`;
  };
  return h("tr", { onclick: open }, cells);
}
