// GET /v1/events and `tapeop listen`: nothing is missed, whoever is away.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import {describe, test} from 'node:test';

import {Webhook} from 'standardwebhooks';

import {endpointAnswers, signGme, startEndpoint} from '../aid/endpoint.mjs';
import {isProblem, request} from '../aid/http.mjs';
import {oneLine} from '../aid/lines.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, KEY, background, command, rtpRange, startServer, tempDir, until}
  from '../aid/tapeop.mjs';

const WHSEC = 'whsec_' + Buffer.from('a key of the listen tests, 32 B!').toString('base64');
const speech = oggPackets('assets/demo/bob.opus');

/**
 * A client of /v1/events that reads as told: .blocks are {id, event, data};
 * .pause() and .resume() its reading, .close() it.
 */
async function follow(t, server, query = '', headers = {}) {
  const at = new URL(server.url);
  const socket = net.connect(Number(at.port), at.hostname);
  const f = {socket, text: '', blocks: [], ended: false};
  let body = '';
  socket.on('error', () => {});
  socket.on('close', () => (f.ended = true));
  socket.on('data', (d) => {
    f.text += d;
    const head = f.text.indexOf('\r\n\r\n');
    if (head < 0)
      return;
    // chunks begin and end with lines that no block has
    body = f.text.slice(head + 4).replace(/^[0-9A-F]+\r\n/gm, '').replace(/\r\n/g, '');
    f.blocks = body.split('\n\n').slice(0, -1).map((block) => Object.fromEntries(
      block.split('\n').map((line) => /^(\w*): ?(.*)$/.exec(line))
        .filter((m) => m && m[1]).map(([, name, value]) => [name, value])))
      .filter((b) => b.id !== undefined || b.event)
      .map((b) => ({...b, data: b.data && JSON.parse(b.data)}));
  });
  socket.write(`GET /v1/events${query} HTTP/1.1\r\nHost: ${at.host}\r\n` +
    Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`).join('') + '\r\n');
  f.pause = () => socket.pause();
  f.resume = () => socket.resume();
  f.close = () => socket.destroy();
  f.events = () => f.blocks.filter((b) => b.data);
  t.after(f.close);
  await until('the stream has begun', () => f.blocks.length || f.ended);
  return f;
}

/** A task that is over at once: task_started, task_stopped. */
async function short(server, room = 'room') {
  const {input_id} = await server.join(room, 'bob');
  const task = await server.record(room);
  await server.finish(task);
  await server.ask(200, 'DELETE', `/v1/inputs/${input_id}`);
  return task;
}

/** Each sequence of each task once, in order, from 0. */
function hasNoGap(events, what = '') {
  const next = new Map();
  let last = 0n;
  for (const e of events) {
    assert.ok(BigInt(e.event_id) > last, `${what}: ${e.event_id} after ${last}`);
    last = BigInt(e.event_id);
    assert.equal(e.sequence, next.get(e.task_id) ?? 0, `${what}: task ${e.task_id}`);
    next.set(e.task_id, e.sequence + 1);
  }
}

/** What the whole log says, as `data` of the dialect standard. */
async function wholeLog(t, server, until_kinds) {
  const f = await follow(t, server, '?after=0');
  await until('the log is whole', () => until_kinds(f.events()));
  f.close();
  return f.events().map((e) => e.data.data);
}

/** `tapeop listen`; .lines() are what it printed, parsed. */
function startListener(t, server, target, more = [], env = {}) {
  const proc = background(t, ['listen', '--server', server.url, '--json',
    ...(target ? ['--forward', target.url + '/hook', '--key', 'env:TAPEOP_TEST_KEY'] : []),
    ...more], {TAPEOP_TEST_KEY: WHSEC, ...env});
  proc.lines = () => proc.out.split('\n').slice(0, -1).map((line) => JSON.parse(line));
  proc.kill9 = () => {
    proc.child.kill('SIGKILL');
    return proc.exit;
  };
  return proc;
}

describe('events', {concurrency: true}, () => {
  test('the_log_is_streamed_from_a_cursor_and_goes_on_live_without_gap_or_repetition', async (t) => {
    const server = await startServer(t);
    const early = await short(server, 'a');
    const all = await follow(t, server, '?after=0');
    assert.deepEqual([all.blocks[0].id, all.blocks[0].retry], ['0', '2000']);
    assert.match(all.text, /content-type: text\/event-stream/i);
    const now = await follow(t, server);
    assert.equal(now.blocks[0].id, '2', now.text);
    const late = await short(server, 'b');
    await until('both have all', () => all.events().length === 4 && now.events().length === 2);
    assert.deepEqual(now.events(), all.events().slice(2));
    assert.deepEqual(all.events().map((e) => [e.event, e.data.type, e.data.data.task_id,
      e.data.data.room, e.data.client_ip, e.data.platform]),
    [early, late].flatMap((task, i) => [['task_started', 'task.started'],
      ['task_stopped', 'task.stopped']].map((kind) => [...kind, task, 'ab'[i],
      '127.0.0.1', 'RESTAPI'])));
    all.events().forEach((e) => assert.equal(e.id, e.data.data.event_id));
    hasNoGap(all.events().map((e) => e.data.data));
    // whoever comes back goes on behind what it had; the header counts more
    const back = await follow(t, server, '?after=0', {'Last-Event-ID': all.events()[0].id});
    await until('the rest', () => back.events().length === 3);
    assert.deepEqual(back.events(), all.events().slice(1));
    assert.equal((await server.metrics()).event_streams, 3);
    back.close();
    await until('it is noticed', async () => (await server.metrics()).event_streams === 2);
    assert.equal((await server.metrics()).event_streams_cut, 0);
    await server.stop();
    await until('the server has ended them', () => all.ended && now.ended);
    assert.match(all.text, /\r\n0\r\n\r\n$/, 'in good order');
  });

  test('filters_let_through_what_they_name_and_every_bad_one_is_refused', async (t) => {
    const server = await startServer(t);
    const [a, b] = [await short(server, 'a'), await short(server, 'b')];
    const cases = [
      [`?after=0&task=${b}`, [3, 4]],
      ['?after=0&room=a', [1, 2]],
      [`?after=0&app=${APP}&kinds=task_stopped`, [2, 4]],
      ['?after=0&kinds=task_stopped,task_started&room=b', [3, 4]],
      ['?after=0&room=nobody', []],
      [`?after=2&task=${a}`, []],
    ];
    for (const [query, ids] of cases) {
      const f = await follow(t, server, query);
      await until(`${query}: ${ids}`, () => f.events().length >= ids.length);
      cases.find((c) => c[0] === query).push(f);
    }
    await short(server, 'c');
    for (const [query, ids, f] of cases) {
      const more = /room|task=/.test(query) ? [] : [6];
      await until(query, () => f.events().length >= ids.length + more.length);
      assert.deepEqual(f.events().map((e) => Number(e.id)), [...ids, ...more], query);
    }
    for (const [query, status, field, says] of [
      ['?after=x', 400, 'after', /id of an event/],
      ['?after=-1', 400, 'after'],
      ['?after=9223372036854775808', 400, 'after'],
      ['?after=7', 409, 'after', /another database: the newest event here is 6/],
      ['?kinds=started,,completed', 400, 'kinds'],
      ['?kinds=', 400, 'kinds'],
      ['?kinds=other', 400, 'kinds', /other is no kind/],
      ['?kinds=' + 'x'.repeat(300), 400, 'kinds'],
      ['?app=7', 404, 'app'],
      ['?app=x', 400, 'app'],
      ['?task=0', 400, 'task'],
      ['?room=a%2Fb', 400, 'room'],
      ['?room=a&room=b', 400, 'room', /twice/],
      ['?limit=1', 400, 'limit', /unknown parameter/],
    ])
      isProblem(await request(server.url, 'GET', '/v1/events' + query), status, {field, says}, query);
    isProblem(await request(server.url, 'GET', '/v1/events', undefined, {'Last-Event-ID': 'x'}),
      400, {field: 'Last-Event-ID'});
    isProblem(await request(server.url, 'GET', '/v1/events', undefined, {Origin: 'http://evil'}),
      403);
    assert.equal((await request(server.url, 'HEAD', '/v1/events')).status, 200);
    await server.stop();
  });

  test('streams_are_bounded_and_a_place_comes_free_with_a_client_that_goes', async (t) => {
    const server = await startServer(t);
    const streams = [];
    for (let i = 0; i < 64; i++)
      streams.push(await follow(t, server));
    isProblem(await request(server.url, 'GET', '/v1/events'), 503, {says: /64 streams/});
    streams[0].close();
    await until('there is room', async () => (await server.metrics()).event_streams < 64);
    await follow(t, server);
    await short(server);
    await until('all are told', () => streams.slice(1).every((s) => s.events().length === 2));
  });

  test('a_client_that_stands_still_for_a_while_gets_it_all_when_it_goes_on', async (t) => {
    const server = await startServer(t);
    const [slow, quick] = [await follow(t, server), await follow(t, server)];
    slow.pause();
    for (let i = 0; i < 20; i++)
      await short(server, `room ${i} ${'x'.repeat(100)}`);
    await until('the quick one has all', () => quick.events().length === 40);
    slow.resume();
    await until('so has the slow one', () => slow.events().length === 40);
    assert.deepEqual(slow.events(), quick.events());
  });

  test('with_a_token_only_its_owner_may_follow', async (t) => {
    const server = await startServer(t, {http: {admin_token: 'a-token-of-the-tests'}});
    isProblem(await request(server.url, 'GET', '/v1/events'), 401);
    const f = await follow(t, server, '', {Authorization: 'Bearer a-token-of-the-tests'});
    assert.equal(f.blocks[0].id, '0');
    oneLine(await command(t, ['listen', '--server', server.url]), 'listen', 1, /--token/);
  });
});

describe('listen', {concurrency: true}, () => {
  test('everything_is_forwarded_in_order_though_each_side_dies_in_turn', async (t) => {
    const target = await startEndpoint(t);
    const taken = [];
    const ok = endpointAnswers(200);
    target.answer = (seen, response) => {
      // not our code
      new Webhook(WHSEC).verify(seen.raw, seen.headers);
      taken.push(seen.body.data);
      return ok(seen, response);
    };
    const up = target.answer;
    const server = await startServer(t,
      {listen: `127.0.0.1:${(await rtpRange()).split('-')[0]}`, recording: {segment: '1s'}});
    const cursor = path.join(tempDir(t), 'listen.cursor');
    const listen = () => startListener(t, server, target, ['--cursor', cursor]);
    let listener = listen();
    await until('its place is written down before anything happens',
      () => fs.readFileSync(cursor, 'utf8') === '0\n');

    const {port} = await server.join('room', 'alice');
    const speaking = sendPackets(t, speech, port);
    const task = await server.record('room', {mode: 'both'});
    await until('some are taken', () => taken.length >= 4);

    await listener.kill9();
    await short(server, 'meanwhile');
    listener = listen();
    await until('it went on', () => taken.some((e) => e.room === 'meanwhile' && e.sequence === 1));

    target.answer = (seen, response) => response.socket.destroy();
    await short(server, 'down');
    await until('it tries again, and says so', () => listener.lines().filter((l) =>
      l.forward && !l.forward.ok && l.forward.attempt >= 2 && l.forward.error).length);
    target.answer = endpointAnswers(500);
    await until('whatever the answer', () => listener.lines().some((l) =>
      l.forward?.status === 500 && l.forward.again_ms > 0));
    assert.ok(!taken.some((e) => e.room === 'down'));
    await listener.kill9(); // what it held is not lost with it
    listener = listen();
    await until('the new one tries, too', () => listener.lines().some((l) => l.forward));
    target.answer = up;
    await until('what waited is taken',
      () => taken.some((e) => e.room === 'down' && e.sequence === 1));

    await server.kill();
    await until('it says that nobody is there', () => /again in /.test(listener.text));
    await server.start();
    await short(server, 'after');
    await until('it came back',
      () => taken.some((e) => e.room === 'after' && e.sequence === 1));

    speaking.stop();
    await server.finish(task);
    await until('the last is taken', () => taken.some((e) => e.task_id === task && e.files));
    const last = taken.at(-1).event_id;
    await until('and noted', () => fs.readFileSync(cursor, 'utf8') === `${last}\n`);

    const log = await wholeLog(t, server, (events) => events.some((e) => e.id === last));
    assert.ok(log.length > 20, `${log.length} events`);
    hasNoGap(log, 'the log');
    // once each, but for those whose answer a death kept from being noted
    const first = taken.filter((e, i) => taken.findIndex((o) => o.event_id === e.event_id) === i);
    assert.deepEqual(first, log);
    assert.ok(taken.length <= log.length + 1, `${taken.length} sent of ${log.length}`);
    assert.equal(listener.ended, null, listener.text);
  });

  test('each_dialect_is_forwarded_as_the_server_sends_it', async (t) => {
    const sent = await startEndpoint(t); // by the server
    const targets = {};
    const dialects = {gme: ['--key', 'env:GME_KEY'], live: ['--key', 'env:GME_KEY'], trtc: [],
      standard: ['--key', 'env:TAPEOP_TEST_KEY']};
    const events = ['started', 'completed', 'uploaded', 'task_started', 'task_stopped',
      'upload_started', 'upload_stopped', 'files_ready'];
    const server = await startServer(t, {callbacks: Object.keys(dialects).map((dialect) => ({
      name: dialect, dialect, url: `${sent.url}/${dialect}`,
      key: {gme: KEY, live: KEY, trtc: '', standard: WHSEC}[dialect],
      events: dialect === 'gme' ? events.slice(0, 3) :
        dialect === 'standard' ? events : ['started', ...events.slice(3)],
    }))});
    for (const [dialect, args] of Object.entries(dialects)) {
      const target = await startEndpoint(t);
      targets[dialect] = target;
      target.proc = background(t, ['listen', '--server', server.url, '--from', 'start',
        '--forward', `${target.url}/${dialect}`, '--dialect', dialect, ...args],
      {TAPEOP_TEST_KEY: WHSEC, GME_KEY: KEY});
    }
    const {port} = await server.join('room', 'alice');
    const speaking = sendPackets(t, speech, port);
    const task = await server.record('room');
    await speaking.reached(50);
    speaking.stop();
    await server.finish(task);
    await server.drained();
    const same = ({body, url}) => {
      const {Timestamp, CallbackTs, ...rest} = body;
      const query = Object.fromEntries(url.searchParams);
      delete query.Sign;
      delete query.RequestTime;
      return {...rest, path: url.pathname, query};
    };
    for (const [dialect, target] of Object.entries(targets)) {
      const want = sent.requests.filter((r) => r.url.pathname === `/${dialect}`);
      assert.ok(want.length >= 3, dialect);
      await until(`${dialect}: ${want.length}`, () => target.requests.length >= want.length);
      assert.deepEqual(target.requests.map(same), want.map(same), dialect);
      for (const [i, r] of target.requests.entries()) {
        for (const name of ['tapeop-event-id', 'tapeop-sequence', 'tapeop-attempt', 'content-type'])
          assert.equal(r.headers[name], want[i].headers[name], `${dialect} ${name}`);
        if (dialect === 'gme')
          assert.equal(r.headers.signature, signGme(r.raw));
        assert.equal(Boolean(r.url.searchParams.get('Sign')), dialect === 'live');
      }
    }
    await until('what gme has no word for is said',
      () => /task\.started .*left out: the dialect has no word for it\n/.test(targets.gme.proc.out));
    await until('a line a person can read', () => new RegExp(
      `segment\\.uploaded  task ${task} #\\d+  room/alice 0  HTTP 200 in \\d+ ms\n`)
      .test(targets.standard.proc.out));
  });

  test('without_a_url_it_prints_filtered_and_goes_on_from_its_cursor', async (t) => {
    const server = await startServer(t);
    const cursor = path.join(tempDir(t), 'cursor');
    await short(server, 'a');
    await short(server, 'b');
    let proc = startListener(t, server, null,
      ['--from', 'start', '--room', 'b', '--kinds', 'task_stopped', '--cursor', cursor]);
    await until('one line', () => proc.lines().length === 1);
    const [line] = proc.lines();
    assert.deepEqual([line.id, line.event.type, line.event.data.room], ['4', 'task.stopped', 'b']);
    await until('noted', () => fs.readFileSync(cursor, 'utf8') === '4\n');
    await proc.kill9();
    await short(server, 'b');
    proc = startListener(t, server, null, ['--from', 'start', '--cursor', cursor]);
    await until('the rest only', () => proc.lines().length === 2);
    assert.deepEqual(proc.lines().map((l) => l.id), ['5', '6']);
    // of another server: the cursor is ahead of all that is there
    fs.writeFileSync(cursor, '1000\n');
    oneLine(await command(t, ['listen', '--server', server.url, '--cursor', cursor]), 'listen', 1,
      /1000 is of another database/);
  });

  test('what_cannot_be_understood_is_refused_in_one_line', async (t) => {
    const server = await startServer(t);
    const dir = tempDir(t);
    const bad = path.join(dir, 'bad');
    fs.writeFileSync(bad, 'twelve\n');
    fs.writeFileSync(path.join(dir, 'long'), '1'.repeat(200));
    const url = ['--forward', 'http://127.0.0.1:9/'];
    for (const [code, says, ...args] of [
      [2, /--forward: /, '--forward', 'ftp://x'],
      [2, /needs --key/, ...url],
      [2, /needs --key/, ...url, '--dialect', 'gme'],
      [2, /--dialect must be gme, live, trtc or standard: gmx/, ...url, '--dialect', 'gmx'],
      [2, /whsec_/, ...url, '--key', `file:${bad}`],
      [2, /go with --forward/, '--dialect', 'gme'],
      [2, /--from must be now, start or the id/, '--from', 'yesterday'],
      [2, /--app must be a number/, '--app', 'x'],
      [2, /unexpected argument: more/, 'more'],
      [1, /is not a file of this command/, '--cursor', bad],
      [1, /is not a file of this command/, '--cursor', path.join(dir, 'long')],
      [1, /--cursor: .*(not a directory|No such file)/i, '--cursor', path.join(dir, 'no/such/dir')],
      [1, /there is no app 7/, '--app', '7'],
      [1, /x is no kind of event/, '--kinds', 'x'],
    ])
      oneLine(await command(t, ['listen', '--server', server.url, '--json', ...args]), 'listen',
        code, says);
    oneLine(await command(t, ['listen', '--server', server.url, '--json', '--room', 'r'.repeat(5000)]),
      'listen', 1, /too long|at most 2083 bytes/);
    const help = await command(t, ['listen', '--help']);
    assert.match(help.out, /^usage: tapeop listen \[--forward URL\]/);
    const literal = startListener(t, server, null,
      [...url, '--dialect', 'gme', '--key', 'in the open']);
    await until('a key for all to see is warned about', () => /warning: the text of --key is visible/.test(literal.text));
  });
});
