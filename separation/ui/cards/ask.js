// Asking the server and making elements, for the files of the Models page and the Learn page.

export const root = new URL("./", document.baseURI);

/** An address of ours: `at("models/look", { name })`. */
export function at(path, query = {}) {
  const url = new URL(`earshot/${path}`, root);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  return url;
}

/** The answer as JSON; what fails is an Error with `.parts` {asked, found, advice} and `.status`, 0 for no answer. */
export async function ask(url, { method = "GET", headers = {}, signal, body: sent } = {}) {
  let answer;
  try {
    answer = await fetch(url, { method, headers, signal, cache: "no-store", body: sent === undefined ? undefined : JSON.stringify(sent) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw failed({ asked: "Ask the server", found: "it cannot be reached", advice: "Check the connection and try again" });
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok && body) return body;
  throw failed(body?.found ? body : { asked: "Ask the server", found: `it answers ${answer.status}`, advice: "Reload the page" }, answer.status);
}

function failed(parts, status = 0) {
  return Object.assign(new Error(parts.found), { parts, status });
}

/** An element: `make("p.small", { hidden: true }, "words", child)`. Text is never taken for HTML. */
export function make(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria-") || key === "role" || key === "for") element.setAttribute(key, value);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, each] of Object.entries(value)) element.style.setProperty(name, each);
    else element[key] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** What was asked, what was found and what to do, as a box; with a button that tries again where that makes sense. */
export function problem(error, retry = null) {
  const parts = error.parts ?? { asked: "Show this", found: "something unexpected went wrong", advice: "Reload the page" };
  const said = ["asked", "found", "advice"].map((part) => make(part === "asked" ? "b" : "span", {}, sentence(parts[part])));
  const again = retry && make("button.earshot-button", { type: "button", onclick: retry }, "Try again");
  return make("div.card-problem", { role: "alert" }, said, again);
}

export function sentence(text) {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

/** Bytes as people say them. */
export function size(bytes) {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e5) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A bar with words beside it: `set(fraction or null, words)`; null while nothing is known yet. */
export function progress() {
  const bar = make("i");
  const track = make("div.card-track", { role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
  const words = make("span", { role: "status" });
  const element = make("div.card-progress", {}, track, words);
  const set = (fraction, text) => {
    track.classList.toggle("unknown", fraction === null);
    bar.style.width = `${100 * (fraction ?? 0)}%`;
    if (fraction === null) track.removeAttribute("aria-valuenow");
    else track.setAttribute("aria-valuenow", Math.round(100 * fraction));
    if (words.textContent !== text) words.textContent = text;
  };
  return { element, set };
}
