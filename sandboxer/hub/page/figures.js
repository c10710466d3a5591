// The figures at the top: how many sandboxes are in each state. Each one is a filter.

import { attribute, byId, el, text } from "./dom.js";
import { STATUSES } from "./filters.js";

const TONES = { failed: "bad", degraded: "bad", drift: "warn", expiring: "warn" };

/** Create the figures; `press` is called with the name of a status, or null for all sandboxes. */
export function createFigures(press) {
  const figure = (name, title) => {
    const count = el("span", { class: "figure-count", id: `figure-${name}` }, "0");
    const button = el("button", { type: "button", "aria-pressed": "false", "data-tone": TONES[name] }, count, el("span", {}, title));
    button.addEventListener("click", () => press(name === "all" ? null : name));
    return button;
  };
  const some = Object.entries(STATUSES).map(([name, { title }]) => figure(name, title));
  byId("figures").replaceChildren(figure("all", "Sandboxes"), ...some);
}

/** Show how many sandboxes each figure would leave, and which of them are chosen. */
export function showFigures({ counts, all }, view) {
  const chosen = view.filters.get("status") ?? new Set();
  for (const button of byId("figures").children) {
    const node = button.querySelector(".figure-count");
    const name = node.id.slice("figure-".length);
    const count = name === "all" ? all.status : (counts.status.get(name) ?? 0);
    text(node, String(count));
    attribute(button, "data-zero", count === 0);
    attribute(button, "aria-pressed", String(name === "all" ? chosen.size === 0 : chosen.has(name)));
  }
}
