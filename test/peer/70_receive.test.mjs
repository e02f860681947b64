// `tapeop receive` against senders that are not ours, and bad ones.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import {test} from 'node:test';

import {endpointAnswers, signGme, signLive, startEndpoint} from '../aid/endpoint.mjs';
import {APP, KEY, startReceiver, tempDir, until} from '../aid/tapeop.mjs';

const TASK = '446946705284000000';

function gme(type, seq, {user = '999', app = APP, time = 1675930605} = {}) {
  return `{"BizID":${app},"RoomID":"100","UserID":"${user}","TaskID":${TASK},` +
    `"RecordMode":0,"Timestamp":${time},"EventType":${type},"Detail":{"SeqNo":${seq},` +
    `"FileName":"${app}_100_${user}/2023-02-09-16-16-4${seq}_${TASK}_audio.mp3"}}`;
}

async function post(receiver, body, headers, query = '') {
  const r = await fetch(receiver.url + '/hook' + query, {method: 'POST', body, headers});
  return {status: r.status, json: JSON.parse(await r.text())};
}

const postGme = (receiver, body, options) =>
  post(receiver, body, {Signature: signGme(body, options)});

function live(type, payload, ms) {
  return JSON.stringify({CallbackCommand: 'Follow.CallbackAfterCloudRecordingChanged',
    EventGroupId: 3, EventType: type, CallbackTs: ms + 1, EventInfo: {RoomId: '635055',
      EventTs: Math.floor(ms / 1000), EventMsTs: ms, UserId: 'user1', TaskId: '-m9-bVVU7id',
      Payload: payload}});
}

function liveQuery({app = APP, token = KEY, time = Math.floor(Date.now() / 1000)} = {}) {
  return `?SdkAppid=${app}&CallbackCommand=Follow.CallbackAfterCloudRecordingChanged` +
    '&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI' +
    (token ? `&Sign=${signLive(token, time)}&RequestTime=${time}` : '');
}

async function metrics(receiver) {
  const text = await (await fetch(receiver.url + '/metrics')).text();
  return Object.fromEntries([...text.matchAll(/^tapeop_received_(\w+?)(?:_total)? (\d+)$/gm)]
    .map((m) => [m[1], Number(m[2])]));
}

test('both_dialects_are_recognised_verified_and_answered_as_their_sender_wants', async (t) => {
  const receiver = await startReceiver(t);
  assert.deepEqual(await postGme(receiver, gme(1, 0)), {status: 200, json: {code: 0}});
  assert.equal((await postGme(receiver, gme(2, 0), {encoding: 'hex'})).status, 200);
  const ok = {ActionStatus: 'OK', ErrorCode: 0, ErrorInfo: ''};
  assert.deepEqual(await post(receiver, live(305, {Status: 0}, 1752580150081), {}, liveQuery()),
    {status: 200, json: ok});
  // again, later: answered as success, told once
  assert.equal((await postGme(receiver, gme(1, 0, {time: 1675930700}))).status, 200);
  assert.deepEqual((await post(receiver, live(305, {Status: 0}, 1752580150081), {},
    liveQuery())).json, ok);
  await until('all are printed', () => receiver.events().length === 3);
  assert.deepEqual(receiver.events().map((e) => [e.dialect, e.type]),
    [['gme', 1], ['gme', 2], ['live', 305]]);
  const m = await metrics(receiver);
  assert.deepEqual([m.new, m.duplicate], [3, 2]);
});

test('what_is_not_right_is_refused_counted_and_not_stored', async (t) => {
  const receiver = await startReceiver(t);
  const old = Math.floor(Date.now() / 1000) - 3600;
  const body = gme(1, 0);
  const refused = [
    [401, 'bad_signature', body, {Signature: signGme(body, {key: 'another'})}],
    [401, 'bad_signature', body, {Signature: 'x'}],
    [401, 'bad_signature', body + ' ', {Signature: signGme(body)}],
    [401, 'bad_signature', body, {Signature: signGme('POST' + body)}],
    [403, 'wrong_app', gme(1, 0, {app: 7}), null],
    [400, 'malformed', '{"BizID":', null],
    [400, 'malformed', gme(1, 0).replace('"SeqNo":0', '"SeqNo":"0"'), null],
    [401, 'bad_signature', live(305, {Status: 0}, 1), {}, liveQuery({token: 'another'})],
    [401, 'bad_signature', live(305, {Status: 0}, 1), {}, liveQuery({time: old})],
    [401, 'bad_signature', live(305, {Status: 0}, 1), {}, liveQuery({token: ''})],
    [403, 'wrong_app', live(305, {Status: 0}, 1), {}, liveQuery({app: 7})],
    [413, 'too_large', 'x'.repeat((1 << 20) + 1), {}],
  ];
  const counts = {};
  for (const [status, counter, text, headers, query] of refused) {
    const r = await post(receiver, text, headers ?? {Signature: signGme(text)}, query);
    assert.equal(r.status, status, `${text.slice(0, 60)}: ${JSON.stringify(r.json)}`);
    assert.ok(r.json.detail.length > 5);
    counts[counter] = (counts[counter] ?? 0) + 1;
  }
  const m = await metrics(receiver);
  for (const [counter, n] of Object.entries(counts))
    assert.equal(m[counter], n, counter);
  assert.equal(m.new, 0);
  assert.deepEqual(receiver.events(), []);
  assert.deepEqual((await receiver.get('/v1/recordings')).recordings, []);
});

