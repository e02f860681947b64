// kill -9 while callbacks fail, hang, are answered; and of the receiver.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {startStage} from '../aid/crash.mjs';
import {LIVE_OK, endpointAnswers, eventKey, postGme, startEndpoint} from '../aid/endpoint.mjs';
import {listen} from '../aid/sse.mjs';
import {APP, startReceiver, startServer, tempDir, until} from '../aid/tapeop.mjs';
import {sql} from '../aid/truth.mjs';

/** How an endpoint can be bad: each deals with a request. */
const bad = {
  answers_500: endpointAnswers(500),
  asks_for_patience: endpointAnswers(429, {'Retry-After': '1'}),
  hangs: () => {},
  resets: (seen, response) => response.socket.resetAndDestroy?.() ?? response.socket.destroy(),
  closes_in_the_midst: (seen, response) => {
    response.writeHead(200, {'Content-Length': '100'});
    response.write('{"Act');
    response.socket.destroySoon();
  },
};

test('a_crash_while_an_endpoint_is_bad_loses_no_delivery', {concurrency: 5}, (t) =>
  Promise.all(Object.entries(bad).map(([name, answer]) => t.test(name, async (t) => {
    const stage = await startStage(t, {answer});
    await stage.record();
    await until('attempts were made', () => stage.endpoint.requests.length >= 2);
    await stage.server.kill();
    await stage.server.start();
    await until('attempts are made again', async () =>
      (await stage.server.metrics()).attempts_failed >= 1);
    await stage.server.kill();
    stage.endpoint.answer = endpointAnswers(200);
    await stage.goOn();
    await stage.truth();
    const numbers = new Map();
    for (const r of stage.endpoint.requests) {
      const key = eventKey(r);
      numbers.set(key, (numbers.get(key) ?? 0) + 1);
    }
    assert.ok(Math.max(...numbers.values()) > 1, 'something was sent again');
    await stage.server.stop();
  }))));

test('an_answer_that_was_not_committed_is_asked_for_again_under_the_same_id', async (t) => {
  // The process dies with the answer, a 200, in its hands.
  const endpoint = await startEndpoint(t);
  const server = await startServer(t, {
    env: {TAPEOP_CRASH_AT: 'delivery.answered'},
    callbacks: [{name: 'live', url: endpoint.url, dialect: 'live'}]});
  await server.join('room', 'alice');
  const task = await server.record('room').catch(() => null); // it may die first
  await until('it is dead', () => server.proc.ended);
  assert.equal(server.proc.ended.signal, 'SIGKILL', server.proc.text);
  assert.equal(endpoint.requests.length, 1);
  await server.start({TAPEOP_CRASH_AT: ''});
  await until('it was sent twice', () => endpoint.requests.length >= 2);
  const [a, b] = endpoint.requests;
  assert.equal(a.headers['tapeop-event-id'], b.headers['tapeop-event-id']);
  assert.equal(a.headers['tapeop-sequence'], b.headers['tapeop-sequence']);
  assert.deepEqual({...a.body, CallbackTs: 0}, {...b.body, CallbackTs: 0});
  await server.drained();
  const [row] = await sql(server, 'SELECT state FROM delivery');
  assert.equal(row.state, 1);
  assert.equal(endpoint.requests.length, 2);
  assert.ok(task === null || a.body.EventInfo.TaskId === task);
  await server.stop();
});

const gme = (seq) => JSON.stringify({BizID: APP, RoomID: '100', UserID: '999', TaskID: 640,
  RecordMode: 0, Timestamp: 1675930605, EventType: 1, Detail: {SeqNo: seq, FileName: `f/${seq}.mp3`}});

/** Lines of `tapeop receive`, one an event. */
const lines = (events) => events.map((e) => `${e.user} ${e.seq} ${e.kind}`).sort();

test('what_a_dead_server_sends_again_the_receiver_takes_once', {concurrency: 3}, (t) =>
  Promise.all([1, 2, 5].map((n) => t.test(`answer ${n}`, async (t) => {
    const receiver = await startReceiver(t);
    // none is sent again because an answer took long
    const stage = await startStage(t, {callbacks: {url: receiver.url, timeout: '30s'},
      alone: true});
    await stage.server.stop();
    const known = await stage.dieAt(`delivery.answered:${n}`);
    await stage.goOn({known});
    await stage.server.drained();
    const rows = await sql(stage.server, 'SELECT user, seq FROM segment');
    const metrics = await (await fetch(`${receiver.url}/metrics`)).text();
    const count = (name) => Number(new RegExp(`^tapeop_${name}_total (\\d+)$`, 'm')
      .exec(metrics)[1]);
    await until('all are printed', () => receiver.events().length >= 3 * rows.length);
    const printed = lines(receiver.events());
    assert.deepEqual(printed, rows.flatMap((s) => ['started', 'completed', 'uploaded']
      .map((kind) => `${s.user} ${s.seq} ${kind}`)).sort());
    assert.equal(count('received_new'), printed.length);
    assert.equal(count('received_duplicate'), 1);
    await stage.server.stop();
  }))));

