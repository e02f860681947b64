// One recording: timeline, files, events in order, and the callbacks of each.
// SPDX-License-Identifier: Apache-2.0
import {button, count, el, empty, length, name, place, size, table, time, words}
  from '../widgets.mjs';
import {stateBadge, swap} from './callbacks.mjs';
import {badgeOf} from './recordings.mjs';
import {nameOf, timeline} from './timeline.mjs';

const SOON_MS = 250;
const OPEN_MS = 2000; // an open file gets longer
const EVENTS_MAX = 2000;
const FILES = 200; // that are listed, until more are asked for

/** All pages of a list. */
async function all(api, where, key, query, signal) {
  const rows = [];
  for (let after; ;) {
    const page = await api.get(where, {...query, limit: 1000, after}, {signal});
    rows.push(...page[key]);
    if (!page.next || rows.length >= 20_000)
      return rows;
    after = page.next;
  }
}

/** Its folder says whose it is: files of one time have one name. */
const fileName = (s) => s.file.replaceAll('/', '_');

function files(segments, play) {
  const where = (s) => `/v1/segments/${s.segment_id}/audio`;
  return table('Files', [
    {title: 'Who', cell: (s) => (s.mode === 'mixed' ? 'the mix' : name(s.user))},
    {title: 'Began', cell: (s) => time(s.start_ms)},
    {title: 'Length', class: 'number', cell: (s) => (s.state === 'closed' ? length(s.duration_ms) : '')},
    {title: 'Size', class: 'number', cell: (s) => (s.size ? size(s.size) : '')},
    {title: 'State', cell: (s) => el('span', {title: s.reason_text}, stateBadge(s.state),
      s.state === 'closed' && !s.uploaded ? el('span', {class: 'soft'},
        ` not stored yet${s.reason ? `: ${words(s.reason)}` : ''}`) : '')},
    {title: 'File', cell: (s) => (s.state !== 'closed' ? el('span', {class: 'soft'},
      s.reason_text) : el('span', {class: 'line'},
      button('Play', () => play(s), {'aria-label': `Play ${nameOf(s)} ${s.seq}`,
        'data-key': `play ${s.segment_id}`}),
      el('a', {href: where(s), download: fileName(s)}, 'Download')))},
  ], segments);
}

/** Whom it is about: a task's events name the recorder, which says nothing. */
const whom = ({kind, data}) => (data.file && data.mode === 'mixed' ? 'the mix' :
  data.file || ['input_lost', 'no_audio'].includes(kind) ? name(data.user) : '');

const about = ({kind, data}) => [whom({kind, data}),
  data.file ? el('span', {class: 'soft file'}, ` ${data.file.split('/').at(-1)}`) : '',
  data.reason ? el('span', {class: 'soft'}, ` ${words(data.reason)}`) : ''];

function eventRow(event, deliveries) {
  return el('li', {class: 'line event', 'data-kind': event.kind},
    time(Date.parse(event.timestamp)), el('b', {}, words(event.kind)), ...about(event),
    el('span', {class: 'right line callbacks'}, ...(deliveries ?? []).map((d) =>
      el('a', {href: `#/deliveries/${d.delivery_id}`, class: 'callback',
        'data-state': d.state, 'data-key': `d ${d.delivery_id}`},
        name(d.endpoint || 'removed'), ' ', stateBadge(d.state),
        d.attempts > 1 ? el('span', {class: 'soft'}, ` ${d.attempts} attempts`) : ''))));
}

