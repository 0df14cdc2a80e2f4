// Whether there is room for what hosts lose.

import { ago, doubt, el, link, many, mark, none, swap, table } from './draw.js';
import { ask, soon } from './live.js';

/** How many hosts are lost together, at most, in the table. */
const LOST = [1, 2, 3, 4];
/** So many hosts of a segment are told one by one. */
const TOLD = 100;

const WORST = ['short', 'unknown', 'tight'];
const GRADES = { enough: 'ok', tight: 'warn', short: 'err', unknown: 'unknown' };
const WORDS = { enough: 'room', tight: 'no promise', short: 'no room', unknown: 'not known' };

const room = (word) => mark(GRADES[word] || 'unknown', WORDS[word] || word);

/** How many hosts of a segment may be lost: a number, with a plus if it may be more. */
export function headroom(hosts, exact) {
  if (hosts === null || doubt.stale) return mark('unknown', hosts === null ? 'not known' : 'not known now');
  return `${hosts}${exact ? '' : '+'}`;
}

/** So many hosts lost at once. */
function lost(one, hosts) {
  if (hosts > one.hosts.length) return '';
  if (one.headroom === null) return room('unknown');
  if (hosts <= one.headroom) return room('enough');
  if (hosts === 1) return room(one.worst.room);
  return one.exact ? room('tight') : room('unknown');
}

function then(one) {
  if (!one.instances && one.room === 'enough') return 'nothing has to move';
  if (one.room === 'enough') return `${one.instances === 1 ? 'its instance finds' : `all ${one.instances} find`} a place`;
  return [el('b', null, one.instance), one.room === 'short' ? ' lacks ' : ': ', one.short_of];
}

function segment(one) {
  const bad = one.hosts.filter((host) => host.room !== 'enough').sort((a, b) => WORST.indexOf(a.room) - WORST.indexOf(b.room));
  const good = one.hosts.length - bad.length;
  return [
    el('h2', null, one.segment),
    bad.length ? table(['host', 'if it died now', 'instances', 'text'], bad.slice(0, TOLD).map((host) => [link('host', host.lost[0]), room(host.room), host.instances, then(host)])) : null,
    bad.length > TOLD ? el('p', { class: 'soft' }, `and ${bad.length - TOLD} more: tachi forecast -f json`) : null,
    el('p', { class: 'card' }, good ? [room('enough'), ` for the instances of ${bad.length ? '' : 'each of '}${many(good, bad.length ? 'other host' : 'host')}`] : mark('unknown', 'no host of it can be lost')),
  ];
}

/** Where the instances of lost hosts may land. Which of the hosts Nova chooses is not foreseen. */
function landing(all) {
  return [el('h2', null, 'Where they may land'), table(['instance', 'from', 'order', 'fits on', 'such as'], all.slice(0, TOLD).map((one) => [
    link('instance', one.id, one.name), one.from, one.ha_enabled ? 'first (HA_Enabled)' : 'then', one.fits === null ? mark('unknown', `asks for ${one.not_reckoned}`) : one.fits ? `${one.fits} of ${many(one.of, 'host')}` : mark('err', `none of ${many(one.of, 'host')}`),
    one.hosts.map((host) => [link('host', host), ' '])]), none('There is nothing to move.')),
  all.length > TOLD ? el('p', { class: 'soft' }, `and ${all.length - TOLD} more: tachi forecast --lose ... -f json`) : null];
}

export function forecastPage(name) {
  const field = el('input', { value: name, type: 'search', id: 'lose', 'aria-label': 'Hosts of one segment that are lost together, with commas between', placeholder: 'lose compute-1, compute-2' });
  let lose = name;
  const form = el('form', { class: 'filter', onsubmit: (event) => {
    event.preventDefault();
    lose = field.value.trim();
    soon();
  } }, field);
  return {
    head: [el('h1', null, 'Forecast'), form],
    read: async () => {
      const told = await ask(`api/forecast${lose ? `?lose=${encodeURIComponent(lose)}` : ''}`);
      doubt.ahead = Date.parse(told.at) - Date.now();
      delete told.at;
      return told;
    },
    draw(place, told) {
      swap(place,
        told.trouble ? el('p', { class: 'card unknown' }, mark('unknown', 'nothing is known'), ' ', told.trouble) : null,
        told.lost ? el('p', { class: `card ${GRADES[told.lost.room]}` }, `If ${told.lost.lost.join(' and ')} died now: `, room(told.lost.room), ' ', then(told.lost)) : null,
        told.lost && !told.trouble ? landing(told.landing) : null,
        table(['segment', 'N+k', ...LOST.map((hosts) => `${hosts} lost`), 'worst host'], told.segments.map((one) => [
          one.segment, headroom(one.headroom, one.exact), ...LOST.map((hosts) => lost(one, hosts)),
          one.worst ? [link('host', one.worst.lost[0]), ` (${many(one.worst.instances, 'instance')})`] : '']), none('No segment is enabled, so nothing is recovered.')),
        told.segments.map(segment),
        told.unread ? el('p', { class: 'soft' }, `What ${told.unread === 1 ? '1 host has' : `${told.unread} hosts have`} is not read yet: nothing is counted on there.`) : null,
        el('p', { class: 'soft' }, 'An estimate from what was seen ', ago(told.as_of), ': it says no rather than a wrong yes.'));
    },
  };
}
