// Listens for changes, asks the API for the page that is shown, and says how old its last answer is.

import { doubt, set, state, swap, tick } from './draw.js';

/** Without an answer for so long, what is shown counts for nothing. */
const OLD = 10_000;
const PATIENCE = 8_000;
/** A login waits for Keystone, and a freeze for every engine. */
const SAYING = 30_000;
/** How old things are is written so often. */
const PACE = 500;
/** While a stream tells of changes, asking shows that the API is there, and renews what no event is about. */
const CALM = 5_000;
/** Without a stream; and while nobody looks. */
const BUSY = 1_000;
const UNSEEN = 9_000;
/** A stream that the API refused is asked for again after so long: there may be a place then. */
const LATER = 15_000;

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** What the API answers; what it refuses is thrown. */
async function ask(path, patience, options) {
  const signal = AbortSignal.timeout(patience);
  const answer = await fetch(path, { cache: 'no-store', redirect: 'error', signal, ...options });
  if (answer.ok || answer.status === 304) return answer;
  const told = await answer.json().catch(() => null);
  throw new Refused(answer.status, Object.values(told || {})[0]?.message || `The API answers with ${answer.status}.`);
}

/** Says something to the API, as only a page of its own can, and returns what it tells of it. */
export async function tell(path, body) {
  const headers = { 'Content-Type': 'application/json', 'X-Tachi-Board': '1' };
  const answer = await ask(path, SAYING, { method: 'POST', headers, body: JSON.stringify(body) });
  return answer.status === 204 ? null : Object.values(await answer.json())[0];
}

/** What is shown: where it is asked for, where it is put, and as it was told last. */
let wanted = null;
let heard = performance.now();
let trouble = '';
let stale = false;
let timer = null;
let looker = null;
let stream = null;
let later = 0;
/** Whether changes are told: `null` before anybody was asked. */
let live = null;

/** What was told last is put in its place again, in another order. */
export const redraw = () => wanted?.html && swap(wanted.place, wanted.html);

/** What a page shows is asked for at once, as after a change that it made itself. */
export const soon = () => wanted?.soon();

function turn() {
  stale = !stale;
  const alarm = document.getElementById('alarm');
  // Said once: a reader for the blind tells an alert again whenever its text changes.
  alarm.textContent = stale
    ? `The API does not answer${trouble}. What is below was so before; how it is now is not known.` : '';
  alarm.hidden = !stale;
  state(stale);
  if (stale) doubt(wanted.place);
  else if (wanted?.html) swap(wanted.place, wanted.html);
}

function look() {
  const silent = performance.now() - heard;
  const seconds = Math.round(silent / 1000);
  const old = wanted !== null && silent >= OLD;
  const badge = document.getElementById('age');
  const listens = live === null ? '' : live ? 'live, ' : 'not live, ';
  badge.textContent = old ? `✗ no answer for ${seconds} s` : wanted && `${listens}seen ${seconds} s ago`;
  badge.classList.toggle('old', old);
  if (old !== stale) turn();
  tick();
  // Not a moment after the answer is too old, and often enough for ages in seconds.
  clearTimeout(looker);
  looker = setTimeout(look, silent < OLD ? Math.min(PACE, OLD - silent) : PACE);
}

/** Ends the stream: nobody looks, or it may be dead. */
function hush(now) {
  stream?.close();
  stream = null;
  live = now;
  look();
}

/** One stream for the tab, whatever page it shows. Only after an answer: whoever is not logged in gets none. */
function listen() {
  if (stream || document.hidden || performance.now() < later) return;
  const mine = new EventSource('api/events');
  stream = mine;
  const hear = (now) => () => {
    if (stream !== mine) return;
    live = now;
    // It ended, and the browser connects again by itself; after 401 and 503 it does not.
    if (mine.readyState === EventSource.CLOSED) {
      hush(false);
      later = performance.now() + LATER;
    }
    soon();
  };
  // A stream begins with how it is now, so nothing was missed before.
  mine.addEventListener('situation', hear(true));
  mine.addEventListener('unknown', hear(true));
  mine.addEventListener('error', hear(false));
}

/** Puts what is below `path` in a place, and again when it has changed; `refused` tells whether that is the end. */
export function follow(path, place, refused) {
  let asking = false;
  let missed = false;
  let next = 0;
  let tag = '';
  const read = async () => {
    const answer = await ask(path, PATIENCE, { headers: tag ? { 'If-None-Match': tag } : {} });
    const html = answer.status === 304 ? null : await answer.text();
    if (wanted !== mine) return;
    heard = performance.now();
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
        heard = performance.now();
      } else {
        trouble = answered ? `: ${error.message.replace(/\.$/, '')}` : '';
        // Whoever does not answer at all tells nothing either, even where nobody said that the stream is over.
        if (!answered) hush(false);
      }
    }
    asking = false;
    if (wanted !== mine) return;
    // What changes without an event says how soon it is to be asked for again.
    const own = Number(place.querySelector('[data-pace]')?.dataset.pace) || CALM;
    const pause = document.hidden ? UNSEEN : live && !failed ? own : BUSY;
    // A region whose answer takes long to make is asked less often, also when much happens there.
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

/** Another page is shown, or nothing that has to be asked for. */
export function rest(page = null) {
  wanted = page;
  clearTimeout(timer);
  heard = performance.now();
  trouble = '';
  if (page) look();
  else hush(null);
}

document.addEventListener('visibilitychange', () => {
  // Streams are few, and nobody looks.
  if (document.hidden) hush(null);
  else soon();
});
look();
