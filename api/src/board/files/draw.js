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

/** A time with its day, as the browser's clock shows it. */
export const day = (at) => new Date(at).toLocaleString([], { hour12: false });

const TIMES = {
  ago: (at) => `${span(-from(at))} ago`,
  until: (at) => (from(at) > 0 ? `in ${span(from(at))}` : 'now'),
  clock: (at) => new Date(at).toLocaleTimeString([], { hour12: false }),
  day,
};

/** Writes every time anew. */
export function tick() {
  for (const node of document.querySelectorAll('time')) {
    const text = TIMES[node.dataset.kind](node.dateTime);
    if (node.textContent !== text) node.textContent = text;
    node.title ||= new Date(node.dateTime);
  }
}

/** Nothing counts as good any more: the API has been silent for too long. */
export function doubt(place) {
  for (const node of place.querySelectorAll('.good, .mark.ok, .mark.protected')) {
    node.className = 'mark unknown';
    node.textContent = '? unknown';
  }
}

/** Shows only the rows that have all the words of the field above them. */
export function sift() {
  const words = (document.getElementById('filter')?.value || '').toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.querySelectorAll('tr[data-search]')];
  for (const row of rows) row.hidden = !words.every((word) => row.dataset.search.includes(word));
  const shown = document.getElementById('shown');
  if (shown) shown.textContent = rows.filter((row) => !row.hidden).length;
}

const named = (node) => node.getAttribute('href') || node.dataset.key;

/** Puts a page in the place of what is there; whoever stands on a link or a button stays on it. */
export function swap(place, html) {
  const at = place.contains(document.activeElement) && named(document.activeElement);
  place.innerHTML = html;
  tick();
  sift();
  if (at) [...place.querySelectorAll('a, button')].find((node) => named(node) === at)?.focus({ preventScroll: true });
}

/** A new copy of a template of the page, and the parts of it that have a class or a tag by their names. */
export function copy(template, ...names) {
  const root = document.getElementById(template).content.cloneNode(true);
  return names.map((name) => root.querySelector(name));
}
