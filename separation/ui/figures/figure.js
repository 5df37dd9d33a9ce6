/**
 * <earshot-figure src="…" name="…">: draws a figure that our server describes as Plotly JSON, with its table under it.
 *
 * Plotly itself is fetched when the first figure is near the screen. Colours in the description are names of CSS variables;
 * they are resolved here, and again when the page changes between light and dark. The box keeps its height while a figure
 * is fetched, so nothing jumps.
 *
 * A heat map (attribute `cells`) can be used with the keyboard: arrow keys move a frame from cell to cell, Enter chooses it.
 * `earshot-cell` (bubbles) tells the page which one: {track, second, text}. Every figure has its numbers as a table, as CSV,
 * and as SVG and PNG.
 */

const here = new URL("./", import.meta.url);
const quote = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
let plotly = null;

/** plotly.js, once. */
function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", here);
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      plotly = null;
      script.remove();
      reject(new Error("plotly.js could not be loaded"));
    };
    document.head.append(script);
  });
  return plotly;
}

/** Every "var(--name)" in a description, replaced by what it is on this page now. */
function resolved(value, style) {
  if (typeof value === "string") {
    return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim() || "#888");
  }
  if (Array.isArray(value)) return value.map((each) => resolved(each, style));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolved(each, style)]));
  }
  return value;
}

/** A text in lines of about so many letters, broken at its spaces; three at most. */
function inLines(text, letters) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last && last.length + 1 + word.length > letters) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return lines.length > 3 ? `${lines.slice(0, 3).join("<br>")} …` : lines.join("<br>");
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" ? String(Math.round(value * 1000) / 1000) : value;
}

function save(url, name) {
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
}

class EarshotFigure extends HTMLElement {
  static observedAttributes = ["src"];

  constructor() {
    super();
    this.figure = null;
    this.cell = null;
    this.asked = 0;
  }

