/**
 * <earshot-views>: one row of buttons between the player and the rating, one a view. A view's module is fetched when it is first
 * opened; that says `earshot-saw`, so that a rating knows what its listener had seen. Hidden while names and figures are.
 */

// `of` names what a stage must have for a view that only some models have anything for.
const VIEWS = [
  { name: "segments", title: "Every second", hint: "Where is it good, where bad? Click a second to loop it" },
  { name: "pitch", title: "Pitch", hint: "What every voice sings, and how to correct it", of: "pitch" },
  { name: "masks", title: "Inside the model", hint: "Which basis functions carry which source; hear one alone" },
  { name: "blocks", title: "Blocks and memory", hint: "What the model makes of each voice, and what it remembers of it", of: "blocks" },
  { name: "edits", title: "Edit", hint: "Change the masks, hear the difference, undo" },
];
const SYMBOL = {
  pitch: "M2 15c3 0 3-7 6-7s3 5 6 5 4-8 8-9v2c-3 1-4 9-8 9s-4-5-6-5-3 7-6 7zm0 4h20v2H2z",
  segments: "M3 13h3v7H3zm5-6h3v13H8zm5 3h3v10h-3zm5-6h3v16h-3z",
  masks: "M3 4h18v3H3zm0 5h12v3H3zm0 5h16v3H3zm0 5h9v2H3z",
  blocks: "M3 3h8v8H3zm10 10h8v8h-8zM13 3h8v8h-8zm2 2v4h4V5zM3 13h8v8H3zm2 2v4h4v-4z",
  edits: "M4 7h9v2H4zm13 0h3v2h-3zm-3-2h2v6h-2zM4 15h3v2H4zm7 0h9v2h-9zm-3-2h2v6H8z",
};

const file = (name) => new URL(name, import.meta.url);
const TEMPLATE = `
<style>:host { display: block; min-height: 58px }</style>
<link rel="stylesheet" href="${file("../static/tokens.css")}"><link rel="stylesheet" href="${file("views.css")}">
<nav class="view chooser" aria-label="Look inside" hidden>
  <h2>Look inside</h2>
  ${VIEWS.map(
    ({ name, title, hint }) => `<button type="button" class="button choice" data-view="${name}" aria-expanded="false" title="${hint}">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d="${SYMBOL[name]}"/></svg><span>${title}</span></button>`,
  ).join("")}
  <p class="note" role="status"></p>
</nav>
<slot></slot>`;

class EarshotViews extends HTMLElement {
  #open = new Map();

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = TEMPLATE;
    this.bar = root.querySelector(".chooser");
    this.note = root.querySelector(".note");
    const links = [...root.querySelectorAll("link")];
    this.styled = Promise.all(links.map((link) => new Promise((done) => (link.onload = link.onerror = done))));
    for (const button of root.querySelectorAll(".choice")) button.onclick = () => this.toggle(button.dataset.view);
  }

  connectedCallback() {
    this.off = new AbortController();
    const { signal } = this.off;
    this.player = this.parentElement.querySelector("earshot-player");
    this.player.addEventListener("earshot-blind", () => this.show(), { signal });
    this.player.addEventListener("earshot-stage", () => this.show(), { signal });
    this.player.addEventListener("earshot-state", ({ detail }) => detail.status === "gone" && this.show(), { signal });
    // What one view hands to another opens the other: rows of the masks that shall be muted, for example.
    this.addEventListener("earshot-rows", ({ detail }) => this.open("edits").then((view) => view?.takeRows?.(detail)), { signal });
    this.addEventListener("earshot-close", ({ target }) => this.closed(target), { signal });
    this.themes = new MutationObserver(() => this.show());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.styled.then(() => {
      this.shadowRoot.querySelector("style")?.remove();
      this.show();
    });
  }

  disconnectedCallback() {
    this.off.abort();
    this.themes.disconnect();
  }

  /** The chooser is there when there is something to look at and nothing to hide. */
  show() {
    const { player } = this;
    const hidden = player.blind || !player.stage;
    this.bar.hidden = hidden;
    this.hidden = hidden;
    for (const { name, of } of VIEWS) if (of) this.button(name).hidden = !player.stage?.[of];
    this.bar.classList.toggle("dark", document.body.classList.contains("dark"));
    if (player.blind) for (const view of this.#open.values()) view.close();
  }

  /** What of the page is shown now: "views", "metrics". */
  get shown() {
    return [...this.#open.values()].map(({ constructor }) => constructor.sees);
  }

  button(name) {
    return this.shadowRoot.querySelector(`[data-view="${name}"]`);
  }

  toggle(name) {
    if (this.#open.has(name)) this.#open.get(name).close();
    else this.open(name);
  }

  /** Open a view and return it; null if it cannot be fetched. */
  async open(name) {
    if (this.#open.has(name)) return this.#open.get(name);
    this.note.textContent = "";
    let kind;
    try {
      ({ default: kind } = await import(file(`${name}.js`)));
    } catch (error) {
      console.warn(error);
      this.note.textContent = "The view could not be loaded. Check the connection and try again.";
      return null;
    }
    if (this.#open.has(name) || this.player.blind) return this.#open.get(name) ?? null;
    const view = document.createElement(`earshot-view-${name}`);
    view.player = this.player;
    this.#open.set(name, view);
    const after = VIEWS.slice(VIEWS.findIndex((each) => each.name === name) + 1).find((each) => this.#open.has(each.name));
    this.insertBefore(view, after ? this.#open.get(after.name) : null);
    this.button(name).setAttribute("aria-expanded", "true");
    this.dispatchEvent(new CustomEvent("earshot-saw", { detail: kind.sees ?? "views", bubbles: true, composed: true }));
    return view;
  }

  closed(view) {
    const name = [...this.#open].find(([, each]) => each === view)?.[0];
    if (!name) return;
    this.#open.delete(name);
    this.button(name).setAttribute("aria-expanded", "false");
    if (!this.player.blind) this.button(name).focus({ preventScroll: true });
  }
}

if (!customElements.get("earshot-views")) customElements.define("earshot-views", EarshotViews);

export { EarshotViews };
