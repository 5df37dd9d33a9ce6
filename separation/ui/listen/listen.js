/**
 * A listening test, from its link to its end: one page after the other as the server gives them. The server knows everything; this
 * page may be closed, reloaded or opened elsewhere at any moment, and goes on where it was.
 *
 * Kept in this browser: which session is open for which study, what has not been saved yet (`outbox`), the level that was set, and
 * what has been heard of the page that is open.
 */

import { PageView } from "./layouts.js";
import { Outbox, Refusal, ask, keyOf, randomId, read, write } from "./outbox.js";
import { announce, directionOf, h, icon, language, nameOf, nearest, newId, paragraphs, say, speak } from "./parts.js";

const AGAIN = 2_000; // milliseconds between two tries of what the listener waits for
const POLL = 15_000; // milliseconds between looks whether a paused study goes on
const CURRENT = ["consent", "demographics", "level", "headphones", "instructions", "training", "trial", "questionnaire"];
const BUTTONS = { consent: "next.consent", instructions: "next.begin", level: "next.level", trial: "next.trial", training: "next.trial" };

const find = (selector) => document.querySelector(selector);
const study = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1) ?? "");
const tab = randomId();
const asked = new URLSearchParams(location.search);
const person = asked.get("pid") ?? asked.get("PROLIFIC_PID") ?? asked.get("workerId");
let session = null;
let outbox = null;
let view = null;
let page = null;
let elsewhere = false; // the test goes on in another tab
let nextLook = null;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function device() {
  const { userAgent, maxTouchPoints, platform = "" } = navigator;
  const { width, height } = screen;
  return { agent: userAgent.slice(0, 300), platform, width, height, ratio: devicePixelRatio, touch: maxTouchPoints > 0, language: navigator.language };
}

/** Ask until there is an answer: what fails in passing is tried again, and said. */
async function insist(path, method, body) {
  for (;;) {
    try {
      const answer = await ask(path, method, body);
      trouble("");
      return answer;
    } catch (error) {
      if (!(error instanceof Refusal) || !error.passing) throw error;
      trouble(navigator.onLine ? say("trouble.server") : say("trouble.offline"));
      await pause(error.wait || AGAIN);
    }
  }
}

/** The banner: something is in the way, and is tried again. */
function trouble(text) {
  const banner = find(".banner");
  banner.hidden = !text;
  if (banner.textContent !== text) banner.textContent = text;
}

/** Open the session of this link, or this browser's, or a new one. */
async function begin(wish = null) {
  const remembered = person ? null : read(`study.${study}`);
  const body = {
    ...(person ? { pid: person } : {}),
    ...(asked.get("s") || remembered ? { s: asked.get("s") ?? remembered } : {}),
    ...(wish ? { language: wish } : { language: asked.get("lang") ?? navigator.language }),
    device: device(),
  };
  let answer;
  try {
    answer = await insist(`${encodeURIComponent(study)}/session`, "POST", body);
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 404 || asked.get("s") || !remembered) throw error;
    write(`study.${study}`, null); // it was withdrawn, or its study is gone: begin anew
    return begin(wish);
  }
  enter(answer.session);
  await show(answer.page);
  return undefined;
}

/** Begin, or say why that cannot be. */
function start() {
  return begin().catch((error) => {
    if (!(error instanceof Refusal)) throw error;
    failed(error);
  });
}

/** From now on this tab is the one that goes on with this session. */
function enter(token) {
  if (!token || token === session) return;
  session = token;
  write(`study.${study}`, session);
  write(`tab.${session}`, tab);
  if (!person) {
    const link = new URL(location.href);
    link.searchParams.set("s", session);
    history.replaceState(null, "", link);
    asked.set("s", session);
  }
  outbox = new Outbox(session);
  outbox.addEventListener("change", showState);
  outbox.addEventListener("refused", ({ detail }) => lack([{ text: say("refused", { found: detail.parts.found ?? "" }) }]));
}

/** Take down one page and put up another. */
async function show(next) {
  view?.close();
  page = next;
  announce("");
  await speak(nearest([page.language ?? "en"]));
  document.documentElement.lang = page.language ?? language;
  document.documentElement.dir = directionOf(page.language ?? language);
  const counts = session && read(`counts.${session}`);
  view = new PageView(page, session, {
    level: session && read(`level.${session}`),
    counts: counts?.page === page.token ? counts : null,
  });
  const { deck } = view;
  view.addEventListener("say", ({ detail }) => {
    if (next.layout === "end") return;
    outbox?.say(next.token, detail);
    if (session && ["play", "heard"].includes(detail.what)) write(`counts.${session}`, { page: next.token, ...deck.counts });
  });
  lack([]);
  head();
  const body = find(".body");
  body.replaceChildren(page.layout === "end" ? ending() : view.element);
  body.inert = false;
  find(".onward").hidden = !CURRENT.includes(page.kind);
  const button = find(".next");
  button.disabled = false;
  button.textContent = say(BUTTONS[page.kind] ?? "next");
  foot();
  scrollTo({ top: 0, behavior: "instant" });
  find("h1").focus({ preventScroll: true });
  view.tell({ kind: "did", what: "open", of: null, at: null, detail: { width: innerWidth, height: innerHeight, hidden: document.hidden } });
  showState();
  for (const marks of view.marks) marks.ready();
  if (page.kind === "paused") lookLater();
}

