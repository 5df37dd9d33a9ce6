// The loss while a model learns: one line a source, each from its own start (losses of different sources are on scales of their own).

const HEIGHT = 190; // pixels
const [LEFT, RIGHT, TOP, BOTTOM] = [52, 12, 16, 30];
const NAMESPACE = "http://www.w3.org/2000/svg";

function draw(name, attributes, text) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The curves; `element` stands on the page from the start, so that nothing moves when they come. */
export class Curve {
  constructor() {
    this.picture = draw("svg", { class: "learn-curve", role: "img", height: HEIGHT });
    this.caption = Object.assign(document.createElement("figcaption"), { className: "earshot-quiet" });
    this.element = Object.assign(document.createElement("figure"), { className: "learn-figure" });
    this.element.append(this.picture, this.caption);
    this.shown = [[], {}, 0];
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  /** `losses`: {source: [[step, loss], …]}; `steps`: how many there will be; `sources`: names, in the order of their colours. */
  show(...shown) {
    this.shown = shown;
    this.draw();
  }

  draw() {
    const [sources, losses, steps] = this.shown;
    const width = this.picture.clientWidth || 500;
    const curves = sources.map((source, index) => [source, index, losses[source] ?? []]).filter(([, , points]) => points.length);
    const last = Math.max(steps, ...curves.flatMap(([, , points]) => points.map(([step]) => step)), 1);
    const x = (step) => LEFT + ((width - LEFT - RIGHT) * step) / last;
    const y = (part) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - part);
    const grid = [0, 0.5, 1].flatMap((part) => [
      draw("line", { x1: LEFT, x2: width - RIGHT, y1: y(part), y2: y(part), class: "grid" }),
      draw("text", { x: LEFT - 8, y: y(part) + 5, "text-anchor": "end" }, `${100 * part} %`),
    ]);
    const ticks = [0, last].map((step) =>
      draw("text", { x: x(step), y: HEIGHT - 10, "text-anchor": step ? "end" : "start" }, step ? (last > 1 ? `step ${step}` : "steps") : "start"),
    );
    const lines = curves.map(([, index, points]) => {
      const first = Math.max(...points.map(([, loss]) => loss), 1e-12);
      const path = points.map(([step, loss], place) => `${place ? "L" : "M"}${x(step).toFixed(1)} ${y(Math.max(0, loss) / first).toFixed(1)}`);
      return draw("path", { d: path.join(""), class: "curve", style: `--track: var(--track-${index + 1})` });
    });
    this.picture.replaceChildren(...grid, ...ticks, ...lines);
    const left = curves.map(([source, , points]) => {
      const most = Math.max(...points.map(([, loss]) => loss), 1e-12);
      return `${source} ${Math.round((100 * points.at(-1)[1]) / most)} %`;
    });
    this.caption.textContent = left.length
      ? `What the model still gets wrong of the clips, of what it got wrong at first: ${left.join(", ")}.`
      : "Here the error falls while the model learns.";
    this.picture.setAttribute("aria-label", this.caption.textContent);
  }
}
