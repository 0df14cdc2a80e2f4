// Now, hosts, instances, one of them explained, and history.

import { ago, commands, day, doubt, el, link, many, mark, none, span, swap, table } from './draw.js';
import { headroom } from './forecast.js';
import { ask, soon } from './live.js';
import { acts, freezes, freezing, mayAct, ofARecovery, thawOf } from './words.js';

const KINDS = ['protected', 'degraded', 'unknown', 'unprotected', 'down', 'not_meant'];
const total = (counts) => KINDS.reduce((sum, kind) => sum + (counts?.[kind] || 0), 0);

/** Facts grow older between two answers; how old they are is counted here. */
async function situation() {
  const told = await ask('api/situation');
  doubt.ahead = Date.parse(told.at) - Date.now();
  delete told.at;
  for (const fact of told.facts) delete fact.age_seconds;
  for (const one of [...told.engines, ...told.monitors]) delete one.signed_at;
  // What can be pressed is drawn too.
  told.act = mayAct();
  return told;
}

/** How many of those that are down belong to hosts whose recovery goes on by itself. */
function recovered(told) {
  const hosts = new Set(told.recoveries.filter((one) => one.kind === 'host' && one.life === 'open' && !one.waits?.needs_person && one.waits?.for !== 'frozen').map((one) => one.host));
  const down = told.hosts.reduce((sum, one) => sum + (hosts.has(one.name) ? one.instances?.down || 0 : 0), 0);
  return Math.max(0, down - told.needs_person.instances.filter((one) => hosts.has(one.host)).length);
}

function sentence(told) {
  const counts = told.instances;
  if (!counts) return 'Nobody has listed the instances yet: nothing is known of them';
  const parts = [];
  const back = recovered(told);
  const who = back === counts.down ? ',' : `, ${back} of them`;
  if (counts.down) parts.push(`${counts.down === 1 ? '1 instance is' : `${counts.down} instances are`} down${back ? `${who} being brought back by a recovery` : ''}`);
  const waiting = told.needs_person.instances.length + told.needs_person.recoveries.length;
  if (waiting) parts.push(waiting === 1 ? '1 thing waits for you' : `${waiting} things wait for you`);
  const meant = total(counts) - counts.not_meant;
  if (counts.unprotected) parts.push(`${counts.unprotected} of ${many(meant, 'instance')} unprotected`);
  if (counts.unknown) parts.push(`too little is known of ${many(counts.unknown, 'instance')}`);
  if (parts.length) return parts.join('; ');
  return doubt.stale ? 'How it is now is not known' : `${counts.protected + counts.degraded} of ${many(meant, 'instance')} would run again if their host died`;
}

function finding(one, listed) {
  const about = one.subjects.slice(0, 12);
  return el('article', { class: `card ${one.grade}` },
    el('div', { class: 'row' }, mark(one.grade), el('b', null, one.code), one.instances ? el('span', null, many(one.instances, 'instance')) : null,
      one.since ? el('span', { class: 'soft end' }, ago(one.since)) : null),
    el('div', null, one.text),
    one.code.startsWith('HOST') && about.length ? el('div', { class: 'soft' }, about.map((name) => [link('host', name), ' ']), one.subjects.length > about.length ? `and ${one.subjects.length - about.length} more` : null) : null,
    commands([one.fix]), acts(thawOf(one, listed)));
}

function underway(one, waits) {
  const over = one.life === 'watching';
  return el('article', { class: 'card' },
    el('div', { class: 'row' }, one.waits?.held ? mark('err', 'held') : mark('busy', over ? 'watching' : 'running'),
      link('recovery', one.id, `${one.kind} ${one.host}`), el('span', { class: 'end soft' }, one.instances ? `${one.back} of ${many(one.instances, 'instance')} back, ${one.in_flight} under way` : over ? 'no instances' : 'its instances are not listed yet')),
    one.instances ? el('progress', { max: one.instances, value: one.back, 'aria-label': `instances of ${one.host} that are back` }) : null,
    one.message ? el('div', { class: 'soft' }, one.message) : null,
    // One that waits for a person has its buttons above.
    waits ? null : acts(ofARecovery(one.id, one.host, one.life, one.waits)));
}

