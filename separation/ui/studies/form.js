/**
 * The study as a form. It works on a copy of what the server read from the text and hands the whole back on every change:
 * the server writes the text, so form and text cannot say different things.
 *
 * Every control has `data-path` (questions.0.title), so that the server's messages find it.
 */

import { h } from "../../files/parts.js";
import { ATTRIBUTES, KINDS, PAGES } from "./shared.js";

const WAIT = 500; // ms after the last key
const ANCHORS = {
  low_pass: "Low-pass (3.5 and 7 kHz are BS.1534's)",
  mixture: "The mixture: no separation",
  interference: "Target plus scaled interference",
  artefacts: "Target plus musical noise",
  distorted: "Distorted target",
  ratio_mask: "Oracle ratio mask (near the top)",
};
const DESIGNS = {
  latin: "Latin square",
  williams: "Williams (balances what follows what)",
  full: "Every listener hears everything",
  incomplete: "Balanced incomplete blocks",
  random: "Random subsets",
};
const LOUDNESS = {
  target: "Match the target component (least squares)",
  bs1770: "Match loudness (BS.1770)",
  none: "As produced",
};
const REFERENCES = { target: "the target", mixture: "the mixture" };
const FIELDS = { choice: "One of several", choices: "Several", text: "Words", number: "Number", check: "Tick box" };

/**
 * Args of `form`: the study; {files, models, rules, onchange(study)}. The form is rebuilt in part where rows come and go.
 */
export function form(study, context) {
  const copy = structuredClone(study);
  const state = { study: copy, ...context, timer: 0 };
  state.changed = () => {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => context.onchange(structuredClone(copy)), WAIT);
  };
  return [
    h("datalist", { id: "audio-files", class: "audio" }, context.files.map((one) => h("option", { value: `files/${one.name}` }))),
    h("datalist", { id: "model-names" }, context.models.map((one) => h("option", { value: one.name }, one.title))),
    section("About the study", true, about(state)),
    section("Systems", true, systems(state), "What is compared. Listeners never see these names, nor anything they could guess them from."),
    section("Recordings", true, items(state), "Each is heard in every condition. About ten seconds is best; BS.1534 asks for at least five recordings."),
    section("Questions", true, questions(state), "Asked about every recording, one attribute a trial."),
    section("Anchors", false, anchors(state), "Conditions of known quality that Earshot makes from mixture and target."),
    section("Pages", false, pages(state), "Empty: consent, level, headphone check, instructions, training, trials, end."),
    section("Who hears what", false, assignment(state)),
    section("Sound", false, sound(state)),
    section("Known answers and screening", false, [gold(state), screening(state)], "What listeners must not know: answers of gold and trap trials never leave the server."),
  ];
}

function section(title, open, content, about) {
  return h("details", { class: "card part", open }, h("summary", {}, h("h2", {}, title)), about ? h("p", { class: "quiet" }, about) : null, content);
}

// -- single controls

function labelled(path, label, control, help) {
  return h("label", { "data-path": path }, label, control, help ? h("small", {}, help) : null);
}

function words(state, row, key, path, label, { long, help, placeholder, list, numeric, step } = {}) {
  const control = h(long ? "textarea" : "input", { placeholder, list, rows: long ? 3 : null, type: numeric ? "number" : long ? null : "text", step: numeric ? (step ?? "any") : null });
  control.value = row[key] ?? "";
  control.oninput = () => {
    row[key] = numeric ? (control.value === "" ? null : Number(control.value)) : control.value;
    state.changed();
  };
  return labelled(path, label, control, help);
}

const numeric = (state, row, key, path, label, more = {}) => words(state, row, key, path, label, { ...more, numeric: true });

function choice(state, row, key, path, label, options, after) {
  const control = h("select", {}, Object.entries(options).map(([value, text]) => h("option", { value, selected: row[key] === value }, text)));
  control.onchange = () => {
    row[key] = control.value;
    state.changed();
    after?.();
  };
  return labelled(path, label, control);
}

function tick(state, row, key, path, label) {
  const control = h("input", { type: "checkbox", checked: row[key] });
  control.onchange = () => {
    row[key] = control.checked;
    state.changed();
  };
  return h("label", { class: "switch", "data-path": path }, control, label);
}

