/** Marks against metrics: does "bleed" sit where SIR is low? */

import { ask, fillIn, h, interval, many, number } from "./parts.js";

const POLL = 3000; // ms, while something is being measured

export async function marksView(view, query) {
  const blind = query.get("blind") === "1";
  fill(view, blind, await ask(`marks?blind=${Number(blind)}`));
}

function fill(view, blind, answer) {
  const { coverage, found, metrics, expected } = answer;
  const verdicts = found.filter((one) => one.expected);
  const total = Object.values(coverage).reduce((a, b) => a + b, 0);
  fillIn(view,
    h("section", { class: "card" },
      h("div", { class: "line" }, h("h2", {}, "Do marks sit where the metrics say?"),
        h("label", { class: "switch" }, h("input", { type: "checkbox", checked: blind, onchange: (event) => (location.hash = `marks?blind=${Number(event.target.checked)}`) }), "Only blind marks")),
      h("p", { class: "quiet" }, "For each mark, the seconds inside it against all other seconds of the same stem of the same recording: the mean inside minus the mean outside, averaged over marks, with a 95 % interval over recordings. Seconds in which the stem is hardly heard are left out."),
      h("details", { class: "about" }, h("summary", {}, "An example"),
        h("p", {}, "Somebody marks “bleed” on the vocals from 0:12 to 0:14. SIR, which says how little of the other sources is left, is 3 dB in these two seconds and 9 dB on average elsewhere: that mark counts −6 dB. If most such marks are well below 0, ears and SIR mean the same.")),
      measuring(coverage, total, view, blind)),
    found.length ? results(verdicts, found, metrics, expected) : nothing(total),
  );
  if (coverage.waiting && view.dataset.measuring) again(view, blind);
}

function measuring(coverage, total, view, blind) {
  const parts = [
    [coverage.stage, "with everything the separation had"],
    [coverage.clips, "from the kept audio, without references"],
    [coverage.waiting, "still to be measured"],
    [coverage.nothing, "with neither separation nor audio left"],
    [coverage.failed, "could not be measured; the log says why"],
  ].filter(([count]) => count);
  const done = total - coverage.waiting;
  const button = h("button", { type: "button", class: "button" }, "Measure now");
  button.onclick = async () => {
    button.disabled = true;
    view.dataset.measuring = "yes";
    await ask("marks", { method: "POST" });
    again(view, blind);
  };
  const busy = view.dataset.measuring;
  return h("div", { class: "coverage" },
    h("p", {}, total ? `${many(total, "trial")} with marks: ` : "No trial has a mark yet.", parts.map(([count, what]) => `${number(count)} ${what}`).join("; "), total ? "." : ""),
    coverage.waiting > 0 && [
      h("progress", { max: total, value: done, "aria-label": "Measured" }),
      busy ? h("span", { class: "quiet", role: "status" }, `Measuring: ${number(done)} of ${number(total)}`) : button,
    ]);
}

/** Look again in a moment, as long as the view is shown. */
function again(view, blind) {
  setTimeout(async () => {
    if (!view.isConnected) return;
    try {
      fill(view, blind, await ask(`marks?blind=${Number(blind)}`));
    } catch {
      again(view, blind); // the network may come back
    }
  }, POLL);
}

function nothing(total) {
  const text = total
    ? "Nothing has been measured of these yet, or no mark has seconds both inside and outside that can be compared."
    : "Listeners mark regions in the rating below the player: bleed, musical noise, and so on. They are compared here with the numbers of every second.";
  return h("section", { class: "card" }, h("p", {}, text));
}

function results(verdicts, found, metrics, expected) {
  const used = Object.keys(metrics).filter((name) => found.some((one) => one.metric === name));
  const labels = [...new Set(found.map((one) => one.label))];
  const cell = (label, metric) => found.find((one) => one.label === label && one.metric === metric);
  const without = Object.entries(expected).filter(([label, metric]) => labels.includes(label) && !cell(label, metric));
  return h("section", { class: "card" },
    verdicts.length > 0 && [h("h2", {}, "In words"), h("ul", { class: "verdicts" }, verdicts.map((one) => h("li", { "data-sure": String(one.sure) }, `${one.verdict}.`)))],
    without.length > 0 && h("p", { class: "quiet" }, `Without references there is no ${[...new Set(without.map(([, metric]) => metrics[metric].title))].join(", ")}: nothing can be said there of ${without.map(([label]) => label).join(", ")}.`),
    h("h2", {}, "Every kind of mark, every metric"),
    h("p", { class: "quiet" }, `Inside minus outside. Framed: what one would expect to be lower inside. ${many(found.length, "comparison")}: of twenty intervals one misses zero by chance.`),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Marks against metrics" },
      h("table", { class: "joined" },
        h("thead", {}, h("tr", {}, h("th", {}), used.map((name) => h("th", { scope: "col", title: metrics[name].about }, metrics[name].title, metrics[name].unit && h("small", {}, metrics[name].unit))))),
        h("tbody", {}, labels.map((label) => h("tr", {}, h("th", { scope: "row" }, h("a", { href: `#trials?label=${encodeURIComponent(label)}` }, label)), used.map((name) => figure(cell(label, name), metrics[name]))))))),
    h("details", { class: "about" }, h("summary", {}, "What these numbers mean"),
      h("dl", { class: "meanings" }, used.map((name) => h("div", {}, h("dt", {}, metrics[name].title), h("dd", {}, metrics[name].about))))));
}

function figure(one, { unit }) {
  if (!one) return h("td", { class: "quiet" }, "–");
  const digits = unit ? 1 : 2;
  const sign = one.difference >= 0.5 / 10 ** digits ? "+" : "";
  return h("td", { "data-expected": one.expected && "yes", title: `${one.verdict}.` },
    h("strong", { "data-sure": String(one.sure) }, `${sign}${number(one.difference, digits)}`),
    h("small", {}, interval(one.low, one.high, digits) || "no interval"),
    h("small", {}, `${many(one.marks, "mark")}, ${number(one.recordings)} rec.`));
}
