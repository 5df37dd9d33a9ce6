/** Step 4: what was found, with and without each rule of screening; figures, tests, agreement, report, exports. */

import { addressOf, ask, failure, fillIn, h, interval, many, number, percent } from "../../files/parts.js";
import "../../../evaluate/figure.js";
import { error, of, press, progressOf } from "./shared.js";

const FEWEST = 10; // listeners, as `separation.statistics` has it
const FIGURES = { interval: "Means and intervals", box: "Box", violin: "Violin", forest: "Differences", strength: "Strengths" };

export async function resultsView(view, { study }) {
  if (study.state === "draft") {
    view.append(h("section", { class: "card" }, h("h2", {}, "No answers yet"), h("p", { class: "quiet" }, "Launch the study first. The dry run shows what this page will say."),
      h("div", { class: "line start" }, h("a", { class: "button strong", href: `#try?study=${study.name}` }, "Build and try"))));
    return null;
  }
  const rules = h("section", { class: "card rules" });
  const out = h("div", { class: "found-out" });
  let on = null; // null: as the study says
  let asked = 0;

  async function show() {
    const mine = ++asked;
    out.setAttribute("aria-busy", "true");
    try {
      const found = await ask(`${of(study.name, "results")}${query(on)}`);
      if (mine !== asked) return;
      on ??= found.rules.filter((rule) => rule.on).map((rule) => rule.name);
      fillIn(rules, rulesPart(found, (name, ticked) => {
        on = ticked ? [...on, name] : on.filter((one) => one !== name);
        show();
      }));
      const open = new Set([...out.querySelectorAll("details[data-key][open]")].map((one) => one.dataset.key));
      fillIn(out, resultsPart(found, study, on, show));
      for (const one of out.querySelectorAll("details[data-key]")) if (open.has(one.dataset.key)) one.open = true;
    } catch (problem) {
      if (mine !== asked) return;
      if (on === null) throw problem;
      fillIn(out, failure(problem, show));
    } finally {
      if (mine === asked) out.removeAttribute("aria-busy");
    }
  }
  fillIn(view, rules, out);
  await show();
  return () => asked++;
}

const query = (on, more = {}) => {
  const all = new URLSearchParams({ ...(on === null ? {} : { rules: on.join(",") }), ...more });
  return all.size ? `?${all}` : "";
};

// -- screening

function rulesPart(found, turn) {
  const { excluded } = found.analysis.screening;
  const names = Object.entries(excluded);
  return [
    h("div", { class: "line" }, h("h2", {}, "Whose answers count"), h("p", {}, h("strong", {}, `${number(found.analysis.kept)} of ${many(found.analysis.listeners, "listener")}`), " with the rules below")),
    h("p", { class: "quiet" }, "Nothing is deleted: turn a rule on or off, and everything below is computed anew."),
    h("div", { class: "switchboard" }, found.rules.map((rule) => {
      const box = h("input", { type: "checkbox", checked: rule.on, disabled: !rule.applies });
      box.onchange = () => turn(rule.name, box.checked);
      return h("label", { class: "rule-switch", "data-off": !rule.applies }, box,
        h("span", {}, h("strong", {}, rule.title), h("small", {}, rule.said), h("small", { class: "source" }, rule.source === "own" ? "a rule of ours" : rule.source)),
        h("b", { class: "alone", title: "Listeners that this rule alone would leave out" }, rule.applies ? (rule.alone ? `−${number(rule.alone)}` : "0") : "–"));
    })),
    names.length ? h("details", { "data-key": "excluded" }, h("summary", {}, `Who is left out, and why (${names.length})`),
      h("ul", { class: "reasons" }, names.map(([name, why]) => h("li", {}, h("code", {}, name.slice(0, 10)), h("span", {}, why.join("; ")))))) : null,
    Object.entries(found.analysis.screening.guards).flatMap(([, notes]) => notes).map((note) => h("p", { class: "quiet" }, note)),
  ];
}

// -- what was found

function resultsPart(found, study, on, show) {
  const { analysis } = found;
  return [
    analysis.warnings.length ? h("section", { class: "card warned" }, h("h2", {}, "Look at this"), h("ul", { class: "bullets" }, analysis.warnings.map((one) => h("li", {}, one)))) : null,
    analysis.questions.map((one) => judged(one, found, study, on)),
    metrics(found, study, show),
    files(found, study, on),
  ];
}

