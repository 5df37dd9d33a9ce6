/** A new study: from a template, from a file (ours or webMUSHRA's), or the example. */

import { ask, failure, h, number } from "../../files/parts.js";
import { press } from "./shared.js";

const slug = (title) => title.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40);

export async function newView(view) {
  const choices = await ask("study-choices");
  const said = h("div");
  view.append(
    h("p", { class: "crumbs" }, h("a", { href: "#list" }, "All studies"), " / ", h("strong", {}, "New study")),
    templateForm(choices, said),
    said,
    h("div", { class: "pair" }, fileForm(said), exampleCard(choices, said)),
  );
}

async function make(button, said, body) {
  await press(button, said, failure, async () => {
    const { name } = await ask("studies", { method: "POST", body });
    location.hash = `#write?study=${name}`;
  });
}

function templateForm(choices, said) {
  const title = h("input", { name: "title", required: true, maxlength: 200, placeholder: "Singing voices, three systems" });
  const name = h("input", { name: "name", required: true, pattern: "[a-z0-9][a-z0-9_\\-]{0,63}", maxlength: 64, placeholder: "singing-voices" });
  let typed = false;
  name.oninput = () => (typed = true);
  title.oninput = () => typed || (name.value = slug(title.value));
  const tick = (group, one, words, more, checked) => {
    const box = h("input", { type: "checkbox", name: group, value: one, checked });
    const why = h("small", { class: "why" });
    return { box, element: h("label", { class: "tick" }, box, h("span", {}, words, h("small", {}, more), why)), off: (reason) => {
      box.disabled = Boolean(reason);
      if (reason) box.checked = false;
      why.textContent = reason ?? "";
    } };
  };
  const recordings = choices.examples.map((one, i) => ({ ...one, ...tick("items", one.id, one.title, `${number(one.duration)} s; sources: ${one.sources.join(", ")}`, i === 0) }));
  const models = choices.models.map((one, i) => ({ ...one, ...tick("models", one.name, one.title, `${one.name}: ${one.sources.join(", ")}`, i === 0) }));
  const form = h("form", { class: "card" },
    h("h2", {}, "From a template"),
    h("div", { class: "templates", role: "radiogroup", "aria-label": "Template" }, choices.templates.map((one, i) =>
      h("label", { class: "template" }, h("input", { type: "radio", name: "template", value: one.key, checked: i === 0, required: true }),
        h("strong", {}, one.title), h("span", { class: "quiet" }, one.about)))),
    h("div", { class: "fields two" },
      h("label", {}, "Title", title),
      h("label", {}, "Name in the listeners' link", name)),
    h("div", { class: "pair" },
      h("fieldset", {}, h("legend", {}, "Recordings"),
        recordings.map(({ element }) => element),
        h("small", {}, "Your own are uploaded in the next step.")),
      h("fieldset", {}, h("legend", {}, "Models of this installation"),
        models.map(({ element }) => element),
        h("small", {}, "Audio of other systems is uploaded in the next step; nothing of it needs to be a model."))),
    h("div", { class: "line end" }, h("button", { class: "button strong" }, "Make the study")));
  form.onchange = () => fit(choices.templates.find(({ key }) => key === new FormData(form).get("template")), recordings, models);
  form.onchange();
  form.onsubmit = (event) => {
    event.preventDefault();
    const sent = new FormData(form);
    const body = { from: "template", template: sent.get("template"), title: title.value, name: name.value, items: sent.getAll("items"), models: sent.getAll("models") };
    make(event.submitter, said, body);
  };
  return form;
}

/** Every system has every recording: models must share a source, and where a template needs the true one, recordings have it. */
function fit(template, recordings, models) {
  const ticked = models.filter(({ box }) => box.checked);
  const shared = ticked.length ? ticked[0].sources.filter((source) => ticked.every(({ sources }) => sources.includes(source))) : [];
  for (const one of models) {
    const fits = !ticked.length || one.box.checked || one.sources.some((source) => shared.includes(source));
    one.off(fits ? null : `Does not give ${shared.join(" or ")}, as what is ticked does.`);
  }
  for (const one of recordings) {
    const fits = !template.target || !ticked.length || one.sources.some((source) => shared.includes(source));
    one.off(fits ? null : `Has no true ${shared.join(" or ")}, which ${template.title} needs.`);
  }
}

function fileForm(said) {
  const file = h("input", { type: "file", accept: ".yaml,.yml,text/yaml", required: true, "aria-label": "A study's YAML file" });
  const form = h("form", { class: "card" },
    h("h2", {}, "From a YAML file"),
    h("p", { class: "quiet" }, "Ours, or one of webMUSHRA's as it is: it is translated, and what cannot be said is told. Its audio files are uploaded in the next step."),
    file,
    h("div", { class: "line end" }, h("button", { class: "button" }, "Load the file")));
  form.onsubmit = async (event) => {
    event.preventDefault();
    const { submitter } = event;
    const text = await file.files[0].text();
    make(submitter, said, { from: "text", text, name: slug(file.files[0].name.replace(/\.ya?ml$/i, "")) });
  };
  return form;
}

function exampleCard(choices, said) {
  return h("section", { class: "card" }, h("h2", {}, "The example"),
    h("p", { class: "quiet" }, "A whole small study with every page, made of bundled recordings: to look at, to try, and to change."),
    choices.shipped.length
      ? h("div", { class: "line start" }, choices.shipped.map((one) =>
        h("button", { type: "button", class: "button", onclick: ({ currentTarget }) => make(currentTarget, said, { from: "example", example: one.name }) }, one.title)))
      : h("p", { class: "quiet" }, "This installation came without one."));
}
