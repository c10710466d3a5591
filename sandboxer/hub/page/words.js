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

const LIVE = new Set(["ready", "active"]);

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

/** Whether what the registration has is older than the phase: a sandbox is registered while it is ready. */
export function isStale({ handle, phase }) {
  const registered = handle?.phase;
  return Boolean(registered) && registered !== phase && !(LIVE.has(registered) && LIVE.has(phase));
}

/** Mark what is of an earlier time as such. */
export function setStale(node, sandbox) {
  const stale = isStale(sandbox);
  attribute(node, "data-stale", stale);
  attribute(node, "title", stale ? `when it was ${sandbox.handle.phase}` : null);
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

/** The commit that a sandbox has: that of its input, else that of its fleet; null if neither was reported. */
export function commitOf(sandbox) {
  const { commit, ref } = sandbox.inputs ?? {};
  if (typeof commit === "string" && commit) return { commit, ref: typeof ref === "string" ? ref : "" };
  return sandbox.commit ? { commit: sandbox.commit, ref: "fleet" } : null;
}

/** A commit's short form. */
export function short(commit) {
  return /^[0-9a-f]{40,64}$/.test(commit) ? commit.slice(0, 8) : commit;
}

/** A failure in one line: its code, its service and the first line of its message. */
export function failureLine(error) {
  const message = firstLine(error.message);
  const about = error.service && !message.includes(error.service) ? `${error.service}: ` : "";
  return [error.code, `${about}${message}`].filter(Boolean).join(" · ") || "failed, without a message";
}

/** The first line of a text that is not empty. */
export function firstLine(words) {
  return (words ?? "").split("\n").find((line) => line.trim())?.trim() ?? "";
}

/** The services of a registration that have a name, with their state as words and a tone. */
export function servicesOf(sandbox) {
  return (sandbox.services ?? []).filter((one) => typeof one?.name === "string").map((one) => ({ ...one, ...stateOf(one) }));
}

function stateOf({ state, health, exit_code: code }) {
  const ended = state === "exited" || state === "dead";
  const words = [state ?? "unknown", health && health !== "none" ? String(health) : "", ended && code !== null ? `(${code})` : ""];
  const bad = health === "unhealthy" || state === "restarting" || state === "missing" || (ended && code !== 0);
  const good = state === "running" && (!health || health === "healthy" || health === "none");
  return { words: words.filter(Boolean).join(" "), tone: bad ? "bad" : good ? "good" : state === "running" ? "work" : "none" };
}

/** How many services run, of how many that did not end as they should; empty if none is known. */
export function servicesLine(sandbox) {
  const services = servicesOf(sandbox).filter((one) => one.state !== "exited" || one.exit_code !== 0);
  const running = services.filter((one) => one.state === "running").length;
  return services.length ? `${running}/${services.length} running` : "";
}
