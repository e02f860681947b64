// The live dialect to the byte: URL, sign, bodies.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import os from 'node:os';
import {describe, test} from 'node:test';

import {endpointAnswers, signLive, startEndpoint} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, STEADY, command, startServer} from '../aid/tapeop.mjs';

const packets = oggPackets('assets/demo/alice.opus');

// Source: Tencent RTC, "After Recording Status Changes", 2026-03-26, section
// "Sample Requests".
const SAMPLE = `{
"CallbackCommand": "Follow.CallbackAfterCloudRecordingChanged",
"EventGroupId": 3,
"EventType": 305,
"CallbackTs": 1752580150082,
"EventInfo": {
"RoomId": "635055",
"EventTs": 1752580150,
"EventMsTs": 1752580150081,
"UserId": "user1",
"TaskId": "-m9-bVVU7id***K-m928oZWQndiborbEWH3zY-lIXlprc-gQvQE",
"Payload": {
"Status": 0
}
}
}`;
// Source: Tencent RTC, webhook overview: token, time and sign.
const VECTOR = {
  token: 'xxxxyyyy',
  time: '1669872112',
  sign: '17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061',
};
const COMMAND = 'Follow.CallbackAfterCloudRecordingChanged';
const TOKEN = 'Token+with/odd=letters';
const HAS_IPV6 = os.networkInterfaces().lo?.some((a) => a.address === '::1');

function opensslSha256(text) {
  const {status, stdout} = spawnSync('openssl', ['dgst', '-sha256', '-hex'], {input: text});
  assert.equal(status, 0);
  return /([0-9a-f]{64})\s*$/.exec(String(stdout))[1];
}

/** An endpoint that keeps the request line's target as it was sent. */
async function startRaw(t, answer = endpointAnswers(200)) {
  const raw = [];
  const endpoint = await startEndpoint(t, (seen, response, n) => {
    raw.push(response.req.url);
    return answer(seen, response, n);
  });
  endpoint.targets = raw;
  return endpoint;
}

/** Two people speak in a room of their own until its task has ended. */
async function speak(t, server, room) {
  const ports = [];
  for (const user of ['alice', 'bob'])
    ports.push((await server.join(room, user)).port);
  const task = await server.record(room);
  const senders = ports.map((port) => sendPackets(t, packets, port));
  await Promise.all(senders.map((s) => s.reached(40)));
  senders.forEach((s) => s.stop());
  return {task, segments: await server.finish(task)};
}

const of = (endpoint, type) => endpoint.requests.filter((r) => r.body.EventType === type);

