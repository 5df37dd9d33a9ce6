// The chosen recording on the Separate page: its player, and which part of it will be separated. Runs as `js_on_load` of
// the recording component, with `element`, `props`, `trigger` and `watch`.
//
// The component's value is JSON. The page's Python says which draft to show: {draft, duration}. This file adds what the
// visitor has set, so that it comes along whenever a handler asks for the component: {…, begin, end, preview_at}, in seconds;
// `begin` and `end` are null for everything.

const root = new URL("./", document.baseURI);
const find = (selector) => element.querySelector(selector);
const player = find("earshot-player");
const everything = find("input[value=everything]");
const only = find("input[value=selection]");
const from = find("input[name=from]");
const to = find("input[name=to]");
const clear = find(".earshot-clear");
const tip = find(".earshot-tip");
const { preview, previewFrom } = find(".earshot-part").dataset;
const QUIET = 200; // milliseconds between two looks at a moving cursor
let told = {};
let selection = null;
let asked = "";
let later = 0;

player.setAttribute("base", new URL("earshot/", root).pathname);
import(new URL("earshot/static/player.js", root)).catch(() => {
  tip.textContent = "The player could not be loaded. Check the connection and load the page again; separating works without it.";
});

/** 75.25 -> "1:15.25", as people write a time. */
function clock(seconds) {
  const ticks = Math.round(100 * seconds);
  const two = (value) => String(value).padStart(2, "0");
  const whole = Math.floor(ticks / 100);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}.${two(ticks % 100)}`;
}

/** "75", "1:15", "1:15.25", "1:02:03" -> seconds; NaN if it is no time, null if it is empty. */
function seconds(text) {
  const parts = text.trim().replace(",", ".").split(":");
  if (parts.length === 1 && parts[0] === "") return null;
  const wellFormed = parts.length <= 3 && parts.every((part, i) => (i < parts.length - 1 ? /^\d+$/ : /^\d+(\.\d*)?$/).test(part));
  return wellFormed ? parts.reduce((sum, part) => 60 * sum + Number(part), 0) : NaN;
}

/** What will be separated, and where its preview lies. */
function part() {
  const chosen = selection !== null && only.checked;
  const [begin, end] = chosen ? selection : [0, told.duration ?? 0];
  const cursor = player.cursor ?? 0;
  const previewed = end - begin > Number(previewFrom);
  const placed = cursor > begin && cursor < end; // nobody has moved it: the middle says more than a silent beginning
  const at = placed ? cursor : (begin + end) / 2;
  return { begin: chosen ? begin : null, end: chosen ? end : null, previewAt: at, ahead: previewed ? around(at, begin, end) : null };
}

function around(at, begin, end) {
  const start = Math.min(Math.max(at - preview / 2, begin), end - preview);
  return [start, start + Number(preview)];
}

/** Bring value, marks and words up to date; tell the page only when another part is to be separated. */
function update() {
  clearTimeout(later);
  later = 0;
  if (!told.draft) return;
  const { begin, end, previewAt, ahead } = part();
  props.value = JSON.stringify({ ...told, begin, end, preview_at: previewAt });
  player.ahead = ahead;
  const key = JSON.stringify([told.draft, begin, end]);
  if (key !== asked && asked) trigger("select");
  asked = key;
}

function soon() {
  if (!later) later = setTimeout(update, QUIET);
}

function show() {
  only.disabled = clear.disabled = selection === null;
  if (selection === null) everything.checked = true;
  from.value = selection ? clock(selection[0]) : "";
  to.value = selection ? clock(selection[1]) : "";
  complain("");
}

function complain(text) {
  for (const input of [from, to]) input.setAttribute("aria-invalid", text !== "");
  tip.textContent = text || tip.dataset.text;
  tip.classList.toggle("bad", text !== "");
}

/** The selection as it is typed. */
function typed() {
  const begin = seconds(from.value);
  const end = seconds(to.value);
  if (Number.isNaN(begin) || Number.isNaN(end)) return complain("Type a time such as 75 or 1:15.5.");
  if (begin === null && end === null) return player.select(null);
  const region = [begin ?? 0, Math.min(end ?? Infinity, told.duration)];
  if (region[1] - region[0] < 0.05) return complain(`Choose a start before the end, inside the ${clock(told.duration)} of the recording.`);
  player.select(region);
}

player.addEventListener("earshot-selection", ({ detail }) => {
  if (detail && !selection) only.checked = true; // whoever selects a part wants to do something with it
  selection = detail;
  show();
  update();
});
player.addEventListener("earshot-cursor", soon);
for (const input of [from, to]) input.addEventListener("change", typed);
for (const input of [everything, only]) input.addEventListener("change", update);
clear.addEventListener("click", () => {
  player.select(null);
  from.focus();
});

/** A mixture of stems has others now, and may last longer or shorter. */
function renewed(duration) {
  told.duration = duration;
  player.look?.();
  if (selection && selection[1] > duration) player.select(null);
  else update();
}

function take() {
  const { draft, duration, ...ours } = JSON.parse(props.value || "{}");
  if (draft === told.draft && asked) {
    if (!("begin" in ours)) renewed(duration); // else our own words
    return;
  }
  told = { draft, duration };
  asked = "";
  selection = null;
  find(".earshot-part").inert = !told.draft;
  player.setAttribute("draft", told.draft ?? "");
  show();
  update();
}

customElements.whenDefined("earshot-player").then(() => {
  watch("value", take);
  take();
});
