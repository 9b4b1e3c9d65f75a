// The last page: won, lost or ended, in the author's words, and what it came to.

import { byId, el } from "./dom.js";
import { money, plural, spent } from "./format.js";

const WORDS = { won: ["Curtain", "You won."], lost: ["Curtain", "You lost."], ended: ["Curtain", "The end."] };

export function endingView(store) {
  const ending = byId("ending");
  const composer = byId("composer");
  const root = byId("play");
  let shown = "running";

  store.on("status", () => {
    root.dataset.phase = store.status;
    if (store.status === shown || store.running) return;
    const atOnce = shown === "running" && store.history.length && document.hasFocus();
    shown = store.status;
    show();
    if (atOnce) setTimeout(() => byId("endingTitle").focus({ preventScroll: true }), 0);
  });

  function show() {
    const [eyebrow, plain] = WORDS[store.status];
    const lastNotes = store.history.at(-1)?.notes || [];
    const note = lastNotes.find((one) => one.kind === "win" || one.kind === "lose");
    byId("endingEyebrow").textContent = `${eyebrow} · ${{ won: "won", lost: "lost", ended: "the end" }[store.status]}`;
    byId("endingTitle").textContent = note?.title || plain;
    byId("endingText").textContent = store.outcome || note?.text || "";
    const replies = store.history.flatMap((turn) => turn.replies).filter((reply) => reply.status === "done");
    const stored = replies.filter((reply) => reply.source === "hit" || reply.source === "shared").length;
    const facts = [
      [plural(store.scene.turn, "turn"), "played"],
      [`${stored} of ${replies.length}`, "replies from the database"],
      [spent(store.money.spentNano), "spent"],
    ];
    if (store.money.savedNano) facts.push([money(store.money.savedNano), "saved"]);
    byId("endingFacts").replaceChildren(...facts.map(([value, name]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    ending.dataset.status = store.status;
    ending.hidden = false;
    composer.hidden = true;
  }
}