/** Objective metrics are measured once, when somebody wants them beside the answers. */
function metrics(found, study, show) {
  if (found.measured.length) return null;
  const said = h("div", { class: "said" });
  const button = h("button", { type: "button", class: "button", onclick: () => press(button, said, failure, async () => {
    await ask(of(study.name, "metrics"), { method: "POST", body: {} });
    for (;;) {
      const { metrics: task } = (await ask(of(study.name, "try"))).tasks;
      if (task.status === "done") break;
      if (task.status !== "waiting" && task.status !== "running") {
        said.replaceChildren(error(task.error));
        return;
      }
      said.replaceChildren(progressOf(task, "Measuring the sounds"));
      await new Promise((resolve) => setTimeout(resolve, 700));
    }
    await show();
  }) }, "Measure them");
  return h("section", { class: "card" }, h("h2", {}, "Objective metrics beside the answers"),
    h("p", { class: "quiet" }, "SI-SDR and BSS-eval v4 of every sound against its true source, whole and by the second: how they go with ratings, and what they say where listeners marked something."), said, h("div", { class: "line start" }, button));
}

function files(found, study, on) {
  const link = (path, words, more = {}) => h("a", { class: "button", href: addressOf(path), ...more }, words);
  return h("section", { class: "card" }, h("h2", {}, "Report and data"),
    h("div", { class: "line start" },
      link(`${of(study.name, "report.html")}${query(on)}`, "Open the report", { target: "_blank", rel: "noopener" }),
      link(`${of(study.name, "report.html")}${query(on, { download: 1 })}`, "Report, HTML", { download: true }),
      link(`${of(study.name, "report.md")}${query(on, { download: 1 })}`, "Report, Markdown", { download: true }),
      link(`${of(study.name, "report.zip")}${query(on)}`, "All with pictures, zip", { download: true })),
    h("p", { class: "quiet" }, "The report names every rule, anchor, gain, version and seed. The data below is always everything, whatever is screened."),
    h("ul", { class: "formats" }, found.formats.map(({ name, title, about, lacks }) =>
      h("li", {}, h("strong", {}, title), h("p", { class: "quiet" }, about), lacks
        ? [h("button", { type: "button", class: "button", disabled: true }, `Download ${title}`), h("small", {}, `Not here: ${lacks}.`)]
        : link(`${of(study.name, "export")}?format=${name}`, `Download ${title}`, { download: true })))));
}

function judged(one, found, study, on) {
  const key = `${one.question}.${one.attribute}`;
  return h("section", { class: "card judged" },
    h("div", { class: "line" }, h("h2", {}, one.title), h("p", { class: "quiet" }, `${many(one.listeners, "listener")}, ${many(one.trials, "trial")}, ${many(one.answers, "answer")}`)),
    one.cautions.map((each) => h("p", { class: "caution" }, each)),
    figures(one, found, study, on),
    one.lines.length ? lines(one) : null,
    one.pairs.length ? pairs(one, key) : null,
    one.votes ? votes(one.votes) : null,
    one.told.length ? told(one.told) : null,
    one.marks.length ? marks(one.marks) : null,
    one.correlations.length ? correlations(one.correlations) : null,
    second(one, key),
    one.texts.length ? h("details", { "data-key": `${key}.texts` }, h("summary", {}, `What they wrote (${one.texts.length})`), one.texts.map(([who, words]) => h("blockquote", {}, words, h("small", {}, who)))) : null);
}

function figures(one, found, study, on) {
  const kinds = found.figures[`${one.question}.${one.attribute}`] ?? [];
  if (!kinds.length) return null;
  const at = (kind, format) => `${of(study.name, "figures", `${kind}.${format}`)}${query(on, { question: one.question, attribute: one.attribute })}`;
  const figure = h("earshot-figure", { src: addressOf(at(kinds[0], "json")), name: `${study.name}-${one.question}-${kinds[0]}` });
  const saves = h("span", { class: "line start" });
  const pick = (kind) => {
    figure.setAttribute("name", `${study.name}-${one.question}-${kind}`);
    figure.setAttribute("src", addressOf(at(kind, "json")));
    fillIn(saves, h("span", { class: "quiet" }, "For print:"), ["svg", "png", "pdf"].map((format) => h("a", { class: "button small", href: addressOf(at(kind, format)), download: true }, format.toUpperCase())));
    for (const button of tabs.children) button.setAttribute("aria-pressed", String(button.value === kind));
  };
  const tabs = h("div", { class: "kinds", role: "group", "aria-label": "Figure" }, kinds.map((kind) => h("button", { type: "button", value: kind, onclick: () => pick(kind) }, FIGURES[kind] ?? kind)));
  pick(kinds[0]);
  return h("div", { class: "figures" }, h("div", { class: "line" }, tabs, saves), figure);
}

