/** Frequencies and levels of a spectrogram: where a frequency lies, how it is written, what a byte of the picture means. */

import { clamp } from "./times.js";

export const SCALES = {
  mel: ["Mel", "Mel", "as an ear spreads them"],
  log: ["Log", "Logarithmic", "octaves equally high"],
  cqt: ["CQT", "Constant-Q", "notes, sharp in pitch"],
  linear: ["Linear", "Linear", "kHz equally high"],
};
const ROUND_HZ = [100, 200, 500, 1000, 2000, 5000, 10000, 20000];
const NOTES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

/** The rows of a picture from `low` at its lower edge to half the sample rate: as the server divides them. */
export class FrequencyAxis {
  constructor(scale, sampleRate, lowestHz) {
    this.scale = scale;
    this.top = sampleRate / 2;
    const bend = { mel: (hz) => Math.log10(1 + hz / 700), linear: (hz) => hz }[scale] ?? Math.log2;
    this.back = { mel: (value) => 700 * (10 ** value - 1), linear: (value) => value }[scale] ?? ((value) => 2 ** value);
    this.bend = bend;
    this.low = Math.min(lowestHz, this.top / 2);
    this.ends = [bend(this.low), bend(this.top)];
  }

  /** How high a frequency lies, 0 to 1. */
  place(hz) {
    const [first, last] = this.ends;
    return clamp((this.bend(Math.max(hz, this.low)) - first) / (last - first), 0, 1);
  }

  /** The frequency at a height from 0 to 1. */
  hz(place) {
    const [first, last] = this.ends;
    return this.back(first + clamp(place, 0, 1) * (last - first));
  }

  /** What to write beside a lane of this height: [text, pixels from below], never crowded. */
  marks(height) {
    const marks = [];
    for (const hz of this.scale === "cqt" ? octavesOfC(this.top) : this.scale === "linear" ? evenly(this.top) : ROUND_HZ) {
      if (hz < this.low || hz > this.top) continue;
      const y = height * this.place(hz);
      if (y - (marks.at(-1)?.[1] ?? -6) < 17 || y > height - 9) continue;
      marks.push([this.scale === "cqt" ? `${noteOf(hz)} ${axisHz(hz)}` : axisHz(hz), y]);
    }
    return marks;
  }
}

const octavesOfC = (top) => [...Array(11).keys()].map((i) => 440 * 2 ** (i - 3.75)).filter((hz) => hz < top);
const evenly = (top) => {
  const step = [100, 200, 500, 1000, 2000, 5000, 10000, 20000].find((hz) => top / hz <= 5) ?? 50000;
  return [...Array(Math.floor(top / step)).keys()].map((i) => (i + 1) * step);
};
const axisHz = (hz) => (hz < 1000 ? `${Math.round(hz)} Hz` : `${Number((hz / 1000).toFixed(1))} kHz`);

/** 1240 -> "1.24 kHz", as a reading: three figures. */
export function readHz(hz) {
  return hz < 1000 ? `${hz < 100 ? hz.toFixed(1) : Math.round(hz)} Hz` : `${(hz / 1000).toPrecision(hz < 1e4 ? 3 : 4)} kHz`;
}

/** The note nearest to a frequency, of the tempered scale with A4 = 440 Hz: "D♯6". */
export function noteOf(hz) {
  const number = Math.round(69 + 12 * Math.log2(hz / 440));
  return `${NOTES[((number % 12) + 12) % 12]}${Math.floor(number / 12) - 1}`;
}

const signed = (db) => (Math.round(db) < 0 ? `−${Math.abs(Math.round(db))}` : `${Math.round(db)}`);

/** What the bytes of a picture mean and how they look; made of a part of the server's `legend`. */
export class Levels {
  constructor(stepDb, { zero_byte: zero, low_db: low, high_db: high, colours }, difference) {
    Object.assign(this, { stepDb, zero, low, high, colours, difference });
    this.paints = new Uint32Array(256); // byte -> a pixel, as the picture of the server
    for (let byte = 0; byte < 256; byte++) {
      const colour = parseInt(colours[Math.round((255 * (clamp(this.db(byte), low, high) - low)) / (high - low))], 16);
      this.paints[byte] = (0xff000000 | ((colour & 0xff) << 16) | (colour & 0xff00) | (colour >> 16)) >>> 0;
    }
  }

  db(byte) {
    return (byte - this.zero) * this.stepDb;
  }

  /** A byte in words: "−38 dB", "−90 dB or less", "+6 dB". */
  read(byte) {
    const db = this.db(byte);
    const more = byte === 255 ? " or more" : byte === 0 ? " or less" : "";
    return `${this.difference && Math.round(db) > 0 ? "+" : ""}${signed(db)} dB${more}`;
  }

  /** The ends of the legend. */
  get ends() {
    return [this.low, this.high].map((db) => `${this.difference && db > 0 ? "+" : ""}${signed(db)} dB`);
  }

  get gradient() {
    return `linear-gradient(to right, ${this.colours.filter((_, i) => i % 15 === 0).map((colour) => `#${colour}`).join(", ")})`;
  }
}
