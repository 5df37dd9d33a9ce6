/* Light or dark, before anything is painted: as the address says (?__theme=dark, like the other pages), else as the system is. */
(() => {
  const asked = new URLSearchParams(location.search).get("__theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const dark = asked ? asked === "dark" : system.matches;
    document.documentElement.classList.toggle("dark", dark);
    document.body?.classList.toggle("light", !dark);
  };
  paint();
  system.addEventListener("change", paint);
  document.addEventListener("DOMContentLoaded", paint);
})();