const table = (head, body, more = {}) => h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": more.label }, h("table", { class: "numbers" }, h("thead", {}, h("tr", {}, head.map((one) => h("th", { scope: "col" }, one)))), h("tbody", {}, body)));

const spread = (span, digits = 1) => (span ? [number(span.value, digits), h("small", {}, interval(span.low, span.high, digits))] : "–");
const chance = (p) => (p === null ? "–" : p < 0.001 ? "< 0.001" : number(p, 3));

function lines(one) {
  const digits = one.highest > 10 ? 1 : 2;
  return table(["Condition", "Median", "Quartiles", "Mean [95 %]", "sd", "Listeners", "Ratings"], one.lines.map((each) =>
    h("tr", {}, h("th", { scope: "row" }, each.label, each.role === "system" ? null : h("small", {}, each.role)),
      h("td", {}, h("strong", {}, number(each.median, digits))), h("td", {}, `${number(each.q1, digits)} to ${number(each.q3, digits)}`),
      h("td", {}, number(each.mean, digits), h("small", {}, interval(each.low, each.high, digits))), h("td", {}, each.deviation === null ? "–" : number(each.deviation, digits)),
      h("td", {}, number(each.listeners)), h("td", {}, number(each.ratings)))), { label: "Conditions" });
}

function pairs(one, key) {
  const names = new Proxy(Object.fromEntries(one.lines.map((each) => [each.condition, each.label])), { get: (known, id) => known[id] ?? id });
  const tested = one.pairs.filter((each) => each.significant !== null);
  return h("div", {}, h("h3", {}, "Differences between conditions"), one.family ? h("p", { class: "quiet" }, one.family) : null,
    table(["Pair", "Difference [95 %]", "p (Holm)", "Wilcoxon (Holm)", "Other songs", "Effect", "Listeners"], (tested.length ? tested : one.pairs).map((each) => pairRow(each, names)), { label: "Differences" }),
    tested.length && tested.length < one.pairs.length ? h("details", { "data-key": `${key}.pairs` }, h("summary", {}, `All ${one.pairs.length} pairs`), table(["Pair", "Difference [95 %]", "p (Holm)", "Wilcoxon (Holm)", "Other songs", "Effect", "Listeners"], one.pairs.map((each) => pairRow(each, names)), { label: "All pairs" })) : null,
    one.pairs.some((each) => each.wilcoxon === null && each.listeners < FEWEST) ? h("p", { class: "quiet" }, `“–”: below ${FEWEST} listeners there is neither Wilcoxon's test nor an effect.`) : null,
    one.pairs.filter((each) => each.notice).map((each) => h("p", { class: "caution" }, `${names[each.a]} and ${names[each.b]}: ${each.notice}`)));
}

function pairRow(each, names) {
  return h("tr", { "data-sure": each.significant === true }, h("th", { scope: "row" }, `${names[each.a]} − ${names[each.b]}`),
    h("td", {}, spread(each.difference)), h("td", {}, chance(each.p_holm ?? each.p), each.significant ? h("small", {}, "significant") : null),
    h("td", {}, chance(each.wilcoxon_holm ?? each.wilcoxon)), h("td", {}, each.songs ? interval(each.songs.low, each.songs.high, 1) : "–"), h("td", {}, each.effect === null ? "–" : number(each.effect, 2)), h("td", {}, number(each.listeners)));
}

function votes(found) {
  return h("div", {}, h("h3", {}, "Ranking from pairs"),
    found.connected ? null : h("p", { class: "caution" }, "Not every condition can be compared with every other yet: more votes are needed."),
    table(["Rank", "Condition", "Strength [95 %]", "Won", "Lost", "Ties"], found.ranking.map((each) =>
      h("tr", {}, h("td", {}, each.best === each.worst ? number(each.best) : `${number(each.best)} to ${number(each.worst)}`), h("th", { scope: "row" }, each.label), h("td", {}, spread(each.strength, 2)), h("td", {}, number(each.wins)), h("td", {}, number(each.losses)), h("td", {}, number(each.ties)))), { label: "Ranking" }),
    h("p", { class: "quiet" }, `${many(found.votes, "vote")}, ${many(found.ties, "tie")}, ${number(found.both_bad)} “both bad”. `, found.side ? `Side bias ${number(found.side.value, 2)} ${interval(found.side.low, found.side.high, 2)} log odds for the left.` : ""));
}

