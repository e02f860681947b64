// Lists in pages, files in ranges, metrics and health.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import test from 'node:test';

import {LIVE_OK, startEndpoint} from '../aid/endpoint.mjs';
import {isProblem, request} from '../aid/http.mjs';
import {sendPackets} from '../aid/sound.mjs';
import {APP, startServer, until} from '../aid/tapeop.mjs';

// 20 ms of digital silence in CELT (RFC 6716 section 3.1)
const packets = [Buffer.from([0xf8, 0xff, 0xfe])];

/** All pages of a list: [rows, pages]. */
async function pages(server, where, name, limit) {
  const rows = [];
  let after = '';
  for (let n = 1; ; n++) {
    const page = await server.ask(200, 'GET',
      `${where}${where.includes('?') ? '&' : '?'}limit=${limit}${after}`);
    assert.ok(page[name].length <= limit);
    rows.push(...page[name]);
    if (page.next === null)
      return [rows, n];
    assert.equal(page[name].length, limit, 'a page before the last is full');
    assert.equal(typeof page.next, 'string');
    after = `&after=${page.next}`;
  }
}

/** Ids are text: a double cannot hold them (2^53). */
function idsAreStrings(value, where = '') {
  if (Array.isArray(value)) {
    value.forEach((v, i) => idsAreStrings(v, `${where}[${i}]`));
  } else if (value && typeof value === 'object') {
    for (const [key, v] of Object.entries(value)) {
      if (/(^|_)id$/.test(key) || key === 'next')
        assert.ok(v === null || (typeof v === 'string' && /^[1-9]\d{0,18}$/.test(v)),
          `${where}.${key} is ${v}`);
      idsAreStrings(v, `${where}.${key}`);
    }
  } else if (typeof value === 'number') {
    assert.ok(Number.isSafeInteger(value), `${where} is ${value}`);
  }
}