test('slow_broken_and_endless_clients_leave_others_unharmed', async (t) => {
  const receiver = await startReceiver(t);
  const {hostname, port} = new URL(receiver.url);
  const open = (text) => new Promise((done) => {
    const s = net.connect(Number(port), hostname, () => {
      s.write(text);
      done(s);
    });
    s.on('error', () => {});
    t.after(() => s.destroy());
  });
  const slow = await open('POST /hook HTTP/1.1\r\nHost: x\r\nX-A: ');
  const drip = setInterval(() => slow.write('a'), 200);
  t.after(() => clearInterval(drip));
  await open('POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf');
  await open('POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n');
  await open('POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n');
  await open('\0\0\0\0');
  const half = await open('POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n');
  half.end();
  const endless = await open('POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
  let ended = false;
  endless.on('close', () => (ended = true));
  const flood = setInterval(() => endless.writable &&
    endless.write(`10000\r\n${'x'.repeat(65536)}\r\n`), 20);
  t.after(() => clearInterval(flood));
  for (let i = 0; i < 5; i++)
    assert.equal((await postGme(receiver, gme(1, i))).status, 200);
  await until('the endless one is cut off', () => ended);
  let slow_ended = false;
  slow.on('close', () => (slow_ended = true));
  await until('the slow one is cut off', () => slow_ended);
  assert.equal((await postGme(receiver, gme(2, 1))).status, 200);
  assert.equal((await metrics(receiver)).new, 6);
});

/** All orders of a list. */
function* orders(list) {
  if (list.length < 2)
    yield list;
  for (const [i, first] of list.entries())
    for (const rest of orders([...list.slice(0, i), ...list.slice(i + 1)]))
      yield [first, ...rest];
}

test('recordings_are_the_same_whatever_order_events_come_in', async (t) => {
  const truths = new Set();
  const all = [...orders([[1, 0], [2, 0], [3, 0], [1, 1]])];
  for (let i = 0; i < all.length; i += 6) {
    const receiver = await startReceiver(t);
    for (const [type, seq] of [...all[i], ...all[i].slice(0, 2)])
      assert.equal((await postGme(receiver, gme(type, seq))).status, 200);
    const {recordings} = await receiver.get('/v1/recordings');
    truths.add(JSON.stringify(recordings.map((r) => ({...r,
      segments: r.segments.sort((a, b) => a.seq - b.seq)}))));
    await receiver.kill();
  }
  assert.equal(truths.size, 1);
  const [recording] = JSON.parse([...truths][0]);
  assert.equal(recording.task_id, TASK);
  assert.deepEqual(recording.segments.map((s) => [s.seq, s.state]),
    [[0, 'uploaded'], [1, 'started']]);
});

test('a_new_event_is_forwarded_once_and_a_program_gets_it', async (t) => {
  const app = await startEndpoint(t, (seen, response, n) =>
    endpointAnswers(n === 1 ? 500 : 200)(seen, response));
  const dir = tempDir(t);
  const got = path.join(dir, 'got');
  const program = path.join(dir, 'program');
  fs.writeFileSync(program, `#!/bin/sh\ncat >>'${got}'\necho >>'${got}'\n`, {mode: 0o755});
  const receiver = await startReceiver(t, {args: ['--forward', app.url + '/in', '--exec', program]});
  const body = gme(1, 0);
  await postGme(receiver, body);
  await postGme(receiver, body);
  await until('it is forwarded', () => app.requests.length >= 2);
  await until('the program ran', () => fs.existsSync(got) &&
    fs.readFileSync(got, 'utf8').endsWith('}\n'));
  const event = JSON.parse(fs.readFileSync(got, 'utf8').trim());
  assert.deepEqual([event.kind, event.task_id, event.seq], ['started', TASK, 0]);
  await postGme(receiver, gme(2, 0));
  await until('the next one, too', () => app.requests.length === 3);
  assert.ok(app.requests[0].raw.equals(Buffer.from(body)), 'as it came');
  assert.equal(app.requests[0].headers.signature, signGme(body), 'with its signature');
  assert.deepEqual(app.requests.map((r) => r.body.EventType), [1, 1, 2]);
});
