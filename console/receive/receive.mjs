// The live page of `tapeop receive`.  Everything it shows comes from strangers:
// it goes into the page as text, never as markup.
// SPDX-License-Identifier: Apache-2.0

import {badge, copies, count, el, length, name, place, say, size, time, words} from '../shared/elements.mjs';

const STEP = 50; // recordings, or events, that "Show more" adds
const SEGMENTS = 12; // of a recording, until all are asked for
const MAX_WHOLE = 1000; // of a recording at most
const EVENTS_KEPT = 1000;
const REFUSED_KEPT = 100;
const FETCH_MS = 500; // between two looks at the recordings
const DRAW_MS = 100;
const RETRY_MS = 1000;

const $ = (id) => document.getElementById(id);
const now = () => performance.now();

const state = {
  events: [], // newest first: {id, e, text}
  refused: [], // newest first
  lastId: 0,
  running: {list: [], total: 0, limit: STEP},
  finished: {list: [], total: 0, limit: STEP},
  whole: new Map(), // recordings of which all segments are shown
  shownEvents: 15,
  shownRefused: 3,
  search: '',
  ready: false, // recordings were fetched once
};

// ---- recordings ------------------------------------------------------------------------

const keyOf = (r) => `${r.app}/${r.task_id}`;

function segmentItem(s) {
  const facts = [s.duration_ms ? length(s.duration_ms) : '', s.size ? size(s.size) : '']
    .filter(Boolean).join(' · ');
  const who = s.mode === 'mixed' ? el('span', {}, 'the mix') : name(s.user);
  const seq = s.seq === undefined ? '' : el('span', {class: 'soft'}, ` #${s.seq}`);
  const file = s.location || s.file;
  return el('li', {title: s.sha256 ? `SHA-256 ${s.sha256}` : null},
    el('span', {}, who, seq),
    el('span', {class: 'when soft'}, s.start_ms ? time(s.start_ms) : '',
      s.start_ms && facts ? ' · ' : '', facts),
    s.failure ? badge('failed') : badge(s.state),
    file ? el('span', {class: 'file mono'}, name(file)) : '');
}

function failureItem(f) {
  const where = f.seq === undefined && !f.file ? (f.user && f.user !== 'tapeop' ? f.user : '') :
    `${f.user ?? ''} ${f.seq === undefined ? f.file : `#${f.seq}`}`;
  return el('li', {}, el('b', {}, `${words(f.code)}: `), where ? name(where) : '',
    where ? ' ' : '', name(f.message), ' ', f.ms ? time(f.ms) : '');
}

/** Everything of a recording, on request. */
async function showWhole(r) {
  state.whole.set(keyOf(r), null);
  fetchSoon();
}

function recordingArticle(r) {
  const n = r.segment_counts.started + r.segment_counts.completed + r.segment_counts.uploaded;
  const users = new Set(r.segments.filter((s) => s.mode === 'single').map((s) => s.user));
  const began = r.started_ms || Math.min(...r.segments.map((s) => s.start_ms || Infinity),
    r.first_ms || Infinity);
  const inSegments = new Set(r.segments.map((s) => s.file));
  const files = r.files.filter((f) => !inSegments.has(f.name));
  const article = el('article', {class: 'recording', 'data-task': r.task_id},
    el('p', {class: 'line'},
      badge(r.state),
      el('span', {class: 'mono'}, name(r.task_id)),
      el('span', {class: 'soft'}, Number.isFinite(began) ? time(began) : '',
        r.stopped_ms ? ' to ' : '', r.stopped_ms ? time(r.stopped_ms) : '')),
    el('p', {class: 'line soft'}, [
      n ? count(n, 'segment') : '',
      n && r.segment_counts.uploaded ? `${r.segment_counts.uploaded} uploaded` : '',
      users.size ? count(users.size, 'speaker') : '',
      count(r.events, 'event'),
      r.dialects.join(', '),
      r.leave_code === null ? '' : `leave code ${r.leave_code}`,
    ].filter(Boolean).join(' · ')));
  if (r.failures.length)
    article.append(el('ul', {class: 'failures', 'aria-label': 'Failures and warnings'},
      ...r.failures.slice(-5).reverse().map(failureItem),
      ...(r.failures.length > 5 ? [el('li', {class: 'soft'},
        `and ${r.failures.length - 5} earlier`)] : [])));
  if (r.segments.length)
    article.append(el('ul', {class: 'segments', 'aria-label': 'Segments'},
      ...r.segments.map(segmentItem)));
  if (files.length && files.length <= STEP)
    article.append(el('ul', {class: 'segments', 'aria-label': 'Files'}, ...files.map((f) =>
      segmentItem({mode: f.user ? 'single' : 'mixed', user: f.user, state: 'uploaded',
        file: f.name, start_ms: f.start_ms, duration_ms: f.end_ms - f.start_ms}))));
  if (n > r.segments.length && r.segments.length < MAX_WHOLE) {
    const more = el('button', {type: 'button', class: 'more', 'data-key': `whole ${keyOf(r)}`},
      `Show all ${n} segments`);
    more.addEventListener('click', () => showWhole(r));
    article.append(more);
  } else if (n > r.segments.length) {
    article.append(el('p', {class: 'soft'},
      `The newest ${r.segments.length} of ${n} segments.`));
  }
  return article;
}