function waiting(told) {
  const { recoveries, instances } = told.needs_person;
  return [
    ...recoveries.map((one) => el('article', { class: 'card err' }, el('div', { class: 'row' }, mark('err', 'held'),
      link('recovery', one.recovery, `the recovery of ${one.host}`), one.waits ? ago(one.waits.since) : null), commands(one.commands), acts(ofARecovery(one.recovery, one.host, 'open', one.waits)))),
    ...instances.map((one) => el('article', { class: 'card err' }, el('div', { class: 'row' }, mark('err', 'waits'),
      link('instance', one.instance, one.name), el('span', { class: 'soft' }, `of ${one.host}`), one.waits ? ago(one.waits.since) : null), commands(one.commands))),
  ];
}

/** No sign of good or bad where there is none; and what was good before the API fell silent is not so now. */
function tileMark(kind, count) {
  const name = kind.replace('_', ' ');
  if (!count) return mark('info', name);
  return doubt.stale && kind === 'protected' ? mark('unknown', `${name} before`) : mark(kind, name);
}

const WHAT = { computes: "Nova's services", instances: "Nova's instances", tests: 'fence devices', rooms: 'room on hosts' };

export const nowPage = () => ({
  async read() {
    const told = await situation();
    return { ...told, freezes: await freezes(told.findings) };
  },
  draw(place, told) {
    const wait = waiting(told);
    swap(place,
      el('h1', null, mark(told.grade), ' ', sentence(told)),
      told.instances ? el('div', { class: 'tiles' }, KINDS.map((kind) => el('div', { class: 'tile' }, el('b', null, told.instances[kind]),
        tileMark(kind, told.instances[kind])))) : null,
      wait.length ? [el('h2', null, 'Waits for a person'), wait] : null,
      told.recoveries.length ? [el('h2', null, 'Recoveries'), told.recoveries.map((one) => underway(one, told.needs_person.recoveries.some((waits) => waits.recovery === one.id)))] : null,
      el('h2', null, 'Findings'), told.findings.length ? told.findings.map((one) => finding(one, told.freezes)) : none(),
      el('h2', null, 'Segments'), table(['segment', 'method', 'hosts at work', 'N+k', 'protected', ...(told.act ? [''] : [])], told.segments.map((one) => [
        one.enabled ? one.name : [one.name, ' ', mark('warn', 'disabled')], one.recovery_method, `${one.working} of ${one.hosts.length}`,
        one.enabled && !told.not_assessed.includes('room') ? headroom(one.headroom, one.headroom_exact) : '',
        one.instances ? `${one.instances.protected + one.instances.degraded} of ${total(one.instances)}${doubt.stale ? ' (was)' : ''}` : mark('unknown'),
        ...(told.act ? [acts(freezing('segment', one.id, one.name))] : [])]), none()), acts(freezing('region')),
      el('h2', null, 'What this rests on'), table(['what', 'seen', 'counts'], [
        ...told.facts.map((one) => [WHAT[one.kind] || one.kind, ago(one.as_of), one.fresh ? mark('ok', 'fresh') : mark('unknown', 'too old, or never seen')]),
        ...told.engines.map((one) => [`engine ${one.name}`, `since ${day(one.started_at)}`, one.alive ? mark('ok', 'alive') : mark('err', 'silent')])]),
      el('p', { class: 'soft' }, `Hosts are proven off: ${told.fencing}.`));
  },
});

function nova(host) {
  if (host.up === null) return mark('unknown');
  return host.up ? mark('ok', 'up') : mark('err', 'silent');
}

const FLAGS = 'R under recovery, F frozen, M on maintenance, P waits for a person, N not meant to be recovered';

/** What `tachi status` and `tachi mon` flag. */
function flags(one, home, waiting) {
  const set = [home?.recovery && home.life !== 'closed', one.reasons.includes('FROZEN'), home?.on_maintenance, waiting.has(one.name), !one.segment || one.reasons.includes('SEGMENT_DISABLED')];
  return el('code', { class: 'whole', title: FLAGS }, set.map((is, i) => (is ? 'RFMPN'[i] : '.')).join(''));
}

