// The player's move: options with number keys, free text with @names, and who holds the focus.

import { byId, el, focusableWhenScrolling } from "./dom.js";

const LAST_KEY = 9;
const COUNT_FROM = 1700;
const SHORTCUT_STORE = "pm6.shortcuts";

const touch = () => window.matchMedia("(pointer: coarse)").matches;
const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");

export function composerView(store, say) {
  const composer = byId("composer");
  const options = byId("options");
  const form = byId("sayForm");
  const text = byId("sayText");
  const status = byId("composerStatus");
  const sheetToggle = byId("sheetToggle");
  const shortcutsOn = byId("shortcutsOn");
  const count = byId("sayCount");
  const mentions = mentionBox(store, text, grow);
  let lastWay = "";
  focusableWhenScrolling(options);

  const canAct = () => store.running && !store.busy && store.session;

  // Options -----------------------------------------------------------------------------------

  let shown = "";
  store.on("scene", () => {
    const key = JSON.stringify([store.scene.options, store.scene.situation]);
    if (key === shown) return;
    shown = key;
    options.replaceChildren(...store.scene.options.map(optionButton));
    options.scrollTop = 0;
    composer.dataset.options = store.scene.options.length;
    sheetToggle.hidden = !store.scene.options.length;
    showSheet(true);
  });

  function optionButton(option, at) {
    const key = at < LAST_KEY ? String(at + 1) : "";
    return el(
      "li",
      {},
      el(
        "button",
        { class: "option", type: "button", "data-intent": option.intent, "aria-keyshortcuts": key || null, onclick: () => choose(option) },
        el("span", { class: "optionKey", "aria-hidden": "true" }, key),
        el("span", { class: "optionLabel" }, option.label),
      ),
    );
  }

  function choose(option) {
    if (!canAct()) return;
    lastWay = "option";
    say({ option: option.intent, label: option.label, text: "" });
  }

  function showSheet(open) {
    composer.classList.toggle("sheetClosed", !open);
    sheetToggle.setAttribute("aria-expanded", String(open));
    sheetToggle.textContent = open ? "Hide options" : `${store.scene?.options.length || 0} options`;
  }
  sheetToggle.addEventListener("click", () => showSheet(composer.classList.contains("sheetClosed")));

  // Text --------------------------------------------------------------------------------------

  function grow() {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight, 132)}px`;
    const length = text.value.length;
    count.textContent = length > COUNT_FROM ? `${length} of 2,000 characters` : "";
    form.classList.toggle("hasText", Boolean(text.value.trim()));
  }
  text.addEventListener("input", () => {
    grow();
    mentions.look();
  });
  text.addEventListener("keydown", (event) => {
    if (mentions.key(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "Escape") {
      text.blur();
      options.querySelector("button")?.focus();
    }
  });
  text.addEventListener("blur", () => setTimeout(mentions.close, 120));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (!words || !canAct()) return;
    lastWay = "text";
    text.value = "";
    grow();
    mentions.close();
    say({ option: "", label: "", text: words });
  });

  // Keys --------------------------------------------------------------------------------------

  try {
    shortcutsOn.checked = localStorage.getItem(SHORTCUT_STORE) !== "off";
  } catch {
    // Without storage the keys are on.
  }
  const showShortcuts = () => composer.classList.toggle("noShortcuts", !shortcutsOn.checked);
  showShortcuts();
  shortcutsOn.addEventListener("change", () => {
    showShortcuts();
    try {
      localStorage.setItem(SHORTCUT_STORE, shortcutsOn.checked ? "on" : "off");
    } catch {
      // The choice lasts as long as the page.
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !shortcutsOn.checked) return;
    if (typing(event.target) || !canAct()) return;
    if (event.key === "/") {
      event.preventDefault();
      text.focus();
    } else if (/^[1-9]$/.test(event.key)) {
      const option = store.scene.options[Number(event.key) - 1];
      if (!option) return;
      event.preventDefault();
      choose(option);
    }
  });

  // Waiting and coming back -------------------------------------------------------------------

  store.on("busy", () => {
    const busy = store.busy;
    composer.classList.toggle("busy", busy);
    for (const button of options.querySelectorAll("button")) button.setAttribute("aria-disabled", String(busy));
    form.querySelector("button").setAttribute("aria-disabled", String(busy));
    showStatus();
  });
  function showStatus() {
    const names = (store.live?.agents || []).map((slug) => store.agent(slug).name);
    status.textContent = store.busy ? (names.length ? `${names.join(", ")} …` : "One moment …") : "";
  }

  store.on("abandoned", () => giveFocus());
  store.on("turn", ({ turn }) => {
    if (turn.trigger === "player") setTimeout(giveFocus, 0);
  });

  /** After a turn the player stands where the last move was made, ready for the next. */
  function giveFocus() {
    if (!store.running) return;
    const active = document.activeElement;
    const elsewhere = active && active !== document.body && !composer.contains(active);
    if (elsewhere && active.isConnected) return;
    if (lastWay === "text" && !touch()) text.focus({ preventScroll: true });
    else if (lastWay === "option") options.querySelector("button")?.focus({ preventScroll: true });
  }

  return {
    putBack(words) {
      if (!words || text.value.trim()) return;
      text.value = words;
      grow();
      if (!touch()) text.focus({ preventScroll: true });
    },
    mention(agent) {
      const before = text.value.replace(/\s+$/, "");
      text.value = `${before}${before ? " " : ""}@${agent.slug} `;
      grow();
      text.focus();
      text.setSelectionRange(text.value.length, text.value.length);
    },
  };
}

/** Completes "@na" to the slug of somebody; arrows choose, Enter or Tab takes. */
function mentionBox(store, text, changed) {
  const box = byId("mentions");
  let found = [];
  let at = 0;

  const word = () => /(?:^|\s)@([\p{L}\p{N}]*)$/u.exec(text.value.slice(0, text.selectionStart));

  function close() {
    found = [];
    box.hidden = true;
    text.removeAttribute("aria-activedescendant");
  }

  function look() {
    const match = word();
    if (!match || !store.scene) {
      close();
      return;
    }
    const start = match[1].toLowerCase();
    const present = store.scene.agents;
    found = [...store.agents.values()]
      .filter((agent) => [agent.slug, agent.role, ...agent.name.split(/\s+/)].some((one) => one.toLowerCase().startsWith(start)))
      .sort((one, other) => present.includes(other.slug) - present.includes(one.slug))
      .slice(0, 5);
    at = 0;
    show();
  }

  function show() {
    if (!found.length) {
      close();
      return;
    }
    box.replaceChildren(
      ...found.map((agent, index) =>
        el(
          "li",
          {
            id: `mention-${agent.slug}`,
            role: "option",
            "aria-selected": String(index === at),
            onmousedown: (event) => {
              event.preventDefault();
              take(agent);
            },
          },
          el("b", {}, `@${agent.slug}`),
          el("span", {}, `${agent.name}, ${agent.role}`),
        ),
      ),
    );
    box.hidden = false;
    text.setAttribute("aria-activedescendant", `mention-${found[at].slug}`);
  }

  function take(agent) {
    const end = text.selectionStart;
    const start = end - word()[1].length;
    text.setRangeText(`${agent.slug} `, start, end, "end");
    close();
    changed();
  }

  function key(event) {
    if (box.hidden) return false;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      at = (at + (event.key === "ArrowDown" ? 1 : found.length - 1)) % found.length;
      show();
    } else if (event.key === "Enter" || event.key === "Tab") take(found[at]);
    else if (event.key === "Escape") close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  return { look, key, close };
}
