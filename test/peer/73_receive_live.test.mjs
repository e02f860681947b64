// GET /v1/events of `tapeop receive`: every stored event once and in order from
// a cursor, also across kill -9; filters; what was refused; slow clients.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import {describe, test} from 'node:test';

import {postAllGme, postGme, signLive} from '../aid/endpoint.mjs';
import {APP, KEY, startReceiver, until} from '../aid/tapeop.mjs';
import {listen} from '../aid/sse.mjs';

const TASK = '446946705284000000';
const COMMAND = 'Follow.CallbackAfterCloudRecordingChanged';

function gme(seq, {room = '100', task = TASK, type = 1, name = ''} = {}) {
  return JSON.stringify({BizID: APP, RoomID: room, UserID: '999', TaskID: 0, RecordMode: 0,
    Timestamp: 1675930605, EventType: type, Detail: {SeqNo: seq, FileName: `f/${name}${seq}.mp3`}})
    .replace('"TaskID":0', `"TaskID":${task}`);
}

const bodies = (from, to, options) =>
  Array.from({length: to - from}, (_, i) => gme(from + i, options));

const seqs = (events) => events.map((e) => e.data.seq).sort((a, b) => a - b);
const ids = (events) => events.map((e) => Number(e.id));

function ascending(list) {
  for (let i = 1; i < list.length; i++)
    assert.ok(list[i] > list[i - 1], `${list[i - 1]} before ${list[i]}`);
}

/** A callback of the dialect live about the same task. */
async function postLive(receiver, type, payload, ms) {
  const time = Math.floor(Date.now() / 1000);
  const query = new URLSearchParams({SdkAppid: APP, CallbackCommand: COMMAND,
    contenttype: 'json', ClientIP: '127.0.0.1', OptPlatform: 'RESTAPI',
    Sign: signLive(KEY, time), RequestTime: time});
  const r = await fetch(`${receiver.url}/hook?${query}`, {method: 'POST', body: JSON.stringify({
    CallbackCommand: COMMAND, EventGroupId: 3, EventType: type, CallbackTs: ms + 1, EventInfo: {
      RoomId: '100', EventTs: Math.floor(ms / 1000), EventMsTs: ms, UserId: 'recorder',
      TaskId: TASK, Payload: payload}})});
  await r.arrayBuffer();
  return r.status;
}

