/**
 * Sound: blocks into Web Audio, sample-adjacent, all tracks at the same instants (`Deck`); play, seek, loop, waiting for
 * the network, and changing over between two takes of one recording (`Transport`). Knows no element.
 */

import { Library, stretches } from "./samples.js";
import { SHORTEST_LOOP, clamp } from "./times.js";

const AHEAD = 3; // seconds scheduled ahead: a hidden tab runs our timer only once a second
const FETCH_AHEAD = 8; // seconds fetched ahead
const TICK = 80; // milliseconds between looks at the schedule
const LEAD = 0.05; // seconds between deciding to start and the first sample
const SEAM = 0.005; // seconds of fade at the ends of a loop
const GATE = 0.001; // time constant of the fade at start, stop and seek; closed (-70 dB) after CLOSE
const CLOSE = 0.008;
const RAMP = 0.003; // time constant of gain, mute and solo: settled after 10 ms

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
    this.gate.gain.setTargetAtTime(this.library.trim, time, GATE);
    this.opened = time;
  }

  /** Follow the trim of the library. */
  trim(time) {
    if (this.running) this.gate.gain.setTargetAtTime(this.library.trim, Math.max(time, this.opened), RAMP);
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
export class Transport extends EventTarget {
  constructor() {
    super();
    this.playing = false; // what the listener asked for
    this.cursor = 0; // where we are while nothing sounds
    this.loop = null;
    this.levels = {};
    this.volume = 1;
    this.underruns = 0;
    this.waitingSince = null;
    this.aside = null; // {base, library}: another take of the recording, kept at hand; see `stand`
    this.heard = new Map(); // address of a stage -> {track: seconds that it has sounded}, since they were last taken
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

  /**
   * Take a stage in the place of the one that is heard. While that one plays, change over at the same place as soon as the new
   * samples are here.
   */
  load(base, stage) {
    if (this.next?.turned) this.settle();
    this.next?.library.close();
    this.next = null;
    const library = this.open(base, stage);
    const sameRate = library.rate === this.audio?.sampleRate;
    if (this.deck?.running && sameRate && this.reaches(library)) this.next = { base, library };
    else this.replace(base, library);
    this.balance();
    this.tick();
  }

  open(base, stage) {
    const sameRate = this.stage?.sample_rate === stage.sample_rate;
    return this.listen(new Library(base, stage, sameRate ? this.rate : stage.sample_rate));
  }

  /** Whether a library has what is heard now. */
  reaches(library, position = this.position) {
    const into = (position - library.origin) * library.rate;
    return into > -1 && into < library.length - 1;
  }

  /**
   * Keep another take of the recording at hand, with the samples around the cursor, so that `turn` can change over at once; no
   * `stage`: none. Both are heard with one gain, that of the louder: what sounds louder would seem better.
   */
  stand(base, stage) {
    if (this.next?.turned) this.settle();
    this.aside?.library.close();
    this.aside = stage ? { base, library: this.open(base, stage) } : null;
    this.balance();
    this.tick();
  }

  /**
   * Change over to the take at hand, at the same instant, and have the other at hand from then on. Where it does not reach, it
   * begins at its start. Asked for again before it has happened, nothing happens.
   */
  turn() {
    if (this.next?.turned) {
      this.next = null;
      this.dispatchEvent(new Event("side"));
    } else if (this.aside) {
      if (this.next) this.settle();
      this.next = { ...this.aside, turned: true };
      if (!this.deck?.running || !this.reaches(this.next.library)) this.settle();
    }
    this.tick();
  }

  /** What is due when its samples are here happens now. */
  settle() {
    const { base, library, turned } = this.next;
    this.next = null;
    this.replace(base, library, turned);
  }

  /** Two takes are heard with one gain, the smaller of theirs; one alone as it was served. */
  balance() {
    const libraries = [this.library, this.next?.library, this.aside?.library].filter(Boolean);
    const least = this.aside ? Math.min(...libraries.map(({ stage }) => stage.gain)) : 0;
    for (const library of libraries) library.trim = this.aside ? least / library.stage.gain : 1;
    if (this.audio) this.deck?.trim(this.audio.currentTime);
  }

  listen(library) {
    library.onchange = () => this.tick();
    library.ongone = () => this.dispatchEvent(new Event("gone"));
    return library;
  }

  replace(base, library, turned = false) {
    const { position } = this;
    const reaches = this.reaches(library, position);
    this.count();
    this.retire(this.deck);
    this.deck = null;
    if (this.audio && this.audio.sampleRate !== library.rate) this.closeContext();
    this.take(base, library, turned);
    this.cursor = reaches ? clamp(position, this.start, this.end) : this.start;
    this.dispatchEvent(new Event(turned ? "side" : "stage"));
  }

  /** From now on this one is heard; the one before is at hand if it was a turn, else it goes. */
  take(base, library, turned) {
    if (turned) this.aside = { base: this.base, library: this.library };
    else this.library?.close();
    Object.assign(this, { base, library });
  }

  unload() {
    this.pause();
    for (const library of [this.next?.library, this.library, this.aside?.library]) library?.close();
    this.retire(this.deck);
    this.next = this.library = this.deck = this.aside = null;
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
    for (const side of [this, this.aside]) {
      if (!side || side.library.rate === this.audio.sampleRate) continue;
      side.library.close();
      side.library = this.listen(new Library(side.base, side.library.stage, this.audio.sampleRate));
      this.balance();
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
      const heard = this.heard.get(this.base) ?? {};
      for (const name of this.library.tracks.keys()) if (this.levels[name] > 0) heard[name] = (heard[name] ?? 0) + seconds;
      this.heard.set(this.base, heard);
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
    if (this.loop && (this.cursor < this.loop[0] || this.cursor >= this.loop[1])) this.cursor = clamp(this.loop[0], this.start, this.end);
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
    for (const library of [this.library, this.next?.library, this.aside?.library]) if (library) library.retryAt = 0;
    this.tick();
  }

  /** Look at the clock, at what is here, and do what is due. Cheap; called by a timer and whenever something changes. */
  tick() {
    clearTimeout(this.timer);
    if (!this.library) return;
    this.count();
    if (this.playing) {
      if (!this.deck) this.ensureContext();
      if (this.deck.running) this.keepGoing();
      else this.tryToStart();
    }
    if (this.next) this.tryToChangeOver();
    this.library.want(this.wishes(this.library, this.position));
    const busy = ({ pending, failures }) => pending.size > 0 || failures > 0;
    if (this.aside && !busy(this.library)) this.prepare(this.aside.library);
    const idle = !this.playing && !busy(this.library) && !(this.aside && busy(this.aside.library));
    if (!idle) this.timer = setTimeout(() => this.tick(), TICK);
  }

  /** Have what a turn would need first. */
  prepare(library) {
    const from = this.reaches(library) ? this.position : library.origin;
    library.want(this.wishes(library, from, this.playing ? 3 : 1, false));
  }

  /** Blocks to fetch from a place on, [name, index]: what is heard first, and near before far; then, if so wished, the rest. */
  wishes(library, position, ahead = this.playing ? FETCH_AHEAD : 1, rest = this.playing) {
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
    return [...list(heard), ...(rest ? list(silent) : [])];
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
    const { base, library, turned } = this.next;
    const { position } = this;
    if (!this.playing || !this.reaches(library)) return this.settle();
    library.want(this.wishes(library, position, 3));
    if (!this.deck.running || !this.here(library, position) || !this.here(library, position + 0.2)) return;
    const at = Math.ceil((this.audio.currentTime + LEAD) * this.rate);
    const old = this.deck;
    const there = this.seconds(old.frameAt(at));
    this.deck = new Deck(this.audio, library, this.master, this.levels);
    this.deck.start(at, this.frame(there, library), this.loopFrames(library));
    this.deck.schedule(at + AHEAD * this.rate, at);
    this.retire(old, at); // the gates of the two cross: together they are 1 at every instant
    this.count();
    this.next = null;
    this.take(base, library, turned);
    this.dispatchEvent(new Event(turned ? "side" : "stage"));
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
