// What a sandbox's state is called on the page, and what its small parts look like.

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

/** A mark and a word for a phase. The mark's shape says the same as its colour. */
export function phaseMark(phase) {
  const node = el("span", { class: "phase" }, el("span", { class: "mark", "aria-hidden": "true" }), el("span"));
  setPhase(node, phase);
  return node;
}

export function setPhase(node, phase) {
  attribute(node, "data-phase", phase ?? "unknown");
  text(node.lastElementChild, phase ?? "unknown");
}

/** A word for sync or health; a dash, told as "not told", where nobody said. */
export function setWord(node, word) {
  attribute(node, "data-tone", word ? (TONES[word] ?? "none") : "none");
  if (word) text(node, WORDS[word] ?? word);
  else if (!node.querySelector(".unseen")) {
    node.replaceChildren(el("span", { "aria-hidden": "true" }, "–"), el("span", { class: "unseen" }, "not told"));
  }
}

/** How many fields drift; empty where none does. */
export function setDrift(node, drift) {
  attribute(node, "data-open", drift.length > 0);
  text(node, drift.length ? `≠ drift ${drift.length}` : "");
}

/** An element that counts down to an end; `tick` keeps it going. */
export function setEnds(node, at) {
  if (!at) {
    node.replaceChildren(el("span", { class: "quiet" }, "no end"));
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

/** Brings every countdown of the page up to now. */
export function tick(now = Date.now()) {
  for (const time of document.querySelectorAll("time.ends")) count(time, now);
}

function count(time, now) {
  const left = ending(time.dateTime, now);
  text(time, left.text);
  attribute(time, "data-state", left.state);
}

/** One value of a difference, short. */
export function valueText(value) {
  if (value === null || value === undefined) return "nothing";
  const shown = typeof value === "string" ? value : JSON.stringify(value);
  return shown.length > 120 ? `${shown.slice(0, 119)}…` : shown;
}

/** A difference: where, and from what to what. */
export function difference({ path, old, new: now }) {
  return el(
    "li",
    {},
    el("code", { class: "path" }, path),
    el("span", { class: "change" }, el("del", {}, valueText(old)), " → ", el("ins", {}, valueText(now))),
  );
}

/** The address of a sandbox on this page; the host is in it only where it is needed to tell two apart. */
export function linkTo(sandbox, everyone) {
  const alone = everyone.filter((other) => other.id === sandbox.id).length < 2;
  const parts = new URLSearchParams(alone ? { sandbox: sandbox.id } : { sandbox: sandbox.id, host: sandbox.host });
  return `#${parts}`;
}
