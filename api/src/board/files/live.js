// Asks the API again and again, and says how old its last answer is.

import { doubt, tick } from './draw.js';

/** Without an answer for so long, what is shown counts for nothing. */
const OLD = 10_000;
const PATIENCE = 8_000;

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
let wanted = null;
let onTurn = () => {};

function look() {
  const silent = performance.now() - heard;
  const badge = document.getElementById('age');
  const alarm = document.getElementById('alarm');
  const stale = wanted !== null && silent >= OLD;
  badge.textContent = wanted === null ? '' : `${stale ? '✗ no answer for' : 'seen'} ${Math.round(silent / 1000)} s${stale ? '' : ' ago'}`;
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
}
setInterval(look, 500);

/** Asks for what a page shows, and draws it when it has changed; ends what was asked before. */
export function follow({ read, draw, refused, turned }) {
  clearTimeout(timer);
  const mine = { read };
  wanted = mine;
  heard = performance.now();
  said = '';
  trouble = '';
  doubt.stale = false;
  onTurn = turned || (() => {});
  const again = async () => {
    if (wanted !== mine) return;
    const began = performance.now();
    try {
      const told = await read();
      if (wanted !== mine) return;
      heard = performance.now();
      trouble = '';
      look();
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
      }
    }
    // A region whose answer takes long to make is asked less often.
    const pause = document.hidden ? 9_000 : Math.max(1_000, Math.min(5_000, 5 * (performance.now() - began)));
    clearTimeout(timer);
    if (wanted === mine) timer = setTimeout(again, pause);
  };
  mine.again = again;
  again();
}

export function rest() {
  wanted = null;
  clearTimeout(timer);
  doubt.stale = false;
  look();
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden || !wanted) return;
  clearTimeout(timer);
  wanted.again();
});
