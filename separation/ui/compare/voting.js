/**
 * What a listener says of a bout, on its way to the server: kept in this browser until it is on disk there, so that neither a
 * reload nor a dead network loses it. An event has an id of its own: sent twice, it counts once.
 */

import { ask, at, pause } from "../cards/ask.js";
import { randomId, read, write } from "../rating/outbox.js";

const TRIES = 6;
const AT_ONCE = 50;

/** Event `change`: `state` is "saved", "saving" or "waiting" (it is tried again). */
export class Voting extends EventTarget {
  constructor(bout) {
    super();
    this.bout = bout;
    this.key = `earshot.compare.${bout}`;
    this.queue = read(this.key, null) ?? [];
    this.state = this.queue.length ? "waiting" : "saved";
    this.last = this.queue.at(-1)?.made ?? 0;
    if (this.queue.length) this.flush().catch(() => {});
  }

  /** Keep it; `flush` sends it. */
  say(payload) {
    this.last = Math.max(Date.now(), this.last + 1);
    this.queue.push({ id: randomId(), made: this.last, payload });
    write(this.key, this.queue);
    this.told("saving");
  }

  told(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  /** Send everything; resolves when it is on disk, throws what the server refuses for good. */
  flush() {
    this.sending = (this.sending ?? Promise.resolve()).catch(() => {}).then(() => this.send());
    return this.sending;
  }

  async send() {
    for (let tries = 0; this.queue.length; ) {
      const batch = this.queue.slice(0, AT_ONCE);
      try {
        await ask(at(`compare/bouts/${this.bout}/events`), { method: "POST", body: batch });
        this.drop(batch);
        tries = 0;
      } catch (error) {
        const passing = !error.status || error.status === 429 || error.status >= 500;
        if (!passing) {
          this.drop(batch); // it can never be saved: the page says so
          this.told("saved");
          throw error;
        }
        this.told("waiting");
        if (++tries >= TRIES) throw error;
        await pause(Math.min(15_000, 500 * 2 ** tries));
      }
    }
    this.told("saved");
  }

  drop(batch) {
    const gone = new Set(batch.map(({ id }) => id));
    this.queue = this.queue.filter(({ id }) => !gone.has(id));
    write(this.key, this.queue.length ? this.queue : null);
  }
}
