// A recovery: its timeline, what proved the host off, its instances and its story.

import { ago, clock, commands, el, link, mark, none, span, svg, swap, table } from './draw.js';
import { ask } from './live.js';
import { lasted, reports, state } from './pages.js';
import { acts, mayAct, ofARecovery } from './words.js';

/** More bars than this nobody reads; the table below has all. */
const BARS = 150;
const ROW = 32;
const at = (time) => Date.parse(time);

const GRADES = { succeeded: ['ok', 'back'], failed: ['err', 'failed'], ignored: ['info', 'left'], ongoing: ['busy', 'under way'], pending: ['busy', 'to come'] };
const fared = (one) => mark(...(GRADES[one.status] || ['unknown', one.status || 'unknown']));

/** What is drawn: a line for each task, with the proofs, and one for each instance. */
function lines(told) {
  const tasks = new Map();
  for (const step of told.steps) {
    const known = tasks.get(step.task) || { label: step.task.replaceAll('_', ' '), from: at(step.at), to: at(step.at), kind: '', dots: [] };
    known.from = Math.min(known.from, at(step.at));
    known.to = Math.max(known.to, at(step.at));
    tasks.set(step.task, known);
  }
  const proofs = told.proofs.map((one) => ({ label: `◆ proof ${one.number}: ${one.from}`, from: at(one.at), to: at(one.at), kind: 'proof', sign: '◆' }));
  const moved = told.instances.filter((one) => one.asked_at).slice(0, BARS).map((one) => ({
    label: `${one.status === 'succeeded' ? '●' : one.status === 'failed' ? '✗' : '…'} ${one.name}${one.to ? ` → ${one.to}` : ''}`,
    from: at(one.asked_at), to: one.over_at ? at(one.over_at) : null, kind: { succeeded: 'ok', failed: 'err' }[one.status] || 'busy',
  }));
  return [...tasks.values(), ...proofs, ...moved].sort((a, b) => a.from - b.from);
}

function timeline(told, width) {
  const all = lines(told);
  if (!all.length) return el('p', { class: 'card' }, 'Nothing is journalled yet.');
  const begin = Math.min(at(told.opened_at), ...all.map((one) => one.from));
  const latest = Math.max(begin + 1000, begin + told.elapsed_seconds * 1000 * (told.life === 'open' ? 1 : 0), ...all.map((one) => one.to || one.from));
  const x = (time) => 10 + ((time - begin) / (latest - begin)) * (width - 50);
  const height = all.length * ROW + 34;
  const parts = Math.max(2, Math.min(8, Math.floor(width / 130)));
  const ticks = Array.from({ length: parts + 1 }, (_, i) => begin + ((latest - begin) * i) / parts);
  const label = (time) => ((latest - begin) < 20_000 ? `${((time - begin) / 1000).toFixed(1)} s` : span((time - begin) / 1000));
  return svg('svg', { class: 'time', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Timeline over ${span((latest - begin) / 1000)}; the tables below say the same` },
    ticks.map((time) => [svg('line', { class: 'tick', x1: x(time), x2: x(time), y1: 20, y2: height }), svg('text', { class: 'soft', x: x(time), y: 14, 'text-anchor': time === begin ? 'start' : 'middle' }, label(time))]),
    all.map((one, i) => {
      const y = 24 + i * ROW;
      const wide = Math.max(4, x(one.to || latest) - x(one.from));
      const right = x(one.from) > width / 2;
      const most = Math.max(12, Math.floor((right ? x(one.from) + wide : width - x(one.from)) / 7));
      const text = one.label.length > most ? `${one.label.slice(0, most - 1)}…` : one.label;
      return svg('g', null, svg('title', null, `${one.label}: from ${label(one.from)}${one.to ? ` to ${label(one.to)}` : ', under way'}`),
        svg('text', { x: right ? x(one.from) + wide : x(one.from), y: y + 11, 'text-anchor': right ? 'end' : 'start' }, text),
        svg('rect', { class: `bar ${one.kind}`, x: x(one.from), y: y + 15, width: wide, height: 9, rx: 2 }));
    }));
}

/** How often Nova was asked: each failure, and the one that is under way or went well. */
const tries = (one) => (one.failures || 0) + (one.asked_at && ['ongoing', 'succeeded'].includes(one.status) ? 1 : 0) || '';

/** The words about the recovery, and those about its instances. */
function said(told) {
  const names = new Map(told.instances.map((one) => [one.id, one.name]));
  return [
    ...(told.words.length || !told.word ? told.words : [told.word]).map((one) => [clock(one.at), one.by, one.word]),
    ...told.instance_words.map((one) => ['', one.by, [`${one.word}${one.on ? ` on ${one.on}` : ''} of `, link('instance', one.instance, names.get(one.instance))]]),
    ...told.instances.filter((one) => one.seen_to).map((one) => ['', one.seen_to, ['seen to ', link('instance', one.id, one.name)]]),
  ];
}

export const recoveryPage = (name) => ({
  // Its steps are no events.
  pace: (told) => (told.life === 'open' ? 1_000 : 0),
  async read() {
    const told = await ask(`api/recoveries/${encodeURIComponent(name)}`);
    if (told.life !== 'open') delete told.elapsed_seconds;
    told.act = mayAct();
    return told;
  },
  draw(place, told) {
    told.elapsed_seconds ||= 0;
    const counts = told.moves;
    swap(place,
      el('h1', null, state(told), ' ', `${told.kind} `, link('host', told.host)),
      el('div', { class: 'card' },
        el('div', { class: 'row' }, el('span', null, 'opened ', ago(told.opened_at)), el('span', null, `${counts.succeeded} of ${counts.total} instances back`),
          counts.failed ? mark('err', `${counts.failed} failed`) : null, el('span', { class: 'soft' }, told.recovery)),
        counts.total ? el('progress', { max: counts.total, value: counts.succeeded, 'aria-label': 'instances that are back' }) : null,
        el('div', null, 'Waits for ', told.waits_for),
        told.message ? el('div', { class: 'soft' }, told.message) : null,
        el('div', { class: 'soft' }, 'Report: ', reports(told.recovery)), commands([`tachi recovery show ${told.recovery}`]), acts(ofARecovery(told.recovery, told.host, told.life, told.waits))),
      el('h2', null, 'Timeline'), timeline(told, Math.max(300, Math.min(1150, place.clientWidth || 800))),
      el('h2', null, 'What proved the host off'), table(['when', 'from', 'read by', 'kind', 'text'], told.proofs.map((one) => [clock(one.at), one.from, one.by, one.kind, one.readings.map((line) => el('div', null, line))]), none('Nothing yet.')),
      el('h2', null, 'Instances'), table(['instance', 'state', 'from', 'to', 'asked', 'over', 'tries', 'down', 'text'], told.instances.map((one) => [
        link('instance', one.id, one.name), fared(one), one.from || '', one.to || '', clock(one.asked_at), clock(one.over_at), tries(one), lasted(one.down_seconds), one.message || '']), none('None are known.')),
      el('h2', null, 'Who said what'), table(['when', 'who', 'word'], said(told), none('Nobody has said anything.')),
      el('h2', null, 'Story'), table(['when', 'task', 'kind', 'text'], told.steps.map((one) => [clock(one.at), one.task, one.kind, one.text])));
  },
});
