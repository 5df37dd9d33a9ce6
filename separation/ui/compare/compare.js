/**
 * The Compare page: one pair at a time. Which bout is open is in the address (?bout=ID), so that a reload goes on where it was.
 *
 * choosing.js  what to compare on
 * bout.js      two sounds, a vote, then the names
 * board.js     what all votes say
 */

import { ask, at, make, pause, problem, progress } from "../cards/ask.js";
import { listener } from "../rating/outbox.js";
import { BoardView } from "./board.js";
import { BoutView } from "./bout.js";
import { choosing } from "./choosing.js";

const LOOK_EVERY = 700; // milliseconds between two looks at a pair that is being made

const place = document.querySelector(".place");
const status = document.querySelector(".sr");
const board = new BoardView(document.querySelector(".board"));
let turn = 0; // what was asked for last wins, whichever answer comes first
let view = null;

/** For who cannot see it. */
function tell(text) {
  status.textContent = text;
}

function put(...children) {
  view?.close?.();
  view = null;
  place.replaceChildren(...children.filter(Boolean));
}

function remember(bout) {
  const address = new URL(location.href);
  if (bout) address.searchParams.set("bout", bout);
  else address.searchParams.delete("bout");
  history.replaceState(null, "", address);
}

async function start(trouble = null) {
  const mine = ++turn;
  remember(null);
  put(make("section.card.waiting", { "aria-busy": "true" }, make("p.quiet", {}, "Looking at what there is to compare…")));
  board.show();
  try {
    const known = await ask(at("compare/start"));
    if (mine !== turn) return;
    put(trouble && problem(trouble), choosing(known, draw));
  } catch (error) {
    if (mine === turn) put(problem(error, () => start()));
  }
}

/** Ask for a pair: `wish` as the server takes it, without the listener. */
async function draw(wish) {
  const mine = ++turn;
  try {
    const { bout } = await ask(at("compare/bouts"), { method: "POST", body: { ...wish, listener: listener() } });
    if (mine === turn) await open(bout);
  } catch (error) {
    if (mine === turn) await start(error);
  }
}

async function open(bout) {
  const mine = ++turn;
  remember(bout);
  board.hide();
  let making = null;
  for (;;) {
    let seen;
    try {
      seen = await ask(at(`compare/bouts/${encodeURIComponent(bout)}`));
    } catch (error) {
      if (mine !== turn) return;
      if (error.status && error.status < 500 && error.status !== 429) return start(error);
      await pause(3000); // the server restarts, or the network is away
      if (mine !== turn) return;
      continue;
    }
    if (mine !== turn) return;
    if (seen.state === "failed") return start({ parts: seen.error });
    if (seen.state !== "making") {
      put();
      view = new BoutView(seen, { draw, start, refresh: () => open(bout), tell });
      place.append(view.element);
      place.focus({ preventScroll: true });
      if (seen.state === "voted") board.show(seen.recording.task);
      return;
    }
    making ??= waiting();
    making.told(seen);
    await pause(LOOK_EVERY);
    if (mine !== turn) return;
  }
}

/** What is seen while the two are made. */
function waiting() {
  const bar = progress();
  const text = make("p.quiet", {}, "Both work on the same seconds. You hear them as soon as both are ready; nothing here says which is faster.");
  const leave = make("button.earshot-button", { type: "button", onclick: () => start() }, "Leave");
  put(make("section.card.waiting", {}, make("h2", {}, "Two systems are at work"), bar.element, text, make("div.line", {}, leave)));
  tell("Two systems are at work.");
  return {
    told({ fraction, remaining, position }) {
      const ahead = position ? `${position} ahead in the queue` : remaining === null ? "Working" : `About ${Math.max(1, remaining)} s left`;
      bar.set(position ? null : fraction, ahead);
    },
  };
}

const asked = new URLSearchParams(location.search).get("bout");
if (asked) await open(asked);
else await start();
