// The state as meters: value, bucket in words, and what the last turn did to it.

import { byId, calmMotion, el, focusableWhenScrolling } from "./dom.js";
import { sentenceCase, signed, withUnit, words } from "./format.js";

const clamp = (value) => Math.min(1, Math.max(0, value));

/** How good a value is for the player: `good`, `fair`, `poor`. */
function standing(variable, value, bucket) {
  if (variable.better === "neutral" || typeof value === "string") return "fair";
  const share = typeof value === "boolean" ? Number(value) : place(variable, value, bucket);
  const goodness = variable.better === "higher" ? share : 1 - share;
  return goodness >= 0.6 ? "good" : goodness <= 0.3 ? "poor" : "fair";
}

function fraction(variable, value) {
  const span = variable.maximum - variable.minimum;
  return span > 0 ? clamp((value - variable.minimum) / span) : 0;
}

/** The author's buckets say more than the bare scale: the lowest of three is 0, the next a half. */
function place(variable, value, bucket) {
  const at = variable.buckets.indexOf(bucket);
  return at >= 0 && variable.buckets.length > 1 ? at / (variable.buckets.length - 1) : fraction(variable, value);
}

/** Whether a change is good for the player: `up` is welcome, `down` is not. */
export function welcome(variable, before, after) {
  if (!variable || variable.better === "neutral" || typeof after === "string") return "neutral";
  const rose = Number(after) > Number(before);
  return rose === (variable.better === "higher") ? "good" : "poor";
}

export function deltaText(variable, before, after) {
  if (typeof after === "number") return signed(after - before);
  return withUnit(after, variable?.unit);
}

export function metersView(store) {
  const list = byId("meterList");
  const rows = new Map();
  focusableWhenScrolling(list);

  const build = (variable) => {
    const row = el("li", { class: "meterRow", "data-variable": variable.slug, "data-kind": variable.kind, title: variable.help });
    const label = el("span", { class: "meterLabel", id: `meter-${variable.slug}` }, variable.title);
    const value = el("span", { class: "meterValue" });
    const delta = el("span", { class: "meterDelta" });
    const bucket = el("span", { class: "meterBucket" });
    row.append(el("span", { class: "meterTop" }, label, bucket, el("span", { class: "meterFigures" }, delta, value)));
    const parts = { row, value, delta, bucket };
    if (variable.kind === "number") {
      parts.fill = el("span", { class: "meterFill" });
      parts.ghost = el("span", { class: "meterGhost" });
      parts.meter = el(
        "span",
        { class: "meterTrack", role: "meter", "aria-labelledby": `meter-${variable.slug}`, "aria-valuemin": variable.minimum, "aria-valuemax": variable.maximum },
        parts.ghost,
        parts.fill,
      );
      row.append(parts.meter);
    }
    return parts;
  };

  const show = (variable, parts, change) => {
    const value = store.scene.state[variable.slug];
    if (value === undefined) {
      parts.row.hidden = true;
      return;
    }
    parts.row.hidden = false;
    const shown = withUnit(value, variable.unit);
    const [figure, unit] = shown.split("\u00a0");
    const word = typeof value === "number" ? words(store.scene.buckets[variable.slug] || "") : "";
    parts.value.replaceChildren(sentenceCase(figure), ...(unit ? [el("small", {}, `\u00a0${unit}`)] : []));
    parts.bucket.textContent = word;
    parts.row.dataset.standing = standing(variable, value, store.scene.buckets[variable.slug]);
    if (parts.meter) {
      const now = fraction(variable, value);
      const before = change ? fraction(variable, change.before) : now;
      parts.fill.style.transform = `scaleX(${now})`;
      parts.ghost.style.left = `${Math.min(now, before) * 100}%`;
      parts.ghost.style.width = `${Math.abs(now - before) * 100}%`;
      parts.meter.setAttribute("aria-valuenow", value);
      const moved = change ? `, ${signed(change.after - change.before)} in the last turn` : "";
      parts.meter.setAttribute("aria-valuetext", `${shown}${word ? `, ${word}` : ""}${moved}`);
    }
    parts.delta.textContent = change ? (parts.meter ? signed(change.after - change.before) : "changed") : "";
    parts.row.dataset.moved = change ? welcome(variable, change.before, change.after) : "";
  };

  const pulse = (row) => {
    row.classList.remove("pulse");
    void row.offsetWidth;
    row.classList.add("pulse");
  };

  let known = "";
  let lastState = {};
  store.on("scene", () => {
    const key = JSON.stringify(store.variables);
    if (key !== known) {
      known = key;
      rows.clear();
      for (const variable of store.variables) rows.set(variable.slug, build(variable));
      list.replaceChildren(...[...rows.values()].map((parts) => parts.row));
    }
    const changes = store.lastChanges;
    const pulsing = [];
    for (const variable of store.variables) {
      const parts = rows.get(variable.slug);
      show(variable, parts, changes.get(variable.slug));
      const value = store.scene.state[variable.slug];
      if (variable.slug in lastState && lastState[variable.slug] !== value) pulsing.push(parts.row);
    }
    pulsing.forEach(pulse);
    // On a phone the meters are a strip: bring what moved into view.
    if (pulsing.length && list.scrollWidth > list.clientWidth + 1) {
      list.scrollTo({ left: pulsing[0].offsetLeft - list.offsetLeft - 12, behavior: calmMotion() ? "auto" : "smooth" });
    }
    lastState = { ...store.scene.state };
  });
}
