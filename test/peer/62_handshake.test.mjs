// An endpoint is asked before it is told (CloudEvents' abuse protection), and
// told no faster than it allows.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import {describe, test} from 'node:test';

import {endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {command, startServer, until} from '../aid/tapeop.mjs';

const ORIGIN = 'rec.example.com';

/**
 * A backend that speaks the handshake as section 4.2 has it.
 *
 * consent   the header fields that it answers to OPTIONS; may be changed
 * .asked    OPTIONS as they came; .told: POSTs
 */
async function startTarget(t, consent, status = 200) {
  const target = await startEndpoint(t, (seen, response) => {
    if (seen.method !== 'OPTIONS')
      return endpointAnswers(200)(seen, response);
    response.writeHead(target.status, {Allow: 'POST', ...target.consent});
    response.end();
  });
  Object.defineProperties(target, {
    asked: {get: () => target.requests.filter((r) => r.method === 'OPTIONS')},
    told: {get: () => target.requests.filter((r) => r.method === 'POST')},
  });
  return Object.assign(target, {consent, status});
}

const allows = (origin, rate) => ({'WebHook-Allowed-Origin': origin,
  ...(rate ? {'WebHook-Allowed-Rate': rate} : {})});

/** One event (301) for each endpoint and task: each task has a lane. */
const shy = (name, target, more = {}) =>
  ({name, url: `${target.url}/hook?a=b`, dialect: 'live', verdict: 'status', handshake: true,
    events: ['task_started'], ...more});

async function tell(server, room) {
  await server.join(room, 'alice');
  return server.record(room);
}

const tellAll = async (server, n, prefix = 'room') => {
  for (let i = 0; i < n; i++)
    await tell(server, `${prefix}${i}`);
};

/** `callbacks_origin` stands beside what startServer writes. */
async function startNamed(t, callbacks, more = {}) {
  const server = await startServer(t, {callbacks, start: false});
  const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
  server.write = (change) => {
    change(config);
    fs.writeFileSync(server.config, JSON.stringify(config, null, 1));
  };
  server.write((c) => (c.callbacks_origin = ORIGIN));
  return more.start === false ? server : server.start();
}

const endpoint = async (server, name) =>
  (await server.ask(200, 'GET', '/v1/apps/1400000000/endpoints')).endpoints
    .find((e) => e.name === name);

const deliveries = async (server, name) =>
  (await server.ask(200, 'GET', `/v1/deliveries?endpoint=${name}&limit=100`)).deliveries;

/** The sender's own time of each callback [ms], in order. */
const sentAt = (target) => target.told.map((r) => r.body.CallbackTs).sort((a, b) => a - b);

describe('handshake', {concurrency: 4}, () => {
  test('consent_is_asked_for_once_before_the_first_callback', async (t) => {
    const target = await startTarget(t, allows(ORIGIN, '*'));
    const any = await startTarget(t, allows('*', '*'), 405); // the status says nothing
    const server = await startNamed(t, [shy('target', target, {rate: 2.5}), shy('any', any)]);
    await tellAll(server, 5);
    await server.drained();
    for (const end of [target, any]) {
      assert.equal(end.asked.length, 1);
      assert.equal(end.told.length, 5);
      assert.equal(end.requests[0].method, 'OPTIONS');
      assert.equal(end.requests[0].url.href, 'http://endpoint/hook?a=b');
      assert.ok(end.requests.every((r) => r.headers['webhook-request-origin'] === ORIGIN));
      assert.ok(end.requests.every((r) => r.headers['webhook-request-callback'] === undefined));
      assert.ok(end.told.every((r) => r.headers['webhook-request-rate'] === undefined));
      assert.equal(end.requests[0].raw.length, 0);
    }
    assert.equal(target.asked[0].headers['webhook-request-rate'], '150');
    assert.equal(any.asked[0].headers['webhook-request-rate'], undefined);
    const m = await server.metrics();
    assert.deepEqual([m.handshakes, m.handshakes_refused, m.attempts], [2, 0, 10]);
    const {consent, effective_rate: rate} = await endpoint(server, 'target');
    assert.deepEqual({consent, rate}, {consent: true, rate: 2.5});
    await server.stop();

    await server.start(); // another run: another handshake, before its first callback
    await tell(server, 'again');
    await server.drained();
    assert.equal(target.asked.length, 2);
    assert.equal(target.requests.at(-2).method, 'OPTIONS');
    assert.equal(target.told.length, 6);
    await server.stop();
  });

  test('without_callbacks_origin_it_is_the_host_name', async (t) => {
    const target = await startTarget(t, allows('*'));
    const server = await startServer(t, {callbacks: [shy('target', target)]});
    await tell(server, 'room');
    await server.drained();
    if (/^[\w.-]{1,253}$/.test(os.hostname()))
      assert.equal(target.asked[0].headers['webhook-request-origin'], os.hostname());
    assert.equal(target.told.length, 1);
    await server.stop();
  });

  test('who_does_not_agree_gets_no_callback_and_the_delivery_says_why', async (t) => {
    const ends = {
      plain: [{}, 200, /HTTP 200 without WebHook-Allowed-Origin/],
      cors: [{'Access-Control-Allow-Origin': '*'}, 204, /HTTP 204 without WebHook-Allowed-Origin/],
      not_found: [{}, 404, /HTTP 404 without WebHook-Allowed-Origin/],
      other: [allows('other.example', '120'), 200,
        /WebHook-Allowed-Origin is "other\.example", not "rec\.example\.com" or \*/],
      list: [allows(`other.example, ${ORIGIN}`), 200, /WebHook-Allowed-Origin is "other/],
      zero: [allows(ORIGIN, '0'), 200, /WebHook-Allowed-Rate is "0"/],
      words: [allows(ORIGIN, 'many'), 200, /WebHook-Allowed-Rate is "many"/],
    };
    const targets = {};
    for (const [name, [consent, status]] of Object.entries(ends))
      targets[name] = await startTarget(t, consent, status);
    const server = await startNamed(t, Object.entries(targets).map(([name, target]) =>
      shy(name, target, {retry: '100ms,100ms'})));
    await tell(server, 'room');
    const m = await server.drained();
    const n = Object.keys(ends).length;
    assert.deepEqual([m.deliveries_dead, m.handshakes, m.handshakes_refused, m.attempts_failed],
      [n, 3 * n, 3 * n, 3 * n]);
    for (const [name, [, status, why]] of Object.entries(ends)) {
      const [d] = await deliveries(server, name);
      assert.match(d.last_error, why);
      assert.deepEqual([d.state, d.attempts], ['dead', 3]);
      const {attempts_log: log} =
        await server.ask(200, 'GET', `/v1/deliveries/${d.delivery_id}`);
      assert.ok(log.every((a) => a.status === status && why.test(a.error)));
      assert.equal(targets[name].asked.length, 3);
      assert.equal(targets[name].told.length, 0, `${name}: nothing was POSTed`);
      assert.equal((await endpoint(server, name)).consent, false);
    }

    // Who agrees later is told what is replayed, and what comes.
    targets.plain.consent = allows(ORIGIN);
    const [d] = await deliveries(server, 'plain');
    await server.ask(200, 'POST', `/v1/deliveries/${d.delivery_id}/replay`);
    await until('it is told', () => targets.plain.told.length === 1);
    assert.equal(targets.plain.told[0].headers['tapeop-attempt'], '4');
    await server.stop();
  });

  test('one_asks_while_the_others_wait_and_other_endpoints_go_on', async (t) => {
    const slow = await startTarget(t, {});
    const other = await startTarget(t, allows('*'));
    let say;
    const answer = slow.answer;
    slow.answer = async (seen, response) => {
      if (seen.method === 'OPTIONS')
        await new Promise((done) => (say = done));
      return answer(seen, response);
    };
    const server = await startNamed(t, [shy('slow', slow, {timeout: '1m'}), shy('other', other)]);
    await tellAll(server, 12);
    await until('the other one has been told', () => other.told.length === 12);
    await until('that is on disk', async () =>
      (await server.metrics()).deliveries_delivered === 12);
    assert.equal(slow.requests.length, 1);
    assert.equal((await endpoint(server, 'slow')).in_flight, 1);
    assert.ok((await deliveries(server, 'slow')).every((d) => d.attempts === 0));
    slow.consent = allows(ORIGIN);
    say();
    await server.drained();
    assert.equal(slow.asked.length, 1);
    assert.equal(slow.told.length, 12);
    assert.ok((await deliveries(server, 'slow')).every((d) => d.attempts === 1));
    await server.stop();
  });

  // Only that it is not faster is measured, by the sender's own clock; and
  // with half of the time to spare, for a machine that stands still.
  test('the_allowed_rate_is_kept_until_another_is_allowed', async (t) => {
    const slow = await startTarget(t, allows(ORIGIN, '60'));
    const server = await startNamed(t, [shy('slow', slow, {rate: 100})]);
    await tellAll(server, 6);
    await until('five of them', () => slow.told.length >= 5);
    const at = sentAt(slow);
    assert.ok(at[4] - at[0] >= 2000, `five a minute's 60th apart: ${at}`);
    const e = await endpoint(server, 'slow');
    assert.deepEqual([e.effective_rate, e.consent], [1, true]);
    await server.drained();
    assert.ok((await deliveries(server, 'slow')).every((d) => d.attempts === 1));
    assert.equal(slow.asked[0].headers['webhook-request-rate'], '6000');
    await server.stop();

    slow.consent = allows(ORIGIN, '6000000'); // more than is wanted: ours counts
    await server.start();
    await tellAll(server, 6, 'later');
    await server.drained();
    assert.equal((await endpoint(server, 'slow')).effective_rate, 100);
    assert.equal(slow.told.length, 12);
    await server.stop();
  });

  test('an_endpoint_that_waits_for_its_rate_slows_no_other', async (t) => {
    const [slow, other] = [await startTarget(t, allows('*', '1')), await startTarget(t, {})];
    const server = await startNamed(t, [shy('slow', slow), shy('other', other, {handshake: false})]);
    await tellAll(server, 20);
    await until('the other one has been told', () => other.told.length === 20);
    await until('the first is on disk', async () => (await endpoint(server, 'slow')).pending === 19);
    assert.equal(slow.told.length, 1, 'one a minute');
    assert.deepEqual((({limited, in_flight: n, breaker}) => ({limited, n, breaker}))(
      await endpoint(server, 'slow')), {limited: true, n: 0, breaker: 'closed'});
    await server.stop();
  });

  test('a_rate_of_ones_own_needs_no_handshake', async (t) => {
    const slow = await startTarget(t, {});
    const server = await startNamed(t, [shy('slow', slow, {handshake: false, rate: 0.5})]);
    await tellAll(server, 4);
    await until('something waits for the rate', async () => (await endpoint(server, 'slow')).limited);
    assert.deepEqual([(await endpoint(server, 'slow')).effective_rate,
      (await endpoint(server, 'slow')).consent], [0.5, null]);
    await until('three of them', () => slow.told.length >= 3);
    const at = sentAt(slow);
    assert.ok(at[2] - at[0] >= 2000, `two seconds apart: ${at}`);
    assert.equal(slow.asked.length, 0);
    assert.equal(slow.told[0].headers['webhook-request-origin'], undefined);
    await server.stop();

    server.write((c) => (c.apps[0].callbacks[0].rate = 0)); // no limit any more
    await server.start();
    await server.drained();
    assert.equal(slow.told.length, 4);
    assert.equal((await endpoint(server, 'slow')).effective_rate, 0);
    await server.stop();
  });

  test('an_endpoint_made_at_run_time_has_both_and_a_test_event_asks_too', async (t) => {
    const target = await startTarget(t, {});
    const server = await startNamed(t, []);
    const made = await server.ask(201, 'POST', '/v1/apps/1400000000/endpoints',
      {...shy('made', target, {rate: 0.334}), allow_private: true});
    assert.deepEqual([made.rate, made.handshake, made.consent], [0.334, true, false]);
    const where = `/v1/endpoints/${made.endpoint_id}`;
    const refused = await server.ask(200, 'POST', `${where}/test`);
    assert.equal(refused.delivered, false);
    assert.match(refused.error, /HTTP 200 without WebHook-Allowed-Origin/);
    assert.deepEqual([target.asked.length, target.told.length], [1, 0]);

    target.consent = allows(ORIGIN, '6');
    const agreed = await server.ask(200, 'POST', `${where}/test`);
    assert.equal(agreed.delivered, true);
    assert.deepEqual([target.asked.length, target.told.length], [2, 1]);
    assert.equal(target.told[0].headers['webhook-request-origin'], ORIGIN);
    await tell(server, 'room'); // what the test has brought counts
    await server.drained();
    assert.deepEqual([target.asked.length, target.told.length], [2, 2]);
    const now = await server.ask(200, 'GET', where);
    assert.deepEqual([now.effective_rate, now.consent], [0.1, true]);

    for (const rate of [0, 0.017, 20, 0.334, 9999.5]) { // the last one has nobody wait below
      const changed = await server.ask(200, 'PATCH', where, {rate});
      assert.equal(changed.rate, rate);
    }
    for (const rate of ['1', -1, 0.0004, 1e-5, 1e300, 20000, true, [1]]) {
      const {status, json} = await server.api('PATCH', where, {rate});
      assert.equal(status, 400, `${rate}`);
      assert.match(json.detail, /0\.017 to 10000/);
    }
    const other = await startTarget(t, allows('*')); // it has not agreed yet
    await server.ask(200, 'PATCH', where, {url: other.url});
    await tell(server, 'elsewhere');
    await until('the other place is told', () => other.told.length === 1);
    assert.deepEqual(other.requests.map((r) => r.method), ['OPTIONS', 'POST']);
    await server.stop();
  });

  test('a_test_event_does_not_wait_for_the_handshake_of_another', async (t) => {
    const target = await startTarget(t, allows('*'));
    let say;
    const {answer} = target;
    target.answer = async (seen, response) => {
      if (seen.method === 'OPTIONS')
        await new Promise((done) => (say = done));
      return answer(seen, response);
    };
    const server = await startNamed(t, [shy('target', target, {timeout: '1m'})]);
    await tell(server, 'room');
    await until('it is asked', () => say);
    const {endpoint_id: id} = await endpoint(server, 'target');
    const busy = await server.ask(200, 'POST', `/v1/endpoints/${id}/test`);
    assert.match(busy.error, /its consent is being asked for: try again/);
    say();
    await server.drained();
    assert.deepEqual(target.requests.map((r) => r.method), ['OPTIONS', 'POST']);
    await server.stop();
  });

  test('what_is_no_rate_and_no_origin_stops_the_start', async (t) => {
    const target = await startTarget(t, {});
    const server = await startNamed(t, [shy('target', target, {rate: 0.001})], {start: false});
    const bad = await command(t, ['serve', '-c', server.config]);
    assert.notEqual(bad.code, 0);
    assert.match(bad.text, /callbacks\[0\]\.rate: .*from 0\.017 to 10000/);
    server.write((c) => {
      c.apps[0].callbacks[0].rate = 0.017;
      c.callbacks_origin = 'http://rec.example.com';
    });
    const worse = await command(t, ['serve', '-c', server.config]);
    assert.notEqual(worse.code, 0);
    assert.match(worse.text, /callbacks_origin: must be a DNS name/);
  });
});