test('a_list_comes_in_pages_that_miss_nothing_and_repeat_nothing', async (t) => {
  const good = await startEndpoint(t);
  // in between it is well, so its breaker stays closed
  const bad = await startEndpoint(t, (seen, response) => {
    const fails = seen.body.EventType === 302 && seen.raw.includes('"a0"');
    response.writeHead(fails ? 500 : 200);
    response.end(JSON.stringify(LIVE_OK));
  });
  const live = {dialect: 'live', events: ['task_started', 'task_stopped']};
  const server = await startServer(t, {callbacks: [
    {name: 'good', url: good.url, ...live},
    {name: 'bad', url: bad.url, ...live, retry: '10ms'},
  ]});
  const list = (where) => server.ask(200, 'GET', where);
  await server.join('b', 'ü');
  const tasks = [];
  // 23 tasks in 8 rooms, the rooms side by side
  await Promise.all(Array.from({length: 8}, async (_, i) => {
    await server.join(`a${i}`, 'u');
    for (let k = i; k < 23; k += 8) {
      const task = await server.record(`a${i}`);
      tasks.push(task);
      await server.finish(task);
    }
  }));
  tasks.sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  const running = await server.record('b', {unsubscribe: ['x', 'ü']});
  tasks.push(running);
  await server.drained();

  const [all] = await pages(server, '/v1/tasks', 'tasks', 1000);
  assert.deepEqual(all.map((r) => r.task_id), [...tasks].reverse(), 'newest first');
  for (const limit of [1, 5, 6, 8, 24, 25]) {
    const [rows, n] = await pages(server, '/v1/tasks', 'tasks', limit);
    assert.deepEqual(rows, all);
    assert.equal(n, Math.ceil(24 / limit));
  }
  assert.equal((await list('/v1/tasks')).tasks.length, 24, 'without a limit: 100');
  // what is new meanwhile does not move the pages
  const first = await list('/v1/tasks?limit=10');
  const late = await server.record('a0');
  const second = await list(`/v1/tasks?limit=10&after=${first.next}`);
  assert.deepEqual([...first.tasks, ...second.tasks].map((r) => r.task_id),
    all.slice(0, 20).map((r) => r.task_id));
  assert.equal((await list('/v1/tasks?limit=1')).tasks[0].task_id, late);
  assert.deepEqual(await list('/v1/tasks?after=1'), {tasks: [], next: null});
  await server.finish(late);

  const idsOf = async (query) =>
    (await pages(server, `/v1/tasks?${query}`, 'tasks', 7))[0].map((r) => r.task_id);
  assert.deepEqual(await idsOf('state=running'), [running]);
  assert.deepEqual(await idsOf('state=failed'), []);
  assert.equal((await idsOf('state=stopped')).length, 24);
  assert.deepEqual(await idsOf('room=b'), [running]);
  assert.deepEqual(await idsOf('room=nowhere'), []);
  assert.deepEqual(await idsOf('room=a0&state=running'), []);
  assert.equal((await idsOf('room=a0&state=stopped')).length, 4);
  assert.equal((await idsOf(`app=${APP}`)).length, 25);
  assert.deepEqual((await server.task(running)).unsubscribe, ['x', 'ü']);
  await server.drained();

  // 25 started and 24 stopped, for two endpoints
  const [deliveries] = await pages(server, '/v1/deliveries', 'deliveries', 1000);
  assert.equal(deliveries.length, 98);
  for (const limit of [7, 49, 98]) {
    const [rows, n] = await pages(server, '/v1/deliveries', 'deliveries', limit);
    assert.deepEqual(rows, deliveries);
    assert.equal(n, Math.ceil(98 / limit));
  }
  for (const limit of [7, 98]) {
    const [rows] = await pages(server, '/v1/deliveries?order=newest', 'deliveries', limit);
    assert.deepEqual(rows, [...deliveries].reverse());
  }
  assert.deepEqual((await pages(server, '/v1/deliveries?order=oldest', 'deliveries', 49))[0],
    deliveries);
  const ids = deliveries.map((d) => BigInt(d.delivery_id));
  assert.ok(ids.every((id, i) => !i || id > ids[i - 1]), 'oldest first');
  const filters = {
    'state=dead': (d) => d.state === 'dead',
    'state=pending': () => false,
    'endpoint=good': (d) => d.endpoint === 'good',
    [`task=${running}`]: (d) => d.task_id === running,
    [`app=${APP}&endpoint=bad&state=dead&task=${late}`]:
      (d) => d.state === 'dead' && d.task_id === late,
    'endpoint=good&state=dead': () => false,
  };
  for (const [query, keeps] of Object.entries(filters)) {
    const [rows] = await pages(server, `/v1/deliveries?${query}`, 'deliveries', 10);
    assert.deepEqual(rows, deliveries.filter(keeps), query);
  }
  assert.equal(deliveries.filter((d) => d.state === 'dead').length, 4);

  const replay = (body) => server.ask(200, 'POST', '/v1/deliveries/replay', body);
  assert.deepEqual(await replay({dry_run: true}), {would_replay: 4, dry_run: true});
  assert.deepEqual(await replay({dry_run: true, state: 'expired'}),
    {would_replay: 0, dry_run: true});
  assert.deepEqual(await replay({dry_run: true, task: late, endpoint: 'bad'}),
    {would_replay: 1, dry_run: true});
  assert.deepEqual(await replay({dry_run: true, from_ms: 1, to_ms: 2}),
    {would_replay: 0, dry_run: true});
  assert.equal((await server.metrics()).deliveries_dead, 4, 'a dry run changes nothing');

  const detail = await list(`/v1/deliveries/${deliveries.find((d) =>
    d.state === 'dead').delivery_id}`);
  assert.deepEqual(detail.attempts_log.map((a) => [a.n, a.status]), [[1, 500], [2, 500]]);
  for (const answer of [await list('/v1/tasks'), await list('/v1/rooms'), detail,
    await list('/v1/deliveries'), await list(`/v1/apps/${APP}/endpoints`),
    await list(`/v1/tasks/${running}`)])
    idsAreStrings(answer);
  await server.stop();
});

/** A recorded room: `speakers` users with one closed segment each. */
async function recorded(t, server, speakers) {
  const senders = [];
  for (const user of speakers)
    senders.push(sendPackets(t, packets, (await server.join('r', user)).port));
  const task = await server.record('r');
  await until('everybody is recorded', async () =>
    (await server.segments(task)).filter((s) => s.state === 'recording').length ===
      speakers.length);
  return {task, senders};
}

test('tasks_are_searched_by_user_text_and_time', async (t) => {
  const server = await startServer(t);
  const tasks = {};
  for (const [room, user] of [['daily', 'alice'], ['daily 2', 'al ü'], ['weekly', 'bob']]) {
    const input = await server.join(room, user);
    const sending = sendPackets(t, packets, input.port);
    tasks[user] = await server.record(room);
    await until('a file is recorded', async () => (await server.segments(tasks[user])).length);
    sending.stop();
    await server.finish(tasks[user]);
  }
  const found = async (query) => (await server.ask(200, 'GET',
    `/v1/tasks?${new URLSearchParams(query)}`)).tasks.map((r) => r.task_id);
  const {alice, bob, 'al ü': al} = tasks;
  assert.deepEqual(await found({user: 'al ü'}), [al]);
  assert.deepEqual(await found({user: 'al'}), [], 'a user is named in full');
  assert.deepEqual(await found({user: 'bob', room: 'daily'}), [], 'filters narrow');
  assert.deepEqual(await found({text: 'daily'}), [al, alice], 'rooms that begin so');
  assert.deepEqual(await found({text: 'al'}), [al, alice], 'users that begin so');
  assert.deepEqual(await found({text: 'al', limit: 1}), [al]);
  assert.deepEqual(await found({text: 'al', limit: 1, after: al}), [alice]);
  assert.deepEqual(await found({text: 'AL'}), []);
  assert.deepEqual(await found({text: '%'}), [], 'no pattern');
  assert.deepEqual(await found({text: bob}), [bob]);
  const {created_ms} = await server.task(al);
  assert.deepEqual(await found({from_ms: created_ms}), [bob, al]);
  assert.deepEqual(await found({to_ms: created_ms}), [alice]);
  assert.deepEqual(await found({from_ms: created_ms, to_ms: created_ms + 1}), [al]);
});

