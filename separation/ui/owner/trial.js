/** One trial: what was served, what was said of it, and its sound exactly as it was served, where it is kept. */

import { BASE, SCALES, ask, failure, h, lasting, many, number, seconds, when } from "./parts.js";

const SEVERITY = { 1: "slight", 2: "clear", 3: "strong" };

export async function trialView(view, query) {
  const id = query.get("id") ?? "";
  if (!/^[0-9a-f]{32}$/.test(id)) throw new Error("this address names no trial");
  const trial = await ask(`trials/${id}`);
  const listening = h("section", { class: "listening" });
  view.append(
    h("p", { class: "back" }, h("a", { href: "#trials", onclick: back }, "← Trials")),
    served(trial),
    listening,
    h("div", { class: "pair" }, said(trial), marked(trial, listening)),
    past(trial),
    deletion(trial));
  listen(listening, trial);
}

/** Back to the list as it was, with its filters, if that is where we come from. */
function back(event) {
  if (document.referrer || history.length < 2) return;
  event.preventDefault();
  history.back();
}

function served(trial) {
  const { served: given } = trial;
  const hashed = (text) => (text ? `${text.slice(0, 12)}…` : "none");
  const duration = given.length / given.sample_rate;
  const facts = [
    ["Served", when(1000 * trial.made)],
    ["Model", given.origin && given.origin !== trial.model ? `${trial.model} (${given.origin})` : trial.model],
    ["Weights", hashed(given.weights), given.weights],
    given.revision && ["Revision", hashed(given.revision), given.revision],
    ["Edited", given.edit ? "yes, see all that was recorded" : "no"],
    ["Names", trial.hidden ? "hidden until rated" : "shown"],
    ["Result", { full: "the whole separation", preview: "the preview" }[given.stage] ?? given.stage],
    Number.isFinite(duration) && ["Length", `${seconds(duration)}, from ${seconds(trial.start)} of the recording`],
    given.sample_rate && ["Sound", `${number(given.sample_rate / 1000, 1)} kHz, ${{ 1: "mono", 2: "stereo" }[given.channels] ?? many(given.channels, "channel")}`],
    given.gain !== undefined && ["Gain", given.gain === 1 ? "0 dB" : `${number(20 * Math.log10(given.gain), 1)} dB, common to all tracks`],
    ["References", given.references?.length ? given.references.join(", ") : "none"],
    ["Heard", heard(trial)],
    ["Earshot", given.version ?? "unknown"],
    given.licence && ["Licence", given.licence],
    ["Training", { true: "the listener allows it", false: "the listener does not allow it" }[trial.consent] ?? "not answered"],
  ].filter(Boolean);
  return h("section", { class: "card" },
    h("h2", {}, trial.name ?? "Without a name"),
    given.provenance && h("p", { class: "quiet" }, `${given.provenance}.`),
    h("dl", { class: "facts" }, facts.map(([name, value, title]) => h("div", {}, h("dt", {}, name), h("dd", { title }, value)))),
    h("details", {}, h("summary", {}, "Everything that was recorded when it was served"), h("pre", {}, JSON.stringify({ id: trial.id, kind: trial.kind, served: given, clips: trial.clips }, null, 1))));
}

function heard(trial) {
  const tracks = Object.entries(trial.seconds).filter(([, length]) => length > 0);
  return tracks.length ? tracks.map(([track, length]) => `${track} ${lasting(length)}`).join(", ") : "nothing";
}

