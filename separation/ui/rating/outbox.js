/**
 * What a listener says, on its way to the server. `Outbox` keeps it in this browser; `Desk` sends it until the server has
 * answered that it is on disk, and remembers which trials are this browser's own.
 *
 * Nothing is lost by a reload, a dead network or a restarted server; nothing counts twice, because every event has an id of
 * its own, so several tabs may send the same one. Tokens and the listener's random id stay in this browser's storage.
 *
 * Not used, because a page on plain http has none of it: crypto.randomUUID, Web Locks, service workers.
 */

const base = new URL("../", import.meta.url);
const OUTBOX = "earshot.outbox";
const MINE = "earshot.ratings";
const MINE_KEPT = 100;
const BATCH = 40; // events in a request
const BATCH_BYTES = 16_000; // the server takes 16 kB
const LONGEST_WAIT = 30_000; // milliseconds

/** 22 letters of 128 random bits. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** This browser's storage under a key; where it is switched off, this page's memory. */
const memory = new Map();

export function read(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? memory.get(key) ?? otherwise;
  } catch {
    return memory.get(key) ?? otherwise;
  }
}

export function write(key, value) {
  memory.set(key, value);
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // private windows may refuse, or the storage is full: then it lasts as long as the page
  }
}

/** A random id for this browser: no name, no account. */
export function listener() {
  const id = read("earshot.listener", null) ?? randomId();
  write("earshot.listener", id);
  return id;
}

/** Milliseconds since 1970, later than any that this browser has used: it puts events in order. */
function stamp() {
  const now = Math.max(Date.now(), read("earshot.stamp", 0) + 1);
  write("earshot.stamp", now);
  return now;
}

/** Items by id, in IndexedDB; in localStorage where there is none, and for what must be written before the page closes. */
class Outbox {
  constructor() {
    this.database = new Promise((resolve) => {
      try {
        const request = indexedDB.open("earshot-ratings", 1);
        request.onupgradeneeded = () => request.result.createObjectStore("outbox", { keyPath: "id" });
        request.onsuccess = () => resolve(request.result);
        request.onerror = request.onblocked = () => resolve(null);
      } catch {
        resolve(null);
      }
    });
  }

