// The round portraits: a glyph on the agent's colour, or initials where the device has no such glyph.

import { el } from "./dom.js";
import { initials } from "./format.js";

const drawable = new Map();

function pixels(text) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 24;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.font = "18px serif";
  context.textBaseline = "top";
  context.fillText(text, 0, 0);
  return context.getImageData(0, 0, 24, 24).data.join();
}

/** Whether the device can draw the glyph: a missing one looks like a code point that nobody has. */
function canDraw(glyph) {
  if (!drawable.has(glyph)) {
    let can = false;
    try {
      const missing = new Set([pixels("\u{10FFFD}"), pixels("\u{E0FF}"), pixels("\u{1FFFE}"), pixels(" ")]);
      can = !missing.has(pixels(glyph)) && !looksLikeHexBox(glyph);
    } catch {
      can = true;
    }
    drawable.set(glyph, can);
  }
  return drawable.get(glyph);
}

/** Some systems draw a box with the code in it, another one for each glyph; a pictogram is drawn in colour. */
function looksLikeHexBox(glyph) {
  if (!/\p{Emoji_Presentation}/u.test(glyph)) return false;
  const data = pixels(glyph).split(",");
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] !== "0" && (data[at] !== data[at + 1] || data[at] !== data[at + 2])) return false;
  }
  return true;
}

function luminance(color) {
  const channels = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255);
  const [red, green, blue] = channels.map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export function portrait(agent, size = "") {
  const color = /^#[0-9a-fA-F]{6}$/.test(agent.color) ? agent.color : "#5b6b7b";
  const glyph = agent.glyph && canDraw(agent.glyph) ? agent.glyph : initials(agent.name);
  const node = el("span", { class: `portrait ${size}`, "aria-hidden": "true" }, el("span", { class: "portraitGlyph" }, glyph));
  node.dataset.length = [...glyph].length > 1 ? "pair" : "one";
  node.style.setProperty("--agentColor", color);
  node.style.setProperty("--agentInk", luminance(color) > 0.2 ? "#14211c" : "#fbfaf3");
  return node;
}
