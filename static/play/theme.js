// Runs before the first paint, so that no page flashes in the wrong theme.
(() => {
  const key = "pm6.theme";
  const root = document.documentElement;
  const wantsDark = window.matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const current = () => stored() || (wantsDark.matches ? "dark" : "light");
  const show = () => {
    const theme = current();
    if (stored()) root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.setAttribute("aria-label", theme === "dark" ? "Switch to the light theme" : "Switch to the dark theme");
      button.dataset.shows = theme;
    }
  };
  show();
  document.addEventListener("DOMContentLoaded", show);
  wantsDark.addEventListener("change", show);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const next = current() === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    try {
      localStorage.setItem(key, next);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    show();
  });
})();