/** Where we are: title, study, progress, languages. */
function head() {
  const title = page.title;
  find("h1").textContent = title;
  find(".study").textContent = page.study?.title ?? "";
  document.title = [title, page.study?.title].filter(Boolean).join(" · ");
  const [done, all] = [page.index ?? 0, page.of ?? 0];
  const progress = find(".progress");
  progress.hidden = !all || page.layout === "end";
  progress.setAttribute("aria-label", say("progress"));
  progress.setAttribute("aria-valuemax", all);
  progress.setAttribute("aria-valuenow", Math.min(all, done + 1));
  progress.firstElementChild.style.width = `${all ? (100 * Math.min(all, done + 1)) / all : 0}%`;
  find(".count").textContent = all && page.layout !== "end" ? say("count", { number: Math.min(all, done + 1), of: all }) : "";
  const choices = page.languages ?? [];
  const label = find(".language");
  label.hidden = choices.length < 2 || page.layout === "end";
  label.firstElementChild.textContent = say("language");
  const select = label.querySelector("select");
  select.replaceChildren(...choices.map((code) => h("option", { value: code, lang: code, selected: code === page.language }, nameOf(code))));
}

/** The end, or why there is no page now. */
function ending() {
  const parts = [h("div", { class: "prose" }, paragraphs(page.text))];
  if (page.code) {
    const id = newId("code");
    const shown = h("output", { class: "code", id, tabindex: 0 }, page.code);
    const button = h("button", { type: "button", class: "button strong", onclick: () => copy(shown, button) }, say("copy"));
    parts.push(h("div", { class: "completion" }, h("label", { for: id }, say("code")), h("div", { class: "row" }, shown, button)));
  }
  const target = safe(page.redirect);
  if (target) parts.push(h("p", {}, h("a", { class: "button strong", href: target, rel: "noreferrer" }, say("redirect"))));
  if (page.kind === "paused") parts.push(h("button", { type: "button", class: "button", onclick: look }, say("again")));
  if (page.kind === "end" && !person) parts.push(h("p", { class: "another" }, say("another.about"), " ", h("button", { type: "button", class: "link", onclick: another }, say("another"))));
  return h("div", { class: `sheet end ${page.kind}` }, page.kind === "end" ? h("span", { class: "seal" }, icon("check")) : null, parts);
}

