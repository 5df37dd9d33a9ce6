/** Models on each scale: means with intervals on one axis, and whether listeners agree. */

import { SCALES, ask, h, interval, many, number } from "./parts.js";

export async function modelsView(view, query) {
  const blind = query.get("blind") !== "0";
  const { scales } = await ask(`standings?blind=${Number(blind)}`);
  view.append(h("section", { class: "card" },
    h("div", { class: "line" }, h("h2", {}, "What listeners say of each model"),
      h("label", { class: "switch" }, h("input", { type: "checkbox", checked: blind, onchange: (event) => (location.hash = `models?blind=${Number(event.target.checked)}`) }), "Only blind answers")),
    h("p", { class: "quiet" }, "Means with 95 % intervals over listeners and recordings at once: where two bars overlap, these answers do not tell the models apart. " +
      "Nobody made listeners rate the same recordings with each model, so a difference may be one of recordings."),
    h("details", { class: "about" }, h("summary", {}, "What is agreement?"),
      h("p", {}, "Krippendorff's alpha for ordered answers, of those who rated the same stem of the same clip: 1 is perfect agreement, 0 what chance gives. " +
        "An example: two people say 4 and 5 of one clip, and 1 and 2 of another. They are never equal, yet alpha is 0.7: they order the clips alike. " +
        "Rules of thumb ask for 0.67 or more; opinions on sound rarely get there, which is why an interval needs several listeners."))));
  const found = Object.entries(scales);
  if (!found.length) {
    view.append(h("section", { class: "card" }, h("p", {}, blind ? "No answer was given blind yet. Switch the filter off to see all answers." : "There are no answers yet.")));
    return;
  }
  for (const [scale, ranked] of found) view.append(h("section", { class: "card" }, h("h2", {}, SCALES[scale]), table(ranked, scale)));
}

function table(ranked, scale) {
  const head = ["", "Model", "Mean", "1 – 5, 95 % interval", "Answers", "Agreement"];
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Ranking: ${SCALES[scale]}` },
    h("table", { class: "ranking" },
      h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, ranked.map((one, i) => row(one, i + 1, scale)))));
}

function row(one, rank, scale) {
  const place = (value) => `${(100 * (value - 1)) / 4}%`;
  const span = one.low === null ? null : h("i", { style: { left: place(one.low), width: `${(100 * (one.high - one.low)) / 4}%` } });
  const bounds = interval(one.low, one.high, 2) || "one listener, one recording: no interval";
  return h("tr", {},
    h("td", { class: "rank" }, rank),
    h("td", { class: "name" }, h("a", { href: `#trials?model=${encodeURIComponent(one.model)}&scale=${scale}` }, one.model), one.apart && h("span", { class: "tag" }, "told apart from the one above")),
    h("td", { class: "figure" }, number(one.mean, 2)),
    h("td", { class: "axis-cell" }, h("div", { class: "axis", title: bounds }, span, h("b", { style: { left: place(one.mean) } })), h("small", {}, bounds)),
    h("td", { class: "counts" }, many(one.answers, "answer"), h("small", {}, many(one.listeners, "listener")), h("small", {}, many(one.recordings, "recording"))),
    h("td", { class: "counts" }, ...agreement(one.agreement)));
}

function agreement({ alpha, low, high, units, answers }) {
  if (alpha === null) return [h("span", { class: "quiet" }, "–"), h("small", {}, units ? "all answers are the same" : "no clip with two listeners")];
  return [`α ${number(alpha, 2)}`, h("small", {}, interval(low, high, 2)), h("small", {}, `${many(answers, "answer")} on ${many(units, "clip")}`)];
}
