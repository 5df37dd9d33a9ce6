/**
 * The Ratings page and its parts (`gate.js` signs in). Where one is, and what is filtered for, is in the address after the #, so that
 * going back works and a list can be kept as a bookmark. One file a part: `overview.js`, `trials.js`, `trial.js`, `models.js`,
 * `marks.js`, `exports.js`; each gives a function (view, route) that fills an element.
 */

import { exportsView } from "./exports.js";
import { gate } from "./gate.js";
import { marksView } from "./marks.js";
import { modelsView } from "./models.js";
import { overviewView } from "./overview.js";
import { ask, failure, h } from "./parts.js";
import { trialView } from "./trial.js";
import { trialsView } from "./trials.js";

const VIEWS = {
  overview: ["Overview", overviewView],
  trials: ["Trials", trialsView],
  trial: [null, trialView],
  models: ["Models", modelsView],
  marks: ["Marks and metrics", marksView],
  export: ["Export", exportsView],
};

const find = (selector) => document.querySelector(selector);
const tabs = find(".tabs");
let shown = 0; // what is asked for later wins, whichever answer comes first

/** "#trials?model=x" -> {name: "trials", query}. */
function route() {
  const [name, query = ""] = location.hash.slice(1).split("?");
  return { name: name in VIEWS ? name : "overview", query: new URLSearchParams(query) };
}

async function show() {
  const mine = ++shown;
  const { name, query } = route();
  const old = find(".view");
  tabs.replaceChildren(
    ...Object.entries(VIEWS)
      .filter(([, [title]]) => title)
      .map(([key, [title]]) => {
        const current = key === name || (key === "trials" && name === "trial");
        return h("a", { href: `#${key}`, "aria-current": current && "page" }, title);
      }),
  );
  old.setAttribute("aria-busy", "true");
  const view = h("div", { class: "view" });
  try {
    await VIEWS[name][1](view, query);
  } catch (error) {
    if (mine !== shown) return;
    if (error.status === 401) {
      await enter();
      return;
    }
    view.replaceChildren(failure(error, show));
  }
  if (mine !== shown) return;
  calm();
  find(".view").replaceWith(view);
  scrollTo({ top: 0 });
}

const { enter, calm } = gate(show, () => {
  shown++;
  find(".view").replaceChildren();
});

addEventListener("hashchange", show);
await enter();
