// The console: which page is shown, the connection, the login.
// SPDX-License-Identifier: Apache-2.0
//
// A page is console/app/pages/NAME.mjs, shown at #/NAME/part/..?key=value, and
// a line in PAGES below.  It exports
//
//   title                  what it is called
//   mount(root, ctx)       fill `root`, an empty element; may be async; gives
//                          unmount(), or nothing
//
// ctx: api       .get(path, query) .post(path, body) .patch(path, body)
//                .del(path, query): the parsed answer, or an ApiError is thrown
//                {status, message (a sentence to show), field}; status 0: the
//                server does not answer.  A login is waited for by itself.
//                Paths with names from outside: path`/v1/apps/${app}/endpoints`
//      path      that function
//      live      .subscribe(fn): fn(state) some times a second, state as in
//                GET /v1/live; .events(kinds, fn): the log, from now on;
//                .story(task, fn): that of a task.  All give the function that
//                ends them: call it in unmount.  .now(): the server's time
//      rest      the parts behind the name: ['12', ..], decoded
//      params    URLSearchParams behind the ?
//      navigate  (name, rest = [], params = {}): go to a page
//      remember  (params): have them in the address, for who comes back to it
//      toast     (text, 'good' | 'bad', {href, text} or null): say it for some
//                seconds, with a link to where one goes from there
//      signal    aborted when the page is left: give it to api calls' options
//      apps      () -> Promise of [{app, name}]
//
// A mount that throws is shown as a text with a button to try again.
// Elements, tables, buttons, meters, times: widgets.mjs.  No innerHTML, no
// style attributes (the server's policy forbids them): classes of console.css.
import {api, ApiError, path} from './api.mjs';
import {call} from './call.mjs';
import {Live} from './live.mjs';
import * as login from './login.mjs';
import {button, el, name} from './widgets.mjs';
import {say} from '../shared/elements.mjs';

const PAGES = [
  {name: 'rooms', label: 'Rooms', load: () => import('./pages/rooms.mjs')},
  {name: 'join', label: 'Join', load: () => import('./pages/join.mjs')},
  {name: 'recordings', label: 'Recordings', load: () => import('./pages/recordings.mjs')},
  {name: 'deliveries', label: 'Deliveries', load: () => import('./pages/deliveries.mjs')},
  {name: 'app', label: 'App', load: () => import('./pages/app.mjs')},
];

const TOAST_MS = 6000;
const $ = (id) => document.getElementById(id);

function toast(text, kind = 'good', link = null) {
  const t = el('p', {class: `toast ${kind}`}, text,
    ...(link ? [' ', el('a', {href: link.href}, link.text)] : []));
  $('toasts').append(t);
  setTimeout(() => t.remove(), TOAST_MS);
}

const live = new Live({
  check: login.check,
  told: (which, why) => say(which, which === 'lost' ?
    why ?? 'the server does not answer, trying again' : which),
});

// ---- which page -------------------------------------------------------------------

function address(name, rest = [], params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, v]) => v)).toString();
  return `#/${[name, ...rest].map(encodeURIComponent).join('/')}${query ? `?${query}` : ''}`;
}

const navigate = (...where) => (location.hash = address(...where));

/** {page, rest, params} of the address; the first page for one that is none. */
function where() {
  const [parts, query] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  let names;
  try {
    names = parts.split('/').map(decodeURIComponent);
  } catch { // half an escape
    names = [''];
  }
  const [name, ...rest] = names;
  return {page: PAGES.find((p) => p.name === name) ?? PAGES[0], rest,
    params: new URLSearchParams(query)};
}

let current = null; // {unmount, gone}

function leave() {
  current?.gone.abort();
  try {
    current?.unmount?.();
  } catch (e) {
    console.error(e);
  }
  for (const dialog of document.querySelectorAll('dialog[open]:not(#login)'))
    dialog.close(); // it was about that page
  current = null;
}

function drawNav(page) {
  $('nav').replaceChildren(...PAGES.map((p) => el('a', {href: address(p.name),
    'aria-current': p === page ? 'page' : null}, p.label)));
}

function failed(e, root) {
  const text = e instanceof ApiError ? e.message : `This page does not work: ${e.message}`;
  root.replaceChildren(el('section', {class: 'empty', role: 'alert'}, el('p', {}, text),
    button('Try again', show, {class: 'main'})));
  if (!(e instanceof ApiError))
    console.error(e);
}

async function show() {
  const moved = current !== null;
  const {page, rest, params} = where();
  const gone = new AbortController();
  const root = el('div', {class: `page ${page.name}`});
  leave();
  const mine = current = {gone, unmount: null};
  drawNav(page);
  $('page').replaceChildren(root);
  try {
    const module = await page.load();
    if (current !== mine)
      return;
    document.title = `${module.title} - tapeop`;
    if (moved)
      $('page').focus({preventScroll: true});
    scrollTo(0, 0);
    const remember = (what) => history.replaceState(null, '', address(page.name, rest, what));
    const unmount = await module.mount(root, {api, path, live, rest, params, navigate, remember,
      toast, signal: gone.signal, apps});
    if (current === mine)
      mine.unmount = unmount;
    else
      unmount?.();
  } catch (e) {
    if (current === mine && !gone.signal.aborted)
      failed(e, root);
  }
}

// ---- the call, on every page ------------------------------------------------------------

const callRoom = el('a', {href: '#/join'});
const callMute = button('', () => call.mute(!call.muted), {title: 'M', 'aria-keyshortcuts': 'm'});
$('call').append(callRoom, callMute, button('Leave', () => call.leave()));

function drawCall() {
  const {active, muted, room, state} = call;
  $('call').hidden = !active;
  callRoom.replaceChildren(state === 'in' ? (muted ? 'muted in ' : 'speaking in ') :
    'connecting to ', name(room));
  callMute.textContent = muted ? 'Unmute' : 'Mute';
  callMute.setAttribute('aria-pressed', String(muted));
}

/** M mutes, on every page; not where it is a letter that somebody types. */
function onKey(e) {
  if (e.key.toLowerCase() !== 'm' || e.ctrlKey || e.metaKey || e.altKey || !call.active ||
      e.target.closest?.('input:not([type=checkbox]):not([type=radio]):not([type=range]), ' +
        'select, textarea'))
    return;
  e.preventDefault();
  call.mute(!call.muted);
}

// ---- the rest -------------------------------------------------------------------------

const apps = async () => (await api.get('/v1/apps')).apps.map(({id, name: called}) =>
  ({app: id, name: called}));

$('skip').addEventListener('click', (e) => {
  e.preventDefault(); // the address is the page's
  $('page').focus();
});
addEventListener('hashchange', show);
addEventListener('keydown', onKey);
call.watch(drawCall);
login.begin(toast, () => location.reload());
live.subscribe(() => {}); // the head of the page says whether it is live
show();
