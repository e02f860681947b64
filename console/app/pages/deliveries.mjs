// Deliveries: endpoints and how they do, the callbacks; one of them is
// delivery.mjs.
// SPDX-License-Identifier: Apache-2.0
import {button, confirm, count, el, empty, name, select, table, time, words} from '../widgets.mjs';
import {block, pretty, requestText, stateBadge, swap} from './callbacks.mjs';
import {mountDelivery} from './delivery.mjs';
import {paged, rest} from './paged.mjs';

export const title = 'Deliveries';

const NAMED = 50; // rooms, each asked for by itself
const RATE_MS = 10_000; // of the last minute: it falls when nothing happens
const STATES = [['', 'any state'], ['pending', 'pending'], ['dead', 'dead'],
  ['expired', 'expired'], ['delivered', 'delivered']];

/** How an endpoint does: [state, since when or what more]. */
function healthOf(e) {
  if (!e.enabled)
    return ['off', 'what is pending waits'];
  if (e.gone)
    return ['gone', 'it answered 410'];
  const since = e.failing_since_ms ? ['since ', time(e.failing_since_ms), ', '] : [];
  if (e.breaker === 'open')
    return ['breaker open', el('span', {}, ...since, 'next probe ', time(e.next_probe_ms))];
  if (e.breaker === 'half_open')
    return ['half open', 'a probe is under way'];
  if (e.failing_since_ms)
    return ['failing', el('span', {}, 'since ', time(e.failing_since_ms))];
  if (e.consent === false)
    return ['healthy', 'its consent is missing'];
  return ['healthy', e.limited ? 'waits for its rate' : ''];
}

function rateOf(e) {
  const n = e.delivered_last_minute / 60;
  const told = e.delivered_last_minute ? `${n < 10 ? n.toFixed(n < 0.1 ? 2 : 1) : Math.round(n)}/s` : '0';
  return e.effective_rate ? `${told} of ${e.effective_rate}/s` : told;
}

