// The mixer on the Separate page. Runs as `js_on_load` of its component, with `element`, `props`, `trigger` and `watch`.
//
// The component's value is JSON, {mix, stems: [{id, name, level_db, muted}]}, and always what the sliders say at this moment, so
// that it comes along whenever a handler asks. The page is told ("select") when another mixture than before is there: another
// level of the same stems is news to the recording's player only. An empty value from the page means that another recording
// was chosen.

const root = new URL("./", document.baseURI);
const mixer = element.querySelector("earshot-mixer");
let told = "";

mixer.setAttribute("base", new URL("earshot/", root).pathname);
import(new URL("earshot/stems/mixer.js", root)).catch(() => {
  mixer.textContent = "The mixer could not be loaded. Check the connection and load the page again.";
});

mixer.addEventListener("earshot-mix", ({ detail: { mix, stems, rendered, duration, facts } }) => {
  props.value = JSON.stringify({ mix, stems });
  if (!rendered || (stems.length < 2 && !told)) return;
  const news = JSON.stringify([mix, duration, facts, stems.map(({ name, muted }) => [name, muted])]);
  if (news !== told) trigger("select");
  document.querySelector(".earshot-recording earshot-player")?.look?.();
  told = news;
});

watch("value", () => {
  if (props.value || !told) return;
  told = "";
  mixer.clear();
});