  connectedCallback() {
    if (!this.plot) this.build();
    this.off = new AbortController();
    this.near = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        this.near.disconnect();
        this.near = null;
        this.load();
      },
      { rootMargin: "600px" },
    );
    this.near.observe(this);
    this.themes = new MutationObserver(() => this.draw());
    for (const element of [document.documentElement, document.body]) {
      this.themes.observe(element, { attributes: true, attributeFilter: ["class"] });
    }
    let width = this.clientWidth;
    this.sizes = new ResizeObserver(() => {
      if (this.clientWidth === width) return; // its own height changes with what is drawn
      width = this.clientWidth;
      this.draw();
    });
    this.sizes.observe(this);
  }

  disconnectedCallback() {
    this.near?.disconnect();
    this.themes.disconnect();
    this.sizes.disconnect();
    if (this.drawn) window.Plotly?.purge(this.plot);
    this.drawn = false;
  }

  attributeChangedCallback(_, before, after) {
    if (before !== after && this.isConnected && !this.near) this.load();
  }

  build() {
    this.innerHTML = `
      <div class="figure-plot" tabindex="0"></div>
      <p class="figure-note" role="status"></p>
      <div class="figure-more">
        <details class="figure-table"><summary>Numbers</summary><div class="figure-rows" tabindex="0"></div></details>
        <div class="figure-saves" role="group" aria-label="Download this figure">
          <button type="button" data-as="svg">SVG</button><button type="button" data-as="png">PNG</button>
          <button type="button" data-as="csv">CSV</button>
        </div>
      </div>`;
    this.plot = this.querySelector(".figure-plot");
    this.note = this.querySelector(".figure-note");
    this.table = this.querySelector("details");
    this.table.addEventListener("toggle", () => this.fill());
    this.querySelector(".figure-saves").addEventListener("click", (event) => {
      const kind = event.target.closest("[data-as]")?.dataset.as;
      if (kind) this.save(kind);
    });
    if (this.hasAttribute("cells")) this.plot.addEventListener("keydown", (event) => this.key(event));
    this.saves(false);
  }

  saves(on) {
    for (const button of this.querySelectorAll("[data-as]")) button.disabled = !on;
  }

  /** Ask for the description again; an answer that comes late is thrown away. */
  async load() {
    const src = this.getAttribute("src");
    const asked = ++this.asked;
    if (!src) return;
    this.classList.add("loading");
    try {
      const [response] = await Promise.all([fetch(src, { cache: "no-store" }), loadPlotly()]);
      const body = await response.json();
      if (asked !== this.asked || !this.isConnected) return;
      if (response.ok && body.nothing) this.say(body.nothing);
      else if (response.ok) this.show(body);
      else this.say(`${body.asked}: ${body.found}. ${body.advice}.`);
    } catch {
      if (asked === this.asked) this.say("The figure could not be loaded. Check the connection and try again.");
    } finally {
      if (asked === this.asked) this.classList.remove("loading");
    }
  }

  /** Words in the place of the picture. */
  say(text) {
    this.figure = null;
    if (this.drawn) window.Plotly.purge(this.plot);
    this.drawn = false;
    this.plot.hidden = true;
    this.note.textContent = text;
    this.querySelector(".figure-more").hidden = true;
    this.saves(false);
    this.emit("drawn", null);
  }

  show(figure) {
    this.figure = figure;
    this.plot.hidden = false;
    this.querySelector(".figure-more").hidden = false;
    this.note.textContent = "";
    const cells = this.hasAttribute("cells");
    this.plot.setAttribute("role", cells ? "application" : "img");
    const how = ". Arrow keys move from cell to cell, Enter plays that second. The numbers are in the table below.";
    this.plot.setAttribute("aria-label", figure.label + (cells ? how : ". The numbers are in the table below."));
    if (cells) this.cell = null;
    this.saves(true);
    this.draw();
    this.fill();
    this.emit("drawn", figure);
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(`earshot-${name}`, { detail, bubbles: true }));
  }

  async draw() {
    if (!this.figure || !this.isConnected || !this.clientWidth) return;
    const Plotly = await loadPlotly();
    if (!this.figure) return;
    const { data, layout } = resolved({ data: this.figure.data, layout: this.figure.layout }, getComputedStyle(this));
    const small = this.clientWidth < 520;
    const font = { ...layout.font, family: getComputedStyle(this).fontFamily, size: small ? 12 : layout.font.size };
    const config = { displayModeBar: false, responsive: false, scrollZoom: false, displaylogo: false };
    const still = { ...layout, font, width: this.clientWidth, dragmode: false };
    if (small && data[0]?.colorbar) {
      Object.assign(data[0].colorbar, { orientation: "h", y: 1.01, yanchor: "bottom", x: 0.5, xanchor: "center", thickness: 10, len: 0.8 });
      Object.assign(still, { height: layout.height + 40, margin: { ...layout.margin, r: 12, t: 56 } });
    }
    if (small) this.narrow(still);
    this.plot.style.height = `${still.height}px`;
    await Plotly.react(this.plot, data, still, config);
    if (!this.drawn) {
      this.drawn = true;
      this.plot.on("plotly_click", ({ points }) => this.hasAttribute("cells") && this.choose(this.at(points[0])));
    }
    this.frame();
  }

  /** Break long names beside the rows and below the axis into lines: on a phone they would leave no room for the figure. */
  narrow(layout) {
    const { xaxis, yaxis } = layout;
    if (yaxis?.ticktext) layout.yaxis = { ...yaxis, ticktext: yaxis.ticktext.map((name) => inLines(name, 16)) };
    if (xaxis?.title?.text) layout.xaxis = { ...xaxis, title: { ...xaxis.title, text: inLines(xaxis.title.text, 26) } };
  }

  // -- cells

  at({ y, x, pointIndex, pointNumber }) {
    const index = pointIndex ?? pointNumber;
    if (Array.isArray(index)) return index;
    const { x: across, y: up } = this.figure.data[0];
    return [up.indexOf(y), across.indexOf(x)];
  }

  key(event) {
    if (!this.figure || event.ctrlKey || event.metaKey || event.altKey) return;
    const { z } = this.figure.data[0];
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const [row, column] = this.cell ?? [0, 0];
    const inside = (value, length) => Math.min(Math.max(value, 0), length - 1);
    let next;
    if (step) next = this.cell ? [inside(row + step[0], z.length), inside(column + step[1], z[0].length)] : [0, 0];
    else if (event.key === "Home") next = [row, 0];
    else if (event.key === "End") next = [row, z[0].length - 1];
    else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      this.choose(this.cell ?? [0, 0]);
      return;
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.cell = next;
    this.frame();
    const { track, second, text } = this.told();
    this.note.textContent = `${track}, second ${second}: ${text}`;
  }

  choose(cell) {
    this.cell = cell;
    this.frame();
    const told = this.told();
    this.note.textContent = `${told.track}, second ${told.second}: ${told.text}`;
    this.emit("cell", told);
  }

  told() {
    const [row, column] = this.cell;
    const trace = this.figure.data[0];
    const columns = trace.x.length;
    const [track, second] = this.figure.rows[row * columns + column];
    return { track, second, text: trace.text[row][column] };
  }

  /** A frame around the cell that the keyboard is on. */
  frame() {
    if (!this.hasAttribute("cells") || !this.drawn || !this.figure) return;
    const { x, dx } = this.figure.data[0];
    const [row, column] = this.cell ?? [];
    const colour = getComputedStyle(this).getPropertyValue("--earshot-text").trim();
    const at = { type: "rect", x0: x[column] - dx / 2, x1: x[column] + dx / 2, y0: row - 0.5, y1: row + 0.5 };
    const shapes = this.cell ? [{ ...at, line: { color: colour, width: 3 }, fillcolor: "rgba(0,0,0,0)" }] : [];
    window.Plotly.relayout(this.plot, { shapes });
  }

  // -- numbers and files

  /** The table is only built when somebody opens it: it may have thousands of rows. */
  fill() {
    if (!this.table.open || !this.figure) return;
    const table = document.createElement("table");
    const caption = table.createCaption();
    caption.textContent = this.figure.label;
    const head = table.createTHead().insertRow();
    for (const column of this.figure.columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = column;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of this.figure.rows) {
      const line = body.insertRow();
      for (const value of row) {
        const cell = line.insertCell();
        cell.textContent = shown(value);
        cell.classList.toggle("number", typeof value === "number");
      }
    }
    this.table.lastElementChild.replaceChildren(table);
  }

  async save(kind) {
    const name = `${this.getAttribute("name") ?? "figure"}.${kind}`;
    if (kind === "csv") {
      const lines = [this.figure.columns, ...this.figure.rows].map((row) => row.map((value) => quote(String(value ?? ""))).join(","));
      const url = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
      save(url, name);
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      return;
    }
    const Plotly = await loadPlotly();
    const size = { width: Math.max(this.clientWidth, 640), height: this.figure.layout.height };
    save(await Plotly.toImage(this.plot, { format: kind, ...size, scale: kind === "png" ? 2 : 1 }), name);
  }
}

if (!customElements.get("earshot-figure")) customElements.define("earshot-figure", EarshotFigure);

export { EarshotFigure };
