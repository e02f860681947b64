// POST / as the Cloud API: envelope, signatures, and every fault by its code.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import {promisify} from 'node:util';

import {API_KEYS, SECRET_ID, SECRET_KEY, call, opened, recording, refused, send, sign1, sign3,
  userSig} from '../aid/cloud.mjs';
import {APP, KEY, startServer, tempDir, until} from '../aid/tapeop.mjs';

const exec = promisify(execFile);
const page = fs.readFileSync(new URL('../../docs/cloud-api.md', import.meta.url), 'utf8');
const GME = '2018-07-11';
const now = () => Math.floor(Date.now() / 1000);
const UNSIGNED = crypto.createHash('sha256').update('UNSIGNED-PAYLOAD').digest('hex');
const room = {BizId: APP, RoomId: 'room'};

const start = (t, more = {}) => startServer(t, {app: API_KEYS, ...more});

/** POST with signature v3; `more` of sign3, `sent` of send, in their place. */
async function post(server, action, parameters, more = {}, sent = {}) {
  const body = typeof parameters === 'string' ? parameters : JSON.stringify(parameters);
  const host = more.host ?? new URL(server.url).host;
  const signed = sign3({host, action, version: GME, body, ...more});
  return send(server, {body, headers: {Host: host, ...signed}, ...sent});
}

const codeOf = (answer) => opened(answer).Error?.Code ?? 'ok';

test('an_answer_is_an_envelope_with_a_request_id_of_its_own', async (t) => {
  const server = await start(t);
  await server.join('room', 'a');
  const ids = new Set();
  for (const [action, parameters] of [['DescribeTaskInfo', room], ['DescribeTaskInfo', {}],
    ['Nothing', {}], ['StartRecord', {...room, RecordMode: 1}]]) {
    const answer = await post(server, action, parameters);
    ids.add(opened(answer).RequestId);
    assert.ok(!answer.headers['access-control-allow-origin']);
  }
  assert.equal(ids.size, 4);
  // whoever has a key may ask from anywhere, also through a proxy
  for (const headers of [{}, {Origin: 'https://example.com'}, {'X-Forwarded-For': '192.0.2.1'}])
    assert.equal(codeOf(await post(server, 'DescribeTaskInfo', room,
      {host: 'gme.tencentcloudapi.com', headers})), 'ok');
  // each id is in the log, once
  for (const id of ids)
    assert.equal(server.proc.text.split(id).length, 2);
  await server.stop();
});

test('a_signature_of_version_3_is_good_or_the_call_is_refused', async (t) => {
  const server = await start(t);
  await server.join('room', 'a');
  const host = new URL(server.url).host;
  const ask = async (more, sent) => codeOf(await post(server, 'DescribeTaskInfo', room, more, sent));
  assert.equal(await ask({}), 'ok');
  for (const at of [now() - 290, now() + 290])
    assert.equal(await ask({at}), 'ok');
  for (const at of [now() - 310, now() + 310, 0])
    assert.equal(await ask({at}), 'AuthFailure.SignatureExpire');
  assert.equal(await ask({service: 'trtc'}), 'ok'); // the version says what is meant
  assert.equal(await ask({type: 'application/json; charset=utf-8'}), 'ok');
  assert.equal(await ask({hash: UNSIGNED, headers:
    {'X-TC-Content-SHA256': 'UNSIGNED-PAYLOAD'}}), 'ok');
  assert.equal(await ask({headers: {'X-TC-Region': 'no-such', 'X-TC-Language': 'xx-XX',
    'X-TC-RequestClient': 'x', 'X-TC-Token': 'y'}}), 'ok');
  for (const [more, code] of [
    [{key: 'wrong'}, 'AuthFailure.SignatureFailure'],
    [{id: 'AKIDnobody'}, 'AuthFailure.SecretIdNotFound'],
    [{id: 'AKID nobody'}, 'AuthFailure.InvalidSecretId'],
    [{headers: {Host: 'other.example.com'}}, 'AuthFailure.SignatureFailure'],
    [{headers: {'Content-Type': 'text/json'}}, 'AuthFailure.SignatureFailure'],
    [{headers: {'X-TC-Timestamp': 'soon'}}, 'InvalidParameter'],
    [{headers: {Authorization: 'SKIP'}}, 'AuthFailure.InvalidAuthorization'],
    [{headers: {Authorization: ''}}, 'MissingParameter'],
    [{type: 'application/x-www-form-urlencoded'}, 'InvalidParameter'],
    [{type: 'multipart/form-data; boundary=x'}, 'InvalidParameter'],
  ])
    assert.equal(await ask(more), code, JSON.stringify(more));
  // the body is covered
  const signed = sign3({host, action: 'DescribeTaskInfo', version: GME,
    body: JSON.stringify(room)});
  assert.equal(codeOf(await send(server, {headers: {Host: host, ...signed},
    body: JSON.stringify({...room, RoomId: 'other'})})), 'AuthFailure.SignatureFailure');
  // without any
  for (const headers of [{}, {'Content-Type': 'application/json'}])
    assert.equal(codeOf(await send(server, {headers, body: '{}'})), 'MissingParameter');
  await server.stop();
});

