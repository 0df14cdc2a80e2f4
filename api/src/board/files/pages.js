// Now, hosts, instances, one of them explained, and history.

import { ago, commands, doubt, el, link, mark, swap, table } from './draw.js';
import { headroom } from './forecast.js';
import { ask, soon } from './live.js';
import { acts, freezes, freezing, mayAct, ofARecovery, thawOf } from './words.js';

const KINDS = ['protected', 'degraded', 'unknown', 'unprotected', 'down', 'not_meant'];
const total = (counts) => KINDS.reduce((sum, kind) => sum + (counts?.[kind] || 0), 0);
const many = (n, one) => `${n} ${one}${n === 1 ? '' : 's'}`;

/** Facts grow older between two answers; how old they are is counted here. */
async function situation() {
  const told = await ask('api/situation');
  doubt.ahead = Date.parse(told.at) - Date.now();
  delete told.at;
  for (const fact of told.facts) delete fact.age_seconds;
  for (const engine of told.engines) delete engine.signed_at;
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

function subject(name) {
  return link('host', name);
}

function finding(one, listed) {
  const about = one.subjects.slice(0, 12);
  return el('article', { class: `card ${one.grade}` },
    el('div', { class: 'row' }, mark(one.grade), el('b', null, one.code), one.instances ? el('span', null, many(one.instances, 'instance')) : null,
      one.since ? el('span', { class: 'soft end' }, ago(one.since)) : null),
    el('div', null, one.text),
    one.code.startsWith('HOST') && about.length ? el('div', { class: 'soft' }, about.map((name) => [subject(name), ' ']), one.subjects.length > about.length ? `and ${one.subjects.length - about.length} more` : null) : null,
    commands([one.fix]), acts(thawOf(one, listed)));
}

function underway(one, waits) {
  const over = one.life === 'watching';
  return el('article', { class: 'card' },
    el('div', { class: 'row' }, one.waits?.held ? mark('err', 'held') : mark('busy', over ? 'watching' : 'running'),
      el('a', { href: `#/recovery/${one.id}` }, `${one.kind} ${one.host}`), el('span', { class: 'end soft' }, one.instances ? `${one.back} of ${many(one.instances, 'instance')} back, ${one.in_flight} under way` : over ? 'no instances' : 'its instances are not listed yet')),
    one.instances ? el('progress', { max: one.instances, value: one.back, 'aria-label': `instances of ${one.host} that are back` }) : null,
    one.message ? el('div', { class: 'soft' }, one.message) : null,
    // One that waits for a person has its buttons above.
    waits ? null : acts(ofARecovery(one.id, one.host, one.life, one.waits)));
}

function waiting(told) {
  const { recoveries, instances } = told.needs_person;
  return [
    ...recoveries.map((one) => el('article', { class: 'card err' }, el('div', { class: 'row' }, mark('err', 'held'),
      el('a', { href: `#/recovery/${one.recovery}` }, `the recovery of ${one.host}`), one.waits ? ago(one.waits.since) : null), commands(one.commands), acts(ofARecovery(one.recovery, one.host, 'open', one.waits)))),
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
      el('h2', null, 'Findings'), told.findings.length ? told.findings.map((one) => finding(one, told.freezes)) : el('p', { class: 'card' }, doubt.stale ? mark('unknown') : 'None.'),
      el('h2', null, 'Segments'), told.segments.length ? table(['segment', 'method', 'hosts at work', 'N+k', 'protected', ...(told.act ? [''] : [])], told.segments.map((one) => [
        one.enabled ? one.name : [one.name, ' ', mark('warn', 'disabled')], one.recovery_method, `${one.working} of ${one.hosts.length}`,
        one.enabled && !told.not_assessed.includes('room') ? headroom(one.headroom, one.headroom_exact) : '',
        one.instances ? `${one.instances.protected + one.instances.degraded} of ${total(one.instances)}${doubt.stale ? ' (was)' : ''}` : mark('unknown'),
        ...(told.act ? [acts(freezing('segment', one.id, one.name))] : [])])) : el('p', { class: 'card' }, 'None.'), acts(freezing('region')),
      el('h2', null, 'What this rests on'), table(['what', 'seen', 'counts'], [
        ...told.facts.map((one) => [WHAT[one.kind] || one.kind, ago(one.as_of), one.fresh ? mark('ok', 'fresh') : mark('unknown', 'too old, or never seen')]),
        ...told.engines.map((one) => [`engine ${one.name}`, `since ${new Date(one.started_at).toLocaleString([], { hour12: false })}`, one.alive ? mark('ok', 'alive') : mark('err', 'silent')])]),
      el('p', { class: 'soft' }, `Hosts are proven off: ${told.fencing}.`));
  },
});

