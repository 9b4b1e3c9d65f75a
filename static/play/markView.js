// The small mark under a reply: where it came from and what it cost, with the rest on demand.

import { el } from "./dom.js";
import { duration, modelName, money, plural, words } from "./format.js";

const SOURCES = {
  hit: "from the database",
  shared: "shared with another player",
  line: "the author's own line",
};

const SENTENCES = {
  hit: "Stored earlier and served again: no model was asked.",
  shared: "Somebody asked the same at the same moment; one call answered both.",
  model: "A model was asked, because nothing stored fitted.",
  line: "Written by the author for when nothing else may be said.",
};

const KINDS = { anthropic: "Anthropic", local: "embedded on this machine", scripted: "scripted, for tests" };

function summary(reply) {
  const time = duration(reply.totalMs);
  if (reply.source === "model") {
    return [modelName(reply.model), plural(reply.tokens, "token"), money(reply.costNano), time].join(" · ");
  }
  const saved = reply.savedNano ? `saved ${money(reply.savedNano)}` : "";
  return [SOURCES[reply.source], saved, time].filter(Boolean).join(" · ");
}

function facts(reply) {
  return [
    ["Source", SENTENCES[reply.source]],
    ["Step", words(reply.rung)],
    ["Model", reply.model && modelName(reply.model)],
    ["Client", reply.model && (KINDS[reply.clientKind] || reply.clientKind)],
    ["Tokens", reply.tokens ? reply.tokens.toLocaleString("en") : ""],
    ["Cost", money(reply.costNano)],
    ["Saved", reply.savedNano ? money(reply.savedNano) : ""],
    ["Time", duration(reply.totalMs)],
  ].filter(([, value]) => value);
}

export function markView(reply, agentName) {
  const panelId = `mark-${reply.id}`;
  const panel = el(
    "dl",
    { class: "markPanel", id: panelId, hidden: true },
    facts(reply).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
  const button = el(
    "button",
    {
      class: "mark",
      type: "button",
      "data-source": reply.source,
      "aria-expanded": "false",
      "aria-controls": panelId,
      onclick: () => {
        panel.hidden = !panel.hidden;
        button.setAttribute("aria-expanded", String(!panel.hidden));
        if (!panel.hidden) panel.scrollIntoView({ block: "nearest" });
      },
      onkeydown: (event) => {
        if (event.key !== "Escape" || panel.hidden) return;
        panel.hidden = true;
        button.setAttribute("aria-expanded", "false");
        event.stopPropagation();
      },
    },
    el("span", { class: "visuallyHidden" }, `How ${agentName} was answered: `),
    summary(reply),
  );
  return el("div", { class: "markLine" }, button, panel);
}
