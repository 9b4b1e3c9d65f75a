// Numbers and names as a person reads them.

const MINUS = "\u2212";

/** Nano-dollars as dollars with at least two significant digits. */
export function money(nano) {
  if (!nano) return "free";
  const dollars = nano / 1e9;
  if (dollars >= 1) return `$${dollars.toFixed(2)}`;
  const decimals = Math.max(2, Math.ceil(-Math.log10(dollars)) + 1);
  return `$${dollars.toFixed(Math.min(decimals, 9))}`;
}

export function spent(nano) {
  return nano ? money(nano) : "$0.00";
}

export function duration(ms) {
  if (ms < 1) return "under 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60000)} min`;
}

export function number(value) {
  const rounded = Math.round(value * 10) / 10;
  return rounded.toLocaleString("en", { maximumFractionDigits: 1 }).replace("-", MINUS);
}

export function signed(value) {
  if (!value) return "±0";
  return value > 0 ? `+${number(value)}` : number(value);
}

/** A value with its unit: `52%`, `14 crowns`, `yes`, `clear`. */
export function withUnit(value, unit) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return words(value);
  if (!unit) return number(value);
  return unit === "%" || unit === "°" ? `${number(value)}${unit}` : `${number(value)}\u00a0${unit}`;
}

/** A slug as words: `budgetNight` → `budget night`. */
export function words(slug) {
  return String(slug)
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/[-_]+/g, " ")
    .toLowerCase();
}

export function sentenceCase(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : text;
}

export function modelName(model) {
  return (model || "a model").replace(/^.*\//, "").replace(/-\d{8}$/, "");
}

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

const HONORIFICS = /^(dr|mr|mrs|ms|sir|lady|lord|gen|general|prof|col|colonel|captain|the)\.?$/i;

export function initials(name) {
  const parts = name.split(/[\s-]+/).filter((part) => part && !HONORIFICS.test(part) && /\p{L}/u.test(part));
  if (!parts.length) return "?";
  const first = [...parts[0]][0];
  return (parts.length > 1 ? first + [...parts[parts.length - 1]][0] : first).toUpperCase();
}
