// Rooms: who is in, who speaks, how well it arrives, is it recorded.
// SPDX-License-Identifier: Apache-2.0
import {badge, button, command, count, el, empty, length, meter, name, newId, place, select}
  from '../widgets.mjs';
import {call} from '../call.mjs';
import {isLoggedIn} from '../login.mjs';

export const title = 'Rooms';

const MODES = [['single', 'a file a speaker'], ['mixed', 'one file for all'],
  ['both', 'both']];
const SPEAKS_DBFS = -50;
const SEARCH_MS = 250;
const USUAL = 'http://127.0.0.1:8080'; // where commands look for the server by themselves

const keyOf = (room) => `${room.app}/${room.room}`;

const speaks = (input) => input.mic === 'on' &&
  (input.level_dbfs === null ? false : input.level_dbfs > SPEAKS_DBFS);

/** "0.5 %" of what was sent did not come. */
function loss(input) {
  const sent = input.packets + input.lost;
  const percent = sent ? 100 * input.lost / sent : 0;
  return `${percent === 0 ? '0' : percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

// ---- one who is in ---------------------------------------------------------------

/** A row that is made once; .show(input) is all that moves. */
function userRow(input) {
  const level = meter(`Level of ${input.user}`);
  const mic = el('span', {});
  const lost = el('span', {class: 'number'});
  const jitter = el('span', {class: 'number'});
  const warning = el('span', {class: 'badge wait'});
  const row = el('li', {class: 'user', 'data-user': input.user},
    el('span', {class: 'who'}, name(input.user), ' ', el('span', {class: 'soft'}, input.kind)),
    el('span', {class: 'level'}, mic, level),
    el('span', {class: 'soft', title: 'packets that did not arrive'}, 'loss ', lost),
    el('span', {class: 'soft', title: 'how much the way of packets varies'}, 'jitter ', jitter),
    warning);
  row.show = (now) => {
    const says = now.session === 'away' ? 'away' : now.mic === 'on' ? (now.level_dbfs === null ? 'mic on' :
      speaks(now) ? 'speaks' : 'quiet') : now.mic === 'off' ? 'mic off' : 'muted';
    row.classList.toggle('speaks', speaks(now));
    mic.className = `badge ${speaks(now) ? 'good' : ''}`;
    mic.textContent = says;
    mic.title = says === 'away' ? 'the connection has ended; whoever comes again goes on' : '';
    level.set(now.mic === 'on' ? now.level_dbfs : null);
    lost.textContent = loss(now);
    jitter.textContent = `${now.jitter_ms} ms`;
    warning.hidden = !now.warning;
    warning.textContent = now.warning === 'input_lost' ? 'nothing comes' :
      now.warning === 'no_audio' ? 'nothing is heard' : now.warning;
  };
  return row;
}

// ---- one recording that runs -------------------------------------------------------

function taskRow(task, stop) {
  const since = el('span', {class: 'number'});
  const row = el('p', {class: 'line task', 'data-task': task.task_id},
    badge('recording'), since,
    el('a', {class: 'soft', href: `#/recordings/${task.task_id}`}, [MODES.find(([m]) => m === task.mode)[1], task.format,
      task.auto ? 'by itself' : ''].filter(Boolean).join(' · ')),
    button('Stop', () => stop(task), {class: 'danger right', 'aria-label':
      `Stop the recording ${task.task_id} of ${task.room}`, 'data-key': `stop ${task.task_id}`}));
  const paused = el('span', {class: 'badge wait'}, 'paused');
  row.insertBefore(paused, since);
  row.show = (now, now_ms) => {
    since.textContent = length(Math.max(0, now_ms - now.created_ms));
    paused.hidden = !now.paused;
  };
  return row;
}

// ---- one room -------------------------------------------------------------------------

function roomCard(first, {start, stop, modes}) {
  const users = new Map();
  const tasks = new Map();
  const list = el('ul', {class: 'users', 'aria-label': `Who is in ${first.room}`});
  const running = el('div', {class: 'tasks'});
  const many = el('p', {class: 'soft'});
  const mode = select(MODES, modes.get(keyOf(first)) ?? 'single', {id: newId('mode'),
    'aria-label': `How to record ${first.room}`});
  mode.addEventListener('change', () => modes.set(keyOf(first), mode.value));
  const heading = newId('room');
  const number = el('span', {class: 'app'});
  const join = el('a', {class: 'right', href:
    `#/join?app=${first.app}&room=${encodeURIComponent(first.room)}`}, 'Join');
  const card = el('section', {class: 'card room', 'aria-labelledby': heading,
    'data-room': first.room},
  el('h4', {}, el('span', {id: heading}, 'Room ', name(first.room)), number),
  list, many, running,
  el('div', {class: 'bar foot'}, mode,
    button('Record', () => start(first, mode.value),
      {class: 'main', 'aria-label': `Record ${first.room}`}),
    join));
  const match = (known, items, key, make, show, parent) => {
    const next = items.map((item) => {
      const id = item[key];
      if (!known.has(id))
        known.set(id, make(item));
      show(known.get(id), item);
      return known.get(id);
    });
    const ids = new Set(items.map((item) => item[key]));
    for (const id of known.keys())
      if (!ids.has(id))
        known.delete(id);
    place(parent, next);
  };
  card.show = (room, now_ms, appName) => {
    number.textContent = appName;
    join.textContent = call.active && call.app === room.app && call.room === room.room ?
      'You are in' : 'Join';
    const inputs = [...room.inputs].sort((a, b) => a.user.localeCompare(b.user));
    match(users, inputs, 'input_id', userRow, (row, i) => row.show(i), list);
    match(tasks, room.tasks, 'task_id', (t) => taskRow(t, stop), (row, t) => row.show(t, now_ms),
      running);
    many.hidden = room.n_inputs === room.inputs.length;
    many.textContent = `and ${room.n_inputs - room.inputs.length} more`;
    if (!room.n_inputs) {
      many.hidden = false;
      many.textContent = 'Nobody is in.';
    }
    card.classList.toggle('recorded', room.tasks.length > 0);
  };
  return card;
}

