// The page: its state, its requests to the hub, and its rendering. Other files render the parts.

import { addressOf, emptyView, readView, toggled, without } from "./address.js";
import { eventsOf, get } from "./api.js";
import { showDetail } from "./detail.js";
import { attribute, byId, text } from "./dom.js";
import { createFacets } from "./facets.js";
import { createFigures } from "./figures.js";
import { byPlace, nextSort } from "./filters.js";
import { createOverview, focusRow, showDrift, showOverview, toFirstRow } from "./overview.js";
import { Stream } from "./stream.js";
import { clock, span } from "./time.js";
import { tick } from "./words.js";

const TOKEN = "state-hub-token";
// Batch the many events of an apply into one request, and spend at most a quarter of the time on requests.
const GATHER = 150;
const SHARE = 4;
// More sandboxes than these are requested with all.
const MOST_CHANGED = 50;
const SANDBOX = /^[0-9a-f]{8}$/;
// Time passes without events too: what expires soon changes.
const EACH = 30_000;

const state = {
  token: null,
  sandboxes: [],
  known: false,
  view: emptyView(), // filters and order, as the address has them
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

// --- The address: see address.js, and once #token=TOKEN

function readAddress() {
  const { view, requested, token } = readView(location.hash);
  if (token) {
    sessionStorage.setItem(TOKEN, token);
    // Remove the token from the address bar and the history.
    history.replaceState(null, "", hashOrNone(addressOf(view, requested)));
  }
  state.view = view;
  state.requested = requested;
  return Boolean(token);
}

function hashOrNone(hash) {
  return hash === "#" ? location.pathname + location.search : hash;
}

/** Show another view, and put it into the address; `replace` leaves no step in the history. */
function turn(view, { replace = false } = {}) {
  const more = view.destroyed && !state.view.destroyed;
  state.view = view;
  const address = hashOrNone(addressOf(view, state.requested));
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  showControls();
  show();
  toFirstRow();
  if (more) refresh();
}

function showControls() {
  const { text: sought, destroyed } = state.view;
  if (byId("filter").value.trim().toLowerCase() !== sought) byId("filter").value = sought;
  byId("with-destroyed").checked = destroyed;
}

// --- Requests

let loading = false;
let timer = 0;
let soon = 0;
let pause = GATHER;
const changed = new Set();

/** Request all sandboxes again. The first call starts the time, so that many cannot put the request off for ever. */
function refreshSoon() {
  timer ||= setTimeout(refresh, pause);
}

/** Request one sandbox again, with the others that change meanwhile. */
function refreshOne(id) {
  changed.add(id);
  if (changed.size > MOST_CHANGED) refreshSoon();
  else soon ||= setTimeout(() => refresh([...changed]), GATHER);
}

async function refresh(ids = null) {
  if (ids === null) {
    clearTimeout(timer);
    timer = 0;
  }
  clearTimeout(soon);
  soon = 0;
  if (loading) {
    // What has changed is kept, and part of the next request.
    refreshSoon();
    return;
  }
  loading = true;
  changed.clear();
  const { token } = state;
  const began = performance.now();
  // A destroyed sandbox can be opened by its address too.
  const all = state.view.destroyed || state.requested !== null ? 1 : null;
  const answer = await get(token, "sandboxes", { all, sandbox: ids }).catch((error) => error);
  loading = false;
  if (token !== state.token) return;
  if (answer instanceof Error) {
    // Otherwise the stream was interrupted too, or the next event triggers a retry.
    if (answer.status === 401) signIn(answer.message);
    else if (ids !== null) refreshSoon();
    return;
  }
  const others = ids === null ? [] : state.sandboxes.filter((one) => !ids.includes(one.id));
  const sandboxes = byPlace([...others, ...answer.sandboxes]);
  announce(state.sandboxes, sandboxes);
  state.sandboxes = sandboxes;
  state.known = true;
  state.asOf = Date.now();
  select();
  show();
  if (ids === null) pause = Math.max(GATHER, SHARE * (performance.now() - began));
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
  byId("sign-in").hidden = true;
  showOverview(state, () => {
    showDrift(state.sandboxes.filter((one) => one.phase !== "destroyed"), state.view);
    showDetail(state);
  });
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
      if (kind === "event" && SANDBOX.test(event.subject)) refreshOne(event.subject);
      else if (kind === "registration") refreshSoon();
    },
    lost: () => loadTimeline(),
  });
  if (!document.hidden) stream.start();
  loadTimeline();
}

// --- User actions

function follow() {
  const before = state.requested;
  const { destroyed } = state.view;
  if (readAddress()) {
    open();
    return;
  }
  const { requested } = state;
  const other = requested !== null && (requested.id !== before?.id || requested.host !== before?.host);
  if (other && before === null) scrolled = scrollY;
  showControls();
  select();
  if (other && requested.id !== before?.id) loadTimeline();
  show();
  // Only known if requested: the list may have left out destroyed sandboxes.
  if ((requested && state.sandbox === null) || (state.view.destroyed && !destroyed)) refresh();
  if (other) byId("detail-name")?.focus();
}

// Where the list was before a sandbox was opened: on a narrow screen its details come first.
let scrolled = 0;

function close() {
  const { selected, sandbox } = state;
  history.pushState(null, "", hashOrNone(addressOf(state.view)));
  follow();
  if (matchMedia("(max-width: 64rem)").matches) scrollTo(0, scrolled);
  if (selected === null || sandbox === null || !focusRow(sandbox)) byId("overview").focus();
}

createFigures((status) => turn(status === null ? without(state.view, "status") : toggled(state.view, "status", status)));
createFacets(
  {
    toggle: (facet, value) => turn(toggled(state.view, facet, value)),
    clear: () => turn({ ...state.view, filters: new Map(), text: "" }),
  },
  show,
);
createOverview((column) => turn({ ...state.view, sort: column ? nextSort(state.view.sort, column) : null }));
addEventListener("hashchange", follow);
byId("filter").addEventListener("input", (event) => {
  turn({ ...state.view, text: event.target.value.trim().toLowerCase() }, { replace: true });
});
byId("with-destroyed").addEventListener("change", (event) => turn({ ...state.view, destroyed: event.target.checked }));
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
for (const [link, target] of [["skip", "overview"], ["skip-list", "side"]]) {
  byId(link).addEventListener("click", (event) => {
    // The address is that of the view.
    event.preventDefault();
    byId(target).focus();
  });
}
byId("detail").addEventListener("click", (event) => {
  if (event.target.id !== "detail-close") return;
  event.preventDefault();
  close();
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
setInterval(() => document.hidden || show(), EACH);

byId("empty-example").textContent =
  `spec:\n  stateHub:\n    url: ${location.origin}\n    token: env:STATE_HUB_TOKEN`;
readAddress();
showControls();
open();
