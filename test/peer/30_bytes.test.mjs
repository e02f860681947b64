// What an endpoint gets, byte by byte, against the vendors' samples; signatures
// by Node's crypto and by openssl, not by our code.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {LIVE_OK, signGme, signLive, startEndpoint} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, KEY, command, startServer, tempDir, until} from '../aid/tapeop.mjs';

const speech = oggPackets('assets/demo/bob.opus');

// Source: Tencent GME, "Recording Callback Description", Sample callback.
const gme_sample = `{
"BizID":1400000000,
"RoomID":"100",
"UserID":"999",
"TaskID":446946705284000000,
"RecordMode":1,
"Timestamp":1675930605,
"EventType":1,
"Detail":{
"SeqNo":0,
"FileName":"1400000000_100_999/2023-02-09-16-16-45_446946705284000000_audio.mp3"
}
}`;

// Source: Tencent RTC, "After Recording Status Changes", Sample Requests.
const live_sample = `{
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

/** Keys in their order, with the types of their values: {a: number, ..}. */
function shape(value) {
  if (Array.isArray(value))
    return value.map(shape);
  if (value && typeof value === 'object')
    return Object.entries(value).map(([k, v]) => [k, shape(v)]);
  return typeof value;
}

function openssl(args, input) {
  const r = spawnSync('openssl', args, {input});
  assert.equal(r.status, 0, String(r.stderr));
  return r.stdout;
}

/** The callbacks of a recording of a second, by endpoint. */
async function recorded(t, callbacks, {room = '100', user = '999', ...options} = {}) {
  const endpoint = await startEndpoint(t, options.answer);
  const server = await startServer(t, {
    callbacks: callbacks.map((c) => ({...c, url: endpoint.url + c.url})), ...options});
  const {port} = await server.join(room, user);
  const sending = sendPackets(t, speech, port);
  const task = await server.record(room);
  await until('somebody is recorded', async () =>
    (await server.segments(task)).some((s) => s.state === 'recording'));
  const segments = await server.finish(task);
  sending.stop();
  await server.drained();
  const of = (where) => endpoint.requests.filter((r) => r.url.pathname === where);
  return {server, endpoint, task, segments, of};
}

test('a_gme_callback_is_the_sample_byte_for_byte_but_for_its_values', async (t) => {
  const {of, task, segments} = await recorded(t, [
    {name: 'base64', url: '/base64', dialect: 'gme'},
    {name: 'hex', url: '/hex', dialect: 'gme', signature_encoding: 'hex', key: 'another key'},
  ]);
  const sample = JSON.parse(gme_sample);
  for (const where of ['/base64', '/hex']) {
    assert.deepEqual(of(where).map((r) => r.body.EventType), [1, 2, 3]);
    for (const r of of(where)) {
      assert.equal(r.method, 'POST');
      assert.equal(r.headers['content-type'], 'application/json');
      assert.equal(Number(r.headers['content-length']), r.raw.length);
      assert.deepEqual(shape(r.body), shape(sample));
      // no space, no escape that need not be: the bytes are the values' only form
      const text = r.raw.toString();
      assert.equal(text.replace(/"TaskID":\d+/, '"TaskID":0'),
        JSON.stringify({...r.body, TaskID: 0}));
      assert.equal(/"TaskID":(\d+)/.exec(text)[1], task);
      assert.ok(BigInt(task) > 2n ** 53n && BigInt(task) % 64n === 0n);
      assert.equal(BigInt(r.body.TaskID), BigInt(task), 'a double holds it');
      const {Timestamp, EventType, Detail, ...rest} = r.body;
      assert.deepEqual(rest, {BizID: APP, RoomID: '100', UserID: '999',
        TaskID: Number(task), RecordMode: 0});
      assert.ok(Math.abs(Timestamp - r.at / 1000) < 60);
      assert.deepEqual(Detail, {SeqNo: 0, FileName: segments[0].file});
    }
  }
  const time = new Date(segments[0].start_ms + 8 * 3600_000).toISOString()
    .slice(0, 19).replaceAll(/[T:]/g, '-');
  assert.equal(segments[0].file, `${APP}_100_999/${time}_${task}_audio.mp3`);

  for (const r of of('/base64')) {
    const binary = openssl(['dgst', '-sha1', '-hmac', KEY, '-binary'], r.raw);
    assert.equal(r.headers.signature, binary.toString('base64'));
    assert.equal(r.headers.signature, signGme(r.raw));
  }
  for (const r of of('/hex')) {
    const hex = /= ([0-9a-f]{40})/.exec(openssl(['dgst', '-sha1', '-hmac', 'another key'], r.raw));
    assert.equal(r.headers.signature, hex[1]);
    assert.equal(r.headers.signature, signGme(r.raw, {key: 'another key', encoding: 'hex'}));
  }
});

test('a_live_callback_is_the_sample_with_its_parameters', async (t) => {
  const token = 'a token';
  const {of, task, segments} = await recorded(t, [
    {name: 'plain', url: '/plain', dialect: 'live'},
    {name: 'query', url: '/query?tenant=a%20b', dialect: 'live', key: token},
  ], {room: 'räum "1"', user: 'zoë'});
  const sample = JSON.parse(live_sample);
  for (const where of ['/plain', '/query']) {
    const got = of(where);
    assert.deepEqual(got.map((r) => r.body.EventType), [301, 303, 302, 305, 310]);
    for (const r of got) {
      assert.equal(r.headers['content-type'], 'application/json');
      assert.equal(r.raw.toString(), JSON.stringify(r.body));
      const {Payload: _, ...info} = r.body.EventInfo;
      const {Payload: __, ...sample_info} = sample.EventInfo;
      assert.deepEqual(shape({...r.body, EventInfo: info}),
        shape({...sample, EventInfo: sample_info}));
      assert.equal(r.body.CallbackCommand, sample.CallbackCommand);
      assert.equal(r.body.EventGroupId, 3);
      assert.equal(info.RoomId, 'räum "1"');
      assert.equal(info.TaskId, task);
      assert.equal(info.EventTs, Math.floor(info.EventMsTs / 1000));
      assert.ok(r.body.CallbackTs >= info.EventMsTs);
      const query = r.url.search.slice(1).split('&').map((p) => p.split('=')[0]);
      assert.deepEqual(query, [...where === '/query' ? ['tenant'] : [], 'SdkAppid',
        'CallbackCommand', 'contenttype', 'ClientIP', 'OptPlatform',
        ...where === '/query' ? ['Sign', 'RequestTime'] : []]);
      const q = Object.fromEntries(r.url.searchParams);
      assert.equal(q.SdkAppid, String(APP));
      assert.equal(q.CallbackCommand, sample.CallbackCommand);
      assert.equal(q.contenttype, 'json');
      assert.equal(q.ClientIP, '127.0.0.1');
      assert.equal(q.OptPlatform, 'RESTAPI');
      if (where === '/query') {
        assert.equal(q.tenant, 'a b');
        assert.equal(q.Sign, signLive(token, q.RequestTime));
        assert.equal(q.Sign, /([0-9a-f]{64})/.exec(
          openssl(['dgst', '-sha256'], token + q.RequestTime))[1]);
        assert.ok(Math.abs(q.RequestTime - r.at / 1000) < 60);
      }
    }
    const payload = Object.fromEntries(got.map((r) => [r.body.EventType, r.body.EventInfo.Payload]));
    assert.deepEqual(payload[301], {Status: 0});
    assert.deepEqual(payload[302], {LeaveCode: 0});
    assert.deepEqual(payload[303], {Status: 0});
    assert.deepEqual(payload[305], sample.EventInfo.Payload);
    const [s] = segments;
    assert.deepEqual(payload[310], {Status: 0, FileList: [s.file], FileMessage: [{
      FileName: s.file, UserId: 'zoë', TrackType: 'audio', MediaId: 'main',
      StartTimeStamp: s.start_ms, EndTimeStamp: s.start_ms + s.duration_ms}]});
  }
});

test('an_attempt_that_is_repeated_differs_in_its_time_of_sending_only', async (t) => {
  const tries = new Map();
  const answer = (seen, response) => {
    const id = seen.url.pathname + seen.headers['tapeop-event-id'];
    tries.set(id, (tries.get(id) ?? 0) + 1);
    response.writeHead(tries.get(id) < 3 ? 500 : 200, {'Content-Type': 'application/json'});
    response.end(JSON.stringify(LIVE_OK));
  };
  const {of} = await recorded(t, [
    {name: 'gme', url: '/gme', dialect: 'gme', retry: '1100ms,100ms,100ms'},
    {name: 'live', url: '/live', dialect: 'live', key: 'k', retry: '1100ms,100ms,100ms'},
  ], {answer});
  for (const [where, time] of [['/gme', 'Timestamp'], ['/live', 'CallbackTs']]) {
    const byId = Map.groupBy ? Map.groupBy(of(where), (r) => r.headers['tapeop-event-id'])
      : of(where).reduce((m, r) => m.set(r.headers['tapeop-event-id'],
        [...m.get(r.headers['tapeop-event-id']) ?? [], r]), new Map());
    for (const attempts of byId.values()) {
      assert.deepEqual(attempts.map((r) => r.headers['tapeop-attempt']), ['1', '2', '3']);
      assert.equal(new Set(attempts.map((r) => r.headers['tapeop-sequence'])).size, 1);
      const without = attempts.map((r) => r.raw.toString()
        .replace(new RegExp(`"${time}":\\d+`), ''));
      assert.equal(new Set(without).size, 1);
      const times = attempts.map((r) => r.body[time]);
      assert.ok(times[1] > times[0], 'signed anew, at the time of sending');
      if (where === '/gme')
        attempts.forEach((r) => assert.equal(r.headers.signature, signGme(r.raw)));
      else
        attempts.forEach((r) => assert.equal(r.url.searchParams.get('Sign'),
          signLive('k', r.url.searchParams.get('RequestTime'))));
    }
  }
});

test('sign_and_verify_agree_with_the_published_vector_and_say_what_is_wrong', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'body.json');
  const body = gme_sample.replaceAll('\n', '');
  const env = {KEY: 'test-secret-key'};
  const base64 = 'EMTFXJmucWK6euDoP44qXaUF5u8=';
  assert.equal(body.length, 232);
  fs.writeFileSync(file, body);
  assert.equal(signGme(body, {key: env.KEY}), base64);
  const sign = (...args) => command(t, ['sign', '--dialect', 'gme', '--key', 'env:KEY', ...args, file], {env});
  const verify = (signature) => command(t, ['verify', '--dialect', 'gme', '--key', 'env:KEY',
    '--signature', signature, file], {env});
  assert.equal((await sign()).out, `Signature: ${base64}\n`);
  assert.equal((await sign('--encoding', 'hex')).out,
    'Signature: 10c4c55c99ae7162ba7ae0e83f8e2a5da505e6ef\n');
  assert.equal((await verify(base64)).code, 0);
  assert.equal((await verify('10c4c55c99ae7162ba7ae0e83f8e2a5da505e6ef')).code, 0);
  fs.writeFileSync(file, body + '\n');
  const newline = await verify(base64);
  assert.equal(newline.code, 1);
  assert.match(newline.text, /newline/);
  fs.writeFileSync(file, gme_sample);
  assert.match((await verify(base64)).text, /^tapeop verify: [^\n]+\n$/);
});