// ---- the page ------------------------------------------------------------------------------

function firstSteps(apps) {
  if (!apps.length)
    return empty('There is no app yet', el('p', {}, 'Rooms belong to an app: the number that your ' +
      'clients know. ', el('a', {href: '#/app'}, 'Make one'), ', or declare it under ',
    el('code', {}, 'apps:'), ' in the configuration.'));
  const app = apps[0].app;
  const server = location.origin === USUAL ? '' : ` --server ${location.origin}`;
  const proof = isLoggedIn() ? ' -H "Authorization: Bearer $TAPEOP_ADMIN_TOKEN"' : '';
  return empty('Nobody is in a room yet',
    el('p', {}, 'A room is there as soon as somebody is in it. So, first:'),
    el('ol', {},
      el('li', {}, el('a', {href: '#/join'}, 'Join from this browser'),
        ': speak, and watch it arrive here.'),
      el('li', {}, 'Or play a file into a room:',
        command(`tapeop publish speech.wav --app ${app} --room lobby --user alice${server}`)),
      el('li', {}, 'Or send RTP of your own: this tells you where to.',
        command(`curl -X POST ${location.origin}/v1/apps/${app}/rooms/lobby/inputs${proof} ` +
          '-d \'{"user":"alice","kind":"rtp"}\''))),
    ...(proof ? [el('p', {class: 'note'}, el('code', {}, 'TAPEOP_ADMIN_TOKEN'),
      ' is the token that you logged in with.')] : []),
    el('p', {class: 'note'}, 'Then press Record.'));
}

export function mount(root, ctx) {
  const {api, live, path, toast} = ctx;
  const cards = new Map();
  const list = el('div', {class: 'rooms'});
  const none = el('div', {});
  const note = el('p', {class: 'note', role: 'status'});
  const fault = el('p', {class: 'failures', role: 'alert', hidden: true});
  const search = el('input', {type: 'search', placeholder: 'room or user', maxlength: 64,
    'aria-label': 'Search rooms and users', autocomplete: 'off', spellcheck: 'false'});
  let timer = 0;

  const actions = {
    modes: new Map(), // by room: what was chosen, also when the room was out of sight
    async start(room, mode) {
      try {
        await api.post(path`/v1/apps/${room.app}/rooms/${room.room}/tasks`, {mode});
        toast(`${room.room} is being recorded.`);
      } catch (e) {
        toast(e.message, 'bad');
      }
    },
    async stop(task) {
      try {
        await api.del(path`/v1/tasks/${task.task_id}`);
        toast(`The recording of ${task.room} has stopped.`, 'good',
          {href: `#/recordings/${task.task_id}`, text: 'Listen'});
      } catch (e) {
        toast(e.message, 'bad');
      }
    },
  };

  search.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => live.find(search.value.trim()), SEARCH_MS);
  });
  root.append(el('div', {class: 'bar'}, el('h2', {}, 'Rooms'), note, el('span', {class: 'right'},
    search)), fault, none, list);

  /** Where a card stands, while somebody is about to press something there. */
  const standing = () => new Map(list.matches(':hover, :focus-within') ?
    [...list.children].map((card, i) => [card, i]) : []);

  const show = (state) => {
    const stands = standing();
    const rank = (room) => stands.get(cards.get(keyOf(room))) ?? stands.size;
    const rooms = [...state.rooms].sort((a, b) => rank(a) - rank(b) ||
      b.tasks.length - a.tasks.length || a.room.localeCompare(b.room) || a.app - b.app);
    const names = new Map(state.apps.map((a) => [a.app, a.name]));
    const shown = new Set(rooms.map(keyOf));
    for (const key of cards.keys())
      if (!shown.has(key))
        cards.delete(key);
    for (const room of rooms) {
      const key = keyOf(room);
      if (!cards.has(key))
        cards.set(key, roomCard(room, actions));
      cards.get(key).show(room, state.now_ms, `${names.get(room.app) ?? ''} ${room.app}`);
    }
    place(list, rooms.map((room) => cards.get(keyOf(room))));
    fault.hidden = !state.not_ready;
    fault.textContent = state.not_ready ? `Nothing can be recorded now: ${state.not_ready}.` : '';
    const isEmpty = !state.total && !live.search;
    if (isEmpty !== (none.childElementCount > 0))
      none.replaceChildren(...(isEmpty ? [firstSteps(state.apps)] : []));
    note.textContent = isEmpty ? '' : !state.total ? 'No room or user matches.' :
      rooms.length < state.total ? `${rooms.length} of ${state.total}: search for the others` :
        count(state.total, 'room');
  };
  const end = live.subscribe(show);
  return () => {
    clearTimeout(timer);
    live.find('');
    end();
  };
}
