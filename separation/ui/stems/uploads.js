/** What both elements of this folder share: files on their way to the server, and questions to it. */

import { errorOf } from "../static/watch.js";

/** JSON from the server; a refusal is an Error with `.parts` {asked, found, advice}. */
export async function ask(url, { method = "GET", body } = {}) {
  const response = await fetch(url, { method, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body) });
  if (!response.ok) throw refusal(await errorOf(response));
  return response.json();
}

/** Send a file as the body of a request; `progress` is told the part that is sent, 0 to 1. Resolves to the answer. */
export function send(url, file, { progress = () => {}, signal } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch says nothing of what it has sent
    request.open("POST", `${url}?file=${encodeURIComponent(file.name)}`);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : 0);
    request.onload = () => {
      if (request.status === 200) resolve(request.response);
      else reject(refusal(request.response ?? undefined));
    };
    request.onerror = () => reject(refusal());
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

function refusal(parts) {
  const lost = { asked: "Send it", found: "the connection was lost, or the server refused it", advice: "Try again in a moment" };
  const known = parts?.asked && parts.found && parts.advice ? parts : lost;
  return Object.assign(new Error("refused"), { parts: known });
}

/** An error as a sentence or two for the visitor. */
export function words(error) {
  const { found, advice } = error.parts ?? refusal().parts;
  const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
  return `${sentence(found)} ${sentence(advice)}`;
}

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** 200.4 -> "3:20". */
export function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** "3:20 · 44.1 kHz · stereo" */
export function facts({ length, sample_rate: rate, channels }) {
  const wide = { 1: "mono", 2: "stereo" }[channels] ?? `${channels} channels`;
  return `${clock(length / rate)} · ${rate / 1000} kHz · ${wide}`;
}

/** Make `zone` a place for files: `input` inside it chooses them, dropping them does the same. `take` gets the list. */
export function takeFiles(zone, input, take) {
  let inside = 0;
  const mark = (step) => {
    inside = Math.max(0, inside + step);
    zone.classList.toggle("over", inside > 0);
  };
  const files = (event) => event.dataTransfer?.types.includes("Files");
  input.addEventListener("change", () => {
    const chosen = [...input.files];
    input.value = "";
    if (chosen.length) take(chosen);
  });
  zone.addEventListener("dragenter", (event) => files(event) && mark(1));
  zone.addEventListener("dragleave", (event) => files(event) && mark(-1));
  zone.addEventListener("dragover", (event) => files(event) && event.preventDefault());
  zone.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    mark(-inside);
    take([...event.dataTransfer.files]);
  });
}

/** A row for a file that is on its way, or that was refused. */
export class Sending {
  constructor(file) {
    this.stop = new AbortController();
    this.bar = make("i");
    this.text = make("span", { className: "facts", textContent: "Waiting" });
    this.close = make("button", { type: "button", className: "close", textContent: "×" });
    this.close.setAttribute("aria-label", `Stop sending ${file.name}`);
    this.close.onclick = () => {
      this.stop.abort();
      this.row.remove();
    };
    this.row = make(
      "li",
      { className: "sending" },
      make("span", { className: "file", textContent: file.name, title: file.name }),
      this.text,
      this.close,
      make("span", { className: "bar" }, this.bar),
    );
  }

  told(part) {
    this.text.textContent = part < 1 ? `Sending ${Math.floor(100 * part)} %` : "Reading";
    this.bar.style.width = `${100 * part}%`;
  }

  refused(error, file) {
    this.row.classList.add("bad");
    this.text.textContent = words(error);
    this.text.setAttribute("role", "alert");
    this.close.setAttribute("aria-label", `Dismiss ${file.name}`);
  }
}
