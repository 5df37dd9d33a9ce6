/** What the views of the Ratings page share: asking the server, making elements, and how numbers and times are written. */

const OWNER = new URL("../", import.meta.url);

/** Below this address the kept audio of trials answers as jobs do: the `base` of `<earshot-player>`. */
export const BASE = OWNER.href;

/** A refusal in the three parts that the server gives; `status` 401 and 403 mean: sign in. */
export class Refusal extends Error {
  constructor(status, parts) {
    super(`${parts.asked}: ${parts.found}. ${parts.advice}.`);
    this.status = status;
    this.parts = parts;
  }
}

/** JSON from the server. */
export async function ask(path, { method = "GET", body } = {}) {
  let response;
  try {
    response = await fetch(new URL(path, OWNER), {
      method,
      cache: "no-store",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refusal(0, { asked: "Ask the server", found: "there is no connection", advice: "Try again when it is back" });
  }
  let answer = null;
  try {
    answer = await response.json();
  } catch {
    // a proxy in between answered
  }
  if (response.ok && answer) return answer;
  const unknown = { asked: "Ask the server", found: `it answered ${response.status}`, advice: "Try again in a moment" };
  throw new Refusal(response.status, answer?.found ? answer : unknown);
}

/** The address of something that the browser fetches by itself. */
export const addressOf = (path) => new URL(path, OWNER).href;

/**
 * An element. Everything that comes from people goes in as text: nothing on this page is ever parsed as HTML.
 * Properties: functions are set as they are, `style` is an object, true and false switch an attribute, the rest are attributes.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element[name] = value;
    else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...shown(children));
  return element;
}

/** The children that there are, of whatever depth. */
const shown = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

/** Put these children into an element, instead of what is there. */
export const fillIn = (element, ...children) => element.replaceChildren(...shown(children));

/** What went wrong, with a way to try again. */
export function failure(error, retry) {
  const { asked, found, advice } = error.parts ?? { asked: "Show this", found: error.message, advice: "Reload the page" };
  return h(
    "div",
    { class: "failure", role: "alert" },
    h("strong", {}, `${asked}: ${found}.`),
    h("span", {}, `${advice}.`),
    retry && h("button", { type: "button", class: "button", onclick: retry }, "Try again"),
  );
}

export const number = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "negative" }).replace("-", "−");

export const percent = (part) => `${number(100 * part)} %`;

export const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

/** A day and a time, by this browser's clock. */
export const when = (milliseconds) =>
  new Date(milliseconds).toLocaleString(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

export const dayOf = (milliseconds) =>
  new Date(milliseconds).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });

export const seconds = (value) => {
  const minutes = Math.floor(value / 60);
  return `${minutes}:${(value - 60 * minutes).toFixed(1).padStart(4, "0")}`;
};

export const lasting = (value) =>
  value < 100 ? `${number(value, value < 10 ? 1 : 0)} s` : value < 5400 ? `${number(value / 60)} min` : `${number(value / 3600, 1)} h`;

/** The scales, as people say them. */
export const SCALES = {
  overall: "Overall",
  target: "Target preserved",
  others: "Others suppressed",
  artefacts: "No artefacts",
};

/** [low, high] as it is written. */
export const interval = (low, high, digits) =>
  low === null || high === null ? "" : `[${number(low, digits)}, ${number(high, digits)}]`;
