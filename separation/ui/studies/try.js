/** Step 2: make the audio, see what is wrong, take the test oneself, let simulated listeners take it, and launch. */

import { addressOf, ask, failure, fillIn, h, interval, many, number, percent } from "../../files/parts.js";
import { error, linkOf, of, press, progressOf, refresh, sure } from "./shared.js";

const EVERY = 700; // ms between two looks while something is at work
const LEVELS = { error: "To mend", warning: "To know", note: "Measured" };

export async function tryView(view, { study }) {
  const said = h("div", { class: "said" });
  const [build, preview, findings, dry, launch] = ["build", "preview", "findings", "dry", "launch"].map((name) => h("section", { class: `card ${name}` }));
  let timer = 0;

  const start = (path, body) => ({ currentTarget }) => press(currentTarget, said, failure, async () => {
    said.replaceChildren();
    await ask(of(study.name, path), { method: "POST", body: body ?? {} });
    await look();
  });

  async function look() {
    const found = await ask(of(study.name, "try"));
    refresh(build, buildPart(found, start));
    refresh(preview, previewPart(found, study));
    refresh(findings, findingsPart(found, study, use));
    refresh(dry, dryPart(found, start));
    refresh(launch, launchPart(found));
    clearTimeout(timer);
    if (found.busy) timer = setTimeout(() => look().catch(later), EVERY);
  }
  /** Cut-offs that the check proposes, for the low and the mid anchor. */
  const use = (cuts) => ({ currentTarget }) => press(currentTarget, said, failure, async () => {
    said.replaceChildren();
    const { study: fields, was } = await ask(of(study.name));
    const lowPasses = fields.anchors.filter(({ kind }) => kind === "low_pass").sort((a, b) => (a.cut_hz ?? 3500) - (b.cut_hz ?? 3500));
    lowPasses.forEach((one, i) => (one.cut_hz = cuts[i]));
    await ask(of(study.name, "form"), { method: "PUT", body: { study: fields, was } });
    await look();
  });
  const later = () => (timer = setTimeout(() => look().catch(later), 5 * EVERY)); // a lost network or a restart

  function launchPart(found) {
    const listeners = found.plan?.listeners ?? 0;
    if (found.state !== "draft") {
      return [h("h2", {}, "Launched"), h("p", {}, "Listeners take it at ", h("code", {}, linkOf(study.name)), "."),
        h("div", { class: "line start" }, h("a", { class: "button strong", href: `#live?study=${study.name}` }, "Watch it live"))];
    }
    return [
      h("h2", {}, "Launch"),
      found.missing.length
        ? h("div", {}, h("p", {}, "Before listeners can come:"), h("ul", { class: "bullets" }, found.missing.map((one) => h("li", {}, one))))
        : h("p", {}, `${many(listeners, "place")} ${listeners === 1 ? "is" : "are"} planned. From then on the study stays as it is, and its link is open to whoever has it.`),
      found.missing.length ? null : found.doubts.map((one) => h("p", { class: "caution" }, one)),
      h("div", { class: "line start" }, h("button", { type: "button", class: "button strong", disabled: found.missing.length > 0, onclick: ({ currentTarget }) => press(currentTarget, said, failure, async () => {
        const warnings = found.findings.filter(({ level }) => level === "warning").length;
        const more = [...found.doubts, ...(warnings ? [`The check has ${many(warnings, "warning")}, which belong into your report.`] : [])].map((one) => ` ${one}`).join("");
        if (!(await sure(`Launch “${study.title}”?`, `The link is open from now on, and the study cannot be changed any more.${more}`, "Launch it"))) return;
        await ask(of(study.name, "launch"), { method: "POST", body: { was: found.was } });
        location.hash = `#live?study=${study.name}`;
      }) }, "Launch the study")),
    ];
  }

  fillIn(view, said, h("div", { class: "pair" }, build, preview), findings, dry, h("div", { class: "pair" }, await planner(study), launch));
  await look();
  return () => clearTimeout(timer);
}

// -- audio