test('a_receiver_that_is_killed_loses_nothing_and_forwards_all', {concurrency: 4}, (t) =>
  Promise.all(['store.commit.before:3', 'store.commit.after:3', 'store.commit.before:6',
    'store.commit.after:7', 'delivery.answered:2'].map((where) => t.test(where, async (t) => {
    const app = await startEndpoint(t); // behind the receiver
    const receiver = await startReceiver(t, {args: ['--forward', app.url],
      env: {TAPEOP_CRASH_AT: where}});
    const stage = await startStage(t, {callbacks: {url: receiver.url}});
    await stage.record();
    await until('the receiver is dead', () => receiver.proc.ended);
    assert.equal(receiver.proc.ended.signal, 'SIGKILL');
    const before = receiver.events();
    await receiver.start({}); // on the same port and folder
    await until('files were closed', async () =>
      (await stage.segments()).some((s) => s.state === 'closed'));
    await stage.server.finish(stage.task);
    await stage.server.drained();

    const {recordings} = await receiver.get('/v1/recordings');
    const segments = await stage.segments();
    assert.equal(recordings.length, 1);
    assert.deepEqual(recordings[0].segments.map((s) => [s.user, s.seq, s.state, s.file]).sort(),
      segments.map((s) => [s.user, s.seq, 'uploaded', s.file]).sort());
    // printed once at most; forwarded at least once, each
    const printed = [...before, ...receiver.events()]
      .map((e) => `${e.user} ${e.seq} ${e.kind}`);
    assert.equal(new Set(printed).size, printed.length);
    await until('all is forwarded', () =>
      new Set(app.requests.map(eventKey)).size === 3 * segments.length);
    assert.ok(app.requests.every((r) => r.body.BizID === APP));
    await stage.server.stop();
  }))));

test('a_receiver_that_cannot_commit_says_no_and_takes_it_later', async (t) => {
  const receiver = await startReceiver(t, {env: {TAPEOP_FAULT: 'store.commit=EIO:3'}});
  const stage = await startStage(t, {callbacks: {url: receiver.url}, alone: true});
  await stage.record();
  await until('an attempt is refused', async () =>
    (await sql(stage.server, 'SELECT 1 FROM attempt WHERE status=503')).length > 0);
  const before = receiver.events();
  await receiver.kill();
  await receiver.start({});
  await stage.server.finish(stage.task);
  await stage.server.drained();
  const want = (await stage.segments()).flatMap((s) => ['started', 'completed', 'uploaded']
    .map((kind) => `${s.user} ${s.seq} ${kind}`)).sort();
  await until('all are printed', () => before.length + receiver.events().length >= want.length);
  assert.deepEqual(lines([...before, ...receiver.events()]), want);
  await stage.server.stop();
});

test('what_was_stored_though_the_disk_said_no_is_told_in_its_order', async (t) => {
  const app = await startEndpoint(t); // behind the receiver
  // commits that are made and fail all the same, and some that are not made
  const receiver = await startReceiver(t, {args: ['--forward', app.url],
    env: {TAPEOP_FAULT: 'store.committed=EIO:3-7,store.commit=EIO:9-10'}});
  const stream = await listen(t, receiver, {query: '?after=0'});
  const bodies = Array.from({length: 12}, (_, i) => gme(i));
  const answers = [];
  for (const body of bodies)
    answers.push(await postGme(receiver, body));
  assert.ok(answers.includes(503), String(answers));
  // as a sender does: again, until it is taken
  for (const [i, body] of bodies.entries()) {
    if (answers[i] !== 200)
      assert.equal(await postGme(receiver, body), 200);
  }
  await until('all are printed', () => receiver.events().length === 12);
  await until('all are streamed', () => stream.events.length === 12);
  await until('all are forwarded', () => app.requests.length === 12);
  const told = receiver.events().map((e) => e.seq);
  assert.deepEqual([...told].sort((a, b) => a - b), bodies.map((_, i) => i));
  assert.deepEqual(stream.events.map((e) => e.data.seq), told, 'in one order');
  const {recordings} = await receiver.get('/v1/recordings');
  assert.equal(recordings[0].segments.length, 12);
  const text = await (await fetch(`${receiver.url}/metrics`)).text();
  assert.match(text, /^tapeop_received_new_total 12$/m);
});

test('a_receiver_that_is_killed_again_and_again_runs_its_program_for_each_event', async (t) => {
  const told = path.join(tempDir(t), 'told');
  const program = path.join(path.dirname(told), 'program');
  fs.writeFileSync(program, `#!/bin/sh\ncat >>'${told}'\n`, {mode: 0o755});
  const receiver = await startReceiver(t, {args: ['--exec', program],
    env: {TAPEOP_CRASH_AT: 'store.commit.after:2'}});
  const stage = await startStage(t, {callbacks: {url: receiver.url}});
  await stage.record();
  const printed = [];
  for (const where of ['delivery.answered', 'delivery.answered:3', 'store.commit.before:4', '']) {
    await until('the receiver is dead', () => receiver.proc.ended);
    assert.equal(receiver.proc.ended.signal, 'SIGKILL', receiver.proc.text);
    printed.push(...receiver.events());
    await receiver.start({TAPEOP_CRASH_AT: where}).catch(() => {}); // dies early
  }
  await stage.server.finish(stage.task);
  await stage.server.drained();
  printed.push(...receiver.events());
  const want = (await stage.segments()).flatMap((s) => ['started', 'completed', 'uploaded']
    .map((kind) => `${s.user} ${s.seq} ${kind}`)).sort();
  await until('the program ran for each', () => {
    const events = fs.readFileSync(told, 'utf8').split('\n').filter(Boolean).map(JSON.parse);
    return JSON.stringify([...new Set(lines(events))]) === JSON.stringify(want);
  });
  assert.equal(new Set(lines(printed)).size, printed.length, 'none is printed twice');
  await stage.server.stop();
});
