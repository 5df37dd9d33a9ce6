/** How much there is: counts, by day, answers on each scale, marks. Every bar leads to the trials behind it. */

import { SCALES, ask, h, lasting, many, number, percent } from "./parts.js";

const DAY = 24 * 3600 * 1000;
const MOST_DAYS = 62; // beyond, a bar is a month

export async function overviewView(view) {
  const found = await ask("overview");
  if (!found.rated) {
    const served = found.trials ? ` ${many(found.trials, "trial was", "trials were")} served, but nothing was said yet.` : "";
    view.append(h("section", { class: "card" }, h("h2", {}, "Nothing was rated yet"),
      h("p", { class: "quiet" }, `Whoever separates a recording can rate it below the player; it appears here at once.${served}`)));
    return;
  }
  view.append(
    tiles(found),
    h("section", { class: "card" }, h("h2", {}, "Rated trials by day"), days(found.days)),
    h("div", { class: "pair" },
      h("section", { class: "card" }, h("h2", {}, "Answers"), h("p", { class: "quiet" }, "From 1 (bad) to 5 (excellent). Click a bar to see who said so."), scales(found.scales)),
      h("section", { class: "card" }, h("h2", {}, "Marks"), h("p", { class: "quiet" }, "What was heard in a marked region. Click one to see the trials."), marks(found.marks))),
  );
}

function tiles(found) {
  const open = found.rated - found.consented - found.declined;
  const facts = [
    [number(found.rated), "rated trials", `${number(found.trials)} served, ${number(found.withdrawn)} withdrawn`],
    [number(found.listeners), found.listeners === 1 ? "listener" : "listeners", many(found.events, "event")],
    [found.blind === null ? "–" : percent(found.blind), "of answers blind", "given before name, metrics and views were seen"],
    [percent(found.consented / found.rated), "may train models", `${number(found.consented)} yes, ${number(found.declined)} no, ${number(open)} not answered`],
    [number(found.audio), "with audio", "kept while somebody who heard it allows that"],
    [lasting(3600 * found.hours), "heard", "all tracks together"],
  ];
  return h("dl", { class: "tiles" }, facts.map(([value, what, more]) => h("div", {}, h("dt", {}, what), h("dd", {}, value), h("dd", { class: "quiet" }, more))));
}

/** Gaps are days, too; a long time is told by months. */
function days(byDay) {
  const names = Object.keys(byDay);
  const first = Date.parse(names[0]);
  const last = Date.parse(names.at(-1));
  const monthly = (last - first) / DAY >= MOST_DAYS;
  const sums = new Map();
  for (let day = first; day <= last; day += DAY) {
    const name = new Date(day).toISOString().slice(0, monthly ? 7 : 10);
    sums.set(name, (sums.get(name) ?? 0) + (byDay[new Date(day).toISOString().slice(0, 10)] ?? 0));
  }
  const most = Math.max(...sums.values());
  const bars = [...sums].map(([name, count]) => {
    const until = monthly ? `${name}-31` : name;
    const title = `${name}: ${many(count, "trial")}`;
    return h("li", {}, h("a", { href: `#trials?since=${monthly ? `${name}-01` : name}&until=${lastDay(until)}`, title, "aria-label": title, style: { "--part": `${(100 * count) / most}%` } }));
  });
  return h("div", {},
    h("ol", { class: "days", style: { "--count": sums.size } }, bars),
    h("p", { class: "ends quiet" }, h("span", {}, [...sums.keys()][0]), h("span", {}, `at most ${number(most)} a ${monthly ? "month" : "day"}, UTC`), h("span", {}, [...sums.keys()].at(-1))));
}

/** A month's last day that exists. */
function lastDay(name) {
  const [year, month, day] = name.split("-").map(Number);
  return new Date(Date.UTC(year, month - 1, Math.min(day, new Date(Date.UTC(year, month, 0)).getUTCDate()))).toISOString().slice(0, 10);
}

function scales(byScale) {
  const most = Math.max(1, ...Object.values(byScale).flat());
  return h("div", { class: "scales" }, Object.entries(byScale).map(([scale, counts]) => {
    const total = counts.reduce((a, b) => a + b, 0);
    const mean = counts.reduce((sum, count, i) => sum + count * (i + 1), 0) / total;
    return h("div", { class: "scale" },
      h("p", {}, h("strong", {}, SCALES[scale]), h("span", { class: "quiet" }, total ? `mean ${number(mean, 2)} of ${many(total, "answer")}` : "no answers")),
      h("ol", { class: "points" }, counts.map((count, i) => {
        const title = `${SCALES[scale]}, ${i + 1}: ${many(count, "answer")}`;
        return h("li", {}, h("a", { href: `#trials?scale=${scale}&low=${i + 1}&high=${i + 1}`, title, "aria-label": title },
          h("i", { style: { "--part": `${(100 * count) / most}%` } }), h("b", {}, i + 1), h("span", {}, number(count))));
      })));
  }));
}

function marks(byLabel) {
  const most = Math.max(1, ...Object.values(byLabel));
  return h("ul", { class: "bars" }, Object.entries(byLabel).map(([label, count]) =>
    h("li", {}, h("a", { href: `#trials?label=${encodeURIComponent(label)}` }, h("span", {}, label), h("i", { style: { "--part": `${(100 * count) / most}%` } }), h("b", {}, number(count))))));
}