test('a_get_asks_with_its_query', async (t) => {
  const server = await start(t);
  await server.join('room a', 'u');
  const host = new URL(server.url).host;
  const get = async (query, more = {}) => send(server, {method: 'GET', path: `/?${query}`,
    headers: {Host: host, ...sign3({method: 'GET', query, host, action: 'StartRecord',
      version: GME, type: 'application/x-www-form-urlencoded', ...more})}});
  const {TaskId} = opened(await get(`BizId=${APP}&RoomId=room%20a&RecordMode=3` +
    '&SubscribeRecordUserIds.SubscribeUserIds.0=7&SubscribeRecordUserIds.SubscribeUserIds.1=b'));
  assert.ok(TaskId);
  const task = opened(await get(`BizId=${APP}&RoomId=room%20a`, {action: 'DescribeTaskInfo'}));
  assert.deepEqual(task.SubscribeRecordUserIds.SubscribeUserIds, ['7', 'b']);
  for (const [query, code, action = 'StartRecord'] of [
    [`BizId=${APP}&RoomId=r`, 'MissingParameter'],
    [`BizId=x&RoomId=r&RecordMode=1`, 'InvalidParameter'],
    [`BizId=0&RoomId=r&RecordMode=1`, 'InvalidParameterValue.InvalidBizId'],
    [`BizId=${APP}&RoomId=r&RecordMode=1&Surplus=1`, 'UnknownParameter'],
    [`BizId=${APP}&BizId=${APP}&RoomId=r&RecordMode=1`, 'InvalidParameter'],
    [`BizId=${APP}&BizId.0=${APP}&RoomId=r&RecordMode=1`, 'InvalidParameter'],
    [`BizId=${APP}&RoomId=r&RecordMode=1&SubscribeRecordUserIds.SubscribeUserIds=7`,
      'InvalidParameter'],
    [`BizId=${APP}&RoomId=r&RecordMode=1&SubscribeRecordUserIds.SubscribeUserIds.1=7`,
      'InvalidParameter'],
    ['.=1', 'InvalidParameter'], ['a..b=1', 'InvalidParameter'],
    ['a.b.c.d.e.f.g.h.i.j=1', 'InvalidParameter'], ['BizId=%ff', 'InvalidParameter'],
    [`BizId=${APP}&RoomId=${'x'.repeat(20480)}&RecordMode=1`,
      'InvalidParameterValue.InvalidRoomId'],
  ])
    assert.equal(codeOf(await get(query, {action})), code, query.slice(0, 200));
  assert.equal((await get(`RoomId=${'x'.repeat(33000)}`)).status, 414);
  // without an action it is the console
  const page = await send(server, {method: 'GET', path: '/', headers: {Host: host}});
  assert.match(page.text, /<title>tapeop</);
  await server.stop();
});

test('a_signature_of_version_1_is_good_or_the_call_is_refused', async (t) => {
  const server = await start(t);
  await server.join('room', 'a');
  const host = new URL(server.url).host;
  const form = (all) => new URLSearchParams(all).toString();
  const ask = async (method, more = {}, after = {}) => {
    const text = form({...sign1({method, host, action: 'DescribeTaskInfo', version: GME,
      parameters: {BizId: String(APP), RoomId: 'room'}, ...more}), ...after});
    return codeOf(method === 'GET'
      ? await send(server, {method, path: `/?${text}`, headers: {Host: host}})
      : await send(server, {method, body: text, headers: {Host: host,
        'Content-Type': 'application/x-www-form-urlencoded'}}));
  };
  for (const method of ['GET', 'POST']) {
    for (const digest of ['sha1', 'sha256'])
      assert.equal(await ask(method, {digest}), 'ok');
    assert.equal(await ask(method, {key: 'wrong'}), 'AuthFailure.SignatureFailure');
    assert.equal(await ask(method, {id: 'AKIDnobody'}), 'AuthFailure.SecretIdNotFound');
    assert.equal(await ask(method, {at: now() - 310}), 'AuthFailure.SignatureExpire');
    assert.equal(await ask(method, {at: now() + 310}), 'AuthFailure.SignatureExpire');
    assert.equal(await ask(method, {}, {RoomId: 'other'}), 'AuthFailure.SignatureFailure');
    assert.equal(await ask(method, {}, {Signature: 'x'}), 'AuthFailure.SignatureFailure');
    assert.equal(await ask(method, {}, {SignatureMethod: 'HmacMD5'}), 'InvalidParameter');
    assert.equal(await ask(method, {parameters: {BizId: String(APP), RoomId: 'room',
      Region: 'ap-beijing', Language: 'en-US', RequestClient: 'x', Token: 'y'}}), 'ok');
    assert.equal(await ask(method, {parameters: {BizId: String(APP), RoomId: 'room',
      Other: '1'}}), 'UnknownParameter');
    assert.equal(await ask(method, {action: 'Nothing'}), 'InvalidAction');
    assert.equal(await ask(method, {version: '2020-01-01'}), 'NoSuchVersion');
  }
  const body = form(sign1({host, action: 'DescribeTaskInfo', version: GME})) + '&Action=x';
  for (const bad of [body, 'a=%', 'a=%00', '%zz=1', `${'a&'.repeat(300)}`, 'Action=x'])
    assert.match(codeOf(await send(server, {body: bad, headers: {Host: host,
      'Content-Type': 'application/x-www-form-urlencoded'}})), /^(InvalidParameter|MissingParam)/);
  await server.stop();
});

