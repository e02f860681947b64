// The recording actions of gme and trtc, called by the vendor's own SDK.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {describe, test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';

import {testInRealTime} from '../aid/calm.mjs';
import {API_KEYS, recording, userSig} from '../aid/cloud.mjs';
import {endpointAnswers, startEndpoint} from '../aid/endpoint.mjs';
import {assertGolden} from '../aid/golden.mjs';
import {gmeOf, trtcOf} from '../aid/sdk.mjs';
import {decode, ffmpegSend, level, oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, KEY, startServer, until} from '../aid/tapeop.mjs';

const ROOM = '1987';
const packets = oggPackets('assets/demo/alice.opus');

/** What the SDK throws when a call is refused. */
async function refused(promise, code, says) {
  await assert.rejects(promise, (e) => {
    assert.equal(e.code, code, `${e.code}: ${e.message}`);
    assert.match(e.message, says);
    assert.match(e.requestId, /^[0-9a-f-]{36}$/);
    return true;
  });
}

/** The answer has the members of the documents' sample, of its types. */
function golden(action, answer) {
  assertGolden('cloud', action, JSON.stringify(answer));
  return answer;
}

/** A server with a key, a room, and somebody who speaks in it. */
async function stage(t, {users = ['1145'], ...options} = {}) {
  // a file each, also where the senders stand still for a while
  const server = await startServer(t, {app: API_KEYS, recording: {mic_off_after: '1h'},
    ...options});
  server.inputs = [];
  for (const user of users) {
    const input = await server.join(ROOM, user);
    const {port} = input;
    server.inputs.push(input);
    sendPackets(t, packets, port);
  }
  return server;
}

