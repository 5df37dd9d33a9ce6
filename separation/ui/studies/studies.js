/**
 * The Studies page: signing in, the list, and the four steps of one study. Where one is, is in the address after the #:
 * `#new`, `#write?study=NAME`, `#try?…`, `#live?…`, `#results?…`; so going back works and a step can be kept as a bookmark.
 *
 * One file a view; each gives a function (view, route) that fills an element and may return what ends it when it is left.
 */

import { gate } from "../../files/gate.js";
import { ask, failure, fillIn, h } from "../../files/parts.js";
import { listView } from "./list.js";
import { liveView } from "./live.js";
import { newView } from "./new.js";
import { resultsView } from "./results.js";
import { STATES, of } from "./shared.js";
import { tryView } from "./try.js";
import { writeView } from "./write.js";

const VIEWS = { list: listView, new: newView, write: writeView, try: tryView, live: liveView, results: resultsView };
const STEPS = { write: "Write", try: "Build and try", live: "Live", results: "Results" };

const find = (selector) => document.querySelector(selector);
const head = find(".head");
let shown = 0; // what is asked for later wins, whichever answer comes first
let end = null;

/** "#write?study=x" -> {name: "write", query}. */
function route() {
  const [name, query = ""] = location.hash.slice(1).split("?");
  return { name: name in VIEWS ? name : "list", query: new URLSearchParams(query) };
}

/** The study's name, its state, and its steps. */
function heading(name, study) {
  if (!(name in STEPS)) return [];
  return [
    h("p", { class: "crumbs" }, h("a", { href: "#list" }, "All studies"), " / ", h("strong", {}, study.title),
      h("span", { class: "tag", "data-state": study.state }, STATES[study.state])),
    h("nav", { class: "tabs", "aria-label": "Steps of this study" },
      Object.entries(STEPS).map(([key, title], i) =>
        h("a", { href: `#${key}?study=${study.name}`, "aria-current": key === name && "page" }, h("b", { class: "nth", "aria-hidden": "true" }, i + 1), title))),
  ];
}

async function show() {
  const mine = ++shown;
  end?.();
  end = null;
  const { name, query } = route();
  find(".view").setAttribute("aria-busy", "true");
  const view = h("div", { class: "view" });
  let left = null;
  let title = [];
  try {
    const study = name in STEPS ? await ask(of(query.get("study"))) : null;
    title = study ? heading(name, study) : [];
    left = await VIEWS[name](view, { query, study, again: show });
  } catch (error) {
    if (mine !== shown) return;
    if (error.status === 401) {
      await enter();
      return;
    }
    view.replaceChildren(failure(error, show));
    if (!title.length) title = [h("p", { class: "crumbs" }, h("a", { href: "#list" }, "All studies"))];
  }
  if (mine !== shown) {
    left?.();
    return;
  }
  end = left;
  calm();
  fillIn(head, ...title);
  const same = find(".view").dataset.at === location.hash;
  view.dataset.at = location.hash;
  find(".view").replaceWith(view);
  if (!same) scrollTo({ top: 0 });
}

const { enter, calm } = gate(show, () => {
  shown++;
  end?.();
  end = null;
  head.replaceChildren();
  find(".view").replaceChildren();
});

addEventListener("hashchange", show);
await enter();
