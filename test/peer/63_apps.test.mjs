// An app that was made at run time, against real peers: ffmpeg speaks in it, its
// callbacks are verified while its key is rotated, the vendor's SDK calls for it.
// SPDX-License-Identifier: Apache-2.0
//
// Signatures and tickets are made and checked here with Node's crypto.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {describe, test} from 'node:test';

import {recording, userSig} from '../aid/cloud.mjs';
import {endpointAnswers, signGme, startEndpoint} from '../aid/endpoint.mjs';
import {decode, ffmpegSend, level, oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, startReceiver, startServer, until} from '../aid/tapeop.mjs';

const require = createRequire(import.meta.url);
const {gme} = require('tencentcloud-sdk-nodejs/tencentcloud/services/gme');
const {trtc} = require('tencentcloud-sdk-nodejs/tencentcloud/services/trtc');

const ID = 4711;
const WHERE = `/v1/apps/${ID}`;

/** A client of the SDK with a key pair of the API. */
const sdk = (Client, server, pair) => new Client({
  credential: {secretId: pair.secret_id, secretKey: pair.secret_key},
  region: 'ap-guangzhou',
  profile: {httpProfile: {endpoint: new URL(server.url).host, protocol: 'http://'}},
});

const join = (server, room, user) =>
  server.ask(201, 'POST', `${WHERE}/rooms/${room}/inputs`, {user});

