// kill -9 and a store that misbehaves while files go into a bucket: none is lost, each is told once.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';

import {crashPoints} from '../aid/crash.mjs';
import {startEndpoint} from '../aid/endpoint.mjs';
import {checkBucket, s3Storage, startProxy, startStore, whyNoStore} from '../aid/s3.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {startServer, until} from '../aid/tapeop.mjs';

const packets = oggPackets('assets/demo/alice.opus');
const skip = whyNoStore() ?? false;
const IN_PARTS = {TAPEOP_FAULT: 's3.parts.small=EIO'};

/** Two people speak in segments of `segment`; the store is behind a proxy. */
async function stage(t, {segment, env}) {
  const store = await startStore(t);
  const proxy = await startProxy(t, store);
  const endpoint = await startEndpoint(t);
  const server = await startServer(t, {recording: {segment}, env, start: false,
    file_storage: s3Storage(proxy.url),
    callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme'}]});
  return {store, proxy, endpoint, server};
}

async function speak(t, server) {
  const senders = [];
  for (const user of ['alice', 'bob'])
    senders.push(sendPackets(t, packets, (await server.join('room', user)).port));
  return {task: await server.record('room'), senders};
}

/** The task is stopped as soon as there is something to upload, unless the server
 *  has died of that. */
async function stopSoon(server, task, files) {
  await until('files are closed', async () => server.proc.ended ||
    (await server.segments(task)).filter((s) => s.state === 'closed').length >= files);
  if (!server.proc.ended)
    await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
}

const points = crashPoints().filter((name) => name.startsWith('s3.'));
const cases = [
  ...points.filter((name) => !name.startsWith('s3.parts.'))
    .flatMap((name) => [[`${name}:1`, {}], [`${name}:2`, {}]]),
  ...points.filter((name) => name.startsWith('s3.parts.'))
    .flatMap((name) => [[`${name}:1`, IN_PARTS], [`${name}:2`, IN_PARTS]]),
  ['s3.confirmed:1', IN_PARTS], ['segment.uploaded:1', {}], ['segment.uploaded:2', IN_PARTS],
  ['task.finishing:1', {}], ['upload.text:1', {}], ['upload.text:2', {}],
];

describe('s3', {skip}, () => {
  test('kill_9_at_each_step_of_an_upload_loses_and_doubles_nothing', {concurrency: 4},
    (t) => Promise.all(cases.map(([where, env]) => t.test(
      `${where}${env === IN_PARTS ? ' in parts' : ''}`, async (t) => {
        const {store, endpoint, server, proxy} = await stage(t,
          {segment: env === IN_PARTS ? '3s' : '1s', env});
        await server.start({TAPEOP_CRASH_AT: where});
        const {task, senders} = await speak(t, server);
        const {proc} = server;
        const stop = stopSoon(server, task, 4).catch(() => {}); // it may be dead by then
        await until(`${where} was reached`, () => proc.ended);
        await stop;
        assert.deepEqual(proc.ended, {code: null, signal: 'SIGKILL'}, proc.text);
        senders.forEach((sender) => sender.stop());
        await server.start();
        await server.api('DELETE', `/v1/tasks/${task}`);
        const segments = await checkBucket(server, store, endpoint, task);
        assert.ok(segments.length >= 2);
        assert.deepEqual(proxy.unsigned, []);
        await server.stop();
      }))));

  test('a_store_that_is_killed_and_started_again_gets_every_file_once', async (t) => {
    for (const env of [{}, IN_PARTS]) {
      const {store, endpoint, server} = await stage(t, {segment: env === IN_PARTS ? '3s' : '1s', env});
      await server.start();
      const {task, senders} = await speak(t, server);
      for (let i = 0; i < 3; i++) {
        const before = (await server.metrics()).uploads_failed;
        await store.stop();
        await until('uploads fail', async () => (await server.metrics()).uploads_failed > before);
        await store.start();
      }
      await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
      senders.forEach((sender) => sender.stop());
      await checkBucket(server, store, endpoint, task);
      await server.stop();
    }
  });

  test('a_store_that_answers_what_it_likes_gets_every_file_once', async (t) => {
    // by a counter, so that each run is the same but for the order of arrival
    const moods = [{status: 503, code: 'SlowDown'}, undefined, {status: 500, code: 'InternalError'},
      undefined, {reset: 500}, undefined, {swallow: true}, undefined, {status: 403, code: 'AccessDenied'},
      undefined, undefined, {slow_ms: 300}, {reset: 0}];
    for (const env of [{}, IN_PARTS]) {
      const {store, endpoint, server, proxy} = await stage(t,
        {segment: env === IN_PARTS ? '3s' : '1s', env});
      let n = 0;
      proxy.rule = () => moods[n++ % moods.length];
      await server.start();
      const {task, senders} = await speak(t, server);
      await until('there was trouble', async () => (await server.metrics()).uploads_failed >= 3);
      await server.kill();
      await server.start();
      await until('there was more', async () => (await server.metrics()).uploads_failed >= 3);
      await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
      senders.forEach((sender) => sender.stop());
      await until('every mood was met', () => n >= moods.length);
      proxy.rule = () => undefined;
      await checkBucket(server, store, endpoint, task);
      await server.stop();
    }
  });

  test('kill_9_in_the_middle_of_erasing_is_gone_on_with_behind_the_start', async (t) => {
    for (const where of ['erase.marked:1', 'erase.file:1', 'erase.files:1']) {
      const {store, endpoint, server} = await stage(t, {segment: '1s'});
      await server.start();
      const {task, senders} = await speak(t, server);
      await stopSoon(server, task, 2);
      senders.forEach((sender) => sender.stop());
      await checkBucket(server, store, endpoint, task);
      await server.stop();
      const proc = server.startToDie({TAPEOP_CRASH_AT: where});
      await until(`${where} was reached`, async () => {
        const at = /on http:\/\/(\S+)/.exec(proc.text)?.[1];
        if (at && !proc.ended)
          await fetch(`http://${at}/v1/recordings?task=${task}`, {method: 'DELETE'}).catch(() => {});
        return proc.ended;
      });
      await server.start();
      await until('all is erased', async () => (await server.segments(task)).length === 0);
      assert.deepEqual(await store.keys(), []);
      await server.stop();
    }
  });
});
