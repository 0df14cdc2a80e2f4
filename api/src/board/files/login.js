// The login form. The credentials go to the API only, which sends them to Keystone.

import { copy } from './draw.js';
import { submit } from './live.js';

const LOCAL = /^(localhost|127(\.\d+){3}|\[::1\])$/;

function trouble({ status, message }) {
  if (status === 401) return '✗ Login failed: wrong user, password, project or domain.';
  if (status === 403) return `✗ You may not see this board. ${message}`;
  return `✗ ${status ? message : 'The API does not answer.'}`;
}

export function loginPage(place, why, done) {
  const [form, fault, send] = copy('login', 'form', '.fault', '.main');
  const open = location.protocol === 'http:' && !LOCAL.test(location.hostname);
  const choose = () => {
    for (const way of form.querySelectorAll('fieldset')) {
      way.hidden = way.disabled = way.name !== form.elements.with.value;
    }
    form.querySelector('fieldset:enabled input').focus();
  };
  form.elements.with.onchange = choose;
  form.onsubmit = async (event) => {
    event.preventDefault();
    send.disabled = true;
    fault.textContent = '';
    try {
      await submit('login', Object.fromEntries(new FormData(form)));
      form.remove();
      done();
    } catch (error) {
      fault.textContent = trouble(error);
    }
    send.disabled = false;
  };
  send.disabled = open;
  fault.textContent = open
    ? '✗ Login needs HTTPS, or a tunnel to this machine: over plain HTTP others could read the password.' : why;
  place.replaceChildren(form);
  choose();
}
