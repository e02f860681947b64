// What the console asks for: requests and signatures, answers, waveforms.
// SPDX-License-Identifier: Apache-2.0
//
// Signatures are checked with Node's crypto, against what really came.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import test from 'node:test';

import {LIVE_OK, startEndpoint} from '../aid/endpoint.mjs';
import {APP, KEY, startServer, until} from '../aid/tapeop.mjs';

const SECRET = 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh';

/** What `signature` says must come out, by the dialect. */
const signs = {
  live: (base) => crypto.createHash('sha256').update(KEY + base).digest('hex'),
  trtc: (base) => crypto.createHmac('sha256', KEY).update(base).digest('base64'),
  standard: (base) => `v1,${crypto.createHmac('sha256',
    Buffer.from(SECRET.slice(6), 'base64')).update(base).digest('base64')}`,
};

test('a_delivery_shows_what_was_sent_signed_and_answered', async (t) => {
  const endpoints = {};
  for (const dialect of Object.keys(signs)) {
    endpoints[dialect] = await startEndpoint(t, (seen, response, n) => {
      response.writeHead(n === 1 ? 500 : 200);
      response.end(n === 1 ? '{"oh":\n"no \u0007\u{1f4a5}"}' : JSON.stringify(LIVE_OK));
    });
  }
  const server = await startServer(t, {callbacks: Object.entries(endpoints).map(
    ([dialect, {url}]) => ({name: dialect, url: `${url}?own=${KEY}`, dialect, retry: '10ms',
      events: ['task_started'], key: dialect === 'standard' ? SECRET : KEY}))});
  await server.join('r', 'u');
  const task = await server.record('r');
  await server.drained();
  const {deliveries} = await server.ask(200, 'GET', `/v1/deliveries?task=${task}`);
  assert.equal(deliveries.length, 3);
  for (const {delivery_id, endpoint: dialect} of deliveries) {
    const shown = await server.ask(200, 'GET', `/v1/deliveries/${delivery_id}`);
    const [first, second] = endpoints[dialect].requests;
    const {request, attempts_log: log} = shown;
    assert.ok(!JSON.stringify(shown).includes(KEY), 'no secret is shown');
    assert.deepEqual(log.map((a) => [a.n, a.status, a.answer]),
      [[1, 500, '{"oh": "no ?\u{1f4a5}"}'], [2, 200, JSON.stringify(LIVE_OK)]]);
    assert.ok(log[0].at_ms <= first.at && log[1].at_ms >= log[0].at_ms);
    assert.equal(request.attempt, 2);
    assert.equal(request.sent, true);
    assert.equal(request.method, second.method);
    assert.equal(request.body, second.raw.toString(), `${dialect}: byte for byte`);
    for (const [name, value] of Object.entries(request.headers))
      assert.equal(second.headers[name.toLowerCase()], value, `${dialect}: ${name}`);
    const {signature} = request;
    assert.equal(signs[dialect](signature.base), signature.value, dialect);
    const sent = dialect === 'live' ? second.url.searchParams.get('Sign')
      : second.headers[signature.where.replace('header ', '').toLowerCase()];
    assert.equal(signature.value, sent, dialect);
    const [where, own] = request.url.split('?...');
    assert.equal(where, endpoints[dialect].url);
    assert.equal(`?own=${KEY}${own}`, second.url.search);
  }
  const [{delivered_last_minute: n}] = (await server.ask(200, 'GET', '/v1/endpoints')).endpoints;
  assert.equal(n, 1);
});

test('a_delivery_that_waits_shows_what_would_be_sent', async (t) => {
  const server = await startServer(t, {callbacks: [{name: 'off', url: 'http://127.0.0.1:9/',
    dialect: 'live', key: '', enabled: true, events: ['task_started']}]});
  await server.join('r', 'u');
  const [endpoint] = (await server.ask(200, 'GET', '/v1/endpoints')).endpoints;
  assert.equal(endpoint.delivered_last_minute, 0);
  await server.record('r');
  const [{delivery_id}] = await until('there is a delivery', async () => {
    const {deliveries} = await server.ask(200, 'GET', '/v1/deliveries');
    return deliveries.length && deliveries;
  });
  const shown = await server.ask(200, 'GET', `/v1/deliveries/${delivery_id}`);
  assert.equal(shown.request.signature, null, 'it has no key');
  assert.equal(JSON.parse(shown.request.body).EventType, 301);
  assert.match(shown.request.url, new RegExp(`SdkAppid=${APP}&`));
});