  async run(mode, work) {
    const database = await this.database;
    if (!database) throw new Error("there is no IndexedDB");
    return new Promise((resolve, reject) => {
      const transaction = database.transaction("outbox", mode);
      const request = work(transaction.objectStore("outbox"));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }

  async all() {
    const kept = await this.run("readonly", (store) => store.getAll()).catch(() => []);
    const items = new Map(kept.map((item) => [item.id, item]));
    for (const item of Object.values(read(OUTBOX, {}))) items.set(item.id, item);
    return [...items.values()].sort((a, b) => a.made - b.made);
  }

  async put(item) {
    await this.run("readwrite", (store) => store.put(item)).catch(() => this.putAtOnce(item));
  }

  putAtOnce(item) {
    write(OUTBOX, { ...read(OUTBOX, {}), [item.id]: item });
  }

  async remove(ids) {
    const rest = read(OUTBOX, {});
    for (const id of ids) delete rest[id];
    write(OUTBOX, rest);
    await this.run("readwrite", (store) => {
      for (const id of ids) store.delete(id);
    }).catch(() => {});
  }
}

/** What a request was refused with; `parts` are the three parts of the server's error. */
class Refusal extends Error {
  constructor(status, parts, wait) {
    super(parts.found);
    Object.assign(this, { status, parts, wait });
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** What the server answers; throws a `Refusal`. */
export async function ask(path, method, body, keepalive = false) {
  let response;
  try {
    response = await fetch(new URL(path, base), {
      method,
      cache: "no-store",
      keepalive,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: keepalive ? undefined : AbortSignal.timeout(20_000),
    });
  } catch {
    throw new Refusal(0, { found: "the network is away", advice: "it is tried again by itself" });
  }
  if (response.ok) return response.json();
  const parts = await response.json().catch(() => ({ found: `the server answered ${response.status}`, advice: "it is tried again" }));
  throw new Refusal(response.status, parts, 1000 * Number(response.headers.get("Retry-After") ?? 0));
}

/** What is rated: one stage of one job, with names hidden or not. */
export const keyOf = ({ job, stage, hidden }) => `${job} ${stage} ${hidden}`;

/**
 * Sends, and knows how far it is. Events: `change` (something was queued, saved or refused; another tab did something),
 * `refused` (detail: the parts of an error: something said can never be saved).
 */
class Desk extends EventTarget {
  constructor() {
    super();
    this.outbox = new Outbox();
    this.pending = []; // mirror of the outbox, and
    this.writing = new Map(); // what is on its way into it
    this.trouble = null; // why it waits: a Refusal
    this.failures = 0;
    this.tabs = "BroadcastChannel" in window ? new BroadcastChannel("earshot-ratings") : null;
    if (this.tabs) this.tabs.onmessage = ({ data }) => this.refresh().then(() => this.changed(data));
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    this.pump();
  }

  changed(key = null) {
    this.dispatchEvent(new CustomEvent("change", { detail: key }));
  }

  tell(key) {
    this.tabs?.postMessage(key);
    this.changed();
  }

  async refresh() {
    const kept = await this.outbox.all();
    const ids = new Set(kept.map(({ id }) => id));
    this.pending = [...kept, ...[...this.writing.values()].filter(({ id }) => !ids.has(id))];
  }

  hurry() {
    this.failures = 0;
    this.pump();
  }

  /** This browser's ratings, the latest first: {job, stage, hidden, token, name, made, expires, said}. */
  get mine() {
    return read(MINE, []);
  }

  remember(entry) {
    const rest = this.mine.filter((each) => keyOf(each) !== keyOf(entry));
    const before = this.mine.find((each) => keyOf(each) === keyOf(entry));
    write(MINE, [{ ...before, ...entry }, ...rest].slice(0, MINE_KEPT));
  }

  forget(subject) {
    write(MINE, this.mine.filter((each) => keyOf(each) !== keyOf(subject)));
  }

  tokenOf(subject) {
    return this.mine.find((each) => keyOf(each) === keyOf(subject))?.token;
  }

  /** The trial of a subject, made by the server if it has none, with the rating as it stands. */
  async serve(subject) {
    const { job, stage, hidden, around } = subject;
    const body = { stage, listener: listener(), hidden, ...(Number.isFinite(around) ? { around } : {}) };
    const trial = await ask(`jobs/${encodeURIComponent(job)}/trial`, "POST", body);
    this.remember({ job, stage, hidden, token: trial.token, made: trial.made });
    return trial;
  }

  /** Keep something that was said, and send it. `silent`: no act of the listener, so nobody waits for it. */
  async say(subject, payload, { silent = false, closing = false } = {}) {
    const { job, stage, hidden, around } = subject;
    const item = { id: randomId(), made: stamp(), payload, job, stage, hidden, around, silent };
    this.pending.push(item);
    this.changed();
    if (closing) {
      this.outbox.putAtOnce(item);
      return;
    }
    this.writing.set(item.id, item);
    await this.outbox.put(item);
    this.writing.delete(item.id);
    this.pump();
  }

  /** What was said and is not known to be saved, of one subject or of all. */
  left(subject = null) {
    return this.pending.filter((item) => !item.silent && (!subject || keyOf(item) === keyOf(subject)));
  }

  /** The page closes: hand everything to the browser, which sends it afterwards. What fails is sent at the next visit. */
  close() {
    for (const group of this.groups()) {
      const token = this.tokenOf(group[0]);
      if (token) ask(`trials/${token}/events`, "POST", eventsOf(this.batch(group)), true).catch(() => {});
    }
  }

  groups() {
    const groups = new Map();
    for (const item of this.pending) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
    return [...groups.values()];
  }

  batch(group) {
    let bytes = 0;
    return group.slice(0, BATCH).filter((item, index) => {
      bytes += new TextEncoder().encode(JSON.stringify(eventsOf([item]))).length;
      return index === 0 || bytes < BATCH_BYTES;
    });
  }

  /** Send until nothing is left, or something is in the way. Only one of these runs at a time. */
  async pump() {
    clearTimeout(this.timer);
    if (this.pumping) {
      this.again = true;
      return;
    }
    this.pumping = true;
    try {
      do {
        this.again = false;
        await this.refresh();
        while (this.pending.length) await this.send(this.groups()[0]);
      } while (this.again);
      this.trouble = null;
      this.failures = 0;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.trouble = error;
      const wait = error.wait || Math.min(LONGEST_WAIT, 1000 * 2 ** this.failures++);
      this.timer = setTimeout(() => this.pump(), wait);
    } finally {
      this.pumping = false;
      this.changed();
    }
  }

  async send(group, items = this.batch(group)) {
    try {
      const token = this.tokenOf(group[0]) ?? (await this.serve(group[0])).token;
      const { kept } = await ask(`trials/${token}/events`, "POST", eventsOf(items));
      this.trouble = null;
      this.failures = 0;
      await this.done(items, kept);
    } catch (error) {
      if (!(error instanceof Refusal) || error.passing) throw error;
      if (error.status === 404) {
        // Withdrawn in another tab, or the separation has expired before anything was saved: it has no place to go.
        this.forget(group[0]);
        await this.refuse(group, error);
      } else if (items.length > 1) {
        for (const item of items) await this.send(group, [item]);
      } else await this.refuse(items, error);
    }
  }

  async done(items, kept) {
    const ids = new Set(items.map(({ id }) => id));
    await this.outbox.remove(ids);
    this.pending = this.pending.filter(({ id }) => !ids.has(id));
    if (items.some(({ payload }) => payload.kind === "consent")) {
      this.dispatchEvent(new CustomEvent("kept", { detail: { key: keyOf(items[0]), kept } }));
    }
    this.tell(keyOf(items[0]));
  }

  async refuse(items, error) {
    await this.done(items.map((item) => ({ ...item, payload: {} })));
    if (items.some(({ silent }) => !silent)) this.dispatchEvent(new CustomEvent("refused", { detail: error.parts }));
  }

  /** Take a whole rating back. */
  async withdraw(entry) {
    const waiting = this.pending.filter((item) => keyOf(item) === keyOf(entry));
    try {
      if (entry.token) await ask(`trials/${entry.token}`, "DELETE");
    } catch (error) {
      if (error.status !== 404) throw error; // else it is gone already
    }
    await this.outbox.remove(waiting.map(({ id }) => id));
    await this.refresh();
    this.forget(entry);
    this.tell(keyOf(entry));
    this.changed(keyOf(entry));
  }
}

const eventsOf = (items) => items.map(({ id, made, payload }) => ({ id, made, payload }));

export const desk = new Desk();
