// Who is in the room, and who is elsewhere.

import { byId, el } from "./dom.js";
import { portrait } from "./portrait.js";

export function castView(store, mentionAgent) {
  const lists = { present: byId("castPresent"), absent: byId("castAbsent"), strip: byId("sceneCast") };
  const elsewhereTitle = byId("elsewhereTitle");

  const member = (agent) =>
    el(
      "li",
      {},
      el(
        "button",
        { class: "castMember", type: "button", "data-agent": agent.slug, title: `Address ${agent.name}`, onclick: () => mentionAgent(agent) },
        portrait(agent),
        el("span", { class: "castText" }, el("span", { class: "castName" }, agent.name), el("span", { class: "castRole" }, agent.role)),
      ),
    );

  const chip = (agent) =>
    el("li", { title: `${agent.name}, ${agent.role}` }, portrait(agent, "small"), el("span", { class: "visuallyHidden" }, `${agent.name}, ${agent.role}`));

  let shown = "";
  store.on("scene", () => {
    const key = JSON.stringify([store.scene.agents, [...store.agents.keys()]]);
    if (key === shown) return;
    shown = key;
    const present = store.scene.agents.map((slug) => store.agent(slug));
    const absent = [...store.agents.values()].filter((agent) => !store.scene.agents.includes(agent.slug));
    lists.present.replaceChildren(...present.map(member));
    lists.absent.replaceChildren(...absent.map(chip));
    lists.strip.replaceChildren(...present.map(chip));
    elsewhereTitle.hidden = !absent.length;
  });

  const markSpeaking = () => {
    const speaking = new Set(store.live ? [...store.live.replies.values()].filter((one) => !one.ready).map((one) => one.agent) : []);
    for (const slug of store.live?.agents || []) speaking.add(slug);
    for (const button of lists.present.querySelectorAll("[data-agent]")) {
      button.classList.toggle("speaking", speaking.has(button.dataset.agent));
    }
  };
  for (const name of ["live", "reply", "busy"]) store.on(name, markSpeaking);
}