test('a_file_is_served_whole_and_in_ranges', async (t) => {
  // one file each, also where the senders stand still for a while
  const server = await startServer(t, {recording: {mic_off_after: '1h'}});
  const {task, senders} = await recorded(t, server, ['a', 'b', 'c']);
  const audio = (s) => `/v1/segments/${s.segment_id}/audio`;
  for (const s of await server.segments(task)) {
    isProblem(await server.api('GET', audio(s)), 409,
      {field: 'segment', says: /is recording: there is no finished file/});
  }
  senders.forEach((s) => s.stop());
  const segments = await server.finish(task);
  assert.equal(segments.length, 3);
  const [some, n] = await pages(server, `/v1/tasks/${task}/segments`, 'segments', 2);
  assert.deepEqual([some, n], [segments, 2]);
  idsAreStrings(segments);

  const file = fs.readFileSync(server.file(segments[0]));
  const size = file.length;
  assert.equal(segments[0].size, size);
  assert.equal(segments[0].sha256,
    crypto.createHash('sha256').update(file).digest('hex'));
  const get = async (range, method = 'GET') => {
    const answer = await fetch(server.url + audio(segments[0]),
      {method, headers: range === undefined ? {} : {range}});
    return {status: answer.status, h: (name) => answer.headers.get(name),
      bytes: Buffer.from(await answer.arrayBuffer())};
  };
  const whole = async (range) => {
    const a = await get(range);
    assert.equal(a.status, 200, range);
    assert.equal(a.h('content-type'), 'audio/mpeg');
    assert.equal(a.h('accept-ranges'), 'bytes');
    assert.equal(a.h('content-range'), null);
    assert.equal(a.h('x-content-type-options'), 'nosniff');
    assert.ok(a.bytes.equals(file), range);
  };
  await whole();
  // what is not one range of bytes is as if it was not there
  for (const range of ['bytes', 'bytes=', 'bytes=-', 'bytes=a-b', 'bytes=5', 'bytes=9-5',
    'bytes=0-1,3-4', 'bytes=--5', 'bytes=-5-', 'bytes=0-0x10', 'bytes=+1-2', 'items=0-1',
    'bytes 0-1', `bytes=${'9'.repeat(30)}-`, `bytes=${'1'.repeat(5000)}`, 'none', ''])
    await whole(range);
  const parts = [[`bytes=0-0`, 0, 0], ['bytes=0-99', 0, 99], ['bytes=100-', 100, size - 1],
    ['bytes=-1', size - 1, size - 1], ['bytes=-100', size - 100, size - 1],
    [`bytes=-${size * 2}`, 0, size - 1], [`bytes=${size - 1}-`, size - 1, size - 1],
    [`bytes=5-${size * 10}`, 5, size - 1], [`bytes=0-${2n ** 63n - 1n}`, 0, size - 1]];
  for (const [range, from, to] of parts) {
    const a = await get(range);
    assert.equal(a.status, 206, range);
    assert.equal(a.h('content-range'), `bytes ${from}-${to}/${size}`);
    assert.ok(a.bytes.equals(file.subarray(from, to + 1)), range);
  }
  for (const range of [`bytes=${size}-`, `bytes=${size}-${size + 5}`, 'bytes=-0',
    `bytes=${2n ** 63n - 1n}-`]) {
    const a = await get(range);
    assert.equal(a.status, 416, range);
    assert.equal(a.h('content-range'), `bytes */${size}`);
    assert.equal(JSON.parse(a.bytes).status, 416);
  }
  for (const range of [undefined, 'bytes=0-0', `bytes=${size}-`]) {
    const a = await get(range, 'HEAD');
    assert.equal(a.status, 200, `HEAD ${range}`);
    assert.equal(a.h('content-length'), String(size));
    assert.equal(a.bytes.length, 0);
  }

  // who tidies up by hand is told; a link that was put there is not followed
  const names = segments.slice(1).map((s) => server.file(s));
  fs.rmSync(names[0]);
  fs.rmSync(names[1]);
  fs.symlinkSync('/etc/passwd', names[1]);
  for (const s of segments.slice(1)) {
    isProblem(await request(server.url, 'GET', audio(s)), 404,
      {field: 'segment', says: new RegExp(s.file.replace(/[+.]/g, '\\$&'))});
  }
  await server.stop();
});

