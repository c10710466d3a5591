// Creating and updating parts of the page. Data becomes text, never markup.

// Controls other than tab and line break, and marks of direction or without width.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * An element with these attributes and children; a string becomes text, and null is skipped.
 * @param {string} tag
 * @param {Record<string, string | boolean | null | undefined>} attributes true sets one without a value, null none
 * @param {...(Node | string | null | undefined)} children
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) attribute(node, name, value);
  for (const child of children) {
    if (child !== null && child !== undefined) node.append(child instanceof Node ? child : visible(child));
  }
  return node;
}

/** Set an attribute if its value differs; null and false remove it. */
export function attribute(node, name, value) {
  const desired = value === true ? "" : value;
  if (desired === null || desired === undefined || desired === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== desired) node.setAttribute(name, desired);
}

/** Set an element's text if it differs, so that a selection is not lost needlessly. */
export function text(node, value) {
  const shown = visible(value);
  if (node.textContent !== shown) node.textContent = shown;
}

/** A text without characters that would hide or reorder what stands beside them; each becomes its code, as \u{202e}. */
export function visible(value) {
  return String(value).replace(UNSEEN, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
}

/** The element with this id in index.html. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Match the keyed children of a parent to the items, in their order; other children stay as they are.
 * Existing elements are reused, so focus and selection are kept.
 */
export function keyed(parent, items, keyOf, create, update) {
  const keys = new Set(items.map(keyOf));
  const there = new Map();
  for (const child of [...parent.children]) {
    if (child.dataset.key === undefined) continue;
    if (keys.has(child.dataset.key)) there.set(child.dataset.key, child);
    else child.remove();
  }
  let at = [...parent.children].find((child) => child.dataset.key !== undefined) ?? null;
  for (const item of items) {
    const key = keyOf(item);
    let node = there.get(key);
    if (!node) {
      node = create(item);
      node.dataset.key = key;
    }
    update(node, item);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}
