// `tapeop receive` against senders that are not ours, and bad ones.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import {describe, test} from 'node:test';

import {endpointAnswers, postAllGme, signGme, signLive, startEndpoint} from '../aid/endpoint.mjs';
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

describe('receive', {concurrency: true}, () => {
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
    fs.writeFileSync(program, `#!/bin/sh\ncat >>'${got}'\n`, {mode: 0o755});
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

  test('who_shuts_their_side_after_the_request_is_stored_and_a_repeat_is_known', async (t) => {
    const receiver = await startReceiver(t);
    const {hostname, port} = new URL(receiver.url);
    const body = gme(1, 0);
    const s = net.connect(Number(port), hostname);
    s.on('error', () => {});
    s.end(`POST /hook HTTP/1.1\r\nHost: x\r\nSignature: ${signGme(body)}\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`);
    t.after(() => s.destroy());
    await until('it is stored or given up', async () => (await metrics(receiver)).new === 1 ||
      s.destroyed);
    assert.equal((await postGme(receiver, body)).status, 200); // it comes again, as it must
    await until('it is printed', () => receiver.events().length > 0);
    assert.equal(receiver.events().length, 1, 'and is one event');
    const m = await metrics(receiver);
    assert.equal(m.new, 1);
  });

  test('of_many_at_once_that_are_the_same_one_is_new', async (t) => {
    const receiver = await startReceiver(t);
    const answers = await Promise.all(Array.from({length: 100}, (_, i) =>
      postGme(receiver, gme(1 + i % 2, 0, {time: 1675930605 + i}))));
    assert.ok(answers.every((a) => a.status === 200));
    const m = await metrics(receiver);
    assert.deepEqual([m.new, m.duplicate], [2, 98]);
    await until('both are printed', () => receiver.events().length >= 2);
    assert.deepEqual(receiver.events().map((e) => e.kind).sort(), ['completed', 'started']);
  });

  test('bodies_of_other_senders_are_taken_as_they_are_written', async (t) => {
    const receiver = await startReceiver(t);
    const id = '446192236330927912'; // no double holds it
    const pretty = JSON.stringify(JSON.parse(gme(1, 0)), null, '\t').replace(/": /g, '":\t')
      .replace(/"TaskID":\t\d+/, `"TaskID":\t${id}`);
    assert.equal((await postGme(receiver, pretty)).status, 200);
    const turned = JSON.stringify({extra: {x: [1, null]}, ...JSON.parse(gme(2, 0))})
      .replace(/"TaskID":\d+/, `"TaskID":${id}`); // more keys, another order
    assert.equal((await postGme(receiver, turned, {encoding: 'hex'})).status, 200);
    const upper = signGme(gme(3, 0), {encoding: 'hex'}).toUpperCase();
    assert.equal((await post(receiver, gme(3, 0), {Signature: upper})).status, 200);
    await until('all are printed', () => receiver.events().length === 3);
    assert.deepEqual(receiver.events().map((e) => e.task_id), [id, id, TASK]);
    const {recordings} = await receiver.get('/v1/recordings');
    assert.deepEqual(recordings.map((r) => r.task_id).sort(), [id, TASK].sort());
  });

  test('all_active_keys_are_taken_and_only_the_dialect_that_was_asked_for', async (t) => {
    const receiver = await startReceiver(t, {env: {OLD: 'the-old-key'},
      args: ['--key', 'env:OLD', '--dialect', 'gme']});
    assert.equal((await postGme(receiver, gme(1, 0))).status, 200);
    assert.equal((await postGme(receiver, gme(2, 0), {key: 'the-old-key'})).status, 200);
    assert.equal((await postGme(receiver, gme(3, 0), {key: 'the-oldest'})).status, 401);
    const refused = await post(receiver, live(305, {Status: 0}, 1752580150081), {}, liveQuery());
    assert.equal(refused.status, 400);
    assert.match(refused.json.detail, /not the dialect/);
  });

  test('live_events_in_any_order_are_one_recording', async (t) => {
    const files = ['a', 'b'].map((user) => ({FileName: `x_${user}/f.mp3`, UserId: user,
      TrackType: 'audio', MediaId: 'main', StartTimeStamp: 1000, EndTimeStamp: 4000}));
    const bodies = [live(301, {Status: 0}, 1752580150001), live(303, {Status: 0}, 1752580150002),
      live(302, {LeaveCode: 0}, 1752580150003), live(305, {Status: 0}, 1752580150004),
      live(310, {Status: 0, FileList: files.map((f) => f.FileName), FileMessage: files},
        1752580150005)];
    const all = [...orders(bodies)];
    const truths = new Set();
    for (let i = 0; i < all.length; i += 17) {
      const receiver = await startReceiver(t);
      for (const body of [...all[i], all[i][2]])
        assert.equal((await post(receiver, body, {}, liveQuery())).status, 200);
      const {recordings} = await receiver.get('/v1/recordings');
      assert.equal(recordings.length, 1);
      truths.add(JSON.stringify(recordings));
      await receiver.kill();
    }
    assert.equal(truths.size, 1);
    const [recording] = JSON.parse([...truths][0]);
    assert.equal(recording.room, '635055');
    assert.equal(recording.state, 'uploaded');
    assert.equal(recording.leave_code, 0);
    assert.deepEqual(recording.files.map((f) => f.user ?? f.UserId).sort(), ['a', 'b']);
  });

  test('a_live_callback_is_forwarded_with_its_parameters', async (t) => {
    const app = await startEndpoint(t);
    const receiver = await startReceiver(t, {args: ['--forward', `${app.url}/in?mine=1`]});
    const body = live(305, {Status: 0}, 1752580150081);
    const query = liveQuery();
    await post(receiver, body, {}, query);
    await app.got('it is forwarded', () => true);
    const [r] = app.requests;
    assert.ok(r.raw.equals(Buffer.from(body)));
    assert.equal(r.url.pathname, '/in');
    const want = new URLSearchParams(query);
    want.append('mine', '1');
    // signed anew when it is sent, which may be a second later
    const time = r.url.searchParams.get('RequestTime');
    assert.ok(Number(time) >= Number(want.get('RequestTime')));
    want.set('RequestTime', time);
    want.set('Sign', signLive(KEY, time));
    want.sort();
    r.url.searchParams.sort();
    assert.equal(r.url.searchParams.toString(), want.toString());
  });

  test('a_program_that_fails_is_run_again_and_never_by_a_shell', async (t) => {
    const dir = tempDir(t);
    const got = path.join(dir, 'got');
    const program = path.join(dir, 'a program; with $(odd) name');
    fs.writeFileSync(program, `#!/bin/sh\ncat >>'${got}'\n` +
      `[ "$(wc -l <'${got}')" -gt 1 ]\n`, {mode: 0o755});
    const receiver = await startReceiver(t, {args: ['--exec', program]});
    await postGme(receiver, gme(1, 0, {user: '$(touch /tmp/x); `id`'}));
    await until('it was run twice', () => fs.existsSync(got) &&
      fs.readFileSync(got, 'utf8').trim().split('\n').length === 2);
    const [a, b] = fs.readFileSync(got, 'utf8').trim().split('\n');
    assert.equal(a, b);
    assert.equal(JSON.parse(a).user, '$(touch /tmp/x); `id`');
    await until('nothing waits', async () => /deliveries_pending 0\n/.test(
      await (await fetch(receiver.url + '/metrics')).text()));
  });

  test('a_body_that_never_ends_is_too_large_and_slow_ones_are_told_so', async (t) => {
    const receiver = await startReceiver(t);
    const {hostname, port} = new URL(receiver.url);
    const answerTo = (feed) => new Promise((done) => {
      const s = net.connect(Number(port), hostname);
      let text = '';
      s.on('error', () => {});
      s.on('data', (d) => (text += d));
      s.on('close', () => done(text));
      t.after(() => s.destroy());
      feed(s);
    });
    const often = (s, ms, text) => {
      const timer = setInterval(() => s.writable ? s.write(text) : clearInterval(timer), ms);
      s.on('close', () => clearInterval(timer));
    };
    const head = 'POST /hook HTTP/1.1\r\nHost: x\r\n';
    const [declared, chunked, slow_head, slow_body] = await Promise.all([
      answerTo((s) => s.write(`${head}Content-Length: 2000000\r\n\r\n`)),
      answerTo((s) => {
        s.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
        often(s, 5, `10000\r\n${'x'.repeat(65536)}\r\n`);
      }),
      answerTo((s) => {
        s.write(`${head}X-Slow: `);
        often(s, 300, 'a');
      }),
      answerTo((s) => {
        s.write(`${head}Content-Length: 1000\r\n\r\n`);
        often(s, 300, 'a');
      }),
    ]);
    assert.match(declared, /^HTTP\/1\.1 413 /);
    assert.match(chunked, /^HTTP\/1\.1 413 /);
    for (const text of [slow_head, slow_body]) // told, or just cut off
      assert.match(text, /^(HTTP\/1\.1 408 |$)/);
    const m = await metrics(receiver);
    assert.equal(m.too_large, 2);
    assert.equal(m.new, 0);
    assert.equal((await postGme(receiver, gme(1, 0))).status, 200);
  });

  test('a_reader_of_stdout_that_stands_still_keeps_nobody_waiting', async (t) => {
    const receiver = await startReceiver(t);
    receiver.proc.child.stdout.pause();
    // far more than a pipe holds
    const bodies = Array.from({length: 3000}, (_, i) => gme(1, i));
    await postAllGme(receiver, bodies);
    assert.equal((await metrics(receiver)).new, 3000);
    assert.equal((await receiver.get('/healthz')).status, 'ok');
    receiver.proc.child.stdout.resume();
    await until('it goes on', () => receiver.events().length === 3000);
    assert.deepEqual(receiver.events().map((e) => e.seq).sort((a, b) => a - b),
      bodies.map((_, i) => i));
    // nor does it at the end
    receiver.proc.child.stdout.pause();
    await postAllGme(receiver, Array.from({length: 3000}, (_, i) => gme(2, i)));
    receiver.proc.child.kill('SIGTERM');
    const exit = new Promise((done) => receiver.proc.child.once('exit', (code) => done(code)));
    assert.equal(await exit, 0);
    receiver.proc.child.stdout.resume();
  });

  test('a_receiver_that_is_told_to_end_says_that_it_does_and_has', async (t) => {
    for (const [signal, name] of [['SIGTERM', 'Terminated'], ['SIGINT', 'Interrupt']]) {
      const receiver = await startReceiver(t);
      receiver.proc.child.kill(signal);
      assert.deepEqual(await receiver.proc.exit, {code: 0, signal: null});
      assert.match(receiver.proc.text, new RegExp(` info stopping: ${name}\n\\S+ info stopped\n$`));
    }
  });
});
