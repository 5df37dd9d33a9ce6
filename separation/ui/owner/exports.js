/** Taking it out: the files of `earshot ratings export`. */

import { addressOf, ask, failure, h, many, number } from "./parts.js";

const FORMATS = {
  csv: ["CSV", "Three tables for spreadsheets: answers, marks, comments. A zip file."],
  parquet: ["Parquet", "The same tables for pandas, Arrow or DuckDB, with types. A zip file."],
  jsonl: ["JSON lines", "Everything, lossless: what was served and every event. “earshot ratings import” reads it back."],
  datasets: ["Data set", "For datasets.load_dataset: the kept audio and the tables, only of listeners who allowed training. A zip file."],
};

export async function exportsView(view) {
  await ask("session"); // who is signed out by now is asked for the token here, and not by a download
  const only = h("input", { type: "checkbox" });
  const said = h("p", { class: "notice", role: "status" });
  view.append(
    h("section", { class: "card" }, h("h2", {}, "Export"),
      h("p", { class: "quiet" }, "The same files as “earshot ratings export” writes. Withdrawn ratings are never in them: export again before you use or publish one, and delete the old one."),
      h("label", { class: "switch" }, only, "Only what may be used to train models (the data set always is)"),
      h("ul", { class: "formats" }, Object.entries(FORMATS).map(([format, [title, about]]) =>
        h("li", {}, h("strong", {}, title), h("p", { class: "quiet" }, about),
          h("button", { type: "button", class: "button", onclick: (event) => make(event.currentTarget, format, only.checked, said) }, `Export ${title}`)))),
      said));
}

async function make(button, format, onlyConsented, said) {
  const all = document.querySelectorAll(".formats button");
  for (const each of all) each.disabled = true;
  said.textContent = `Writing ${FORMATS[format][0]}…`;
  try {
    const done = await ask("exports", { method: "POST", body: { format, only_consented: onlyConsented } });
    const rows = Object.entries(done.rows).map(([name, count]) => `${number(count)} ${name}`).join(", ");
    const missing = done.missing ? ` The audio of ${many(done.missing, "clip")} is not here: their ratings are there without it.` : "";
    said.textContent = `${FORMATS[format][0]}: ${rows}, ${number(done.bytes / 1e6, 1)} MB. The download has started.${missing}`;
    h("a", { href: addressOf(`exports/${done.file}`), download: true }).click();
  } catch (error) {
    said.replaceChildren(...failure(error).childNodes);
  } finally {
    for (const each of all) each.disabled = false;
    button.focus();
  }
}
