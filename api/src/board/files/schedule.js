// What engines do by the clock: when last, what came of it, and when next.

import { ago, commands, el, mark, span, swap, table, until } from './draw.js';
import { ask } from './live.js';

const NAMES = { devices: 'fence devices' };

/** Times are not broken; names and what came of it are. */
const whole = (cell, i) => (i === 0 || i === 4 || cell === '' ? cell : el('span', { class: 'whole' }, cell));
const result = (one) => (one.grade ? [mark(one.grade), ' ', one.result] : one.result);
const took = (one) => (one.took_seconds === null ? '' : one.took_seconds < 1 ? 'under 1 s' : span(one.took_seconds));

export const schedulePage = () => ({
  read: () => ask('api/schedule'),
  draw(place, told) {
    swap(place,
      table(['job', 'when', 'last', 'took', 'result', 'next'], told.map((one) => [
        el('b', null, NAMES[one.job] || one.job), one.when || 'by hand', ago(one.last_at), took(one), result(one), until(one.next_at)].map(whole)), el('p', { class: 'card' },
        'Nothing is done by the clock. Written into the configuration, engines do it:', commands(['[schedule] doctor = daily 03:00']))),
      el('p', { class: 'soft' }, 'Times of the clock are those of the API that answers. To have one of them done now, type on a controller:', commands(['tachi schedule run doctor'])));
  },
  head: [el('h1', null, 'Schedule')],
});
