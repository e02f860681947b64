// Recordings: list and search; one of them is recording.mjs.
// SPDX-License-Identifier: Apache-2.0
import {badge, button, count, el, empty, field, length, name, select, table, time, words}
  from '../widgets.mjs';
import {swap} from './callbacks.mjs';
import {paged} from './paged.mjs';
import {mountRecording} from './recording.mjs';

export const title = 'Recordings';

const TYPING_MS = 250;
const CLOCK_MS = 1000; // those that run get longer
const STATES = [['', 'any state'], ['running', 'running'], ['stopping', 'stopping'],
  ['stopped', 'stopped'], ['failed', 'failed']];
const KINDS = ['task_started', 'task_stopped', 'task_failed', 'files_ready'];

/** Unix ms of a local date "2026-11-26", so many days behind it; or nothing. */
function dayMs(text, days = 0) {
  const [y, m, d] = text.split('-').map(Number);
  return d ? new Date(y, m - 1, d + days).getTime() : undefined;
}

/** What stopped is amber until its files are stored. */
export const badgeOf = (task) => (task.state === 'stopped' && task.finished_ms ?
  el('span', {class: 'badge'}, 'stopped') :
  badge(task.state === 'running' ? (task.paused ? 'paused' : 'recording') : task.state));

function columns(appName) {
  return [
    {title: 'Room', cell: (t) => el('a', {href: `#/recordings/${t.task_id}`,
      'data-key': t.task_id}, name(t.room))},
    {title: 'App', cell: (t) => appName(t.app)},
    {title: 'Began', cell: (t) => time(t.created_ms)},
    {title: 'Length', class: 'number', cell: (t) => (t.stopped_ms ?
      length(Math.max(0, t.stopped_ms - t.created_ms)) :
      el('span', {'data-since': t.created_ms}))},
    {title: 'Files', cell: (t) => [t.mode, t.format, t.auto ? 'by itself' : '']
      .filter(Boolean).join(' · ')},
    {title: 'State', cell: (t) => el('span', {}, badgeOf(t),
      t.reason ? el('span', {class: 'soft'}, ` ${words(t.reason)}`) : '')},
  ];
}

function firstSteps() {
  return empty('Nothing has been recorded yet',
    el('p', {}, 'Go to ', el('a', {href: '#/rooms'}, 'Rooms'),
      ', have somebody in one, and press Record. What is recorded is listed here.'));
}

async function mountList(root, ctx) {
  const {api, live, params, remember, signal} = ctx;
  const apps = await ctx.apps();
  const names = new Map(apps.map((a) => [a.app, a.name]));
  const search = el('input', {type: 'search', maxlength: 128, autocomplete: 'off',
    spellcheck: 'false', 'aria-label': 'How a room or user begins, or a task\'s id',
    placeholder: 'room, user or task'});
  const state = select(STATES, params.get('state') ?? '', {'aria-label': 'State'});
  const app = select([['', 'all apps'], ...apps.map((a) => [a.app, `${a.name} ${a.app}`])],
    params.get('app') ?? '', {'aria-label': 'App'});
  const from = el('input', {type: 'date', value: params.get('from') ?? ''});
  const to = el('input', {type: 'date', value: params.get('to') ?? ''});
  const note = el('p', {class: 'note', role: 'status'});
  const list = el('div', {class: 'list'});
  const more = button('Show more', () => paging.more());

  search.value = params.get('text') ?? '';
  app.hidden = apps.length < 2;
  const query = () => ({text: search.value.trim(), state: state.value, app: app.value,
    from_ms: dayMs(from.value), to_ms: dayMs(to.value, 1)});
  const isAll = () => Object.values(query()).every((v) => !v);

  const paging = paged({signal,
    read: async (page) => {
      const {tasks, next} = await api.get('/v1/tasks', {...query(), ...page}, {signal});
      return {rows: tasks, next};
    },
    show(tasks, next) {
      more.hidden = !next;
      note.textContent = tasks.length ? `${count(tasks.length, 'recording')}${next ? ' and more' : ''}` :
        isAll() ? '' : 'No recording matches.';
      swap(list, ...(tasks.length ? [table('Recordings', columns((a) =>
        `${names.get(a) ?? ''} ${a}`), tasks)] : isAll() ? [firstSteps()] : []));
      showLengths();
    },
    fail: (e) => (note.textContent = e.message)});

  function showLengths() {
    for (const at of list.querySelectorAll('[data-since]'))
      at.textContent = length(Math.max(0, live.now() - Number(at.dataset.since)));
  }
  const changed = () => {
    remember({text: search.value.trim(), state: state.value, app: app.value, from: from.value,
      to: to.value});
    paging.restart(TYPING_MS);
  };

  for (const input of [search, state, app, from, to])
    input.addEventListener('input', changed);
  root.append(el('div', {class: 'bar'}, el('h2', {}, 'Recordings'), note),
    el('div', {class: 'bar filters', role: 'search'}, search, state, app,
      field('from', from), field('to', to)), list, el('p', {class: 'bar'}, more));
  more.hidden = true;
  await paging.refresh();
  const end = live.events(KINDS, paging.soon);
  const clock = setInterval(showLengths, CLOCK_MS);
  return () => {
    paging.end();
    clearInterval(clock);
    end();
  };
}

export const mount = (root, ctx) =>
  (ctx.rest[0] ? mountRecording(root, ctx, ctx.rest[0]) : mountList(root, ctx));
