// The facets: of each one a list of its values, with counts; and the filters that are set.

import { attribute, byId, el, keyed, text } from "./dom.js";
import { FACETS, nameOf } from "./filters.js";

// So many values of one facet are listed; a text narrows the others.
const MOST = 50;
const FEW = 12;
const LISTED = Object.keys(FACETS).filter((facet) => facet !== "status");

/**
 * Create the facets.
 * @param {{ toggle: (facet: string, value: string) => void, clear: () => void }} on
 * @param {() => void} again is called when the text within a facet changes
 */
export function createFacets(on, again) {
  byId("facets").replaceChildren(...LISTED.map((facet) => newFacet(facet, on, again)));
  byId("clear").addEventListener("click", on.clear);
  byId("active").addEventListener("click", ({ target }) => {
    const chip = target.closest("button[data-facet]");
    if (!chip) return;
    on.toggle(chip.dataset.facet, chip.dataset.value);
    // The pressed one is gone.
    (byId("active").querySelector("button") ?? byId("filter")).focus();
  });
  const open = () => byId("facets").querySelectorAll("details[open]");
  document.addEventListener("click", ({ target }) => open().forEach((one) => one.contains(target) || one.removeAttribute("open")));
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    open().forEach((one) => {
      const inside = one.contains(document.activeElement);
      one.removeAttribute("open");
      if (inside) one.querySelector("summary").focus();
    });
  });
}

function newFacet(facet, on, again) {
  const { title } = FACETS[facet];
  const narrow = el("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: "Find", "aria-label": `Find in ${title}` });
  narrow.addEventListener("input", again);
  const values = el("ul", { class: "values" });
  values.addEventListener("change", ({ target }) => on.toggle(facet, target.value));
  const summary = el("summary", {}, title, el("span", { class: "chosen" }));
  const node = el(
    "details",
    { class: "facet", "data-facet": facet },
    summary,
    el("div", { class: "choices" }, narrow, values, el("p", { class: "quiet" })),
  );
  node.addEventListener("toggle", () => {
    if (node.open) byId("facets").querySelectorAll("details[open]").forEach((one) => one === node || one.removeAttribute("open"));
    again();
  });
  return node;
}

/** Show the values of each facet, most frequent first, and the filters that are set. */
export function showFacets({ counts }, view) {
  for (const node of byId("facets").children) {
    const { facet } = node.dataset;
    const chosen = view.filters.get(facet) ?? new Set();
    const values = [...new Set([...counts[facet].keys(), ...chosen])];
    node.hidden = values.length === 0;
    text(node.querySelector(".chosen"), chosen.size ? String(chosen.size) : "");
    // The lists that nobody sees have no elements.
    showValues(node, node.open ? values : [], counts[facet], chosen);
  }
  const active = [...view.filters].flatMap(([facet, set]) => [...set].map((value) => ({ facet, value })));
  byId("active-filters").hidden = active.length === 0;
  keyed(byId("active"), active, ({ facet, value }) => `${facet}:${value}`, newChip, () => {});
}

function showValues(node, values, counts, chosen) {
  const input = node.querySelector("input[type=search]");
  const sought = input.value.trim().toLowerCase();
  input.hidden = values.length <= FEW && !sought;
  const order = (one, other) => (counts.get(other) ?? 0) - (counts.get(one) ?? 0) || (one < other ? -1 : 1);
  const fitting = values.filter((value) => value.toLowerCase().includes(sought)).sort(order);
  const left = fitting.length - MOST;
  text(node.querySelector("p"), left > 0 ? `and ${left} more` : fitting.length || !node.open ? "" : "Nothing found.");
  keyed(node.querySelector(".values"), fitting.slice(0, MOST), (value) => value, newValue, (item, value) => {
    item.querySelector("input").checked = chosen.has(value);
    text(item.querySelector(".value-count"), String(counts.get(value) ?? 0));
  });
}

function newValue(value) {
  const check = el("input", { type: "checkbox" });
  check.value = value;
  return el("li", {}, el("label", {}, check, el("span", { class: "value" }, value), el("span", { class: "value-count" })));
}

function newChip({ facet, value }) {
  const words = `${FACETS[facet].title}: ${nameOf(facet, value)}`;
  const cross = el("span", { "aria-hidden": "true" }, " ×");
  const button = el("button", { type: "button", "data-facet": facet, "aria-label": `Remove the filter ${words}` }, words, cross);
  button.dataset.value = value;
  return el("li", {}, button);
}
