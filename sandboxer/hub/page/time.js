// Times for display.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** A span of milliseconds in at most two units: 3 d 4 h, 1 h 59 min, 12 min, 42 s. */
export function span(milliseconds) {
  const left = Math.max(0, milliseconds);
  if (left >= DAY) return two(left, DAY, "d", HOUR, "h");
  if (left >= HOUR) return two(left, HOUR, "h", MINUTE, "min");
  if (left >= MINUTE) return `${Math.floor(left / MINUTE)} min`;
  return `${Math.floor(left / SECOND)} s`;
}

function two(left, large, largeName, small, smallName) {
  const rest = Math.floor((left % large) / small);
  return `${Math.floor(left / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

/** The distance to an expiry: a text, and whether the expiry is near or past. */
export function ending(at, now) {
  const left = Date.parse(at) - now;
  // Of a time that is past, the larger unit says enough.
  if (left <= 0) return { text: `expired ${span(-left).split(" ", 2).join(" ")} ago`, state: "over" };
  return { text: `in ${span(left)}`, state: left < HOUR ? "soon" : "later" };
}

/** The time of an event; with the day if that is not today. */
export function clock(at, now) {
  const moment = new Date(at);
  const today = moment.toDateString() === new Date(now).toDateString();
  return today ? CLOCK.format(moment) : `${DATE.format(moment)}, ${CLOCK.format(moment)}`;
}

/** Date and time with the zone. */
export function full(at) {
  return FULL.format(new Date(at));
}
