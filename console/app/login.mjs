// Who uses the console: the admin token, told once, becomes a cookie that no
// script can read.
// SPDX-License-Identifier: Apache-2.0
import {api, login} from './api.mjs';
import {say} from '../shared/elements.mjs';

/** No login helps. */
export class Refused extends Error {}

const $ = (id) => document.getElementById(id);
const isLive = () => $('state').dataset.state === 'live';
let waiting = null; // {promise, done} while the dialog is open

/** Open the dialog; resolves when the login is good.  All who ask wait for
 *  the same one. */
function ask() {
  if (waiting)
    return waiting.promise;
  waiting = {};
  waiting.promise = new Promise((done) => (waiting.done = done));
  $('login-fault').textContent = '';
  $('logout').hidden = true;
  if (!isLive())
    say('connecting', 'not logged in');
  $('login').append($('call')); // who speaks can mute and leave meanwhile
  $('login').showModal();
  $('token').focus();
  return waiting.promise;
}

async function submit(event) {
  event.preventDefault();
  const {ask: kept} = login;
  login.ask = null; // a wrong token is 401, too
  try {
    await api.post('/v1/login', {token: $('token').value});
    $('token').value = '';
    $('login').close();
    $('state').before($('call'));
    $('logout').hidden = false;
    if (!isLive())
      say('connecting', 'connecting');
    waiting?.done();
    waiting = null;
  } catch (e) {
    $('login-fault').textContent = e.status === 401 ? 'This is not the admin token.' : e.message;
    $('token').select();
  } finally {
    login.ask = kept;
  }
}

/** Begin: `onLogout` is called when this browser has logged out; `toast` says
 *  that it could not. */
export function begin(toast, onLogout) {
  login.ask = ask;
  $('login-form').addEventListener('submit', submit);
  $('login').addEventListener('cancel', (e) => e.preventDefault());
  $('logout').addEventListener('click', async () => {
    try {
      await api.del('/v1/login');
      onLogout();
    } catch (e) {
      toast(`You are still logged in. ${e.message}`, 'bad');
    }
  });
}

/** By a token, not by being on this machine. */
export const isLoggedIn = () => !$('logout').hidden;

/** Are we let in?  Asks for a login where one is needed; throws, with the
 *  reason, where none would do. */
export async function check() {
  const session = await api.get('/v1/login');
  $('logout').hidden = !session.needs_token || !session.logged_in;
  if (session.logged_in)
    return;
  if (!session.needs_token)
    throw new Refused(`${session.why}; a server for others needs http.admin_token`);
  await ask();
}
