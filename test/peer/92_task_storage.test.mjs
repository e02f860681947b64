// test/peer/92_task_storage.test.mjs -- a task's own bucket, asked for with Tencent's SDK; keys that change.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {describe, test} from 'node:test';

import {API_KEYS, recording} from '../aid/cloud.mjs';
import {startEndpoint} from '../aid/endpoint.mjs';
import {BUCKET, KEYS, PREFIX, s3Storage, startProxy, startStore, whyNoStore,
  whyNotPresigned} from '../aid/s3.mjs';
import {trtcOf} from '../aid/sdk.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, STEADY, startServer, until} from '../aid/tapeop.mjs';
import {filesBelow} from '../aid/truth.mjs';

const packets = oggPackets('assets/demo/alice.opus');
const skip = whyNoStore() ?? false;
const ROOM = '1987';

/** StorageParams of a bucket behind `proxy`. */
const bucket = (proxy, more = {}) => ({StorageParams: {CloudStorage: {Vendor: 1,
  Region: 'us-east-1', Bucket: BUCKET, AccessKey: KEYS.access_key, SecretKey: KEYS.secret_key,
  EndpointUrl: proxy.url, FileNamePrefix: ['calls', '2026'], ...more}}});

async function stage(t, {storage = {allow_private: true}, ...options} = {}) {
  const store = await startStore(t);
  const proxy = await startProxy(t, store);
  const endpoint = await startEndpoint(t);
  const live = await startEndpoint(t);
  const server = await startServer(t, {app: API_KEYS, recording: STEADY, file_storage: storage,
    ...options,
    callbacks: [{name: 'all', url: endpoint.url, dialect: 'standard',
      key: 'whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh'},
    {name: 'live', url: live.url, dialect: 'live'}]});
  return {store, proxy, endpoint, live, server, api: trtcOf(server)};
}

/** Alice speaks until `n` packets are sent; the task is stopped, and its id. */
async function record(t, {server, api}, params, n = 60) {
  const {port, input_id: input} = await server.join(ROOM, 'alice');
  const {TaskId} = await api.CreateCloudRecording(recording(params));
  const sender = sendPackets(t, packets, port);
  await sender.reached(n);
  await api.DeleteCloudRecording({SdkAppId: APP, TaskId});
  sender.stop();
  await server.ask(200, 'DELETE', `/v1/inputs/${input}`);
  return TaskId;
}

const finished = (server, task) => until(`task ${task} is finished`,
  async () => (await server.task(task)).finished_ms);

