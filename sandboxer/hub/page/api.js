// The hub's API. The token is sent in a header to keep it out of addresses and logs.

const LIMIT = 10_000;

/** A failed request; status 0 means no response. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The headers of a request. */
export function headers(token, more = {}) {
  return { Authorization: `Bearer ${token}`, ...more };
}

/** The URL of an API path, with the parameters that have a value, or several. */
export function address(path, parameters = {}) {
  const url = new URL(path, new URL(".", document.baseURI));
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined) url.searchParams.append(name, String(one));
    }
  }
  return url;
}

/** Return the JSON response of an address. Throw Refused on failure, or without a response within ten seconds. */
export async function get(token, path, parameters) {
  let response;
  try {
    response = await fetch(address(path, parameters), {
      headers: headers(token, { Accept: "application/json" }),
      signal: AbortSignal.timeout(LIMIT),
    });
    if (response.ok) return await response.json();
  } catch (error) {
    throw new Refused(0, String(error.message ?? error));
  }
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, problem.detail ?? response.statusText);
}

/** All events of a sandbox, oldest first. */
export async function eventsOf(token, sandbox) {
  const events = [];
  let after = null;
  do {
    const page = await get(token, "events", { sandbox, after, limit: 500 });
    events.push(...page.events);
    after = page.next;
  } while (after !== null);
  return events;
}
