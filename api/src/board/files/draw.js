// Puts pages in place, as the API has made them: in them nothing that came from outside is HTML. Writes what goes on by
// itself: times, and what nobody knows any more.

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (unit, one, part, other) => `${Math.floor(s / unit)} ${one} ${Math.floor((s % unit) / part)} ${other}`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(60, 'min', 1, 's');
  return s < 86400 ? two(3600, 'h', 60, 'min') : two(86400, 'd', 3600, 'h');
}

/** By how much the API's clock is ahead of ours, in ms. */
let ahead = 0;

/** What the API's clock shows. Whole seconds are told, so less than two of them are no difference. */
export function set(clock) {
  const now = Date.parse(clock) - Date.now();
  if (Math.abs(now - ahead) > 2_000) ahead = now;
}

const from = (at) => (Date.parse(at) - Date.now() - ahead) / 1000;

/** A time with its day as ISO 8601 has it, by the browser's clock: the Swedish write it so. */
export const day = (at) => new Date(at).toLocaleString('sv-SE');

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A text in which no character is hidden or reverses it, as the commands write it. */
export const plain = (text) => text.replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

const TIMES = {
  age: (at) => span(-from(at)),
  ago: (at) => `${span(-from(at))} ago`,
  until: (at) => (from(at) > 0 ? `in ${span(from(at))}` : 'now'),
  clock: (at) => new Date(at).toLocaleTimeString('sv-SE'),
  day,
};

/** Writes every time anew. */
export function tick() {
  for (const node of document.querySelectorAll('time')) {
    const text = TIMES[node.dataset.kind](node.dateTime);
    if (node.textContent !== text) node.textContent = text;
    node.title ||= node.dateTime;
  }
}

const SIGNS = { ok: '●', info: '●', warn: '!', unknown: '?', err: '✗' };

/** The state of the region in the title and in the icon, and who looks at it, as the page tells. */
export function state(stale) {
  const told = document.getElementById('state')?.dataset;
  if (!told) return;
  const grade = stale ? 'unknown' : told.grade;
  const waits = told.waits === '0' ? '' : ` ${told.waits}`;
  document.title = `${SIGNS[grade]}${waits} · ${document.body.dataset.title} · Tachi`;
  document.querySelector('link[rel=icon]').href = `icon-${grade === 'info' ? 'ok' : grade}.svg`;
  const who = document.getElementById('who');
  who.textContent = told.who;
  who.title = `Roles: ${told.roles}`;
}

/** Nothing counts as good any more: the API has been silent for too long. */
export function doubt(place) {
  for (const node of place.querySelectorAll('.good, .mark.ok, .mark.protected')) {
    node.className = 'mark unknown';
    node.textContent = '? unknown';
  }
}

/** The filters that are pressed, and the column that the table is sorted by: they outlive what is drawn again. */
const pressed = new Set();
let order = null;

const valueOf = ({ cells }, at) => cells[at].dataset.value || cells[at].textContent.replace(/^[●·…!✗?] /, '');

/** Sorts the table as it was asked to, else leaves it as it came: the worst first. */
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

/** A click on a filter, or on the head of a column. */
export function choose({ dataset: { chip }, textContent: by }) {
  if (chip && !pressed.delete(chip)) pressed.add(chip);
  if (!chip) order = { by, down: order?.by === by && !order.down };
}

/** Shows only the rows that have all the words of the field above them, and pass one of the pressed filters. */
export function sift() {
  const words = (document.getElementById('filter')?.value || '').toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.querySelectorAll('tr[data-search]')];
  for (const chip of document.querySelectorAll('[data-chip]')) chip.ariaPressed = pressed.has(chip.dataset.chip);
  const passes = ({ tags }) => !pressed.size || tags.split(' ').some((tag) => pressed.has(tag));
  const has = ({ search }) => words.every((word) => search.includes(word));
  for (const row of rows) row.hidden = !passes(row.dataset) || !has(row.dataset);
  const shown = document.getElementById('shown');
  if (shown) shown.textContent = rows.filter((row) => !row.hidden).length;
}

const named = (node) => node.getAttribute('href') || node.dataset.key;

/** Puts a page in the place of what is there; whoever stands on a link or a button stays on it. */
export function swap(place, html) {
  const at = place.contains(document.activeElement) && named(document.activeElement);
  const open = [...place.querySelectorAll('details[open]')].map((node) => node.dataset.key);
  place.innerHTML = html;
  for (const node of place.querySelectorAll('details')) node.open = open.includes(node.dataset.key);
  sort(place);
  tick();
  sift();
  if (at) [...place.querySelectorAll('a, button')].find((node) => named(node) === at)?.focus({ preventScroll: true });
}

/** A new copy of a template of the page, and the parts of it that have a class or a tag by their names. */
export function copy(template, ...names) {
  const root = document.getElementById(template).content.cloneNode(true);
  return names.map((name) => root.querySelector(name));
}