function buildPart(found, start) {
  const task = found.tasks.build;
  const busy = task.status === "waiting" || task.status === "running";
  const words = {
    current: () => `Built: ${many(found.audio.stimuli, "sound")} of ${many(found.audio.items, "recording")}, ${number(found.audio.bytes / 1e6, 1)} MB, ${found.matched ? "all of one rate, length and level" : "all of one rate and length, as loud as they were"}.`,
    old: () => "The study was changed since its audio was built.",
    none: () => "Nothing is built yet. The models run on the mixtures, anchors are made, everything is aligned to the sample and matched in level.",
  };
  return [
    h("h2", {}, "1. Build the audio"),
    h("p", {}, words[found.built]()),
    busy ? progressOf(task, "Building the audio") : null,
    task.status === "failed" ? error(task.error) : null,
    h("div", { class: "line start" }, busy
      ? h("button", { type: "button", class: "button", onclick: start("cancel", { kind: "build" }) }, "Cancel")
      : h("button", { type: "button", class: found.built === "current" ? "button" : "button strong", disabled: found.locked || found.problems > 0, onclick: start("build") }, found.built === "none" ? "Build" : "Build again"),
      found.problems ? h("span", { class: "quiet" }, `${many(found.problems, "problem")} in the text come first.`) : null),
  ];
}

// -- taking it oneself

function previewPart(found, study) {
  const ready = found.built === "current" && found.pages.length > 0;
  const link = (i) => addressOf(`${of(study.name, "preview")}?page=${i}`);
  return [
    h("h2", {}, "2. Take it yourself"),
    h("p", {}, "Every page as a listener gets it, with the real sounds, in a tab of its own. What you answer there is thrown away."),
    found.pages.length ? h("ol", { class: "previews" }, found.pages.map((one, i) =>
      h("li", {}, ready ? h("a", { href: link(i), target: "_blank", rel: "noopener" }, one.title) : h("span", {}, one.title), one.about ? h("small", {}, one.about) : null))) : null,
    h("div", { class: "line start" }, ready
      ? h("a", { class: "button", href: link(0), target: "_blank", rel: "noopener" }, "Take it from the beginning")
      : h("span", { class: "quiet" }, found.problems ? "The text comes first." : "Build the audio first.")),
  ];
}

// -- what is wrong

function findingsPart(found, study, use) {
  const cuts = found.findings.find((one) => one.cuts.length)?.cuts;
  const groups = Object.keys(LEVELS).map((level) => [level, found.findings.filter((one) => one.level === level)]).filter(([, list]) => list.length);
  return [
    h("h2", {}, "What the check found"),
    found.checked
      ? found.findings.length ? null : h("p", { class: "quiet" }, "Nothing to say: lengths, bandwidths, anchors, alignment and loudness are as they should be.")
      : h("p", { class: "quiet" }, "It measures the built audio: lengths, bandwidths, what each anchor takes away, alignment, loudness. Build first."),
    groups.map(([level, list]) => h("details", { class: `found ${level}`, open: level !== "note" },
      h("summary", {}, h("strong", {}, LEVELS[level]), ` (${list.length})`),
      h("ul", {}, list.map((one) => h("li", {}, one.where ? h("b", {}, `${one.where}: `) : null, one.text))),
      level === "error" && !found.locked ? h("p", {}, h("a", { href: `#write?study=${study.name}` }, "Mend it in step 1, then build again")) : null)),
    cuts && !found.locked ? h("div", { class: "line start" }, h("button", { type: "button", class: "button", onclick: use(cuts) }, `Use ${cuts[0]} and ${cuts[1]} Hz`), h("span", { class: "quiet" }, "as the cut-offs of the anchors; then build again.")) : null,
  ];
}

// -- simulated listeners

function dryPart(found, start) {
  const task = found.tasks["dry-run"];
  const busy = task.status === "waiting" || task.status === "running";
  const old = task.status === "done" && task.version !== found.was;
  return [
    h("h2", {}, "3. Dry run"),
    h("p", {}, "Simulated listeners (attentive, biased, lazy, random, always 100) take the test; the report must find the truth they were given, and the screening must find who did not listen."),
    found.plan ? h("p", { class: "quiet" }, planWords(found.plan)) : null,
    found.plan_error ? error(found.plan_error) : null,
    busy ? progressOf(task, "Simulated listeners take the test") : null,
    task.status === "failed" ? error(task.error) : null,
    task.status === "done" ? recovery(task.result, old) : null,
    h("div", { class: "line start" }, busy
      ? h("button", { type: "button", class: "button", onclick: start("cancel", { kind: "dry-run" }) }, "Cancel")
      : h("button", { type: "button", class: "button", disabled: found.problems > 0 || !found.plan, onclick: start("dry-run") }, task.status === "done" ? "Run it again" : "Run it")),
  ];
}

function planWords(plan) {
  const range = (ends) => [...new Set(ends.map((end) => number(end, 0)))].join(" to "); // as they are written
  return `The plan: ${many(plan.listeners, "listener")} with ${range(plan.trials)} ${plan.trials[1] === 1 ? "trial" : "trials"} each (about ${range(plan.minutes)} ${Math.round(plan.minutes[1]) === 1 ? "minute" : "minutes"}); every condition of a recording gets ${range(plan.ratings)} answers. ${plan.notes.map((one) => `${one[0].toUpperCase()}${one.slice(1)}.`).join(" ")}`;
}