/** One card a room, the one told of last first. */
function rooms(list) {
  const byRoom = new Map();
  for (const r of list) {
    const key = `${r.app}/${r.room}`;
    byRoom.set(key, [...(byRoom.get(key) ?? []), r]);
  }
  return byRoom;
}

const drawn = {running: new Map(), finished: new Map()}; // room -> {text, node}

function drawRooms(which) {
  const {list, total, limit} = state[which];
  const at = $(which);
  const before = drawn[which];
  const after = new Map();
  for (const [key, recordings] of rooms(list)) {
    const text = JSON.stringify(recordings);
    const known = before.get(key);
    const node = known?.text === text ? known.node :
      el('section', {class: 'card', 'aria-label': `Room ${recordings[0].room}`},
        el('h4', {}, 'Room ', name(recordings[0].room),
          el('span', {class: 'app'}, `app ${recordings[0].app}`)),
        ...recordings.map(recordingArticle));
    after.set(key, {text, node});
  }
  drawn[which] = after;
  place(at, [...after.values()].map((c) => c.node));
  $(`more-${which}`).hidden = total <= limit;
  $(`more-${which}`).textContent = `Show more of ${total}`;
}

const fetching = {busy: false, wanted: false, last: -Infinity, timer: 0};

async function getRecordings(parameters) {
  const query = new URLSearchParams({segments: SEGMENTS, ...parameters});
  const answer = await fetch(`/v1/recordings?${query}`);
  if (!answer.ok)
    throw new Error(`/v1/recordings: ${answer.status}`);
  return answer.json();
}

async function fetchRecordings() {
  const {search} = state;
  const more = search ? {search} : {};
  const [running, finished] = await Promise.all([['running', 1], ['finished', 0]]
    .map(([which, flag]) => getRecordings({...more, running: flag, limit: state[which].limit})));
  for (const list of [running, finished])
    for (const [i, r] of list.recordings.entries())
      if (state.whole.has(keyOf(r)))
        [list.recordings[i]] = (await getRecordings({app: r.app, task: r.task_id,
          segments: MAX_WHOLE})).recordings;
  if (search !== state.search)
    return;
  for (const [which, got] of [['running', running], ['finished', finished]]) {
    state[which].list = got.recordings.filter(Boolean).reverse();
    state[which].total = got.total;
  }
  state.ready = true;
  drawSoon();
}

/** Look at the recordings again, not too often. */
function fetchSoon() {
  fetching.wanted = true;
  if (fetching.busy || fetching.timer)
    return;
  fetching.timer = setTimeout(async () => {
    fetching.timer = 0;
    fetching.busy = true;
    fetching.wanted = false;
    try {
      await fetchRecordings();
    } catch {
      fetching.wanted = connection.open; // else again when it is
    }
    fetching.busy = false;
    fetching.last = now();
    if (fetching.wanted)
      fetchSoon();
  }, Math.max(0, fetching.last + FETCH_MS - now()));
}

// ---- events, and what was refused -------------------------------------------------------

const found = (text) => !state.search || text.includes(state.search.toLowerCase());

function eventItem({e}) {
  const which = e.seq !== undefined ? `#${e.seq}` : '';
  const user = e.user && e.user !== 'tapeop' ? name(e.mode === 'mixed' ? 'the mix' : e.user) : '';
  return el('li', {},
    el('p', {class: 'line'}, time(e.received_ms), badge(e.kind === 'unknown' ? `type ${e.type}` :
      e.kind, true), el('b', {}, name(e.room)), user,
    which ? el('span', {class: 'soft'}, which) : '', el('span', {class: 'soft'}, e.dialect)),
    e.file ? el('span', {class: 'file mono'}, name(e.file)) : '',
    e.reason ? el('span', {class: 'soft'}, `${words(e.reason)}: `, name(e.reason_text ?? '')) : '');
}

function refusedItem(f) {
  return el('li', {}, el('p', {class: 'line'}, time(f.time_ms),
    el('span', {class: 'badge bad'}, String(f.status)), el('span', {class: 'soft mono'},
      name(f.address))), name(f.reason));
}

