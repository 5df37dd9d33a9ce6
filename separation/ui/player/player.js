/**
 * <earshot-player base="/earshot/" job="ID">: watches a separation job, then plays its tracks on one clock.
 *
 * One file, no dependency, no build step. Lowest first: times and sizes; `Resampler` (only where a browser refuses the
 * recording's rate); `Pcm` and `Library` (blocks of samples over HTTP Range, a bounded number of them); `Deck` (blocks
 * into Web Audio, sample-adjacent, all tracks at the same instants); `Transport` (play, seek, loop, waiting for the
 * network); `Watch` (polls the job); `Lane` (a track's pictures); `EarshotPlayer` (the element).
 *
 * Words: *frames* are samples per channel. All times that leave this file are seconds of the recording, so that a
 * preview, the whole result and any view below the player share one time axis.
 *
 * Not used, because a page on plain http has none of it: AudioWorklet, crypto.randomUUID, Web Locks.
 */

const BLOCK = 1 << 16; // frames fetched at once
const AHEAD = 3; // seconds scheduled ahead: a hidden tab runs our timer only once a second
const FETCH_AHEAD = 8; // seconds fetched ahead
const CONNECTIONS = 4; // at once; browsers allow six per host and the page needs some
const TICK = 80; // milliseconds between looks at the schedule
const LEAD = 0.05; // seconds between deciding to start and the first sample
const SEAM = 0.005; // seconds of fade at the ends of a loop
const GATE = 0.001; // time constant of the fade at start, stop and seek; closed (-70 dB) after CLOSE
const CLOSE = 0.008;
const RAMP = 0.003; // time constant of gain, mute and solo: settled after 10 ms
const SHORTEST_LOOP = 0.05; // seconds
const SHORTEST_VIEW = 0.02; // seconds
const SILENT_DB = -48; // the lower end of a gain slider means silence
const LOUDEST_DB = 12;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const gcd = (a, b) => (b ? gcd(b, a % b) : a);
const gainOf = (db) => (db <= SILENT_DB ? 0 : 10 ** (db / 20));

/** 75.25 -> "1:15.250"; hours only where the recording has them. */
function clock(seconds, digits = 3) {
  const unit = 10 ** digits;
  const ticks = Math.round(Math.max(0, seconds) * unit);
  const whole = Math.floor(ticks / unit);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const fraction = digits ? "." + String(ticks % unit).padStart(digits, "0") : "";
  return (hours ? `${hours}:${two(minutes)}` : minutes) + `:${two(whole % 60)}${fraction}`;
}

