// A voice becomes a file and the backend is told: the shortest whole path.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';

import {signGme, startEndpoint} from '../aid/endpoint.mjs';
import {decode, ffmpegSend, tone} from '../aid/sound.mjs';
import {APP, startReceiver, startServer, until} from '../aid/tapeop.mjs';

test('a_voice_becomes_a_file_and_the_backend_is_told', async (t) => {
  const backend = await startEndpoint(t);
  const receiver = await startReceiver(t);
  // one file, also where the sender stands still for a while
  const server = await startServer(t, {recording: {mic_off_after: '1h'}, callbacks: [
    {name: 'node', url: backend.url, dialect: 'gme'},
    {name: 'ours', url: receiver.url, dialect: 'gme'},
  ]});
  const input = await server.join('100', '999');
  const task = await server.record('100');
  const sent = await ffmpegSend(t,
    ['-f', 'lavfi', '-i', 'sine=440:duration=2'], input.port).done;
  assert.equal(sent.code, 0);
  const segments = await server.finish(task);
  const metrics = await server.drained();

  assert.equal(segments.length, 1);
  const pcm = await decode(server.file(segments[0]));
  assert.equal(tone(pcm, [220, 440, 880]).hz, 440);

  assert.deepEqual(backend.requests.map((r) => r.body.EventType), [1, 2, 3]);
  for (const r of backend.requests) {
    assert.equal(r.headers.signature, signGme(r.raw));
    assert.equal(r.body.BizID, APP);
    assert.equal(r.body.Detail.FileName, segments[0].file);
  }
  await until('ours has printed them', () => receiver.events().length >= 3);
  assert.deepEqual(receiver.events().map((e) => e.kind),
    ['started', 'completed', 'uploaded']);
  assert.equal(metrics.deliveries_delivered, 6);
  await server.stop();
});