/** The player on what was kept, or why there is nothing to play. */
async function listen(section, trial) {
  const why = { true: "its separation was gone, or there was no room, when the listener allowed it", false: "the listener does not allow it, or took that back" };
  section.append(h("h2", {}, "Listen again"));
  if (!trial.audio) {
    section.append(h("p", {}, `The audio of this trial is not kept: ${why[trial.consent] ?? "the listener did not say that it may be"}. What was said of it is all there is.`));
    return;
  }
  const [from, to] = trial.clip;
  const whole = Math.abs(to - from - trial.served.length / trial.served.sample_rate) < 0.01;
  section.append(
    h("p", { class: "quiet" }, `Sample by sample what the listener could hear${whole ? "" : `, of it the minute that is kept: ${seconds(from)} to ${seconds(to)}`}: 16 bit, with the gain it was served with. Their marks are on the tracks.`));
  try {
    await import(new URL("../static/player.js", BASE).href);
  } catch {
    section.append(failure(new Error("the player could not be loaded")));
    return;
  }
  const player = h("earshot-player", { base: BASE, kept: true, job: trial.id });
  player.addEventListener("earshot-stage", () => (player.regions = trial.marks.map((mark) => region(mark, trial))));
  section.append(player);
}

const region = (mark, trial) => ({
  id: mark.mark,
  track: mark.stem,
  start: trial.start + mark.start,
  end: trial.start + mark.end,
  title: `${mark.label}, ${SEVERITY[mark.severity]}`,
  strength: mark.severity,
  ...(mark.band_hz ? { low_hz: mark.band_hz[0], high_hz: mark.band_hz[1] } : {}),
});

function said(trial) {
  const stems = [...new Set(trial.answers.map(({ stem }) => stem))];
  const scales = Object.keys(SCALES).filter((scale) => trial.answers.some((answer) => answer.scale === scale));
  const answer = (stem, scale) => trial.answers.find((each) => each.stem === stem && each.scale === scale);
  const cell = (found) => h("td", {}, found ? [h("b", {}, found.value), h("small", {}, found.blind ? "blind" : "not blind")] : h("span", { class: "quiet" }, "–"));
  return h("section", { class: "card" }, h("h2", {}, "Answers"),
    stems.length
      ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Answers" }, h("table", { class: "answers" },
          h("thead", {}, h("tr", {}, h("th", {}), scales.map((scale) => h("th", { scope: "col" }, SCALES[scale])))),
          h("tbody", {}, stems.map((stem) => h("tr", {}, h("th", { scope: "row" }, stem), scales.map((scale) => cell(answer(stem, scale))))))))
      : h("p", { class: "quiet" }, "None."),
    h("h2", {}, "Comments"),
    trial.comments.length
      ? h("ul", { class: "comments" }, trial.comments.map(({ stem, text }) => h("li", {}, h("span", { class: "quiet" }, stem ?? "about all"), h("blockquote", {}, text))))
      : h("p", { class: "quiet" }, "None."));
}

function marked(trial, listening) {
  const play = (mark) => {
    const { start, end } = region(mark, trial);
    listening.querySelector("earshot-player")?.loop(start, end);
    listening.scrollIntoView({ behavior: "smooth", block: "start" });
  };
  const place = (mark) => {
    const text = `${seconds(trial.start + mark.start)} – ${seconds(trial.start + mark.end)}`;
    return trial.audio ? h("button", { type: "button", class: "button", onclick: () => play(mark), title: "Loop it" }, text) : h("span", {}, text);
  };
  return h("section", { class: "card" }, h("h2", {}, "Marks"),
    trial.marks.length
      ? h("ul", { class: "marks" }, trial.marks.map((mark) => h("li", {}, place(mark),
          h("span", {}, h("strong", {}, mark.label), ` on ${mark.stem}, ${SEVERITY[mark.severity]}`, mark.band_hz && `, ${mark.band_hz.map((hz) => number(hz)).join(" – ")} Hz`),
          h("small", {}, mark.blind ? "blind" : "not blind"))))
      : h("p", { class: "quiet" }, "None."));
}