/** Ticks whose values make a list; all empty may mean "all". */
function ticks(state, row, key, path, label, options) {
  const boxes = Object.entries(options).map(([value, text]) => {
    const box = h("input", { type: "checkbox", value, checked: row[key].includes(value) });
    box.onchange = () => {
      row[key] = boxes.map((one) => one.querySelector("input")).filter((one) => one.checked).map((one) => one.value);
      state.changed();
    };
    return h("label", { class: "switch" }, box, text);
  });
  return h("fieldset", { class: "ticks", "data-path": path }, h("legend", {}, label), boxes);
}

/** A text for listeners: one, or one a language where the study has several. */
function text(state, row, key, path, label, options = {}) {
  const languages = state.study.languages;
  if (typeof row[key] === "string" && languages.length < 2) return words(state, row, key, path, label, options);
  const held = typeof row[key] === "string" ? { [languages[0] ?? "en"]: row[key] } : { ...row[key] };
  const all = [...new Set([...languages, ...Object.keys(held)])];
  const set = () => (row[key] = Object.values(held).some(Boolean) ? Object.fromEntries(Object.entries(held).filter(([, value]) => value)) : "");
  return h("details", { class: "languages wide", open: all.some((language) => held[language]), "data-path": path }, h("summary", {}, label, h("small", {}, all.map((language) => (held[language] ? language : null)).filter(Boolean).join(", ") || "none of its own")),
    all.map((language) => {
      const control = h(options.long ? "textarea" : "input", { rows: options.long ? 3 : null, lang: language });
      control.value = held[language] ?? "";
      control.oninput = () => {
        held[language] = control.value;
        set();
        state.changed();
      };
      return h("label", {}, language, control);
    }));
}

/** Rows that can be added, moved and taken away. `fresh()` makes one, `line(row, path, redraw)` draws it. */
function rows(state, list, path, { fresh, line, add, title, ordered }) {
  const box = h("div", { class: "rows", "data-path": path });
  const redraw = () => {
    box.replaceChildren(
      ...list.map((row, i) =>
        h("div", { class: "row" },
          h("div", { class: "line" }, h("strong", {}, title(row, i)), h("span", { class: "tools" },
            ordered && i ? tool("↑", `Move ${title(row, i)} up`, () => list.splice(i - 1, 2, row, list[i - 1])) : null,
            ordered && i < list.length - 1 ? tool("↓", `Move ${title(row, i)} down`, () => list.splice(i, 2, list[i + 1], row)) : null,
            tool("×", `Remove ${title(row, i)}`, () => list.splice(i, 1)))),
          h("div", { class: "cells" }, line(row, `${path}.${i}`, redraw)))),
      h("button", { type: "button", class: "button small", onclick: () => {
        list.push(fresh());
        redraw();
        state.changed();
      } }, add));
  };
  const tool = (sign, label, change) => h("button", { type: "button", class: "tool", "aria-label": label, title: label, onclick: () => {
    change();
    redraw();
    state.changed();
  } }, sign);
  redraw();
  return box;
}

/** An id that is not taken. */
function unused(list, word) {
  let number = list.length + 1;
  while (list.some((one) => one.id === `${word}-${number}`)) number++;
  return `${word}-${number}`;
}

// -- parts of the study

function about(state) {
  const { study } = state;
  const languages = { row: study.languages.join(", ") };
  return h("div", { class: "cells" },
    text(state, study, "title", "title", "Title, for listeners"),
    words(state, study, "contact", "contact", "Contact", { placeholder: "name@university.example", help: "Whom listeners can ask" }),
    words({ changed: () => {
      study.languages = languages.row.split(/[\s,]+/).filter(Boolean);
      state.changed();
    } }, languages, "row", "languages", "Languages", { help: "en, de, fr, es, zh: the pages speak them" }),
    words(state, study, "completion_code", "completion_code", "Completion code", { help: "Given at the end; empty: one is drawn" }),
    numeric(state, study, "seed", "seed", "Seed", { step: 1, help: "Of every order that is drawn" }));
}