describe('apps made at run time', {concurrency: true}, () => {
  test('it_records_by_itself_and_its_callbacks_are_verified', async (t) => {
    const server = await startServer(t);
    const receiver = await startReceiver(t, {key: 'key-of-the-new-app',
      args: ['--app', String(ID)]});
    await server.ask(201, 'POST', '/v1/apps', {id: ID, secret_key: 'key-of-the-new-app',
      recording: {auto: 'both', mic_off: 'silence'}});
    await server.ask(201, 'POST', `${WHERE}/endpoints`,
      {name: 'backend', url: `${receiver.url}/hook`, allow_private: true});
    const {input_id: input, port} = await join(server, 'lobby', 'alice');
    ffmpegSend(t, ['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:duration=3'], port);
    await until('2 s of it have come', async () =>
      (await server.ask(200, 'GET', `/v1/inputs/${input}`)).packets >= 100);
    await server.ask(200, 'DELETE', `/v1/inputs/${input}`);
    const [task] = (await server.ask(200, 'GET', `/v1/tasks?app=${ID}`)).tasks;
    assert.deepEqual([task.app, task.mode, task.auto], [ID, 'both', true]);
    await until('it is finished', async () => (await server.task(task.task_id)).finished_ms);
    await server.drained();
    const segments = await server.segments(task.task_id);
    assert.deepEqual(segments.map((s) => s.user).sort(), ['0', 'alice']);
    for (const s of segments) {
      assert.match(s.file, new RegExp(`^${ID}_lobby_`));
      assert.ok(level(await decode(server.file(s))) > 0.01, s.user);
    }
    await until('all are printed', () => receiver.events().length >= 6);
    assert.equal(receiver.events().length, 6);
    const m = await server.metrics();
    assert.deepEqual([m.deliveries_in, m.deliveries_delivered, m.attempts_failed], [6, 6, 0]);
    await server.stop();
  });

  test('while_its_key_is_rotated_who_knows_either_key_gets_every_event', async (t) => {
    const server = await startServer(t);
    await server.ask(201, 'POST', '/v1/apps', {id: ID, secret_key: 'old'});
    const ends = {};
    for (const knows of ['old', 'new']) {
      ends[knows] = await startEndpoint(t, (seen, response) => {
        seen.by = ['old', 'new'].find((key) => signGme(seen.raw, {key}) === seen.headers.signature);
        endpointAnswers(seen.by === knows ? 200 : 401)(seen, response);
      });
      await server.ask(201, 'POST', `${WHERE}/endpoints`, {name: knows, url: ends[knows].url,
        allow_private: true, retry: '50ms,50ms,50ms', events: ['started', 'completed', 'uploaded']});
    }
    const record = async (room) => {
      sendPackets(t, oggPackets('assets/demo/alice.opus'), (await join(server, room, 'alice')).port);
      const {task_id: task} = await server.ask(201, 'POST', `${WHERE}/rooms/${room}/tasks`,
        {mode: 'single'});
      await until('it records', async () =>
        (await server.segments(task))[0]?.state === 'recording');
      await server.finish(task);
    };
    await server.ask(200, 'POST', `${WHERE}/keys`, {secret_key: 'new', overlap: '1h'});
    await record('one');
    const both = await server.drained();
    assert.equal(both.deliveries_dead, 0);
    assert.equal(both.deliveries_delivered, both.deliveries_in);
    assert.ok(both.deliveries_in >= 6);
    for (const knows of ['old', 'new'])
      assert.ok(ends[knows].requests.every((r) => r.by), 'signed by one of the two');
    assert.ok(ends.new.requests.every((r) => r.by === 'new'), 'the first attempt has the new one');

    // the old one ends: only the new one signs, and who knows only the old is told nothing
    await server.ask(200, 'DELETE', `${WHERE}/keys/previous`);
    const before = ends.old.requests.length;
    const told = ends.new.requests.length;
    await record('two');
    await until('who knows the new one is told, the other is tried', () =>
      ends.new.requests.length >= told + 3 && ends.old.requests.length >= before + 3);
    assert.ok(ends.old.requests.slice(before).every((r) => r.by === 'new'));
    assert.ok(ends.new.requests.slice(told).every((r) => r.by === 'new'));
    await server.stop();
  });

  test('the_sdk_calls_with_an_api_key_and_a_ticket_of_either_key', async (t) => {
    const server = await startServer(t);
    await server.ask(201, 'POST', '/v1/apps', {id: ID, secret_key: 'old'});
    const pair = await server.ask(201, 'POST', `${WHERE}/api_keys`);
    const api = sdk(gme.v20180711.Client, server, pair);
    sendPackets(t, oggPackets('assets/demo/bob.opus'), (await join(server, '100', '7')).port);
    const {TaskId} = await api.StartRecord({BizId: ID, RoomId: '100', RecordMode: 1});
    await until('it records', async () =>
      (await api.DescribeRecordInfo({BizId: ID, TaskId})).RecordInfo[0]?.RecordStatus === 2);
    await api.StopRecord({BizId: ID, TaskId});
    await until('the task is finished', async () =>
      (await server.task(String(BigInt(TaskId)))).finished_ms);
    const [segment] = await server.segments(String(BigInt(TaskId)));
    assert.ok(level(await decode(server.file(segment))) > 0.01);
    // not of another app
    await assert.rejects(api.StartRecord({BizId: APP, RoomId: '100', RecordMode: 1}),
      (e) => /UnauthorizedOperation/.test(e.code));

    await server.ask(200, 'POST', `${WHERE}/keys`, {secret_key: 'new', overlap: '1h'});
    const rtc = sdk(trtc.v20190722.Client, server, pair);
    const create = (key, room) => rtc.CreateCloudRecording(recording({SdkAppId: ID, RoomId: room,
      UserSig: userSig('recorder', {app: ID, key})}));
    for (const [key, room] of [['old', '1'], ['new', '2']]) {
      const {TaskId: id} = await create(key, room);
      await rtc.DeleteCloudRecording({SdkAppId: ID, TaskId: id});
    }
    await assert.rejects(create('other', '3'), (e) => /UserSig/.test(`${e.code} ${e.message}`));
    await server.ask(200, 'DELETE', `${WHERE}/keys/previous`);
    await assert.rejects(create('old', '4'), (e) => /UserSig/.test(`${e.code} ${e.message}`));

    // tickets of WHIP are checked by its key, too: what is offered is looked at after
    const whip = async (key) => (await server.api('POST', `/whip/${ID}/r/alice`, 'no SDP', {
      'Content-Type': 'application/sdp',
      Authorization: `Bearer ${userSig('alice', {app: ID, key})}`})).status;
    assert.deepEqual([await whip('new'), await whip('old')], [400, 401]);

    // an app that is not recorded on request
    await server.ask(200, 'PATCH', WHERE, {recording: {on_request: false}});
    await assert.rejects(api.StartRecord({BizId: ID, RoomId: '100', RecordMode: 1}),
      (e) => e.code === 'UnsupportedOperation.ServiceNotOpened' && /on_request/.test(e.message));
    await assert.rejects(create('new', '5'), (e) => e.code === 'UnsupportedOperation');

    await server.ask(200, 'DELETE', `${WHERE}/api_keys/${pair.secret_id}`);
    await assert.rejects(api.DescribeTaskInfo({BizId: ID, RoomId: '100'}),
      (e) => e.code === 'AuthFailure.SecretIdNotFound');
    await server.stop();
  });
});
