/**
 * A track's samples: fetched block by block over HTTP Range, a bounded number of them kept, as AudioBuffers at the
 * context's rate. Not what plays them: that is `transport.js`.
 */

import { gcd } from "./times.js";

const BLOCK = 1 << 16; // frames fetched at once
const CONNECTIONS = 4; // at once; browsers allow six per host and the page needs some

/**
 * Windowed-sinc conversion of a whole recording, block by block, without seams: output frame n is always taken at
 * input position n * from / to (an exact fraction), so it does not matter which block it is computed in.
 */
export class Resampler {
  constructor(from, to) {
    const divisor = gcd(from, to);
    this.up = to / divisor;
    this.down = from / divisor;
    this.cutoff = Math.min(1, to / from);
    this.half = this.up === this.down ? 0 : Math.ceil(24 / this.cutoff);
    this.kernels = new Map();
  }

  /** The first output frame at or after input frame `frame`. */
  ceil(frame) {
    return Math.ceil((frame * this.up) / this.down);
  }

  kernel(phase) {
    let kernel = this.kernels.get(phase);
    if (!kernel) {
      kernel = new Float32Array(2 * this.half);
      for (let k = 0; k < kernel.length; k++) {
        const x = k - this.half + 1 - phase / this.up;
        const angle = Math.PI * x * this.cutoff;
        const window = Math.cos((Math.PI * x) / (2 * this.half)) ** 2;
        kernel[k] = Math.abs(x) < this.half ? this.cutoff * window * (angle ? Math.sin(angle) / angle : 1) : 0;
      }
      this.kernels.set(phase, kernel);
    }
    return kernel;
  }

  /** Output frames `first` to `last` from `input`, which holds input frames from `origin` on (zero outside). */
  convert(input, origin, first, last) {
    if (!this.half) return input.subarray(first - origin, last - origin);
    const output = new Float32Array(last - first);
    for (let n = first; n < last; n++) {
      const kernel = this.kernel((n * this.down) % this.up);
      const start = Math.floor((n * this.down) / this.up) - this.half + 1 - origin;
      let sum = 0;
      for (let k = Math.max(0, -start); k < kernel.length && start + k < input.length; k++) sum += kernel[k] * input[start + k];
      output[n - first] = sum;
    }
    return output;
  }
}

/** One track as AudioBuffers at the context's rate, fetched block by block; the least recently used are let go. */
class Pcm {
  constructor(url, stage, rate, keep) {
    this.url = url;
    this.channels = stage.channels;
    this.sourceLength = stage.length;
    this.rate = rate;
    this.keep = keep;
    this.resampler = new Resampler(stage.sample_rate, rate);
    this.length = this.resampler.ceil(stage.length);
    this.blocks = new Map();
  }

  start(index) {
    return Math.min(this.resampler.ceil(index * BLOCK), this.length);
  }

  indexOf(frame) {
    const { up, down } = this.resampler;
    let index = Math.floor((frame * down) / up / BLOCK);
    while (this.start(index + 1) <= frame) index++; // the division may round
    while (index > 0 && this.start(index) > frame) index--;
    return index;
  }

  get(index) {
    const buffer = this.blocks.get(index);
    if (buffer) {
      this.blocks.delete(index);
      this.blocks.set(index, buffer);
    }
    return buffer;
  }

  async load(index, signal) {
    const guard = this.resampler.half;
    const from = Math.max(0, index * BLOCK - guard);
    const to = Math.min(this.sourceLength, (index + 1) * BLOCK + guard);
    const frameBytes = 2 * this.channels;
    // `no-store` also on our side: Chrome would otherwise answer requests for one URL one after the other.
    const response = await fetch(this.url, {
      cache: "no-store",
      headers: { Range: `bytes=${from * frameBytes}-${to * frameBytes - 1}` },
      signal,
    });
    if (response.status === 404) throw Object.assign(new Error("gone"), { gone: true });
    if (response.status !== 206) throw new Error(`a range was asked for, the answer is ${response.status}`);
    const samples = new Int16Array(await response.arrayBuffer());
    if (samples.length !== (to - from) * this.channels) throw new Error("the block was cut short");
    const first = this.start(index);
    const last = this.start(index + 1);
    const buffer = new AudioBuffer({ length: last - first, numberOfChannels: this.channels, sampleRate: this.rate });
    const plane = new Float32Array(to - from);
    for (let channel = 0; channel < this.channels; channel++) {
      for (let i = 0; i < plane.length; i++) plane[i] = samples[i * this.channels + channel] / 32768;
      buffer.copyToChannel(this.resampler.convert(plane, from, first, last), channel);
    }
    this.blocks.set(index, buffer);
    if (this.blocks.size > this.keep) this.blocks.delete(this.blocks.keys().next().value);
  }
}

/** All tracks of a stage, and what of them is on its way. */
export class Library {
  constructor(base, stage, rate, keep = Math.max(8, Math.ceil((12 * rate) / BLOCK))) {
    this.stage = stage;
    this.rate = rate;
    this.origin = stage.start / stage.sample_rate;
    this.tracks = new Map(stage.tracks.map((name) => [name, new Pcm(`${base}/${encodeURIComponent(name)}.pcm`, stage, rate, keep)]));
    this.length = Math.ceil((stage.length * rate) / stage.sample_rate);
    this.trim = 1; // gain by which it is brought to that of another take
    this.pending = new Map();
    this.failures = 0;
    this.retryAt = 0;
    this.onchange = () => {};
    this.ongone = () => {};
  }

  /** Fetch these [name, index], the most urgent first; anything else on its way is called off. */
  want(list) {
    const wanted = new Map(list.map((item) => [item.join("/"), item]));
    for (const [key, controller] of this.pending) if (!wanted.has(key)) controller.abort();
    if (performance.now() < this.retryAt) return;
    for (const [key, [name, index]] of wanted) {
      if (this.pending.size >= CONNECTIONS) return;
      if (!this.pending.has(key) && !this.tracks.get(name).blocks.has(index)) this.fetch(key, name, index);
    }
  }

  async fetch(key, name, index) {
    const controller = new AbortController();
    this.pending.set(key, controller);
    const timer = setTimeout(() => controller.abort("slow"), 15000);
    try {
      await this.tracks.get(name).load(index, controller.signal);
      this.failures = 0;
      this.retryAt = 0;
    } catch (error) {
      const calledOff = controller.signal.aborted && controller.signal.reason !== "slow";
      if (error.gone) this.ongone();
      if (!calledOff) this.retryAt = performance.now() + Math.min(5000, 250 * 2 ** this.failures++);
    } finally {
      clearTimeout(timer);
      this.pending.delete(key);
    }
    this.onchange();
  }

  /** Everything between two frames, for one track. */
  indices(name, start, end) {
    const pcm = this.tracks.get(name);
    const indices = [];
    for (let index = pcm.indexOf(start); index * BLOCK < pcm.sourceLength && pcm.start(index) < end; index++) indices.push(index);
    return indices;
  }

  close() {
    this.want([]);
    this.onchange = this.ongone = () => {};
  }
}

/** The stretches of the timeline heard from `frame` on, in order: to the end, or to the loop's end and then round it. */
export function* stretches(frame, loop, length) {
  if (!loop || frame >= loop[1]) {
    yield [frame, length];
    return;
  }
  yield [frame, loop[1]];
  for (;;) yield [loop[0], loop[1]];
}
