/** Maps of cells: fetched as bytes, painted a pixel a cell, stretched by whoever shows them. */

import { errorOf } from "../static/watch.js";

/** The bytes of a map; an Error with three `parts` as `View.ask` throws. */
export async function cells(path) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store" });
  } catch {
    const parts = { asked: "Fetch the maps", found: "the server cannot be reached", advice: "Check the connection and try again" };
    throw Object.assign(new Error(parts.found), { parts });
  }
  if (!response.ok) throw Object.assign(new Error("refused"), { parts: await errorOf(response) });
  return new Uint8Array(await response.arrayBuffer());
}

/** 256 colours as the pixels of a canvas, from the tabulated ones. */
export function colourTable(colours) {
  const knots = colours.map((colour) => [0, 2, 4].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (knots.length - 1);
    const low = Math.min(Math.floor(at), knots.length - 2);
    const [red, green, blue] = knots[low].map((value, channel) => Math.round(value + (at - low) * (knots[low + 1][channel] - value)));
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

/** A map as a canvas of a pixel a cell, its first row on top. */
export function painted(levels, rows, columns, table) {
  const image = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
  const pixels = Uint32Array.from(levels, (level) => table[level]);
  image.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), columns, rows), 0, 0);
  return image;
}

/** Size a canvas to its box in device pixels: [context, width, height]. */
export function fit(canvas) {
  const width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  const height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return [canvas.getContext("2d"), width, height];
}
