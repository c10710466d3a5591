// How a port of a sandbox is reached: by a link, or by a command if only the sandbox's host reaches it.

import { byId, el, text } from "./dom.js";

// A command is offered only for names and addresses that no shell reads as anything else.
const NAME = /^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$/;
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const IPV6 = /^[0-9a-f:]{2,45}$/i;
const LOOPBACK = /^(127\.|::1$|localhost$|0\.0\.0\.0$|::$)/;

/**
 * What a port is: its URL as a link, or as text with the commands that open it.
 * @param {{ name: string, host: string }} sandbox
 * @param {object} way one entry of a handle's `reachability`, of any content
 */
export function waysTo(sandbox, way) {
  const url = String(way.url ?? "");
  const address = String(way.address ?? hostOf(url)).replace(/^\[|\]$/g, "");
  const local = way.via === "tunnel" || LOOPBACK.test(address) || !address;
  // Link only http(s) URLs: a handle comes from outside and may contain any address.
  if (!local && /^https?:\/\//i.test(url)) return { url, link: true, note: "", commands: [] };
  const commands = [];
  const forward = commandTo("forward", sandbox.name, String(way.name));
  if (forward) commands.push({ text: forward, note: "in a clone of the fleet" });
  const port = way.via === "tunnel" ? way.port : (way.host_port ?? way.port);
  const there = IPV4.test(address) ? address : IPV6.test(address) ? `[${address}]` : "";
  if (NAME.test(sandbox.host) && there && isPort(port)) {
    const here = isPort(way.port) && way.port > 1023 ? way.port : 8000 + (port % 1000);
    commands.push({ text: `ssh -N -L ${here}:${there}:${port} ${sandbox.host}`, note: `without Sandboxer, then localhost:${here}` });
  }
  const note = way.via === "tunnel" ? "reachable from its host only" : "on its host's loopback";
  return { url, link: false, note, commands };
}

/** A command of Sandboxer with these names; null if a shell could read one as anything else. */
export function commandTo(command, ...names) {
  return names.every((name) => NAME.test(name)) ? ["sandboxer", command, ...names].join(" ") : null;
}

function isPort(value) {
  return Number.isInteger(value) && value > 0 && value < 65536;
}

function hostOf(url) {
  try {
    return new URL(url).hostname;
  } catch {
    return "";
  }
}

/** The element of a port. */
export function newWay(sandbox, way) {
  const { url, link, note, commands } = waysTo(sandbox, way);
  const where = link ? el("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, url) : el("code", {}, url);
  return el(
    "li",
    {},
    el("div", { class: "way" }, el("strong", {}, String(way.name ?? "")), where, el("span", { class: "quiet" }, note)),
    ...commands.map(({ text: command, note }) => newCommand(command, note)),
  );
}

/** The element of a command: its text, a button that copies it, and a note. */
export function newCommand(command, note) {
  return el("div", { class: "command" }, el("code", {}, command), copyButton(command), el("span", { class: "quiet" }, note));
}

function copyButton(words) {
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy ${words}` }, "Copy");
  button.addEventListener("click", async () => {
    const done = await copy(words);
    text(button, done ? "Copied" : "Not copied");
    text(byId("news"), done ? "Copied" : "The browser does not allow this page to copy");
    setTimeout(() => text(button, "Copy"), 2000);
  });
  return button;
}

async function copy(words) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    // Without TLS, browsers have a clipboard for the loopback alone.
    const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = words;
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return done;
  }
}
