/**
 * The Ratings page: signing in, and its parts. Where one is, and what is filtered for, is in the address after the #, so that
 * going back works and a list can be kept as a bookmark. One file a part: `overview.js`, `trials.js`, `trial.js`, `models.js`,
 * `marks.js`, `exports.js`; each gives a function (view, route) that fills an element.
 */

import { exportsView } from "./exports.js";
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
const [locked, entry, tabs, leave, trouble] = [".locked", ".entry", ".tabs", ".leave", ".failure"].map(find);
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
  trouble.hidden = true;
  find(".view").replaceWith(view);
  scrollTo({ top: 0 });
}

async function enter() {
  let session;
  try {
    session = await ask("session");
  } catch (error) {
    trouble.replaceChildren(...failure(error, enter).childNodes);
    trouble.hidden = false;
    return;
  }
  trouble.hidden = true;
  locked.hidden = session.open;
  entry.hidden = !session.open || session.signed_in;
  tabs.hidden = leave.hidden = !session.signed_in;
  if (session.signed_in) await show();
  else {
    shown++;
    find(".view").replaceChildren();
    if (session.open) entry.elements.token.focus();
  }
}

entry.onsubmit = async (event) => {
  event.preventDefault();
  const { token } = entry.elements;
  try {
    await ask("session", { method: "POST", body: { token: token.value } });
    token.value = "";
    await enter();
  } catch (error) {
    trouble.replaceChildren(...failure(error).childNodes);
    trouble.hidden = false;
    token.select();
  }
};

leave.onclick = async () => {
  try {
    await ask("session", { method: "DELETE" });
  } catch (error) {
    trouble.replaceChildren(...failure(error).childNodes);
    trouble.hidden = false;
    return;
  }
  await enter();
};

addEventListener("hashchange", show);
await enter();