function systems(state) {
  const list = state.study.systems;
  return rows(state, list, "systems", {
    fresh: () => ({ id: unused(list, "system"), label: "", model: "", files: "" }),
    add: "Add a system",
    title: (row) => row.label || row.id,
    line: (row, path) => [
      words(state, row, "id", `${path}.id`, "Id"),
      words(state, row, "label", `${path}.label`, "Name in the report"),
      words(state, row, "model", `${path}.model`, "Model of this installation", { list: "model-names", help: "Or name audio files" }),
      typeof row.files === "string"
        ? words(state, row, "files", `${path}.files`, "Audio files", { placeholder: "files/mysystem-{item}.wav", list: "audio-files" })
        : h("p", { class: "quiet" }, `Files by item: ${Object.keys(row.files).join(", ")} (change them in the text)`),
    ],
  });
}

function items(state) {
  const list = state.study.items;
  return rows(state, list, "items", {
    fresh: () => ({ id: unused(list, "item"), mixture: "", target: "", source: "", start: 0, duration: 10, group: "" }),
    add: "Add a recording",
    title: (row) => row.id,
    line: (row, path) => [
      words(state, row, "id", `${path}.id`, "Id"),
      words(state, row, "mixture", `${path}.mixture`, "Mixture", { list: "audio-files", placeholder: "files/…" }),
      words(state, row, "target", `${path}.target`, "True source", { list: "audio-files", placeholder: "files/… (reference)" }),
      words(state, row, "source", `${path}.source`, "Source of the models", { placeholder: "vocals" }),
      numeric(state, row, "start", `${path}.start`, "Start (s)"),
      numeric(state, row, "duration", `${path}.duration`, "Duration (s)"),
      words(state, row, "group", `${path}.group`, "Song or speaker", { help: "What clusters results" }),
    ],
  });
}

const FRESH = {
  attribute: "overall", title: "", text: "", references: ["target"], conditions: [], items: [], hidden_reference: true, tie: true,
  both_bad: true, comment: false, marks: false, views: false, switching: "bs1534", must_play: true, must_move: true, plays: null,
};

function questions(state) {
  const { study } = state;
  const list = study.questions;
  return rows(state, list, "questions", {
    fresh: () => ({ id: unused(list, "question"), kind: "mushra", ...structuredClone(FRESH) }),
    add: "Add a question",
    ordered: true,
    title: (row) => `${row.id}: ${KINDS[row.kind]}`,
    line: (row, path, redraw) => [
      words(state, row, "id", `${path}.id`, "Id"),
      choice(state, row, "kind", `${path}.kind`, "Kind", KINDS, redraw),
      choice(state, row, "attribute", `${path}.attribute`, "What is judged", ATTRIBUTES),
      choice(state, row, "switching", `${path}.switching`, "Switching", { bs1534: "5 ms out, then in (BS.1534)", crossfade: "Cross-fade" }),
      text(state, row, "title", `${path}.title`, "Title (empty: the usual one)"),
      text(state, row, "text", `${path}.text`, "Instruction (empty: the usual one)", { long: true }),
      ticks(state, row, "references", `${path}.references`, "Open references", REFERENCES),
      ticks(state, row, "conditions", `${path}.conditions`, "Conditions (none ticked: all that fit)", Object.fromEntries([...study.systems, ...study.anchors].map((one) => [one.id, one.label || one.id]).concat([["reference", "the hidden reference"], ["mixture", "the mixture"]]))),
      h("div", { class: "switches" },
        row.kind === "mushra" ? tick(state, row, "hidden_reference", `${path}.hidden_reference`, "Hidden reference") : null,
        row.kind === "ab" ? [tick(state, row, "tie", `${path}.tie`, "“No difference” is an answer"), tick(state, row, "both_bad", `${path}.both_bad`, "“Both bad” is an answer")] : null,
        tick(state, row, "must_play", `${path}.must_play`, "All must be played"),
        tick(state, row, "must_move", `${path}.must_move`, "All must be answered"),
        tick(state, row, "comment", `${path}.comment`, "A comment may be written"),
        tick(state, row, "marks", `${path}.marks`, "Regions may be marked"),
        tick(state, row, "views", `${path}.views`, "Waveform and spectrogram may be opened")),
      numeric(state, row, "plays", `${path}.plays`, "Plays at most", { step: 1, help: "Empty: any number" }),
    ],
  });
}

