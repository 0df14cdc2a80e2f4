// What is said with the board: the dialog of a button tells first what comes of it, and the command that does the same.

import { copy, day } from './draw.js';
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

const scope = (one) => (one.scope === 'region' ? 'everything' : `${one.scope} ${one.name}`);

/** What came of it: whether it was well, and what to tell. */
const CAME = {
  word: ({ already, by }) => [true, already
    ? `This had been said before, as ${by}: nothing was written again.`
    : `Written, as ${by}. An engine hears it within a second or two.`],
  freeze({ freeze, already, heard, unheard, unprotected, underway, notes }) {
    const number = unprotected === null ? 'how many are is not known' : unprotected;
    const rest = [`Instances that are unprotected meanwhile: ${number}.`, ...underway, ...notes].join(' ');
    const before = already ? ', as you had said before' : '';
    return [heard, heard
      ? `${scope(freeze)} is frozen until ${day(freeze.until)}${before}: nothing of it is fenced or moved. ${rest}`
      : `${scope(freeze)} is frozen, but not every engine has heard of it: touch nothing yet, and say it again. `
        + `Not heard: ${unheard.join(', ')}. ${rest}`];
  },
  thaw: (freeze) => [true, `${scope(freeze)} is thawed. What waits for it is looked at within a second or two.`],
};

function trouble({ status, message }) {
  if (status === 401) return 'Nothing was said: you are not logged in any more.';
  if (status) return status < 500 ? `Refused: ${message}` : message;
  return 'The API does not answer: it may have been said or not. What was said is not written twice, so say it again, '
    + 'or look first.';
}

function open({ key: own, label, act }) {
  const { title, about, asks, command, body } = JSON.parse(act);
  forget();
  const parts = ['dialog', 'form', 'fieldset', 'h2', '.about', 'code', '.answer', '.main', '.leave'];
  const [dialog, form, fields, head, text, shown, answer, send, leave] = copy('word', ...parts);
  let busy = false;
  head.textContent = title;
  text.textContent = about;
  send.textContent = label;
  for (const one of form.querySelectorAll('label')) if (!asks.includes(one.dataset.asks)) one.remove();
  const { reason, lasts } = form.elements;
  const values = () => ({ reason: reason?.value.trim(), lasts: lasts?.value });
  form.oninput = () => {
    shown.textContent = command + options(values());
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (busy || fields.disabled) return;
    if (reason && !values().reason) {
      reason.focus();
      return;
    }
    busy = send.disabled = leave.disabled = true;
    answer.className = 'answer';
    answer.textContent = 'Asking the API.';
    const [key] = Object.keys(body);
    const said = tell('words', word(body, values())).then(CAME[key]);
    const [well, came] = await said.catch((error) => [false, trouble(error)]);
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
  (reason || leave).focus();
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (button) open(button.dataset);
});
