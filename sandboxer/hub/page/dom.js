// Making and mending parts of the page. Data becomes text, and never markup.

/**
 * An element with these attributes and children; a string becomes text, and null is left out.
 * @param {string} tag
 * @param {Record<string, string | boolean | null | undefined>} attributes true sets one without a value, null none
 * @param {...(Node | string | null | undefined)} children
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) attribute(node, name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets an attribute where it is another one by now; null and false remove it. */
export function attribute(node, name, value) {
  const wanted = value === true ? "" : value;
  if (wanted === null || wanted === undefined || wanted === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== wanted) node.setAttribute(name, wanted);
}

/** Sets an element's text where it is another one by now, so that nobody's selection is lost for nothing. */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** The element of an id of index.html. */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Makes the keyed children of a parent be those of the items, in their order, and leaves its other children alone.
 * What is there stays the same element, so focus and selection stay too.
 */
export function keyed(parent, items, keyOf, create, update) {
  const wanted = new Set(items.map(keyOf));
  const there = new Map();
  for (const child of [...parent.children]) {
    if (child.dataset.key === undefined) continue;
    if (wanted.has(child.dataset.key)) there.set(child.dataset.key, child);
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
