/**
 * The sounds of one page: fetched, played through one `Switcher`, and how much of each has been heard. What happens is said as
 * events `did` (detail: a payload of kind "did", see `listen_files`); `change` when something is to be shown anew.
 *
 * The AudioContext is made at the first press of play, because browsers want a gesture, and lasts for the whole test: it runs at
 * the rate of the sounds, so nothing is resampled by the page.
 */

import { ask } from "./outbox.js";
import { FADE, SHORTEST_LOOP, Switcher } from "./switcher.js";

const TRIES = 4; // to fetch a sound, before the listener is asked
const HEARD_EVERY = 10_000; // milliseconds
const ENOUGH = 0.5; // seconds of a sound that count as having heard it
const STUCK = 1500; // milliseconds after which a clock that has not moved means that there is no sound

let shared = null; // {context, level}: of the whole test

/** The context at this rate; to be called in a click or a key. */
function contextAt(sampleRate) {
  if (shared && shared.asked !== sampleRate) {
    shared.context.close();
    shared = null;
  }
  if (!shared) {
    if (navigator.audioSession) navigator.audioSession.type = "playback"; // else an iPhone's silent switch silences the test
    let context;
    try {
      context = new AudioContext({ sampleRate, latencyHint: "balanced" });
    } catch {
      context = new AudioContext({ latencyHint: "balanced" }); // a refused rate: the buffers are converted while they play
    }
    const level = new GainNode(context, { gain: 1 });
    level.connect(context.destination);
    shared = { context, level, asked: sampleRate };
  }
  if (shared.context.state !== "running") shared.context.resume();
  return shared;
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export class Deck extends EventTarget {
  /**
   * @param {string} session
   * @param {{sample_rate: number, channels: number, length: number}|null} audio of every sound of the page
   * @param {string[]} tokens of the sounds
   * @param {object} rules of the page
   * @param {{heard: object, plays: object}|null} counts of this page before a reload, by token
   */
  constructor(session, audio, tokens, rules, counts) {
    super();
    Object.assign(this, { session, audio, tokens, rules });
    this.pcm = new Map();
    this.failed = new Set();
    this.heard = new Map(tokens.map((token) => [token, counts?.heard[token] ?? 0])); // seconds on this page
    this.plays = new Map(tokens.map((token) => [token, counts?.plays[token] ?? 0])); // how often it was begun
    this.current = null;
    this.gain = 1;
    if (audio) for (const token of tokens) this.fetch(token);
    this.timer = setInterval(() => this.switcher?.account(), HEARD_EVERY);
  }

  get channels() {
    return this.audio.channels;
  }

  get duration() {
    return this.audio ? this.audio.length / this.audio.sample_rate : 0;
  }

  get ready() {
    return this.pcm.size === this.tokens.length;
  }

  get playing() {
    return this.switcher?.playing ?? false;
  }

  get position() {
    return this.switcher ? this.switcher.position : (this.place ?? 0);
  }

  get loop() {
    return this.switcher?.loop ?? [0, this.duration];
  }

  get looped() {
    return this.switcher?.looped ?? false;
  }

  /** Whether a sound starts again by itself, and may be heard in parts. */
  get repeats() {
    return (this.rules.plays ?? null) === null && !this.rules.once;
  }

  pcmOf(token) {
    return this.pcm.get(token);
  }

  /** What a reload of the page must not forget. */
  get counts() {
    return { heard: Object.fromEntries(this.heard), plays: Object.fromEntries(this.plays) };
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  did(what, of = null, at = null, detail = {}) {
    const payload = { kind: "did", what, of, at: at === null ? null : Math.max(0, at), detail };
    this.dispatchEvent(new CustomEvent("did", { detail: payload }));
  }

  /** Fetch a sound, several times if need be. */
  async fetch(token) {
    this.failed.delete(token);
    let found = "";
    for (let tries = 0; tries < TRIES && !this.closed; tries++) {
      try {
        const bytes = await ask(`s/${this.session}/audio/${token}.pcm`, "GET", undefined, { raw: true });
        const expected = this.audio.length * this.audio.channels * 2;
        if (bytes.byteLength !== expected) throw new Error(`${bytes.byteLength} bytes instead of ${expected}`);
        if (this.closed) return;
        this.pcm.set(token, new Int16Array(bytes));
        if (this.ready) this.dispatchEvent(new Event("ready"));
        this.changed();
        return;
      } catch (error) {
        found = error.message || "the network is away";
        await pause(400 * 2 ** tries);
      }
    }
    if (this.closed) return;
    this.failed.add(token);
    this.did("failed", token, null, { found: found.slice(0, 200) });
    this.changed();
  }

  retry() {
    for (const token of [...this.failed]) this.fetch(token);
    this.changed();
  }

  /** Whether this sound may be begun once more. */
  mayPlay(token) {
    const { plays = null } = this.rules;
    return plays === null || this.plays.get(token) < plays;
  }

  /** Whether enough of this sound has been heard: some, or all of it where it is asked for. */
  heardEnough(token) {
    const enough = this.rules.whole ? this.duration * 0.98 : Math.min(ENOUGH, this.duration * 0.98);
    return this.heard.get(token) >= enough;
  }

  /** The switcher, with all sounds in it. */
  wake() {
    const { context, level } = contextAt(this.audio.sample_rate);
    if (this.switcher) return;
    level.gain.value = this.gain;
    const { sample_rate: sampleRate, channels, length } = this.audio;
    const { switching = "bs1534", fade = FADE, min_loop: shortest = SHORTEST_LOOP } = this.rules;
    this.switcher = new Switcher(context, level, { sampleRate, channels, length }, { switching, fade, shortest, repeats: this.repeats });
    for (const token of this.tokens) this.switcher.add(token, this.pcm.get(token));
    this.switcher.cursor = this.place ?? 0;
    this.switcher.addEventListener("change", () => this.changed());
    this.switcher.addEventListener("heard", ({ detail }) => {
      this.heard.set(detail.token, this.heard.get(detail.token) + detail.seconds);
      this.did("heard", detail.token, null, { seconds: detail.seconds });
      this.describe(sampleRate);
      this.changed();
    });
    this.switcher.addEventListener("ended", () => this.did("pause", this.current, this.duration, { why: "end" }));
    this.switcher.addEventListener("underrun", ({ detail }) => this.did("underrun", this.current, this.position, detail));
    this.switcher.addEventListener("blocked", () => this.pause("taken"));
  }

  /** Say once what the sound goes through; its latency is only known once it sounds. */
  describe(asked) {
    if (this.described) return;
    this.described = true;
    const { context } = shared;
    const { baseLatency: base = 0, outputLatency: output = 0 } = context;
    this.did("audio", null, null, { rate: context.sampleRate, asked, base, output, channels: context.destination.maxChannelCount });
  }

  /** Notice a browser that plays nothing: no device, or it was taken away. */
  listenFor(time) {
    setTimeout(() => {
      const silent = this.playing && !this.closed && shared.context.currentTime <= time;
      if (silent === Boolean(this.silent)) return;
      this.silent = silent;
      if (silent) this.did("silent", this.current, null, { state: shared.context.state });
      this.changed();
    }, STUCK);
  }

  /** How loud everything is: a factor. */
  setGain(gain) {
    this.gain = gain;
    if (shared && this.switcher) shared.level.gain.setTargetAtTime(gain, shared.context.currentTime, 0.02);
  }

  /** Hear this sound: begin with it, or switch to it. `way`: "button" or "key". */
  play(token, way = "button") {
    if (!this.ready) return false;
    const fresh = !this.playing || !this.repeats;
    if (fresh && !this.mayPlay(token)) return false;
    this.wake();
    const before = this.current;
    this.current = token;
    if (this.repeats && this.playing) {
      if (before !== token) {
        this.switcher.switchTo(token);
        this.did("switch", token, this.position, { from: before, way });
      }
      return true;
    }
    this.switcher.pause();
    if (!this.repeats) this.switcher.seek(0);
    this.plays.set(token, this.plays.get(token) + 1);
    if (before !== token && before !== null) this.did("switch", token, this.position, { from: before, way });
    this.switcher.play(token);
    this.listenFor(shared.context.currentTime);
    this.did("play", token, this.position, { way });
    this.changed();
    return true;
  }

  pause(why = "button") {
    if (!this.playing) return;
    this.switcher.pause();
    this.did("pause", this.current, this.position, { why });
    this.changed();
  }

  stop() {
    this.pause("stop");
    this.seek(this.loop[0], true);
  }

  seek(seconds, quiet = false) {
    if (!this.repeats && this.playing) return;
    this.place = seconds;
    this.switcher?.seek(seconds);
    if (!quiet) this.did("seek", this.current, this.position);
    this.changed();
  }

  setLoop(region) {
    if (!this.ready) return;
    this.wake();
    this.switcher.setLoop(region);
    const [start, end] = this.loop;
    this.did("loop", null, null, this.looped ? { start, end } : {});
    this.changed();
  }

  /** The page is done: stop, and say what was heard. */
  close() {
    this.closed = true;
    this.pause("page");
    clearInterval(this.timer);
    this.switcher?.close();
  }
}
