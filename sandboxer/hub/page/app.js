// The page: its state, its requests to the hub, and its rendering. Other files render the parts.

import { eventsOf, get } from "./api.js";
import { showDetail } from "./detail.js";
import { attribute, byId, text } from "./dom.js";
import { showDrift, showOverview } from "./overview.js";
import { Stream } from "./stream.js";
import { clock, span } from "./time.js";
import { tick } from "./words.js";

const TOKEN = "state-hub-token";
// Batch the many events of an apply into one request.
const GATHER = 150;

const state = {
  token: null,
  sandboxes: [],
  known: false,
  filter: "",
  withDestroyed: false,
  requested: null, // the selection in the address: { id, host }
  selected: null, // the same, with its host found
  sandbox: null,
  events: null,
  early: [], // events that arrived while the timeline was loading
  problem: "",
  asOf: 0,
  triesAt: 0,
};
let stream = null;

// --- The address: #sandbox=ID, and once #token=TOKEN

function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const token = parts.get("token");
  if (token) {
    sessionStorage.setItem(TOKEN, token);
    parts.delete("token");
    // Remove the token from the address bar and the history.
    history.replaceState(null, "", parts.size ? `#${parts}` : location.pathname + location.search);
  }
  const id = parts.get("sandbox");
  state.requested = id ? { id, host: parts.get("host") } : null;
  return Boolean(token);
}

// --- Requests

let loading = false;
let askAgain = false;
let timer = 0;

function refreshSoon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, GATHER);
}

async function refresh() {
  if (loading) {
    askAgain = true;
    return;
  }
  loading = true;
  const { token } = state;
  // A destroyed sandbox can be opened by its address too.
  const all = state.withDestroyed || state.requested !== null ? 1 : null;
  const answer = await get(token, "sandboxes", { all }).catch((error) => error);
  loading = false;
  if (askAgain) {
    askAgain = false;
    refreshSoon();
  }
  if (token !== state.token) return;
  if (answer instanceof Error) {
    // Otherwise the stream was interrupted too, or the next event triggers a retry.
    if (answer.status === 401) signIn(answer.message);
    return;
  }
  announce(state.sandboxes, answer.sandboxes);
  state.sandboxes = answer.sandboxes;
  state.known = true;
  state.asOf = Date.now();
  select();
  show();
}

function select() {
  const { requested } = state;
  const fitting = requested
    ? state.sandboxes.filter(({ id, host }) => id === requested.id && (requested.host ?? host) === host)
    : [];
  state.sandbox = fitting.find((one) => one.phase !== "destroyed") ?? fitting[0] ?? null;
  state.selected = requested ? { id: requested.id, host: state.sandbox?.host ?? requested.host } : null;
}

async function loadTimeline() {
  const { requested, token } = state;
  if (requested === null) return;
  state.events = null;
  state.early = [];
  state.problem = "";
  const current = () => state.requested?.id === requested.id && state.token === token;
  try {
    const events = await eventsOf(token, requested.id);
    if (current()) addEvents([...events, ...state.early]);
  } catch (error) {
    if (current()) state.problem = `Cannot load the timeline: ${error.message}`;
  }
  if (current()) show();
}

function addEvents(events) {
  const there = new Map((state.events ?? []).map((event) => [event.source + event.id, event]));
  for (const event of events) there.set(event.source + event.id, event);
  state.events = [...there.values()];
}

// --- Rendering

function show() {
  if (!state.known) return;
  byId("content").hidden = false;
  byId("sign-in").hidden = true;
  showOverview(state);
  showDrift(state.sandboxes.filter((one) => one.phase !== "destroyed"));
  showDetail(state);
  const failed = state.sandboxes.filter((one) => one.phase === "failed").length;
  document.title = [failed ? `${failed} failed` : "", state.sandbox?.name, "State Hub"].filter(Boolean).join(" · ");
}

/** Announces to screen readers what changed, a sentence for each of a few, a number for many. */
function announce(before, after) {
  if (!state.known) return;
  const former = new Map(before.map((one) => [`${one.fleet}/${one.host}/${one.id}`, one]));
  const news = [];
  for (const one of after) {
    const old = former.get(`${one.fleet}/${one.host}/${one.id}`);
    // Do not announce sandboxes that the previous list left out, such as destroyed ones.
    const other = old ? old.phase !== one.phase : one.phase !== "destroyed";
    if (other) news.push(`${one.name} is ${one.phase ?? "registered"}`);
    if (one.drift.length > (old?.drift.length ?? 0)) news.push(`${one.name} drifts`);
  }
  if (news.length) text(byId("news"), news.length > 3 ? `${news.length} changes` : news.join(". "));
}