/** What happened, in the order in which it was made; nothing of it was ever overwritten. */
function past(trial) {
  const tell = ({ payload }) => ({
    answer: () => `${SCALES[payload.scale]} of ${payload.stem}: ${payload.value ?? "taken back"}`,
    mark: () => `mark ${payload.label} on ${payload.stem}, ${seconds(payload.start)} – ${seconds(payload.end)}, ${SEVERITY[payload.severity]}`,
    unmark: () => "a mark taken back",
    comment: () => `comment on ${payload.stem ?? "all"}: ${payload.text || "taken back"}`,
    consent: () => `training use: ${payload.training ? "yes" : "no"}`,
    heard: () => {
      const saw = ["model", "metrics", "views"].filter((what) => payload[`saw_${what}`]);
      const tracks = Object.entries(payload.seconds).map(([track, length]) => `${track} ${lasting(length)}`).join(", ");
      return `heard ${tracks || "nothing"}; saw ${saw.join(", ") || "nothing of the model"}`;
    },
  })[payload.kind]?.() ?? payload.kind;
  return h("section", { class: "card" },
    h("details", {}, h("summary", {}, `History: ${many(trial.history.length, "event")}`),
      h("ol", { class: "history" }, trial.history.map((event) => h("li", {}, h("time", { title: `received ${when(1000 * event.received)}` }, when(event.made)), h("span", {}, tell(event)))))));
}

/** Two ways to delete, each asks first. */
function deletion(trial) {
  const trials = many(trial.of_listener, "trial");
  const others = h("a", { href: `#trials?listener=${encodeURIComponent(trial.listener)}&empty=1` }, `${trials} of this listener`);
  const one = asking(trial, {
    button: "Delete this trial…", title: "Delete this trial?", act: "Delete", path: `trials/${trial.id}`, done: "Deleted",
    about: "This trial with its answers, marks and comments, and the audio that nobody else let be kept, is deleted, as if its listener had withdrawn it. This cannot be undone. Exports that were fetched before still have it.",
  });
  const all = asking(trial, {
    button: "Forget this listener…", title: "Forget this listener?", act: "Forget", path: `listeners/${encodeURIComponent(trial.listener)}`, done: "Forgotten",
    about: `${trials} with all answers, marks and comments, and the audio that nobody else let be kept, ${trial.of_listener === 1 ? "is" : "are"} deleted. This cannot be undone. Exports that were fetched before still have them.`,
  });
  return h("section", { class: "card" }, h("h2", {}, "The listener"),
    h("p", {}, "A random id that a browser made: ", h("code", {}, trial.listener), ". ", others, "."),
    h("div", { class: "line start" }, one, h("span", { class: "quiet" }, "a test, or nonsense: this trial alone is deleted")),
    h("div", { class: "line start" }, all, h("span", { class: "quiet" }, "when they ask for it: everything of theirs is deleted")));
}

/** A button that asks, then deletes, and says what is gone. */
function asking(trial, { button, title, about, act, path, done }) {
  const note = h("p", { role: "alert" });
  const go = h("button", { type: "submit", class: "button danger" }, act);
  const dialog = h("dialog", { "aria-label": title },
    h("h2", {}, title), h("p", {}, about), note,
    h("form", { method: "dialog" }, h("button", { type: "button", class: "button", autofocus: true, onclick: () => dialog.close() }, "Keep"), go));
  dialog.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    go.disabled = true;
    const view = dialog.closest(".view");
    view.querySelector("earshot-player")?.remove(); // its sound is about to go
    try {
      const gone = await ask(path, { method: "DELETE" });
      dialog.close();
      const heading = h("h2", { tabindex: -1 }, done);
      view.replaceChildren(h("section", { class: "card", role: "status" }, heading,
        h("p", {}, `${many(gone.trials, "trial")}, ${many(gone.events, "event")} and ${many(gone.clips, "clip")} of audio ${gone.trials + gone.events + gone.clips === 1 ? "was" : "were"} deleted.`), h("p", {}, h("a", { href: "#trials" }, "Back to the list"))));
      heading.focus();
    } catch (error) {
      note.replaceChildren(...failure(error).childNodes);
      go.disabled = false;
    }
  };
  return [h("button", { type: "button", class: "button danger", onclick: () => dialog.showModal() }, button), dialog];
}