function recovery(found, old) {
  const value = (each) => (each === null ? "–" : number(each, 1));
  const range = (one) => (one.low === null ? null : h("small", {}, interval(one.low, one.high, 1)));
  const verdict = { right: "finds it", wrong: "says the opposite", undecided: "undecided" };
  const inside = { true: "inside", false: "outside", null: "–" };
  return h("div", { class: "recovery" },
    h("p", { class: found.ok ? "good" : "bad", role: "status" }, h("strong", {}, found.ok ? "The report recovers the truth." : "The report does not recover the truth."), old ? " The study was changed since." : ""),
    h("ul", { class: "bullets" }, found.verdicts.map((one) => h("li", {}, one))),
    h("details", {}, h("summary", {}, `True differences and what the report says (${found.recovered.length})`),
      h("div", { class: "scroll" }, h("table", { class: "numbers" },
        h("thead", {}, h("tr", {}, ["Pair", "Truth", "Report [95 %]", "Interval", "Verdict"].map((one) => h("th", { scope: "col" }, one)))),
        h("tbody", {}, found.recovered.map((one) => h("tr", { "data-wrong": one.order === "wrong" },
          h("th", { scope: "row" }, `${one.a} − ${one.b}`, h("small", {}, `${one.question}, ${one.attribute}`)), h("td", {}, value(one.truth)), h("td", {}, value(one.estimate), range(one)),
          h("td", {}, inside[one.covered]), h("td", {}, verdict[one.order]))))))),
    h("div", { class: "scroll" }, h("table", { class: "numbers small" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Simulated listeners"), Object.keys(found.listeners).map((mood) => h("th", { scope: "col" }, mood)))),
      h("tbody", {},
        h("tr", {}, h("th", { scope: "row" }, "took it"), Object.keys(found.listeners).map((mood) => h("td", {}, number(found.listeners[mood])))),
        h("tr", {}, h("th", { scope: "row" }, "left out by screening"), Object.keys(found.listeners).map((mood) => h("td", {}, number(found.caught[mood] ?? 0))))))));
}

// -- how many listeners

async function planner(study) {
  const said = h("div", { class: "planned", role: "status" });
  const listeners = study.study?.assignment.listeners ?? 20;
  const field = (label, value, more) => {
    const control = h("input", { type: "number", value, min: more.min, max: more.max, step: more.step, required: true });
    return [h("label", {}, label, control), control];
  };
  const [people, count] = field("Listeners", listeners, { min: 2, max: 1000, step: 1 });
  const [spread, sd] = field("Spread of differences (sd)", 15, { min: 0.1, max: 100, step: "any" });
  const [wanted, difference] = field("Difference to see", 10, { min: 0.1, max: 100, step: "any" });
  let asked = 0;
  async function plan() {
    const mine = ++asked;
    if (!form.checkValidity()) return;
    try {
      const found = await ask(`study-power?listeners=${count.value}&sd=${sd.value}&difference=${difference.value}`);
      if (mine !== asked) return;
      fillIn(said,
        h("p", { class: "big" }, `${many(found.listeners, "listener")} see about ${number(found.smallest_80, 1)} points.`),
        h("p", { class: "quiet" }, `With 80 % chance; ${number(found.smallest_90, 1)} points with 90 %. A difference of ${number(found.difference, 1)} is seen with ${percent(found.power)} chance; it needs ${number(found.needed_80)} listeners for 80 %, ${number(found.needed_90)} for 90 %.`),
        h("table", { class: "small" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Points"), found.table.map((one) => h("th", { scope: "col" }, number(one.difference))))),
          h("tbody", {}, h("tr", {}, h("th", { scope: "row" }, "Listeners, 80 %"), found.table.map((one) => h("td", {}, number(one.needed_80)))))));
    } catch (problem) {
      if (mine === asked) said.replaceChildren(failure(problem));
    }
  }
  const form = h("form", { class: "fields three", oninput: plan, onsubmit: (event) => event.preventDefault() }, people, spread, wanted);
  await plan();
  return h("section", { class: "card" }, h("h2", {}, "How many listeners?"),
    h("p", { class: "quiet" }, "On a scale of 0 to 100, each listener hearing everything. In MUSHRA tests the spread of a listener's differences is often 10 to 20 points; a pilot says yours."), form, said);
}
