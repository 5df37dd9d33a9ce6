// What the browser does around the player on the Separate page: opens a job, keeps its address in the URL, shares it, and
// remembers this browser's own jobs. Runs as `js_on_load` of the result component, with `element`,
// `props` and `watch`. Ids are capabilities: they stay in this browser's storage and in the URL the visitor shares.

const KEY = "earshot.jobs";
const KEPT = 30;
const root = new URL("./", document.baseURI);
const find = (selector) => element.querySelector(selector);
const result = find(".earshot-result");
const player = find("earshot-player");
const rating = find("earshot-rating");
const earlier = find(".earshot-earlier");
const note = find(".earshot-note");
const share = find(".earshot-share");
let open = null;

import(new URL("earshot/static/player.js", root)).catch(() => {
  note.textContent = "The player could not be loaded. Check the connection and load the page again.";
});

import(new URL("earshot/stems/references.js", root)).catch(() => find("earshot-references").remove());

import(new URL("earshot/views/views.js", root)).catch(() => find("earshot-views").remove()); // so it does without views

import(new URL("earshot/rating/rating.js", root)).catch(() => rating.remove()); // the page works without

/** Whether this browser wants to rate without seeing names; `rating.js` shows them again when it may. */
function hidesNames() {
  try {
    return localStorage.getItem("earshot.hide") === "true";
  } catch {
    return false;
  }
}

function jobs() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return []; // storage is switched off or holds something else
  }
}

function remember(list) {
  try {
    localStorage.setItem(KEY, JSON.stringify(list.slice(0, KEPT)));
  } catch {
    // private windows may refuse: then nothing is remembered, which is what such a visitor wants
  }
  showEarlier();
}

function address(id) {
  const url = new URL(location.href);
  if (id) url.searchParams.set("job", id);
  else url.searchParams.delete("job");
  return url;
}

function show(id, scroll) {
  open = id;
  result.hidden = false;
  share.hidden = false;
  rating.setAttribute("job", id); // first: it takes what was heard of the one before
  if (hidesNames()) player.setAttribute("blind", "");
  player.setAttribute("base", new URL("earshot/", root).pathname);
  player.setAttribute("job", id);
  const link = address(id);
  history.replaceState(history.state, "", link);
  link.searchParams.delete("__theme");
  find(".earshot-share input").value = link.href;
  note.textContent = "";
  if (scroll) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    result.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  }
  describe(id);
  showEarlier();
}

/** The player of the recording that is chosen now. */
function chosen() {
  return document.querySelector(".earshot-recording earshot-player");
}

/** A new separation goes on where the recording's own player was left: same cursor, same selection, same keys. */
function takeOver(id) {
  const recording = chosen();
  show(id, true);
  if (!recording?.seek || !player.seek) return; // the player has not been loaded
  player.seek(recording.cursor);
  player.select(recording.selection);
  player.focus({ preventScroll: true });
}

async function describe(id) {
  try {
    const answer = await fetch(new URL(`earshot/jobs/${encodeURIComponent(id)}`, root));
    if (!answer.ok) return;
    const { name, model, expires } = await answer.json();
    const known = jobs().filter((job) => job.id !== id);
    if (known.length < jobs().length) remember([{ id, name, model, expires }, ...known]);
  } catch {
    // no network: the player says so and tries again
  }
}

function showEarlier() {
  const now = Date.now() / 1000;
  const list = jobs().filter((job) => !job.expires || job.expires > now);
  earlier.hidden = !list.length;
  earlier.querySelector("ul").replaceChildren(
    ...list.map((job) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = address(job.id).href;
      link.textContent = job.name ?? "A recording";
      if (job.id === open) link.setAttribute("aria-current", "true");
      link.addEventListener("click", (event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        show(job.id, true);
      });
      const made = document.createElement("span");
      made.className = "earshot-quiet";
      made.textContent = job.model ?? "";
      item.append(link, made);
      return item;
    }),
  );
}

watch("value", () => {
  const id = props.value;
  if (!id) return;
  remember([{ id }, ...jobs().filter((job) => job.id !== id)]);
  takeOver(id);
});

find(".earshot-copy").addEventListener("click", async () => {
  const input = find(".earshot-share input");
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
    note.textContent = "The link is copied. Whoever has it can listen, download and delete.";
  } catch {
    note.textContent = "The link is selected: copy it with Ctrl+C. Whoever has it can listen, download and delete.";
  }
});

// Who rates without knowing the model finds its name nowhere in what belongs to this result.
earlier.classList.toggle("earshot-blind", hidesNames());
player.addEventListener("earshot-blind", ({ detail }) => earlier.classList.toggle("earshot-blind", detail));

// The player says when a job is gone: deleted in it just now, expired, or never there.
player.addEventListener("earshot-state", ({ detail }) => {
  if (detail.status !== "gone" || !open) return;
  remember(jobs().filter((job) => job.id !== open));
  open = null;
  share.hidden = true;
  note.textContent = "";
  chosen()?.look?.(); // its recording may have been deleted with the separation
  history.replaceState(history.state, "", address(null));
});

// Who rates one separation after the other is given the next one.
document.addEventListener("earshot-open", (event) => {
  event.preventDefault();
  show(event.detail, true);
});

showEarlier();
const linked = new URLSearchParams(location.search).get("job");
if (linked) show(linked, false);
