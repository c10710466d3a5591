// Which sandboxes are shown, how many each filter has, and their order: functions of values.

import { ending } from "./time.js";
import { commitOf } from "./words.js";

const READY = new Set(["ready", "active"]);
const UNDER_WAY = new Set(["requested", "provisioning", "destroying"]);
const UNHEALTHY = new Set(["Degraded", "Missing"]);

/** What the figures at the top count. */
export const STATUSES = {
  ready: { title: "Ready", fits: (one) => READY.has(one.phase) },
  progress: { title: "In progress", fits: (one) => UNDER_WAY.has(one.phase) },
  failed: { title: "Failed", fits: (one) => one.phase === "failed" },
  degraded: { title: "Degraded", fits: (one) => UNHEALTHY.has(one.health) },
  drift: { title: "With drift", fits: (one) => one.drift.length > 0 },
  expiring: { title: "Expiring", fits: (one, now) => Boolean(one.expires_at) && ending(one.expires_at, now).state !== "later" },
};

const known = (value) => (value === null || value === undefined || value === "" ? [] : [String(value)]);

/** The facets: their titles, and the values that a sandbox has. */
export const FACETS = {
  status: {
    title: "Status",
    values: (one, now) => Object.keys(STATUSES).filter((name) => one.phase !== "destroyed" && STATUSES[name].fits(one, now)),
    name: (value) => STATUSES[value]?.title ?? value,
  },
  fleet: { title: "Fleet", values: (one) => known(one.fleet) },
  host: { title: "Host", values: (one) => known(one.host) },
  phase: { title: "Phase", values: (one) => known(one.phase ?? "unknown") },
  label: { title: "Label", values: (one) => Object.entries(one.labels ?? {}).map(([key, value]) => `${key}=${value}`) },
  consumer: { title: "Consumer", values: (one) => known(one.consumer) },
};

/** How a value of a facet is called. */
export function nameOf(facet, value) {
  return FACETS[facet].name?.(value) ?? value;
}

/**
 * Return the sandboxes that a view shows, in its order, and of each facet how many sandboxes each value would show.
 *
 * Values of one facet, or of one label's key, add up; different ones narrow. A count therefore ignores its own facet.
 */
export function choose(sandboxes, view, now = Date.now()) {
  const groups = groupsOf(view.filters);
  const sought = view.text.trim().toLowerCase();
  const counts = Object.fromEntries(Object.keys(FACETS).map((facet) => [facet, new Map()]));
  const all = Object.fromEntries(Object.keys(FACETS).map((facet) => [facet, 0]));
  const shown = [];
  for (const one of sandboxes) {
    if (one.phase === "destroyed" && !view.destroyed) continue;
    if (sought && !one.name.toLowerCase().includes(sought) && !one.id.startsWith(sought)) continue;
    const values = Object.fromEntries(Object.entries(FACETS).map(([facet, { values: of }]) => [facet, of(one, now)]));
    const missed = [...groups].filter(([, { facet, set }]) => !values[facet].some((value) => set.has(value)));
    if (missed.length === 0) shown.push(one);
    if (missed.length > 1) continue;
    const [only] = missed.map(([group]) => group);
    for (const [facet, own] of Object.entries(values)) {
      const of = facet === "label" ? own.filter((value) => only === undefined || groupOf("label", value) === only) : own;
      if (only !== undefined && facet !== "label" && only !== facet) continue;
      all[facet] += 1;
      for (const value of of) counts[facet].set(value, (counts[facet].get(value) ?? 0) + 1);
    }
  }
  return { shown: sorted(shown, view.sort), counts, all };
}

function groupOf(facet, value) {
  return facet === "label" ? `label:${value.slice(0, value.indexOf("="))}` : facet;
}

function groupsOf(filters) {
  const groups = new Map();
  for (const [facet, values] of filters) {
    for (const value of values) {
      const group = groupOf(facet, value);
      if (!groups.has(group)) groups.set(group, { facet, set: new Set() });
      groups.get(group).set.add(value);
    }
  }
  return groups;
}

// --- The order

const TEXT = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const rank = (...order) => (value) => (order.includes(value) ? order.indexOf(value) : order.length);
const PHASES = rank("failed", "expired", "destroying", "requested", "provisioning", "active", "ready", "destroyed");
const HEALTH = rank("Missing", "Degraded", "Progressing", "Unknown", "Suspended", "Healthy");
const SYNC = rank("OutOfSync", "Unknown", "Synced");

/** What the columns are sorted by: what needs attention comes first. */
export const COLUMNS = {
  name: { title: "Name", by: (one) => one.name },
  host: { title: "Host", by: (one) => one.host },
  phase: { title: "Phase", by: (one) => PHASES(one.phase) },
  health: { title: "Health", by: (one) => HEALTH(one.health) },
  sync: { title: "Sync", by: (one) => SYNC(one.sync) - Math.min(one.drift.length, 999) / 1000 },
  commit: { title: "Commit", by: (one) => commitOf(one)?.commit ?? "\uffff" },
  expires: { title: "Expires", by: (one) => (one.expires_at ? Date.parse(one.expires_at) : Infinity) },
};

/** The sandboxes by fleet, host and name, as they are shown without another order. */
export function byPlace(sandboxes) {
  const fields = ["fleet", "host", "name", "id"];
  const compare = (one, other) => fields.reduce((found, field) => found || TEXT.compare(one[field], other[field]), 0);
  return [...sandboxes].sort(compare);
}

/** The next order after a press on a column's heading: ascending, descending, none. */
export function nextSort(sort, column) {
  if (sort?.column !== column) return { column, down: false };
  return sort.down ? null : { column, down: true };
}

function sorted(sandboxes, sort) {
  const column = sort && Object.hasOwn(COLUMNS, sort.column) ? COLUMNS[sort.column] : null;
  if (column === null) return sandboxes;
  const keyed = sandboxes.map((one) => [column.by(one), one]);
  const way = sort.down ? -1 : 1;
  keyed.sort(([one], [other]) => way * (typeof one === "string" ? TEXT.compare(one, other) : one < other ? -1 : one > other ? 1 : 0));
  return keyed.map(([, one]) => one);
}
