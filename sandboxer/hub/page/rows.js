// The rows of a long table: only those near the screen are elements of the page.

import { attribute, el, keyed } from "./dom.js";

// How far beyond the screen rows are kept, in pixels.
const BEYOND = 600;

/**
 * The rows of a table's body. Their heights are known without layout: `heightOf` returns one in pixels.
 *
 * The body is never scrolled itself, but with the page. `set` keeps what is on the screen where it is, whatever was
 * added or removed above it; a row with focus stays an element wherever it is.
 */
export class Rows {
  #body;
  #on;
  #items = [];
  #index = new Map();
  #tops = [0];
  #target = null;
  #planned = false;

  constructor(body, { keyOf, heightOf, create, update }) {
    this.#body = body;
    this.#on = { keyOf, heightOf, create, update };
    const later = () => this.#later();
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", () => this.measure());
    body.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show other items in place of the former ones; `change` updates the rest of the page meanwhile. */
  set(items, change = () => {}) {
    const before = this.#onScreen();
    this.#items = items;
    this.#index = new Map(items.map((item, index) => [this.#on.keyOf(item), index]));
    this.#place();
    change();
    this.#render();
    const moved = before.filter(([key]) => this.#index.has(key)).map(([key, top]) => this.#top(key) - top);
    if (moved.length === 0) return;
    const middle = moved.sort((one, other) => one - other)[moved.length >> 1];
    if (Math.abs(middle) < 1) return;
    scrollBy(0, middle);
    this.#render();
  }

  /** Compute the heights of all rows again, after the layout changed. */
  measure() {
    this.#place();
    this.#render();
  }

  /** Move the focus to the link of a row, wherever it is. Return false if there is no such row. */
  focus(key, options) {
    if (!this.#index.has(key)) return false;
    this.#target = key;
    this.#render();
    this.#target = null;
    this.#row(key)?.querySelector("a").focus(options);
    return true;
  }

  #place() {
    this.#tops = [0];
    for (const item of this.#items) this.#tops.push(this.#tops.at(-1) + this.#on.heightOf(item));
  }

  #top(key) {
    return this.#body.getBoundingClientRect().top + this.#tops[this.#index.get(key)];
  }

  /** The rows on the screen with their places; none while the first row is there, below which all may move. */
  #onScreen() {
    const start = -this.#body.getBoundingClientRect().top;
    if (start <= 0) return [];
    const first = this.#at(start) + 1;
    const last = Math.min(this.#at(start + innerHeight), this.#items.length - 1);
    const found = [];
    for (let index = first; index <= last; index += 1) found.push([this.#on.keyOf(this.#items[index]), this.#tops[index] - start]);
    return found;
  }

  /** The index of the row at a height. */
  #at(height) {
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#tops[middle] <= height) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #later() {
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => {
      this.#planned = false;
      this.#render();
    });
  }

  #render() {
    const start = -this.#body.getBoundingClientRect().top;
    const first = this.#at(start - BEYOND);
    const last = Math.min(this.#at(start + innerHeight + BEYOND) + 1, this.#items.length);
    const focused = document.activeElement;
    const kept = [focused?.closest("tr")?.dataset.key, this.#target].filter((key) => this.#index.has(key));
    const indices = new Set(kept.map((key) => this.#index.get(key)));
    for (let index = first; index < last; index += 1) indices.add(index);
    keyed(
      this.#body,
      this.#withSpacers([...indices].sort((one, other) => one - other)),
      (part) => part.key,
      (part) => (part.item ? this.#on.create(part.item) : spacer()),
      (node, part) => {
        if (part.item) {
          attribute(node, "aria-rowindex", String(part.index + 2));
          this.#on.update(node, part.item);
        } else attribute(node.firstElementChild, "height", String(part.height));
      },
    );
    // Moving an element takes its focus away.
    if (focused?.isConnected && focused !== document.activeElement && this.#body.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
  }

  #withSpacers(indices) {
    const parts = [];
    let next = 0;
    const leave = (until, key) => {
      const height = this.#tops[until] - this.#tops[next];
      if (height > 0) parts.push({ key, height });
    };
    for (const index of indices) {
      const key = this.#on.keyOf(this.#items[index]);
      leave(index, parts.length ? `before ${key}` : "first");
      parts.push({ key, item: this.#items[index], index });
      next = index + 1;
    }
    leave(this.#items.length, "last");
    return parts;
  }

  #row(key) {
    return [...this.#body.children].find((row) => row.dataset.key === key);
  }

  /** Arrows, Home and End lead from row to row, and a page's keys over ten. */
  #key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    const at = this.#index.get(event.target.closest("tr")?.dataset.key);
    if (!(event.key in steps) || at === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const to = Math.min(Math.max(at + steps[event.key], 0), this.#items.length - 1);
    this.focus(this.#on.keyOf(this.#items[to]));
  }
}

function spacer() {
  return el("tr", { class: "space", role: "presentation", "aria-hidden": "true" }, el("td", { role: "presentation" }));
}
