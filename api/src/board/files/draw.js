// Makes pieces of a page. All text goes in as text: nothing that came from outside is ever read as HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** What the marks mean, for those who do not see colours. */
const SIGNS = {
  ok: '●', protected: '●', info: '·', not_meant: '·', busy: '…', warn: '!', degraded: '!', err: '✗', unprotected: '✗', down: '✗', unknown: '?',
};
const WORDS = { err: 'error', warn: 'warning', not_meant: 'not meant', ok: 'ok' };
const GOOD = ['ok', 'protected'];

/** Whether the API has not answered for so long that nothing counts as good any more; and what its clock shows beside ours. */
export const doubt = { stale: false, ahead: 0 };

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

export const el = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** A grade as a sign and a word. */
export function mark(grade, word) {
  const good = GOOD.includes(grade);
  const shown = doubt.stale && good ? 'unknown' : grade in SIGNS ? grade : 'unknown';
  const text = doubt.stale && good ? 'unknown' : word || WORDS[grade] || grade;
  return el('span', { class: `mark ${shown}` }, `${SIGNS[shown]} ${text}`);
}

/** A link to a page; what stands in it may be anything. */
export const link = (page, name, text) => el('a', { href: `#/${page}/${encodeURIComponent(name)}` }, text || name);

export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const since = (at) => span((Date.now() + doubt.ahead - Date.parse(at)) / 1000);

/** So long ago; goes on by itself. */
export function ago(at) {
  return at ? el('time', { datetime: at, title: new Date(at).toString(), 'data-ago': at }, `${since(at)} ago`) : 'never';
}

const ahead = (at) => {
  const seconds = (Date.parse(at) - Date.now() - doubt.ahead) / 1000;
  return seconds > 0 ? `in ${span(seconds)}` : 'now';
};

/** In so long; goes on by itself. */
export function until(at) {
  return at ? el('time', { datetime: at, title: new Date(at).toString(), 'data-until': at }, ahead(at)) : '';
}

export function clock(at) {
  return at ? el('time', { datetime: at, title: at }, new Date(at).toLocaleTimeString([], { hour12: false })) : '';
}

export function tick() {
  for (const node of document.querySelectorAll('time[data-ago]')) node.textContent = `${since(node.dataset.ago)} ago`;
  for (const node of document.querySelectorAll('time[data-until]')) node.textContent = ahead(node.dataset.until);
}

/** A time with its day, as the browser's clock shows it. */
export const day = (at) => new Date(at).toLocaleString([], { hour12: false });

export const many = (n, one) => `${n} ${one}${n === 1 ? '' : 's'}`;

/** What stands where there is nothing to tell; whether that is so now nobody knows while the API is silent. */
export const none = (text = 'None.') => el('p', { class: 'card' }, doubt.stale ? mark('unknown') : text);

/** A table that folds into cards on a narrow screen; without rows, `empty`. */
export function table(heads, rows, empty) {
  if (!rows.length && empty) return empty;
  const cells = (row) => row.map((cell, i) => el('td', { 'data-head': heads[i], class: cell && ['text', 'result', 'why'].includes(heads[i]) ? 'text' : null }, cell));
  return el('div', { class: 'wide' }, el('table', { class: 'fold' },
    el('thead', null, el('tr', null, heads.map((head) => el('th', { scope: 'col' }, head)))),
    el('tbody', null, rows.map((row) => el('tr', null, cells(row))))));
}

/** Commands to type. */
export const commands = (list) => list.filter(Boolean).map((text) => el('span', { class: 'do' }, el('code', null, text)));

const named = (node) => node.getAttribute('href') || node.getAttribute('data-key');

/** Puts nodes in the place of what is there; whoever stands on a link or a button stays on it. */
export function swap(place, ...nodes) {
  const at = place.contains(document.activeElement) ? named(document.activeElement) : null;
  place.replaceChildren(...nodes.flat(9).filter((node) => node instanceof Node));
  if (at) [...place.querySelectorAll('a, button')].find((node) => named(node) === at)?.focus({ preventScroll: true });
}
