// Builds elements; text goes in as text nodes only, so nothing that anybody wrote can run.

export const byId = (id) => document.getElementById(id);

/** Makes an element: `el("p", { class: "x", onclick: f }, "text", child)`. Empty children are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, String(value));
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
  return node;
}

export const calmMotion = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A scrolling region is a tab stop only while it has something to scroll to. */
export function focusableWhenScrolling(node) {
  const check = () => {
    const scrolls = node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1;
    if (scrolls) node.tabIndex = 0;
    else node.removeAttribute("tabindex");
  };
  new ResizeObserver(check).observe(node);
  new MutationObserver(check).observe(node, { childList: true, subtree: true, characterData: true });
  check();
}