test('a_segment_that_was_lost_says_so', async (t) => {
  const server = await startServer(t, {env: {TAPEOP_FAULT: 'file.rename=EIO'},
    recording: {mic_off_after: '1h'}});
  const {task, senders} = await recorded(t, server, ['a']);
  senders.forEach((s) => s.stop());
  const [lost] = await server.finish(task);
  assert.equal(lost.state, 'lost');
  assert.notEqual(lost.reason, '');
  isProblem(await server.api('GET', `/v1/segments/${lost.segment_id}/audio`), 410,
    {field: 'segment', says: /is lost: there is no finished file/});
  const metrics = await server.metrics();
  assert.equal(metrics.segments_lost, 1);
  assert.equal(metrics.segments_closed, 0);
  await server.stop();
});

// ---- health and metrics ---------------------------------------------------------

test('health_and_readiness_are_told', async (t) => {
  const server = await startServer(t);
  assert.deepEqual(await server.ask(200, 'GET', '/healthz'), {status: 'ok'});
  assert.deepEqual(await server.ask(200, 'GET', '/readyz'), {status: 'ready'});
  assert.deepEqual(await server.ask(200, 'GET', '/healthz?probe=1'), {status: 'ok'});
  const root = await server.api('GET', '/');
  assert.equal(root.type, 'text/html; charset=utf-8');
  assert.match(root.text, /tapeop is running/); // for who has no JavaScript
  await server.stop();
});

/** Every line as Prometheus reads it; {name: {help, type, value}}. */
function parseMetrics(text) {
  const metrics = {};
  const last = text.split('\n').pop();
  assert.equal(last, '', 'the last line ends');
  for (const line of text.split('\n').slice(0, -1)) {
    const help = /^# HELP ([a-z][a-z0-9_]*) (\S.*)$/.exec(line);
    const type = /^# TYPE ([a-z][a-z0-9_]*) (counter|gauge)$/.exec(line);
    const value = /^([a-z][a-z0-9_]*) (-?\d+)$/.exec(line);
    const [, name, what] = help ?? type ?? value ?? [];
    assert.ok(name, `not a line of Prometheus text: ${line}`);
    const m = metrics[name] ??= {};
    const key = help ? 'help' : type ? 'type' : 'value';
    assert.equal(m[key], undefined, `${line}: twice`);
    assert.ok(key === 'help' || m.help, `${line}: HELP comes first`);
    assert.ok(key !== 'value' || m.type, `${line}: TYPE comes before`);
    assert.ok(!/\\[^\\n]/.test(what), `${line}: a bad escape`);
    m[key] = what;
  }
  return metrics;
}

test('every_counter_is_a_metric_with_help_and_type', async (t) => {
  const server = await startServer(t);
  const answer = await server.api('GET', '/metrics');
  assert.equal(answer.status, 200);
  assert.equal(answer.type, 'text/plain; version=0.0.4; charset=utf-8');
  const metrics = parseMetrics(answer.text);
  const table = fs.readFileSync(
    new URL('../../src/base/counters.def', import.meta.url), 'utf8');
  const counters = [...table.matchAll(
    /^COUNTER\((\w+), (TOTAL|GAUGE), "([^"]*)", "([^"]*)", "([^"]*)"\)$/gm)];
  assert.equal(counters.length, table.match(/^COUNTER\(/gm).length);
  assert.ok(counters.length > 40);
  for (const [, name, kind, unit, meaning, helps] of counters) {
    const m = metrics[`tapeop_${name}${kind === 'TOTAL' ? '_total' : ''}`];
    assert.ok(m, name);
    assert.equal(m.type, kind === 'TOTAL' ? 'counter' : 'gauge', name);
    assert.equal(m.help, `${meaning} [${unit}]${helps && ` - ${helps}`}`);
    assert.match(m.value, /^\d+$/, name);
  }
  for (const [name, m] of Object.entries(metrics)) {
    assert.ok(name.startsWith('tapeop_'), name);
    assert.ok(m.help && m.type && m.value, name);
    assert.equal(name.endsWith('_total'), m.type === 'counter', name);
  }
  // requests are counted once each, refused ones too
  const before = await server.metrics();
  await server.ask(200, 'GET', '/healthz');
  await server.ask(404, 'GET', '/nothing');
  await server.api('POST', '/v1/deliveries/replay', Buffer.alloc((1 << 20) + 1));
  const after = await server.metrics();
  assert.equal(after.http_requests - before.http_requests, 3);
  assert.equal(after.http_refused - before.http_refused, 1);
  await server.stop();
});
