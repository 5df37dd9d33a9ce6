/**
 * <earshot-my-ratings>: what this browser has rated, with links while the separations are there, and a way to withdraw; above it
 * an invitation, where the owner of the page collects ratings: it opens one separation after the other (`wanted`). A link to
 * the page with `?rate` begins with that at once.
 *
 * Nobody is given a listener's id before they press something.
 */

import { ask, desk, listener, read } from "./outbox.js";

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const { dataset, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

/** What the owner wants rated. Event: `change`. */
class Wanted extends EventTarget {
  constructor() {
    super();
    this.known = { job: null, left: 0, wanted: 0 };
    this.trouble = ""; // why the next one could not be had
    this.collecting = false; // whether this visitor goes from one to the next
    this.opened = null; // the one that was opened for that
  }

  /** Ask what is left; `after` is the job that is open. */
  async look(after = "", id = read("earshot.listener", null)) {
    try {
      this.known = await ask("ratings/next", "POST", { listener: id, after });
      this.trouble = "";
    } catch (error) {
      if (!error.parts) throw error;
      if (this.collecting) this.trouble = `The next one cannot be had: ${error.parts.found}. Try again later.`;
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Open the next one. */
  async go(after = "") {
    this.collecting = true;
    await this.look(after, listener());
    const { job } = this.known;
    if (!job || this.trouble) return;
    this.opened = job;
    const open = new CustomEvent("earshot-open", { detail: job, cancelable: true });
    if (document.dispatchEvent(open)) location.assign(addressOf(job)); // nobody on this page opens it
  }
}

export const wanted = new Wanted();

function addressOf(job) {
  const url = new URL(location.href);
  url.searchParams.set("job", job);
  return url.href;
}

class EarshotMyRatings extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" }).innerHTML = `<link rel="stylesheet" href="${new URL("rating.css", import.meta.url)}">
      <section class="mine invitation" aria-label="Rate for us" hidden><p></p><button type="button" class="button strong">Start rating</button></section>
      <section class="mine ratings" aria-label="My ratings" hidden><h2>My ratings</h2><ul></ul><p class="state" role="status"></p></section>`;
    this.invitation = this.shadowRoot.querySelector(".invitation");
    this.invitation.querySelector("button").onclick = () => wanted.go(new URLSearchParams(location.search).get("job") ?? "");
  }

  connectedCallback() {
    this.off = new AbortController();
    desk.addEventListener("change", () => this.show(), { signal: this.off.signal });
    wanted.addEventListener("change", () => this.show(), { signal: this.off.signal });
    this.show();
    const url = new URL(location.href);
    if (!url.searchParams.has("rate")) return void wanted.look();
    url.searchParams.delete("rate");
    history.replaceState(history.state, "", url);
    wanted.go();
  }

  disconnectedCallback() {
    this.off.abort();
  }

  show() {
    const mine = desk.mine.filter(({ said }) => said);
    const key = JSON.stringify([mine, wanted.known, wanted.trouble]);
    if (key === this.key) return;
    this.key = key;
    this.invite();
    const ratings = this.shadowRoot.querySelector(".ratings");
    ratings.hidden = !mine.length;
    this.hidden = !mine.length && this.invitation.hidden;
    ratings.querySelector("ul").replaceChildren(...mine.map((entry) => this.build(entry)));
  }

  invite() {
    const { left, wanted: all } = wanted.known;
    const [words, button] = this.invitation.children;
    const done = wanted.collecting && !left;
    this.invitation.hidden = !(left || wanted.trouble || done);
    button.hidden = !left && !wanted.trouble;
    const count = left === 1 ? "One separation waits" : `${left} separations wait`;
    const thanks = all ? "You have rated everything that waited. Thank you." : "Nothing waits to be rated now.";
    words.textContent = wanted.trouble || (done ? thanks : `${count} for somebody to say how it sounds: listen, give stars, go on to the next.`);
  }

  build(entry) {
    const here = !entry.expires || entry.expires > Date.now() / 1000;
    const name = make(here ? "a" : "span", { className: "name", textContent: entry.name ?? "A recording" });
    if (here) name.href = addressOf(entry.job);
    const said = make("span", { className: "said", textContent: here ? entry.said : `${entry.said}  ·  the separation is gone` });
    const withdraw = make("button", { type: "button", className: "button small quiet", textContent: "Withdraw" });
    withdraw.setAttribute("aria-label", `Withdraw my rating of ${name.textContent}`);
    withdraw.onclick = () => this.withdraw(entry, withdraw);
    return make("li", {}, name, said, withdraw);
  }

  /** The first press asks, the second does it. */
  async withdraw(entry, button) {
    if (!button.classList.contains("danger")) {
      button.classList.add("danger");
      button.textContent = "Really withdraw?";
      button.onblur = () => {
        button.classList.remove("danger");
        button.textContent = "Withdraw";
      };
      return;
    }
    try {
      await desk.withdraw(entry);
    } catch (error) {
      this.shadowRoot.querySelector(".state").textContent = `${error.parts.found}: try again later.`;
    }
  }
}

if (!customElements.get("earshot-my-ratings")) customElements.define("earshot-my-ratings", EarshotMyRatings);

export { EarshotMyRatings };
