// Operator actions: the dialog of a button shows the consequence and the equivalent command before it sends the action.

import { copy, day, plain } from './draw.js';
import { soon, submit } from './live.js';

const SECONDS = { m: 60, h: 3600 };

export function closeDialog() {
  document.querySelector('dialog')?.remove();
}

/** Quotes a text as one word for a shell. */
function typed(text) {
  const plain = /^[\p{Alphabetic}\p{N}._@:][\p{Alphabetic}\p{N}._@:-]*$/u.test(text);
  return plain ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Formats the inputs of the dialog as options of the command. */
function options({ reason, lasts }) {
  const why = reason === undefined ? '' : ` --reason ${reason ? typed(reason) : '...'}`;
  return (lasts ? ` --for ${lasts}` : '') + why;
}

/** Adds the inputs of the dialog to the body of the action. */
function word(body, { reason, lasts }) {
  const [[key, about]] = Object.entries(body);
  const seconds = lasts && { lasts_seconds: parseInt(lasts, 10) * SECONDS[lasts.at(-1)] };
  return { [key]: { ...about, ...(reason && { reason }), ...seconds } };
}

/** Renders one of several targets in a dialog. */
function row({ name, about }) {
  const [label, box, text] = copy('row', 'label', 'input', 'span');
  text.textContent = plain(`${name}: ${about}`);
  box.checked = true;
  return label;
}

const scope = (one) => (one.scope === 'region' ? 'everything' : `${one.scope} ${one.name}`);

/** Formats the answer to each action: true if it succeeded, and a text. */
const RESULTS = {
  word: ({ already, by }) => [true, already
    ? `Already requested, as ${by}; it was not stored again.`
    : `Requested, as ${by}. An engine applies it within 2 s.`],
  freeze({ freeze, already, heard, unheard, unprotected, underway, notes }) {
    const number = unprotected === null ? 'unknown' : unprotected;
    const rest = [`Instances without HA until then: ${number}.`, ...underway, ...notes].join(' ');
    const before = already ? ', as already requested' : '';
    return [heard, heard
      ? `${scope(freeze)} is frozen until ${day(freeze.until)}${before}: no fencing, no evacuation. ${rest}`
      : `${scope(freeze)} is frozen, but not every engine has applied it. Do not start work yet; repeat the freeze. `
        + `Not applied by: ${unheard.join(', ')}. ${rest}`];
  },
  thaw: (freeze) => [true, `${scope(freeze)} is thawed. Waiting work resumes within 2 s.`],
};

function trouble({ status, message }) {
  if (status === 401) return 'Nothing was done: your login has expired.';
  if (status) return status < 500 ? `Refused: ${message}` : message;
  return 'The API does not answer, so the result is unknown. Repeating is safe: the same action is not stored twice.';
}

function open({ key: own, label, act }) {
  const { title, about, asks, each } = JSON.parse(act);
  closeDialog();
  const parts = ['dialog', 'form', 'fieldset', 'h2', '.about', 'code', '.answer', '.main', '.leave', '.rows', '.token'];
  const [dialog, form, fields, head, text, shown, answer, send, leave, rows, asked] = copy('word', ...parts);
  // Several targets are listed with the known facts about each, and the user can deselect any of them.
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
    answer.textContent = 'Waiting for the API.';
    const results = [];
    for (const { name, body } of chosen()) {
      const [key] = Object.keys(body);
      const sent = submit('words', word(body, values())).then(RESULTS[key]);
      const [done, text] = await sent.catch((error) => [false, trouble(error)]);
      results.push([done, chosen().length > 1 ? `${name}: ${text}` : text]);
    }
    const well = results.every(([done]) => done);
    const summary = plain(results.map(([, text]) => text).join(' '));
    busy = send.disabled = leave.disabled = false;
    answer.classList.add(well ? 'ok' : 'err');
    answer.textContent = `${well ? '●' : '✗'} ${summary}`;
    if (well) {
      // The action was sent; only the answer remains to be read.
      fields.disabled = send.hidden = true;
      leave.textContent = 'Close';
      leave.focus();
    }
    soon();
  };
  leave.onclick = () => dialog.close();
  // A sent action cannot be cancelled, and a user who closed the dialog would not see its result.
  dialog.oncancel = (event) => {
    if (busy) event.preventDefault();
  };
  dialog.onclose = () => {
    if (busy) {
      dialog.showModal();
      return;
    }
    dialog.remove();
    // The page behind the dialog may have been rendered again.
    const back = [...document.querySelectorAll('[data-key]')].find((one) => one.dataset.key === own);
    (back || document.getElementById('page')).focus({ preventScroll: true });
  };
  form.oninput();
  document.body.append(dialog);
  dialog.showModal();
  // Not the button: the key that opened the dialog may still be pressed.
  (confirm || reason || leave).focus();
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (button) open(button.dataset);
});
