/** How the page is put together: elements, icons, words in the listener's language, and what is said to a screen reader. */

const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", zh: "中文" };
const ICONS = {
  play: "M8 5.2v13.6a.9.9 0 0 0 1.4.75l10.4-6.8a.9.9 0 0 0 0-1.5L9.4 4.45A.9.9 0 0 0 8 5.2z",
  pause: "M7 4.5h3.2v15H7zM13.8 4.5H17v15h-3.2z",
  stop: "M6 6h12v12H6z",
  sound: "M4 9.5v5h3.5L12 18.6V5.4L7.5 9.5zm10.2-1.7v8.4a4.6 4.6 0 0 0 0-8.4z",
  sounding: "M4 9.5v5h3.5L12 18.6V5.4L7.5 9.5zm10.2-1.7v8.4a4.6 4.6 0 0 0 0-8.4zm0-4.1v2.1a6.5 6.5 0 0 1 0 12.4v2.1a8.5 8.5 0 0 0 0-16.6z",
  check: "M9.5 16.6 4.9 12l-1.5 1.5 6.1 6.1L21 8.1l-1.5-1.5z",
  up: "m12 7 7 7-1.5 1.5L12 10l-5.5 5.5L5 14z",
  down: "m12 17-7-7 1.5-1.5L12 14l5.5-5.5L19 10z",
  grip: "M8 5h3v3H8zm5 0h3v3h-3zM8 10.5h3v3H8zm5 0h3v3h-3zM8 16h3v3H8zm5 0h3v3h-3z",
  whole: "M3 5h2v14H3zm16 0h2v14h-2zM7 11h10v2H7z",
  bin: "M9 4h6l1 2h4v2H4V6h4zM6 10h12l-1 10H7z",
};

/** An icon; it has no name of its own for who listens to the page. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** An element: `on…` are listeners, `null`, `undefined` and `false` are left out, text is only ever text. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A study's text: an empty line parts paragraphs. */
export const paragraphs = (text) =>
  (text ?? "")
    .split(/\n\s*\n/)
    .filter((each) => each.trim())
    .map((each) => h("p", {}, each.trim()));

let counter = 0;
export const newId = (start) => `${start}-${++counter}`;

let spoken = {};
export let language = "en";

const textsOf = async (name) => (await fetch(new URL(`${name}.json`, import.meta.url))).json();

/** Speak one of LANGUAGES from now on. */
export async function speak(name) {
  const known = name in LANGUAGES ? name : "en";
  if (known === language && Object.keys(spoken).length) return;
  spoken = await textsOf(known);
  language = known;
}

/** A text by its key, with `{name}` filled in. */
export const say = (key, values = {}) => (spoken[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

/** Which of LANGUAGES somebody wants, by codes such as "de-AT". */
export const nearest = (codes) => codes.map((code) => code.toLowerCase().split("-")[0]).find((code) => code in LANGUAGES) ?? "en";

/** What a browser knows of a language; a study may call its languages as it likes. */
function localeOf(code) {
  try {
    return new Intl.Locale(code.replaceAll("_", "-"));
  } catch {
    return new Intl.Locale("en");
  }
}

/** A language by its own name. */
export function nameOf(code) {
  return LANGUAGES[code] ?? new Intl.DisplayNames([localeOf(code)], { type: "language", fallback: "code" }).of(localeOf(code).toString());
}

/** Which way it is written: "ltr" or "rtl". */
export function directionOf(code) {
  const locale = localeOf(code);
  return (locale.getTextInfo?.() ?? locale.textInfo)?.direction ?? "ltr";
}

const number = (digits) => new Intl.NumberFormat(localeOf(document.documentElement.lang), { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** A number as it is written in the listener's language, with as many digits as its step has. */
export const written = (value, step = 1) => number(step >= 1 ? 0 : step >= 0.1 ? 1 : 2).format(value);

/** "0:07.5" */
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${written(seconds % 60, 0.1).padStart(4, "0")}`;

/** Said by a screen reader when it has nothing else to say. */
export function announce(text) {
  const region = document.querySelector(".spoken");
  if (region) region.textContent = text && region.textContent === text ? `${text}\u00a0` : text;
}
