// Logging in. What is typed goes to the API alone, which asks Keystone.

import { el, swap } from './draw.js';
import { ask } from './live.js';

const WAYS = {
  password: [['user', 'User', 'username'], ['user_domain', "User's domain", 'off', 'Default'], ['password', 'Password', 'current-password'],
    ['project', 'Project', 'off'], ['project_domain', "Project's domain", 'off', 'Default']],
  application_credential: [['id', "Application credential's id", 'off'], ['secret', 'Secret', 'off']],
  token: [['token', 'Token (openstack token issue -f value -c id)', 'off']],
};
const NAMES = { password: 'Password', application_credential: 'Application credential', token: 'Token' };
const SECRET = ['password', 'secret', 'token'];
const LOCAL = /^(localhost|127(\.\d+){3}|\[::1\])$/;

function told(error) {
  if (error.status === 401) return '✗ Keystone does not accept this.';
  if (error.status === 403) return `✗ You may not see this board. ${error.message}`;
  return `✗ ${error.status ? error.message : 'The API does not answer.'}`;
}

export function loginPage(place, why, done) {
  const fields = el('div');
  const fault = el('p', { class: 'fault', role: 'alert' }, why);
  const way = el('select', { id: 'with', onchange: () => choose() }, Object.entries(NAMES).map(([value, name]) => el('option', { value }, name)));
  const send = el('button', { class: 'main', type: 'submit' }, 'Log in');
  const choose = () => swap(fields, WAYS[way.value].map(([name, label, complete, value]) => el('label', null, el('span', null, label),
    el('input', { name, required: true, autocomplete: complete, value, type: SECRET.includes(name) ? 'password' : 'text', autocapitalize: 'none', spellcheck: 'false' }))));
  const open = location.protocol === 'http:' && !LOCAL.test(location.hostname);
  const form = el('form', { class: 'card login', onsubmit: async (event) => {
    event.preventDefault();
    if (open) return;
    send.disabled = true;
    fault.textContent = '';
    const body = { with: way.value };
    for (const input of fields.querySelectorAll('input')) body[input.name] = input.value;
    try {
      await ask('login', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Tachi-Board': '1' }, body: JSON.stringify(body), signal: AbortSignal.timeout(30_000) });
      form.remove();
      done();
    } catch (error) {
      fault.textContent = told(error);
    }
    send.disabled = false;
  } }, el('h1', null, 'Log in'), el('label', null, el('span', null, 'With'), way), fields, fault, send);
  if (open) {
    fault.textContent = '✗ Not over plain HTTP: what you type could be read on its way. Come over HTTPS, or through this machine.';
    send.disabled = true;
  }
  choose();
  place.replaceChildren(form);
  fields.querySelector('input').focus();
}