export async function mountRecording(root, ctx, id) {
  const {api, live, path, toast, signal} = ctx;
  const get = (what, query) => api.get(what, query, {signal});
  const task = await get(path`/v1/tasks/${id}`);
  const apps = new Map((await ctx.apps()).map((a) => [a.app, a.name]));
  const head = el('div', {class: 'bar'});
  const facts = el('p', {class: 'soft'});
  const line = timeline({toast, wave: (s) =>
    get(path`/v1/segments/${s.segment_id}/waveform`).catch(() => null)});
  const fileList = el('div', {class: 'files'});
  const eventList = el('ol', {class: 'events', 'aria-label': 'Events in order'});
  const stage = el('div', {});
  const events = [];
  const deliveries = new Map(); // by event
  const more = button('Show more', () => {
    listed += FILES;
    showList();
  });
  const left = el('p', {class: 'note', hidden: true});
  let segments = [], seen = '', timer = 0, busy = false, due = false, rows_n = 0, listed = FILES;

  root.append(el('p', {}, el('a', {href: '#/recordings'}, 'All recordings')), head, facts, stage,
    el('h3', {}, 'Files'), fileList, el('p', {class: 'bar'}, more),
    el('h3', {}, 'Events and callbacks'), eventList, left);

  function showTask(t) {
    head.replaceChildren(el('h2', {}, 'Room ', name(t.room)), badgeOf(t),
      ...(t.state === 'running' ? [button('Stop', async () => {
        try {
          await api.del(path`/v1/tasks/${id}`);
          soon();
        } catch (e) {
          toast(e.message, 'bad');
        }
      }, {class: 'danger right'})] : []));
    facts.replaceChildren(`${apps.get(t.app) ?? ''} ${t.app} · task ${t.task_id} · ${t.mode}, ${t.format}`,
      ' · began ', time(t.created_ms), ...(t.stopped_ms ? [' · ended ', time(t.stopped_ms)] : []),
      ...(t.reason ? [` · ${words(t.reason)}: ${t.reason_text}`] : []),
      ...(t.storage ? [' · files are in ', el('code', {}, t.storage)] : []));
  }

  function showList() {
    swap(fileList, segments.length ? files(segments.slice(0, listed), (s) => line.play(s)) :
      el('p', {class: 'note'}, 'None yet.'));
    more.hidden = segments.length <= listed;
  }

  function showFiles() {
    const text = JSON.stringify(segments);
    const is_open = segments.some((s) => s.state === 'recording' || s.state === 'opening');
    if (text === seen && !is_open)
      return;
    if (text !== seen)
      showList();
    seen = text;
    if (!segments.length) {
      stage.replaceChildren(empty('No file yet', el('p', {},
        'A file begins when somebody who is recorded is heard for the first time.')));
      return;
    }
    if (!line.root.isConnected) // else who is in it would lose the focus
      stage.replaceChildren(line.root);
    line.show(segments, live.now());
  }

  const drawn = new Map(); // by event: {text, row}
  function showEvents() {
    place(eventList, events.map((e) => {
      const mine = deliveries.get(e.id);
      const text = JSON.stringify((mine ?? []).map((d) => [d.endpoint, d.state, d.attempts]));
      if (drawn.get(e.id)?.text !== text)
        drawn.set(e.id, {text, row: eventRow(e, mine)});
      return drawn.get(e.id).row;
    }));
  }

  async function load() {
    if (busy) {
      due = true;
      return;
    }
    busy = true;
    try {
      showTask(await get(path`/v1/tasks/${id}`));
      segments = await all(api, path`/v1/tasks/${id}/segments`, 'segments', {}, signal);
      showFiles();
      const rows = await all(api, '/v1/deliveries', 'deliveries', {task: id}, signal);
      rows_n = rows.length;
      deliveries.clear();
      for (const d of rows)
        deliveries.set(d.event_id, [...(deliveries.get(d.event_id) ?? []), d]);
      showEvents();
    } catch (e) {
      if (!signal.aborted)
        toast(e.message, 'bad');
    } finally {
      busy = false;
    }
    if (due) {
      due = false;
      soon();
    }
  }
  function soon(ms = SOON_MS) {
    if (!timer && !signal.aborted)
      timer = setTimeout(() => {
        timer = 0;
        load();
      }, ms);
  }

  showTask(task);
  await load();
  let unlisted = 0;
  const endStory = live.story(id, (event) => {
    if (events.length < EVENTS_MAX)
      events.push(event);
    else
      unlisted++;
    left.hidden = !unlisted;
    left.textContent = `${count(unlisted, 'more event')}, not shown here: tapeop listen --task ${id}`;
    soon();
  });
  const open = setInterval(showFiles, OPEN_MS);
  let moved = '';
  const end = live.subscribe((state) => {
    const now = JSON.stringify(state.deliveries);
    if (now !== moved) // the first, too: it may have moved since it was read
      soon(moved ? 1000 + rows_n : SOON_MS); // of a long one less often
    moved = now;
  });
  return () => {
    end();
    clearInterval(open);
    clearTimeout(timer);
    endStory();
    line.end();
  };
}
