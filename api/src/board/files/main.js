// Navigation between pages, and the login.

import { choose, copy, filterRows, plain, swap } from './draw.js';
import { follow, redraw, rest, submit } from './live.js';
import { loginPage } from './login.js';
import { closeDialog } from './words.js';

const place = document.getElementById('page');
const nav = document.getElementById('nav');

const PAGES = ['now', 'hosts', 'host', 'instances', 'instance', 'recovery', 'history', 'forecast', 'schedule'];

function where() {
  const [page, ...words] = location.hash.replace(/^#\/?/, '').split('/');
  let name = words.join('/');
  try {
    name = decodeURIComponent(name);
  } catch { /* A malformed name matches nothing; the API returns 404. */ }
  return { page: page || 'now', name };
}

function login(why) {
  rest();
  closeDialog();
  nav.hidden = true;
  document.title = 'Log in · Tachi';
  document.getElementById('who').textContent = '';
  loginPage(place, why, () => show(true));
}

/** The field above a page opens another page by name, or filters the rows as the user types. */
function search(form, name) {
  const field = form.querySelector('input');
  if (form.dataset.page === 'forecast') field.value = name;
  field.oninput = filterRows;
  form.onsubmit = (event) => {
    event.preventDefault();
    if (form.dataset.page) location.hash = `#/${form.dataset.page}/${encodeURIComponent(field.value.trim())}`;
  };
}

function show(focus) {
  const { page, name } = where();
  const title = page[0].toUpperCase() + page.slice(1);
  nav.hidden = false;
  for (const one of nav.querySelectorAll('a')) {
    if (one.hash === `#/${page}`) one.setAttribute('aria-current', 'page');
    else one.removeAttribute('aria-current');
  }
  Object.assign(document.body.dataset, { page, title: plain(name || title) });
  document.title = `${document.body.dataset.title} · Tachi`;
  const [head, body] = copy('frame', '.above', '.body');
  const [above] = document.getElementById(`above-${page}`) ? copy(`above-${page}`, 'div') : [];
  head.replaceChildren(...(above ? [above] : []));
  place.replaceChildren(head, body);
  const fail = (text) => {
    swap(body, '<p class="card err"></p>');
    body.firstChild.textContent = `✗ ${plain(text)}`;
  };
  if (!PAGES.includes(page)) {
    rest();
    fail(`There is no page "${page}". Choose one of the pages above.`);
    return;
  }
  const form = head.querySelector('form');
  if (form) search(form, name);
  if (focus) place.focus();
  const path = `pages/${page}${name ? `/${encodeURIComponent(name)}` : ''}?width=${body.clientWidth}`;
  follow(path, body, ({ status, message }) => {
    if (status === 401) login('');
    else if (status === 403) login(`You may not see this board. ${message}`);
    else fail(message);
    return status === 401 || status === 403;
  });
}

document.getElementById('logout').addEventListener('click', () => submit('logout').then(
  () => login('You are logged out.'),
  () => login('✗ The API does not answer, so you may still be logged in. Close the browser.')));
document.body.classList.toggle('plain', !isSecureContext);
document.addEventListener('click', ({ target }) => {
  const node = target.closest('[data-chip], th[data-sort] button');
  if (node) {
    choose(node);
    redraw();
  }
  if (!target.matches('button.copy')) return;
  const label = (text) => () => target.replaceChildren(text);
  navigator.clipboard.writeText(target.previousElementSibling.textContent).then(label('copied'), label('not copied'));
});
addEventListener('hashchange', () => location.hash !== '#page' && show(true));
show(false);
