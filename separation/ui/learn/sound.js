// Short sounds of the Learn page, clips and components: one at a time, and none while a player plays.

const audio = new Audio();
let button = null; // what it was begun with

const players = () => document.querySelectorAll("earshot-player");

function ended() {
  button?.setAttribute("aria-pressed", false);
  button = null;
}

audio.addEventListener("ended", ended);
document.addEventListener("earshot-cursor", ({ target }) => target.transport?.playing && hush());

/** Stop what sounds. */
export function hush() {
  audio.pause();
  ended();
}

/** Play what `url` gives, or stop it if `by`, the button it was begun with, is pressed again. Resolves to an error or null. */
export async function hear(url, by) {
  const again = button === by && by !== null;
  hush();
  if (again) return null;
  for (const player of players()) player.pause?.();
  button = by;
  by?.setAttribute("aria-pressed", true);
  audio.src = url;
  try {
    await audio.play();
    return null;
  } catch (error) {
    if (error.name === "AbortError") return null; // another sound has taken its place
    ended();
    const parts = { asked: "Play it", found: "the sound could not be fetched", advice: "Check the connection and try again" };
    return Object.assign(error, { parts });
  }
}
