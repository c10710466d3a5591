// The overview: a table with a row for each sandbox that the filters leave, and the panel of open drift.

import { addressOf, emptyView } from "./address.js";
import { attribute, byId, el, keyed, text } from "./dom.js";
import { showFacets } from "./facets.js";
import { showFigures } from "./figures.js";
import { choose, COLUMNS } from "./filters.js";
import { Rows } from "./rows.js";
import { commitOf, failureLine, phaseMark, servicesLine, setDrift, setEnds, setPhase, setStale, setWord, short } from "./words.js";

// So many sandboxes with drift are listed beside the table, which has all.
const MOST_DRIFTS = 20;

let rows = null;
let now = null; // what is shown: the state and what its view chose
const heights = { plain: 1, failed: 1 };

const keyOf = ({ fleet, host, id }) => JSON.stringify([fleet, host, id]);

/** Create the table; `sort` is called with the column whose heading was pressed, `turn` to reverse the order. */
export function createOverview(sort) {
  const headings = Object.entries(COLUMNS).map(([name, { title }]) => {
    const button = el("button", { type: "button" }, title);
    button.addEventListener("click", () => sort(name));
    return el("th", { role: "columnheader", scope: "col", class: `cell-${name}`, "data-column": name }, button);
  });
  const cause = el("th", { role: "columnheader", scope: "col", class: "unseen" }, "Cause");
  byId("headings").replaceChildren(...headings, cause);
  byId("sort").replaceChildren(
    el("option", { value: "" }, "Fleet and host"),
    ...Object.entries(COLUMNS).map(([name, { title }]) => el("option", { value: name }, title)),
  );
  byId("sort").addEventListener("change", ({ target }) => sort(target.value));
  byId("sort-turn").addEventListener("click", () => sort(byId("sort").value));
  rows = new Rows(byId("rows"), { keyOf, heightOf, create: newRow, update: updateRow });
  const measure = () => measured() && rows.measure();
  addEventListener("resize", measure);
  new ResizeObserver(measure).observe(byId("overview"));
}

/** Read the heights of rows, which the style sheets set. Return whether they changed. */
function measured() {
  const style = getComputedStyle(byId("sandboxes"));
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const height = (name) => Math.round(parseFloat(style.getPropertyValue(`--${name}`)) * rem);
  const [plain, failed] = [height("row"), height("row-failed")];
  const changed = plain !== heights.plain || failed !== heights.failed;
  Object.assign(heights, { plain, failed });
  return changed;
}

function heightOf(sandbox) {
  return sandbox.error ? heights.failed : heights.plain;
}

/**
 * Shows the sandboxes that the view leaves. What is on the screen stays where it is.
 * @param {{ sandboxes: object[], selected: object | null, view: object }} state
 * @param {() => void} change updates the rest of the page
 */
export function showOverview(state, change) {
  const { sandboxes, view } = state;
  const chosen = choose(sandboxes, view);
  const none = sandboxes.length === 0 && !view.destroyed;
  const ids = new Map();
  for (const { id } of sandboxes) ids.set(id, (ids.get(id) ?? 0) + 1);
  const fleets = new Set(sandboxes.map((one) => one.fleet)).size;
  now = { state, ids, fleets };
  byId("content").hidden = false;
  measured();
  rows.set(chosen.shown, () => {
    byId("empty").hidden = !none;
    for (const id of ["tools", "figures", "drift"]) byId(id).hidden = none;
    byId("sandboxes").hidden = chosen.shown.length === 0;
    byId("no-match").hidden = none || chosen.shown.length > 0;
    text(byId("no-match"), filtered(view) ? "No sandbox matches the filters." : "No sandboxes.");
    attribute(byId("sandboxes"), "aria-rowcount", String(chosen.shown.length + 1));
    text(byId("shown"), shownText(chosen.shown.length, sandboxes, view));
    showSort(view.sort);
    showFigures(chosen, view);
    showFacets(chosen, view);
    change();
  });
}

function filtered(view) {
  return view.filters.size > 0 || view.text.trim() !== "";
}

function shownText(count, sandboxes, view) {
  const all = sandboxes.filter((one) => view.destroyed || one.phase !== "destroyed").length;
  return filtered(view) ? `${count} of ${all} sandboxes` : `${all} ${all === 1 ? "sandbox" : "sandboxes"}`;
}

function showSort(sort) {
  for (const heading of byId("headings").querySelectorAll("[data-column]")) {
    const own = sort?.column === heading.dataset.column;
    attribute(heading, "aria-sort", own ? (sort.down ? "descending" : "ascending") : null);
  }
  const known = sort && Object.hasOwn(COLUMNS, sort.column);
  byId("sort").value = known ? sort.column : "";
  byId("sort-turn").hidden = !known;
  attribute(byId("sort-turn"), "data-down", Boolean(sort?.down));
}

