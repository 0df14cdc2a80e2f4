// Which page is shown, and who may see it.

import { copy, sift, swap } from './draw.js';
import { follow, rest, tell } from './live.js';
import { loginPage } from './login.js';
import { forget } from './words.js';

const place = document.getElementById('page');
const nav = document.getElementById('nav');

const PAGES = ['now', 'hosts', 'host', 'instances', 'instance', 'recovery', 'history', 'forecast', 'schedule'];

function where() {
  const [page, ...words] = location.hash.replace(/^#\/?/, '').split('/');
  let name = words.join('/');
  try {
    name = decodeURIComponent(name);
  } catch { /* A broken name is no name of anything, and the API says so. */ }
  return { page: PAGES.includes(page) ? page : 'now', name };
}

function login(why) {
  rest();
  forget();
  nav.hidden = true;
  document.title = 'Log in · Tachi';
  loginPage(place, why, () => show(true));
}

/** What stands in the field above a page is the name of another; a filter works while one types. */
function search(form, name) {
  const field = form.querySelector('input');
  if (form.dataset.page === 'forecast') field.value = name;
  field.oninput = sift;
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
  document.title = `${name || title} · Tachi`;
  const [head, body] = copy('frame', '.above', '.body');
  const [above] = document.getElementById(`above-${page}`) ? copy(`above-${page}`, 'div') : [];
  head.replaceChildren(...(above ? [above] : []));
  place.replaceChildren(head, body);
  const form = head.querySelector('form');
  if (form) search(form, name);
  if (focus) place.focus();
  const path = `pages/${page}${name ? `/${encodeURIComponent(name)}` : ''}?width=${body.clientWidth}`;
  follow(path, body, ({ status, message }) => {
    if (status === 401) login('');
    else if (status === 403) login(`You may not see this board. ${message}`);
    else {
      swap(body, '<p class="card err"></p>');
      body.firstChild.textContent = `✗ ${message}`;
    }
    return status === 401 || status === 403;
  });
}

document.getElementById('logout').addEventListener('click', () => tell('logout').then(
  () => login('You are logged out.'),
  () => login('✗ The API does not answer: you may still be logged in. Close the browser.')));
addEventListener('hashchange', () => location.hash !== '#page' && show(true));
show(false);