/** What came of a test event. */
function showTest(e, r) {
  const dialog = el('dialog', {class: 'wide', 'aria-label': `Test of ${e.name}`},
    el('h2', {}, 'Test of ', name(e.name)),
    el('p', {class: 'line result'}, stateBadge(r.delivered ? 'delivered' : 'failed'),
      el('span', {}, `${r.status || 'no answer'}${r.error ? `: ${r.error}` : ''}, ${r.duration_ms} ms`)),
    block('Request', requestText(r.request)),
    ...(r.status ? [block('Answer', pretty(r.answer) || '(empty)')] : []),
    el('p', {class: 'line'}, button('Close', () => dialog.close(), {class: 'main'})));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

async function mountList(root, ctx) {
  const {api, live, params, path, remember, toast, signal} = ctx;
  const apps = new Map((await ctx.apps()).map((a) => [a.app, a.name]));
  const state = select(STATES, params.get('state') ?? '', {'aria-label': 'State'});
  const endpoint = el('select', {'aria-label': 'Endpoint'});
  const replay = button('Replay these', replayAll);
  const note = el('p', {class: 'note', role: 'status'});
  const who = el('div', {class: 'endpoints'});
  const list = el('div', {class: 'list'});
  const more = button('Show more', () => paging.more());
  const dead = new Map(); // by endpoint: how many
  const rooms = new Map(); // by task: which room, '' while that is not known
  let rows = [], endpoints = [], moved = '', counted = '', rest_until = 0,
    wanted = params.get('endpoint') ?? '';

  /** An endpoint of this list is its name and app, as the API wants it. */
  const chosen = () => endpoints.find((e) => e.endpoint_id === endpoint.value);
  const filter = () => ({state: state.value, endpoint: chosen()?.name, app: chosen()?.app});

  async function test(e) {
    try {
      showTest(e, await api.post(path`/v1/endpoints/${e.endpoint_id}/test`));
    } catch (fault) {
      toast(fault.message, 'bad');
    }
  }

  async function replayAll() {
    const what = {state: ['dead', 'expired'].includes(state.value) ? state.value : 'all',
      endpoint: chosen()?.name, app: chosen()?.app};
    try {
      const {would_replay: n, more: cut} = await api.post('/v1/deliveries/replay',
        {...what, dry_run: true});
      if (!n) {
        toast('There is nothing dead or expired among them.');
        return;
      }
      if (!await confirm('Replay', `${cut ? 'More than ' : ''}${count(n, 'delivery', 'deliveries')} ` +
          'that are dead or expired go out again, with a fresh budget.', `Replay ${n}`))
        return;
      const {replayed} = await api.post('/v1/deliveries/replay', what);
      toast(`${count(replayed, 'delivery', 'deliveries')} go out again.`);
      await paging.refresh();
    } catch (fault) {
      toast(fault.message, 'bad');
    }
  }

  /** Of those that are delivered or pending none is dead or expired. */
  function showReplay() {
    replay.hidden = ['pending', 'delivered'].includes(state.value);
  }

  const columns = [
    {title: 'Endpoint', cell: (e) => el('span', {}, el('b', {}, name(e.name)),
      el('span', {class: 'soft'}, ` ${apps.get(e.app) ?? ''} ${e.app} · ${e.dialect}`))},
    {title: 'Goes to', cell: (e) => name(e.url, 'mono')},
    {title: 'State', cell: (e) => {
      const [health, text] = healthOf(e);
      return el('span', {class: 'line'}, stateBadge(health), el('span', {class: 'soft'}, text));
    }},
    {title: 'Rate', class: 'number', cell: rateOf},
    {title: 'Pending', class: 'number', cell: (e) => String(e.pending)},
    {title: 'Dead', class: 'number', cell: (e) => String(dead.get(e.endpoint_id) ?? '')},
    {title: '', cell: (e) => button('Send test', () => test(e),
      {'aria-label': `Send a test event to ${e.name}`, 'data-key': `test ${e.endpoint_id}`})},
  ];

  function showEndpoints() {
    const names = endpoints.map((e) => e.endpoint_id).join();
    if (endpoint.dataset.names !== names) {
      const value = endpoint.value || wanted;
      wanted = '';
      endpoint.dataset.names = names;
      endpoint.replaceChildren(el('option', {value: ''}, 'all endpoints'), ...endpoints.map((e) =>
        el('option', {value: e.endpoint_id}, `${e.name} (${e.app})`)));
      endpoint.value = endpoints.some((e) => e.endpoint_id === value) ? value : '';
    }
    swap(who, endpoints.length ? table('Endpoints', columns, endpoints) :
      empty('Nobody is told yet', el('p', {}, 'An endpoint is a URL of your backend that is told ' +
        'of recordings. ', el('a', {href: '#/app'}, 'Make one'), ', at a terminal ',
        el('code', {}, 'tapeop endpoints add'), ', or declare it under ', el('code', {}, 'callbacks:'),
        ' of the configuration.')));
  }

  /** How many are dead, of each; asked for when that may have changed, and not
   *  all the time: the server counts. */
  async function countDead(now) {
    const begin = performance.now();
    if (now === counted || begin < rest_until)
      return;
    counted = now;
    rest_until = Infinity; // one at a time
    try {
      for (const e of endpoints) {
        const {would_replay: n} = now === '0' ? {would_replay: 0} : await api.post(
          '/v1/deliveries/replay', {state: 'dead', endpoint: e.name, app: e.app, dry_run: true},
          {signal});
        dead.set(e.endpoint_id, n);
      }
      showEndpoints();
    } finally {
      rest_until = performance.now() + rest(performance.now() - begin);
    }
  }

  function showList() {
    note.textContent = rows.length ? '' : state.value || endpoint.value ? 'No delivery matches.' :
      'Nothing was sent yet: events of recordings are listed here.';
    swap(list, ...(rows.length ? [table('Deliveries', [
      {title: 'Event', cell: (d) => el('a', {href: `#/deliveries/${d.delivery_id}`,
        'data-key': `d ${d.delivery_id}`}, words(d.kind))},
      {title: 'Happened', cell: (d) => time(d.event_ms)},
      {title: 'Endpoint', cell: (d) => name(d.endpoint || 'removed')},
      {title: 'Recording', cell: (d) => el('a', {href: `#/recordings/${d.task_id}`,
        'data-key': `t ${d.delivery_id}`, title: `task ${d.task_id}`},
      rooms.get(d.task_id) ? name(rooms.get(d.task_id)) : d.task_id)},
      {title: 'State', cell: (d) => el('span', {}, stateBadge(d.state),
        d.late ? el('span', {class: 'soft'}, ' late') : '')},
      {title: 'Attempts', class: 'number', cell: (d) => String(d.attempts)},
      {title: 'Last answer', cell: (d) => d.last_error || String(d.last_status || '')},
    ], rows)] : []));
  }

  /** People know rooms, not tasks. */
  async function nameRooms() {
    const ids = [...new Set(rows.map((d) => d.task_id))].filter((id) => !rooms.has(id))
      .slice(0, NAMED);
    for (const id of ids)
      rooms.set(id, '');
    await Promise.all(ids.map(async (id) => rooms.set(id,
      (await api.get(path`/v1/tasks/${id}`, {}, {signal}).catch(() => ({room: ''}))).room)));
    if (ids.length)
      showList();
  }

  const paging = paged({signal,
    async read(page) {
      if (!page.after) {
        ({endpoints} = await api.get('/v1/endpoints', {}, {signal}));
        showEndpoints();
      }
      const {deliveries, next} = await api.get('/v1/deliveries',
        {...filter(), order: 'newest', ...page}, {signal});
      return {rows: deliveries, next};
    },
    show(all, next) {
      rows = all;
      more.hidden = !next;
      showList();
      nameRooms();
    },
    fail: (fault) => (note.textContent = fault.message)});

  for (const input of [state, endpoint])
    input.addEventListener('input', () => {
      remember({state: state.value, endpoint: endpoint.value});
      showReplay();
      paging.restart();
    });
  root.append(el('h2', {}, 'Deliveries'), who, el('div', {class: 'bar filters', role: 'search'},
    state, endpoint, replay, note), list, el('p', {class: 'bar'}, more));
  more.hidden = true;
  showReplay();
  await paging.refresh();
  const end = live.subscribe(({deliveries, settings}) => {
    const now = JSON.stringify([deliveries, settings]);
    if (now !== moved) {
      moved = now;
      paging.soon();
    }
    countDead(String(deliveries.dead)).catch(() => (counted = ''));
  });
  const rate = setInterval(() => endpoints.some((e) => e.delivered_last_minute) && paging.soon(),
    RATE_MS);
  return () => {
    end();
    clearInterval(rate);
    paging.end();
  };
}

export const mount = (root, ctx) =>
  (ctx.rest[0] ? mountDelivery(root, ctx, ctx.rest[0]) : mountList(root, ctx));