/** The worst of the monitors that have signed on a host. */
function watched(name, monitors) {
  const own = monitors.filter((one) => one.host === name);
  const worst = ['err', 'unknown', 'warn', 'ok'].find((grade) => own.some((one) => one.grade === grade));
  return own.length ? mark(worst || 'unknown', own.map((one) => one.kind).join(', ')) : mark('unknown', 'never signed');
}

const worked = (level) => (level ? mark(level.good ? 'ok' : 'err', level.good ? 'works' : 'fails') : '');

export function hostsPage() {
  let told = null;
  let place = null;
  const filter = el('input', { type: 'search', id: 'filter', 'aria-label': 'Show only hosts with this in their name, segment or state', placeholder: 'name, segment or state', oninput: () => rows() });
  const rows = () => {
    if (!told) return;
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const homes = new Map(told.segments.flatMap((one) => one.hosts).map((one) => [one.name, one]));
    const waiting = new Set([...told.needs_person.recoveries, ...told.needs_person.instances].map((one) => one.host));
    const dead = (one) => homes.get(one.name)?.life === 'open';
    const isWanted = (one) => words.every((word) => `${one.name} ${one.segment || 'no segment'} ${one.protection} ${one.reasons.join(' ')} ${homes.get(one.name)?.recovery ? 'recovery dead' : ''}`.toLowerCase().includes(word));
    const shown = told.hosts.filter(isWanted);
    const levels = [...new Set(told.hosts.flatMap((one) => one.levels.map((level) => level.level)))].sort((a, b) => a - b);
    swap(place, el('p', { class: 'soft' }, `${shown.length} of ${many(told.hosts.length, 'host')}. Flags: ${FLAGS}.`), table(['state', 'flags', 'host', 'segment', 'Nova', 'monitors', ...levels.map((level) => `level ${level}`), 'instances', 'why', 'recovery'], shown.map((one) => {
      const home = homes.get(one.name);
      return [dead(one) ? mark('down', 'dead: being recovered') : mark(one.protection, one.protection.replace('_', ' ')), flags(one, home, waiting), link('host', one.name), one.segment || mark('warn', 'none'), nova(one), watched(one.name, told.monitors),
        ...levels.map((level) => worked(one.levels.find((each) => each.level === level))), one.instances ? total(one.instances) : mark('unknown'), one.reasons.join(', '),
        home?.recovery ? link('recovery', home.recovery, home.life) : ''];
    })));
  };
  return {
    head: [el('h1', null, 'Hosts'), el('div', { class: 'filter' }, filter)],
    read: situation,
    draw(to, answer) {
      [place, told] = [to, answer];
      rows();
    },
  };
}

export function instancesPage() {
  const field = el('input', { type: 'search', id: 'instance', 'aria-label': 'Name or id of an instance', placeholder: 'name or id of an instance' });
  const form = el('form', { class: 'filter', onsubmit: (event) => {
    event.preventDefault();
    if (field.value.trim()) location.hash = `#/instance/${encodeURIComponent(field.value.trim())}`;
  } }, field);
  return {
    head: [el('h1', null, 'Instances'), form],
    read: () => ask('api/instances'),
    draw(place, told) {
      swap(place, el('h2', null, 'Being recovered, or waiting for a person'), table(['instance', 'of', 'to', 'waits for', 'recovery'], told.map((one) => [
        link('instance', one.instance, one.name), one.host, one.to || '', one.waits ? [one.waits.needs_person ? mark('err', one.waits.for) : one.waits.for, commands(one.commands)] : '',
        link('recovery', one.recovery, one.life)]), none()));
    },
  };
}

function need(one, listed) {
  const grade = one.holds === null ? 'unknown' : one.holds ? 'ok' : 'err';
  const word = one.holds === null ? 'not known' : one.holds ? 'holds' : 'does not hold';
  return el('article', { class: `card ${grade}` }, el('div', { class: 'row' }, mark(grade, word), el('b', null, one.need),
    one.assessed ? null : el('span', { class: 'soft' }, 'not all of it is looked at')), one.findings.map((found) => [el('div', null, mark(found.grade), ' ', found.text), commands([found.fix]), acts(thawOf(found, listed))]));
}

function room({ room: seen }) {
  if (!seen || seen.hosts === null) return null;
  return el('p', { class: 'card' }, `It fits on ${seen.hosts} of ${many(seen.of, 'host')} that Nova may choose, if nothing else moves (Placement seen `, ago(seen.as_of), ').');
}

