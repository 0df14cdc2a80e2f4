// What is said with the board: the dialog of a button tells first what comes of it, and the command that does the same.

import { copy, day, plain } from './draw.js';
import { soon, tell } from './live.js';

const SECONDS = { m: 60, h: 3600 };

export function forget() {
  document.querySelector('dialog')?.remove();
}

/** A word as a shell takes it for one word, whatever stands in it. */
function typed(text) {
  const plain = /^[\p{Alphabetic}\p{N}._@:][\p{Alphabetic}\p{N}._@:-]*$/u.test(text);
  return plain ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** What the dialog has asked for, as the command takes it. */
function options({ reason, lasts }) {
  const why = reason === undefined ? '' : ` --reason ${reason ? typed(reason) : '...'}`;
  return (lasts ? ` --for ${lasts}` : '') + why;
}

/** The word with it. */
function word(body, { reason, lasts }) {
  const [[key, about]] = Object.entries(body);
  const seconds = lasts && { lasts_seconds: parseInt(lasts, 10) * SECONDS[lasts.at(-1)] };
  return { [key]: { ...about, ...(reason && { reason }), ...seconds } };
}

/** One of several in a dialog. */
function row({ name, about }) {
  const [label, box, text] = copy('row', 'label', 'input', 'span');
  text.textContent = plain(`${name}: ${about}`);
  box.checked = true;
  return label;
}

const scope = (one) => (one.scope === 'region' ? 'everything' : `${one.scope} ${one.name}`);

/** What came of it: whether it was well, and what to tell. */
const CAME = {
  word: ({ already, by }) => [true, already
    ? `Requested before, as ${by}: nothing was written again.`
    : `Requested, as ${by}. An engine acts on it within a second or two.`],
  freeze({ freeze, already, heard, unheard, unprotected, underway, notes }) {
    const number = unprotected === null ? 'how many are is not known' : unprotected;
    const rest = [`Instances that are unprotected meanwhile: ${number}.`, ...underway, ...notes].join(' ');
    const before = already ? ', as requested before' : '';
    return [heard, heard
      ? `${scope(freeze)} is frozen until ${day(freeze.until)}${before}: no fencing, no evacuation. ${rest}`
      : `${scope(freeze)} is frozen, but not every engine has confirmed it: touch nothing yet, and repeat it. `
        + `Not confirmed: ${unheard.join(', ')}. ${rest}`];
  },
  thaw: (freeze) => [true, `${scope(freeze)} is thawed. Waiting work resumes within a second or two.`],
};

function trouble({ status, message }) {
  if (status === 401) return 'Nothing was done: you are not logged in any more.';
  if (status) return status < 500 ? `Refused: ${message}` : message;
  return 'The API does not answer: it may have been done or not. Repeat it, or check first: it is not written twice.';
}

function open({ key: own, label, act }) {
  const { title, about, asks, each } = JSON.parse(act);
  forget();
  const parts = ['dialog', 'form', 'fieldset', 'h2', '.about', 'code', '.answer', '.main', '.leave', '.rows', '.token'];
  const [dialog, form, fields, head, text, shown, answer, send, leave, rows, asked] = copy('word', ...parts);
  // Several are shown each with what is known of it, and each can be left out.
  if (each.length > 1) rows.append(...each.map((one) => row(one)));
  const boxes = [...rows.querySelectorAll('input')];
  const chosen = () => each.filter((_, at) => boxes[at]?.checked ?? true);
  const token = () => (chosen().length === 1 ? chosen()[0].name : `${chosen().length} recoveries`);
  let busy = false;
  head.textContent = title;
  text.textContent = about;
  send.textContent = label;
  for (const one of form.querySelectorAll('label[data-asks]')) if (!asks.includes(one.dataset.asks)) one.remove();
  const { reason, lasts, confirm } = form.elements;
  const values = () => ({ reason: reason?.value.trim(), lasts: lasts?.value });
  form.oninput = () => {
    shown.textContent = chosen().map((one) => plain(one.command + options(values()))).join('\n');
    asked.textContent = `Type ${plain(token())} to confirm`;
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (busy || fields.disabled) return;
    const missing = confirm && confirm.value.trim() !== token() ? confirm : reason && !values().reason && reason;
    if (missing || !chosen().length) {
      missing?.focus();
      answer.textContent = missing === confirm ? `✗ This is not ${plain(token())}.` : '';
      return;
    }
    busy = send.disabled = leave.disabled = true;
    answer.className = 'answer';
    answer.textContent = 'Asking the API.';
    const told = [];
    for (const { name, body } of chosen()) {
      const [key] = Object.keys(body);
      const said = tell('words', word(body, values())).then(CAME[key]);
      const [done, text] = await said.catch((error) => [false, trouble(error)]);
      told.push([done, chosen().length > 1 ? `${name}: ${text}` : text]);
    }
    const well = told.every(([done]) => done);
    const came = plain(told.map(([, text]) => text).join(' '));
    busy = send.disabled = leave.disabled = false;
    answer.classList.add(well ? 'ok' : 'err');
    answer.textContent = `${well ? '●' : '✗'} ${came}`;
    if (well) {
      // It is said: what is left to do is to read the answer.
      fields.disabled = send.hidden = true;
      leave.textContent = 'Close';
      leave.focus();
    }
    soon();
  };
  leave.onclick = () => dialog.close();
  // What is on its way cannot be called back: whoever closes the dialog would not see what came of it.
  dialog.oncancel = (event) => {
    if (busy) event.preventDefault();
  };
  dialog.onclose = () => {
    if (busy) {
      dialog.showModal();
      return;
    }
    dialog.remove();
    // The page may have been drawn anew behind it.
    const back = [...document.querySelectorAll('[data-key]')].find((one) => one.dataset.key === own);
    (back || document.getElementById('page')).focus({ preventScroll: true });
  };
  form.oninput();
  document.body.append(dialog);
  dialog.showModal();
  // Not the button: the key that has opened the dialog may still be held.
  (confirm || reason || leave).focus();
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (button) open(button.dataset);
});