test('what_is_not_there_has_the_vendors_code', async (t) => {
  const server = await start(t);
  for (const [action, version, code, says] of [
    ['Nothing', GME, 'InvalidAction', /Nothing: version 2018-07-11 \(gme\) has StartRecord, /],
    ['CreateCloudRecording', GME, 'InvalidAction', /has StartRecord/],
    ['StartRecord', '2019-07-22', 'InvalidAction', /has CreateCloudRecording, /],
    ['startrecord', GME, 'InvalidAction', /startrecord/],
    ['StartRecord', '2017-03-12', 'NoSuchVersion', /2018-07-11 \(gme\) and 2019-07-22 \(trtc\)/],
    ['', GME, 'MissingParameter', /Action/],
    ['StartRecord', '', 'MissingParameter', /Version/],
    ['x'.repeat(500), GME, 'InvalidAction', /xxx/],
    ['a\tb"\\', GME, 'InvalidAction', /a.b"\\/],
  ]) {
    const {Error: e} = opened(await post(server, action, {}, {version}));
    assert.equal(e.Code, code);
    assert.match(e.Message, says);
  }
  for (const [body, says] of [['', /JSON/], ['{', /JSON/], ['[]', /object/], ['7', /object|JSON/],
    ['{"a":1,"a":2}', /JSON/], ['\xff', /JSON/], ['null', /object|JSON/],
    ['{"BizId":1}x', /JSON/], ['['.repeat(100000), /JSON/]]) {
    const {Error: e} = opened(await post(server, 'StartRecord', body));
    assert.equal(e.Code, 'InvalidParameter', body.slice(0, 20));
    assert.match(e.Message, says);
  }
  // more than the server takes of any body
  const long = await post(server, 'StartRecord', JSON.stringify({a: 'x'.repeat(1 << 20)}));
  assert.equal(long.status, 413);
  await server.stop();
});

const ids = (n) => Array.from({length: n}, (_, i) => `u${i}`);
/** A number that no integer of the server holds, written in full. */
const huge = (parameters, name) => JSON.stringify({...parameters, [name]: 0})
  .replace(`"${name}":0`, `"${name}":99999999999999999999`);

/** [parameters, code, says] */
const bads = {
  StartRecord: (good) => [
    [{...good, BizId: undefined}, 'MissingParameter', /^BizId is missing/],
    [{...good, BizId: null}, 'MissingParameter', /^BizId is missing/],
    [{...good, RoomId: undefined}, 'MissingParameter', /^RoomId is missing/],
    [{...good, RecordMode: undefined}, 'MissingParameter', /^RecordMode is missing/],
    [{...good, BizId: String(APP)}, 'InvalidParameter', /^BizId must be a whole number/],
    [{...good, BizId: true}, 'InvalidParameter', /^BizId must be/],
    [{...good, BizId: 0}, 'InvalidParameterValue.InvalidBizId', /^BizId must be/],
    [{...good, BizId: 2 ** 32}, 'InvalidParameterValue.InvalidBizId', /from 1 to 4294967295/],
    [{...good, BizId: 1.5}, 'InvalidParameterValue.InvalidBizId', /^BizId must be/],
    [{...good, BizId: APP + 1}, 'UnauthorizedOperation', /^BizId: the key AKIDtest is of another/],
    [{...good, RoomId: 7}, 'InvalidParameter', /^RoomId must be a string/],
    [{...good, RoomId: ''}, 'InvalidParameterValue.InvalidRoomId', /^RoomId .*1 to 128/],
    [{...good, RoomId: 'a/b'}, 'InvalidParameterValue.InvalidRoomId', /RoomId/],
    [{...good, RoomId: 'a\0b'}, 'InvalidParameter', /^RoomId must be/],
    [{...good, RoomId: 'x'.repeat(129)}, 'InvalidParameterValue.InvalidRoomId', /RoomId/],
    [{...good, RecordMode: 0}, 'InvalidParameterValue.InvalidRecordMode', /from 1 to 3/],
    [{...good, RecordMode: 4}, 'InvalidParameterValue.InvalidRecordMode', /from 1 to 3/],
    [{...good, RecordMode: '1'}, 'InvalidParameter', /^RecordMode must be/],
    [huge(good, 'RecordMode'), 'InvalidParameterValue.InvalidRecordMode', /from 1 to 3/],
    [{...good, Surplus: 1}, 'UnknownParameter', /^Surplus is no parameter/],
    [{...good, roomId: 1}, 'UnknownParameter', /^roomId is no parameter/],
    [{...good, '': 1}, 'UnknownParameter', /^"" is no parameter/],
    ...lists('SubscribeRecordUserIds', good),
  ],
  StopRecord: (good) => [
    [{BizId: APP}, 'MissingParameter', /^TaskId is missing/],
    [{...good, TaskId: '7'}, 'InvalidParameter', /^TaskId must be a whole number/],
    [{...good, TaskId: 0}, 'InvalidParameterValue.InvalidTaskId', /^TaskId must be/],
    [{...good, TaskId: -1}, 'InvalidParameterValue.InvalidTaskId', /^TaskId must be/],
    [huge(good, 'TaskId'), 'InvalidParameterValue.InvalidTaskId', /^TaskId must be/],
    [{...good, TaskId: 7}, 'ResourceNotFound.TaskNotFound', /no task 7/],
    [{...good, RecordMode: 1}, 'UnknownParameter', /^RecordMode is no parameter/],
  ],
  DescribeRoomInfo: () => [
    [{RoomIds: [1]}, 'MissingParameter', /^SdkAppId is missing/],
    [{SdkAppId: APP}, 'MissingParameter', /RoomIds or StrRoomIds/],
    [{SdkAppId: APP, RoomIds: []}, 'MissingParameter', /RoomIds or StrRoomIds/],
    [{SdkAppId: APP, RoomIds: ids(11)}, 'InvalidParameterValue.InvalidRoomId', /at most 10/],
    [{SdkAppId: APP, StrRoomIds: ids(11)}, 'InvalidParameterValue.InvalidRoomId', /at most 10/],
    [{SdkAppId: APP, StrRoomIds: ids(6), RoomIds: [1, 2, 3, 4, 5]},
      'InvalidParameterValue.InvalidRoomId', /at most 10/],
    [{SdkAppId: APP, RoomIds: 7}, 'InvalidParameter', /^RoomIds must be a list/],
    [{SdkAppId: APP, RoomIds: ['a']}, 'InvalidParameterValue.InvalidRoomId', /^RoomIds.0/],
    [{SdkAppId: APP, StrRoomIds: ['a', 'a/b']}, 'InvalidParameterValue.InvalidRoomId',
      /^StrRoomIds.1/],
  ],
  CreateCloudRecording: (good) => [
    ...['SdkAppId', 'RoomId', 'UserId', 'UserSig', 'RecordParams', 'StorageParams'].map((name) =>
      [{...good, [name]: undefined}, `MissingParameter.${name}`, new RegExp(`^${name} is missing`)]),
    [{...good, RecordParams: {StreamType: 1}}, 'MissingParameter.RecordMode',
      /^RecordParams.RecordMode is missing/],
    [{...good, StorageParams: {}}, 'MissingParameter.CloudStorage',
      /^StorageParams.CloudStorage is missing/],
    ...['Vendor', 'Region', 'Bucket', 'AccessKey', 'SecretKey'].map((name) =>
      [{...good, StorageParams: {CloudStorage:
        {...good.StorageParams.CloudStorage, [name]: undefined}}}, `MissingParameter.${name}`,
      new RegExp(`^StorageParams.CloudStorage.${name} is missing`)]),
    [{...good, StorageParams: {CloudVod: {TencentVod: {}}}}, 'UnsupportedOperation', /CloudVod/],
    [{...good, SdkAppId: 0}, 'InvalidParameter.SdkAppId', /^SdkAppId must be/],
    [{...good, SdkAppId: APP + 1}, 'AuthFailure.UnauthorizedOperation', /^SdkAppId/],
    [{...good, RoomId: 'abc'}, 'InvalidParameter.RoomId', /RoomIdType 0/],
    [{...good, RoomId: '4294967295'}, 'InvalidParameter.RoomId', /RoomIdType 0/],
    [{...good, RoomId: 'a/b', RoomIdType: 0}, 'InvalidParameter.RoomId', /RoomId/],
    [{...good, RoomIdType: 2}, 'InvalidParameter.OutOfRange', /^RoomIdType must be/],
    [{...good, UserId: 7}, 'InvalidParameter', /^UserId must be a string/],
    [{...good, UserSig: 'x'.repeat(7000)}, 'InvalidParameter.UserSig', /^UserSig/],
    [{...good, ResourceExpiredHour: 5}, 'InvalidParameter.OutOfRange', /from 6 to 720/],
    [{...good, ResourceExpiredHour: 721}, 'InvalidParameter.OutOfRange', /from 6 to 720/],
    ...[['RecordMode', 0], ['RecordMode', 3], ['MaxIdleTime', 4], ['MaxIdleTime', 86401],
      ['StreamType', 3], ['OutputFormat', 5], ['MaxMediaFileDuration', 0],
      ['MaxMediaFileDuration', 1441]].map(([name, value]) =>
      [{...good, RecordParams: {...good.RecordParams, [name]: value}},
        'InvalidParameter.OutOfRange', new RegExp(`^RecordParams.${name} must be`)]),
    [{...good, RecordParams: {...good.RecordParams, Zzz: 1}}, 'UnknownParameter',
      /^RecordParams.Zzz is no parameter/],
    [{...good, RecordParams: 7}, 'InvalidParameter', /^RecordParams must be an object/],
    [{...good, RecordParams: {...good.RecordParams, SubscribeStreamUserIds:
      {SubscribeAudioUserIds: ids(33)}}}, 'InvalidParameter.OutOfRange',
    /^RecordParams.SubscribeStreamUserIds.SubscribeAudioUserIds must be a list of at most 32/],
    [{...good, RecordParams: {...good.RecordParams, SubscribeStreamUserIds:
      {SubscribeAudioUserIds: ['a'], UnSubscribeAudioUserIds: ['b']}}}, 'InvalidParameter',
    /only one of the two/],
    [{...good, StorageParams: {CloudStorage: {...good.StorageParams.CloudStorage,
      FileNamePrefix: ['a b']}}}, 'InvalidParameter.OutOfRange', /FileNamePrefix.0 must be/],
    ...[[{FileNamePrefix: ids(33)}, 'InvalidParameter.OutOfRange', /at most 32 words/],
      [{FileNamePrefix: ['x'.repeat(65)]}, 'InvalidParameter.OutOfRange', /1 to 64 letters/],
      [{Vendor: 101}, 'InvalidParameter.OutOfRange', /Vendor must be .* 0 to 100/],
      [{Vendor: 2, Bucket: 'bbb'}, 'UnsupportedOperation', /Vendor: 0/],
      [{Bucket: ''}, 'InvalidParameter.OutOfRange', /Bucket must be/],
      [{AccessKey: ''}, 'InvalidParameter.OutOfRange', /AccessKey must be/],
      [{SecretKey: ''}, 'InvalidParameter.OutOfRange', /SecretKey must be/],
      [{Bucket: 'No'}, 'InvalidParameter', /CloudStorage\.Bucket: must be 3 to 63/],
      [{Bucket: 'bbb', Region: ''}, 'InvalidParameter', /Region is required/],
      [{Bucket: 'bbb', Region: 'a b'}, 'InvalidParameter', /Region: must be|EndpointUrl/],
      [{Bucket: 'bbb', EndpointUrl: 'ftp://h'}, 'InvalidParameter', /EndpointUrl/],
      [{Bucket: 'bbb', AccessKey: 'a b'}, 'InvalidParameter', /AccessKey: must be/],
    ].map(([more, code, says]) => [{...good, StorageParams: {CloudStorage:
      {...good.StorageParams.CloudStorage, ...more}}}, code, says]),
  ],
  DescribeCloudRecording: () => [
    [{SdkAppId: APP}, 'MissingParameter.TaskId', /^TaskId is missing/],
    [{SdkAppId: APP, TaskId: 7}, 'InvalidParameter', /^TaskId must be a string/],
    [{SdkAppId: APP, TaskId: '-m9-bVVU7id..gQvQE'}, 'InvalidParameter.TaskId', /^TaskId must be/],
    [{SdkAppId: APP, TaskId: '7'}, 'ResourceNotFound', /no task 7/],
  ],
};

function lists(group, good) {
  const bad = (value, name, says) =>
    [{...good, [group]: value}, `InvalidParameterValue.${name}`, says];
  return [
    [{...good, [group]: []}, 'InvalidParameter', /must be an object/],
    [{...good, [group]: {Surplus: []}}, 'UnknownParameter',
      new RegExp(`^${group}.Surplus is no parameter`)],
    [{...good, [group]: {SubscribeUserIds: 'a'}}, 'InvalidParameter', /must be a list/],
    [{...good, [group]: {SubscribeUserIds: [true]}}, 'InvalidParameter', /must be a list/],
    bad({SubscribeUserIds: ids(21)}, 'InvalidSubscribeUserIds', /at most 20/),
    bad({UnSubscribeUserIds: ids(21)}, 'InvalidUNSubscribeUserIds', /at most 20/),
    bad({SubscribeUserIds: ['a', 'a/b']}, 'InvalidSubscribeUserIds', /SubscribeUserIds.1 must/),
    bad({SubscribeUserIds: ['a'], UnSubscribeUserIds: ['b']}, 'InvalidSubscribeRecordUserIds',
      /only one of the two/),
  ];
}

test('every_bad_parameter_is_named_with_its_code_and_changes_nothing', async (t) => {
  const server = await start(t);
  await server.join('room', 'a');
  const good = {
    StartRecord: {...room, RecordMode: 1},
    StopRecord: {BizId: APP, TaskId: 7},
    CreateCloudRecording: recording(),
  };
  for (const [action, rows] of Object.entries(bads)) {
    for (const [parameters, code, says] of rows(good[action]))
      await refused(server, action, parameters, code, says);
  }
  assert.deepEqual((await server.ask(200, 'GET', '/v1/tasks')).tasks, []);
  // what is odd and taken: numbers for ids, an id twice, an empty list beside one
  const {TaskId} = await call(server, 'StartRecord', {...room, RecordMode: 1,
    SubscribeRecordUserIds: {SubscribeUserIds: [1145, '1145', 1], UnSubscribeUserIds: []}});
  assert.deepEqual((await call(server, 'DescribeTaskInfo', room)).SubscribeRecordUserIds,
    {UnSubscribeUserIds: [], SubscribeUserIds: ['1145', '1']});
  await call(server, 'StopRecord', {BizId: APP, TaskId});
  await server.stop();
});

test('a_key_may_do_what_its_app_and_its_actions_let_it', async (t) => {
  const keys = [{secret_id: 'AKIDreader', secret_key: 'r',
    actions: ['DescribeTaskInfo', 'DescribeCloudRecording']}, ...API_KEYS.api_keys];
  const server = await start(t, {app: {api_keys: keys},
    more_apps: [{id: 7, api_keys: [{secret_id: 'AKIDother', secret_key: 'o'}]}]});
  await server.join('room', 'a');
  const reader = {id: 'AKIDreader', key: 'r'};
  assert.equal((await call(server, 'DescribeTaskInfo', room, reader)).TaskId, null);
  await refused(server, 'StartRecord', {...room, RecordMode: 1}, 'UnauthorizedOperation',
    /key AKIDreader may not call StartRecord/, reader);
  await refused(server, 'CreateCloudRecording', recording(), 'AuthFailure.UnauthorizedOperation',
    /key AKIDreader may not call CreateCloudRecording/, reader);
  const other = {id: 'AKIDother', key: 'o'};
  await refused(server, 'DescribeTaskInfo', room, 'UnauthorizedOperation', /BizId/, other);
  await refused(server, 'DescribeTaskInfo', {...room, BizId: 7}, 'ResourceNotFound.RoomNotFound',
    /RoomId/, other);
  // an app without a secret_key cannot check who records
  await refused(server, 'CreateCloudRecording', recording({SdkAppId: 7}),
    'AuthFailure.UnauthorizedOperation', /no secret_key/, other);
  await server.stop();
});

test('without_keys_nobody_may_ask', async (t) => {
  const server = await startServer(t);
  for (const send_ of [() => post(server, 'StartRecord', {}),
    () => send(server, {body: '{}'}), () => send(server, {body: 'x=1',
      headers: {'Content-Type': 'application/x-www-form-urlencoded'}}),
    () => send(server, {method: 'GET', path: '/?Action=StartRecord'})]) {
    const {Error: e} = opened(await send_());
    assert.equal(e.Code, 'AuthFailure.SecretIdNotFound');
    assert.match(e.Message, /apps\[\]\.api_keys/);
  }
  await server.stop();
});

test('keys_are_read_again_and_rotate_without_a_call_that_fails', async (t) => {
  const dir = tempDir(t);
  const [file, old] = [path.join(dir, 'key'), path.join(dir, 'old')];
  fs.writeFileSync(file, 'first\n');
  fs.writeFileSync(old, 'none\n');
  const server = await startServer(t, {dir, app: {api_keys: [{secret_id: SECRET_ID,
    secret_key: `file:${file}`, previous_secret_key: `file:${old}`}]}});
  await server.join('room', 'a');
  const ask3 = async (key) => codeOf(await post(server, 'DescribeTaskInfo', room, {key}));
  const ask1 = async (key) => codeOf(await send(server, {headers:
    {'Content-Type': 'application/x-www-form-urlencoded'},
  body: new URLSearchParams(sign1({key, host: new URL(server.url).host, version: GME,
    action: 'DescribeTaskInfo', parameters: {BizId: String(APP), RoomId: 'room'}})).toString()}));
  /** What both versions say. */
  const ask = async (key) => {
    const code = await ask3(key);
    assert.equal(await ask1(key), code);
    return code;
  };
  assert.equal(await ask('first'), 'ok');
  assert.equal(await ask('second'), 'AuthFailure.SignatureFailure');
  fs.writeFileSync(old, 'first\n');
  fs.writeFileSync(file, 'second\n');
  server.proc.child.kill('SIGHUP');
  await until('the new key', async () => (await ask3('second')) === 'ok');
  assert.equal(await ask('second'), 'ok');
  assert.equal(await ask('first'), 'ok');
  fs.writeFileSync(old, 'none\n');
  server.proc.child.kill('SIGHUP');
  await until('the old key goes', async () =>
    (await ask3('first')) === 'AuthFailure.SignatureFailure');
  assert.equal(await ask('first'), 'AuthFailure.SignatureFailure');
  assert.equal(await ask('second'), 'ok');
  await server.stop();
});

test('every_call_is_a_line_in_the_log_that_holds_no_secret', async (t) => {
  const server = await start(t);
  await server.join('1987', 'a');
  const ticket = userSig('recorder');
  const {TaskId} = await call(server, 'CreateCloudRecording', recording({UserSig: ticket,
    StorageParams: {CloudStorage: {Vendor: 0, Region: 'r', Bucket: 'local', AccessKey: 'AK-hush',
      SecretKey: 'SK-hush'}}}));
  await call(server, 'DeleteCloudRecording', {SdkAppId: APP, TaskId});
  await refused(server, 'StartRecord', {...room, RecordMode: 9},
    'InvalidParameterValue.InvalidRecordMode', /RecordMode/);
  await refused(server, 'StartRecord', {}, 'AuthFailure.SignatureFailure', /Signature/,
    {key: 'wrong'});
  await refused(server, 'StartRecord', {}, 'AuthFailure.SecretIdNotFound', /SecretId/,
    {id: 'AKIDnobody'});
  await server.stop();
  const lines = server.proc.text.split('\n').filter((l) => / info cloud key=/.test(l))
    .map((l) => l.replace(/.* info /, '').replace(/request=[0-9a-f-]{36}/, 'request=ID'));
  assert.deepEqual(lines, [
    `cloud key=AKIDtest app=${APP} action=CreateCloudRecording task=${TaskId} result=ok ` +
      'request=ID from=127.0.0.1',
    `cloud key=AKIDtest app=${APP} action=DeleteCloudRecording task=${TaskId} result=ok ` +
      'request=ID from=127.0.0.1',
    `cloud key=AKIDtest app=${APP} action=StartRecord task=- ` +
      'result=InvalidParameterValue.InvalidRecordMode request=ID from=127.0.0.1',
    `cloud key=AKIDtest app=${APP} action=- task=- result=AuthFailure.SignatureFailure ` +
      'request=ID from=127.0.0.1',
    'cloud key=AKIDnobody app=0 action=- task=- result=AuthFailure.SecretIdNotFound ' +
      'request=ID from=127.0.0.1',
  ]);
  for (const secret of [SECRET_KEY, KEY, ticket, 'hush'])
    assert.ok(!server.proc.text.includes(secret), secret);
});

test('who_asks_too_often_is_told_to_wait', async (t) => {
  const server = await start(t);
  await server.join('room', 'a');
  // all at once, so that a second is not over before the last
  const codes = (await Promise.all(Array.from({length: 200}, () =>
    post(server, 'DescribeTaskInfo', room)))).map(codeOf);
  const n = (code) => codes.filter((c) => c === code).length;
  assert.ok(n('ok') >= 20, `${n('ok')} of 200`);
  assert.equal(n('ok') + n('RequestLimitExceeded'), 200);
  assert.ok(n('RequestLimitExceeded') > 0);
  // another action has its own
  assert.equal(codeOf(await post(server, 'DescribeRoomInfo',
    {SdkAppId: APP, StrRoomIds: ['room']})), 'ok');
  await until('a call is taken again', async () =>
    codeOf(await post(server, 'DescribeTaskInfo', room)) === 'ok');
  // guessing is slowed down, and no longer said in the log
  const guess = () => post(server, 'DescribeTaskInfo', room, {key: 'guess'});
  await until('guessing is refused unseen', async () => (await Promise.all(
    Array.from({length: 100}, guess))).map(codeOf).includes('RequestLimitExceeded'));
  await until('the first of them are said', () =>
    server.proc.text.split('SignatureFailure').length > 150);
  await until('and forgiven', async () =>
    codeOf(await post(server, 'DescribeTaskInfo', room)) === 'ok');
  await server.stop();
});

test('the_page_names_every_parameter_that_can_be_out_of_range', async (t) => {
  const server = await start(t);
  const row = /^\| `InvalidParameter\.OutOfRange` \(trtc\) \| (.*) \|$/m.exec(page)[1];
  const named = [...row.matchAll(/`(\w+)`/g)].map((m) => m[1]);
  const good = recording({RoomId: '1987', MaxIdleTime: undefined});
  const storage = (more) => ({StorageParams: {CloudStorage:
    {...good.StorageParams.CloudStorage, ...more}}});
  const record = (more) => ({RecordParams: {...good.RecordParams, ...more}});
  const users = (name) => record({SubscribeStreamUserIds: {[name]: ids(33)}});
  const bad = {
    RecordMode: record({RecordMode: 3}), StreamType: record({StreamType: 3}),
    MaxIdleTime: record({MaxIdleTime: 4}), OutputFormat: record({OutputFormat: 5}),
    MaxMediaFileDuration: record({MaxMediaFileDuration: 0}), RoomIdType: {RoomIdType: 2},
    ResourceExpiredHour: {ResourceExpiredHour: 5},
    SubscribeAudioUserIds: users('SubscribeAudioUserIds'),
    UnSubscribeAudioUserIds: users('UnSubscribeAudioUserIds'),
    Vendor: storage({Vendor: 101}), FileNamePrefix: storage({FileNamePrefix: ['a/b']}),
    Bucket: storage({Bucket: ''}), AccessKey: storage({AccessKey: ''}),
    SecretKey: storage({SecretKey: ''}),
  };
  assert.deepEqual(named.sort(), Object.keys(bad).sort());
  for (const [name, more] of Object.entries(bad))
    await refused(server, 'CreateCloudRecording', {...good, ...more},
      'InvalidParameter.OutOfRange', new RegExp(`\\b${name}`));
  await server.stop();
});

test('the_samples_of_the_page_record', async (t) => {
  const server = await startServer(t, {app: {api_keys: [{secret_id: 'AKIDexample',
    secret_key: 'of the page'}]}});
  await server.join('lobby', 'alice');
  const dir = tempDir(t);
  const sdk = new URL('../node_modules/tencentcloud-sdk-nodejs', import.meta.url);
  fs.mkdirSync(path.join(dir, 'node_modules/tls-sig-api-v2'), {recursive: true});
  fs.symlinkSync(fs.realpathSync(sdk), path.join(dir, 'node_modules/tencentcloud-sdk-nodejs'));
  // in the place of Tencent's library, which the tests do not install
  fs.writeFileSync(path.join(dir, 'node_modules/tls-sig-api-v2/index.js'),
    `exports.Api = class {
      constructor(app, key) { Object.assign(this, {app, key}); }
      genUserSig(user, expire) {
        return require('node:child_process').execFileSync(process.execPath, ['--input-type=module',
          '-e', 'import {userSig} from ' + JSON.stringify(process.env.AID) +
          '; const [user, app, key, expire] = JSON.parse(process.argv[1]);' +
          'console.log(userSig(user, {app, key, expire}))',
          JSON.stringify([user, this.app, this.key, expire])]).toString().trim();
      }
    };`);
  const samples = [...page.matchAll(/```js\n([^]*?)\n```/g)].map((m) => m[1]);
  assert.equal(samples.length, 2);
  for (const [i, sample] of samples.entries()) {
    const file = path.join(dir, `sample${i}.js`);
    assert.ok(sample.includes("'127.0.0.1:8080'") && sample.includes('1400000000'));
    fs.writeFileSync(file, sample.replace('127.0.0.1:8080', new URL(server.url).host)
      .replace('1400000000', String(APP)));
    const {stdout, stderr} = await exec(process.execPath, [file], {env: {...process.env,
      TAPEOP_API_KEY: 'of the page', TAPEOP_SECRET_KEY: KEY,
      AID: new URL('../aid/cloud.mjs', import.meta.url).href}});
    assert.equal(stderr, '');
    const [, task] = /^recording (\d+)\n/.exec(stdout) ?? assert.fail(stdout);
    assert.equal(stdout.split('\n')[1], i ? 'Idle' : '');
    await until('it ends', async () =>
      (await server.ask(200, 'GET', `/v1/tasks?app=${APP}&limit=1`)).tasks[0].state === 'stopped');
    assert.ok(task);
  }
  await server.stop();
});
