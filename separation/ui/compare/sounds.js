/** The sounds of a bout on one clock, fetched when they are wanted; how long each sounded is counted. */

import { at } from "../cards/ask.js";
import { Switcher } from "./switcher.js";

/** Events: `change` (what sounds), `heard` (seconds were counted), `trouble` (detail: an Error). */
export class Sounds extends EventTarget {
  constructor(bout, audio, sounds) {
    super();
    Object.assign(this, { bout, audio });
    this.tokens = new Map(sounds.map(({ token, side, stem }) => [side ? `${side}:${stem}` : stem, token]));
    this.roles = new Map([...this.tokens].map(([role, token]) => [token, role]));
    this.loading = new Map(); // role -> Promise
    this.heard = {}; // role -> seconds, not said yet
    this.role = null;
    this.asked = 0;
  }

  /** Made at the first gesture: browsers allow sound only then. */
  build() {
    try {
      this.context = new AudioContext({ sampleRate: this.audio.sample_rate, latencyHint: "interactive" });
    } catch {
      this.context = new AudioContext(); // this browser cannot run at that rate, and converts
    }
    const { sample_rate: sampleRate, channels, length } = this.audio;
    this.switcher = new Switcher(this.context, this.context.destination, { sampleRate, channels, length });
    this.switcher.addEventListener("change", () => this.dispatchEvent(new Event("change")));
    this.switcher.addEventListener("blocked", () => this.pause());
    this.switcher.addEventListener("heard", ({ detail: { token, seconds } }) => {
      const role = this.roles.get(token);
      this.heard[role] = (this.heard[role] ?? 0) + seconds;
      this.dispatchEvent(new CustomEvent("heard", { detail: { role, seconds } }));
    });
  }

  fetch(role) {
    if (!this.loading.has(role)) {
      const got = fetch(at(`compare/bouts/${this.bout}/audio/${this.tokens.get(role)}.pcm`), { cache: "no-store" }).then(async (answer) => {
        if (!answer.ok) throw new Error(`${answer.status}`);
        return new Int16Array(await answer.arrayBuffer());
      });
      got.catch(() => this.loading.delete(role)); // to be tried again
      this.loading.set(role, got);
    }
    return this.loading.get(role);
  }

  /** Have these ready before they are wanted. */
  async prepare(roles) {
    await Promise.allSettled(roles.map((role) => this.fetch(role)));
  }

  get playing() {
    return Boolean(this.switcher?.playing);
  }

  get position() {
    return this.switcher?.position ?? 0;
  }

  get duration() {
    return this.audio.length / this.audio.sample_rate;
  }

  /** Hear this one, from where the other is; begins if nothing sounds. */
  async hear(role) {
    const mine = ++this.asked;
    if (!this.switcher) this.build();
    this.context.resume();
    this.role = role;
    this.dispatchEvent(new Event("change"));
    let pcm;
    try {
      pcm = await this.fetch(role);
    } catch {
      const parts = { asked: "Play a sound", found: "it could not be fetched", advice: "Check the connection and try again" };
      this.dispatchEvent(new CustomEvent("trouble", { detail: { parts } }));
      return;
    }
    const token = this.tokens.get(role);
    if (!this.switcher) return; // closed meanwhile
    if (!this.switcher.sounds.has(token)) {
      this.switcher.add(token, pcm);
      if (this.playing) this.switcher.seek(this.position); // so that it runs along
    }
    if (mine !== this.asked) return; // something else is wanted by now
    if (this.playing) this.switcher.switchTo(token);
    else this.switcher.play(token);
  }

  pause() {
    this.asked++;
    this.switcher?.pause();
  }

  toggle(role) {
    if (this.playing) this.pause();
    else this.hear(role);
  }

  seek(seconds) {
    if (!this.switcher) this.build();
    this.switcher.seek(seconds);
  }

  /** What sounded since the last time, by role. */
  take() {
    this.switcher?.account();
    const heard = this.heard;
    this.heard = {};
    return heard;
  }

  close() {
    this.asked++;
    this.switcher?.close();
    this.switcher = null;
    const { context } = this;
    if (context) setTimeout(() => context.close(), 200);
  }
}