function nova(host) {
  if (host.up === null) return mark('unknown');
  return host.up ? mark('ok', 'up') : mark('err', 'silent');
}

export function hostsPage() {
  let told = null;
  let place = null;
  const filter = el('input', { type: 'search', id: 'filter', 'aria-label': 'Show only hosts with this in their name, segment or state', placeholder: 'name, segment or state', oninput: () => rows() });
  const rows = () => {
    if (!told) return;
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const under = new Map(told.segments.flatMap((one) => one.hosts).filter((one) => one.recovery).map((one) => [one.name, one]));
    const isWanted = (one) => words.every((word) => `${one.name} ${one.segment || 'no segment'} ${one.protection} ${one.reasons.join(' ')} ${under.has(one.name) ? 'recovery dead' : ''}`.toLowerCase().includes(word));
    const shown = told.hosts.filter(isWanted);
    swap(place, el('p', { class: 'soft' }, `${shown.length} of ${many(told.hosts.length, 'host')}`), table(['state', 'host', 'segment', 'Nova', 'instances', 'why', 'recovery'], shown.map((one) => {
      const open = under.get(one.name);
      const dead = open && open.life === 'open';
      return [dead ? mark('down', 'dead: being recovered') : mark(one.protection, one.protection.replace('_', ' ')), link('host', one.name), one.segment || mark('warn', 'none'), nova(one),
        one.instances ? total(one.instances) : mark('unknown'), one.reasons.join(', '),
        open ? el('a', { href: `#/recovery/${open.recovery}` }, open.life) : ''];
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
      swap(place, el('h2', null, 'Being recovered, or waiting for a person'), told.length ? table(['instance', 'of', 'to', 'waits for', 'recovery'], told.map((one) => [
        link('instance', one.instance, one.name), one.host, one.dest || '', one.waits ? [one.waits.needs_person ? mark('err', one.waits.for) : one.waits.for, commands(one.commands)] : '',
        el('a', { href: `#/recovery/${one.recovery}` }, one.life)])) : el('p', { class: 'card' }, doubt.stale ? mark('unknown') : 'None.'));
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

export const explainPage = (what) => (name) => ({
  async read() {
    const told = await ask(`api/${what}/${encodeURIComponent(name)}/explanation`);
    const listed = await freezes(told.flatMap((one) => one.needs.flatMap((need) => need.findings)));
    return { told, listed, act: mayAct() };
  },
  draw(place, { told, listed }) {
    swap(place, told.map((one) => [
      el('h1', null, mark(one.protection, one.protection.replace('_', ' ')), ' ', one.name),
      el('p', { class: 'row' }, one.id ? el('span', { class: 'soft' }, one.id) : null, one.host ? el('span', null, 'on ', link('host', one.host)) : null,
        one.segment ? el('span', null, `segment ${one.segment}`) : null, one.kind === 'host' ? el('span', null, 'Nova: ', nova(one)) : null, one.left ? el('span', null, `left where it is: ${one.left}`) : null,
        one.recovery ? el('a', { href: `#/recovery/${one.recovery}` }, 'its recovery') : null),
      one.commands.length ? el('div', { class: 'card' }, 'To do', commands(one.commands)) : null,
      el('h2', null, 'What a recovery needs'), one.needs.map((each) => need(each, listed)), room(one),
      // Of a host in no segment nothing is fenced or moved.
      one.kind === 'instance' ? acts(freezing('instance', one.id, one.name)) : one.segment ? acts(freezing('host', one.name, one.name)) : null]));
  },
});

export function historyPage() {
  let limit = 50;
  return {
    head: [el('h1', null, 'History')],
    read: () => ask(`api/recoveries?all=true&limit=${limit}`),
    draw(place, told) {
      const more = el('button', { type: 'button', onclick: () => {
        limit = Math.min(1000, limit + 200);
        more.disabled = true;
        soon();
      } }, 'Show more');
      swap(place, told.length ? table(['opened', 'of', 'state', 'instances', 'text'], told.map((one) => [
        ago(one.opened_at), el('a', { href: `#/recovery/${one.recovery}` }, `${one.kind} ${one.host}`), state(one),
        `${one.moves.succeeded} of ${one.moves.total} back${one.moves.failed ? `, ${one.moves.failed} failed` : ''}`, one.message || ''])) : el('p', { class: 'card' }, 'No recovery yet.'),
      told.length === limit && limit < 1000 ? more : null);
    },
  };
}

export function state(one) {
  if (one.waits?.held) return mark('err', 'held');
  const grade = { finished: 'ok', failed: 'err', error: 'err' }[one.status] || (one.life === 'closed' ? 'info' : 'busy');
  return mark(grade, one.life === 'closed' ? one.status : `${one.life}, ${one.status}`);
}
