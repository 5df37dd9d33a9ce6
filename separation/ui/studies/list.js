/** Every study: its state, how many listeners are done, and the link for them. */

import { ask, failure, h, many, number, percent, when } from "../../files/parts.js";
import { KINDS, STATES, copyButton, linkOf, of, refresh, sure } from "./shared.js";

const EVERY = 4000; // ms between two looks

export async function listView(view) {
  const top = h("div", { class: "line" }, h("h2", {}, "Your studies"), h("a", { class: "button strong", href: "#new" }, "New study"));
  const cards = h("div", { class: "studies" });
  view.append(top, cards);
  const look = async () => {
    const { studies } = await ask("studies");
    refresh(cards, studies.length ? studies.map(card) : [empty()]);
  };
  await look();
  const timer = setInterval(() => look().catch(() => {}), EVERY); // a lost network: what was there stays
  return () => clearInterval(timer);
}

function empty() {
  return h("section", { class: "card empty" }, h("h2", {}, "No study yet"),
    h("p", { class: "quiet" }, "A study asks listeners about the same recordings from several systems, blind and in balanced order. Begin with a template, or with the example to see a whole one."),
    h("p", {}, h("a", { class: "button strong", href: "#new" }, "Make the first one")));
}

function card(study) {
  const { done, active, planned } = study.listeners;
  const step = study.state === "draft" ? "write" : "live";
  return h("article", { class: "card study" },
    h("div", { class: "line" },
      h("h3", {}, h("a", { href: `#${step}?study=${study.name}` }, study.title)),
      h("span", { class: "tag", "data-state": study.state }, STATES[study.state])),
    h("p", { class: "quiet" }, study.kinds.length ? [...new Set(study.kinds)].map((kind) => KINDS[kind]).join(" · ") : "The text has something to mend",
      study.counts ? ` · ${many(study.counts.items, "recording")}, ${many(study.counts.conditions, "condition")}` : "", ` · changed ${when(1000 * study.changed)}`),
    study.state === "draft" ? draftLine(study) : progressLine(done, active, planned),
    h("div", { class: "line start" }, study.state === "draft"
      ? [h("a", { class: "button", href: `#write?study=${study.name}` }, "Write"), h("a", { class: "button", href: `#try?study=${study.name}` }, "Build and try"), deleteButton(study)]
      : [h("a", { class: "button", href: `#live?study=${study.name}` }, "Live"), h("a", { class: "button", href: `#results?study=${study.name}` }, "Results"),
        h("span", { class: "link" }, h("code", {}, linkOf(study.name)), copyButton(linkOf(study.name)))]));
}

function draftLine(study) {
  const words = study.problems ? `${many(study.problems, "problem")} in the text` : study.built === "current" ? "Its audio is built" : study.built === "old" ? "Changed since its audio was built" : "Its audio is not built yet";
  return h("p", { class: "quiet" }, words);
}

function progressLine(done, active, planned) {
  const part = planned ? Math.min(1, done / planned) : 0;
  return h("div", { class: "through" },
    h("i", { style: { "--part": percent(part).replace(" ", ""), "--more": `${planned ? Math.min(100, (100 * (done + active)) / planned) : 0}%` } }),
    h("p", {}, h("strong", {}, `${number(done)} of ${number(planned)}`), " listeners done", active ? `, ${number(active)} at it now` : ""));
}

function deleteButton(study) {
  return h("button", { type: "button", class: "button", onclick: async ({ currentTarget }) => {
    if (!(await sure(`Delete “${study.title}”?`, "Its text, its uploaded files and its audio are deleted. Nobody has taken it, so no answers are lost.", "Delete it"))) return;
    try {
      await ask(of(study.name), { method: "DELETE" });
      currentTarget.closest("article").remove();
    } catch (error) {
      currentTarget.closest("article").append(failure(error));
    }
  } }, "Delete");
}
