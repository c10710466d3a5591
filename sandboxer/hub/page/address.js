// The page's address: which sandbox is selected, which filters are set, and the order. It can be shared as a link.
//
// #filter=status:failed&filter=host:lab-1&text=web&sort=-expires&destroyed=1&sandbox=ID&host=HOST

import { FACETS } from "./filters.js";

/** A view without filters, in the order of fleets and hosts. */
export function emptyView() {
  return { filters: new Map(), text: "", sort: null, destroyed: false };
}

/** Read the part of an address after the `#`; unknown parts are left out. */
export function readView(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const view = emptyView();
  for (const filter of parts.getAll("filter")) {
    const colon = filter.indexOf(":");
    const facet = filter.slice(0, Math.max(colon, 0));
    if (Object.hasOwn(FACETS, facet) && colon < filter.length - 1) add(view.filters, facet, filter.slice(colon + 1));
  }
  view.text = parts.get("text") ?? "";
  view.destroyed = parts.has("destroyed");
  const sort = parts.get("sort");
  if (sort) view.sort = { column: sort.replace(/^-/, ""), down: sort.startsWith("-") };
  const id = parts.get("sandbox");
  return { view, requested: id ? { id, host: parts.get("host") } : null, token: parts.get("token") };
}

/** The address of a view, with a selected sandbox or without one. */
export function addressOf(view, selected = null) {
  const parts = new URLSearchParams();
  for (const [facet, values] of view.filters) {
    for (const value of values) parts.append("filter", `${facet}:${value}`);
  }
  if (view.text) parts.set("text", view.text);
  if (view.sort) parts.set("sort", `${view.sort.down ? "-" : ""}${view.sort.column}`);
  if (view.destroyed) parts.set("destroyed", "1");
  if (selected) parts.set("sandbox", selected.id);
  if (selected?.host) parts.set("host", selected.host);
  return `#${parts}`;
}

/** The same view with a value of a facet set, or no longer set. */
export function toggled(view, facet, value) {
  const filters = new Map([...view.filters].map(([name, values]) => [name, new Set(values)]));
  if (filters.get(facet)?.has(value)) filters.get(facet).delete(value);
  else add(filters, facet, value);
  if (filters.get(facet).size === 0) filters.delete(facet);
  return { ...view, filters };
}

/** The same view without any value of a facet. */
export function without(view, facet) {
  return { ...view, filters: new Map([...view.filters].filter(([name]) => name !== facet)) };
}

function add(filters, facet, value) {
  if (!filters.has(facet)) filters.set(facet, new Set());
  filters.get(facet).add(value);
}