describe('receive_live', {concurrency: true}, () => {
  test('a_cursor_replays_pages_then_goes_live_without_gap_or_repetition', async (t) => {
    const receiver = await startReceiver(t);
    await postAllGme(receiver, bodies(0, 350)); // more than a page
    const all = await listen(t, receiver, {query: '?after=0'});
    // while it replays, more come
    await postAllGme(receiver, bodies(350, 700));
    await until('all have come', () => all.events.length >= 700);
    ascending(ids(all.events));
    assert.deepEqual(seqs(all.events), Array.from({length: 700}, (_, i) => i));
    assert.equal(all.type, 'text/event-stream');
    // from the middle, by header and by query; the header wins
    const [from] = all.events.slice(299);
    const want = ids(all.events.slice(300));
    for (const options of [{last: from.id}, {query: `?after=${from.id}`},
      {last: from.id, query: '?after=0'}]) {
      const part = await listen(t, receiver, options);
      await until('the rest has come', () => part.events.length >= want.length);
      assert.deepEqual(ids(part.events), want);
      part.close();
    }
    const tail = await listen(t, receiver, {query: '?tail=5'});
    await until('the newest have come', () => tail.events.length >= 5);
    assert.deepEqual(ids(tail.events), ids(all.events).slice(-5));
    const more = await listen(t, receiver, {query: '?tail=1000'}); // than there are
    await until('all have come', () => more.events.length >= 700);
    // without a cursor: what comes from now on, and a cursor to come back with
    const fresh = await listen(t, receiver);
    await until('it has a cursor', () => fresh.lastId === all.events.at(-1).id);
    await postGme(receiver, gme(700));
    await until('and they are live', () => tail.events.length === 6 &&
      all.events.length === 701 && fresh.events.length);
    assert.deepEqual(seqs(fresh.events), [700]);
  });

  test('a_client_that_comes_back_after_kill_9_has_every_event_once', async (t) => {
    const receiver = await startReceiver(t);
    const got = [];
    let stop = false;
    // a client as a browser is one: its cursor is the id that came last
    const client = (async () => {
      let last;
      while (!stop) {
        const stream = await listen(t, receiver, {last: last ?? '0'}).catch(() => null);
        if (!stream) {
          await new Promise((done) => setTimeout(done, 50));
          continue;
        }
        stream.onEvent = (e) => {
          got.push(e);
          last = e.id;
        };
        for (const e of stream.events.splice(0))
          stream.onEvent(e);
        client.stream = stream;
        await stream.ended;
      }
    })();
    const accepted = new Set();
    for (let round = 0; round < 4; round++) {
      const before = round * 300;
      const sending = Promise.all(bodies(before, before + 300).map(async (body, i) => {
        // a sender that tries again until it is answered
        for (;;) {
          try {
            if (await postGme(receiver, body) === 200)
              break;
          } catch { /* killed: again */ }
          await new Promise((done) => setTimeout(done, 20));
        }
        accepted.add(before + i);
      }));
      await until('some were taken', () => accepted.size > before + 30 * (round + 1));
      await receiver.kill();
      await receiver.start();
      await sending;
    }
    await until('all have come', () => got.length >= 1200);
    stop = true;
    await receiver.kill();
    await client;
    ascending(ids(got));
    assert.deepEqual(seqs(got), [...accepted].sort((a, b) => a - b));
    assert.equal(got.length, 1200);
  });

  test('a_stream_may_be_of_one_app_room_or_task_and_its_cursor_moves_all_the_same', async (t) => {
    const receiver = await startReceiver(t);
    await postAllGme(receiver, [...bodies(0, 120), ...bodies(0, 3, {room: 'b', task: '64'})]);
    const streams = {
      '?room=b': 3,
      '?task=64': 3,
      [`?task=${TASK}&room=100`]: 120,
      [`?app=${APP}`]: 123,
      '?app=7': 0,
      '?room=b&task=1': 0,
    };
    for (const [query, n] of Object.entries(streams)) {
      const stream = await listen(t, receiver, {query: `${query}&after=0`});
      await until(`${query} has caught up`, () => stream.lastId === '123');
      assert.equal(stream.events.length, n, query);
      stream.close();
    }
  });

  test('a_cursor_of_another_inbox_begins_from_the_start', async (t) => {
    const receiver = await startReceiver(t);
    await postAllGme(receiver, bodies(0, 3));
    const stream = await listen(t, receiver, {last: '999999'});
    await until('all have come', () => stream.events.length === 3);
    await postGme(receiver, gme(3));
    await until('and it is live', () => stream.events.length === 4);
  });

  test('two_dialects_tell_of_one_recording_in_any_order', async (t) => {
    const slice = (FileName, UserId, BeginTimeStamp) =>
      ({FileName, UserId, TrackType: 'audio', BeginTimeStamp});
    const events = [
      (r) => postGme(r, gme(0)), // f/0.mp3 of 999
      (r) => postGme(r, gme(0, {type: 2})),
      (r) => postLive(r, 307, slice('f/0.mp3', '999', 1675930605100), 1675930605101),
      (r) => postLive(r, 307, slice('f/mix.mp3', '', 1675930605100), 1675930605102),
      (r) => postLive(r, 301, {Status: 0}, 1675930605000),
      (r) => postLive(r, 302, {LeaveCode: 0}, 1675930700000),
    ];
    const truths = new Set();
    for (let turn = 0; turn < 6; turn++) {
      const receiver = await startReceiver(t);
      const order = events.map((e, i) => [(i * 5 + turn * 7 + i * i * turn) % 11, e])
        .sort(([a], [b]) => a - b);
      for (const [, send] of [...order, order[turn]]) // one comes twice
        assert.equal(await send(receiver), 200);
      const {recordings} = await receiver.get('/v1/recordings');
      truths.add(JSON.stringify(recordings));
      await receiver.kill();
      await receiver.start();
      assert.deepEqual((await receiver.get('/v1/recordings')).recordings, recordings);
      await receiver.kill();
    }
    assert.equal(truths.size, 1, [...truths].join('\n'));
    const [recording, ...others] = JSON.parse([...truths][0]);
    assert.deepEqual(others, []);
    assert.deepEqual(recording.dialects, ['gme', 'live']);
    assert.deepEqual([recording.state, recording.events], ['stopped', 6]);
    assert.deepEqual(recording.segments.map((s) => [s.user, s.mode, s.seq, s.state, s.file,
      s.start_ms]), [['0', 'mixed', undefined, 'completed', 'f/mix.mp3', 1675930605100],
      ['999', 'single', 0, 'completed', 'f/0.mp3', 1675930605100]]);
  });

  test('what_was_refused_is_shown_with_its_reason_and_has_no_id', async (t) => {
    const receiver = await startReceiver(t);
    const before = await listen(t, receiver, {query: '?after=0'});
    assert.equal(await postGme(receiver, gme(0), 'wrong'), 401);
    assert.equal(await postGme(receiver, gme(1)), 200);
    const large = await fetch(`${receiver.url}/hook`, {method: 'POST', body: 'x'.repeat(2 << 20)});
    assert.equal(large.status, 413);
    await until('both are told', () => before.refused.length === 2);
    const after = await listen(t, receiver, {query: '?after=0'}); // of those that are kept
    await until('they are told again', () => after.refused.length === 2);
    for (const stream of [before, after]) {
      const [first, second] = stream.refused.map((f) => f.data);
      assert.deepEqual([first.status, second.status], [401, 413]);
      assert.match(first.reason, /Signature/);
      assert.match(second.reason, /large/);
      assert.match(first.address, /^127\.0\.0\.1:\d+$/);
      assert.match(second.address, /^127\.0\.0\.1:\d+$/);
      assert.ok(Math.abs(Date.now() - first.time_ms) < 120_000);
      assert.ok(stream.refused.every((f) => f.id === undefined));
      assert.equal(stream.events.length, 1);
    }
    const one = await listen(t, receiver, {query: '?room=100&after=0'});
    await until('its event has come', () => one.events.length === 1);
    assert.equal(await postGme(receiver, gme(0), 'wrong'), 401);
    await until('the others are told', () => before.refused.length === 3);
    await postGme(receiver, gme(2));
    await until('the next one', () => one.events.length === 2);
    assert.deepEqual(one.refused, [], 'a room has none');
  });

  test('bad_parameters_are_named_and_only_this_machine_may_listen', async (t) => {
    const receiver = await startReceiver(t);
    const bad = {'?after=x': /after/, '?app=0': /app/, '?tail=0': /tail/, '?tail=5000': /tail/,
      '?rom=100': /^rom is no parameter/, '?app=1&app=2': /^app is there twice/, '?%ff=1': /^a name is no/};
    for (const [query, says] of Object.entries(bad)) {
      const r = await fetch(`${receiver.url}/v1/events${query}`);
      assert.equal(r.status, 400, query);
      assert.match((await r.json()).detail, says);
    }
    for (const headers of [{'Last-Event-ID': 'x'}]) {
      const r = await fetch(`${receiver.url}/v1/events`, {headers});
      assert.equal(r.status, 400);
      assert.match((await r.json()).detail, /Last-Event-ID/);
    }
    for (const path of ['/', '/v1/events', '/v1/recordings', '/receive.mjs']) {
      const r = await new Promise((done, fail) => http.get(`${receiver.url}${path}`,
        {headers: {Origin: 'http://evil.example'}}, done).on('error', fail));
      r.resume();
      assert.equal(r.statusCode, 403, path);
    }
    for (const query of ['limit=0', 'segments=x', 'running=2', 'app=x', 'limt=3']) {
      const r = await fetch(`${receiver.url}/v1/recordings?${query}`);
      assert.equal(r.status, 400, query);
      assert.match((await r.json()).detail, new RegExp(`^${query.split('=')[0]} `));
    }
  });

  test('who_listens_to_an_empty_inbox_has_a_cursor_to_come_back_with', async (t) => {
    const receiver = await startReceiver(t);
    const first = await listen(t, receiver);
    await until('it has one', () => first.lastId === '0');
    first.close();
    await postAllGme(receiver, bodies(0, 3));
    const back = await listen(t, receiver, {last: first.lastId});
    await until('nothing is missed', () => back.events.length === 3);
  });

  test('only_so_many_may_listen_and_a_place_is_free_again_when_one_goes', async (t) => {
    const receiver = await startReceiver(t);
    const streams = [];
    for (let i = 0; i < 32; i++)
      streams.push(await listen(t, receiver));
    await assert.rejects(listen(t, receiver), /503/);
    streams.pop().close();
    await until('there is a place', () => listen(t, receiver).catch(() => null));
    assert.equal(await postGme(receiver, gme(0)), 200);
    await until('all others hear', () => streams.every((s) => s.events.length === 1));
  });

  test('a_client_that_reads_nothing_harms_nobody_and_can_come_back', async (t) => {
    const receiver = await startReceiver(t);
    const {hostname, port} = new URL(receiver.url);
    const asleep = net.connect(Number(port), hostname);
    t.after(() => asleep.destroy());
    asleep.on('error', () => {});
    asleep.pause();
    asleep.write('GET /v1/events?after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    const awake = await listen(t, receiver, {query: '?after=0'});
    // far over what a socket and we hold for it: 8 MB
    const name = 'n'.repeat(600);
    const n = 9000;
    await postAllGme(receiver, bodies(0, n, {name}));
    await until('who reads has all', () => awake.events.length === n);
    ascending(ids(awake.events));
    // it wakes up: what it got is whole blocks, in order, from the first one on
    let text = '';
    asleep.setEncoding('utf8');
    asleep.on('data', (d) => (text += d));
    asleep.resume();
    await until('it has all, too', () => text.split('\nid: ').length > n || asleep.destroyed);
    const seen = [...text.matchAll(/\nid: (\d+)\ndata: /g)].map((m) => Number(m[1]));
    assert.ok(seen.length > 0);
    ascending(seen);
    assert.deepEqual(seen, ids(awake.events).slice(0, seen.length));
    const back = await listen(t, receiver, {last: String(seen.at(-1))});
    const rest = n - seen.length;
    await until('the rest comes', () => back.events.length === rest);
  });
});
