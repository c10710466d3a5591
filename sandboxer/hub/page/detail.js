// The details of a sandbox: facts, reachable ports, open drift and timeline.

import { attribute, byId, el, keyed, text } from "./dom.js";
import { commandTo, newCommand, newWay } from "./reach.js";
import { clock, full } from "./time.js";
import { difference, failureLine, phaseMark, servicesOf, setEnds, setPhase, setStale, setWord } from "./words.js";

const PHASE = "dev.sandboxer.sandbox.";
const TITLES = {
  "dev.sandboxer.drift.detected": "drift detected",
  "dev.sandboxer.drift.resolved": "drift resolved",
  "dev.sandboxer.journal.gap": "earlier events were lost",
};

/**
 * Shows the sandbox that is selected, or hides the panel.
 * @param {{ selected: object | null, sandbox: object | null, events: object[] | null, problem: string }} state
 */
export function showDetail(state) {
  const panel = byId("detail");
  panel.hidden = state.selected === null;
  attribute(document.body, "data-detail", state.selected !== null);
  if (state.selected === null) {
    panel.replaceChildren();
    return;
  }
  if (!byId("detail-name")) panel.replaceChildren(...frame());
  const { sandbox } = state;
  attribute(panel, "data-sandbox", state.selected.id);
  text(byId("detail-name"), sandbox?.name ?? state.selected.id);
  setPhase(panel.querySelector(".phase"), sandbox?.phase);
  byId("detail-known").hidden = !sandbox;
  text(byId("detail-reason"), sandbox?.reason ? sentence(sandbox.reason) : "");
  if (sandbox) {
    showCause(sandbox);
    showFacts(sandbox);
    showServices(sandbox);
    showInput(sandbox);
    showWays(sandbox);
  }
  showTimeline(state);
}

function frame() {
  return [
    el(
      "header",
      { class: "detail-head" },
      el("h2", { id: "detail-name", tabindex: "-1" }),
      phaseMark(null),
      el("a", { id: "detail-close", href: "#", class: "close" }, "Close"),
    ),
    el(
      "div",
      { id: "detail-known" },
      el("p", { id: "detail-reason", class: "quiet" }),
      el(
        "section",
        { class: "cause", id: "cause", "aria-labelledby": "cause-title" },
        el("h3", { id: "cause-title" }, "Cause"),
        el("p", { id: "cause-about" }),
        // It may be scrolled, from the keyboard too.
        el("pre", { id: "cause-message", tabindex: "0", role: "region", "aria-label": "Message" }),
        el("p", { id: "cause-hint" }),
        el("div", { id: "cause-text" }),
      ),
      el("dl", { class: "facts", id: "facts" }),
      el("h3", {}, "Services"),
      el("ul", { class: "services-list", id: "services" }),
      el("p", { class: "quiet", id: "services-text" }),
      el("div", { id: "detail-input" }, el("h3", {}, "Commits"), el("dl", { class: "facts wide", id: "input" })),
      el("h3", {}, "Ports"),
      el("ul", { class: "ways", id: "ways" }),
      el("p", { class: "quiet", id: "ways-none" }),
      el(
        "div",
        { id: "detail-drift" },
        el("h3", {}, "Open drift"),
        el("ul", { class: "differences", id: "differences" }),
      ),
    ),
    el("h3", {}, "Timeline"),
    el("p", { class: "quiet", id: "timeline-text" }),
    el("ol", { class: "timeline", id: "timeline" }),
  ];
}

function showCause({ error, name }) {
  byId("cause").hidden = !error;
  if (!error) return;
  const at = error.at ? clock(error.at, Date.now()) : "";
  const words = [error.code, error.step && `step ${error.step}`, error.service && `service ${error.service}`, at];
  text(byId("cause-about"), words.filter(Boolean).join(" · "));
  text(byId("cause-message"), error.message ?? "");
  byId("cause-message").hidden = !error.message;
  text(byId("cause-hint"), error.hint ? `Hint: ${error.hint}` : "");
  // The output behind it stays on the host.
  const whole = commandTo("get", name);
  keyed(byId("cause-text"), whole ? [whole] : [], (words) => words, (words) => newCommand(words, "shows its whole text"), () => {});
}

function showServices(sandbox) {
  const services = sandbox.phase === "destroyed" ? [] : servicesOf(sandbox);
  keyed(byId("services"), services, (one) => JSON.stringify(one), newService, () => {});
  const since = sandbox.registered_at ? `As registered ${clock(sandbox.registered_at, Date.now())}.` : "";
  text(byId("services-text"), services.length ? since : "No services reported.");
}

function newService({ name, words, tone, image, restarts }) {
  const again = restarts ? `${restarts} ${restarts === 1 ? "restart" : "restarts"}` : "";
  return el(
    "li",
    { "data-service": name },
    el("strong", {}, name),
    el("span", { class: "word", "data-tone": tone }, words),
    again ? el("span", { class: "quiet" }, again) : null,
    image ? el("code", { class: "quiet image" }, String(image)) : null,
  );
}

