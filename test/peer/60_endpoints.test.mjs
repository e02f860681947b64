// Endpoints as they are in life: slow, broken, gone, hostile.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';

import {LIVE_OK, endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {STEADY, command, startServer, until} from '../aid/tapeop.mjs';

const speech = oggPackets('assets/demo/bob.opus');

/** One live event (301) for each endpoint: starts a task in a room. */
async function tell(server, room = 'room') {
  await server.join(room, 'alice');
  return server.record(room);
}

const deliveries = async (server, filter = '') =>
  (await server.ask(200, 'GET', `/v1/deliveries?${filter}`)).deliveries;

/** The one delivery to an endpoint, with its attempts, once it is `state`. */
async function delivery(server, endpoint, state) {
  const [d] = await until(`${endpoint} is ${state}`, async () => {
    const list = await deliveries(server, `endpoint=${endpoint}&state=${state}`);
    return list.length && list;
  });
  return server.ask(200, 'GET', `/v1/deliveries/${d.delivery_id}`);
}

const json = (response, status, text) => {
  response.writeHead(status, {'Content-Type': 'application/json'});
  response.end(text);
};

// Each is bad in its own way; `error` is what the log of attempts must say.
const bad = {
  hangs: {answer: () => {}, error: /time/, timeout: '3s'}, // also for when it is well again
  resets: {answer: (seen, response) => response.socket.destroy(), error: /./},
  http_500: {answer: endpointAnswers(500), error: /HTTP 500/, status: 500},
  http_404: {answer: endpointAnswers(404), error: /HTTP 404/, status: 404},
  cut_short: {answer: (seen, response) => {
    response.writeHead(200, {'Content-Length': '1000'});
    response.write('{');
    response.socket.destroySoon();
  }, error: /./},
  a_page: {answer: (seen, response) => json(response, 200, '<html>welcome</html>'),
    error: /200 but/, status: 200},
  says_fail: {answer: (seen, response) => json(response, 200,
    '{"ActionStatus":"FAIL","ErrorCode":10001,"ErrorInfo":"no such room"}'),
  error: /FAIL.*10001.*no such room/, status: 200},
  code_is_text: {answer: (seen, response) => json(response, 200,
    '{"ActionStatus":"OK","ErrorCode":"0"}'), error: /ErrorCode/, status: 200},
  no_content: {answer: (seen, response) => json(response, 204), error: /204/, status: 204},
};

describe('endpoints', {concurrency: true}, () => {
  test('each_kind_of_bad_endpoint_is_tried_again_says_why_and_disturbs_no_other', async (t) => {
    const good = await startEndpoint(t);
    const ends = {};
    for (const [name, {answer}] of Object.entries(bad))
      ends[name] = await startEndpoint(t, answer);
    const server = await startServer(t, {callbacks: [
      ...Object.entries(ends).map(([name, e]) => ({name, url: e.url, dialect: 'live',
        timeout: bad[name].timeout ?? '20s', retry: '100ms,100ms'})),
      {name: 'good', url: good.url, dialect: 'live'}]});
    const task = await tell(server);
    // the good one is told while the others still fail or hang
    await good.got('the good one is told', () => true);
    for (const [name, {error, status}] of Object.entries(bad)) {
      const d = await delivery(server, name, 'dead');
      assert.equal(d.attempts, 3, name);
      assert.equal(d.task_id, task);
      assert.equal(ends[name].requests.length, 3);
      for (const a of d.attempts_log) {
        assert.match(a.error, error, name);
        assert.equal(a.status, status ?? a.status, name);
      }
    }
    const n = Object.keys(bad).length;
    const m = await server.drained();
    assert.deepEqual([m.deliveries_in, m.deliveries_delivered, m.deliveries_dead,
      m.attempts_failed], [n + 1, 1, n, 3 * n]);

    // mended, they are replayed, with a fresh budget and the same event
    for (const e of Object.values(ends))
      e.answer = endpointAnswers(200);
    const one = await delivery(server, 'hangs', 'dead');
    await server.ask(200, 'POST', `/v1/deliveries/${one.delivery_id}/replay`);
    await delivery(server, 'hangs', 'delivered');
    assert.deepEqual(await server.ask(200, 'POST', '/v1/deliveries/replay',
      {state: 'dead', dry_run: true}), {would_replay: n - 1, dry_run: true});
    assert.deepEqual(await server.ask(200, 'POST', '/v1/deliveries/replay', {state: 'dead'}),
      {replayed: n - 1});
    const after = await server.drained();
    assert.deepEqual([after.deliveries_delivered, after.deliveries_dead], [n + 1, 0]);
    for (const [name, e] of Object.entries(ends)) {
      assert.equal(e.requests.length, 4, name);
      assert.equal(new Set(e.requests.map((r) => r.headers['tapeop-event-id'])).size, 1);
      assert.equal(e.requests[3].headers['tapeop-attempt'], '4');
    }
    await server.stop();
  });

  test('an_answer_without_end_and_a_large_one_are_cut', async (t) => {
    const endless = await startEndpoint(t, (seen, response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(16384))) { /* on */ }
      };
      response.on('drain', more);
      more();
    });
    const large = await startEndpoint(t, (seen, response) =>
      json(response, 200, JSON.stringify(LIVE_OK) + ' '.repeat(1 << 20)));
    const server = await startServer(t, {callbacks: [
      {name: 'endless', url: endless.url, dialect: 'live', verdict: 'status'},
      {name: 'large', url: large.url, dialect: 'live', verdict: 'status'}]});
    await tell(server);
    const m = await server.drained(); // the status counts, the rest is not read
    assert.equal(m.deliveries_delivered, 2);
    await server.stop();
  });

  test('a_redirect_is_not_followed', async (t) => {
    const elsewhere = await startEndpoint(t);
    const statuses = [301, 302, 303, 307, 308];
    const ends = [];
    for (const status of statuses)
      ends.push(await startEndpoint(t, endpointAnswers(status, {Location: elsewhere.url})));
    const server = await startServer(t, {callbacks: ends.map((e, i) =>
      ({name: `r${statuses[i]}`, url: e.url, dialect: 'live', verdict: 'status', retry: '100ms'}))});
    await tell(server);
    for (const status of statuses) {
      const d = await delivery(server, `r${status}`, 'dead');
      assert.match(d.last_error, new RegExp(`HTTP ${status}: redirects are not followed`));
    }
    assert.deepEqual(elsewhere.requests, []);
    await server.stop();
  });

  test('gone_ends_at_once_and_retry_after_is_waited_for', async (t) => {
    const gone = await startEndpoint(t, endpointAnswers(410));
    const busy = await startEndpoint(t, (seen, response, n) =>
      endpointAnswers(n === 1 ? 429 : 200, n === 1 ? {'Retry-After': '2'} : {})(seen, response));
    const server = await startServer(t, {callbacks: [
      {name: 'gone', url: gone.url, dialect: 'live', retry: '100ms,100ms'},
      {name: 'busy', url: busy.url, dialect: 'live', retry: '100ms,100ms'}]});
    const task = await tell(server);
    const d = await delivery(server, 'gone', 'dead');
    assert.equal(d.attempts, 1);
    await delivery(server, 'busy', 'delivered');
    assert.ok(busy.requests[1].at - busy.requests[0].at >= 1900, 'not before it asked for');
    await server.finish(task); // later events do not knock there again
    await delivery(server, 'busy', 'delivered');
    assert.equal(gone.requests.length, 1);
    await server.stop();
  });

  test('a_private_address_is_refused_unless_the_endpoint_permits_it', async (t) => {
    const inside = await startEndpoint(t);
    const hosts = ['127.0.0.1', 'localhost', '[::1]', '0.0.0.0'];
    const server = await startServer(t, {callbacks: hosts.map((host, i) =>
      ({name: `p${i}`, url: `http://${host}:${inside.port}/`, dialect: 'live', allow_private: false,
        retry: '100ms'}))}); // tried again, so that the setting can be mended
    await tell(server);
    for (let i = 0; i < hosts.length; i++) {
      const d = await delivery(server, `p${i}`, 'dead');
      assert.match(d.last_error, /127\.0\.0\.1|::1|0\.0\.0\.0|localhost/, hosts[i]);
      assert.match(d.last_error, /is private: set allow_private: true/, hosts[i]);
    }
    assert.deepEqual(inside.requests, [], 'nothing was sent');
    await server.stop();
  });

  test('an_endpoint_that_keeps_failing_rests_and_is_probed', async (t) => {
    const endpoint = await startEndpoint(t, endpointAnswers(503));
    const server = await startServer(t, {callbacks: [
      {name: 'sick', url: endpoint.url, dialect: 'live', retry: '100ms,100ms,100ms,100ms,100ms,1s,1s,1s'}]});
    await Promise.all(Array.from({length: 6}, (_, i) => tell(server, `room${i}`)));
    await until('its breaker is open', async () => (await server.metrics()).breaker_open === 1);
    const {endpoints} = await server.ask(200, 'GET', '/v1/apps/1400000000/endpoints');
    assert.equal(endpoints[0].breaker, 'open');
    assert.ok(endpoints[0].failures_in_row >= 10);
    assert.ok(endpoints[0].failing_since_ms > 0);
    assert.equal(endpoints[0].pending, 6);
    await server.stop();
  });

  test('an_endpoint_that_never_answers_holds_up_nobody_and_is_told_later', async (t) => {
    const mute = await startEndpoint(t, () => {});
    const [gme, live] = [await startEndpoint(t), await startEndpoint(t)];
    const server = await startServer(t, {recording: STEADY, callbacks: [
      {name: 'mute', url: mute.url, dialect: 'live', timeout: '1m'},
      {name: 'gme', url: gme.url, dialect: 'gme', timeout: '1m'},
      {name: 'live', url: live.url, dialect: 'live', timeout: '1m'}]});
    const rooms = ['a', 'b', 'c'];
    await Promise.all(rooms.map(async (room) => {
      const {port} = await server.join(room, 'alice');
      const task = await server.record(room);
      const speaking = sendPackets(t, speech, port);
      await speaking.reached(30);
      speaking.stop();
      await server.finish(task);
    }));
    // The whole story of each room is told to the others, while the first call
    // of each still waits at the one.
    await gme.got('3 of each', () => gme.requests.length === 3 * 3);
    await live.got('6 of each', () => live.requests.length === 3 * 6);
    assert.equal(mute.requests.length, 3, 'one at a time for each task');
    const waiting = await deliveries(server, 'endpoint=mute&limit=100');
    assert.equal(waiting.length, 18);
    assert.ok(waiting.every((d) => d.state === 'pending' && d.attempts === 0));
    const m = await until('what they said is on disk', async () => {
      const now = await server.metrics();
      return now.deliveries_delivered === 27 && now;
    });
    assert.deepEqual([m.deliveries_pending, m.attempts_failed], [18, 0]);

    await server.stop(); // does not wait for it either
    mute.answer = endpointAnswers(200);
    await server.start();
    await server.drained();
    for (const e of [mute, live]) {
      const told = e.requests.slice(e === mute ? 3 : 0).map((r) => r.body);
      for (const room of rooms)
        assert.deepEqual(told.filter((b) => b.EventInfo.RoomId === room)
          .map((b) => b.EventType).sort(), [301, 302, 303, 305, 307, 310]);
    }
    await server.stop();
  });

  test('what_is_behind_a_failing_event_waits_as_its_order_says', async (t) => {
    const ends = {};
    for (const order of ['task', 'strict', 'none'])
      ends[order] = await startEndpoint(t, (seen, response) => // the first event is poison
        endpointAnswers(seen.body.EventType === 301 ? 500 : 200)(seen, response));
    const server = await startServer(t, {recording: STEADY,
      callbacks: Object.entries(ends).map(([order, e]) =>
        ({name: order, url: e.url, dialect: 'live', order, retry: '100ms,2m'}))});
    const {port} = await server.join('room', 'alice');
    const task = await server.record('room');
    const speaking = sendPackets(t, speech, port);
    await speaking.reached(30);
    speaking.stop();
    await server.finish(task);
    for (const order of ['task', 'none'])
      await ends[order].got('the others are told', () => ends[order].requests
        .filter((r) => r.body.EventType !== 301).length === 5);
    const head = async (order) => (await deliveries(server, `endpoint=${order}&state=pending`))
      .find((d) => d.kind === 'task_started');
    await until('strict has tried twice', () => ends.strict.requests.length === 2);
    assert.ok(ends.strict.requests.every((r) => r.body.EventType === 301));
    assert.equal((await deliveries(server, 'endpoint=strict&state=pending')).length, 6);
    assert.equal((await head('task')).late, true);
    assert.equal((await head('strict')).late, false);
    // of `task`, the head was tried through the short part before the rest went
    assert.deepEqual(ends.task.requests.slice(0, 2).map((r) => r.body.EventType), [301, 301]);
    await server.stop();
  });

  test('what_is_gone_is_left_alone_until_it_is_named_or_the_server_starts_again', async (t) => {
    const gone = await startEndpoint(t, endpointAnswers(410));
    const server = await startServer(t, {callbacks: [{name: 'gone', url: gone.url,
      dialect: 'live'}]});
    await tell(server);
    await delivery(server, 'gone', 'dead');
    const [{gone: shown}] =
      (await server.ask(200, 'GET', '/v1/apps/1400000000/endpoints')).endpoints;
    assert.equal(shown, true);
    await tell(server, 'another room');
    await until('that waits', async () => (await server.metrics()).deliveries_pending === 1);
    gone.answer = endpointAnswers(200);
    assert.deepEqual(await server.ask(200, 'POST', '/v1/deliveries/replay', {}), {replayed: 1});
    assert.equal(gone.requests.length, 1);
    await server.stop();
    await server.start();
    assert.equal((await server.drained()).deliveries_delivered, 2);
    assert.equal(gone.requests.length, 3);

    gone.answer = endpointAnswers(410);
    await tell(server, 'a third room');
    await delivery(server, 'gone', 'dead');
    gone.answer = endpointAnswers(200);
    const replay = await command(t, ['replay', '--server', server.url, '--state', 'dead',
      '--endpoint', 'gone']);
    assert.equal(replay.code, 0, replay.text);
    assert.equal((await server.drained()).deliveries_delivered, 3);
    const [{gone: now}] =
      (await server.ask(200, 'GET', '/v1/apps/1400000000/endpoints')).endpoints;
    assert.equal(now, false);
    await server.stop();
  });

  test('retry_after_is_read_as_seconds_or_a_date_and_only_where_it_means_something', async (t) => {
    const asks = (status, header) => (seen, response, n) =>
      endpointAnswers(n === 1 ? status : 200, n === 1 ? {'Retry-After': header()} : {})(
        seen, response);
    const date = (ms) => () => new Date(Date.now() + ms).toUTCString();
    const cases = { // wait at least so long
      date_of_503: [asks(503, date(3000)), 1900],
      date_of_the_past: [asks(429, date(-60_000)), 90],
      nonsense: [asks(429, () => 'soon, maybe'), 90],
      not_of_500: [asks(500, () => '3600'), 90],
    };
    const ends = {};
    for (const [name, [answer]] of Object.entries(cases))
      ends[name] = await startEndpoint(t, answer);
    const server = await startServer(t, {callbacks: Object.entries(ends).map(([name, e]) =>
      ({name, url: e.url, dialect: 'live', retry: '100ms,100ms'}))});
    await tell(server);
    const m = await server.drained();
    assert.equal(m.deliveries_delivered, 4);
    for (const [name, [, wait_ms]] of Object.entries(cases)) {
      const [a, b] = ends[name].requests;
      assert.ok(b.at - a.at >= wait_ms, `${name}: ${b.at - a.at} ms`);
    }
    await server.stop();
  });

  test('a_verdict_that_lies_behind_64_kib_is_none', async (t) => {
    const behind = await startEndpoint(t, (seen, response) =>
      json(response, 200, ' '.repeat(64 * 1024) + JSON.stringify(LIVE_OK)));
    const before = await startEndpoint(t, (seen, response) =>
      json(response, 200, ' '.repeat(32 * 1024) + JSON.stringify(LIVE_OK)));
    const server = await startServer(t, {callbacks: [
      {name: 'behind', url: behind.url, dialect: 'live', retry: '100ms'},
      {name: 'before', url: before.url, dialect: 'live', retry: '100ms'}]});
    await tell(server);
    const d = await delivery(server, 'behind', 'dead');
    assert.match(d.last_error, /200 but/);
    assert.equal(d.last_status, 200);
    await delivery(server, 'before', 'delivered');
    await server.stop();
  });

  test('what_is_too_old_expires_is_listed_and_may_be_replayed', async (t) => {
    const endpoint = await startEndpoint(t, endpointAnswers(500));
    const server = await startServer(t, {callbacks: [{name: 'e', url: endpoint.url,
      dialect: 'live', retry: Array(32).fill('700ms').join(), expire_after: '5s'}]});
    await tell(server);
    const d = await delivery(server, 'e', 'expired');
    assert.ok(d.attempts >= 1 && d.attempts < 33, `${d.attempts} attempts`);
    assert.equal((await server.metrics()).deliveries_expired, 1);
    const shown = await command(t, ['deliveries', d.delivery_id, '--server', server.url]);
    assert.match(shown.out, /\n {2}expired: it was pending for as long as expire_after /);
    endpoint.answer = endpointAnswers(200);
    await server.ask(200, 'POST', '/v1/deliveries/replay', {state: 'expired'});
    await delivery(server, 'e', 'delivered');
    const m = await server.drained();
    assert.deepEqual([m.deliveries_in, m.deliveries_delivered, m.deliveries_expired], [1, 1, 0]);
    await server.stop();
  });
});