/** What became of an instance in recoveries and drains. */
const moves = (past) => [el('h2', null, 'Its moves'), table(['opened', 'from', 'to', 'state', 'down', 'recovery'], past.map((one) => [
  ago(one.opened_at), one.instance?.from || one.host, one.instance?.to || '', one.instance?.status || '', lasted(one.instance?.down_seconds), link('recovery', one.recovery, `${one.kind} ${one.host}`)]), none('It was never moved, as far as is kept.'))];

export const explainPage = (what) => (name) => {
  // What has passed changes with a recovery alone, whose page tells it: it is asked once.
  let past = null;
  return {
    async read() {
      const told = await ask(`api/${what}/${encodeURIComponent(name)}/explanation`);
      const listed = await freezes(told.flatMap((one) => one.needs.flatMap((need) => need.findings)));
      past ||= await Promise.all(told.map((one) => (one.id ? ask(`api/recoveries?all=true&limit=50&instance=${one.id}`) : null)));
      return { told, listed, past, act: mayAct() };
    },
    draw(place, { told, listed, past: passed }) {
      swap(place, told.map((one, i) => [
        el('h1', null, mark(one.protection, one.protection.replace('_', ' ')), ' ', one.name),
        el('p', { class: 'row' }, one.id ? el('span', { class: 'soft' }, one.id) : null, one.host ? el('span', null, 'on ', link('host', one.host)) : null,
          one.segment ? el('span', null, `segment ${one.segment}`) : null, one.kind === 'host' ? el('span', null, 'Nova: ', nova(one)) : null, one.left ? el('span', null, `left where it is: ${one.left}`) : null,
          one.recovery ? link('recovery', one.recovery, 'its recovery') : null, one.kind === 'host' && one.segment ? link('forecast', one.name, 'if it died now') : null),
        one.commands.length ? el('div', { class: 'card' }, 'To do', commands(one.commands)) : null,
        el('h2', null, 'What a recovery needs'), one.needs.map((each) => need(each, listed)), room(one),
        // Of a host in no segment nothing is fenced or moved.
        one.kind === 'instance' ? acts(freezing('instance', one.id, one.name)) : one.segment ? acts(freezing('host', one.name, one.name)) : null,
        passed[i] ? moves(passed[i]) : null]));
    },
  };
};

export function historyPage() {
  let limit = 50;
  return {
    head: [el('h1', null, 'History')],
    read: () => ask(`api/recoveries?all=true&downtime=true&limit=${limit}`),
    draw(place, told) {
      const more = el('button', { type: 'button', onclick: () => {
        limit = Math.min(1000, limit + 200);
        more.disabled = true;
        soon();
      } }, 'Show more');
      swap(place, table(['opened', 'of', 'state', 'instances', 'down in all', 'report', 'text'], told.map((one) => [
        ago(one.opened_at), link('recovery', one.recovery, `${one.kind} ${one.host}`), state(one),
        `${one.moves.succeeded} of ${one.moves.total} back${one.moves.failed ? `, ${one.moves.failed} failed` : ''}`, lasted(one.moves.succeeded ? one.down_seconds : null), reports(one.recovery), one.message || '']), none('No recovery yet.')),
      told.length === limit && limit < 1000 ? more : null);
    },
  };
}

/** Instance-seconds, or how long one was down. */
export const lasted = (seconds) => (seconds === null || seconds === undefined ? '' : el('span', { class: 'whole', title: `${seconds} s` }, seconds < 60 ? `${seconds.toFixed(1)} s` : span(seconds)));

/** The report of a recovery, to keep. */
export const reports = (id) => el('span', { class: 'whole' }, ['html', 'md'].map((format) => [el('a', { href: `api/recoveries/${id}/report?format=${format}`, download: `recovery-${id}.${format}` }, format), ' ']));

export function state(one) {
  if (one.waits?.held) return mark('err', 'held');
  const grade = { finished: 'ok', failed: 'err', error: 'err' }[one.status] || (one.life === 'closed' ? 'info' : 'busy');
  return mark(grade, one.life === 'closed' ? one.status : `${one.life}, ${one.status}`);
}
