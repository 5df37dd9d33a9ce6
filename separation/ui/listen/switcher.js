/**
 * The sounds of a page on one clock, one of them heard: `Switcher`. Play, pause, switch, seek, loop.
 *
 * All sounds start at one instant and run side by side; a gate each lets one through. ITU-R BS.1534-3 allows no cross-fade: what
 * is heard fades out (a raised cosine of 5 ms), then the other fades in, at the place where the first would have been. Gates are
 * moved on the audio clock only, so how busy the page is changes nothing. The ends of a loop are faded in its samples, so a loop
 * needs no timer. Works on an OfflineAudioContext too, which is how it is measured.
 *
 * Not here: fetching sounds, and which of them may be heard how often.
 */

export const FADE = 0.005; // seconds
export const SHORTEST_LOOP = 0.5; // seconds
const LEAD = 0.02; // seconds between deciding and the first sample that it changes: more than the sound card is ahead
const POINTS = 257; // of a fade, joined by straight lines
const TICK = 250; // milliseconds between looks at the clock
const WINDOW = 8; // looks: the least delay among them has no jitter
const GAP = 0.01; // seconds by which the clock must have stood still to be an underrun

const DOWN = Float32Array.from({ length: POINTS }, (_, i) => 0.5 + 0.5 * Math.cos((Math.PI * i) / (POINTS - 1)));
const UP = DOWN.slice().reverse();

/** Interleaved 16-bit samples -> an AudioBuffer of the frames from `start` to `end`, its ends faded over `fade` frames. */
function bufferOf(pcm, channels, sampleRate, start, end, fade) {
  const length = end - start;
  const buffer = new AudioBuffer({ length, numberOfChannels: channels, sampleRate });
  const rising = Float32Array.from({ length: Math.min(fade, length >> 1) }, (_, i) => 0.5 - 0.5 * Math.cos((Math.PI * (i + 0.5)) / fade));
  for (let channel = 0; channel < channels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let i = 0, at = start * channels + channel; i < length; i++, at += channels) samples[i] = pcm[at] / 32768;
    for (let i = 0; i < rising.length; i++) {
      samples[i] *= rising[i];
      samples[length - 1 - i] *= rising[i];
    }
  }
  return buffer;
}

/**
 * Events: `change` (what is heard, or whether anything is), `heard` (detail {token, seconds}: so long it sounded), `ended` (a sound
 * that is not repeated came to its end), `underrun` (detail {seconds}), `blocked` (the browser has taken the sound away).
 */
export class Switcher extends EventTarget {
  /**
   * @param {BaseAudioContext} context
   * @param {AudioNode} output where the sounds go
   * @param {{sampleRate: number, channels: number, length: number}} audio of every sound; `length` in frames
   * @param {{switching: "bs1534"|"crossfade", fade: number, shortest: number, repeats: boolean}} rules seconds; `repeats`: from
   *   the end of the loop, or of the whole, back to its start
   */
  constructor(context, output, audio, { switching = "bs1534", fade = FADE, shortest = SHORTEST_LOOP, repeats = true } = {}) {
    super();
    Object.assign(this, { context, output, audio, switching, fade, shortest, repeats });
    this.sounds = new Map(); // token -> {pcm, gate, buffer}
    this.region = [0, audio.length]; // frames of the sounds
    this.current = null; // token of what is heard, or would be
    this.cursor = 0; // seconds, while nothing sounds
    this.run = null; // while it sounds: {at, from, nodes}
    this.fading = Math.round(fade * context.sampleRate) / context.sampleRate; // the same in whole frames
    this.busy = 0; // the gates move until here, in seconds of the context
    this.underruns = 0;
    context.addEventListener?.("statechange", this.stateChanged);
  }

  stateChanged = () => {
    if (this.playing && !["running", "closed"].includes(this.context.state)) this.dispatchEvent(new Event("blocked"));
  };

  get duration() {
    return this.audio.length / this.audio.sampleRate;
  }

  get playing() {
    return this.run !== null;
  }

  /** Seconds [from, to] that are repeated. */
  get loop() {
    return this.region.map((frame) => frame / this.audio.sampleRate);
  }

  /** Whether less than everything is repeated. */
  get looped() {
    return this.region[0] > 0 || this.region[1] < this.audio.length;
  }

  /** Where what is heard now is, in seconds; the output is a little behind the clock. */
  get position() {
    return this.run ? this.positionAt(this.context.currentTime - (this.context.outputLatency || 0)) : this.cursor;
  }

  positionAt(time) {
    const [start, end] = this.loop;
    const on = this.run.from - start + Math.max(0, time - this.run.at);
    return start + (this.repeats ? on % (end - start) : Math.min(on, end - start));
  }

  /** The first whole frame of the context from which a change can be heard in full: after the one before, and a frame. */
  soon() {
    const { currentTime, sampleRate } = this.context;
    return Math.max(Math.ceil((currentTime + LEAD) * sampleRate), Math.round(this.busy * sampleRate) + 1) / sampleRate;
  }

  /** Have a sound: `pcm` is an Int16Array, interleaved. */
  add(token, pcm) {
    const gate = new GainNode(this.context, { gain: 0 });
    gate.connect(this.output);
    this.sounds.set(token, { pcm, gate, buffer: this.cut(pcm) });
    this.current ??= token;
  }

