/** Step 3: who is where, what is answered so far, what looks odd; pausing, extending, closing. */

import { ask, failure, fillIn, h, many, number, percent, when } from "../../files/parts.js";
import { STATES, copyButton, linkOf, of, press, refresh, sure } from "./shared.js";

const EVERY = 3000; // ms between two looks

export async function liveView(view, { study, again }) {
  if (study.state === "draft") {
    view.append(h("section", { class: "card" }, h("h2", {}, "Not launched yet"), h("p", { class: "quiet" }, "When listeners come, you see here who is where, what they answered so far, and what looks odd."),
      h("div", { class: "line start" }, h("a", { class: "button strong", href: `#try?study=${study.name}` }, "Build and try"))));
    return null;
  }
  const said = h("div", { class: "said" });
  const [tiles, warnings, people, counts, power] = ["tiles", "warnings", "people", "counts", "power"].map((name) => h("div", { class: `live-${name}` }));
  const control = h("section", { class: "card" });
  let timer = 0;
  let state = null;

  async function look() {
    const found = await ask(of(study.name, "live"));
    refresh(tiles, [tilesOf(found)]);
    refresh(warnings, found.warnings.length ? [warningsOf(found.warnings)] : []);
    refresh(people, [peopleOf(found)]);
    refresh(counts, [countsOf(found)]);
    refresh(power, found.power.length ? [powerOf(found)] : []);
    if (state !== found.state) {
      state = found.state;
      fillIn(control, controls(found));
    }
  }

  function controls(found) {
    const turn = (to) => ({ currentTarget }) => press(currentTarget, said, failure, async () => {
      if (to === "closed" && !(await sure("Close the study?", "Nobody can begin any more; who is at it may finish. What was answered stays, and it can be opened again.", "Close it"))) return;
      await ask(of(study.name, "turn"), { method: "POST", body: { state: to } });
      await again();
    });
    const places = h("input", { type: "number", min: found.listeners.planned + 1, max: 5000, step: 1, value: found.listeners.planned + 5, "aria-label": "Places in all" });
    return [
      h("div", { class: "line" }, h("h2", {}, STATES[found.state] === "Open" ? "Open to listeners" : STATES[found.state]),
        h("span", { class: "line start" }, found.state === "open" ? h("button", { type: "button", class: "button", onclick: turn("paused") }, "Pause") : h("button", { type: "button", class: "button strong", onclick: turn("open") }, "Open again"),
          found.state === "closed" ? null : h("button", { type: "button", class: "button danger", onclick: turn("closed") }, "Close"))),
      h("dl", { class: "link-facts" },
        h("div", {}, h("dt", {}, "Link for listeners"), h("dd", { class: "link" }, h("code", {}, linkOf(study.name)), copyButton(linkOf(study.name)))),
        h("div", {}, h("dt", {}, "For a panel such as Prolific"), h("dd", { class: "link" }, h("code", {}, `${linkOf(study.name)}?pid={{%PROLIFIC_PID%}}`), copyButton(`${linkOf(study.name)}?pid={{%PROLIFIC_PID%}}`))),
        h("div", {}, h("dt", {}, "Completion code"), h("dd", {}, h("code", {}, found.code || "none")))),
      h("form", { class: "line start", onsubmit: (event) => {
        event.preventDefault();
        press(event.submitter, said, failure, async () => {
          await ask(of(study.name, "extend"), { method: "POST", body: { listeners: Number(places.value) } });
          await again();
        });
      } }, h("label", { class: "inline" }, "Places in all", places), h("button", { class: "button" }, "Extend"), h("span", { class: "quiet" }, "Orders that are taken stay; new ones are balanced with them.")),
    ];
  }

  fillIn(view, said, control, warnings, tiles, h("div", { class: "pair" }, counts, power), people);
  await look();
  timer = setInterval(() => look().catch(() => {}), EVERY); // a lost network: what was there stays
  return () => clearInterval(timer);
}

function tilesOf(found) {
  const { done, active, away, withdrawn, planned, free } = found.listeners;
  const facts = [
    [`${number(done)}`, "done", `of ${many(planned, "place")}`],
    [number(active), "at it now", away ? `${number(away)} left in the middle` : "seen in the last minutes"],
    [number(free), free === 1 ? "place is free" : "places are free", "abandoned ones come back"],
    [number(found.answers), "answers", `${number(found.trials)} trials`],
    [found.screened.listeners ? percent(found.screened.rate) : "–", "left out by screening", `${number(found.screened.excluded)} of ${many(found.screened.listeners, "listener")}`],
    [number(withdrawn), "withdrew", "their answers are deleted"],
  ];
  return h("dl", { class: "tiles" }, facts.map(([value, what, more]) => h("div", {}, h("dt", {}, what), h("dd", {}, value), h("dd", { class: "quiet" }, more))));
}

function warningsOf(list) {
  return h("section", { class: "card warned", role: "status" }, h("h2", {}, "Look at this"), h("ul", { class: "bullets" }, list.map((one) => h("li", {}, one))));
}

function countsOf(found) {
  const most = Math.max(1, ...found.counts.flatMap((one) => one.conditions.map(({ ratings, planned }) => Math.max(ratings, planned))));
  return h("section", { class: "card" }, h("h2", {}, "Answers by condition"),
    found.counts.length ? null : h("p", { class: "quiet" }, "Nothing was answered yet."),
    found.counts.map((one) => h("div", { class: "counted" }, h("h3", {}, one.title),
      h("ul", { class: "bars" }, one.conditions.map((each) => h("li", {}, h("span", {}, each.label), h("i", { style: { "--part": `${(100 * each.ratings) / most}%` } }), h("b", {}, each.planned ? `${number(each.ratings)} of ${number(each.planned)}` : number(each.ratings))))))));
}

function powerOf(found) {
  return h("section", { class: "card" }, h("h2", {}, "What can be seen so far"),
    h("ul", { class: "bullets" }, found.power.map((one) =>
      h("li", {}, h("strong", {}, `${one.title}: `), `${many(one.listeners, "listener")} see differences of about ${number(one.smallest_80, 1)} (80 % chance). `, h("span", { class: "quiet" }, `Their differences spread by ${number(one.deviation, 1)}; one of ${number(one.reference, 1)} needs ${number(one.needed)} listeners.`)))),
    h("p", { class: "quiet" }, "Do not stop because something is significant now: decide the number before, or results are too good."));
}

function peopleOf(found) {
  return h("section", { class: "card" }, h("h2", {}, "Who is where"),
    found.sessions.length ? h("div", { class: "scroll" }, h("table", { class: "people" },
      h("thead", {}, h("tr", {}, ["Listener", "Began", "Page", "State", "Minutes"].map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", {}, found.sessions.map((one) => h("tr", {},
        h("td", {}, h("code", {}, one.name), one.panel ? h("small", {}, `Panel: ${one.panel}`) : null), h("td", {}, when(1000 * one.began)),
        h("td", {}, h("span", { class: "where", style: { "--part": `${(100 * Math.min(one.page, one.of)) / Math.max(1, one.of)}%` } }, `${one.page} of ${one.of}`)),
        h("td", {}, h("span", { class: "tag", "data-state": one.state }, one.words), one.excluded ? h("small", {}, `Left out: ${one.excluded}`) : null),
        h("td", {}, number(one.minutes))))))) : h("p", { class: "quiet" }, "Nobody has come yet. Send the link above."));
}
