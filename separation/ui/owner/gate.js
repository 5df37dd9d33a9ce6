/**
 * Signing in and out, for every page of the owner's (`gate.html` is in them).
 *
 * `gate(show)` asks whether this browser is signed in; if so it shows what has the class `signed-in` and calls `show`. What it
 * returns is called when an answer was 401: the token is asked for again.
 */

import { ask, failure } from "./parts.js";

export function gate(show, leaveView) {
  const find = (selector) => document.querySelector(selector);
  const [locked, entry, leave, trouble] = [".locked", ".entry", ".leave", ".failure"].map(find);

  function say(error, retry) {
    trouble.replaceChildren(...failure(error, retry).childNodes);
    trouble.hidden = false;
  }

  async function enter() {
    let session;
    try {
      session = await ask("session");
    } catch (error) {
      say(error, enter);
      return;
    }
    trouble.hidden = true;
    locked.hidden = session.open;
    entry.hidden = !session.open || session.signed_in;
    for (const element of document.querySelectorAll(".signed-in")) element.hidden = !session.signed_in;
    if (session.signed_in) await show();
    else {
      leaveView();
      if (session.open) entry.elements.token.focus();
    }
  }

  entry.onsubmit = async (event) => {
    event.preventDefault();
    const { token } = entry.elements;
    try {
      await ask("session", { method: "POST", body: { token: token.value } });
      token.value = "";
      await enter();
    } catch (error) {
      say(error);
      token.select();
    }
  };

  leave.onclick = async () => {
    try {
      await ask("session", { method: "DELETE" });
    } catch (error) {
      say(error);
      return;
    }
    await enter();
  };

  return { enter, calm: () => (trouble.hidden = true) };
}
