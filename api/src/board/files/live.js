// Follows the event stream, polls the API for the current page, and shows the age of the last answer.

import { markStale, set, state, swap, tick } from './draw.js';

/** Time without an answer after which the shown page is stale, in ms. */
const STALE_AFTER = 10_000;
/** Timeout of a read, in ms. */
const READ_TIMEOUT = 8_000;
/** Timeout of an action, in ms: a login waits for Keystone, and a freeze for every engine. */
const ACTION_TIMEOUT = 30_000;
/** Interval at which ages are rendered, in ms. */
const RENDER_INTERVAL = 500;
/** Poll interval with a stream, in ms. It shows that the API answers, and refreshes data without events. */
const POLL_INTERVAL = 5_000;
/** Poll interval without a stream, and in a hidden tab, in ms. */
const FAST_POLL_INTERVAL = 1_000;
const HIDDEN_POLL_INTERVAL = 9_000;
/** Retry interval of a refused stream, in ms; the limit of streams may have room then. */
const STREAM_RETRY_DELAY = 15_000;

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Returns the API's answer, and throws if the API refuses the request. */
async function ask(path, timeout, options) {
  const signal = AbortSignal.timeout(timeout);
  const answer = await fetch(path, { cache: 'no-store', redirect: 'error', signal, ...options });
  if (answer.ok || answer.status === 304) return answer;
  const fault = await answer.json().catch(() => null);
  throw new Refused(answer.status, Object.values(fault || {})[0]?.message || `The API answers with ${answer.status}.`);
}

/** Sends an action to the API, with the header that only the board's own page sends, and returns the result. */
export async function submit(path, body) {
  const headers = { 'Content-Type': 'application/json', 'X-Tachi-Board': '1' };
  const answer = await ask(path, ACTION_TIMEOUT, { method: 'POST', headers, body: JSON.stringify(body) });
  return answer.status === 204 ? null : Object.values(await answer.json())[0];
}

/** The current page: its path, its place in the document, and its last HTML. */
let wanted = null;
let answeredAt = performance.now();
let trouble = '';
let stale = false;
let timer = null;
let ticker = null;
let stream = null;
let later = 0;
/** True if the event stream is open; `null` before the first attempt. */
let live = null;

/** Renders the last HTML again, in another order. */
export const redraw = () => wanted?.html && swap(wanted.place, wanted.html);

/** Polls the current page at once, as after an action. */
export const soon = () => wanted?.soon();

function toggleStale() {
  stale = !stale;
  const alarm = document.getElementById('alarm');
  // The text stays constant: a screen reader repeats an alert whenever its text changes.
  alarm.textContent = stale
    ? `The API does not answer${trouble}. The data below is stale; the current state is unknown.` : '';
  alarm.hidden = !stale;
  state(stale);
  if (stale) markStale(wanted.place);
  else if (wanted?.html) swap(wanted.place, wanted.html);
}

function look() {
  const silent = performance.now() - answeredAt;
  const seconds = Math.round(silent / 1000);
  const old = wanted !== null && silent >= STALE_AFTER;
  const badge = document.getElementById('age');
  const listens = live === null ? '' : live ? 'live, ' : 'not live, ';
  badge.textContent = old ? `✗ no answer for ${seconds} s` : wanted && `${listens}seen ${seconds} s ago`;
  badge.classList.toggle('old', old);
  if (old !== stale) toggleStale();
  tick();
  // Runs exactly when the answer becomes stale, and often enough for ages in seconds.
  clearTimeout(ticker);
  ticker = setTimeout(look, silent < STALE_AFTER ? Math.min(RENDER_INTERVAL, STALE_AFTER - silent) : RENDER_INTERVAL);
}

/** Closes the stream: the tab is hidden, or the stream may be dead. */
function closeStream(now) {
  stream?.close();
  stream = null;
  live = now;
  look();
}

/** Opens the tab's only stream. It waits for a first answer, because a user without a login gets no stream. */
function listen() {
  if (stream || document.hidden || performance.now() < later) return;
  const mine = new EventSource('api/events');
  stream = mine;
  const handle = (now) => () => {
    if (stream !== mine) return;
    live = now;
    // The browser reconnects by itself after the end of a stream, but not after 401 and 503.
    if (mine.readyState === EventSource.CLOSED) {
      closeStream(false);
      later = performance.now() + STREAM_RETRY_DELAY;
    }
    soon();
  };
  // A stream starts with the current state, so no earlier change is missed.
  mine.addEventListener('situation', handle(true));
  mine.addEventListener('unknown', handle(true));
  mine.addEventListener('error', handle(false));
}

/** Renders the page at `path` in `place` whenever it changes, until `refused` returns true for an error. */
export function follow(path, place, refused) {
  let asking = false;
  let missed = false;
  let next = 0;
  let tag = '';
  const read = async () => {
    const answer = await ask(path, READ_TIMEOUT, { headers: tag ? { 'If-None-Match': tag } : {} });
    const html = answer.status === 304 ? null : await answer.text();
    if (wanted !== mine) return;
    answeredAt = performance.now();
    trouble = '';
    set(answer.headers.get('date'));
    listen();
    look();
    if (html === null) return;
    tag = answer.headers.get('etag');
    mine.html = html;
    swap(place, html);
    state(stale);
  };
  const again = async () => {
    if (wanted !== mine || asking) return;
    asking = true;
    missed = false;
    const began = performance.now();
    let failed = false;
    try {
      await read();
    } catch (error) {
      if (wanted !== mine) return;
      failed = true;
      const answered = error instanceof Refused;
      if (answered && error.status < 500) {
        tag = mine.html = '';
        if (refused(error)) return;
        answeredAt = performance.now();
      } else {
        trouble = answered ? `: ${error.message.replace(/\.$/, '')}` : '';
        // An API that does not answer sends no events either, even if the stream was not closed.
        if (!answered) closeStream(false);
      }
    }
    asking = false;
    if (wanted !== mine) return;
    // A page that changes without events has its own poll interval.
    const own = Number(place.querySelector('[data-pace]')?.dataset.pace) || POLL_INTERVAL;
    const pause = document.hidden ? HIDDEN_POLL_INTERVAL : live && !failed ? own : FAST_POLL_INTERVAL;
    // A region with slow answers is polled less often, even if it changes a lot.
    const rest = Math.min(5_000, 5 * (performance.now() - began));
    next = performance.now() + rest;
    clearTimeout(timer);
    timer = setTimeout(again, missed ? rest : Math.max(pause, rest));
  };
  const mine = { place, html: '', soon() {
    missed = true;
    if (asking) return;
    clearTimeout(timer);
    timer = setTimeout(again, Math.max(0, next - performance.now()));
  } };
  rest(mine);
  again();
}

/** Switches to another page, or stops polling. */
export function rest(page = null) {
  wanted = page;
  clearTimeout(timer);
  answeredAt = performance.now();
  trouble = '';
  if (page) look();
  else closeStream(null);
}

document.addEventListener('visibilitychange', () => {
  // The number of streams is limited, and the tab is hidden.
  if (document.hidden) closeStream(null);
  else soon();
});
look();
