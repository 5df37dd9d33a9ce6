/**
 * What a listener says, on its way to the server, and what is asked of it. Everything said is kept in this browser until the server
 * has answered that it is on disk: nothing is lost by a reload, a dead network or a restarted server, and nothing counts twice,
 * because every event has an id of its own.
 *
 * Each event is one entry of localStorage: written before anything else happens, shared by tabs, and never rewritten, so two tabs
 * cannot overwrite each other. Not used, because a page on plain http has none of it: crypto.randomUUID, Web Locks, service workers.
 */

const base = new URL("../", import.meta.url);
const PREFIX = "earshot.listen.";
const BATCH = 40; // events in a request
const BATCH_BYTES = 14_000;
const LONGEST_WAIT = 20_000; // milliseconds
const PATIENCE = 20_000; // milliseconds for an answer
const SOON = 300; // milliseconds that what is no answer of the listener may wait for company

/** 22 letters of 128 random bits. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** This browser's storage under a key; where it is switched off or full, this page's memory. */
const memory = new Map();

export function read(key) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + key)) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

/** Whether it lasts longer than the page. */
export function write(key, value) {
  memory.delete(key);
  try {
    if (value === null) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, JSON.stringify(value));
    return true;
  } catch {
    if (value !== null) memory.set(key, value);
    return value === null;
  }
}

/** The key of storage that another tab has just changed, as `read` wants it, or null. */
export const keyOf = ({ key }) => (key?.startsWith(PREFIX) ? key.slice(PREFIX.length) : null);

function keysFrom(start) {
  const keys = new Set([...memory.keys()].filter((key) => key.startsWith(start)));
  try {
    for (let i = 0; i < localStorage.length; i++) {
      const key = localStorage.key(i);
      if (key.startsWith(PREFIX + start)) keys.add(key.slice(PREFIX.length));
    }
  } catch {
    // there is only the memory
  }
  return [...keys];
}

/** Why a request did not succeed; `parts` are the three parts of the server's error, and what else it said. */
export class Refusal extends Error {
  constructor(status, parts, wait = 0) {
    super(parts.found ?? `${status}`);
    Object.assign(this, { status, parts, wait });
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** What the server answers to a request below `listen/`; throws a `Refusal`. */
export async function ask(path, method = "GET", body = undefined, { keepalive = false, raw = false } = {}) {
  let response;
  try {
    response = await fetch(new URL(path, base), {
      method,
      cache: "no-store",
      keepalive,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: keepalive ? undefined : AbortSignal.timeout(PATIENCE),
    });
    if (response.ok) return await (raw ? response.arrayBuffer() : response.json());
  } catch {
    throw new Refusal(0, {});
  }
  const parts = await response.json().catch(() => ({}));
  throw new Refusal(response.status, parts, 1000 * Number(response.headers.get("Retry-After") ?? 0));
}

/** Milliseconds since 1970, later than any that this browser has used: it puts events in order. */
function stamp() {
  const now = Math.max(Date.now(), (read("stamp") ?? 0) + 1);
  write("stamp", now);
  return now;
}

/**
 * The events of one session. `state` is "saved", "saving" or "waiting" (it is tried again), of what the listener said. Events:
 * `change`, `refused` (detail: a `Refusal`; something said can never be saved).
 */
export class Outbox extends EventTarget {
  constructor(session) {
    super();
    this.session = session;
    this.lasting = true; // what waits survives a reload
    this.failures = 0;
    this.queue = keysFrom(this.prefix).map(read).filter(Boolean).sort((a, b) => a.made - b.made);
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    if (this.queue.length) this.pump();
  }

  get prefix() {
    return `out.${this.session}.`;
  }

  /** What the listener said and is not known to be saved. */
  get left() {
    return this.queue.filter(({ payload }) => payload.kind === "given").length;
  }

  get state() {
    if (!this.left) return "saved";
    return this.trouble ? "waiting" : "saving";
  }

  /** Keep something, and send it: an answer at once, the rest in company. */
  say(page, payload) {
    const item = { id: randomId(), made: stamp(), page, payload };
    this.queue.push(item);
    this.lasting = write(this.prefix + item.id, item) && this.lasting;
    this.later(payload.kind === "given" ? 0 : SOON);
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  later(wait) {
    if (this.pumping || (this.trouble && wait < LONGEST_WAIT && this.timer)) return;
    const due = performance.now() + wait;
    if (this.timer && this.due <= due) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => this.pump(), wait);
  }

  hurry() {
    this.failures = 0;
    this.pump();
  }

  /** Resolves when nothing is left, or with the trouble that is in the way. */
  async settle() {
    this.failures = 0;
    do await this.pump();
    while (this.queue.length && !this.trouble);
    return this.trouble;
  }

  /** Send until nothing is left, or something is in the way. Only one of these runs at a time. */
  pump() {
    this.pumping ??= this.sendAll().finally(() => {
      this.pumping = null;
      if (this.queue.length && !this.trouble) this.later(SOON);
      this.changed();
    });
    return this.pumping;
  }

  async sendAll() {
    clearTimeout(this.timer);
    this.timer = null;
    try {
      while (this.queue.length) await this.send(this.batch());
      this.trouble = null;
      this.failures = 0;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.trouble = error;
      const wait = error.wait || Math.min(LONGEST_WAIT, 1000 * 2 ** this.failures++);
      this.timer = setTimeout(() => this.pump(), wait);
    }
  }

  /** The oldest events that go to one page. */
  batch() {
    let bytes = 0;
    const of = this.queue[0].page;
    const items = this.queue.filter(({ page }) => page === of).slice(0, BATCH);
    return items.filter((item, index) => {
      bytes += new TextEncoder().encode(JSON.stringify(item)).length;
      return index === 0 || bytes < BATCH_BYTES;
    });
  }

  body(items) {
    return { page: items[0].page, events: items.map(({ id, made, payload }) => ({ id, made, payload })) };
  }

  async send(items) {
    try {
      await ask(`s/${this.session}/events`, "POST", this.body(items));
      this.trouble = null;
      this.done(items);
    } catch (error) {
      if (!(error instanceof Refusal) || error.passing) throw error;
      // One bad event must not hold up the others: each goes alone, and what is refused alone is let go, and said.
      if (items.length > 1) for (const item of items) await this.send([item]);
      else {
        this.done(items);
        if (items[0].payload.kind === "given") this.dispatchEvent(new CustomEvent("refused", { detail: error }));
      }
    }
  }

  done(items) {
    const ids = new Set(items.map(({ id }) => id));
    for (const id of ids) write(this.prefix + id, null);
    this.queue = this.queue.filter(({ id }) => !ids.has(id));
    this.changed();
  }

  /** The page closes: hand what is left to the browser, which sends it afterwards. What fails is sent at the next visit. */
  close() {
    if (this.queue.length) ask(`s/${this.session}/events`, "POST", this.body(this.batch()), { keepalive: true }).catch(() => {});
  }

  /** Forget everything that waits: the listener has withdrawn. */
  forget() {
    this.done([...this.queue]);
    clearTimeout(this.timer);
  }
}