const told = (list) => h("div", {}, h("h3", {}, "Can they be told apart?"), table(["Pair", "Right", "Share [95 %]", "p", "Listeners"], list.map((each) =>
  h("tr", {}, h("th", { scope: "row" }, `${each.condition}, ${each.other}`), h("td", {}, `${number(each.correct)} of ${number(each.trials)}`), h("td", {}, spread(each.share, 2)), h("td", {}, chance(each.p)), h("td", {}, number(each.listeners)))), { label: "ABX" }));

const marks = (list) => h("div", {}, h("h3", {}, "Marked regions"), table(["Condition", "Mark", "Regions", "Listeners", "Seconds", "Metric there"], list.map((each) =>
  h("tr", {}, h("th", { scope: "row" }, each.condition), h("td", {}, each.label), h("td", {}, number(each.count)), h("td", {}, number(each.listeners)), h("td", {}, number(each.seconds, 1)),
    h("td", {}, each.inside === null || each.outside === null ? "–" : `${each.metric}: ${number(each.inside, 1)} inside, ${number(each.outside, 1)} outside`))), { label: "Marks" }));

const correlations = (list) => h("div", {}, h("h3", {}, "Ratings against metrics"), table(["Metric", "Spearman [95 %]", "Kendall [95 %]", "Within a recording", "Sounds"], list.map((each) =>
  h("tr", {}, h("th", { scope: "row" }, each.metric, each.reason ? h("small", {}, each.reason) : null), h("td", {}, spread(each.spearman, 2)), h("td", {}, spread(each.kendall, 2)), h("td", {}, spread(each.within, 2)), h("td", {}, number(each.cells)))), { label: "Metrics" }));

/** Second opinions, agreement, power: there for who asks. */
function second(one, key) {
  const facts = [];
  if (one.agreement) {
    const { alpha, low, high, level, retest_pairs, retest_difference } = one.agreement;
    facts.push(["Agreement", alpha === null ? "cannot be computed yet" : [`Krippendorff's α ${number(alpha, 2)} `, interval(low, high, 2), ` (${level})`]]);
    if (retest_pairs) facts.push(["Asked twice", `${many(retest_pairs, "pair")}, on average ${number(retest_difference, 1)} apart`]);
  }
  if (one.power) facts.push(["Power", `${many(one.power.listeners, "listener")} see differences of ${number(one.power.smallest_80, 1)} with 80 % chance, of ${number(one.power.smallest_90, 1)} with 90 %`]);
  if (one.friedman !== null) facts.push(["Friedman test over all conditions", `p ${chance(one.friedman)}`]);
  if (one.interaction) facts.push(["System and recording", one.interaction]);
  if (one.outliers.length) facts.push(["Far from the others", `${many(one.outliers.length, "grade")}: look for the cause, they stay`]);
  if (one.coverage.length) facts.push([`Intervals of ${many(one.listeners, "listener")}, simulated`, one.coverage.map((each) => `${each.kind} ${percent(each.share)}`).join(", ")]);
  const models = one.models.map((model) => h("div", {}, h("p", {}, h("code", {}, model.formula), ` ${model.note}`),
    h("p", { class: "quiet" }, `That no system differs: p ${chance(model.systems)}. That they differ alike on every recording: p ${chance(model.interaction)}.`),
    table(["Condition", "Estimate [95 %]"], model.terms.map((term) => h("tr", {}, h("th", { scope: "row" }, term.label), h("td", {}, spread(term, 2)))), { label: model.formula })));
  const cells = one.cells.length ? lines({ ...one, lines: one.cells.map((each) => ({ ...each, label: `${each.label} · ${each.item}` })) }) : null;
  return [
    facts.length ? h("dl", { class: "facts wide" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))) : null,
    cells ? h("details", { "data-key": `${key}.cells` }, h("summary", {}, "By recording"), cells) : null,
    models.length ? h("details", { "data-key": `${key}.models` }, h("summary", {}, "Models, for large samples"), models) : null,
  ];
}
