/** What the views of the Studies page share: names of things, uploads, copying, and replacing only what has changed. */

import { Refusal, addressOf, h } from "../../files/parts.js";

export const STATES = {
  draft: "Draft",
  open: "Open",
  paused: "Paused",
  closed: "Closed",
};

export const KINDS = {
  mushra: "MUSHRA (BS.1534)",
  bs1116: "BS.1116 impairment",
  ab: "A/B preference",
  abx: "ABX",
  acr: "ACR / MOS (P.808)",
  dcr: "DCR",
  ccr: "CCR",
  p835: "P.835 (speech, background, overall)",
  ranking: "Ranking",
  scale: "Separation scale",
  text: "Free text",
  marks: "Marks on the waveform",
};

export const ATTRIBUTES = {
  overall: "Overall quality",
  target: "Target preserved",
  others: "Other sounds suppressed",
  artefacts: "No artefacts",
};

export const PAGES = {
  consent: "Consent",
  demographics: "About the listener",
  level: "Set the level",
  headphones: "Headphone check",
  instructions: "Instructions",
  training: "Training",
  trials: "The trials",
  questionnaire: "Questions at the end",
  end: "End and completion code",
};

/** The address of something of a study. */
export const of = (study, ...parts) => ["studies", study ?? "", ...parts].map(encodeURIComponent).join("/");

/** The listeners' link, whole. */
export const linkOf = (study) => new URL(`listen/${study}`, document.baseURI).href;

/** One file as the body of a request; `progress(part)` from 0 to 1. */
export function upload(path, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is
    request.open("POST", addressOf(path));
    request.upload.onprogress = ({ loaded, total }) => total && progress(loaded / total);
    request.onload = () => {
      let answer = null;
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // a proxy in between answered
      }
      if (request.status < 300 && answer) resolve(answer);
      else reject(new Refusal(request.status, answer?.found ? answer : { asked: `Upload ${file.name}`, found: `the server answered ${request.status}`, advice: "Try again" }));
    };
    request.onerror = () => reject(new Refusal(0, { asked: `Upload ${file.name}`, found: "there is no connection", advice: "Try again when it is back" }));
    request.send(file);
  });
}

/**
 * Put `children` into an element; what is there already and looks the same is left alone, so that nothing flickers. What was
 * unfolded stays unfolded, and the focus stays where it was as far as that is still there.
 */
export function refresh(element, children) {
  const wanted = children.flat(Infinity).filter(Boolean);
  wanted.forEach((child, i) => {
    const old = element.children[i];
    if (!old) {
      element.append(child);
      return;
    }
    const folds = [...child.querySelectorAll("details"), child].filter((one) => one.matches("details"));
    const before = [...old.querySelectorAll("details"), old].filter((one) => one.matches("details"));
    if (folds.length === before.length) folds.forEach((one, n) => (one.open = before[n].open));
    if (old.isEqualNode(child)) return;
    const focused = old.contains(document.activeElement);
    old.replaceWith(child);
    if (focused) child.querySelector("button:enabled, a, input")?.focus();
  });
  while (element.children.length > wanted.length) element.lastElementChild.remove();
}

/** A button that copies a text and says so. */
export function copyButton(text, title = "Copy link") {
  return h("button", { type: "button", class: "button small", onclick: async ({ currentTarget }) => {
    try {
      await navigator.clipboard.writeText(text); // https and localhost only
      currentTarget.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(currentTarget.parentElement.querySelector("code"));
      currentTarget.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (currentTarget.textContent = title), 2000);
  } }, title);
}

/** Ask before something that cannot be taken back. */
export function sure(title, text, yes) {
  return new Promise((resolve) => {
    const dialog = h("dialog", {}, h("h2", {}, title), h("p", {}, text),
      h("form", { method: "dialog" }, h("button", { class: "button", value: "" }, "Keep it as it is"), h("button", { class: "button danger", value: "yes" }, yes)));
    dialog.onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Run something for a button: it cannot be pressed twice, and what goes wrong is said in `said`. */
export async function press(button, said, failureOf, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    said.replaceChildren(failureOf(error));
    said.scrollIntoView({ block: "nearest" });
  } finally {
    button.disabled = false;
  }
}

/** How far a piece of work is, as an element. */
export function progressOf(task, what) {
  const words = task.status === "waiting" ? "Waits for other work of this page" : task.doing || what;
  return h("div", { class: "progress" },
    h("p", { role: "status" }, words, task.part === null ? null : h("span", { class: "quiet" }, ` ${Math.round(100 * task.part)} %`)),
    h("progress", { max: 1, value: task.part, "aria-label": what }));
}

export const error = (parts) =>
  h("div", { class: "failure", role: "alert" }, h("strong", {}, `${parts.asked}: ${parts.found}.`), h("span", {}, `${parts.advice}.`));
