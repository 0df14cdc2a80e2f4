// Which page is shown, and who may see it.

import { el, swap } from './draw.js';
import { forecastPage } from './forecast.js';
import { ask, follow, rest, soon } from './live.js';
import { loginPage } from './login.js';
import { hostsPage, historyPage, instancesPage, nowPage, explainPage } from './pages.js';
import { recoveryPage } from './recovery.js';
import { schedulePage } from './schedule.js';
import { forget, learn } from './words.js';

const place = document.getElementById('page');
const nav = document.getElementById('nav');

const PAGES = {
  now: nowPage, hosts: hostsPage, host: explainPage('hosts'), instances: instancesPage, instance: explainPage('instances'), recovery: recoveryPage, history: historyPage, forecast: forecastPage, schedule: schedulePage,
};

function where() {
  const [page, ...rest] = location.hash.replace(/^#\/?/, '').split('/');
  let name = rest.join('/');
  try {
    name = decodeURIComponent(name);
  } catch { /* A broken name is no name of anything, and the API says so. */ }
  return { page: Object.hasOwn(PAGES, page) ? page : 'now', name };
}

function login(why) {
  rest();
  forget();
  nav.hidden = true;
  document.title = 'Log in · Tachi';
  loginPage(place, why, () => show(true));
}

function show(focus) {
  const { page, name } = where();
  nav.hidden = false;
  for (const one of nav.querySelectorAll('a')) {
    if (one.getAttribute('href') === `#/${page}`) one.setAttribute('aria-current', 'page');
    else one.removeAttribute('aria-current');
  }
  document.title = `${name || page[0].toUpperCase() + page.slice(1)} · Tachi`;
  const shown = PAGES[page](name);
  let told = null;
  place.replaceChildren(...(shown.head || []), shown.body = el('div', null, el('p', { class: 'soft' }, 'Asking the API.')));
  if (focus) place.focus();
  // What somebody may do can change while the page is open.
  learn().then((turned) => turned && soon());
  const draw = (answer) => {
    told = answer;
    shown.draw(shown.body, answer);
  };
  follow({
    read: shown.read,
    pace: shown.pace,
    draw,
    turned: () => told && shown.draw(shown.body, told),
    refused: (error) => {
      if (error.status === 401) {
        login('');
        return true;
      }
      if (error.status === 403) {
        login(`You may not see this board. ${error.message}`);
        return true;
      }
      told = null;
      swap(shown.body, el('p', { class: 'card err' }, `✗ ${error.message}`));
      return false;
    },
  });
}

document.getElementById('logout').addEventListener('click', async () => {
  try {
    await ask('logout', { method: 'POST', headers: { 'X-Tachi-Board': '1' } });
    login('You are logged out.');
  } catch {
    login('✗ The API does not answer: you may still be logged in. Close the browser.');
  }
});
addEventListener('hashchange', () => location.hash !== '#page' && show(true));
show(false);