function showConnection(kind, triesAt = 0) {
  state.triesAt = triesAt;
  attribute(byId("connection"), "data-state", kind);
  const since = state.asOf ? `, last updated ${clock(state.asOf, Date.now())}` : "";
  const words = {
    connecting: "Connecting",
    live: "Live",
    offline: `Offline${since}`,
    refused: "Not signed in",
    paused: "Paused",
  };
  // Do not announce each attempt while the hub is offline.
  if (!(kind === "connecting" && byId("retry").hidden === false)) {
    text(byId("connection-text"), words[kind]);
    byId("retry").hidden = kind !== "offline";
  }
  showWait();
}

function showWait() {
  const left = state.triesAt - Date.now();
  text(byId("connection-wait"), left > 0 ? `retrying in ${span(left + 999)}` : "");
}

// --- The token

function signIn(reason) {
  stream?.stop();
  stream = null;
  state.known = false;
  sessionStorage.removeItem(TOKEN);
  showConnection("refused");
  text(byId("sign-in-text"), reason);
  byId("content").hidden = true;
  byId("sign-in").hidden = false;
  byId("token").focus();
}

function open() {
  const token = sessionStorage.getItem(TOKEN);
  stream?.stop();
  stream = null;
  state.token = token;
  if (!token) {
    signIn("");
    return;
  }
  byId("sign-in").hidden = true;
  stream = new Stream(token, {
    state(kind, triesAt) {
      if (kind === "refused") {
        signIn("Invalid token.");
        return;
      }
      showConnection(kind, triesAt);
      if (kind === "live") refresh();
    },
    message(kind, event) {
      if (kind === "event" && event.subject === state.requested?.id) {
        if (state.events === null) state.early.push(event);
        else addEvents([event]);
      }
      refreshSoon();
    },
    lost: () => loadTimeline(),
  });
  if (!document.hidden) stream.start();
  loadTimeline();
}

// --- User actions

function follow() {
  const before = state.requested?.id;
  if (readAddress()) {
    open();
    return;
  }
  select();
  if (state.requested && state.requested.id !== before) loadTimeline();
  show();
  // Only known if requested: the list may have left out destroyed sandboxes.
  if (state.requested && state.sandbox === null) refresh();
  if (state.requested) byId("detail-name")?.focus();
}

addEventListener("hashchange", follow);
byId("filter").addEventListener("input", (event) => {
  state.filter = event.target.value.trim().toLowerCase();
  show();
});
byId("with-destroyed").addEventListener("change", (event) => {
  state.withDestroyed = event.target.checked;
  show();
  refresh();
});
byId("retry").addEventListener("click", () => stream?.retry());
addEventListener("online", () => stream?.retry());
byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = byId("token").value.trim();
  // Headers allow nothing else, and the error of fetch is meant for programmers.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    text(byId("sign-in-text"), "Enter one line of printable ASCII characters.");
    return;
  }
  byId("token").value = "";
  sessionStorage.setItem(TOKEN, token);
  open();
});
byId("skip").addEventListener("click", (event) => {
  // The address is that of the selected sandbox.
  event.preventDefault();
  byId("overview").focus();
});
byId("detail").addEventListener("click", (event) => {
  if (event.target.id !== "detail-close") return;
  event.preventDefault();
  const { selected } = state;
  history.pushState(null, "", location.pathname + location.search);
  follow();
  const rows = [...document.querySelectorAll("tr[data-sandbox]")];
  const row = rows.find((one) => one.dataset.sandbox === selected?.id);
  (row?.querySelector("a") ?? byId("overview")).focus();
});
addEventListener("popstate", follow);
document.addEventListener("visibilitychange", () => {
  // Browsers limit connections to a host: a hidden tab closes its own.
  if (document.hidden) {
    stream?.stop();
    showConnection("paused");
  } else {
    stream?.start();
  }
});
setInterval(() => {
  if (document.hidden) return;
  tick();
  showWait();
}, 1000);

byId("empty-example").textContent =
  `spec:\n  stateHub:\n    url: ${location.origin}\n    token: env:STATE_HUB_TOKEN`;
readAddress();
open();
