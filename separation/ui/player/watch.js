/** Polls a job or a draft over a network that may come and go. */

/** Three-part error of a response, whatever the response is. */
export async function errorOf(response) {
  try {
    const { asked, found, advice } = await response.json();
    if (asked && found && advice) return { asked, found, advice };
  } catch {
    // not JSON: a proxy in between answered
  }
  return { asked: "Ask the server", found: `it answered ${response.status}`, advice: "Try again in a moment" };
}

/** Polls a job. Events: `job` (it changed), `lost` and `found` (the network), `gone` (404: expired or deleted). */
export class Watch extends EventTarget {
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
