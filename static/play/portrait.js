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

/** Pictograms come with the page; of other signs, a missing one looks like a code point that nobody has. */
function canDraw(glyph) {
  if (/\p{Extended_Pictographic}/u.test(glyph)) return true;
  if (!drawable.has(glyph)) {
    const missing = new Set([pixels("\u{10FFFD}"), pixels("\u{E0FF}"), pixels(" ")]);
    drawable.set(glyph, !missing.has(pixels(glyph)));
  }
  return drawable.get(glyph);
}

function luminance(color) {
  const channels = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255);
  const [red, green, blue] = channels.map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export function portrait(agent, size = "") {
  const color = /^#[0-9a-fA-F]{6}$/.test(agent.color) ? agent.color : "#5b6b7b";
  // Without the selector that asks for a picture in colour, the page's own sign is taken.
  const sign = agent.glyph.replace(/\uFE0F/g, "");
  const glyph = sign && canDraw(sign) ? sign : initials(agent.name);
  const node = el("span", { class: `portrait ${size}`, "aria-hidden": "true" }, el("span", { class: "portraitGlyph" }, glyph));
  node.dataset.length = [...glyph].length > 1 ? "pair" : "one";
  node.style.setProperty("--agentColor", color);
  node.style.setProperty("--agentInk", luminance(color) > 0.2 ? "#14211c" : "#fbfaf3");
  return node;
}