  cut(pcm) {
    const { channels, sampleRate } = this.audio;
    return bufferOf(pcm, channels, sampleRate, ...this.region, Math.round(this.fade * sampleRate));
  }

  /** Begin, or go on, with this sound where the cursor is. */
  play(token = this.current) {
    if (this.run) return this.switchTo(token);
    this.current = token;
    this.begin(this.soon(), this.cursor);
    this.watch();
    this.dispatchEvent(new Event("change"));
  }

  begin(at, from) {
    const [start, end] = this.loop;
    const inside = from >= start && from < end ? from : start;
    const nodes = [...this.sounds.values()].map(({ buffer, gate }) => {
      const node = new AudioBufferSourceNode(this.context, { buffer, loop: this.repeats });
      node.connect(gate);
      node.start(at, inside - start);
      return node;
    });
    this.run = { at, from: inside, nodes };
    nodes[0].onended = () => this.endedBy(nodes);
    this.move(this.current, UP, at);
    this.busy = at + this.fading;
    this.since = at;
  }

  move(token, curve, at) {
    this.sounds.get(token).gate.gain.setValueCurveAtTime(curve, at, this.fading);
  }

  /** Everything that sounds fades out from `at` on, and ends. */
  end(at) {
    this.account(at);
    this.move(this.current, DOWN, at);
    for (const node of this.run.nodes) node.stop(at + this.fading);
    this.busy = at + this.fading;
  }

  /** A sound that is not repeated has come to its end by itself. */
  endedBy(nodes) {
    if (this.run?.nodes !== nodes) return;
    const at = this.soon();
    this.account(this.run.at + this.loop[1] - this.run.from);
    this.move(this.current, DOWN, at);
    this.busy = at + this.fading;
    this.rest(this.loop[0]);
    this.dispatchEvent(new Event("ended"));
  }

  rest(cursor) {
    this.run = null;
    this.cursor = cursor;
    clearInterval(this.timer);
    this.dispatchEvent(new Event("change"));
  }

  pause() {
    if (!this.run) return;
    const at = this.soon();
    const cursor = this.positionAt(at);
    this.end(at);
    this.rest(cursor);
  }

  /** Hear this sound from where the other is. */
  switchTo(token) {
    if (token === this.current) return;
    if (this.run) {
      const at = this.soon();
      const later = this.switching === "crossfade" ? at : at + this.fading;
      this.account(at);
      this.move(this.current, DOWN, at);
      this.move(token, UP, later);
      this.busy = later + this.fading;
    }
    this.current = token;
    this.dispatchEvent(new Event("change"));
  }

  /** Go to a place, in seconds. */
  seek(seconds) {
    const [start, end] = this.loop;
    const to = Math.min(Math.max(seconds, start), Math.max(start, end - 0.001));
    if (this.run) {
      this.end(this.soon());
      this.begin(this.soon(), to);
    } else this.cursor = to;
    this.dispatchEvent(new Event("change"));
  }

  /** Repeat from `start` to `end` seconds, made as long as a loop must be; null repeats everything. The place is kept. */
  setLoop(region) {
    const { sampleRate, length } = this.audio;
    const least = Math.min(length, Math.ceil(this.shortest * sampleRate));
    let [start, end] = (region ?? [0, this.duration]).map((seconds) => Math.round(seconds * sampleRate));
    start = Math.max(0, Math.min(start, length - least));
    end = Math.min(length, Math.max(end, start + least));
    if (start === this.region[0] && end === this.region[1]) return;
    const place = this.run ? this.positionAt(this.soon()) : this.cursor;
    if (this.run) this.end(this.soon());
    this.region = [start, end];
    for (const sound of this.sounds.values()) sound.buffer = this.cut(sound.pcm);
    const inside = place >= this.loop[0] && place < this.loop[1] ? place : this.loop[0];
    if (this.run) this.begin(this.soon(), inside);
    else this.cursor = inside;
    this.dispatchEvent(new Event("change"));
  }

  /** Say how long the current sound has been heard until `time`. */
  account(time = this.context.currentTime) {
    if (!this.run) return;
    const seconds = time - this.since;
    this.since = Math.max(time, this.since);
    if (seconds > 0) this.dispatchEvent(new CustomEvent("heard", { detail: { token: this.current, seconds } }));
  }

  /** Look whether the clock of the sound keeps up with that of the page: where it does not, something was not heard. */
  watch() {
    clearInterval(this.timer);
    if (!(this.context instanceof AudioContext)) return;
    let delays = [];
    let usual = null;
    this.timer = setInterval(() => {
      if (this.context.state !== "running") {
        delays = [];
        usual = null;
        return;
      }
      delays.push(performance.now() / 1000 - this.context.currentTime);
      if (delays.length < WINDOW) return;
      const least = Math.min(...delays);
      delays = [];
      if (usual !== null && least - usual > GAP) {
        this.underruns++;
        this.dispatchEvent(new CustomEvent("underrun", { detail: { seconds: least - usual } }));
      }
      usual = least;
    }, TICK);
  }

  /** Stop and let go. */
  close() {
    this.pause();
    this.context.removeEventListener?.("statechange", this.stateChanged);
    const { busy, context } = this;
    for (const { gate } of this.sounds.values()) setTimeout(() => gate.disconnect(), 1000 * (busy - context.currentTime) + 50);
    this.sounds.clear();
  }
}
