// The overview: a table for each fleet, in it the hosts, and a row for each sandbox.

import { attribute, byId, el, keyed, text } from "./dom.js";
import { linkTo, phaseMark, setDrift, setEnds, setPhase, setWord, UNDER_WAY } from "./words.js";

const COLUMNS = ["Name", "Phase", "Sync", "Health", "Drift", "Expires"];

/**
 * Shows the sandboxes whose name fits the filter.
 * @param {{ sandboxes: object[], selected: object | null, filter: string, withDestroyed: boolean }} state
 */
export function showOverview(state) {
  const { sandboxes, filter } = state;
  const shown = sandboxes.filter((one) => fits(one, filter) && (state.withDestroyed || one.phase !== "destroyed"));
  keyed(byId("fleets"), grouped(shown, "fleet"), (fleet) => fleet.name, newFleet, (node, fleet) =>
    updateFleet(node, fleet, state),
  );
  const none = sandboxes.length === 0 && !state.withDestroyed;
  byId("empty").hidden = !none;
  byId("tools").hidden = none;
  byId("figures").hidden = none;
  byId("drift").hidden = none;
  byId("no-match").hidden = none || shown.length > 0;
  text(byId("no-match"), filter ? `No sandbox matches “${filter}”.` : "No sandboxes.");
  showFigures(sandboxes.filter((one) => one.phase !== "destroyed"));
}

function fits(sandbox, filter) {
  return sandbox.name.includes(filter) || sandbox.id === filter;
}

function showFigures(there) {
  const figures = {
    all: there.length,
    ready: there.filter((one) => one.phase === "ready" || one.phase === "active").length,
    "under-way": there.filter((one) => UNDER_WAY.has(one.phase)).length,
    failed: there.filter((one) => one.phase === "failed").length,
    drift: there.filter((one) => one.drift.length > 0).length,
  };
  for (const [name, count] of Object.entries(figures)) {
    const node = byId(`figure-${name}`);
    text(node, String(count));
    attribute(node.parentElement, "data-zero", count === 0);
  }
}

function grouped(sandboxes, field) {
  const groups = new Map();
  for (const sandbox of sandboxes) {
    const name = sandbox[field];
    if (!groups.has(name)) groups.set(name, { name, sandboxes: [] });
    groups.get(name).sandboxes.push(sandbox);
  }
  return [...groups.values()];
}

function newFleet(fleet) {
  const title = `fleet-${fleet.name}`;
  const headings = COLUMNS.map((name) => el("th", { role: "columnheader", scope: "col" }, name));
  return el(
    "section",
    { class: "fleet", "data-fleet": fleet.name, "aria-labelledby": title },
    el("h2", { id: title }, el("span", { class: "kind" }, "Fleet "), fleet.name),
    // Explicit roles: on a narrow screen, the layout must remain a table for screen readers.
    el(
      "table",
      { role: "table", "aria-labelledby": title },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...headings)),
    ),
  );
}

function updateFleet(node, fleet, state) {
  const table = node.querySelector("table");
  keyed(table, grouped(fleet.sandboxes, "host"), (host) => host.name, newHost, (body, host) => {
    const count = host.sandboxes.length;
    text(body.querySelector(".count"), count === 1 ? "1 sandbox" : `${count} sandboxes`);
    keyed(body, host.sandboxes, (one) => one.id, newRow, (row, one) => updateRow(row, one, state));
  });
}

function newHost(host) {
  const heading = el(
    "th",
    { role: "rowheader", scope: "rowgroup", colspan: String(COLUMNS.length) },
    el("span", { class: "kind" }, "Host "),
    host.name,
    el("span", { class: "count" }),
  );
  const row = el("tr", { role: "row", class: "host" }, heading);
  return el("tbody", { role: "rowgroup", "data-host": host.name }, row);
}

function newRow() {
  const cell = (name, ...children) => el("td", { role: "cell", class: `cell-${name}` }, ...children);
  return el(
    "tr",
    { role: "row", class: "sandbox" },
    el("th", { role: "rowheader", scope: "row", class: "cell-name" }, el("a"), el("span", { class: "about" })),
    cell("phase", phaseMark(null)),
    cell("sync", el("span", { class: "word" })),
    cell("health", el("span", { class: "word" })),
    cell("drift", el("span", { class: "drift-mark" })),
    cell("ends", el("span")),
  );
}

function updateRow(row, sandbox, state) {
  const { selected } = state;
  const chosen = selected !== null && selected.id === sandbox.id && selected.host === sandbox.host;
  attribute(row, "data-sandbox", sandbox.id);
  attribute(row, "data-phase", sandbox.phase ?? "unknown");
  attribute(row, "data-selected", chosen);
  const link = row.querySelector("a");
  text(link, sandbox.name);
  attribute(link, "href", linkTo(sandbox, state.sandboxes));
  attribute(link, "aria-current", chosen ? "true" : null);
  text(row.querySelector(".about"), [sandbox.profile, sandbox.consumer].filter(Boolean).join(" · "));
  setPhase(row.querySelector(".phase"), sandbox.phase);
  setWord(row.querySelector(".cell-sync .word"), sandbox.sync);
  setWord(row.querySelector(".cell-health .word"), sandbox.health);
  setDrift(row.querySelector(".drift-mark"), sandbox.drift);
  const ends = row.querySelector(".cell-ends > span");
  if (sandbox.phase === "destroyed") ends.replaceChildren();
  else setEnds(ends, sandbox.expires_at);
}

/** The panel of open drift: of each sandbox the first fields, and how many more. */
export function showDrift(sandboxes) {
  const drifted = sandboxes.filter((one) => one.drift.length > 0);
  byId("drift-none").hidden = drifted.length > 0;
  keyed(
    byId("drift-list"),
    drifted,
    // Replace the element if its text changes: only the link can have focus, and drift changes rarely.
    (one) => JSON.stringify([one.fleet, one.host, one.id, one.name, one.drift]),
    (one) => {
      const rest = one.drift.length - 3;
      const paths = one.drift.slice(0, 3).map(({ path }) => el("li", {}, el("code", {}, path)));
      return el(
        "li",
        { "data-drift": one.id },
        el("a", { href: linkTo(one, sandboxes) }, one.name),
        el("span", { class: "quiet" }, ` on ${one.host}`),
        el("ul", { class: "paths" }, ...paths, rest > 0 ? el("li", { class: "quiet" }, `and ${rest} more`) : null),
      );
    },
    () => {},
  );
}
