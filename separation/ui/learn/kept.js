// What this browser remembers of the Learn page: its own lessons, and what is laid out in step 1. Ids are capabilities, so they
// stay in this browser's storage and in addresses that their owner shares.

const LESSONS = "earshot.lessons";
const LAYOUT = "earshot.learning";
const MOST = 20;

function read(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback; // storage is switched off or holds something else
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // private windows may refuse: then nothing is remembered, which is what such a visitor wants
  }
}

/** The lessons of this browser, the newest first: {id, system, components, sources: [names], title, made, done, layout, then, separated}. */
export const lessons = () => read(LESSONS, []);

export const lessonOf = (id) => lessons().find((lesson) => lesson.id === id) ?? null;

/** Remember a lesson, or more of one that is known. */
export function remember(id, fields) {
  const known = lessons();
  const before = known.find((lesson) => lesson.id === id);
  const now = { ...before, id, ...fields };
  write(LESSONS, before ? known.map((lesson) => (lesson === before ? now : lesson)) : [now, ...known].slice(0, MOST));
}

export function forget(id) {
  write(LESSONS, lessons().filter((lesson) => lesson.id !== id));
}

/** What lies in step 1, as `Sources.layout` writes it, with the mixture and the choices of step 2; or null. */
export const layout = () => read(LAYOUT, null);

export const keepLayout = (value) => write(LAYOUT, value);