/** Rows that are there already are not made again. */
function drawList(id, list, make, shown, fresh) {
  const matching = list.filter((item) => found(item.text));
  place($(id), matching.slice(0, shown).map((item) => {
    if (!item.node) {
      item.node = make(item);
      if (fresh && item.fresh)
        item.node.classList.add('new');
    }
    return item.node;
  }));
  return matching.length;
}

function draw() {
  const {running, finished} = state;
  drawRooms('running');
  drawRooms('finished');
  const nEvents = drawList('event-list', state.events, eventItem, state.shownEvents, true);
  const nRefused = drawList('refused-list', state.refused, (f) => refusedItem(f.f),
    state.shownRefused, true);
  const total = running.total + finished.total;
  const nothing = state.ready && !state.search && total + state.events.length === 0;
  $('empty').hidden = !nothing;
  $('recordings').hidden = nothing;
  $('h-finished').hidden = !finished.total || !running.total;
  $('none').hidden = !state.ready || total > 0;
  $('none').textContent = state.search ? 'No recording matches.' : 'No recording yet.';
  $('no-events').hidden = nEvents > 0;
  $('no-events').textContent = state.search ? 'None of the newest events matches.' :
    'No event yet.';
  $('no-refused').hidden = nRefused > 0;
  $('more-events').hidden = nEvents <= state.shownEvents;
  $('more-refused').hidden = nRefused <= state.shownRefused;
  $('n-recordings').textContent = state.ready ? String(total) : '';
  $('n-events').textContent = state.events.length < EVENTS_KEPT ? String(state.events.length) :
    `${EVENTS_KEPT}+`;
  $('n-refused').textContent = String(state.refused.length);
  document.title = running.total ? `● ${running.total} recording - tapeop receive` :
    'tapeop receive';
}

let drawTimer = 0;
function drawSoon() {
  if (!drawTimer)
    drawTimer = setTimeout(() => {
      drawTimer = 0;
      draw();
    }, DRAW_MS);
}

// ---- the connection ------------------------------------------------------------------------

const connection = {source: null, open: false, since: 0};

function onEvent(message) {
  const id = Number(message.lastEventId);
  if (id <= state.lastId) // the inbox is another one
    state.events = [];
  state.lastId = id;
  const e = JSON.parse(message.data);
  // an old one that is told of when the page opens does not shine
  state.events.unshift({e, text: message.data.toLowerCase(), fresh: now() - connection.since > 500});
  if (state.events.length > EVENTS_KEPT)
    state.events.length = EVENTS_KEPT;
  fetchSoon();
  drawSoon();
}

function onRefused(message) {
  const f = JSON.parse(message.data);
  if (state.refused.some(({f: g}) => g.n === f.n && g.time_ms === f.time_ms))
    return; // told again after a reconnect
  state.refused.unshift({f, text: message.data.toLowerCase(), fresh: true});
  if (state.refused.length > REFUSED_KEPT)
    state.refused.length = REFUSED_KEPT;
  drawSoon();
}

function connect() {
  // from where it was, or the newest ones
  const from = state.lastId ? `after=${state.lastId}` : `tail=${STEP * 2}`;
  const source = new EventSource(`/v1/events?${from}`);
  connection.source = source;
  source.onopen = () => {
    connection.open = true;
    connection.since = now();
    say('live', 'live');
    fetchSoon();
  };
  source.onmessage = onEvent;
  source.addEventListener('refused', onRefused);
  source.onerror = () => {
    connection.open = false;
    say('lost', 'the receiver does not answer, trying again');
    if (source.readyState === EventSource.CLOSED) // refused, not just away
      setTimeout(connect, RETRY_MS);
  };
}

// ---- the rest of the page ---------------------------------------------------------------------

let searchTimer = 0;
$('search').addEventListener('input', () => {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(() => {
    state.search = $('search').value.trim();
    fetching.last = -Infinity;
    fetchSoon();
    drawSoon();
  }, 150);
});

document.addEventListener('keydown', (e) => {
  const typing = e.target instanceof HTMLInputElement;
  if (e.key === '/' && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) {
    e.preventDefault();
    $('search').focus();
  } else if (e.key === 'Escape' && typing && $('search').value) {
    e.preventDefault();
    $('search').value = '';
    $('search').dispatchEvent(new Event('input'));
  }
});

for (const which of ['running', 'finished'])
  $(`more-${which}`).addEventListener('click', () => {
    state[which].limit += STEP;
    fetching.last = -Infinity;
    fetchSoon();
  });
$('more-events').addEventListener('click', () => {
  state.shownEvents += STEP;
  draw();
});
$('more-refused').addEventListener('click', () => {
  state.shownRefused += STEP;
  draw();
});

const url = `${location.origin}/`;
$('url').textContent = url;
$('trigger').textContent =
  `tapeop trigger story --dialect gme --key env:TAPEOP_SECRET_KEY --to ${url}`;
copies(document);

connect();
fetchSoon();