describe('live', {concurrency: true}, () => {
  test('the_sign_of_the_vendor_is_made_and_verified_by_the_commands', async (t) => {
    const {token, time, sign} = VECTOR;
    assert.equal(signLive(token, time), sign);
    assert.equal(opensslSha256(token + time), sign);
    const env = {TEST_KEY: token};
    const run = (...args) => command(t,
      [...args, '--dialect', 'live', '--key', 'env:TEST_KEY'], {env});
    assert.deepEqual(await run('sign', '--request-time', time),
      {code: 0, signal: null, out: `Sign=${sign}&RequestTime=${time}\n`, text: ''});
    const old = await run('verify', '--request-time', time, '--signature', sign);
    assert.equal(old.code, 1);
    assert.match(old.text, /the sign is right, but RequestTime is \d+ s old/);
    const {out} = await run('sign');
    const [, fresh, now] = /^Sign=([0-9a-f]{64})&RequestTime=(\d+)\n$/.exec(out);
    assert.equal(fresh, signLive(token, now));
    assert.ok(Math.abs(Date.now() / 1000 - Number(now)) < 60);
    const good = await run('verify', '--request-time', now, '--signature', fresh);
    assert.deepEqual([good.code, good.out], [0, 'ok\n']);
    for (const [at, what] of [[now, signLive('other', now)], [String(Number(now) + 1), fresh]]) {
      const bad = await run('verify', '--request-time', at, '--signature', what);
      assert.equal(bad.code, 1);
    }
  });

  test('the_url_carries_app_command_caller_and_sign_behind_what_is_there', async (t) => {
    const [plain, signed, asked] = await Promise.all([1, 2, 3].map(() => startRaw(t)));
    const server = await startServer(t, {recording: STEADY, callbacks: [
      {name: 'plain', url: plain.url, dialect: 'live'},
      {name: 'signed', url: `${signed.url}/a%20b/c`, dialect: 'live', key: TOKEN},
      {name: 'asked', url: `${asked.url}/hook?x=1&y=a%26b#part`, dialect: 'live', key: TOKEN},
    ]});
    await speak(t, server, 'room');
    await server.drained();
    // Who speaks begins a file; all else follows from calls of the API.
    const commonOf = ({body}) => `SdkAppid=${APP}&CallbackCommand=${COMMAND}&contenttype=json` +
      `&ClientIP=127.0.0.1&OptPlatform=${body.EventType === 307 ? 'Unknown' : 'RESTAPI'}`;
    assert.equal(plain.requests.length, 7);
    for (const [i, target] of plain.targets.entries())
      assert.equal(target, `/?${commonOf(plain.requests[i])}`);
    for (const [endpoint, before] of [[signed, '/a%20b/c?'], [asked, '/hook?x=1&y=a%26b&']]) {
      assert.equal(endpoint.requests.length, 7);
      for (const [i, target] of endpoint.targets.entries()) {
        const common = commonOf(endpoint.requests[i]);
        assert.ok(target.startsWith(before + common + '&'), target);
        const rest = target.slice((before + common + '&').length);
        assert.match(rest, /^Sign=[0-9a-f]{64}&RequestTime=\d{10}$/);
        const {searchParams: q} = endpoint.requests[i].url;
        assert.equal(q.get('Sign'), signLive(TOKEN, q.get('RequestTime')));
        assert.equal(q.get('Sign'), opensslSha256(TOKEN + q.get('RequestTime')));
        assert.ok(Math.abs(Number(q.get('RequestTime')) * 1000 - endpoint.requests[i].at) < 60_000);
        assert.equal(endpoint.requests[i].headers.signature, undefined);
        assert.equal(endpoint.requests[i].headers['content-type'], 'application/json');
      }
    }
    await server.stop();
  });

  test('an_address_of_ipv6_is_escaped_in_the_url', {skip: !HAS_IPV6 && 'no ::1'}, async (t) => {
    const backend = await startRaw(t);
    const server = await startServer(t, {listen: '[::1]:0', recording: STEADY,
      callbacks: [{name: 'b', url: backend.url, dialect: 'live'}]});
    await speak(t, server, 'room');
    await server.drained();
    assert.equal(backend.targets.length, 7);
    for (const [i, target] of backend.targets.entries())
      assert.match(target, backend.requests[i].body.EventType === 307
        ? /&ClientIP=127.0.0.1&OptPlatform=Unknown$/
        : /&ClientIP=%3A%3A1&OptPlatform=RESTAPI$/);
    await server.stop();
  });

  test('bodies_have_the_keys_order_and_types_of_the_sample', async (t) => {
    const backend = await startRaw(t);
    const server = await startServer(t, {recording: STEADY, callbacks: [
      {name: 'b', url: backend.url, dialect: 'live'}]});
    const began_ms = Date.now();
    const {task, segments} = await speak(t, server, 'rô"om');
    await server.drained();
    const types = backend.requests.map((r) => r.body.EventType);
    assert.deepEqual([...types].sort(), [301, 302, 303, 305, 307, 307, 310]);
    const at = (type) => types.indexOf(type);
    assert.equal(at(301), 0);
    assert.ok(at(303) < at(305) && at(302) < at(305));
    for (const r of backend.requests) {
      const text = r.raw.toString('utf8');
      assert.match(text, new RegExp('^\\{"CallbackCommand":"Follow\\.CallbackAfterCloudRecording' +
        'Changed","EventGroupId":3,"EventType":(?:30[12357]|310),"CallbackTs":\\d{13},"EventInfo":' +
        '\\{"RoomId":"rô\\\\"om","EventTs":\\d{10},"EventMsTs":\\d{13},"UserId":"[^"]+",' +
        '"TaskId":"\\d+","Payload":\\{.*\\}\\}\\}$'));
      assert.deepEqual(Object.keys(r.body), Object.keys(JSON.parse(SAMPLE)));
      const sample = JSON.parse(SAMPLE);
      assert.deepEqual(Object.keys(r.body.EventInfo), Object.keys(sample.EventInfo));
      for (const [part, like] of [[r.body, sample], [r.body.EventInfo, sample.EventInfo]])
        for (const [k, v] of Object.entries(part))
          assert.equal(typeof v, typeof like[k], k);
      const {EventTs, EventMsTs, TaskId, RoomId} = r.body.EventInfo;
      assert.equal(EventTs, Math.floor(EventMsTs / 1000));
      assert.ok(EventMsTs >= began_ms - 1000 && EventMsTs <= r.body.CallbackTs);
      assert.ok(Math.abs(r.body.CallbackTs - r.at) < 60_000);
      assert.equal(TaskId, task);
      assert.equal(RoomId, 'rô"om');
      assert.equal(r.headers.signature, undefined);
    }
    const payload = (type) => {
      const all = of(backend, type);
      assert.equal(all.length, 1, `one ${type}`);
      return JSON.stringify(all[0].body.EventInfo.Payload);
    };
    assert.equal(payload(301), '{"Status":0}');
    assert.equal(payload(302), '{"LeaveCode":0}');
    assert.equal(payload(303), '{"Status":0}');
    assert.equal(payload(305), '{"Status":0}');
    const files = JSON.parse(payload(310));
    assert.deepEqual(Object.keys(files), ['Status', 'FileList', 'FileMessage']);
    assert.equal(files.Status, 0);
    assert.deepEqual(files.FileList, files.FileMessage.map((f) => f.FileName));
    assert.deepEqual([...files.FileList].sort(), segments.map((s) => s.file).sort());
    for (const f of files.FileMessage) {
      assert.deepEqual(Object.keys(f), ['FileName', 'UserId', 'TrackType', 'MediaId',
        'StartTimeStamp', 'EndTimeStamp']);
      const s = segments.find((x) => x.file === f.FileName);
      assert.deepEqual([f.UserId, f.TrackType, f.MediaId], [s.user, 'audio', 'main']);
      assert.equal(f.StartTimeStamp, s.start_ms);
      assert.equal(f.EndTimeStamp, s.start_ms + s.duration_ms);
    }
    await server.stop();
  });

  test('an_attempt_that_is_repeated_has_a_new_time_of_sending_and_sign_only', async (t) => {
    const backend = await startRaw(t, (seen, response, n) =>
      endpointAnswers(n <= 2 ? 503 : 200)(seen, response));
    const server = await startServer(t, {recording: STEADY, callbacks: [{name: 'b',
      url: backend.url, dialect: 'live', key: TOKEN, retry: '1100ms,1100ms,1100ms', timeout: '30s'}]});
    await speak(t, server, 'room');
    await server.drained();
    const tries = of(backend, 301);
    assert.equal(tries.length, 3);
    const bare = tries.map((r) => r.raw.toString('utf8').replace(/"CallbackTs":\d+/, ''));
    assert.equal(new Set(bare).size, 1);
    for (let i = 1; i < 3; i++) {
      assert.ok(tries[i].body.CallbackTs >= tries[i - 1].body.CallbackTs + 1000);
      const [a, b] = [tries[i - 1], tries[i]].map((r) => r.url.searchParams);
      assert.ok(Number(b.get('RequestTime')) > Number(a.get('RequestTime')));
      assert.notEqual(b.get('Sign'), a.get('Sign'));
      assert.equal(b.get('Sign'), signLive(TOKEN, b.get('RequestTime')));
      for (const name of ['SdkAppid', 'CallbackCommand', 'contenttype', 'ClientIP', 'OptPlatform'])
        assert.equal(b.get(name), a.get(name));
    }
    assert.equal(new Set(tries.map((r) => r.headers['tapeop-event-id'])).size, 1);
    await server.stop();
  });
});
