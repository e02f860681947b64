// test/peer/53_standard.test.mjs -- Standard Webhooks with the npm package that its authors publish;
// and one recording told in all four dialects.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {createHmac} from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {describe, test} from 'node:test';

import {endpointAnswers, signGme, startEndpoint} from '../aid/endpoint.mjs';
import {assertGolden} from '../aid/golden.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, STEADY, command, startServer, tempDir} from '../aid/tapeop.mjs';

const packets = oggPackets('assets/demo/alice.opus');
const SECRET = 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh';
const {Webhook} = await import('standardwebhooks').catch(() => ({}));
const skip = Webhook ? false : 'the npm package standardwebhooks is not installed';

/** One user speaks in a room of their own until the task has ended. */
async function speak(t, server, room) {
  const {port} = await server.join(room, 'alice');
  const task = await server.record(room);
  const sender = sendPackets(t, packets, port);
  await sender.reached(40);
  sender.stop();
  const segments = await server.finish(task);
  await server.drained();
  return {task, segments};
}

describe('standard', {concurrency: true}, () => {
  test('one_recording_is_told_in_four_dialects_each_as_documented', {skip}, async (t) => {
    const dialects = ['gme', 'live', 'trtc', 'standard'];
    const endpoints = {};
    for (const dialect of dialects)
      endpoints[dialect] = await startEndpoint(t, endpointAnswers(200));
    const server = await startServer(t, {recording: STEADY, callbacks: dialects.map((dialect) => ({
      name: dialect, dialect, url: `${endpoints[dialect].url}`, key: SECRET}))});
    const {task, segments: [segment]} = await speak(t, server, 'r1');

    const names = {
      gme: {1: 'started', 2: 'completed', 3: 'uploaded'},
      live: {301: 'task_started', 302: 'task_stopped', 303: 'upload_started',
        305: 'upload_stopped', 307: 'started', 308: 'upload_failing', 310: 'files_ready'},
    };
    names.trtc = names.live;
    const wanted = {gme: ['started', 'completed', 'uploaded'],
      live: ['task_started', 'started', 'task_stopped', 'upload_started', 'upload_stopped', 'files_ready'],
      standard: ['task_started', 'started', 'completed', 'task_stopped', 'upload_started',
        'uploaded', 'upload_stopped', 'files_ready']};
    wanted.trtc = wanted.live;
    const kinds = {segment: {started: 'started', completed: 'completed', uploaded: 'uploaded'},
      task: {started: 'task_started', stopped: 'task_stopped', upload_started: 'upload_started',
        upload_stopped: 'upload_stopped', files_ready: 'files_ready'}};
    for (const dialect of dialects) {
      const told = endpoints[dialect].requests.map(({raw, body}) => {
        const [group, word] = (body.type ?? '').split('.');
        const event = names[dialect]?.[body.EventType] ?? kinds[group]?.[word];
        assertGolden(dialect, event, raw.toString());
        return event;
      });
      assert.deepEqual([...told].sort(), [...wanted[dialect]].sort(), dialect);
    }
    for (const {raw, headers} of endpoints.trtc.requests) {
      assert.equal(headers.sign, createHmac('sha256', SECRET).update(raw).digest('base64'));
      assert.equal(headers.sdkappid, String(APP));
    }
    for (const {raw, headers} of endpoints.gme.requests)
      assert.equal(headers.signature, signGme(raw, {key: SECRET}));

    const webhook = new Webhook(SECRET);
    const events = endpoints.standard.requests.map(({raw, headers}) => webhook.verify(raw.toString(), headers));
    const uploaded = events.find((e) => e.type === 'segment.uploaded').data;
    assert.equal(uploaded.task_id, task);
    assert.equal(uploaded.room, 'r1');
    assert.equal(uploaded.user, 'alice');
    assert.equal(uploaded.file, segment.file);
    assert.equal(uploaded.size, fs.statSync(path.join(server.storage, segment.file)).size);
    assert.equal(uploaded.sha256, segment.sha256);
    assert.equal(uploaded.end_ms - uploaded.start_ms, uploaded.duration_ms);
    assert.deepEqual(events.map((e) => e.data.sequence), events.map((e, i) => i), 'in order, no hole');
    for (const {raw, headers} of endpoints.standard.requests) {
      const changed = raw.toString().replace(/"app":1/, '"app":2');
      assert.throws(() => webhook.verify(changed, headers));
    }
    const ids = new Set(endpoints.standard.requests.map(({headers}) => headers['webhook-id']));
    assert.equal(ids.size, events.length);
  });

  test('an_attempt_again_has_the_same_id_and_body_and_a_new_signature', {skip}, async (t) => {
    let n = 0;
    const endpoint = await startEndpoint(t, (seen, response, ...more) =>
      endpointAnswers(n++ < 2 ? 500 : 200)(seen, response, ...more));
    const server = await startServer(t, {callbacks: [{name: 's', dialect: 'standard', url: endpoint.url,
      key: SECRET, events: ['task_started'], retry: '1s,1s,1s'}]});
    await server.join('r', 'u');
    await server.record('r');
    await server.drained();
    assert.equal(endpoint.requests.length, 3);
    const webhook = new Webhook(SECRET);
    const [first] = endpoint.requests;
    for (const {raw, headers} of endpoint.requests) {
      assert.deepEqual(raw, first.raw);
      assert.equal(headers['webhook-id'], first.headers['webhook-id']);
      webhook.verify(raw.toString(), headers);
    }
    assert.notEqual(endpoint.requests[2].headers['webhook-timestamp'], first.headers['webhook-timestamp']);
  });

  test('what_the_package_signs_is_verified', {skip}, async (t) => {
    const body = '{"type":"x","data":{"n":"\u00e4"}}';
    const file = path.join(tempDir(t), 'body');
    fs.writeFileSync(file, body);
    const now = new Date();
    const signature = new Webhook(SECRET).sign('msg_1', now, body);
    const verify = (id, sign) => command(t, ['verify', '--dialect', 'standard', '--key', 'env:KEY', '--id', id,
      '--timestamp', String(Math.floor(now / 1000)), '--signature', sign, file], {env: {KEY: SECRET}});
    assert.equal((await verify('msg_1', signature)).out, 'ok\n');
    assert.equal((await verify('msg_1', `v1,AAAA ${signature}`)).out, 'ok\n');
    assert.equal((await verify('msg_2', signature)).code, 1);
  });
});