/** Move the focus to the row of a sandbox. Return false if it has none. */
export function focusRow(sandbox) {
  return rows.focus(keyOf(sandbox));
}

/** Lead back to the first row, after another choice of rows. */
export function toFirstRow() {
  if (byId("overview").getBoundingClientRect().top < 0) byId("overview").scrollIntoView();
}

function newRow() {
  const cell = (name, ...children) => el("td", { role: "cell", class: `cell-${name}` }, ...children);
  const second = (name) => el("span", { class: `second ${name}` });
  return el(
    "tr",
    { role: "row", class: "sandbox" },
    el("th", { role: "rowheader", scope: "row", class: "cell-name" }, el("a"), second("about")),
    cell("host"),
    cell("phase", phaseMark(null)),
    cell("health", el("span", { class: "word" }), second("services")),
    cell("sync", el("span", { class: "word" }), el("span", { class: "drift-mark" })),
    cell("commit", el("code"), second("ref")),
    cell("expires", el("span")),
    cell("cause"),
  );
}

function updateRow(row, sandbox) {
  const { state, ids, fleets } = now;
  const { selected } = state;
  const part = (name) => row.querySelector(name);
  const chosen = selected !== null && selected.id === sandbox.id && selected.host === sandbox.host;
  attribute(row, "data-sandbox", sandbox.id);
  attribute(row, "data-phase", sandbox.phase ?? "unknown");
  attribute(row, "data-failed", Boolean(sandbox.error));
  attribute(row, "data-selected", chosen);
  const link = part("a");
  text(link, sandbox.name);
  attribute(link, "href", addressOf(state.view, { id: sandbox.id, host: ids.get(sandbox.id) > 1 ? sandbox.host : null }));
  attribute(link, "aria-current", chosen ? "true" : null);
  // The host stands in a column of its own where there is room for one.
  const about = [fleets > 1 ? sandbox.fleet : "", sandbox.profile, sandbox.consumer].filter(Boolean);
  keyed(part(".about"), [sandbox.host, ...about], (word) => word, (word) => el("span", {}, word), () => {});
  text(part(".cell-host"), sandbox.host);
  setPhase(part(".phase"), sandbox.phase);
  setWord(part(".cell-health .word"), sandbox.health);
  setStale(part(".cell-health"), sandbox);
  setStale(part(".cell-sync"), sandbox);
  text(part(".services"), servicesLine(sandbox));
  setWord(part(".cell-sync .word"), sandbox.sync);
  setDrift(part(".drift-mark"), sandbox.drift);
  const { commit, ref } = commitOf(sandbox) ?? { commit: "", ref: "" };
  text(part(".cell-commit code"), short(commit));
  attribute(part(".cell-commit"), "title", [commit, ref].filter(Boolean).join(" ") || null);
  text(part(".ref"), ref);
  const ends = part(".cell-expires > span");
  if (sandbox.phase === "destroyed") ends.replaceChildren();
  else setEnds(ends, sandbox.expires_at);
  text(part(".cell-cause"), sandbox.error ? failureLine(sandbox.error) : "");
}

/** The panel of open drift: of each sandbox the first fields, and how many more. */
export function showDrift(sandboxes, view) {
  const drifted = sandboxes.filter((one) => one.drift.length > 0);
  byId("drift-none").hidden = drifted.length > 0;
  const left = drifted.length - MOST_DRIFTS;
  byId("drift-more").hidden = left <= 0;
  text(byId("drift-more"), `and ${left} more sandboxes with drift`);
  attribute(byId("drift-more"), "href", addressOf({ ...emptyView(), filters: new Map([["status", new Set(["drift"])]]) }));
  keyed(
    byId("drift-list"),
    drifted.slice(0, MOST_DRIFTS),
    // Replace the element if its text changes: only the link can have focus, and drift changes rarely.
    (one) => JSON.stringify([one.fleet, one.host, one.id, one.name, one.drift]),
    (one) => {
      const rest = one.drift.length - 3;
      const paths = one.drift.slice(0, 3).map(({ path }) => el("li", {}, el("code", {}, path)));
      return el(
        "li",
        { "data-drift": one.id },
        el("a", {}, one.name),
        el("span", { class: "quiet" }, ` on ${one.host}`),
        el("ul", { class: "paths" }, ...paths, rest > 0 ? el("li", { class: "quiet" }, `and ${rest} more`) : null),
      );
    },
    (node, one) => attribute(node.querySelector("a"), "href", addressOf(view, { id: one.id, host: one.host })),
  );
}
