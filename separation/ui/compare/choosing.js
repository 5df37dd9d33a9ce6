/** What to compare on: anything that is there, an example, or a recording of one's own. */

import { at, make, problem } from "../cards/ask.js";
import { canRecord, recordButton } from "../learn/microphone.js";
import { send } from "../stems/uploads.js";

const SVG = "http://www.w3.org/2000/svg";
const TASKS = { vocals: "The voice, out of music", speakers: "Two people who talk at once" };

/** The name of a task, as people say it. */
export const taskName = (task) => TASKS[task] ?? `${task.slice(0, 1).toUpperCase()}${task.slice(1)}`;

/** `known` is what the server says; `draw(wish)` asks for a pair. */
export function choosing(known, draw) {
  const go = make("button.earshot-button.strong.large", { type: "button" }, "Hear a pair");
  go.onclick = () => once(go, () => draw({}));
  const first = make(
    "section.card.hero",
    {},
    make("div", {}, make("h2", {}, "Which one sounds better?"), make("p", {}, "You get twelve seconds, twice: A and B. Listen to both, vote, and see what they were. It takes a minute.")),
    go,
  );
  const cards = known.examples.map((example) => {
    const card = make("button.example", { type: "button" }, outline(example.outline), make("strong", {}, example.title), make("span", {}, example.summary));
    card.onclick = () => once(card, () => draw({ example: example.id }));
    return card;
  });
  const examples = make("section.card", {}, make("h2", {}, "Or choose what to hear"), make("div.examples", {}, cards));
  if (!known.tasks.length) go.disabled = true;
  const kept = known.lasting ? "" : " On this demo votes are kept until it restarts.";
  const about = make(
    "details.about",
    {},
    make("summary", {}, "How pairs are drawn, and what happens to a vote"),
    make(
      "p",
      {},
      `Sides are drawn at random. ${Math.round(100 * known.random_share)} % of pairs are drawn at random, too, the others where one more vote says most about the order of the systems. ` +
        "Both sides are equally loud: where the true source is known, its part in each is brought to the same level, otherwise the loudness by ITU-R BS.1770. " +
        `Votes are kept with a random number for this browser, no name and no address.${kept} After a vote you can withdraw it.`,
    ),
  );
  return make("div.stack", {}, first, examples, known.tasks.length > 0 && own(known, draw), about);
}

/** A button is pressed once, and says so. */
async function once(button, act) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await act();
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function outline(strokes) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${2 * strokes.length} 44`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  const top = Math.max(0.01, ...strokes);
  path.setAttribute("d", strokes.map((value, i) => `M${2 * i + 1} ${(22 - (20 * value) / top).toFixed(1)}V${(22 + (20 * value) / top).toFixed(1)}`).join(""));
  svg.append(path);
  return svg;
}

/** A recording of one's own. */
function own(known, draw) {
  const input = make("input", { type: "file", accept: "audio/*,video/*", "aria-label": "Choose a recording" });
  const task = make(
    "select",
    { "aria-label": "What to take out of it" },
    known.tasks.map(({ name }) => make("option", { value: name }, taskName(name))),
  );
  const shared = make("input", { type: "checkbox" });
  const trouble = make("div", {});
  const said = make("p.quiet", { role: "status" });
  let busy = false;
  const take = async (file) => {
    if (!file || busy) return;
    busy = true;
    trouble.replaceChildren();
    try {
      const told = (part) => (said.textContent = part < 1 ? `Sending ${file.name}, ${Math.floor(100 * part)} %` : `Reading ${file.name}`);
      const { draft } = await send(at("learn/mixture"), file, { progress: told });
      said.textContent = "Finding its loudest twelve seconds";
      await draw({ draft, task: task.value, shared: shared.checked });
    } catch (error) {
      said.textContent = "";
      trouble.replaceChildren(problem(error));
    } finally {
      busy = false;
      input.value = "";
    }
  };
  input.onchange = () => take(input.files[0]);
  const drop = make("label.drop", {}, input, make("b", {}, "Choose a recording"), make("span", {}, ` or drop it here, up to ${known.max_upload_mb} MB`));
  drop.ondragover = (event) => event.preventDefault();
  drop.ondrop = (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  };
  const record = recordButton({ label: "Record", take, failed: (error) => trouble.replaceChildren(problem(error)) });
  return make(
    "section.card",
    {},
    make("h2", {}, "Or bring a recording"),
    make("label.field", {}, make("span", {}, "What to take out of it"), task),
    make("div.bring", {}, drop, record),
    !canRecord && make("p.quiet", {}, "The microphone needs https or localhost."),
    make("label.switch", {}, shared, "Others may hear these seconds and vote on them, too"),
    said,
    trouble,
  );
}