/** A duration as a person says it: "40 s", "3 min", "2 h 5 min". */
function roughly(seconds) {
  if (seconds < 5) return "a few seconds";
  if (seconds < 55) return `${Math.ceil(seconds / 5) * 5} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Three-part error of a response, whatever the response is. */
async function errorOf(response) {
  try {
    const { asked, found, advice } = await response.json();
    if (asked && found && advice) return { asked, found, advice };
  } catch {
    // not JSON: a proxy in between answered
  }
  return { asked: "Ask the server", found: `it answered ${response.status}`, advice: "Try again in a moment" };
}

// ---------------------------------------------------------------------------------------------------------- samples

/**
 * Windowed-sinc conversion of a whole recording, block by block, without seams: output frame n is always taken at
 * input position n * from / to (an exact fraction), so it does not matter which block it is computed in.
 */
class Resampler {
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
class Library {
  constructor(base, stage, rate, keep = Math.max(8, Math.ceil((12 * rate) / BLOCK))) {
    this.stage = stage;
    this.rate = rate;
    this.origin = stage.start / stage.sample_rate;
    this.tracks = new Map(stage.tracks.map((name) => [name, new Pcm(`${base}/${encodeURIComponent(name)}.pcm`, stage, rate, keep)]));
    this.length = Math.ceil((stage.length * rate) / stage.sample_rate);
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
function* stretches(frame, loop, length) {
  if (!loop || frame >= loop[1]) {
    yield [frame, length];
    return;
  }
  yield [frame, loop[1]];
  for (;;) yield [loop[0], loop[1]];
}

// ------------------------------------------------------------------------------------------------------------ sound

/**
 * One stage's tracks in one audio context. Track -> its gain -> seam (fades at the ends of a loop) -> gate (fades at
 * start, stop, seek) -> `output`. Every instant is a whole frame of the context's clock, so blocks meet sample by sample.
 */
class Deck {
  constructor(context, library, output, levels) {
    this.context = context;
    this.library = library;
    this.rate = context.sampleRate;
    this.seam = new GainNode(context, { gain: 1 });
    this.gate = new GainNode(context, { gain: 0 });
    this.seam.connect(this.gate).connect(output);
    this.tracks = new Map();
    for (const name of library.tracks.keys()) {
      const gain = new GainNode(context, { gain: levels[name] ?? 1 });
      gain.connect(this.seam);
      this.tracks.set(name, { gain, level: levels[name] ?? 1, cursor: null, joined: false });
    }
    this.live = new Set();
    this.spans = null;
    this.quietAt = 0;
  }

  get running() {
    return this.spans !== null;
  }

  /** Begin at context frame `at` with timeline frame `frame`. Nothing sounds until `schedule` is called. */
  start(at, frame, loop) {
    this.loop = loop;
    this.path = stretches(frame, loop, this.library.length);
    const [start, end] = this.path.next().value;
    this.spans = [{ at, start, end, sealed: false }];
    for (const track of this.tracks.values()) Object.assign(track, { cursor: { span: this.spans[0], frame }, joined: false });
    const time = at / this.rate;
    this.seam.gain.cancelScheduledValues(time);
    this.seam.gain.setValueAtTime(1, time);
    this.gate.gain.setTargetAtTime(1, time, GATE);
  }

  stop(at) {
    const time = at / this.rate;
    this.gate.gain.cancelScheduledValues(time);
    this.gate.gain.setTargetAtTime(0, time, GATE);
    for (const node of this.live) node.stop(time + CLOSE);
    this.spans = null;
    this.quietAt = at + Math.ceil(CLOSE * this.rate) + 1;
  }

  close() {
    for (const { gain } of this.tracks.values()) gain.disconnect();
    this.seam.disconnect();
    this.gate.disconnect();
  }

  level(name, level, time) {
    const track = this.tracks.get(name);
    if (!track || track.level === level) return;
    track.level = level;
    track.gain.gain.setTargetAtTime(level, time, RAMP);
  }

  /** Timeline frame at context frame `at`. */
  frameAt(at) {
    const span = this.spans.findLast((each) => each.at <= at) ?? this.spans[0];
    return clamp(span.start + at - span.at, span.start, span.end);
  }

  endedAt(at) {
    const last = this.spans.at(-1);
    return last.sealed && at >= last.at + last.end - last.start;
  }

  /** Take another loop without a gap if nothing beyond the current stretch's end is fixed yet. */
  reloop(loop, at) {
    const span = this.spans.at(-1);
    const [, end] = stretches(this.frameAt(at), loop, this.library.length).next().value;
    const reached = [...this.tracks.values()].every(({ cursor }) => cursor.frame <= end);
    if (span.sealed || at < span.at || !reached) return false;
    if (end - this.frameAt(at) < SHORTEST_LOOP * this.rate) return false;
    span.end = end;
    this.loop = loop;
    this.path = stretches(this.frameAt(at), loop, this.library.length);
    this.path.next();
    return true;
  }

  /** Hand everything before context frame `until` to Web Audio; `now` is the first frame still to come. */
  schedule(until, now) {
    this.extend(until);
    for (const [name, track] of this.tracks) this.fill(name, track, until, now);
    while (this.spans.length > 1 && this.spans[1].at <= now - this.rate) this.spans.shift();
  }

  /** Fix the ends of stretches that come before `until`, and fade there. */
  extend(until) {
    for (let span = this.spans.at(-1); !span.sealed && span.at + span.end - span.start <= until; span = this.spans.at(-1)) {
      span.sealed = true;
      const end = span.at + span.end - span.start;
      const gain = this.seam.gain;
      gain.setValueAtTime(1, Math.max(span.at / this.rate, end / this.rate - SEAM));
      gain.linearRampToValueAtTime(0, end / this.rate);
      const next = this.path.next().value;
      if (!next) return;
      gain.linearRampToValueAtTime(1, end / this.rate + SEAM);
      span.next = { at: end, start: next[0], end: next[1], sealed: false };
      this.spans.push(span.next);
    }
  }

  fill(name, track, until, now) {
    const pcm = this.library.tracks.get(name);
    const { cursor } = track;
    while (cursor.span) {
      const { span } = cursor;
      if (cursor.frame >= span.end) {
        if (!span.next) return;
        Object.assign(cursor, { span: span.next, frame: span.next.start });
        continue;
      }
      let at = span.at + cursor.frame - span.start;
      if (at >= until) return;
      const index = pcm.indexOf(cursor.frame);
      const end = Math.min(pcm.start(index + 1), span.end);
      if (at < now) {
        // This track came too late for its place: join the others where they are.
        track.joined = false;
        cursor.frame = Math.min(end, cursor.frame + now - at);
        if (cursor.frame === end) continue;
        at = span.at + cursor.frame - span.start;
      }
      const buffer = pcm.get(index);
      if (!buffer) return;
      const node = new AudioBufferSourceNode(this.context, { buffer });
      node.connect(track.gain);
      node.start(at / this.rate, (cursor.frame - pcm.start(index)) / this.rate);
      if (end < pcm.start(index + 1)) node.stop((at + end - cursor.frame) / this.rate);
      if (!track.joined && at > this.spans[0].at) this.fadeIn(track, at / this.rate);
      track.joined = true;
      node.what = { track: name, at, start: cursor.frame, end };
      this.live.add(node);
      node.onended = () => {
        node.disconnect();
        this.live.delete(node);
      };
      cursor.frame = end;
    }
  }

  fadeIn(track, time) {
    track.gain.gain.cancelScheduledValues(time);
    track.gain.gain.setValueAtTime(0, time);
    track.gain.gain.setTargetAtTime(track.level, time, RAMP);
  }

  /** Whether a track that should be heard runs dry before context frame `at`. */
  dry(at) {
    return [...this.tracks.values()].some(({ level, joined, cursor }) => {
      const { span, frame } = cursor;
      return level > 0 && joined && !(frame >= span.end && !span.next) && span.at + frame - span.start < at;
    });
  }
}

/** Play, stop, seek and loop in seconds of the recording; survives a network that comes and goes. */
class Transport extends EventTarget {
  constructor() {
    super();
    this.playing = false; // what the listener asked for
    this.cursor = 0; // where we are while nothing sounds
    this.loop = null;
    this.levels = {};
    this.volume = 1;
    this.underruns = 0;
    this.waitingSince = null;
    this.online = () => this.hurry();
    window.addEventListener("online", this.online);
  }

  get stage() {
    return this.library?.stage;
  }

  get start() {
    return this.library?.origin ?? 0;
  }

  get end() {
    return this.stage ? this.start + this.stage.length / this.stage.sample_rate : 0;
  }

  /** Whether the listener has been waiting for samples long enough to be told. */
  get waiting() {
    return this.playing && this.waitingSince !== null && performance.now() - this.waitingSince > 400;
  }

  get context() {
    return this.audio;
  }

  /** What is heard now: the output is a little behind the clock. */
  get position() {
    if (!this.deck?.running) return this.cursor;
    const now = this.audio.currentTime - (this.audio.outputLatency || 0);
    return this.seconds(this.deck.frameAt(Math.round(now * this.rate)));
  }

  get rate() {
    return this.audio?.sampleRate ?? this.stage.sample_rate;
  }

  seconds(frame, library = this.library) {
    return library.origin + frame / library.rate;
  }

  frame(seconds, library = this.library) {
    return clamp(Math.round((seconds - library.origin) * library.rate), 0, library.length - 1);
  }

  loopFrames(library = this.library) {
    if (!this.loop) return null;
    const loop = [this.frame(this.loop[0], library), Math.min(library.length, this.frame(this.loop[1], library) + 1)];
    return loop[1] - loop[0] >= SHORTEST_LOOP * library.rate ? loop : null;
  }

  /** Take a stage. While another one plays, change over at the same place as soon as the new samples are here. */
  load(base, stage) {
    this.next?.library.close();
    this.next = null;
    const sameRate = this.stage?.sample_rate === stage.sample_rate;
    const library = this.listen(new Library(base, stage, sameRate ? this.rate : stage.sample_rate));
    if (this.deck?.running && sameRate) this.next = { base, library };
    else this.replace(base, library);
    this.tick();
  }

  listen(library) {
    library.onchange = () => this.tick();
    library.ongone = () => this.dispatchEvent(new Event("gone"));
    return library;
  }

  replace(base, library) {
    const { position } = this;
    if (this.deck?.running) this.deck.stop(this.soon());
    this.library?.close();
    this.deck = null;
    if (this.audio && this.audio.sampleRate !== library.rate) this.closeContext();
    this.base = base;
    this.library = library;
    this.cursor = clamp(position, this.start, this.end);
    this.dispatchEvent(new Event("stage"));
  }

  unload() {
    this.pause();
    this.next?.library.close();
    this.library?.close();
    this.next = this.library = this.deck = null;
    this.loop = null;
    this.cursor = 0;
  }

  /** The context is made at the first press of play (browsers want a gesture), at the recording's rate. */
  ensureContext() {
    if (!this.audio) {
      try {
        this.audio = new AudioContext({ sampleRate: this.library.rate, latencyHint: "playback" });
      } catch {
        this.audio = new AudioContext({ latencyHint: "playback" }); // a refused rate: `Resampler` converts to the default
      }
      this.master = new GainNode(this.audio, { gain: this.volume });
      this.master.connect(this.audio.destination);
      this.audio.onstatechange = () => this.tick();
    }
    if (this.audio.sampleRate !== this.library.rate) {
      this.library.close();
      this.library = this.listen(new Library(this.base, this.stage, this.audio.sampleRate));
    }
    this.deck ??= new Deck(this.audio, this.library, this.master, this.levels);
    if (this.audio.state !== "running") this.audio.resume().catch(() => this.pause());
  }

  closeContext() {
    this.audio?.close();
    this.audio = this.master = null;
  }

  close() {
    this.unload();
    clearTimeout(this.timer);
    window.removeEventListener("online", this.online);
    this.closeContext();
  }

  play() {
    if (!this.library || this.playing) return;
    if (this.cursor >= this.end - 0.01) this.cursor = this.start;
    if (this.loop && (this.cursor < this.loop[0] || this.cursor >= this.loop[1])) this.cursor = this.loop[0];
    this.playing = true;
    this.ensureContext();
    this.tick();
    this.changed();
  }

  pause() {
    if (!this.playing) return;
    this.halt();
    this.playing = false;
    this.waitingSince = null;
    this.changed();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  seek(seconds) {
    if (!this.library) return;
    if (this.deck?.running) this.halt();
    this.cursor = clamp(seconds, this.start, this.end);
    this.tick();
    this.changed();
  }

  setLoop(loop) {
    this.loop = loop;
    if (!this.deck?.running) return;
    if (this.deck.reloop(this.loopFrames(), this.soon())) return;
    const { position } = this;
    this.seek(loop && position >= loop[1] ? loop[0] : position);
  }

  setLevel(name, level) {
    this.levels[name] = level;
    for (const deck of [this.deck, this.next?.deck]) deck?.level(name, level, this.audio.currentTime);
    if (this.library) this.tick();
  }

  setVolume(volume) {
    this.volume = volume;
    this.master?.gain.setTargetAtTime(volume, this.audio.currentTime, RAMP);
  }

  /** The first context frame that can still be changed without hurry. */
  soon() {
    return Math.ceil((this.audio.currentTime + 0.006) * this.rate);
  }

  halt() {
    if (!this.deck?.running) return;
    const at = this.soon();
    this.cursor = this.seconds(this.deck.frameAt(at));
    this.deck.stop(at);
  }

  hurry() {
    for (const library of [this.library, this.next?.library]) if (library) library.retryAt = 0;
    this.tick();
  }

  /** Look at the clock, at what is here, and do what is due. Cheap; called by a timer and whenever something changes. */
  tick() {
    clearTimeout(this.timer);
    if (!this.library) return;
    if (this.playing) {
      if (this.deck.running) this.keepGoing();
      else this.tryToStart();
    }
    if (this.playing && this.next) this.tryToChangeOver();
    else if (this.next) this.replace(this.next.base, this.next.library, (this.next = null));
    this.library.want(this.wishes(this.library, this.position));
    const idle = !this.playing && this.library.pending.size === 0 && this.library.failures === 0;
    if (!idle) this.timer = setTimeout(() => this.tick(), TICK);
  }

  /** Blocks to fetch from a place on, [name, index]: what is heard first, and near before far. */
  wishes(library, position, ahead = this.playing ? FETCH_AHEAD : 1) {
    const names = [...library.tracks.keys()];
    const heard = names.filter((name) => this.levels[name] > 0);
    const silent = names.filter((name) => !heard.includes(name));
    const spans = [];
    let left = ahead * library.rate;
    for (const [start, end] of stretches(this.frame(position, library), this.loopFrames(library), library.length)) {
      spans.push([start, Math.min(end, start + left)]);
      left -= end - start;
      if (left <= 0) break;
    }
    const list = (group) => {
      const each = group.map((name) => spans.flatMap((span) => library.indices(name, ...span).map((index) => [name, index])));
      const longest = Math.max(0, ...each.map((items) => items.length));
      return Array.from({ length: longest }, (_, i) => each.map((items) => items[i]).filter(Boolean)).flat();
    };
    // What a listener may unmute next is only fetched for the near future, and after what is heard.
    return [...list(heard), ...(this.playing ? list(silent) : [])];
  }

  here(library, position) {
    const heard = (name) => this.levels[name] > 0;
    const near = this.wishes(library, position, 0.25).filter(([name]) => heard(name));
    return near.every(([name, index]) => library.tracks.get(name).blocks.has(index));
  }

  tryToStart() {
    if (!this.here(this.library, this.cursor)) {
      this.waitingSince ??= performance.now();
      return;
    }
    this.waitingSince = null;
    const at = Math.max(this.deck.quietAt, Math.ceil((this.audio.currentTime + LEAD) * this.rate));
    this.deck.start(at, this.frame(this.cursor), this.loopFrames());
    this.deck.schedule(at + AHEAD * this.rate, at);
  }

  keepGoing() {
    const now = this.soon();
    if (this.audio.state !== "running" && this.audio.state !== "suspended") this.audio.resume().catch(() => {});
    if (this.deck.endedAt(this.audio.currentTime * this.rate)) {
      this.cursor = this.end;
      this.deck.stop(now);
      this.playing = false;
      this.changed();
      return;
    }
    this.deck.schedule(now + AHEAD * this.rate, now);
    if (this.deck.dry(now + 0.2 * this.rate)) {
      this.underruns++;
      this.halt();
      this.waitingSince = performance.now();
    }
  }

  tryToChangeOver() {
    const { base, library } = this.next;
    const { position } = this;
    library.want(this.wishes(library, position, 3));
    if (!this.deck.running || !this.here(library, position) || !this.here(library, position + 0.2)) return;
    const at = Math.ceil((this.audio.currentTime + LEAD) * this.rate);
    const old = this.deck;
    const there = this.seconds(old.frameAt(at));
    this.deck = new Deck(this.audio, library, this.master, this.levels);
    this.deck.start(at, this.frame(there, library), this.loopFrames(library));
    this.deck.schedule(at + AHEAD * this.rate, at);
    old.stop(at); // the gates of the two cross: together they are 1 at every instant
    setTimeout(() => old.close(), 1000);
    this.library.close();
    Object.assign(this, { base, library, next: null });
    this.dispatchEvent(new Event("stage"));
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Render a stretch offline through the very same library, deck and gains. Changes are {time, track, gain} in seconds
   * after the start. Resolves to an array of Float32Array, one a channel.
   */
  async render({ start = this.start, duration, loop = null, levels = {}, changes = [], rate = this.stage.sample_rate }) {
    const length = Math.round(duration * rate);
    const context = new OfflineAudioContext(this.stage.channels, length, rate);
    const library = new Library(this.base, this.stage, rate, Infinity);
    const deck = new Deck(context, library, context.destination, levels);
    const first = this.frame(start, library);
    const region = loop && loop.map((seconds) => this.frame(seconds, library));
    for (const [from, to] of stretches(first, region, library.length)) {
      for (const [name, pcm] of library.tracks) {
        for (const index of library.indices(name, from, Math.min(to, from + length))) if (!pcm.get(index)) await pcm.load(index);
      }
      if (!region || from === region[0]) break;
    }
    deck.start(0, first, region);
    deck.schedule(length, 0);
    for (const { time, track, gain } of changes) deck.level(track, gain, time);
    const rendered = await context.startRendering();
    return Array.from({ length: rendered.numberOfChannels }, (_, channel) => rendered.getChannelData(channel));
  }
}

// -------------------------------------------------------------------------------------------------------------- job

/** Polls a job. Events: `job` (it changed), `lost` and `found` (the network), `gone` (404: expired or deleted). */
class Watch extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.job = null;
    this.failures = 0;
    this.stopping = false;
    this.wake = () => this.poll();
    window.addEventListener("online", this.wake);
    document.addEventListener("visibilitychange", this.wake);
    this.poll();
  }

  get lost() {
    return this.failures > 0;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    window.removeEventListener("online", this.wake);
    document.removeEventListener("visibilitychange", this.wake);
  }

  delay() {
    if (this.failures) return Math.min(10000, 500 * 2 ** this.failures);
    if (!["waiting", "running"].includes(this.job?.state.status)) return 60000;
    if (this.stopping) return 300;
    return document.hidden ? 4000 : 700;
  }

  async poll() {
    if (this.closed || this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    try {
      const response = await fetch(this.url, { cache: "no-store", signal: AbortSignal.timeout(15000) });
      if (response.status === 404) {
        const error = await errorOf(response);
        if (!this.closed) this.dispatchEvent(new CustomEvent("gone", { detail: error }));
        this.close();
        return;
      }
      if (!response.ok) throw new Error(`status ${response.status}`);
      this.job = await response.json();
      this.failures = 0;
    } catch {
      this.failures++;
    } finally {
      this.busy = false;
    }
    if (this.closed) return;
    this.dispatchEvent(new Event("job"));
    this.timer = setTimeout(() => this.poll(), this.delay());
  }

  async ask(path, method) {
    const response = await fetch(this.url + path, { method, cache: "no-store" });
    if (!response.ok) throw Object.assign(new Error("refused"), { parts: await errorOf(response) });
    clearTimeout(this.timer);
    await this.poll();
  }
}

// --------------------------------------------------------------------------------------------------------- pictures

/** A track's waveform on a canvas, and its spectrogram as an image, both on the view's time axis. */
class Lane {
  constructor(url, stage, canvas, image) {
    this.url = url;
    this.stage = stage;
    this.canvas = canvas;
    this.image = image;
    this.overview = null;
    this.detail = null;
    this.asked = { peaks: "", image: "" };
  }

  /** Peaks of [start, start + length) in samples, as {start, length, points, data}; null if they did not come. */
  async peaks(start, length, points) {
    try {
      const response = await fetch(`${this.url}.peaks?points=${points}&start=${start}&length=${length}`, { cache: "no-store" });
      if (!response.ok) return null;
      const data = new Int8Array(await response.arrayBuffer());
      return { start, length, points: data.length / 2, data };
    } catch {
      return null;
    }
  }

  async loadOverview() {
    this.overview ??= await this.peaks(0, this.stage.length, Math.min(2048, this.stage.length));
    return this.overview;
  }

  /** Whether what is drawn for these samples could be finer. */
  async loadDetail(first, last, pixels) {
    const margin = Math.round((last - first) / 2);
    const start = Math.max(0, first - margin);
    const length = Math.min(this.stage.length, last + margin) - start;
    const points = Math.min(4096, Math.ceil((pixels * length) / (last - first)), length);
    const overviewStep = this.stage.length / (this.overview?.points ?? 1);
    if (this.overview && length / points >= overviewStep) return false;
    const covers = this.detail && this.detail.start <= first && this.detail.start + this.detail.length >= last;
    if (covers && this.detail.length / this.detail.points <= (1.5 * length) / points) return false;
    const key = [start, length, points].join();
    this.asked.peaks = key;
    const detail = await this.peaks(start, length, points);
    if (!detail || this.asked.peaks !== key) return false;
    this.detail = detail;
    return true;
  }

  /** Least and greatest value (±127) between two samples, from the finest peaks that hold them. */
  range(first, last) {
    const inside = (peaks) => peaks && first >= peaks.start && last <= peaks.start + peaks.length;
    const peaks = inside(this.detail) ? this.detail : this.overview;
    if (!peaks) return [0, 0];
    const step = peaks.length / peaks.points;
    const from = clamp(Math.floor((first - peaks.start) / step), 0, peaks.points - 1);
    const to = clamp(Math.ceil((last - peaks.start) / step), from + 1, peaks.points);
    let least = 127;
    let greatest = -127;
    for (let i = from; i < to; i++) {
      least = Math.min(least, peaks.data[2 * i]);
      greatest = Math.max(greatest, peaks.data[2 * i + 1]);
    }
    return [least, greatest];
  }

  draw(view, origin, scale, colour) {
    const [context, width, height] = fitCanvas(this.canvas);
    context.clearRect(0, 0, width, height);
    if (!this.overview) return;
    const rate = this.stage.sample_rate;
    const perPixel = ((view[1] - view[0]) * rate) / width;
    const first = (view[0] - origin) * rate;
    const middle = height / 2;
    const thin = Math.max(1, devicePixelRatio / 2);
    context.fillStyle = colour;
    for (let x = 0; x < width; x++) {
      const from = first + x * perPixel;
      if (from + perPixel < 0 || from > this.stage.length) continue;
      const [least, greatest] = this.range(from, from + perPixel);
      const top = clamp(middle - (greatest * scale * middle) / 127, 0, height);
      const bottom = clamp(middle - (least * scale * middle) / 127, 0, height);
      context.fillRect(x, Math.min(top, middle - thin / 2), 1, Math.max(thin, bottom - top));
    }
  }

  /** Ask for the view's spectrogram; the one shown stays, stretched to its own place, until it is here. */
  loadImage(view, origin) {
    const rate = this.stage.sample_rate;
    const start = clamp(Math.floor((view[0] - origin) * rate), 0, this.stage.length - 1);
    const length = clamp(Math.ceil((view[1] - view[0]) * rate), 1, this.stage.length - start);
    const width = clamp(Math.round(this.canvas.clientWidth * devicePixelRatio), 64, 2048);
    const height = clamp(Math.round(this.canvas.clientHeight * devicePixelRatio), 32, 512);
    const source = `${this.url}.png?start=${start}&length=${length}&width=${width}&height=${height}&scale=mel`;
    if (this.asked.image === source) return;
    this.asked.image = source;
    const loading = new Image();
    loading.onload = () => {
      if (this.asked.image !== source) return;
      this.image.src = source;
      this.image.hidden = false;
      this.shown = { start: origin + start / rate, end: origin + (start + length) / rate };
      this.placeImage(this.view ?? view);
    };
    loading.onerror = () => (this.asked.image = "");
    loading.src = source;
  }

  placeImage(view) {
    this.view = view;
    if (!this.shown) return;
    const span = view[1] - view[0];
    this.image.style.left = `${(100 * (this.shown.start - view[0])) / span}%`;
    this.image.style.width = `${(100 * (this.shown.end - this.shown.start)) / span}%`;
  }
}

/** Size a canvas to its box in device pixels: [context, width, height]. */
function fitCanvas(canvas) {
  const width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  const height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return [canvas.getContext("2d"), width, height];
}

const RULER_STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000,
];

function drawRuler(canvas, view, colours) {
  const [context, width, height] = fitCanvas(canvas);
  const ratio = devicePixelRatio;
  const span = view[1] - view[0];
  const step = RULER_STEPS.find((each) => (each / span) * width >= 76 * ratio) ?? 36000;
  const minor = step / ([0.2, 2, 20, 0.02, 0.002, 120, 7200].includes(step) ? 4 : 5);
  const digits = step >= 1 ? 0 : Math.ceil(-Math.log10(step) - 1e-9);
  context.clearRect(0, 0, width, height);
  context.font = `${11 * ratio}px ${colours.font}`;
  context.textBaseline = "alphabetic";
  for (let i = Math.floor(view[0] / minor); i * minor <= view[1]; i++) {
    const x = Math.round(((i * minor - view[0]) / span) * width);
    const major = Math.abs((i * minor) / step - Math.round((i * minor) / step)) < 1e-6;
    context.fillStyle = major ? colours.strong : colours.line;
    const tick = (major ? 7 : 4) * ratio;
    context.fillRect(x, height - tick, Math.max(1, Math.floor(ratio)), tick);
    if (!major) continue;
    const label = clock(i * minor, digits);
    const room = width - context.measureText(label).width;
    context.fillStyle = colours.text;
    if (x >= 0 && x + 4 * ratio <= room) context.fillText(label, x + 4 * ratio, height - 9 * ratio);
  }
}
