/**
 * <earshot-player base="/earshot/" job="ID">: watches a separation job, then plays its tracks on one clock.
 * <earshot-player base="/earshot/" draft="ID">: the same for a recording that is not separated yet: slim, with one track.
 *
 * One file, no dependency, no build step. Lowest first: times and sizes; `Resampler` (only where a browser refuses the
 * recording's rate); `Pcm` and `Library` (blocks of samples over HTTP Range, a bounded number of them); `Deck` (blocks
 * into Web Audio, sample-adjacent, all tracks at the same instants); `Transport` (play, seek, loop, waiting for the
 * network); `Watch` (polls the job); `Lane` (a track's pictures); `EarshotPlayer` (the element). Of several players on
 * a page one sounds at a time, and the one used last has the keyboard.
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
    this.heard = {}; // seconds that each track has sounded, since they were last taken
    this.countedTo = 0; // seconds of the context's clock
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

  /** Whether the browser wants a click or a key before it lets anything sound. */
  get blocked() {
    return this.playing && this.audio.state === "suspended" && performance.now() - this.askedAt > 500;
  }

  wake() {
    if (this.blocked) this.audio.resume();
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
    this.retire(this.deck);
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
    this.retire(this.deck);
    this.next = this.library = this.deck = null;
    this.loop = null;
    this.cursor = 0;
  }

  /** The context is made at the first press of play (browsers want a gesture), at the recording's rate. */
  ensureContext() {
    if (!this.audio) {
      try {
        this.audio = new AudioContext({ sampleRate: this.library.rate, latencyHint: "balanced" });
      } catch {
        this.audio = new AudioContext({ latencyHint: "balanced" }); // a refused rate: `Resampler` converts to the default
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
    if (this.audio.state !== "running") this.audio.resume();
  }

  closeContext() {
    this.audio?.close();
    this.audio = this.master = null;
    this.countedTo = 0;
  }

  /** Count how long each track has sounded; called before anything that changes what sounds. */
  count() {
    const now = this.audio?.currentTime ?? 0;
    const seconds = Math.max(0, now - this.countedTo);
    if (this.deck?.running && this.volume > 0) {
      for (const name of this.library.tracks.keys()) {
        if (this.levels[name] > 0) this.heard[name] = (this.heard[name] ?? 0) + seconds;
      }
    }
    this.countedTo = now;
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
    this.askedAt = performance.now();
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
    this.count();
    this.levels[name] = level;
    this.deck?.level(name, level, this.audio.currentTime);
    if (this.library) this.tick();
  }

  setVolume(volume) {
    this.count();
    this.volume = volume;
    this.master?.gain.setTargetAtTime(volume, this.audio.currentTime, RAMP);
  }

  /** The first context frame that can still be changed without hurry. */
  soon() {
    return Math.ceil((this.audio.currentTime + 0.006) * this.rate);
  }

  /** Fade a deck out and let go of it when it is silent. */
  retire(deck, at) {
    if (!deck) return;
    if (deck.running) deck.stop(at ?? this.soon());
    setTimeout(() => deck.close(), 1000);
  }

  halt() {
    if (!this.deck?.running) return;
    this.count();
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
    this.count();
    if (this.playing) {
      if (this.deck.running) this.keepGoing();
      else this.tryToStart();
    }
    if (this.next) this.tryToChangeOver();
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
    if (!this.playing) {
      this.next = null;
      this.replace(base, library);
      return;
    }
    library.want(this.wishes(library, position, 3));
    if (!this.deck.running || !this.here(library, position) || !this.here(library, position + 0.2)) return;
    const at = Math.ceil((this.audio.currentTime + LEAD) * this.rate);
    const old = this.deck;
    const there = this.seconds(old.frameAt(at));
    this.deck = new Deck(this.audio, library, this.master, this.levels);
    this.deck.start(at, this.frame(there, library), this.loopFrames(library));
    this.deck.schedule(at + AHEAD * this.rate, at);
    this.retire(old, at); // the gates of the two cross: together they are 1 at every instant
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
  constructor(url, quick = false) {
    super();
    this.url = url;
    this.quick = quick;
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
    if (this.job && !["waiting", "running"].includes(this.job.state.status)) return 60000;
    if (this.quick) return 250;
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
    if (!this.overview) return; // what an earlier stage has drawn stays until there is something better
    const [context, width, height] = fitCanvas(this.canvas);
    context.clearRect(0, 0, width, height);
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
    const loading = Object.assign(new Image(), { alt: "", draggable: false });
    loading.onload = () => {
      if (this.asked.image !== source) return;
      this.image.replaceWith(loading);
      this.image = loading;
      this.shown = { start: origin + start / rate, end: origin + (start + length) / rate };
      this.placeImage(this.view ?? view);
    };
    loading.onerror = () => (this.asked.image = "failed");
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

const AXIS_HZ = [100, 200, 500, 1000, 2000, 5000, 10000, 20000];
const mel = (hz) => 2595 * Math.log10(1 + hz / 700); // the rows of a spectrogram, as the server draws them

/** The frequencies to write beside a spectrogram of this height: [Hz, pixels from below], never crowded. */
function frequencies(sampleRate, height) {
  const marks = [];
  for (const hz of AXIS_HZ) {
    const y = (height * mel(hz)) / mel(sampleRate / 2);
    const room = y - (marks.at(-1)?.[1] ?? -6);
    if (room >= 17 && y <= height - 9) marks.push([hz, y]);
  }
  return marks;
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

// ---------------------------------------------------------------------------------------------------------- element

const ICONS = {
  play: "M8 5.2v13.6a.9.9 0 0 0 1.4.75l10.4-6.8a.9.9 0 0 0 0-1.5L9.4 4.45A.9.9 0 0 0 8 5.2z",
  pause: "M7 4.5h3.2v15H7zM13.8 4.5H17v15h-3.2z",
  start: "M6 5h2.2v14H6zM19 6v12a.8.8 0 0 1-1.25.66L9.4 12.7a.85.85 0 0 1 0-1.4l8.35-5.96A.8.8 0 0 1 19 6z",
  loop: "M7 7h9.2l-1.9-1.9L15.7 3.7 20 8l-4.3 4.3-1.4-1.4L16.2 9H7a2 2 0 0 0-2 2v1.5H3V11a4 4 0 0 1 4-4zm10 10H7.8l1.9 1.9-1.4 1.4L4 16l4.3-4.3 1.4 1.4L7.8 15H17a2 2 0 0 0 2-2v-1.5h2V13a4 4 0 0 1-4 4z",
  less: "M5 11h14v2H5z",
  more: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  fit: "M3 5h2v14H3zm16 0h2v14h-2zM9.4 8.2 8 6.8 6.3 8.5v0L6 12l.3 3.5v0L8 17.2l1.4-1.4L8.6 13h6.8l-.8 2.8 1.4 1.4 1.7-1.7L18 12l-.3-3.5L16 6.8l-1.4 1.4.8 2.8H8.6z",
  volume: "M4 9.5v5h3.5L12 18.6V5.4L7.5 9.5zm10.2-1.7v8.4a4.6 4.6 0 0 0 0-8.4zm0-4.1v2.1a6.5 6.5 0 0 1 0 12.4v2.1a8.5 8.5 0 0 0 0-16.6z",
  wave: "M3 11h2v2H3zm4-4h2v10H7zm4-4h2v18h-2zm4 5h2v8h-2zm4 3h2v2h-2z",
  spectrogram: "M3 4h4v4H3zm0 6h4v4H3zm0 6h4v4H3zm7-6h4v4h-4zm0 6h4v4h-4zm7 0h4v4h-4zm0-12h4v4h-4z",
  download: "M11 3h2v9.2l3.3-3.3 1.4 1.4L12 16l-5.7-5.7 1.4-1.4 3.3 3.3zM4 18h16v2.2H4z",
};
const FORMATS = [
  ["WAV, 16 bit", "plays everywhere", "wav", "16"],
  ["WAV, 24 bit", "for further work", "wav", "24"],
  ["WAV, 32-bit float", "exactly as computed", "wav", "32f"],
  ["FLAC", "smaller, nothing lost", "flac", "24"],
  ["MP3", "small", "mp3", "16"],
];
const SHORTCUTS = [
  ["Space", "play, pause"],
  ["← →", "5 seconds back, on; with Shift 1 second"],
  ["Home End", "to the start, to the end"],
  ["1 … 9", "solo a track; with Shift add it"],
  ["M", "mute the track chosen last"],
  ["I O", "start, end the selection at the cursor"],
  ["L", "loop the selection"],
  ["+ −", "zoom in, out; 0 shows everything"],
  ["Esc", "drop the selection"],
  ["?", "this help"],
  ["Click", "go there"],
  ["Drag", "select a region; drag its ends to change it"],
  ["Ctrl + wheel, pinch", "zoom"],
];
const WORK = {
  read: "Reading the recording",
  preview: "Separating a preview",
  separate: "Separating",
  write: "Writing the tracks",
};
const SHARE = 100000; // `mix?gains=` is rounded to this

const icon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
const skeleton = `<li class="row track skeleton" aria-hidden="true"><div class="gutter"><i></i><i></i></div><div class="lane"><i></i></div></li>`;
const TEMPLATE = `
<section class="player" tabindex="-1" aria-label="Player">
  <header class="head">
    <div class="title"><h2 class="name"></h2><p class="facts"></p></div>
    <div class="job">
      <p class="job-line"><span class="dot"></span><span class="job-text"></span><span class="job-left"></span></p>
      <div class="progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"><i></i></div>
    </div>
    <button type="button" class="button cancel" hidden>Cancel</button>
  </header>
  <div class="failure" role="alert" hidden>
    <h3></h3><dl><dt>Asked</dt><dd class="asked"></dd><dt>Found</dt><dd class="found"></dd><dt>What to do</dt><dd class="advice"></dd></dl>
  </div>
  <div class="deck">
    <div class="bar" role="toolbar" aria-label="Playback">
      <div class="group">
        <button type="button" class="icon start" aria-label="To the start" title="To the start (Home)">${icon("start")}</button>
        <button type="button" class="icon play" aria-label="Play" title="Play (Space)">${icon("play")}</button>
        <button type="button" class="icon loop" aria-pressed="false" aria-label="Loop the selection" title="Loop the selection (L)">${icon("loop")}</button>
      </div>
      <p class="time"><span class="now">0:00.000</span><span class="of"></span></p>
      <p class="hint"></p>
      <div class="group view">
        <div class="switch" role="group" aria-label="Show all tracks as">
          <button type="button" class="all-wave" aria-pressed="true" aria-label="Waveform" title="Waveform">${icon("wave")}<span>Waveform</span></button>
          <button type="button" class="all-spectrogram" aria-pressed="false" aria-label="Spectrogram" title="Spectrogram">${icon("spectrogram")}<span>Spectrogram</span></button>
        </div>
        <button type="button" class="icon out" aria-label="Zoom out" title="Zoom out (−)">${icon("less")}</button>
        <button type="button" class="icon fit" aria-label="Show everything" title="Show everything (0)">${icon("fit")}</button>
        <button type="button" class="icon in" aria-label="Zoom in" title="Zoom in (+)">${icon("more")}</button>
      </div>
      <label class="volume" title="Master volume">${icon("volume")}<input type="range" min="0" max="100" value="90" aria-label="Master volume"></label>
      <button type="button" class="icon help" aria-label="Keyboard and mouse" title="Keyboard and mouse (?)">?</button>
    </div>
    <div class="timeline">
      <div class="row top"><div class="gutter"></div>
        <div class="lane overview"><canvas></canvas><div class="window"></div><div class="head-line"></div></div></div>
      <div class="row top"><div class="gutter"><p class="legend" role="img" hidden><span></span><i></i><span></span></p></div>
        <div class="lane ruler" role="slider" tabindex="0" aria-label="Position"><canvas></canvas><div class="shade" hidden></div><div class="marks"></div><div class="head-line"></div></div></div>
      <ol class="tracks">${skeleton.repeat(4)}</ol>
      <p class="curtain" role="status" hidden></p>
    </div>
    <footer class="foot">
      <div class="group">
        <button type="button" class="button all" disabled aria-haspopup="menu">${icon("download")}Download all (zip)</button>
        <button type="button" class="button mix" disabled aria-haspopup="menu">${icon("download")}Download the mix as it is set now</button>
        <p class="notice" role="status" aria-live="polite"></p>
        <button type="button" class="button quiet delete" hidden>Delete my audio now</button>
      </div>
      <ul class="notes"></ul>
    </footer>
  </div>
  <div class="menu" role="menu" hidden></div>
  <dialog class="help-dialog" aria-label="Keyboard and mouse"><h3>Keyboard and mouse</h3><dl>${SHORTCUTS.map(([keys, what]) => `<div><dt>${keys}</dt><dd>${what}</dd></div>`).join("")}</dl>
    <form method="dialog"><button class="button">Close</button></form></dialog>
  <dialog class="delete-dialog" aria-label="Delete this audio"><h3>Delete this audio now?</h3>
    <p>The recording and every track made from it are removed from the server. This cannot be undone.</p>
    <form method="dialog"><button class="button" value="">Keep</button><button class="button strong" value="delete">Delete</button></form></dialog>
</section>`;

const TRACK = (number) => `
  <div class="gutter">
    <p class="who"><span class="chip"></span><span class="label"></span></p>
    <div class="buttons">
      <button type="button" class="icon small picture" aria-pressed="false" title="Spectrogram">${icon("spectrogram")}</button>
      <button type="button" class="icon small get" aria-haspopup="menu" title="Download">${icon("download")}</button>
    </div>
    <div class="level">
      <button type="button" class="key solo" aria-pressed="false" title="Solo${number < 10 ? ` (${number})` : ""}; Shift adds">S</button>
      <button type="button" class="key mute" aria-pressed="false" title="Mute (M)">M</button>
      <input type="range" min="${SILENT_DB}" max="${LOUDEST_DB}" step="0.5" value="0" title="Gain; double-click for 0 dB">
      <output>0.0 dB</output>
    </div>
  </div>
  <div class="lane wave"><canvas></canvas><img alt="" hidden><div class="axis" aria-hidden="true"></div>
    <div class="ahead" hidden></div><div class="shade" hidden></div><div class="head-line"></div></div>`;

/** How a track's name is shown. */
function titleOf(name) {
  if (name.startsWith("reference-")) return `${name.slice(10)} (reference)`;
  return name;
}

/**
 * The element. Attributes: `base` (the address of the routes, ending in a slash) and `job` or `draft` (an id; an empty
 * `draft` waits for one); `blind` hides the model's name and the notes on quality.
 *
 * Events (they bubble): `earshot-state` (detail: the job's state, or {status: "gone"}), `earshot-cursor` (seconds),
 * `earshot-selection` ([start, end] in seconds, or null), `earshot-stage` ({name, tracks, start, end} of what can be heard
 * from now on), `earshot-region` (the id of a region that was clicked), `earshot-blind` (whether names and figures are hidden).
 */
class EarshotPlayer extends HTMLElement {
  static observedAttributes = ["base", "job", "draft", "blind"];
  static #all = new Set();
  static #used = null; // the player that was used last

  #selection = null;
  #wanted = null; // the region that was asked for; a stage may hold only a part of it
  #ahead = null;
  #looping = false;
  #regions = [];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>:host { display: block; min-height: 720px } :host([draft]) { min-height: 0 }</style>
      <link rel="stylesheet" href="${new URL("player.css", import.meta.url)}">${TEMPLATE}`;
    this.ui = Object.fromEntries(
      [
        ...["player", "name", "facts", "job", "job-text", "job-left", "progress", "cancel", "failure", "deck", "start", "play", "loop"],
        ...["now", "of", "hint", "all-wave", "all-spectrogram", "out", "fit", "in", "volume", "help", "overview", "ruler", "window"],
        ...["marks", "tracks", "all", "mix", "delete", "notice", "notes", "menu", "help-dialog", "delete-dialog"],
        ...["timeline", "curtain", "legend"],
      ].map((name) => [name, root.querySelector(`.${name}`)]),
    );
    // Nothing is shown before its style is here; the box has its height from the start.
    this.ui.player.hidden = true;
    root.querySelector("link").onload = () => {
      this.ui.player.hidden = false;
      root.querySelector("style").remove();
      this.refresh();
    };
    this.rows = new Map();
    this.settings = new Map();
    this.view = [0, 1];
    this.allSpectrogram = false;
    this.wire();
  }

  connectedCallback() {
    EarshotPlayer.#all.add(this);
    this.transport = new Transport();
    this.transport.setVolume(this.volume());
    this.transport.addEventListener("stage", () => this.showStage());
    this.transport.addEventListener("change", () => {
      if (this.transport.playing) this.use();
      this.showTransport();
    });
    this.transport.addEventListener("gone", () => this.watch?.poll());
    this.off = new AbortController();
    const { signal } = this.off;
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    this.darkness = matchMedia("(prefers-color-scheme: dark)");
    this.darkness.addEventListener("change", () => this.theme(), { signal });
    this.themes = new MutationObserver(() => this.theme());
    for (const element of [document.documentElement, document.body]) {
      this.themes.observe(element, { attributes: true, attributeFilter: ["class"] });
    }
    this.sizes = new ResizeObserver(() => this.refresh());
    this.sizes.observe(this.ui.ruler);
    this.theme();
    this.restart();
    const frame = () => {
      this.follow();
      this.frame = requestAnimationFrame(frame);
    };
    frame();
  }

  disconnectedCallback() {
    EarshotPlayer.#all.delete(this);
    if (EarshotPlayer.#used === this) EarshotPlayer.#used = null;
    cancelAnimationFrame(this.frame);
    this.off.abort();
    this.themes.disconnect();
    this.sizes.disconnect();
    this.watch?.close();
    this.watch = null;
    this.transport.close();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after || !this.isConnected || !this.transport) return;
    if (name !== "blind") {
      this.restart();
      return;
    }
    this.showFacts();
    this.showNotes();
    this.emit("blind", this.blind);
  }

  // -- for the page around it

  /** Seconds of the recording that are heard now. */
  get cursor() {
    return this.transport?.position ?? 0;
  }

  /** [start, end] in seconds, or null. */
  get selection() {
    return this.#selection;
  }

  /** Go there; before there is anything to play: start there. */
  seek(seconds) {
    if (!this.stage) this.startAt = seconds;
    this.transport.seek(seconds);
    this.reveal(this.transport.cursor);
  }

  /** A stretch that will be worked on first, [start, end] in seconds, or null: it is marked on the tracks. */
  set ahead(region) {
    this.#ahead = region;
    this.place();
  }

  /**
   * Regions drawn on the tracks: {id, track, start, end, title, strength (1 to 3)}. A click loops the region and says
   * `earshot-region` (its id).
   */
  set regions(regions) {
    this.#regions = regions;
    this.showRegions();
  }

  /** Whether what would tell a listener which model this is, and how good it ought to be, is hidden. */
  get blind() {
    return this.hasAttribute("blind");
  }

  /** Whether a picture other than the waveforms is shown. */
  get showsViews() {
    return [...this.settings.values()].some(({ spectrogram }) => spectrogram);
  }

  /** Seconds that each track has sounded since this was asked last: {track: seconds}. */
  takeHeard() {
    const { transport } = this;
    transport.count();
    const { heard } = transport;
    transport.heard = {};
    return heard;
  }

  /** The colour of a track, as it is now. */
  colourOf(name) {
    const item = this.rows.get(name)?.item;
    return item ? getComputedStyle(item).getPropertyValue("--track").trim() : "";
  }

  focus(options) {
    this.use();
    this.ui.player.focus(options);
  }

  /** This player has the keyboard from now on, and if it plays, no other does. */
  use() {
    EarshotPlayer.#used = this;
    if (!this.transport.playing) return;
    for (const other of EarshotPlayer.#all) if (other !== this) other.transport.pause();
  }

  /** Whether keys that are pressed outside of all players are for this one. */
  get usedLast() {
    const used = EarshotPlayer.#used;
    return used?.stage ? used === this : [...EarshotPlayer.#all].find(({ stage }) => stage) === this;
  }

  /** Select a region, loop it and play it. */
  loop(start, end) {
    this.select([start, end]);
    this.setLooping(true);
    this.seek(this.#selection ? this.#selection[0] : start);
    this.transport.play();
  }

  play() {
    this.transport.play();
  }

  pause() {
    this.transport.pause();
  }

  /** Ask the server now how things are, rather than at the next time. */
  look() {
    this.watch?.poll();
  }

  /** For tests and bug reports. */
  get debug() {
    const { transport } = this;
    const { audio, deck, library } = transport;
    return {
      contextTime: audio?.currentTime ?? 0,
      sampleRate: audio?.sampleRate ?? null,
      state: audio?.state ?? "none",
      position: transport.position,
      playing: transport.playing,
      sounding: Boolean(deck?.running),
      waiting: transport.waiting,
      underruns: transport.underruns,
      scheduled: [...(deck?.live ?? [])].map((node) => node.what),
      blocks: Object.fromEntries([...(library?.tracks ?? [])].map(([name, pcm]) => [name, pcm.blocks.size])),
    };
  }

  /** See `Transport.render`. */
  render(options) {
    return this.transport.render(options);
  }

  // -- the job

  /** A recording that is not separated yet: one track, and nothing to download. */
  get slim() {
    return this.hasAttribute("draft");
  }

  get subject() {
    return this.getAttribute(this.slim ? "draft" : "job") ?? "";
  }

  get url() {
    return `${this.getAttribute("base") ?? ""}${this.slim ? "drafts" : "jobs"}/${encodeURIComponent(this.subject)}`;
  }

  restart() {
    this.watch?.close();
    this.watch = null;
    this.transport.unload();
    this.loaded = null;
    this.settings.clear();
    this.rows.clear();
    this.bounds = null;
    this.#selection = this.#wanted = this.#ahead = null;
    this.#regions = [];
    this.#looping = false;
    this.startAt = null;
    const { ui } = this;
    ui.player.classList.toggle("slim", this.slim);
    ui.player.classList.remove("zoomed");
    ui.player.setAttribute("aria-label", this.slim ? "The recording" : "Player");
    ui.tracks.innerHTML = skeleton.repeat(this.slim ? 1 : 4);
    ui.legend.hidden = true;
    ui.now.textContent = clock(0);
    ui.of.textContent = "";
    ui.failure.hidden = true;
    ui.deck.hidden = false;
    ui.deck.inert = true;
    ui.name.textContent = "";
    ui.facts.textContent = "";
    ui.notes.replaceChildren();
    ui.marks.replaceChildren();
    ui.all.disabled = ui.mix.disabled = true;
    ui.delete.hidden = true;
    this.say("");
    this.showJob("idle", this.subject ? "Looking for the separation" : "Nothing to play yet", "");
    this.showCurtain(this.subject ? "" : "Choose a recording: its waveform will be here.");
    if (!this.subject) {
      if (!this.slim) this.empty();
      return;
    }
    this.watch = new Watch(this.url, this.slim);
    this.watch.addEventListener("job", () => this.showWatch());
    this.watch.addEventListener("gone", (event) => this.gone(event.detail));
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(`earshot-${name}`, { detail, bubbles: true, composed: true }));
  }

  showWatch() {
    const { job, lost, stopping } = this.watch;
    if (lost) {
      this.showJob("lost", "Connection lost, retrying", "", job?.state.fraction);
      if (this.slim && !this.stage) this.showCurtain("Connection lost, retrying");
      return;
    }
    const { state, stages } = job;
    if (state.status !== "waiting" && state.status !== "running") this.watch.stopping = false;
    const best = ["full", "preview", "draft"].find((name) => stages[name]) ?? null;
    this.showLegend(job.legend);
    if (best && best !== this.loaded) {
      this.loaded = best;
      this.setDefaults(stages[best].tracks);
      this.transport.load(`${this.url}/${best}`, stages[best]);
    }
    this.ui.name.textContent = job.name;
    this.ui.name.title = job.name;
    this.ui.cancel.hidden = !["waiting", "running"].includes(state.status);
    this.ui.cancel.disabled = stopping;
    this.ui.cancel.textContent = stopping ? "Stopping…" : "Cancel";
    this.ui.delete.hidden = !this.ui.cancel.hidden;
    this.showStatus(state, best, job.expires);
    this.showFacts();
    this.showNotes();
    const key = JSON.stringify(state);
    if (key !== this.stateKey) this.emit("state", state);
    this.stateKey = key;
  }

  /** What lies over the empty tracks of a slim player. */
  showCurtain(text) {
    this.ui.curtain.textContent = text;
    this.ui.curtain.hidden = !text;
  }

  showReading(state) {
    if (state.status === "failed") {
      this.showFailure("This recording cannot be shown", state.error, false);
      return;
    }
    const percent = Math.floor(100 * state.fraction);
    const far = percent ? ` ${percent} %` : "";
    this.showCurtain(state.status === "done" ? "" : `Reading your file…${far} You can separate it already.`);
  }

  showStatus(state, best, expires) {
    if (this.slim) {
      this.showReading(state);
      return;
    }
    const left = state.remaining == null ? "" : `about ${roughly(state.remaining)} left`;
    if (this.watch.stopping) this.showJob("running", "Stopping…", "", state.fraction);
    else if (state.status === "waiting") {
      const ahead = { 0: "You are next", 1: "1 job ahead of you" }[state.position] ?? `${state.position} jobs ahead of you`;
      this.showJob("waiting", ahead, left, 0);
    } else if (state.status === "running") {
      const work = WORK[state.stage] ?? "Working";
      if (best === "preview") this.showJob("running", "Preview ready", [work.toLowerCase(), left].filter(Boolean).join(", "), state.fraction);
      else this.showJob("running", work, left, state.fraction);
    } else if (state.status === "done") this.showJob("done", "Ready", this.keptUntil(expires));
    else if (state.status === "cancelled") {
      this.showJob("cancelled", best ? "Cancelled: only the preview is here" : "Cancelled", best ? this.keptUntil(expires) : "");
      if (!best) this.empty();
    } else {
      this.showJob("failed", "Failed", "");
      this.showFailure("This did not work", state.error, Boolean(best));
    }
  }

  keptUntil(expires) {
    if (!expires) return "";
    const when = new Date(1000 * expires);
    const options = { weekday: "short", hour: "2-digit", minute: "2-digit" };
    return `kept until ${when.toLocaleString(undefined, options)}`;
  }

  showJob(kind, text, left, fraction) {
    const { ui } = this;
    ui.job.dataset.kind = kind;
    ui["job-text"].textContent = text;
    ui["job-left"].textContent = left;
    const percent = Math.round(100 * (fraction ?? 0));
    ui.progress.setAttribute("aria-valuenow", percent);
    ui.progress.firstElementChild.style.width = `${percent}%`;
  }

  showFailure(title, error, playable) {
    const { failure } = this.ui;
    failure.querySelector("h3").textContent = title;
    for (const part of ["asked", "found", "advice"]) failure.querySelector(`.${part}`).textContent = error?.[part] ?? "";
    failure.hidden = false;
    this.ui.deck.hidden = !playable;
  }

  empty() {
    this.ui.deck.hidden = true;
  }

  gone(error) {
    this.transport.unload();
    this.ui.cancel.hidden = true;
    this.showJob("gone", "Not here any more", "");
    this.showFailure(`This ${this.slim ? "recording" : "separation"} is not here any more`, error, false);
    this.emit("state", { status: "gone", error });
  }

  async cancelJob() {
    this.watch.stopping = true;
    this.showWatch();
    try {
      await this.watch.ask("/cancel", "POST");
    } catch (error) {
      this.watch.stopping = false;
      this.refused(error);
    }
  }

  async deleteJob() {
    try {
      await this.watch.ask("", "DELETE");
    } catch (error) {
      this.refused(error);
    }
  }

  refused(error) {
    const parts = error.parts ?? { found: "the connection is lost", advice: "Try again when it is back" };
    this.say(`${parts.found}. ${parts.advice}.`, true);
  }

  say(text, bad = false) {
    this.ui.notice.textContent = text;
    this.ui.notice.classList.toggle("bad", bad);
  }

  // -- the stage

  get stage() {
    return this.transport.stage;
  }

  /** The stems sound, nothing twice: mixture, residual and references wait muted. */
  setDefaults(names) {
    const isStem = (name) => name !== "mixture" && name !== "residual" && !name.startsWith("reference-");
    const stems = names.filter(isStem);
    for (const name of names) {
      const muted = stems.length ? !isStem(name) : name !== "mixture";
      if (!this.settings.has(name)) this.settings.set(name, { db: 0, muted, solo: false, spectrogram: this.allSpectrogram });
    }
    this.applyLevels(names);
  }

  heard(name) {
    const anySolo = [...this.settings.values()].some(({ solo }) => solo);
    const { solo, muted } = this.settings.get(name);
    return anySolo ? solo : !muted;
  }

  applyLevels(names = this.stage?.tracks ?? []) {
    for (const name of names) this.transport.setLevel(name, this.heard(name) ? gainOf(this.settings.get(name).db) : 0);
    this.showTracks();
  }

  showStage() {
    const { stage, transport } = this;
    const wasWhole = !this.bounds || (this.view[0] <= this.bounds[0] && this.view[1] >= this.bounds[1]);
    this.bounds = [transport.start, transport.end];
    this.buildRows(stage);
    this.ui.deck.inert = false;
    this.ui.all.disabled = this.ui.mix.disabled = false;
    this.ui.of.textContent = ` / ${clock(this.bounds[1], 0)}`;
    if (this.startAt !== null) this.transport.seek(this.startAt);
    this.startAt = null;
    this.showWanted();
    this.showMarks();
    this.showRegions();
    this.showFacts();
    this.showNotes();
    this.showTracks();
    this.showTransport();
    this.setView(wasWhole ? this.bounds : this.view);
    this.refresh();
    this.emit("stage", { name: this.loaded, tracks: stage.tracks, start: this.bounds[0], end: this.bounds[1] });
  }

  buildRows(stage) {
    const colours = this.colours(stage.tracks);
    const rows = new Map();
    stage.tracks.forEach((name, index) => {
      const row = this.rows.get(name) ?? this.buildRow(name, index + 1);
      row.item.style.setProperty("--track", `var(--track-${colours[index]})`);
      row.lane = new Lane(`${this.transport.base}/${encodeURIComponent(name)}`, stage, row.canvas, row.image);
      rows.set(name, row);
    });
    this.rows = rows;
    this.ui.tracks.replaceChildren(...[...rows.values()].map(({ item }) => item));
  }

  /** A colour each source keeps; its reference has the same. */
  colours(names) {
    const sources = names.filter((name) => name !== "mixture" && name !== "residual" && !name.startsWith("reference-"));
    return names.map((name) => {
      const source = sources.indexOf(name.replace(/^reference-/, ""));
      return source >= 0 ? 1 + (source % 6) : name.startsWith("reference-") ? 6 : name;
    });
  }

  buildRow(name, number) {
    const item = document.createElement("li");
    item.className = "row track";
    item.dataset.track = name;
    item.innerHTML = TRACK(number);
    const find = (selector) => item.querySelector(selector);
    const title = titleOf(name);
    find(".label").textContent = title;
    find(".label").title = title;
    find(".solo").setAttribute("aria-label", `Solo ${title}`);
    find(".mute").setAttribute("aria-label", `Mute ${title}`);
    find(".picture").setAttribute("aria-label", `Spectrogram of ${title}`);
    find(".get").setAttribute("aria-label", `Download ${title}`);
    find(".level input").setAttribute("aria-label", `Gain of ${title}`);
    find(".solo").onclick = (event) => this.solo(name, event.shiftKey);
    find(".mute").onclick = () => this.mute(name);
    find(".picture").onclick = () => this.setSpectrogram(name, !this.settings.get(name).spectrogram);
    find(".get").onclick = (event) => this.openFormats(event.currentTarget, title, `download/${encodeURIComponent(name)}?`);
    find(".level input").oninput = (event) => this.setGain(name, Number(event.target.value));
    find(".level input").ondblclick = () => this.setGain(name, 0);
    item.addEventListener("pointerdown", () => (this.chosen = name));
    item.addEventListener("focusin", () => (this.chosen = name));
    this.pointers(find(".lane"));
    return { item, canvas: find("canvas"), image: find("img"), lane: null };
  }

  showTracks() {
    const anySolo = [...this.settings.values()].some(({ solo }) => solo);
    for (const [name, { item }] of this.rows) {
      const { db, muted, solo, spectrogram } = this.settings.get(name);
      item.classList.toggle("unheard", anySolo ? !solo : muted);
      item.classList.toggle("spectrogram", spectrogram);
      item.querySelector(".solo").setAttribute("aria-pressed", solo);
      item.querySelector(".mute").setAttribute("aria-pressed", muted);
      item.querySelector(".picture").setAttribute("aria-pressed", spectrogram);
      const slider = item.querySelector(".level input");
      const text = db <= SILENT_DB ? "silent" : `${db > 0 ? "+" : db < 0 ? "−" : ""}${Math.abs(db).toFixed(1)} dB`;
      slider.value = db;
      slider.style.setProperty("--part", `${(100 * (db - SILENT_DB)) / (LOUDEST_DB - SILENT_DB)}%`);
      slider.setAttribute("aria-valuetext", text);
      item.querySelector("output").textContent = text;
    }
    const every = (value) => this.rows.size > 0 && [...this.rows.keys()].every((name) => this.settings.get(name).spectrogram === value);
    this.ui.legend.hidden = ![...this.rows.keys()].some((name) => this.settings.get(name).spectrogram);
    this.ui["all-wave"].setAttribute("aria-pressed", this.rows.size === 0 ? !this.allSpectrogram : every(false));
    this.ui["all-spectrogram"].setAttribute("aria-pressed", this.rows.size === 0 ? this.allSpectrogram : every(true));
  }

  solo(name, add) {
    const on = !this.settings.get(name).solo;
    for (const [each, setting] of this.settings) if (each === name) setting.solo = on;
    else if (!add) setting.solo = false;
    this.applyLevels();
  }

  mute(name) {
    const setting = this.settings.get(name);
    if (!setting) return;
    setting.muted = !setting.muted;
    this.applyLevels();
  }

  setGain(name, db) {
    this.settings.get(name).db = clamp(db, SILENT_DB, LOUDEST_DB);
    this.applyLevels();
  }

  setSpectrogram(name, on) {
    this.settings.get(name).spectrogram = on;
    this.showTracks();
    this.refresh();
  }

  setAllSpectrogram(on) {
    this.allSpectrogram = on;
    for (const name of this.rows.keys()) this.settings.get(name).spectrogram = on;
    this.showTracks();
    this.refresh();
  }

  /** What the colours mean: once for all tracks, because all are painted alike. */
  showLegend({ floor_db: floor, ceiling_db: ceiling, colours }) {
    const [low, high] = [floor, ceiling].map((db) => `−${-db} dB`);
    const [first, bar, last] = this.ui.legend.children;
    [first.textContent, last.textContent] = [low, high];
    bar.style.background = `linear-gradient(to right, ${colours.map((colour) => `#${colour}`).join(", ")})`;
    this.ui.legend.setAttribute("aria-label", `Colours of the spectrograms: from ${low}, dark, to ${high}, light`);
    this.ui.legend.title = "0 dB is a sine of full scale";
  }

  showAxis({ item }) {
    const lane = item.querySelector(".lane");
    const key = `${this.stage.sample_rate} ${lane.clientHeight}`;
    const axis = lane.querySelector(".axis");
    if (axis.dataset.key === key) return;
    axis.dataset.key = key;
    axis.replaceChildren(
      ...frequencies(this.stage.sample_rate, lane.clientHeight).map(([hz, y]) => {
        const mark = Object.assign(document.createElement("span"), { textContent: hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz` });
        mark.style.bottom = `${y}px`;
        return mark;
      }),
    );
  }

  showFacts() {
    const { stage } = this;
    const job = this.watch?.job;
    if (!job || this.slim) return;
    const facts = this.blind ? [] : [`model ${job.model}`];
    if (stage) {
      const { sample_rate: rate, channels, length } = stage;
      facts.push(clock(length / rate, 0), `${(rate / 1000).toLocaleString("en", { maximumFractionDigits: 2 })} kHz`);
      facts.push({ 1: "mono", 2: "stereo" }[channels] ?? `${channels} channels`);
    }
    if (job.state.device) facts.push(`${job.state.device}${job.state.precision ? `, ${job.state.precision}` : ""}`);
    this.ui.facts.textContent = facts.join(" · ");
  }

  showNotes() {
    const { stage } = this;
    const state = this.watch?.job?.state;
    const notes = this.blind ? [] : [...new Set([...(state?.messages ?? []), ...(state?.report?.messages ?? [])])];
    if (!this.blind && stage && Number.isFinite(stage.null_db)) {
      const how = stage.null_db > -60 ? "do not quite add up" : "add up";
      const figure = `the difference is ${Math.round(-stage.null_db)} dB quieter than it`;
      notes.unshift(`The stems ${how} to the mixture: ${stage.null_db <= -180 ? "there is no difference" : figure}.`);
    }
    if (stage && stage.gain < 1) {
      const db = Math.abs(20 * Math.log10(stage.gain)).toFixed(1);
      notes.push(`All tracks are ${db} dB quieter than computed, by one common gain, so that none of them clips.`);
    }
    if (this.loaded === "preview" && state && ["waiting", "running"].includes(state.status)) {
      notes.push("This is the preview. The whole recording takes its place when it is ready, without a break.");
    }
    const key = notes.join("\n");
    if (key === this.notesKey && this.ui.notes.childElementCount === notes.length) return;
    this.notesKey = key;
    this.ui.notes.replaceChildren(...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  }

  showMarks() {
    const marks = (this.stage.uncertain_boundaries ?? []).map((offset) => {
      const seconds = this.bounds[0] + offset;
      const mark = document.createElement("button");
      const text = `At ${clock(seconds, 1)} the sources may have changed places: nothing told them apart`;
      Object.assign(mark, { type: "button", className: "mark", title: text });
      mark.setAttribute("aria-label", `${text}. Go there`);
      mark.dataset.seconds = seconds;
      mark.onclick = () => this.seek(seconds - 1);
      return mark;
    });
    this.ui.marks.replaceChildren(...marks);
  }

  showRegions() {
    for (const old of this.shadowRoot.querySelectorAll(".region")) old.remove();
    for (const { id, track, start, end, title, strength } of this.#regions) {
      const lane = this.rows.get(track)?.item.querySelector(".lane");
      if (!lane) continue;
      // The list of whoever asked for the regions is the way for the keyboard; here they are drawn for eye and pointer.
      const region = Object.assign(document.createElement("button"), { type: "button", className: "region", title, tabIndex: -1 });
      region.setAttribute("aria-hidden", "true");
      Object.assign(region.dataset, { start, end, strength });
      region.onclick = () => {
        this.loop(start, end);
        this.emit("region", id);
      };
      lane.append(region);
    }
    this.place();
  }

  // -- view

  setView([start, end]) {
    const [low, high] = this.bounds;
    const span = clamp(end - start, Math.min(SHORTEST_VIEW, high - low), high - low);
    const first = clamp(start, low, high - span);
    this.view = [first, first + span];
    this.refresh();
  }

  zoom(factor, centre = this.cursor) {
    if (!this.stage) return;
    const [start, end] = this.view;
    const around = clamp(centre, start, end);
    this.setView([around - (around - start) / factor, around + (end - around) / factor]);
  }

  reveal(seconds) {
    const [start, end] = this.view;
    if (!this.stage || (seconds >= start && seconds <= end)) return;
    const span = end - start;
    this.setView([seconds - 0.1 * span, seconds + 0.9 * span]);
  }

  /** Draw at the next frame, and fetch finer pictures when the view has come to rest. */
  refresh() {
    this.stale = true;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.refine(), 150);
  }

  async refine() {
    if (!this.stage || this.ui.player.hidden) return;
    const rate = this.stage.sample_rate;
    const [first, last] = this.view.map((seconds) => (seconds - this.bounds[0]) * rate);
    const work = [...this.rows].map(async ([name, { lane, canvas }]) => {
      if (!lane.overview && (await lane.loadOverview())) this.stale = true;
      if (!this.settings.has(name)) return; // another recording has taken its place meanwhile
      if (this.settings.get(name).spectrogram) lane.loadImage(this.view, this.bounds[0]);
      else if (await lane.loadDetail(Math.floor(first), Math.ceil(last), canvas.clientWidth * devicePixelRatio)) this.stale = true;
    });
    await Promise.all(work);
    const missing = [...this.rows.values()].some(({ lane }) => !lane.overview || lane.asked.image === "failed");
    if (missing) this.resting = setTimeout(() => this.refine(), 3000);
  }

  draw() {
    this.stale = false;
    if (!this.bounds || !this.stage || this.ui.player.hidden) return;
    const style = getComputedStyle(this.ui.player);
    const value = (name) => style.getPropertyValue(name).trim();
    const colours = { text: value("--dim"), line: value("--line-strong"), strong: value("--dim"), font: style.fontFamily };
    drawRuler(this.ui.ruler.querySelector("canvas"), this.view, colours);
    const scale = this.scale();
    for (const row of this.rows.values()) {
      const { lane, canvas } = row;
      this.showAxis(row);
      lane.placeImage(this.view);
      lane.draw(this.view, this.bounds[0], scale, getComputedStyle(canvas).color);
    }
    this.drawOverview(scale, value("--dim"));
    this.place();
  }

  /** One vertical scale for all tracks: a quiet recording is drawn larger, up to four times. */
  scale() {
    let peak = 0;
    for (const { lane } of this.rows.values()) for (const value of lane.overview?.data ?? []) peak = Math.max(peak, Math.abs(value));
    return peak ? clamp(120 / peak, 0.9, 4) : 1;
  }

  drawOverview(scale, colour) {
    const first = this.rows.values().next().value;
    if (!first) return;
    const lane = Object.assign(Object.create(Lane.prototype), first.lane, { canvas: this.ui.overview.querySelector("canvas"), detail: null });
    lane.draw(this.bounds, this.bounds[0], scale, colour);
    const [low, high] = this.bounds;
    const whole = this.view[1] - this.view[0] > 0.999 * (high - low);
    if (this.ui.player.classList.toggle("zoomed", !whole) !== this.wasZoomed) this.stale = true; // a slim lane changes its height
    this.wasZoomed = !whole;
    Object.assign(this.ui.window.style, {
      left: `${(100 * (this.view[0] - low)) / (high - low)}%`,
      width: `${(100 * (this.view[1] - this.view[0])) / (high - low)}%`,
      visibility: whole ? "hidden" : "visible",
    });
  }

  /** Put selection and marks where they belong. */
  place() {
    const [start, end] = this.view;
    const percent = (seconds) => (100 * (seconds - start)) / (end - start);
    for (const shade of this.shadowRoot.querySelectorAll(".shade")) {
      shade.hidden = !this.#selection;
      if (!this.#selection) continue;
      const [from, to] = this.#selection.map((seconds) => clamp(percent(seconds), -1, 101));
      shade.style.left = `${from}%`;
      shade.style.width = `${to - from}%`;
      shade.classList.toggle("looping", this.#looping);
    }
    for (const ahead of this.shadowRoot.querySelectorAll(".ahead")) {
      ahead.hidden = !this.#ahead;
      if (!this.#ahead) continue;
      const [from, to] = this.#ahead.map((seconds) => clamp(percent(seconds), -1, 101));
      ahead.style.left = `${from}%`;
      ahead.style.width = `${to - from}%`;
    }
    for (const region of this.shadowRoot.querySelectorAll(".region")) {
      const from = clamp(percent(Number(region.dataset.start)), -1, 101);
      const to = clamp(percent(Number(region.dataset.end)), -1, 101);
      region.hidden = to <= 0 || from >= 100;
      region.style.left = `${from}%`;
      region.style.width = `${to - from}%`;
    }
    for (const mark of this.ui.marks.children) {
      const left = percent(Number(mark.dataset.seconds));
      mark.style.left = `${left}%`;
      mark.hidden = left < 0 || left > 100;
    }
  }

  /** Once a frame: the playhead, the clock, what is stale. */
  follow() {
    if (!this.transport?.library) return;
    const { position, playing } = this.transport;
    const trouble = this.trouble();
    if (position !== this.lastPosition) {
      this.lastPosition = position;
      if (playing && !this.dragging) this.reveal(position);
      this.ui.now.textContent = clock(position);
      this.ui.ruler.setAttribute("aria-valuemin", this.bounds[0].toFixed(1));
      this.ui.ruler.setAttribute("aria-valuemax", this.bounds[1].toFixed(1));
      this.ui.ruler.setAttribute("aria-valuenow", position.toFixed(1));
      this.ui.ruler.setAttribute("aria-valuetext", `${clock(position, 1)} of ${clock(this.bounds[1], 1)}`);
      this.emit("cursor", position);
      this.headStale = true;
    }
    if (trouble !== this.lastTrouble) {
      this.lastTrouble = trouble;
      this.showHint();
    }
    if (this.stale) this.draw();
    if (this.headStale || this.viewDrawn !== this.view) this.placeHeads(position);
  }

  placeHeads(position) {
    this.headStale = false;
    this.viewDrawn = this.view;
    const set = (lane, [start, end]) => {
      const part = (position - start) / (end - start);
      const head = lane.querySelector(".head-line");
      head.style.transform = `translateX(${part * lane.clientWidth}px)`;
      head.style.visibility = part >= 0 && part <= 1 ? "visible" : "hidden";
    };
    set(this.ui.overview, this.bounds);
    set(this.ui.ruler, this.view);
    for (const { item } of this.rows.values()) set(item.querySelector(".lane"), this.view);
  }

  showTransport() {
    const { playing } = this.transport;
    const label = playing ? "Pause" : "Play";
    const { play, loop } = this.ui;
    if (play.getAttribute("aria-label") !== label) {
      play.innerHTML = icon(playing ? "pause" : "play");
      play.setAttribute("aria-label", label);
      play.title = `${label} (Space)`;
    }
    loop.setAttribute("aria-pressed", this.#looping);
    this.showHint();
    this.lastPosition = undefined;
  }

  /** Why nothing sounds although it should; empty if all is well. */
  trouble() {
    if (this.transport.waiting) return "waiting for the network…";
    return this.transport.blocked ? "click to hear" : "";
  }

  showHint() {
    const { hint } = this.ui;
    const trouble = this.trouble();
    hint.classList.toggle("waiting", trouble !== "");
    if (trouble) hint.textContent = trouble;
    else if (this.#selection) {
      const [start, end] = this.#selection;
      hint.textContent = `${clock(start, 2)} – ${clock(end, 2)}  (${(end - start).toFixed(2)} s)`;
    } else hint.textContent = "";
  }

  // -- selection

  /** Select [start, end] in seconds, or nothing. Before there is anything to play, it is kept for then. */
  select(region) {
    this.#wanted = region;
    if (region && this.bounds) {
      const [start, end] = region.map((seconds) => clamp(seconds, ...this.bounds)).sort((a, b) => a - b);
      region = end - start >= SHORTEST_LOOP ? [start, end] : null;
    }
    this.#selection = region;
    if (!region) this.#looping = false;
    this.transport.setLoop(this.#looping ? region : null);
    this.place();
    this.showTransport();
    this.emit("selection", region);
  }

  /** Of a selection that was asked for earlier, what this stage holds; all of it is no selection. */
  showWanted() {
    const wanted = this.#wanted;
    if (!wanted) return;
    const whole = wanted[0] <= this.bounds[0] + SHORTEST_LOOP && wanted[1] >= this.bounds[1] - SHORTEST_LOOP;
    this.select(whole && !this.#looping ? null : wanted);
    this.#wanted = wanted; // the next stage may hold more of it
  }

  /** Move one end of the selection (0 or 1) to the cursor. */
  markEdge(edge) {
    const region = [...(this.#selection ?? this.bounds)];
    region[edge] = this.cursor;
    if (region[1] <= region[0]) region[1 - edge] = this.bounds[1 - edge];
    this.select(region);
  }

  setLooping(on) {
    this.#looping = on && this.#selection !== null;
    this.transport.setLoop(this.#looping ? this.#selection : null);
    this.place();
    this.showTransport();
    if (on && !this.#selection) this.say("Drag over a track to select what to loop.");
  }

  /** Pointers on a lane: tap goes there, drag selects (or moves an end of the selection), two fingers zoom and move. */
  pointers(lane) {
    const down = new Map();
    const secondsAt = (x) => {
      const box = lane.getBoundingClientRect();
      return this.view[0] + ((x - box.left) / box.width) * (this.view[1] - this.view[0]);
    };
    const edgeAt = (event) => {
      if (!this.#selection) return -1;
      const near = ((event.pointerType === "touch" ? 16 : 6) * (this.view[1] - this.view[0])) / lane.clientWidth;
      return this.#selection.findIndex((edge) => Math.abs(edge - secondsAt(event.clientX)) < near);
    };
    let gesture = null;
    const finish = (event) => {
      const single = down.size === 1;
      down.delete(event.pointerId);
      if (down.size) return;
      const done = gesture;
      gesture = null;
      this.dragging = false;
      if (event.type === "pointercancel" || !done || !single) return;
      if (done.kind === "drag" && done.region) this.select(done.region);
      if (done.kind === "tap") this.tap(secondsAt(event.clientX));
    };
    lane.addEventListener("pointerdown", (event) => {
      if (!this.stage || event.button !== 0 || event.target.closest(".mark, .region")) return;
      lane.setPointerCapture(event.pointerId);
      down.set(event.pointerId, event.clientX);
      this.dragging = true;
      if (down.size === 2) {
        const [a, b] = down.values();
        gesture = { kind: "pinch", distance: Math.max(8, Math.abs(a - b)), centre: secondsAt((a + b) / 2), view: this.view };
      } else {
        const edge = edgeAt(event);
        const fixed = edge < 0 ? secondsAt(event.clientX) : this.#selection[1 - edge];
        gesture = { kind: "tap", from: event.clientX, fixed };
      }
    });
    lane.addEventListener("pointermove", (event) => {
      if (!down.has(event.pointerId)) {
        lane.classList.toggle("edge", edgeAt(event) >= 0);
        return;
      }
      down.set(event.pointerId, event.clientX);
      if (gesture.kind === "pinch" && down.size === 2) {
        const [a, b] = down.values();
        const span = ((gesture.view[1] - gesture.view[0]) * gesture.distance) / Math.max(8, Math.abs(a - b));
        const box = lane.getBoundingClientRect();
        const start = gesture.centre - (((a + b) / 2 - box.left) / box.width) * span;
        this.setView([start, start + span]);
      } else if (gesture.kind === "drag" || (gesture.kind === "tap" && Math.abs(event.clientX - gesture.from) > 4)) {
        gesture.kind = "drag";
        gesture.region = [gesture.fixed, secondsAt(event.clientX)].map((seconds) => clamp(seconds, ...this.bounds)).sort((a, b) => a - b);
        this.#selection = gesture.region;
        this.place();
        this.showHint();
      }
    });
    lane.addEventListener("pointerup", finish);
    lane.addEventListener("pointercancel", finish);
    lane.addEventListener("wheel", (event) => this.wheel(event, lane, secondsAt(event.clientX)), { passive: false });
  }

  tap(seconds) {
    const inside = this.#selection && seconds >= this.#selection[0] && seconds <= this.#selection[1];
    if (this.#selection && !inside) this.select(null);
    this.seek(seconds);
  }

  wheel(event, lane, seconds) {
    if (!this.stage) return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(-clamp(event.deltaY, -60, 60) / 120), seconds);
      return;
    }
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (!event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    const shift = (sideways / lane.clientWidth) * (this.view[1] - this.view[0]);
    this.setView([this.view[0] + shift, this.view[1] + shift]);
  }

  overviewPointers(lane) {
    let from = null;
    const secondsAt = (x) => {
      const box = lane.getBoundingClientRect();
      return this.bounds[0] + ((x - box.left) / box.width) * (this.bounds[1] - this.bounds[0]);
    };
    lane.addEventListener("pointerdown", (event) => {
      if (!this.stage || event.button !== 0) return;
      lane.setPointerCapture(event.pointerId);
      from = { x: event.clientX, view: this.view, moved: false };
    });
    lane.addEventListener("pointermove", (event) => {
      if (!from || (!from.moved && Math.abs(event.clientX - from.x) < 4)) return;
      from.moved = true;
      this.dragging = true;
      const shift = secondsAt(event.clientX) - secondsAt(from.x);
      this.setView(from.view.map((seconds) => seconds + shift));
    });
    lane.addEventListener("pointerup", (event) => {
      if (from && !from.moved) this.seek(secondsAt(event.clientX));
      from = null;
      this.dragging = false;
    });
    lane.addEventListener("pointercancel", () => (from = null));
    lane.addEventListener("wheel", (event) => this.wheel(event, lane, secondsAt(event.clientX)), { passive: false });
  }

  // -- downloads

  openFormats(button, title, path) {
    const items = FORMATS.map(([label, what, format, depth]) => ({
      label,
      what,
      act: () => this.download(`${this.transport.base}/${path}format=${format}&bit_depth=${depth}`, `${title}, ${label}`),
    }));
    this.openMenu(button, items);
  }

  openMix(button) {
    const heard = this.stage.tracks.filter((name) => this.transport.levels[name] > 0);
    if (!heard.length) {
      this.say("Every track is silent now: turn one on first.", true);
      return;
    }
    const gains = heard.map((name) => `${name}:${Math.round(SHARE * this.transport.levels[name]) / SHARE}`).join(",");
    this.openFormats(button, "the mix", `mix?gains=${encodeURIComponent(gains)}&`);
  }

  /** Have the file made first, so that waiting and failing are seen here and not in the browser's download list. */
  async download(url, title) {
    this.say(`Preparing ${title}…`);
    try {
      const made = await fetch(url, { method: "HEAD", cache: "no-store" });
      if (!made.ok) throw Object.assign(new Error("refused"), { parts: await errorOf(await fetch(url, { cache: "no-store" })) });
      Object.assign(document.createElement("a"), { href: url, download: "" }).click();
      this.say(`${title}: the download has started.`);
    } catch (error) {
      this.refused(error);
    }
  }

  openMenu(button, items) {
    const { menu, player } = this.ui;
    this.menuOpener = button;
    menu.replaceChildren(
      ...items.map(({ label, what, act }) => {
        const item = document.createElement("button");
        item.type = "button";
        item.setAttribute("role", "menuitem");
        item.append(label, Object.assign(document.createElement("small"), { textContent: what }));
        item.onclick = () => {
          this.closeMenu();
          act();
        };
        return item;
      }),
    );
    menu.hidden = false;
    button.setAttribute("aria-expanded", "true");
    const box = button.getBoundingClientRect();
    const outer = player.getBoundingClientRect();
    const left = clamp(box.left - outer.left, 8, Math.max(8, outer.width - menu.offsetWidth - 8));
    const below = box.bottom - outer.top + 6;
    const above = box.top - outer.top - menu.offsetHeight - 6;
    const fits = box.bottom + menu.offsetHeight + 12 < innerHeight || above < 0;
    Object.assign(menu.style, { left: `${left}px`, top: `${fits ? below : above}px` });
    menu.firstElementChild.focus({ preventScroll: true });
  }

  closeMenu() {
    if (this.ui.menu.hidden) return;
    this.ui.menu.hidden = true;
    this.menuOpener.removeAttribute("aria-expanded");
    this.menuOpener.focus({ preventScroll: true });
  }

  menuKey(event) {
    const items = [...this.ui.menu.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) items.at((items.indexOf(this.shadowRoot.activeElement) + step) % items.length).focus();
    else if (event.key === "Escape" || event.key === "Tab") this.closeMenu();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // -- wiring

  wire() {
    const { ui } = this;
    ui.play.onclick = () => this.transport.toggle();
    ui.start.onclick = () => this.seek(this.bounds?.[0] ?? 0);
    ui.loop.onclick = () => this.setLooping(!this.#looping);
    ui.in.onclick = () => this.zoom(2);
    ui.out.onclick = () => this.zoom(0.5);
    ui.fit.onclick = () => this.stage && this.setView(this.bounds);
    ui["all-wave"].onclick = () => this.setAllSpectrogram(false);
    ui["all-spectrogram"].onclick = () => this.setAllSpectrogram(true);
    ui.help.onclick = () => ui["help-dialog"].showModal();
    ui.cancel.onclick = () => this.cancelJob();
    ui.delete.onclick = () => ui["delete-dialog"].showModal();
    ui["delete-dialog"].onclose = () => ui["delete-dialog"].returnValue === "delete" && this.deleteJob();
    ui.all.onclick = (event) => this.openFormats(event.currentTarget, "all tracks", "download.zip?");
    ui.mix.onclick = (event) => this.openMix(event.currentTarget);
    const slider = ui.volume.querySelector("input");
    slider.oninput = () => {
      slider.style.setProperty("--part", `${slider.value}%`);
      this.transport?.setVolume(this.volume());
    };
    slider.oninput();
    this.pointers(ui.ruler);
    this.overviewPointers(ui.overview);
    ui.menu.addEventListener("keydown", (event) => this.menuKey(event));
    ui.player.addEventListener("focusin", () => this.use());
    ui.player.addEventListener("pointerdown", (event) => {
      this.use();
      this.transport.wake();
      if (!ui.menu.hidden && !event.target.closest(".menu")) this.closeMenu();
    });
    // A click with the mouse leaves the keyboard with the player, so that Space plays and does not press the button again.
    ui.player.addEventListener("click", (event) => {
      const kept = event.target.closest(".menu, dialog, [aria-haspopup]");
      if (event.detail > 0 && !kept && ui.menu.hidden) ui.player.focus({ preventScroll: true });
    });
  }

  /** Loudness goes with the square of the slider, near enough to what an ear expects. */
  volume() {
    return (Number(this.ui.volume.querySelector("input").value) / 100) ** 2;
  }

  theme() {
    const { classList } = document.body;
    const standalone = !document.querySelector(".gradio-container");
    const dark = classList.contains("dark") || document.documentElement.classList.contains("dark");
    const asSystem = standalone && !classList.contains("light") && this.darkness.matches;
    this.ui.player.classList.toggle("dark", dark || asSystem);
    this.refresh();
  }

  /** Keys work wherever the focus is, unless whatever has it needs them itself. */
  key(event) {
    if (!this.stage || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.composedPath()[0];
    const inside = event.composedPath().includes(this);
    if (!inside && !this.usedLast) return;
    if (target.closest?.("dialog, .menu, textarea, select, [contenteditable], input:not([type=range])")) return;
    if (!inside && target !== document.body && target.closest?.("button, a, input, summary, [role], [tabindex]")) return;
    const onSlider = target.matches?.("input[type=range]");
    const onButton = target.matches?.("button, a, summary");
    if (onButton && (event.key === " " || event.key === "Enter")) return;
    if (onSlider && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    const act = this.action(event);
    if (!act) return;
    event.preventDefault();
    this.transport.wake();
    act();
  }

  action({ key, code, shiftKey }) {
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(code)?.[1];
    if (digit === "0") return () => this.setView(this.bounds);
    if (digit) {
      const name = this.stage.tracks[digit - 1];
      return name && (() => this.solo(name, shiftKey));
    }
    const step = shiftKey ? 1 : 5;
    return {
      " ": () => this.transport.toggle(),
      ArrowLeft: () => this.seek(this.cursor - step),
      ArrowRight: () => this.seek(this.cursor + step),
      Home: () => this.seek(this.bounds[0]),
      End: () => this.seek(this.bounds[1]),
      "+": () => this.zoom(2),
      "=": () => this.zoom(2),
      "-": () => this.zoom(0.5),
      "?": () => this.ui["help-dialog"].showModal(),
      Escape: () => this.select(null),
      i: () => this.markEdge(0),
      o: () => this.markEdge(1),
      l: () => this.setLooping(!this.#looping),
      m: () => this.mute(this.chosen ?? this.stage.tracks[0]),
    }[key.length === 1 ? key.toLowerCase() : key];
  }
}

if (!customElements.get("earshot-player")) customElements.define("earshot-player", EarshotPlayer);

export { EarshotPlayer };