describe('task_storage', {concurrency: 2, skip}, () => {
  test('files_go_into_the_bucket_that_the_task_names_and_can_be_erased_there', async (t) => {
    const s = await stage(t);
    const {server, store, proxy, endpoint} = s;
    const task = await record(t, s, bucket(proxy));
    await finished(server, task);
    const [segment] = await server.segments(task);
    const keys = await store.keys();
    assert.equal(keys.length, 2);
    assert.ok(keys.includes(`calls/2026/${segment.file}`), keys.join());
    assert.ok(keys.some((k) => k.startsWith(`calls/2026/${path.dirname(segment.file)}/`) &&
      k.endsWith('_manifest.json')), keys.join());
    const head = await store.head(`calls/2026/${segment.file}`);
    assert.equal(head.Metadata.sha256, segment.sha256);
    assert.deepEqual(proxy.unsigned, []);
    // nothing of it stays here
    assert.deepEqual(filesBelow(server.storage), []);
    assert.deepEqual(filesBelow(path.join(server.data, 'spool')), []);
    // it is told, shown and read
    await server.drained();
    const {data} = endpoint.requests.find((r) => r.body.type === 'segment.uploaded').body;
    assert.ok(data.location.startsWith(`${proxy.url}/${BUCKET}/calls/2026/`), data.location);
    assert.equal((await server.task(task)).storage, `${proxy.url}/${BUCKET}/calls/2026/`);
    const audio = await fetch(`${server.url}/v1/segments/${segment.segment_id}/audio`,
      {redirect: 'manual'});
    assert.equal(audio.status, 302);
    assert.equal(whyNotPresigned(audio.headers.get('location'), 900), undefined);
    // another task of the room goes where all do
    const ours = await record(t, s, {});
    await finished(server, ours);
    const [here] = await server.segments(ours);
    assert.equal(fs.statSync(path.join(server.storage, here.file)).size, here.size);
    assert.equal((await server.task(ours)).storage, fs.realpathSync(server.storage));
    // its keys are found nowhere but in the database
    await server.stop();
    for (const file of filesBelow(server.dir).filter((f) => !/tapeop\.db/.test(f)))
      assert.ok(!fs.readFileSync(path.join(server.dir, file)).includes(KEYS.secret_key), file);
    assert.ok(!server.proc.text.includes(KEYS.secret_key));
    await server.start();
    await server.ask(200, 'DELETE', `/v1/recordings?task=${task}`);
    assert.deepEqual(await store.keys(), []);
    await server.stop();
  });

  test('a_killed_server_goes_on_with_the_bucket_of_each_task', async (t) => {
    const s = await stage(t);
    const {server, store, proxy} = s;
    let isDown = true;
    proxy.rule = () => (isDown ? {hang: true} : undefined);
    const first = await record(t, s, bucket(proxy));
    const second = await record(t, s, bucket(proxy, {FileNamePrefix: ['other']}));
    await until('it is being sent', () => proxy.requests.length > 0);
    await server.kill();
    isDown = false;
    await server.start();
    await finished(server, first);
    await finished(server, second);
    const keys = await store.keys();
    for (const [task, prefix] of [[first, 'calls/2026'], [second, 'other']]) {
      const [segment] = await server.segments(task);
      assert.ok(keys.includes(`${prefix}/${segment.file}`), keys.join());
      const head = await store.head(`${prefix}/${segment.file}`);
      assert.equal(head.Metadata.sha256, segment.sha256);
    }
    await server.stop();
  });

  test('a_private_address_is_asked_only_where_the_settings_allow_it', async (t) => {
    const s = await stage(t, {storage: {}});
    const {server, live, proxy} = s;
    // an address can be seen at once, a name when it is connected to
    for (const EndpointUrl of [proxy.url, 'http://10.0.0.5:9000', 'https://[::1]'])
      await assert.rejects(s.api.CreateCloudRecording(recording(bucket(proxy, {EndpointUrl}))),
        (e) => e.code === 'InvalidParameter' && /CloudStorage\.EndpointUrl: .*allow_private/.test(e.message));
    const named = bucket(proxy, {EndpointUrl: proxy.url.replace('127.0.0.1', 'localhost')});
    const task = await record(t, s, named);
    const told = await until('it is told', () => live.requests.find((r) =>
      r.body.EventInfo.TaskId === task && r.body.EventType === 308));
    assert.equal(told.body.EventInfo.Payload.Code, 'address_private');
    assert.match(told.body.EventInfo.Payload.Message, /(127\.0\.0\.1|::1) is not a global one/);
    assert.equal(proxy.requests.length, 0);
    const [segment] = await server.segments(task);
    assert.deepEqual([segment.uploaded, segment.reason], [false, 'address_private']);
    // it will never be stored: it can be erased all the same
    await until('it is erased', async () =>
      (await server.api('DELETE', `/v1/recordings?task=${task}`)).status === 200);
    await finished(server, task);
    assert.deepEqual(await server.segments(task), []);
    assert.deepEqual(filesBelow(path.join(server.data, 'spool')), []);
    await server.stop();
  });

  test('keys_of_the_bucket_change_while_files_wait', async (t) => {
    const store = await startStore(t);
    const proxy = await startProxy(t, store);
    const is = (request, id) => request.headers.authorization?.includes(`Credential=${id}/`);
    proxy.rule = (r) => (is(r, KEYS.access_key) ? undefined
      : {status: 403, code: 'InvalidAccessKeyId'});
    const server = await startServer(t, {app: API_KEYS, recording: STEADY,
      file_storage: s3Storage(proxy.url, {access_key: 'REVOKED', secret_key: 'long-gone'})});
    const task = await record(t, {server, api: trtcOf(server)}, {});
    await until('it is refused', async () =>
      (await server.segments(task))[0]?.reason === 'access_denied');
    fs.writeFileSync(server.config, fs.readFileSync(server.config, 'utf8')
      .replace('REVOKED', KEYS.access_key).replace('long-gone', KEYS.secret_key));
    server.proc.child.kill('SIGHUP');
    await until('the keys are read', () => /reload: storage\.s3 keys/.test(server.proc.text));
    await finished(server, task);
    const [segment] = await server.segments(task);
    assert.ok((await store.keys()).includes(`${PREFIX}/${segment.file}`));
    const audio = await fetch(`${server.url}/v1/segments/${segment.segment_id}/audio`,
      {redirect: 'manual'});
    assert.equal(whyNotPresigned(audio.headers.get('location'), 900), undefined);
    await server.stop();
  });
});
