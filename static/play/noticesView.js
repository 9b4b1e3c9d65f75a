// What went wrong, said quietly: toasts, the reconnecting bar, and the notice that ends the page.

import { byId, el } from "./dom.js";

const TOAST_FOR = 9000;
const BAR_AFTER = 700;

export function noticesView(store) {
  const toasts = byId("toasts");
  const bar = byId("connectionBar");
  let timer = 0;

  store.on("connection", () => {
    clearTimeout(timer);
    if (store.connection === "open" || store.connection === "closed") {
      bar.classList.remove("shown");
      bar.textContent = "";
      return;
    }
    timer = setTimeout(() => {
      const what = store.session ? "Reconnecting" : "Connecting";
      bar.textContent = navigator.onLine ? `${what} …` : "You are offline. The story waits.";
      if (store.live?.mine) bar.textContent += " Your move is kept.";
      bar.classList.add("shown");
    }, BAR_AFTER);
  });

  function toast({ message, hint, code }) {
    for (const node of toasts.children) if (node.dataset.code === code) node.remove();
    const close = () => node.remove();
    const node = el(
      "div",
      { class: "toast", role: "alert", "data-code": code },
      el("div", {}, el("p", { class: "toastText" }, message), hint && el("p", { class: "toastHint" }, hint)),
      el("button", { class: "iconButton", type: "button", "aria-label": "Close this message", onclick: close }, "×"),
    );
    let left = setTimeout(close, TOAST_FOR);
    for (const name of ["pointerenter", "focusin"]) node.addEventListener(name, () => clearTimeout(left));
    for (const name of ["pointerleave", "focusout"]) node.addEventListener(name, () => (left = setTimeout(close, TOAST_FOR / 2)));
    toasts.append(node);
  }

  function fatal({ message, hint }, lobbyUrl) {
    byId("meters").hidden = true;
    byId("cast").hidden = true;
    byId("play").dataset.phase = "gone";
    const title = el("h2", { tabindex: "-1" }, message);
    byId("stage").replaceChildren(
      el(
        "section",
        { class: "fatal" },
        el("p", { class: "eyebrow" }, "No session"),
        title,
        el("p", {}, hint),
        el("a", { class: "primaryButton", href: lobbyUrl }, "Back to the lobby"),
      ),
    );
    title.focus();
  }

  return { toast, fatal };
}