function anchors(state) {
  const list = state.study.anchors;
  return rows(state, list, "anchors", {
    fresh: () => ({ id: unused(list, "anchor"), kind: "low_pass", cut_hz: 3500, level_db: null, share: null }),
    add: "Add an anchor",
    title: (row) => `${row.id}: ${ANCHORS[row.kind]}`,
    line: (row, path, redraw) => [
      words(state, row, "id", `${path}.id`, "Id"),
      choice(state, row, "kind", `${path}.kind`, "Kind", ANCHORS, () => {
        Object.assign(row, { cut_hz: row.kind === "low_pass" ? 3500 : null, level_db: null, share: null });
        redraw();
      }),
      ["low_pass", "distorted"].includes(row.kind) ? numeric(state, row, "cut_hz", `${path}.cut_hz`, "Cut-off (Hz)") : null,
      ["interference", "artefacts"].includes(row.kind) ? numeric(state, row, "level_db", `${path}.level_db`, "Target above it (dB)") : null,
      row.kind === "artefacts" ? numeric(state, row, "share", `${path}.share`, "Share of points set to zero") : null,
    ],
  });
}

function pages(state) {
  const list = state.study.pages;
  return rows(state, list, "pages", {
    fresh: () => ({ kind: "instructions", title: "", text: "", fields: [], required: true, items: [], redirect: "" }),
    add: "Add a page",
    ordered: true,
    title: (row, i) => `${i + 1}. ${PAGES[row.kind]}`,
    line: (row, path, redraw) => [
      choice(state, row, "kind", `${path}.kind`, "Kind", PAGES, redraw),
      text(state, row, "title", `${path}.title`, "Title (empty: the usual one)"),
      row.kind === "trials" ? null : text(state, row, "text", `${path}.text`, "Text (empty: the usual one)", { long: true }),
      ["consent", "headphones"].includes(row.kind) ? tick(state, row, "required", `${path}.required`, "Needed to go on") : null,
      row.kind === "training" ? ticks(state, row, "items", `${path}.items`, "Recordings (none ticked: some of the test's)", Object.fromEntries(state.study.items.map((one) => [one.id, one.id]))) : null,
      row.kind === "end" ? words(state, row, "redirect", `${path}.redirect`, "Send the listener on to", { placeholder: "https://app.prolific.com/submissions/complete?cc={code}" }) : null,
      ["demographics", "questionnaire"].includes(row.kind) ? asks(state, row, path) : null,
    ],
  });
}

function asks(state, page, path) {
  return h("fieldset", { class: "wide" }, h("legend", {}, "Fields"), rows(state, page.fields, `${path}.fields`, {
    fresh: () => ({ name: `field-${page.fields.length + 1}`, kind: "text", label: "", options: [], required: false, minimum: null, maximum: null }),
    add: "Add a field",
    ordered: true,
    title: (row) => row.name,
    line: (row, at, redraw) => {
      const options = { row: row.options.filter((one) => typeof one === "string").join("\n") };
      return [
        words(state, row, "name", `${at}.name`, "Name"),
        choice(state, row, "kind", `${at}.kind`, "Kind", FIELDS, redraw),
        text(state, row, "label", `${at}.label`, "What is asked"),
        ["choice", "choices"].includes(row.kind) && row.options.every((one) => typeof one === "string")
          ? words({ changed: () => {
            row.options = options.row.split("\n").map((one) => one.trim()).filter(Boolean);
            state.changed();
          } }, options, "row", `${at}.options`, "Answers, one a line", { long: true })
          : null,
        row.kind === "number" ? [numeric(state, row, "minimum", `${at}.minimum`, "Least"), numeric(state, row, "maximum", `${at}.maximum`, "Most")] : null,
        tick(state, row, "required", `${at}.required`, "Must be answered"),
      ];
    },
  }));
}

