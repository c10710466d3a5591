// The hub's stream, read with fetch: EventSource cannot send the token in a header.

import { address, headers } from "./api.js";

// The hub sends something at least every 15 seconds.
const SILENCE = 40_000;
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;

/**
 * Follow the stream until stopped; reconnect after an interruption.
 *
 * `state` is called with "connecting", "live", "offline" (and the time of the next attempt) or "refused", which is final;
 * `message` with the kind and the data of each message; `lost` if the hub does not recognize the cursor.
 */
export class Stream {
  #token;
  #on;
  #cursor = null;
  #stop = null;
  #wake = () => {};

  constructor(token, { state, message, lost }) {
    this.#token = token;
    this.#on = { state, message, lost };
  }

  start() {
    if (this.#stop !== null) return;
    this.#stop = new AbortController();
    this.#follow(this.#stop.signal);
  }

  stop() {
    this.#stop?.abort();
    this.#stop = null;
    this.#wake();
  }

  /** Reconnect now instead of waiting. */
  retry() {
    this.#wake();
  }

  async #follow(stopped) {
    let wait = FIRST_WAIT;
    while (!stopped.aborted) {
      this.#on.state("connecting");
      try {
        const outcome = await this.#once(stopped);
        if (outcome === "refused") {
          this.#stop = null;
          this.#on.state("refused");
          return;
        }
        if (outcome === "ended") wait = FIRST_WAIT;
      } catch {
        // Any failure leads to the next attempt, which the page announces.
      }
      if (stopped.aborted) return;
      // Spread the reconnects of many pages after a restart of the hub.
      const pause = wait * (0.75 + Math.random() / 2);
      this.#on.state("offline", Date.now() + pause);
      await this.#pause(pause);
      wait = Math.min(wait * 2, LONGEST_WAIT);
    }
  }

  /** One connection. Return "refused", "lost", or "ended" after a successful one. */
  async #once(stopped) {
    const broken = new AbortController();
    const giveUp = () => broken.abort();
    stopped.addEventListener("abort", giveUp);
    let silence = setTimeout(giveUp, SILENCE);
    try {
      const response = await fetch(address("stream"), {
        headers: headers(this.#token, this.#cursor === null ? {} : { "Last-Event-ID": this.#cursor }),
        cache: "no-store",
        signal: broken.signal,
      });
      if (response.status === 401) return "refused";
      if (response.status === 400 && this.#cursor !== null) {
        this.#cursor = null;
        this.#on.lost();
        return "lost";
      }
      if (!response.ok) throw new Error(response.statusText);
      this.#on.state("live");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return "ended";
        clearTimeout(silence);
        silence = setTimeout(giveUp, SILENCE);
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        parts.forEach((part) => this.#take(part));
      }
    } finally {
      clearTimeout(silence);
      stopped.removeEventListener("abort", giveUp);
      broken.abort();
    }
  }

  #take(part) {
    const message = { id: null, event: "", data: "" };
    for (const line of part.split("\n")) {
      const colon = line.indexOf(":");
      const name = line.slice(0, colon);
      if (name in message) message[name] = line.slice(colon + 1).trimStart();
    }
    if (message.id !== null) this.#cursor = message.id;
    if (message.event) this.#on.message(message.event, JSON.parse(message.data));
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