function showInput(sandbox) {
  const { repo, ref, commit } = sandbox.inputs ?? {};
  const facts = [
    ["Input", repo],
    ["Ref", ref],
    ["Commit", commit],
    ["Fleet's commit", sandbox.commit],
  ].filter(([, value]) => value);
  byId("detail-input").hidden = facts.length === 0;
  keyed(
    byId("input"),
    facts,
    ([name]) => name,
    ([name]) => el("div", {}, el("dt", {}, name), el("dd", {}, el("code"))),
    (node, [, value]) => text(node.querySelector("code"), String(value)),
  );
}

function showFacts(sandbox) {
  const handle = sandbox.handle;
  const gone = sandbox.phase === "destroyed";
  const facts = [
    ["Fleet", sandbox.fleet],
    ["Host", sandbox.host],
    ["Profile", sandbox.profile],
    ["For", sandbox.consumer],
    ["Sync", (node) => setRegistered(node, sandbox, sandbox.sync)],
    ["Health", (node) => setRegistered(node, sandbox, sandbox.health)],
    ["Created", handle?.created_at ? (node) => setTime(node, handle.created_at) : null],
    ["Expires", gone ? null : (node) => setEnds(node, sandbox.expires_at)],
    ["ID", sandbox.id],
    ["Life", sandbox.uid.slice(0, 12)],
    ["Labels", Object.entries(sandbox.labels ?? {}).map(([key, value]) => `${key}=${value}`).join("\n")],
  ].filter(([, value]) => value);
  keyed(
    byId("facts"),
    facts,
    ([name]) => name,
    ([name]) => el("div", { "data-fact": name }, el("dt", {}, name), el("dd", {}, el("span", { class: "word" }))),
    (node, [, value]) => {
      const place = node.querySelector("dd > span");
      if (typeof value === "function") value(place);
      else text(place, value);
    },
  );
}

function showWays(sandbox) {
  const { handle, drift, name, host } = sandbox;
  const ways = sandbox.phase === "destroyed" ? [] : (handle?.reachability ?? []);
  keyed(byId("ways"), ways, (way) => JSON.stringify([name, host, way]), (way) => newWay(sandbox, way), () => {});
  byId("ways-none").hidden = ways.length > 0;
  text(byId("ways-none"), handle ? "No reachable ports." : "No ports reported yet.");
  byId("detail-drift").hidden = drift.length === 0;
  keyed(byId("differences"), drift, (one) => JSON.stringify(one), difference, () => {});
}

function setRegistered(node, sandbox, word) {
  setWord(node, word);
  setStale(node, sandbox);
}

function setTime(node, at) {
  if (node.firstElementChild?.dateTime === at) return;
  node.replaceChildren(el("time", { datetime: at, title: full(at) }, clock(at, Date.now())));
}

function showTimeline({ events, problem }) {
  const list = byId("timeline");
  const newestFirst = events === null ? [] : [...events].sort(inOrder).reverse();
  const none = events === null ? "Loading …" : "No events yet.";
  text(byId("timeline-text"), problem || (newestFirst.length ? "" : none));
  byId("timeline-text").hidden = !problem && events !== null && events.length > 0;
  const hosts = new Set(newestFirst.map((event) => event.data.host)).size;
  keyed(list, newestFirst, (event) => event.id, (event) => newEvent(event, hosts > 1), () => {});
  // The heading above the events of an earlier life.
  newestFirst.forEach((event, index) => {
    const later = newestFirst[index - 1];
    attribute(list.children[index], "data-life", later && later.data.uid !== event.data.uid ? "An earlier life" : null);
  });
}

/** By time, and within one moment by number, for the clocks of two runners may differ by less than that. */
function inOrder(one, other) {
  if (one.data.uid === other.data.uid) return (one.data.number ?? 0) - (other.data.number ?? 0);
  return Date.parse(one.time) - Date.parse(other.time);
}

function newEvent(event, withHost) {
  const { type } = event;
  const step = type.startsWith(PHASE);
  // The hub checks the data of the types that it knows.
  const data = step || Object.hasOwn(TITLES, type) ? event.data : {};
  const phase = type.slice(PHASE.length);
  const from = step && data.from_phase ? el("span", { class: "quiet" }, `${data.from_phase} → `) : null;
  const title = el("strong", {}, step ? phase : (TITLES[type] ?? type));
  const parts = [sentence(data.reason ?? ""), withHost && data.host ? `on ${data.host}` : ""].filter(Boolean).join(", ");
  const commit = data.commit ? el("code", { title: data.commit }, data.commit.slice(0, 8)) : null;
  return el(
    "li",
    { "data-event": event.id, "data-phase": step ? phase : null, "data-type": type },
    el("span", { class: "mark", "aria-hidden": "true" }),
    el("span", { class: "step" }, from, title),
    el("time", { datetime: event.time, title: full(event.time) }, clock(event.time, Date.now())),
    el("p", { class: "quiet" }, parts, parts && commit ? " · " : null, commit),
    data.error ? el("p", { class: "event-cause" }, failureLine(data.error)) : null,
    data.drift?.length ? el("ul", { class: "differences" }, ...data.drift.map(difference)) : null,
  );
}

/** A reason such as `create_because_absent` in plain words. */
function sentence(reason) {
  return /^[a-z_]+$/.test(reason) ? reason.replaceAll("_", " ") : reason;
}
