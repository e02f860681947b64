// kill -9 while callbacks fail, hang, are answered; and of the receiver.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {startStage} from '../aid/crash.mjs';
import {LIVE_OK, endpointAnswers, eventKey, startEndpoint} from '../aid/endpoint.mjs';
import {APP, startReceiver, startServer, until} from '../aid/tapeop.mjs';
import {checkTruth, sql} from '../aid/truth.mjs';

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
    await checkTruth(stage.server, stage.endpoint, stage.task);
    const numbers = new Map();
    for (const r of stage.endpoint.requests) {
      const key = eventKey(r);
      numbers.set(key, (numbers.get(key) ?? 0) + 1);
    }
    assert.ok(Math.max(...numbers.values()) > 1, 'something was sent again');
    await stage.server.stop();
  }))));

test('an_answer_that_was_not_committed_is_asked_for_again_under_the_same_id', async (t) => {
  // The process dies inside the answer: it got 200 and never wrote that down.
  let server;
  const endpoint = await startEndpoint(t, async (seen, response, n) => {
    response.writeHead(200, {'Content-Type': 'application/json'});
    response.end(JSON.stringify(LIVE_OK));
    if (n === 1)
      await server.kill();
  });
  server = await startServer(t, {callbacks: [
    {name: 'live', url: endpoint.url, dialect: 'live'}]});
  await server.join('room', 'alice');
  const task = await server.record('room').catch(() => null); // it may die first
  await until('it is dead', () => server.proc.ended);
  await server.start();
  await until('it was sent twice', () => endpoint.requests.length >= 2);
  const [a, b] = endpoint.requests;
  assert.equal(a.headers['tapeop-event-id'], b.headers['tapeop-event-id']);
  assert.deepEqual({...a.body, CallbackTs: 0}, {...b.body, CallbackTs: 0});
  await server.drained();
  const [row] = await sql(server, 'SELECT state FROM delivery');
  assert.equal(row.state, 1);
  assert.ok(task === null || a.body.EventInfo.TaskId === task);
  await server.stop();
});

test('a_receiver_that_is_killed_loses_nothing_and_forwards_all', {concurrency: 4}, (t) =>
  Promise.all(['store.commit.before:3', 'store.commit.after:3', 'store.commit.before:6',
    'store.commit.after:7'].map((where) => t.test(where, async (t) => {
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
