// Inserts the pages that the API rendered, in which all outside data is escaped. Updates times, and marks stale states.

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (unit, one, part, other) => `${Math.floor(s / unit)} ${one} ${Math.floor((s % unit) / part)} ${other}`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(60, 'min', 1, 's');
  return s < 86400 ? two(3600, 'h', 60, 'min') : two(86400, 'd', 3600, 'h');
}

/** Offset of the API's clock from the browser's, in ms. */
let ahead = 0;

/** Records the API's clock. It has whole seconds, so a difference below two seconds is ignored. */
export function set(clock) {
  const now = Date.parse(clock) - Date.now();
  if (Math.abs(now - ahead) > 2_000) ahead = now;
}

const from = (at) => (Date.parse(at) - Date.now() - ahead) / 1000;

/** Formats a date and time like ISO 8601 in the browser's zone; the Swedish locale has this format. */
export const day = (at) => new Date(at).toLocaleString('sv-SE');

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Escapes hidden and direction-changing characters, like the commands. */
export const plain = (text) => text.replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

const TIMES = {
  age: (at) => span(-from(at)),
  ago: (at) => `${span(-from(at))} ago`,
  until: (at) => (from(at) > 0 ? `in ${span(from(at))}` : 'now'),
  clock: (at) => new Date(at).toLocaleTimeString('sv-SE'),
  day,
};

/** Renders all times. */
export function tick() {
  for (const node of document.querySelectorAll('time')) {
    const text = TIMES[node.dataset.kind](node.dateTime);
    if (node.textContent !== text) node.textContent = text;
    node.title ||= node.dateTime;
  }
}

const SYMBOLS = { ok: '●', info: '●', warn: '!', unknown: '?', err: '✗' };

/** Shows the region's state in the title and icon, and the user. */
export function state(stale) {
  const region = document.getElementById('state')?.dataset;
  if (!region) return;
  const grade = stale ? 'unknown' : region.grade;
  const waits = region.waits === '0' ? '' : ` ${region.waits}`;
  document.title = `${SYMBOLS[grade]}${waits} · ${document.body.dataset.title} · Tachi`;
  document.querySelector('link[rel=icon]').href = `icon-${grade === 'info' ? 'ok' : grade}.svg`;
  const who = document.getElementById('who');
  who.textContent = region.who;
  who.title = `Roles: ${region.roles}`;
}

/** Marks all good states as unknown, because the API has not answered for too long. */
export function markStale(place) {
  for (const node of place.querySelectorAll('.good, .mark.ok, .mark.protected')) {
    node.className = 'mark unknown';
    node.textContent = '? unknown';
  }
}

/** The active filters and the sort column. They survive a new rendering. */
const pressed = new Set();
let order = null;

const valueOf = ({ cells }, at) => cells[at].dataset.value || cells[at].textContent.replace(/^[●·…!✗?] /, '');

/** Sorts the table by the chosen column; the default is the server's order, the worst first. */
function sort(place) {
  const heads = [...place.querySelectorAll('th[data-sort]')];
  const at = heads.findIndex((head) => head.textContent === order?.by);
  if (at < 0) return;
  heads[at].setAttribute('aria-sort', order.down ? 'descending' : 'ascending');
  const body = heads[at].closest('table').tBodies[0];
  const { compare } = new Intl.Collator('en', { numeric: true });
  const rows = [...body.rows].sort((a, b) => compare(valueOf(a, at), valueOf(b, at)));
  body.append(...(order.down ? rows.reverse() : rows));
}

/** Handles a click on a filter or on a column head. */
export function choose({ dataset: { chip }, textContent: by }) {
  if (chip && !pressed.delete(chip)) pressed.add(chip);
  if (!chip) order = { by, down: order?.by === by && !order.down };
}

/** Hides rows that lack a word of the search field or match none of the active filters. */
export function filterRows() {
  const words = (document.getElementById('filter')?.value || '').toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.querySelectorAll('tr[data-search]')];
  for (const chip of document.querySelectorAll('[data-chip]')) chip.ariaPressed = pressed.has(chip.dataset.chip);
  const passes = ({ tags }) => !pressed.size || tags.split(' ').some((tag) => pressed.has(tag));
  const has = ({ search }) => words.every((word) => search.includes(word));
  for (const row of rows) row.hidden = !passes(row.dataset) || !has(row.dataset);
  const shown = document.getElementById('shown');
  if (shown) shown.textContent = rows.filter((row) => !row.hidden).length;
}

const keyOf = (node) => node.getAttribute('href') || node.dataset.key;

/** Replaces the page; the focus stays on the same link or button. */
export function swap(place, html) {
  const at = place.contains(document.activeElement) && keyOf(document.activeElement);
  const open = [...place.querySelectorAll('details[open]')].map((node) => node.dataset.key);
  place.innerHTML = html;
  for (const node of place.querySelectorAll('details')) node.open = open.includes(node.dataset.key);
  sort(place);
  tick();
  filterRows();
  if (at) [...place.querySelectorAll('a, button')].find((node) => keyOf(node) === at)?.focus({ preventScroll: true });
}

/** Copies a template, and returns its parts by tag or class name. */
export function copy(template, ...names) {
  const root = document.getElementById(template).content.cloneNode(true);
  return names.map((name) => root.querySelector(name));
}
