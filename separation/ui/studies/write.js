/** Step 1: the study as a form and as text, side by side; either changes the other. Audio is uploaded here. */

import { ask, failure, fillIn, h, many, number } from "../../files/parts.js";
import { editor } from "./editor.js";
import { form } from "./form.js";
import { of, press, upload } from "./shared.js";

export async function writeView(view, { study, again }) {
  const said = h("div", { class: "said" });
  const status = h("span", { class: "quiet saved", role: "status" });
  let was = study.was;
  let waiting = Promise.resolve();

  /** One change after the other, so that a slow answer never overtakes a later one. */
  const send = (path, body, fromText) => {
    status.textContent = "Saving…";
    waiting = waiting.then(async () => {
      try {
        const answer = await ask(of(study.name, path), { method: "PUT", body: { ...body, was } });
        was = answer.was;
        panel.lacks(answer.absent);
        said.replaceChildren();
        show(answer, fromText);
      } catch (error) {
        status.textContent = "Not saved";
        said.replaceChildren(failure(error, again));
      }
    });
  };

  const fields = h("div", { class: "form" });
  const text = editor(study.text, (value) => send("text", { text: value }, true));
  let files = study.files;

  function fill(found) {
    if (!found) {
      fields.replaceChildren(h("section", { class: "card" }, h("h2", {}, "The text cannot be read as a form"),
        h("p", { class: "quiet" }, "Mend what is said under the text; the form is back as soon as it can be read.")));
      return;
    }
    fillIn(fields, form(found, { files, models: study.models, rules: study.rules, locked: study.locked, onchange: (changed) => send("form", { study: changed }, false) }));
  }

  function show(answer, fromText) {
    const wrong = answer.problems.length;
    status.textContent = wrong ? `Saved, with ${many(wrong, "problem")}` : "Saved";
    text.mark(answer.problems);
    for (const old of fields.querySelectorAll(".wrong")) old.remove();
    if (fromText) fill(answer.study);
    else {
      text.set(answer.text);
      for (const one of answer.problems.filter(({ field }) => field)) pin(fields, one);
    }
  }

  const panel = filesPanel(study, said, (left) => {
    files = left;
    for (const list of fields.querySelectorAll("datalist.audio")) list.replaceChildren(...left.map((one) => h("option", { value: `files/${one.name}` })));
  });

  fillIn(
    view,
    study.locked
      ? h("p", { class: "notice-card" }, "Listeners have this study: it stays as it is, so that every answer means the same. ", h("button", { type: "button", class: "button small", onclick: ({ currentTarget }) => press(currentTarget, said, failure, async () => {
        const { name } = await ask("studies", { method: "POST", body: { from: "copy", of: study.name } });
        location.hash = `#write?study=${name}`;
      }) }, "Write on in a copy"))
      : null,
    said,
    panel.element,
    h("div", { class: "sides" },
      fields,
      h("section", { class: "card text" }, h("div", { class: "line" }, h("h2", {}, "The same as text"), status),
        h("p", { class: "quiet" }, "This file is the study. Saved as you type; the form rewrites it (comments in it are lost then)."), text.element,
        h("div", { class: "line end" }, h("button", { type: "button", class: "button", onclick: () => download(study.name, text.value) }, "Download YAML"),
          h("a", { class: "button strong", href: `#try?study=${study.name}` }, "Build and try")))));
  fill(study.study);
  text.mark(study.problems);
  status.textContent = study.problems.length ? `Saved, with ${many(study.problems.length, "problem")}` : "Saved";
  if (study.locked) {
    text.lock();
    for (const control of fields.querySelectorAll("input, select, textarea, button")) control.disabled = true;
  }
}

/** Say at a field of the form what is wrong with it; if the form does not show it, above the form. */
function pin(fields, one) {
  const path = one.field.split(".");
  let at = null;
  while (path.length && !at) {
    at = fields.querySelector(`[data-path="${CSS.escape(path.join("."))}"]`);
    path.pop();
  }
  const words = h("p", { class: "wrong", role: "alert" }, at ? one.found : `${one.field}: ${one.found}`);
  if (at) {
    for (let box = at.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    at.append(words);
  } else fields.prepend(words);
}

function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  h("a", { href: url, download: `${name}.yaml` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** The study's own audio files: what is there, and a place to drop more. */
function filesPanel(study, said, onchange) {
  const list = h("ul", { class: "files" });
  const absent = h("div", { role: "status" });
  const choose = h("input", { type: "file", multiple: true, accept: "audio/*,.flac,.wav,.mp3,.ogg,.m4a", hidden: true });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
  const title = h("h2", {}, "");

  function show(files) {
    title.textContent = files.length ? `Audio files (${files.length})` : "Audio files";
    fillIn(list, files.map((one) =>
      h("li", {}, h("code", {}, `files/${one.name}`), h("span", { class: "quiet" }, `${number(one.seconds, 1)} s · ${number(one.sample_rate / 1000, 1)} kHz · ${one.channels === 1 ? "mono" : one.channels === 2 ? "stereo" : many(one.channels, "channel")}`),
        study.locked ? null : h("button", { type: "button", class: "button small", "aria-label": `Delete ${one.name}`, onclick: ({ currentTarget }) => press(currentTarget, said, failure, async () => {
          took(await ask(of(study.name, "files", one.name), { method: "DELETE" }));
        }) }, "Delete"))));
  }
  const lacks = (names) => fillIn(absent, names.length
    ? [h("strong", {}, `Named in the study, not here yet (${names.length})`), h("ul", { class: "files absent" }, names.map((name) => h("li", {}, h("code", {}, name))))]
    : []);
  const took = ({ files, absent: left }) => {
    show(files);
    lacks(left);
    onchange(files);
  };
  async function add(chosen) {
    bar.hidden = false;
    try {
      for (const [i, file] of [...chosen].entries()) {
        const answer = await upload(`${of(study.name, "files")}?file=${encodeURIComponent(file.name)}`, file, (part) => (bar.value = (i + part) / chosen.length));
        took(answer);
      }
      said.replaceChildren();
    } catch (error) {
      said.replaceChildren(failure(error));
    } finally {
      bar.hidden = true;
      choose.value = "";
    }
  }
  choose.onchange = () => add(choose.files);
  const panel = h("details", { class: "card uploads", open: !study.files.length || study.absent.length > 0 }, h("summary", {}, title),
    h("p", { class: "quiet" }, "Mixtures, true sources, and what other systems made of them. Name one file an item, and “files/mysystem-{item}.wav” finds them all."),
    list, absent,
    study.locked ? null : h("div", { class: "line start" }, h("button", { type: "button", class: "button", onclick: () => choose.click() }, "Add files"), bar, h("span", { class: "quiet" }, "or drop them here"), choose));
  panel.ondragover = (event) => !study.locked && event.preventDefault();
  panel.ondrop = (event) => {
    event.preventDefault();
    if (!study.locked && event.dataTransfer.files.length) add(event.dataTransfer.files);
  };
  show(study.files);
  lacks(study.absent);
  return { element: panel, lacks };
}
