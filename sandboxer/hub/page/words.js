// Labels and marks for the state of a sandbox.

import { attribute, el, text } from "./dom.js";
import { ending, full } from "./time.js";

const WORDS = { OutOfSync: "Out of sync" };
const TONES = {
  Healthy: "good",
  Synced: "good",
  Degraded: "bad",
  Missing: "bad",
  OutOfSync: "warn",
  Progressing: "work",
};

export const UNDER_WAY = new Set(["requested", "provisioning", "destroying"]);

/** A mark and a word for a phase. The mark's shape carries the same information as its colour. */
export function phaseMark(phase) {
  const node = el("span", { class: "phase" }, el("span", { class: "mark", "aria-hidden": "true" }), el("span"));
  setPhase(node, phase);
  return node;
}

export function setPhase(node, phase) {
  attribute(node, "data-phase", phase ?? "unknown");
  text(node.lastElementChild, phase ?? "unknown");
}

/** A word for sync or health; a dash, read aloud as "not reported", if unknown. */
export function setWord(node, word) {
  attribute(node, "data-tone", word ? (TONES[word] ?? "none") : "none");
  if (word) text(node, WORDS[word] ?? word);
  else if (!node.querySelector(".unseen")) {
    node.replaceChildren(el("span", { "aria-hidden": "true" }, "–"), el("span", { class: "unseen" }, "not reported"));
  }
}

/** The number of drifted fields; empty if there are none. */
export function setDrift(node, drift) {
  attribute(node, "data-open", drift.length > 0);
  text(node, drift.length ? `≠ drift ${drift.length}` : "");
}

/** A countdown to an expiry; `tick` updates it. */
export function setEnds(node, at) {
  if (!at) {
    node.replaceChildren(el("span", { class: "quiet" }, "never"));
    return;
  }
  let time = node.querySelector("time");
  if (!time) {
    time = el("time", { class: "ends" });
    node.replaceChildren(time);
  }
  attribute(time, "datetime", at);
  attribute(time, "title", full(at));
  count(time, Date.now());
}

/** Update every countdown of the page. */
export function tick(now = Date.now()) {
  for (const time of document.querySelectorAll("time.ends")) count(time, now);
}

function count(time, now) {
  const left = ending(time.dateTime, now);
  text(time, left.text);
  attribute(time, "data-state", left.state);
}

/** One value of a difference, shortened. */
export function valueText(value) {
  if (value === null || value === undefined) return "none";
  const shown = typeof value === "string" ? value : JSON.stringify(value);
  return shown.length > 120 ? `${shown.slice(0, 119)}…` : shown;
}

/** A difference: its path, the old value and the new value. */
export function difference({ path, old, new: now }) {
  return el(
    "li",
    {},
    el("code", { class: "path" }, path),
    el("span", { class: "change" }, el("del", {}, valueText(old)), " → ", el("ins", {}, valueText(now))),
  );
}

/** The address of a sandbox on this page; with the host only if two sandboxes share an ID. */
export function linkTo(sandbox, everyone) {
  const alone = everyone.filter((other) => other.id === sandbox.id).length < 2;
  const parts = new URLSearchParams(alone ? { sandbox: sandbox.id } : { sandbox: sandbox.id, host: sandbox.host });
  return `#${parts}`;
}