describe('cloud api by the SDK', {concurrency: true}, () => {
  test('gme_records_a_room_from_start_to_told', async (t) => {
    const endpoint = await startEndpoint(t);
    const server = await stage(t, {callbacks: [{name: 'gme', url: endpoint.url}]});
    const api = gmeOf(server);
    const BizId = APP;
    await refused(api.StartRecord({BizId, RoomId: 'nobody', RecordMode: 1}),
      'ResourceNotFound.RoomNotFound', /no room nobody/);
    const none = await api.DescribeTaskInfo({BizId, RoomId: ROOM});
    assert.deepEqual({...none, RequestId: ''},
      {TaskId: null, RecordMode: null, SubscribeRecordUserIds: null, RequestId: ''});

    const {TaskId} = golden('StartRecord', await api.StartRecord({BizId, RoomId: ROOM,
      RecordMode: 3, SubscribeRecordUserIds: {SubscribeUserIds: ['1145']}}));
    await refused(api.StartRecord({BizId, RoomId: ROOM, RecordMode: 1}),
      'ResourceInUse.TaskInUse', /task \d+ records this room/);
    const task = golden('DescribeTaskInfo', await api.DescribeTaskInfo({BizId, RoomId: ROOM}));
    assert.deepEqual([task.TaskId, task.RecordMode, task.SubscribeRecordUserIds],
      [TaskId, 3, {UnSubscribeUserIds: [], SubscribeUserIds: ['1145']}]);
    const rooms = golden('DescribeRoomInfo',
      await api.DescribeRoomInfo({SdkAppId: BizId, RoomIds: [Number(ROOM)]}));
    assert.deepEqual(rooms.RoomUsers,
      [{RoomId: 1987, Uins: [1145], StrRoomId: ROOM, StrUins: ['1145']}]);

    const infos = async (n, status) => until(`${n} files of status ${status}`, async () => {
      const info = await api.DescribeRecordInfo({BizId, TaskId});
      return info.RecordInfo.length === n &&
        info.RecordInfo.every((x) => x.RecordStatus === status) && info;
    });
    const info = golden('DescribeRecordInfo', await infos(2, 2));
    assert.deepEqual([info.RecordMode, info.RoomId], [3, ROOM]);
    assert.deepEqual(info.RecordInfo.map((x) => x.UserId).sort(), ['0', '1145']);
    assert.ok(Math.abs(info.RecordInfo[0].RecordBeginTime - Date.now() / 1000) < 120);

    golden('ModifyRecordInfo', await api.ModifyRecordInfo({BizId, TaskId, RecordMode: 2}));
    const changed = await api.DescribeTaskInfo({BizId, RoomId: ROOM});
    assert.equal(changed.RecordMode, 2);
    assert.deepEqual(changed.SubscribeRecordUserIds.SubscribeUserIds, ['1145']);
    golden('StopRecord', await api.StopRecord({BizId, TaskId}));
    const last = await infos(2, 14); // its user was told
    const told = endpoint.requests.filter((r) => r.body.EventType === 3);
    assert.deepEqual(told.map((r) => r.body.Detail.FileName).sort(),
      last.RecordInfo.map((x) => x.FileName).sort());
    assert.ok(endpoint.requests.every((r) => r.body.TaskID === TaskId));
    for (const segment of await server.segments(String(BigInt(TaskId)))) {
      assert.ok(last.RecordInfo.some((x) => x.FileName === segment.file));
      assert.ok(level(await decode(server.file(segment))) > 0.01);
    }
    await refused(api.StopRecord({BizId, TaskId}), 'ResourceNotFound.TaskNotFound',
      /there is no task \d+, or it has ended\./);
    await refused(api.ModifyRecordInfo({BizId, TaskId, RecordMode: 1}),
      'ResourceNotFound.TaskNotFound', /there is no task/);
    await refused(api.DescribeRecordInfo({BizId, TaskId: 1}), 'ResourceNotFound.TaskNotFound',
      /there is no task 1\./);
    await server.stop();
  });

  test('a_file_that_cannot_be_stored_is_said_to_wait', async (t) => {
    const server = await stage(t);
    const api = gmeOf(server);
    const {TaskId} = await api.StartRecord({BizId: APP, RoomId: ROOM, RecordMode: 1});
    const status = async () =>
      (await api.DescribeRecordInfo({BizId: APP, TaskId})).RecordInfo.map((x) => x.RecordStatus);
    await until('it records', async () => (await status())[0] === 2);
    fs.renameSync(server.storage, `${server.storage}.aside`);
    fs.writeFileSync(server.storage, '');
    await api.StopRecord({BizId: APP, TaskId});
    await until('it waits', async () => (await status())[0] === 12);
    fs.unlinkSync(server.storage);
    fs.renameSync(`${server.storage}.aside`, server.storage);
    await until('it is stored', async () => (await status())[0] === 13); // and nobody to tell
    await server.stop();
  });

  test('a_file_counts_as_told_when_every_endpoint_has_taken_it', async (t) => {
    const [first, second] = [await startEndpoint(t), await startEndpoint(t)];
    const server = await stage(t, {callbacks: [{name: 'first', url: first.url},
      {name: 'second', url: second.url, retry: Array(30).fill('1s').join(','), order: 'none'}]});
    const api = gmeOf(server);
    const uploaded = (endpoint) => endpoint.requests.some((r) => r.body.EventType === 3);
    second.answer = endpointAnswers(500);
    const {TaskId} = await api.StartRecord({BizId: APP, RoomId: ROOM, RecordMode: 2});
    const status = async () =>
      (await api.DescribeRecordInfo({BizId: APP, TaskId})).RecordInfo.map((x) => x.RecordStatus);
    await until('it records', async () => (await status())[0] === 2);
    await api.StopRecord({BizId: APP, TaskId});
    await until('both were asked', () => uploaded(first) && uploaded(second));
    for (let i = 0; i < 5; i++) {
      assert.deepEqual(await status(), [13]);
      await sleep(100);
    }
    second.answer = endpointAnswers(200);
    await until('both have taken it', async () => (await status())[0] === 14);
    await server.stop();
  });

  test('every_way_to_sign_that_the_sdk_has_is_taken', async (t) => {
    const server = await stage(t);
    for (const way of [{}, {http: {reqMethod: 'GET'}}, {signMethod: 'HmacSHA256'},
      {signMethod: 'HmacSHA1'}, {signMethod: 'HmacSHA256', http: {reqMethod: 'GET'}}]) {
      const api = gmeOf(server, way);
      // many tasks: a number that JavaScript writes in fewer digits is among them
      for (let i = 0; i < 3; i++) {
        const {TaskId} = await api.StartRecord({BizId: APP, RoomId: ROOM, RecordMode: 1,
          SubscribeRecordUserIds: {UnSubscribeUserIds: ['a b&=', 'ü', '7']}});
        const task = await api.DescribeTaskInfo({BizId: APP, RoomId: ROOM});
        assert.equal(task.TaskId, TaskId);
        assert.deepEqual(task.SubscribeRecordUserIds.UnSubscribeUserIds, ['a b&=', 'ü', '7']);
        await api.StopRecord({BizId: APP, TaskId});
      }
      await until('the room is not recorded', async () =>
        !(await server.ask(200, 'GET', '/v1/rooms')).rooms[0].task_ids.length);
      const wrong = gmeOf(server, {...way, credential: {secretKey: 'wrong'}});
      await refused(wrong.DescribeTaskInfo({BizId: APP, RoomId: ROOM}),
        'AuthFailure.SignatureFailure', /Signature/);
      const nobody = gmeOf(server, {...way, credential: {secretId: 'AKIDnobody'}});
      await refused(nobody.DescribeTaskInfo({BizId: APP, RoomId: ROOM}),
        'AuthFailure.SecretIdNotFound', /api_keys/);
    }
    await server.stop();
  });

  test('a_room_that_empties_is_held_as_long_as_the_app_says', async (t) => {
    const server = await startServer(t, {app: API_KEYS, recording: {hold_empty: '8s'}});
    const api = gmeOf(server);
    const first = await server.join(ROOM, 'a');
    const {TaskId} = await api.StartRecord({BizId: APP, RoomId: ROOM, RecordMode: 2});
    await server.ask(200, 'DELETE', `/v1/inputs/${first.input_id}`);
    // still there, though nobody is: and whoever comes back is recorded by it
    assert.equal((await api.DescribeTaskInfo({BizId: APP, RoomId: ROOM})).TaskId, TaskId);
    const described = () => api.DescribeRoomInfo({SdkAppId: APP, StrRoomIds: [ROOM]});
    assert.deepEqual((await described()).RoomUsers, []);
    const second = await server.join(ROOM, 'b');
    assert.deepEqual((await described()).RoomUsers[0].StrUins, ['b']);
    await until('a second file', async () =>
      (await api.DescribeRecordInfo({BizId: APP, TaskId})).RecordInfo.length === 2);
    await server.ask(200, 'DELETE', `/v1/inputs/${second.input_id}`);
    await until('it ends', () => api.DescribeTaskInfo({BizId: APP, RoomId: ROOM})
      .then(() => false, (e) => e.code === 'ResourceNotFound.RoomNotFound'));
    await server.stop();
  });

  test('trtc_records_a_room_from_create_to_the_end', async (t) => {
    const endpoint = await startEndpoint(t);
    const server = await stage(t, {users: ['1145', '1146', '2000'],
      callbacks: [{name: 'trtc', url: endpoint.url, dialect: 'trtc', key: 'k'}]});
    const api = trtcOf(server);
    const {TaskId} = golden('CreateCloudRecording', await api.CreateCloudRecording(recording({
      RecordParams: {RecordMode: 1, StreamType: 1, MaxIdleTime: 5, OutputFormat: 0,
        MaxMediaFileDuration: 1,
        SubscribeStreamUserIds: {SubscribeAudioUserIds: ['114.*$']}},
      ResourceExpiredHour: 6})));
    assert.equal((await server.task(TaskId)).segment_ms, 60_000);
    const describe_ = () => api.DescribeCloudRecording({SdkAppId: APP, TaskId});
    const info = golden('DescribeCloudRecording', await until('two files', async () => {
      const x = await describe_();
      return x.StorageFileList.length === 2 && x;
    }));
    assert.equal(info.Status, 'InProgress');
    assert.deepEqual(info.StorageFileList.map((f) => f.UserId).sort(), ['1145', '1146']);
    golden('ModifyCloudRecording', await api.ModifyCloudRecording({SdkAppId: APP, TaskId,
      SubscribeStreamUserIds: {UnSubscribeAudioUserIds: ['1145', '1146']}}));
    await until('the third user is recorded', async () => (await describe_()).StorageFileList
      .some((f) => f.UserId === '2000'));
    for (const {input_id} of server.inputs)
      await server.ask(200, 'DELETE', `/v1/inputs/${input_id}`);
    const emptied = Date.now();
    await until('it is idle', async () => (await describe_()).Status === 'Idle');
    await until('it ends by itself', () => describe_()
      .then(() => false, (e) => e.code === 'ResourceNotFound'));
    assert.ok(Date.now() - emptied > 4000, 'after MaxIdleTime');
    await server.drained();
    const of = (type) => endpoint.requests.filter((r) => r.body.EventType === type)
      .map((r) => r.body.EventInfo);
    assert.equal(of(302)[0].Payload.LeaveCode, 99);
    assert.ok([...of(301), ...of(302), ...of(310)].every((x) => x.UserId === 'recorder'));
    assert.equal(of(310)[0].Payload.FileList.length, 3);
    await server.stop();
  });

  test('trtc_waits_for_a_room_and_is_deleted', async (t) => {
    const server = await startServer(t, {app: API_KEYS});
    const api = trtcOf(server);
    const {TaskId} = await api.CreateCloudRecording(recording({RoomId: 'later', RoomIdType: 0,
      RecordParams: {RecordMode: 2, StreamType: 1}}));
    const describe_ = () => api.DescribeCloudRecording({SdkAppId: APP, TaskId});
    assert.equal((await describe_()).Status, 'Idle');
    assert.deepEqual((await describe_()).StorageFileList, []);
    const {port} = await server.join('later', 'somebody');
    const speech = ffmpegSend(t, ['-f', 'lavfi', '-i', 'sine=440:d=2', '-af', 'volume=4'], port);
    await until('a file', async () => (await describe_()).Status === 'InProgress');
    assert.equal((await describe_()).StorageFileList[0].UserId, '');
    await speech.done;
    golden('DeleteCloudRecording', await api.DeleteCloudRecording({SdkAppId: APP, TaskId}));
    await until('its end', async () => (await server.task(TaskId)).finished_ms);
    await refused(api.DeleteCloudRecording({SdkAppId: APP, TaskId}), 'ResourceNotFound',
      /it has ended/);
    const [segment] = await server.segments(TaskId);
    assert.ok(level(await decode(server.file(segment))) > 0.05);
    await server.stop();
  });

  test('an_id_is_good_for_the_hours_that_were_asked_for', async (t) => {
    const server = await stage(t);
    const {TaskId} = await trtcOf(server).CreateCloudRecording(recording(
      {ResourceExpiredHour: 7}));
    await server.kill();
    const db = path.join(server.data, 'tapeop.db');
    const sql = async (text) => (await promisify(execFile)('sqlite3', [db, text])).stdout;
    const [made, until_] = (await sql('SELECT created_ms, expires_ms FROM task')).split('|')
      .map(Number);
    assert.ok(Math.abs(until_ - made - 7 * 3600_000) < 1000);
    await sql('UPDATE task SET expires_ms=1');
    await server.start();
    const api = trtcOf(server);
    for (const action of ['DescribeCloudRecording', 'ModifyCloudRecording',
      'DeleteCloudRecording'])
      await refused(api[action]({SdkAppId: APP, TaskId}), 'ResourceNotFound',
        /ResourceExpiredHour/);
    assert.equal((await server.task(TaskId)).state, 'running');
    await server.finish(TaskId);
    await server.stop();
  });

  test('trtc_refuses_what_it_cannot_do_and_who_has_no_ticket', async (t) => {
    const server = await startServer(t, {app: API_KEYS});
    const api = trtcOf(server);
    await server.join(ROOM, '1145');
    const create = (more) => api.CreateCloudRecording(recording(more));
    const storage = (more) => ({StorageParams: {CloudStorage: {Vendor: 1, Region: 'r',
      Bucket: 'local', AccessKey: 'a', SecretKey: 's', ...more}}});
    for (const [more, code, says] of [
      [{UserSig: userSig('other')}, 'InvalidParameter.UserSig', /UserSig/],
      [{UserSig: userSig('recorder', {key: 'wrong'})}, 'InvalidParameter.UserSig', /UserSig/],
      [{UserSig: userSig('recorder', {app: 7})}, 'InvalidParameter.UserSig', /UserSig/],
      [{UserSig: userSig('recorder', {at: 1000})}, 'InvalidParameter.UserSig', /UserSig/],
      [{UserSig: 'eJw'}, 'InvalidParameter.UserSig', /UserSig/],
      [{UserId: '1145', UserSig: userSig('1145')}, 'InvalidParameter.UserId', /unique/],
      [{RecordParams: {RecordMode: 1}}, 'UnsupportedOperation', /StreamType/],
      [{RecordParams: {RecordMode: 1, StreamType: 2}}, 'UnsupportedOperation', /StreamType/],
      [{RecordParams: {RecordMode: 1, StreamType: 1, OutputFormat: 3}}, 'UnsupportedOperation',
        /OutputFormat/],
      [storage({Bucket: 'No_Bucket'}), 'InvalidParameter', /CloudStorage\.Bucket: must be 3 to 63/],
      [storage({Bucket: 'another', Vendor: 2}), 'UnsupportedOperation', /EndpointUrl of their S3/],
      [storage({Bucket: 'another', Region: ''}), 'InvalidParameter', /CloudStorage\.Region/],
      [storage({Bucket: 'another', Region: 'a b'}), 'InvalidParameter', /CloudStorage\./],
      [storage({Bucket: 'another', Region: 'x.example.com/'}), 'InvalidParameter', /CloudStorage\./],
      [storage({Bucket: 'another', AccessKey: 'a b'}), 'InvalidParameter', /CloudStorage\.AccessKey/],
      [storage({EndpointUrl: 'ftp://s3.example.com'}), 'InvalidParameter', /CloudStorage\.EndpointUrl/],
      [storage({EndpointUrl: 'https://s3.example.com/bucket'}), 'InvalidParameter',
        /CloudStorage\.EndpointUrl: must end behind the host/],
      [storage({FileNamePrefix: ['a']}), 'UnsupportedOperation', /FileNamePrefix/],
      [{StorageParams: {CloudVod: {}}}, 'UnsupportedOperation', /CloudVod/],
    ])
      await refused(create(more), code, says);
    const first = await create({});
    await refused(create({}), 'FailedOperation', /records this room already/);
    await api.DeleteCloudRecording({SdkAppId: APP, TaskId: first.TaskId});
    await server.stop();
  });

  testInRealTime('another_mode_goes_on_where_the_one_before_ended', async (t) => {
    const server = await startServer(t, {app: API_KEYS});
    const api = gmeOf(server);
    const {port} = await server.join(ROOM, 'a');
    const speech = ffmpegSend(t, ['-f', 'lavfi', '-i', 'sine=440:d=12', '-af', 'volume=4'], port);
    const {TaskId} = await api.StartRecord({BizId: APP, RoomId: ROOM, RecordMode: 1});
    const id = String(BigInt(TaskId));
    await until('sound', async () => (await server.segments(id)).length === 1);
    for (const RecordMode of [3, 2, 1]) {
      await sleep(1500);
      await api.ModifyRecordInfo({BizId: APP, TaskId, RecordMode});
    }
    await sleep(1500);
    await api.StopRecord({BizId: APP, TaskId});
    await until('its end', async () => (await server.task(id)).finished_ms);
    speech.child.kill();
    const segments = await server.segments(id);
    const of = (mode) => segments.filter((s) => s.mode === mode)
      .sort((a, b) => a.start_ms - b.start_ms);
    const [single, mixed] = [of('single'), of('mixed')];
    assert.deepEqual([single.length, mixed.length], [3, 1], JSON.stringify(segments));
    const end = (s) => s.start_ms + s.duration_ms;
    const near = (a, b, what) => assert.ok(Math.abs(a - b) < 60, `${what}: ${a - b} ms`);
    near(end(single[0]), single[1].start_ms, 'single to both: the speaker');
    near(mixed[0].start_ms, single[1].start_ms, 'single to both: the mix');
    near(end(mixed[0]), single[2].start_ms, 'mixed to single');
    for (const s of segments)
      assert.ok(level(await decode(server.file(s))) > 0.1, `${s.mode} ${s.seq} is heard`);
    await server.stop();
  });

  test('the_lines_of_the_page_record_a_room', async (t) => {
    const server = await startServer(t, {app: {api_keys:
      [{secret_id: 'AKIDexample', secret_key: 'from the page'}]}});
    await server.join('lobby', 'a');
    const page = fs.readFileSync('docs/cloud-api.md', 'utf8');
    const [, lines] = /```js\n([^]*?)```/.exec(page);
    assert.ok(lines.includes('127.0.0.1:8080'));
    const file = path.join(server.dir, 'page.cjs');
    fs.writeFileSync(file, lines.replace('127.0.0.1:8080', new URL(server.url).host));
    const {stdout, stderr} = await promisify(execFile)(process.execPath, [file], {env:
      {...process.env, TAPEOP_API_KEY: 'from the page', NODE_PATH: 'test/node_modules'}});
    assert.equal(stderr, '');
    const [, id] = /^recording (\d+)\n$/.exec(stdout);
    const [task] = (await server.ask(200, 'GET', '/v1/tasks')).tasks;
    assert.equal(Number(task.task_id), Number(id));
    assert.notEqual(task.state, 'running');
    await server.stop();
  });

  test('an_sdk_of_another_app_finds_nothing', async (t) => {
    const other = {id: 7, secret_key: KEY, api_keys: [{secret_id: 'AKIDother', secret_key: 'o'}]};
    const server = await stage(t, {more_apps: [other]});
    const {TaskId} = await gmeOf(server).StartRecord({BizId: APP, RoomId: ROOM, RecordMode: 1});
    const credential = {secretId: 'AKIDother', secretKey: 'o'};
    const [g, r] = [gmeOf(server, {credential}), trtcOf(server, {credential})];
    await refused(g.StopRecord({BizId: APP, TaskId}), 'UnauthorizedOperation', /BizId/);
    await refused(g.StopRecord({BizId: 7, TaskId}), 'ResourceNotFound.TaskNotFound', /TaskId/);
    await refused(g.ModifyRecordInfo({BizId: 7, TaskId, RecordMode: 1}),
      'ResourceNotFound.TaskNotFound', /TaskId/);
    await refused(g.DescribeRecordInfo({BizId: 7, TaskId}), 'ResourceNotFound.TaskNotFound',
      /TaskId/);
    await refused(g.DescribeTaskInfo({BizId: 7, RoomId: ROOM}), 'ResourceNotFound.RoomNotFound',
      /RoomId/);
    const rooms = await g.DescribeRoomInfo({SdkAppId: 7, StrRoomIds: [ROOM]});
    assert.deepEqual(rooms.RoomUsers, []);
    const text = String(BigInt(TaskId));
    await refused(r.DescribeCloudRecording({SdkAppId: APP, TaskId: text}),
      'AuthFailure.UnauthorizedOperation', /SdkAppId/);
    for (const action of ['DescribeCloudRecording', 'ModifyCloudRecording',
      'DeleteCloudRecording'])
      await refused(r[action]({SdkAppId: 7, TaskId: text}), 'ResourceNotFound', /TaskId/);
    assert.equal((await gmeOf(server).DescribeTaskInfo({BizId: APP, RoomId: ROOM})).TaskId,
      TaskId);
    await server.stop();
  });
});
