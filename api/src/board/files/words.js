// What can be said with the board: who may, the buttons, and the dialog that shows the command and what it does before it is said.

import { day, el } from './draw.js';
import { ask, soon } from './live.js';

/** A freeze is answered when every engine has heard of it, which takes ten seconds at most. */
const PATIENCE = 30_000;
const LASTS = { '30m': 1800, '1h': 3600, '2h': 7200, '4h': 14400, '8h': 28800, '24h': 86400 };

let may = false;

/** Whether whoever is logged in may say anything; a reader sees no button. */
export const mayAct = () => may;

/** Asks for it. Tells whether it is otherwise than before. */
export async function learn() {
  const before = may;
  try {
    may = (await ask('rights')).act === true;
  } catch {
    may = false;
  }
  return may !== before;
}

export function forget() {
  may = false;
  document.querySelector('dialog')?.remove();
}

/** A word as a shell takes it for one word, whatever stands in it. */
export function typed(text) {
  return /^[\p{Alphabetic}\p{N}._@:][\p{Alphabetic}\p{N}._@:-]*$/u.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

const why = (reason) => (reason ? ` --reason ${typed(reason)}` : '');
const after = (said) => (said.already ? `This had been said before, as ${said.by}: nothing was written again.` : `Written, as ${said.by}. An engine hears it within a second or two.`);

function ofRecovery(word, label, id, title, about) {
  return {
    key: `${word} ${id}`, label, title, about, reason: true,
    command: ({ reason }) => `tachi recovery ${word} ${id}${why(reason)}`,
    body: ({ reason }) => ({ word: { word, recovery: id, reason } }),
    told: (said) => ['ok', after(said)],
  };
}

/** What can be said of a recovery: `waits` is what it waits for. */
export function ofARecovery(id, host, life, waits) {
  return [
    waits?.ended_by?.includes('approve') ? ofRecovery('approve', 'Approve', id, `Approve the recovery of ${host}`,
      'It looks again and goes on past the guards that it names, and past no others, if what it sees then allows it: the host is fenced, and its instances are started elsewhere.') : null,
    life === 'open' ? ofRecovery('abort', 'Abort', id, `Give the recovery of ${host} up`,
      'Nothing new is begun, what is under way is followed to its end, and it ends as failed. Instances that are down and were not asked for yet stay down.') : null,
  ];
}

function frozen(told) {
  const { freeze } = told;
  const what = freeze.scope === 'region' ? 'Everything' : `${freeze.scope} ${freeze.name}`;
  const bare = told.unprotected === null ? 'How many instances are unprotected meanwhile is not known.' : told.unprotected === 1 ? '1 instance is unprotected meanwhile.' : `${told.unprotected} instances are unprotected meanwhile.`;
  const rest = [bare, ...told.underway, ...told.notes].join(' ');
  if (told.heard) return ['ok', `${what} is frozen until ${day(freeze.until)}${told.already ? ', as you had said before' : ''}: nothing of it is fenced or moved. ${rest}`];
  return ['err', `${what} is frozen, but not every engine has heard of it: touch nothing yet, and say it again. Not heard: ${told.unheard.join(', ')}. ${rest}`];
}

/** Freezes something: `shown` is its name, `name` what it is found by. */
export function freezing(scope, name = '', shown = '') {
  const what = scope === 'region' ? 'everything' : `${scope} ${shown}`;
  const target = scope === 'region' ? '' : ` ${typed(name)}`;
  return {
    key: `freeze ${scope} ${name}`, label: scope === 'region' ? 'Freeze everything' : 'Freeze', title: `Freeze ${what}`, reason: true, lasts: true,
    about: 'Nothing of it is fenced or moved until then. What is reported is kept, and what is dead at the end is recovered then. It ends by itself. What has begun before goes on: the answer names it.',
    command: ({ reason, lasts }) => `tachi freeze ${scope}${target} --for ${lasts}${reason ? why(reason) : ' --reason ...'}`,
    body: ({ reason, lasts }) => ({ freeze: { scope, ...(scope === 'region' ? {} : { name }), lasts_seconds: LASTS[lasts], reason } }),
    told: frozen,
  };
}

/** Ends a freeze as the list shows it. */
export function thawing(freeze) {
  const what = freeze.scope === 'region' ? 'everything' : `${freeze.scope} ${freeze.name}`;
  return {
    key: `thaw ${freeze.number}`, label: 'Thaw', title: `Thaw ${what}`,
    about: `${freeze.by} has frozen it until ${day(freeze.until)} (${freeze.reason}). Whoever works at it may count on that. What waits for the end is looked at at once: a host that is dead by then is fenced, and its instances are started elsewhere.`,
    command: () => thaw(freeze),
    body: () => ({ thaw: { number: freeze.number } }),
    told: () => ['ok', `${what} is thawed. What waits for it is looked at within a second or two.`],
  };
}

const thaw = ({ scope, name }) => `tachi thaw ${scope}${scope === 'region' ? '' : ` ${typed(name)}`}`;

/** What is frozen, if somebody could thaw it and something is. */
export async function freezes(findings) {
  if (!may || !findings.some((one) => one.code === 'FROZEN')) return [];
  const listed = await ask('api/freezes');
  for (const one of listed) delete one.left_seconds;
  return listed;
}

/** Ends the freeze that a finding is about; nothing if that could be several. */
export function thawOf(finding, listed) {
  const own = (listed || []).filter((one) => finding.code === 'FROZEN' && thaw(one) === finding.fix);
  return own.length === 1 ? thawing(own[0]) : null;
}

/** A row of buttons, for whoever may press them. */
export function acts(...list) {
  const wanted = may ? list.flat().filter(Boolean) : [];
  if (!wanted.length) return null;
  return el('div', { class: 'acts' }, wanted.map((one) => el('button', { type: 'button', 'data-key': one.key, 'aria-haspopup': 'dialog', 'aria-label': one.title, onclick: () => open(one) }, `${one.label}…`)));
}

function trouble(error) {
  if (error.status === 401) return 'Nothing was said: you are not logged in any more.';
  if (error.status && error.status < 500) return `Refused: ${error.message}`;
  if (error.status) return error.message;
  return 'The API does not answer: it may have been said or not. What was said is not written twice, so say it again, or look first.';
}

function open(act) {
  document.querySelector('dialog')?.remove();
  let busy = false;
  let over = false;
  const reason = act.reason ? el('input', { name: 'reason', type: 'text', maxlength: 120, required: true, autocomplete: 'off', oninput: () => show() }) : null;
  const lasts = act.lasts ? el('select', { name: 'lasts', onchange: () => show() }, Object.keys(LASTS).map((one) => el('option', { value: one, selected: one === '2h' }, one.replace('m', ' min').replace('h', ' h')))) : null;
  const command = el('code');
  const answer = el('p', { class: 'answer', role: 'alert' });
  const send = el('button', { class: 'main', type: 'submit' }, act.label);
  const leave = el('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
  const values = () => ({ reason: reason?.value.trim(), lasts: lasts?.value });
  const show = () => { command.textContent = act.command(values()); };
  const form = el('form', { onsubmit: async (event) => {
    event.preventDefault();
    if (busy || over) return;
    if (reason && !values().reason) {
      reason.focus();
      return;
    }
    busy = send.disabled = leave.disabled = true;
    answer.className = 'answer';
    answer.textContent = 'Asking the API.';
    let told;
    try {
      const said = await ask('words', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Tachi-Board': '1' }, body: JSON.stringify(act.body(values())), signal: AbortSignal.timeout(PATIENCE) });
      told = act.told(said);
    } catch (error) {
      told = ['err', trouble(error)];
    }
    busy = send.disabled = leave.disabled = false;
    over = told[0] === 'ok';
    answer.className = `answer ${told[0]}`;
    answer.textContent = `${over ? '●' : '✗'} ${told[1]}`;
    if (over) {
      // It is said: what is left to do is to read the answer.
      for (const one of [reason, lasts]) if (one) one.disabled = true;
      send.hidden = true;
      leave.textContent = 'Close';
      leave.focus();
    }
    soon();
  } },
  el('h2', { id: 'asked' }, act.title), el('p', null, act.about),
  lasts ? el('label', null, el('span', null, 'For how long'), lasts) : null,
  reason ? el('label', null, el('span', null, 'Reason, for the audit log'), reason) : null,
  el('p', null, 'The same as', el('span', { class: 'do' }, command)), answer,
  el('div', { class: 'acts' }, send, leave));
  const dialog = el('dialog', { 'aria-labelledby': 'asked', oncancel: (event) => {
    // What is on its way cannot be called back: whoever closes the dialog would not see what came of it.
    if (busy) event.preventDefault();
  }, onclose: () => {
    if (busy) {
      dialog.showModal();
      return;
    }
    dialog.remove();
    // The page may have been drawn anew behind it.
    const back = [...document.querySelectorAll('[data-key]')].find((one) => one.dataset.key === act.key);
    (back || document.getElementById('page')).focus({ preventScroll: true });
  } }, form);
  show();
  document.body.append(dialog);
  dialog.showModal();
  // Not the button: the key that has opened the dialog may still be held.
  (reason || leave).focus();
}
