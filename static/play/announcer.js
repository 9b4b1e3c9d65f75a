// Speaks for the transcript: whole sentences as they finish, then what the turn changed.

import { byId, el } from "./dom.js";
import { withUnit, words } from "./format.js";
import { deltaText } from "./metersView.js";
import { netChanges } from "./store.js";

const KEPT = 40;
const SENTENCE = /[\s\S]*[.!?…]["”’»)]*(?=\s|$)/;

export function announcer(store) {
  const log = byId("announcer");
  const said = new Map();

  function speak(text) {
    log.append(el("p", {}, text));
    while (log.children.length > KEPT) log.firstChild.remove();
  }

  store.on("reply", (reply) => {
    if (reply.withdrawn) {
      said.delete(reply.id);
      speak(`${store.agent(reply.agent).name} broke off. Another answer is coming.`);
      return;
    }
    const before = said.get(reply.id) || "";
    if (!reply.text.startsWith(before)) return;
    // A sentence is finished when the next one has begun, or the reply is whole.
    const rest = reply.text.slice(before.length);
    const finished = reply.ready ? rest : SENTENCE.exec(rest.slice(0, -1))?.[0] || "";
    if (!finished.trim()) return;
    said.set(reply.id, before + finished);
    speak(before ? finished.trim() : `${store.agent(reply.agent).name}: ${finished.trim()}`);
  });

  store.on("turn", ({ turn, isNew }) => {
    if (!isNew) return;
    for (const reply of turn.replies.filter((one) => one.status === "done")) {
      const before = said.get(`${turn.id}.${reply.position}`) || "";
      const name = store.agent(reply.agent).name;
      if (before && reply.text.startsWith(before)) {
        const rest = reply.text.slice(before.length).trim();
        if (rest) speak(rest);
      } else speak(`${name}: ${reply.text}`);
    }
    said.clear();
    for (const note of turn.notes) if (note.kind !== "move") speak(`${note.title}. ${note.text}`);
    const changes = [...netChanges(turn)].map(([slug, { before, after }]) => {
      const variable = store.variable(slug);
      const now = typeof after === "number" ? `, now ${withUnit(after, variable?.unit)}` : "";
      return `${variable?.title || words(slug)} ${deltaText(variable, before, after)}${now}`;
    });
    if (changes.length) speak(`Changed: ${changes.join("; ")}.`);
  });

  let situation = "";
  store.on("scene", () => {
    if (situation && situation !== store.scene.situation) speak(`New scene: ${store.scene.title}. ${store.scene.description}`);
    situation = store.scene.situation;
  });
}