/** An address that may be followed, or null. */
function safe(address) {
  if (!address) return null;
  try {
    const url = new URL(address, location.href);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

async function copy(shown, button) {
  try {
    await navigator.clipboard.writeText(shown.textContent);
    button.textContent = say("copied");
  } catch {
    getSelection().selectAllChildren(shown); // there is no clipboard on plain http: what is selected can be copied by hand
    button.textContent = say("selected");
  }
}

/** The next person at this computer gets a session of their own. */
function another() {
  write(`study.${study}`, null);
  location.assign(location.pathname);
}

function lookLater() {
  clearTimeout(nextLook);
  nextLook = setTimeout(look, POLL);
}

/** Whether a paused study goes on; who came during the pause has no session yet, and begins. */
async function look() {
  if (page?.kind !== "paused" || elsewhere) return;
  if (!session) {
    await start();
    return;
  }
  const answer = await insist(`s/${session}`);
  if (page?.kind !== "paused") return;
  if (answer.page.kind !== "paused") await show(answer.page);
  else lookLater();
}

function foot() {
  const contact = page.study?.contact;
  const words = page.kind === "consent" ? say("decline") : say("withdraw");
  find(".foot").replaceChildren(
    contact ? h("p", {}, say("contact"), " ", /^\S+@\S+$/.test(contact) ? h("a", { href: `mailto:${contact}` }, contact) : contact) : "",
    session && !["full", "closed", "withdrawn"].includes(page.kind) ? h("button", { type: "button", class: "link", onclick: leave }, words) : "",
  );
}

/** What waits is visible: saved, being saved, not saved yet. */
function showState() {
  const state = find(".state");
  const { state: kind = "saved" } = outbox ?? {};
  const said = !outbox || page?.layout === "end" ? "" : kind === "saved" && !view.controls.some((control) => control.answered) ? "" : say(`state.${kind}`);
  if (state.textContent !== said) state.textContent = said;
  state.dataset.kind = kind;
  if (outbox?.left && !outbox.lasting) trouble(say("state.fleeting"));
  else if (outbox?.trouble && outbox.left) trouble(navigator.onLine ? say("trouble.saving") : say("trouble.offline"));
  else if (!onward.busy) trouble(navigator.onLine ? "" : say("trouble.offline"));
}

/** Say what is missing, and go to the first of it. */
function lack(found) {
  const box = find(".lacks");
  box.hidden = !found.length;
  box.replaceChildren(...(found.length ? [h("b", {}, say("missing")), h("ul", {}, found.map(({ text }) => h("li", {}, text)))] : []));
}

/** The listener goes on. */
async function onward() {
  if (onward.busy || elsewhere) return;
  const found = view.missing();
  lack(found);
  if (found.length) {
    view.goTo(found[0]);
    return;
  }
  onward.busy = true;
  const button = find(".next");
  button.disabled = true;
  button.textContent = say("saving");
  find(".body").inert = true;
  try {
    keepLevel();
    view.deck.pause("page");
    while (await outbox.settle()) {
      trouble(navigator.onLine ? say("trouble.saving") : say("trouble.offline"));
      await pause(AGAIN);
    }
    const answer = await insist(`s/${session}/next`, "POST", { page: page.token });
    write(`tab.${session}`, tab);
    await show(answer.page);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await refused(error);
  } finally {
    onward.busy = false;
    showState();
  }
}

/** The server does not go on: something is missing, the page is an old one, or the session is gone. */
async function refused(error) {
  if (error.status === 409) {
    await show((await insist(`s/${session}`)).page);
    return;
  }
  if (error.status === 404 || error.status === 410) {
    failed(error);
    return;
  }
  find(".body").inert = false;
  const button = find(".next");
  button.disabled = false;
  button.textContent = say(BUTTONS[page.kind] ?? "next");
  lack([{ text: [error.parts.found, error.parts.advice].filter(Boolean).join(". ") }]);
  view.point(error.parts.missing ?? []);
}

/** The level is locked: it is the same on all pages that follow. */
function keepLevel() {
  if (!view.level) return;
  write(`level.${session}`, view.level.value);
  view.tell({ kind: "did", what: "level", of: null, at: null, detail: { percent: view.level.value, gain: view.deck.gain } });
}

/** Ask once more, then delete. */
function leave() {
  const dialog = find(".leave");
  const id = newId("leave");
  view.deck.pause("page");
  const gone = async () => {
    dialog.close();
    outbox.forget();
    try {
      await insist(`s/${session}/withdraw`, "POST", {});
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error;
    }
    for (const key of [`study.${study}`, ...["tab", "level", "counts"].map((each) => `${each}.${session}`)]) write(key, null);
    session = outbox = null;
    const said = { kind: "withdrawn", layout: "end", title: say("title.withdrawn"), text: say("text.withdrawn") };
    await show({ ...page, ...said, references: [], stimuli: [], fields: [], given: {}, code: null, redirect: null });
  };
  dialog.setAttribute("aria-labelledby", id);
  dialog.replaceChildren(
    h("h2", { id }, say("leave.title")),
    h("p", {}, say("leave.about")),
    h("div", { class: "row" }, h("button", { type: "button", class: "button strong", onclick: () => dialog.close() }, say("leave.stay")), h("button", { type: "button", class: "button danger", onclick: gone }, say("leave.delete"))),
  );
  dialog.showModal();
}

/** This tab stops: the test goes on in another one. */
async function curtain() {
  if (elsewhere) return;
  elsewhere = true;
  view?.close();
  for (const part of [".onward", ".lacks", ".foot"]) find(part).hidden = true;
  find("h1").textContent = say("tab.title");
  find(".body").replaceChildren(h("div", { class: "sheet end" }, h("div", { class: "prose" }, paragraphs(say("tab.about"))), h("button", { type: "button", class: "button strong", onclick: () => location.reload() }, say("tab.here"))));
  await outbox.settle();
}

/** There is no page to show, and nothing to try again. */
function failed(error) {
  view?.close();
  const { asked: what, found, advice } = error.parts;
  find("h1").textContent = say("failed");
  find(".onward").hidden = true;
  find(".body").replaceChildren(h("div", { class: "sheet end", role: "alert" }, [what, found, advice].filter(Boolean).map((each) => h("p", {}, each)), found ? null : h("p", {}, say("failed.about"))));
}

find(".next").addEventListener("click", onward);
find(".language select").addEventListener("change", async ({ target }) => {
  view.flush();
  await outbox.settle();
  await begin(target.value);
});
addEventListener("storage", (event) => {
  if (session && keyOf(event) === `tab.${session}` && read(`tab.${session}`) !== tab && read(`tab.${session}`) !== null) curtain();
});
addEventListener("pagehide", () => {
  if (elsewhere) return;
  view?.flush();
  view?.deck.pause("page");
  outbox?.close();
});
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
for (const what of ["blur", "focus", "online", "offline"]) {
  addEventListener(what, () => {
    if (view && !elsewhere) view.tell({ kind: "did", what, of: null, at: null, detail: {} });
    showState();
  });
}
document.addEventListener("visibilitychange", () => {
  if (!view || elsewhere) return;
  if (document.hidden) {
    view.flush();
    view.deck.pause("tab");
  }
  view.tell({ kind: "did", what: document.hidden ? "hidden" : "visible", of: null, at: null, detail: {} });
});

await speak(nearest([asked.get("lang"), ...(navigator.languages ?? [])].filter(Boolean)));
document.documentElement.lang = language;
start();
