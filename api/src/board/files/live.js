// Listens for changes, asks the API what is so then, and says how old its last answer is.

import { doubt, tick } from './draw.js';

/** Without an answer for so long, what is shown counts for nothing. */
const OLD = 10_000;
const PATIENCE = 8_000;
/** How old things are is written so often. */
const PACE = 500;
/** While a stream tells of changes, asking shows that the API is there, and renews what no event is about. */
const CALM = 5_000;
/** Without a stream. */
const BUSY = 1_000;
/** A stream that the API refused is asked for again after so long: there may be a place then. */
const LATER = 15_000;

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** What the API says below `path`. */
export async function ask(path, options) {
  const answer = await fetch(path, { cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(PATIENCE), ...options });
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, Object.values(body || {})[0]?.message || `The API answers with ${answer.status}.`);
  return Object.values(body)[0];
}

let heard = performance.now();
let said = '';
let trouble = '';
let timer = null;
let looker = null;
let wanted = null;
let onTurn = () => {};
let stream = null;
let later = 0;
/** Whether changes are told: `null` before anybody was asked. */
let live = null;

function age(silent) {
  if (wanted === null) return '';
  const seconds = Math.round(silent / 1000);
  if (silent >= OLD) return `✗ no answer for ${seconds} s`;
  return `${live === null ? '' : live ? 'live, ' : 'not live, '}seen ${seconds} s ago`;
}

function look() {
  const silent = performance.now() - heard;
  const badge = document.getElementById('age');
  const alarm = document.getElementById('alarm');
  const stale = wanted !== null && silent >= OLD;
  badge.textContent = age(silent);
  badge.classList.toggle('old', stale);
  const text = stale ? `The API does not answer${trouble ? `: ${trouble}` : ''}. What is below was so ${Math.round(silent / 1000)} s ago; how it is now is not known.` : '';
  // A reader for the blind tells an alert again when its text changes: so it says no seconds but at the beginning.
  if (stale !== doubt.stale || !stale) alarm.textContent = text;
  alarm.hidden = !stale;
  if (stale !== doubt.stale) {
    doubt.stale = stale;
    said = '';
    onTurn();
  }
  tick();
  // Not a moment after the answer is too old, and often enough for ages in seconds.
  clearTimeout(looker);
  looker = setTimeout(look, silent < OLD ? Math.min(PACE, OLD - silent) : PACE);
}
looker = setTimeout(look, PACE);

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
  const hear = () => {
    if (stream !== mine) return;
    live = true;
    wanted?.soon();
  };
  // A stream begins with how it is now, so nothing was missed before.
  mine.addEventListener('situation', hear);
  mine.addEventListener('unknown', hear);
  mine.addEventListener('error', () => {
    if (stream !== mine) return;
    live = false;
    // It ended, and the browser connects again by itself; after 401 and 503 it does not.
    if (mine.readyState === EventSource.CLOSED) {
      hush(false);
      later = performance.now() + LATER;
    }
    wanted?.soon();
  });
}

/** What a page shows is asked for at once, as after a change that it made itself. */
export const soon = () => wanted?.soon();

/** Asks for what a page shows, and draws it when it has changed; ends what was asked before. `pace` is for what changes without an event. */
export function follow({ read, draw, refused, turned, pace }) {
  clearTimeout(timer);
  let asking = false;
  let missed = false;
  let next = 0;
  const mine = {};
  wanted = mine;
  heard = performance.now();
  said = '';
  trouble = '';
  doubt.stale = false;
  onTurn = turned || (() => {});
  const again = async () => {
    if (wanted !== mine || asking) return;
    asking = true;
    missed = false;
    let pause = BUSY;
    const began = performance.now();
    try {
      const told = await read();
      if (wanted !== mine) return;
      heard = performance.now();
      trouble = '';
      listen();
      look();
      if (live) pause = pace?.(told) || CALM;
      const text = JSON.stringify(told);
      if (text !== said) {
        said = text;
        draw(told);
      }
    } catch (error) {
      if (wanted !== mine) return;
      if (error instanceof Refused && error.status < 500) {
        if (refused(error)) return;
        heard = performance.now();
      } else {
        trouble = error instanceof Refused ? error.message.replace(/\.$/, '') : '';
        // Whoever does not answer at all tells nothing either, even where nobody said that the stream is over.
        if (!(error instanceof Refused)) hush(false);
      }
    }
    asking = false;
    // A region whose answer takes long to make is asked less often, also when much happens there.
    const rest = Math.min(5_000, 5 * (performance.now() - began));
    next = performance.now() + rest;
    clearTimeout(timer);
    if (wanted === mine) timer = setTimeout(again, missed ? rest : document.hidden ? 9_000 : Math.max(pause, rest));
  };
  mine.soon = () => {
    missed = true;
    if (asking) return;
    clearTimeout(timer);
    timer = setTimeout(again, Math.max(0, next - performance.now()));
  };
  again();
}

export function rest() {
  wanted = null;
  clearTimeout(timer);
  hush(null);
  doubt.stale = false;
  look();
}

document.addEventListener('visibilitychange', () => {
  // Streams are few, and nobody looks.
  if (document.hidden) hush(null);
  else wanted?.soon();
});
