// Title bar, scene heading, money and the session's small print.

import { byId, el } from "./dom.js";
import { money, spent } from "./format.js";

const MOST_TICKS = 30;
const MOST_DOTS = 60;

export function headerView(store) {
  const turnCount = byId("turnCount");
  const ticks = byId("turnTicks");
  const moneyBox = byId("money");
  const scene = { eyebrow: byId("sceneEyebrow"), title: byId("sceneTitle"), about: byId("sceneAbout"), box: document.querySelector(".scene") };

  store.on("welcome", ({ first }) => {
    byId("menuRole").textContent = `You are the ${store.session.playerRole}.`;
    const mode = { live: "", test: "Test session: replies are scripted and nothing is spent. ", sealed: "Sealed edition: stored replies only. " }[store.session.mode];
    byId("menuModel").textContent = `${mode}${store.modelNote}`;
    if (first && store.session.language) document.documentElement.lang = store.session.language;
  });

  let situation = "";
  store.on("scene", () => {
    const { turn } = store.scene;
    const limit = store.session.turnLimit;
    const next = store.running ? turn + 1 : turn;
    turnCount.textContent = limit ? `Turn ${Math.min(next, limit)} of ${limit}` : `Turn ${next}`;
    if (limit && limit <= MOST_TICKS) {
      ticks.replaceChildren(
        ...Array.from({ length: limit }, (_, at) => el("i", { class: at < turn ? "past" : at === turn && store.running ? "now" : "" })),
      );
    }
    scene.title.textContent = store.scene.title;
    scene.about.textContent = store.scene.description;
    if (situation && situation !== store.scene.situation) {
      scene.box.classList.remove("changed");
      void scene.box.offsetWidth;
      scene.box.classList.add("changed");
    }
    situation = store.scene.situation;
  });

  store.on("money", () => {
    const { spentNano, savedNano, limitNano } = store.money;
    const share = limitNano ? Math.min(1, spentNano / limitNano) : 0;
    const total = el("span", { class: "moneySpent" }, spent(spentNano));
    const limit = limitNano ? el("span", { class: "moneyLimit" }, ` of ${money(limitNano)}`) : el("span", { class: "moneyLimit" }, " spent");
    const parts = [el("p", { class: "moneyLine" }, el("span", { class: "visuallyHidden" }, "Spent in this session: "), total, limit)];
    if (limitNano) {
      const fill = el("span", { class: "moneyFill" });
      fill.style.transform = `scaleX(${share})`;
      parts.push(
        el(
          "span",
          { class: "moneyTrack", role: "meter", "aria-label": "Budget used", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(share * 100), "aria-valuetext": `${spent(spentNano)} of ${money(limitNano)}` },
          fill,
        ),
      );
    }
    if (savedNano) parts.push(el("p", { class: "moneySaved" }, `saved ${money(savedNano)}`));
    moneyBox.dataset.level = share > 0.9 ? "high" : "";
    moneyBox.replaceChildren(...parts);
    byId("menuMoney").textContent = `Spent ${spent(spentNano)}${limitNano ? ` of ${money(limitNano)}` : ""}${savedNano ? `, saved ${money(savedNano)} by replies from the database` : ""}.`;
  });

  const ledger = { box: byId("ledger"), dots: byId("ledgerDots"), text: byId("ledgerText") };
  store.on("money", () => {
    const replies = store.history.flatMap((turn) => turn.replies).filter((reply) => reply.status === "done");
    const stored = replies.filter((reply) => reply.source !== "model").length;
    ledger.box.hidden = !replies.length;
    ledger.dots.replaceChildren(...replies.slice(-MOST_DOTS).map((reply) => el("i", { "data-source": reply.source })));
    ledger.text.textContent = `${stored} of ${replies.length} from the database`;
  });

  const menu = byId("menu");
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