function assignment(state) {
  const row = state.study.assignment;
  const path = "assignment";
  return h("div", { class: "cells", "data-path": path },
    choice(state, row, "design", `${path}.design`, "Design", DESIGNS),
    numeric(state, row, "listeners", `${path}.listeners`, "Listeners", { step: 1 }),
    numeric(state, row, "items_per_listener", `${path}.items_per_listener`, "Recordings a listener", { step: 1, help: "Empty: all" }),
    numeric(state, row, "systems_per_trial", `${path}.systems_per_trial`, "Systems a trial", { step: 1, help: "Empty: all" }),
    numeric(state, row, "repeats", `${path}.repeats`, "Share asked twice", { help: "To see how reliable a listener is" }),
    numeric(state, row, "repeat_gap", `${path}.repeat_gap`, "Trials between at least", { step: 1 }),
    numeric(state, row, "lease_minutes", `${path}.lease_minutes`, "Minutes until an abandoned place is free"),
    tick(state, row, "one_song_once", `${path}.one_song_once`, "Nobody hears one song twice"));
}

function sound(state) {
  return h("div", { class: "cells" },
    choice(state, state.study, "loudness", "loudness", "Loudness", LOUDNESS),
    numeric(state, state.study, "sample_rate", "sample_rate", "Sample rate (Hz)", { step: 1, help: "Empty: the highest of the recordings" }));
}

function gold(state) {
  const { study } = state;
  const list = study.gold;
  const options = (ids) => Object.fromEntries(ids.map((id) => [id, id]));
  return h("fieldset", {}, h("legend", {}, "Trials with a known answer"), rows(state, list, "gold", {
    fresh: () => ({ item: study.items[0]?.id ?? "", question: study.questions[0]?.id ?? "", trap: false, expect: { reference: 100 }, tolerance: 10 }),
    add: "Add a known answer",
    title: (row) => `${row.trap ? "Trap" : "Gold"}: ${row.item}`,
    line: (row, path) => [
      choice(state, row, "item", `${path}.item`, "Recording", options(study.items.map((one) => one.id))),
      choice(state, row, "question", `${path}.question`, "Question", options(study.questions.map((one) => one.id))),
      expected(state, row, path),
      numeric(state, row, "tolerance", `${path}.tolerance`, "May be off by"),
      tick(state, row, "trap", `${path}.trap`, "A trap: the audio says what to answer"),
    ],
  }));
}

/** "reference: 100" a line. */
function expected(state, row, path) {
  const held = { row: Object.entries(row.expect).map(([key, value]) => `${key}: ${value}`).join("\n") };
  return words({ changed: () => {
    const pairs = held.row.split("\n").filter((line) => line.includes(":")).map((line) => {
      const at = line.lastIndexOf(":");
      const value = line.slice(at + 1).trim();
      return [line.slice(0, at).trim(), value !== "" && !Number.isNaN(Number(value)) ? Number(value) : value];
    });
    row.expect = Object.fromEntries(pairs);
    state.changed();
  } }, held, "row", `${path}.expect`, "Right answers, one a line", { long: true, placeholder: "reference: 100" });
}

function screening(state) {
  const { study, rules } = state;
  return h("fieldset", { class: "rules", "data-path": "screening" }, h("legend", {}, "Screening rules of the report"),
    h("small", {}, "Nothing is ever deleted: the results can be seen with and without each rule."),
    rules.map((rule) => {
      const given = study.screening.find((one) => one.rule === rule.name);
      const box = h("input", { type: "checkbox", checked: Boolean(given) });
      const numbers = h("span", { class: "numbers", hidden: !given });
      const draw = () => {
        const row = study.screening.find((one) => one.rule === rule.name);
        numbers.hidden = !row;
        if (!row) return;
        numbers.replaceChildren(...Object.entries(rule.numbers).map(([name, usual]) => {
          const control = h("input", { type: "number", step: "any", "aria-label": `${rule.title}: ${name}` });
          control.value = row.numbers[name] ?? usual;
          control.oninput = () => {
            if (control.value === "" || Number(control.value) === usual) delete row.numbers[name];
            else row.numbers[name] = Number(control.value);
            state.changed();
          };
          return h("label", {}, name, control);
        }));
      };
      box.onchange = () => {
        if (box.checked) study.screening.push({ rule: rule.name, numbers: {} });
        else study.screening.splice(study.screening.findIndex((one) => one.rule === rule.name), 1);
        draw();
        state.changed();
      };
      draw();
      return h("div", { class: "rule" }, h("label", { class: "switch" }, box, h("strong", {}, rule.title)), h("small", {}, rule.about), numbers);
    }));
}
