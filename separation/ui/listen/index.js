/** The index of open tests, in the visitor's language. */

import { language, nearest, say, speak } from "./parts.js";

await speak(nearest(navigator.languages ?? []));
document.documentElement.lang = language;
document.title = `${say("index.title")} · Earshot`;
for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
for (const element of document.querySelectorAll("[data-minutes]")) element.textContent = say("index.minutes", { minutes: element.dataset.minutes });
