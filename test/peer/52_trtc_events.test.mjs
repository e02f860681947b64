// The whole story of a task as the dialects live and trtc tell it, with what went
// wrong on the way to storage.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import {describe, test} from 'node:test';
import {fileURLToPath, pathToFileURL} from 'node:url';

import {startEndpoint} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {STEADY, startServer, until} from '../aid/tapeop.mjs';

const packets = oggPackets('assets/demo/alice.opus');
const HAS_IPV6 = os.networkInterfaces().lo?.some((a) => a.address === '::1');

const info = (r) => r.body.EventInfo;
const payload = (r) => info(r).Payload;
const of = (endpoint, type) => endpoint.requests.filter((r) => r.body.EventType === type);
const one = (endpoint, type) => {
  const all = of(endpoint, type);
  assert.equal(all.length, 1, `one ${type}, not ${all.length}`);
  return all[0];
};
const who = (r) => `${r.url.searchParams.get('ClientIP')} ${r.url.searchParams.get('OptPlatform')}`;
const got = (endpoint, type, n = 1) =>
  endpoint.got(`${n} of ${type}`, () => of(endpoint, type).length >= n);

/** Each event once, numbered from 0 without holes, in the order of the numbers. */
function checkNumbers(endpoint, kinds) {
  const numbers = endpoint.requests.map((r) => Number(r.headers['tapeop-sequence']));
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b));
  assert.equal(new Set(numbers).size, numbers.length);
  assert.deepEqual(endpoint.requests.map((r) => r.body.EventType), kinds);
}

/** A server, an endpoint in each of the two dialects, one that hears all. */
async function stage(t, {recording = STEADY, ...options} = {}) {
  const [live, trtc, all] = [await startEndpoint(t), await startEndpoint(t),
    await startEndpoint(t)];
  const server = await startServer(t, {recording, ...options, callbacks: [
    {name: 'live', url: live.url, dialect: 'live'},
    {name: 'trtc', url: trtc.url, dialect: 'trtc'},
    {name: 'all', url: all.url, dialect: 'standard',
      key: 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='},
  ]});
  server.live = live;
  server.trtc = trtc;
  server.all = all;
  return server;
}

/** Somebody speaks until the files that are asked for are open. */
async function speak(t, server, room, user) {
  const input = await server.join(room, user);
  const sender = sendPackets(t, packets, input.port);
  await sender.reached(10);
  return {...input, sender};
}

const mic = (server, input, on) =>
  server.ask(200, 'PATCH', `/v1/inputs/${input.input_id}`, {mic: on ? 'on' : 'off'});
const leave = (server, input) => server.ask(200, 'DELETE', `/v1/inputs/${input.input_id}`);

/** A file where the folder of the storage was: root may write in any folder. */
const broken = {
  make: (server) => {
    fs.renameSync(server.storage, `${server.storage}.aside`);
    fs.writeFileSync(server.storage, '');
  },
  mend: (server) => {
    fs.unlinkSync(server.storage);
    fs.renameSync(`${server.storage}.aside`, server.storage);
  },
};

describe('trtc events', {concurrency: true}, () => {
  test('a_task_is_told_from_301_to_310_with_its_facts', async (t) => {
    const server = await stage(t);
    const alice = await speak(t, server, 'room', 'alice');
    const task = await server.record('room', {mode: 'both'});
    await got(server.live, 307, 2);
    const segments = await server.finish(task);
    await server.drained();
    alice.sender.stop();
    for (const endpoint of [server.live, server.trtc]) {
      checkNumbers(endpoint, [301, 307, 307, 303, 302, 305, 310]);
      assert.ok(endpoint.requests.every((r) => info(r).TaskId === task));
      assert.deepEqual(payload(one(endpoint, 301)), {Status: 0});
      assert.deepEqual(payload(one(endpoint, 302)), {LeaveCode: 0});
      assert.deepEqual(payload(one(endpoint, 303)), {Status: 0});
      assert.deepEqual(payload(one(endpoint, 305)), {Status: 0});
      const begun = of(endpoint, 307).map(payload);
      for (const s of segments) {
        const p = begun.find((x) => x.FileName === s.file);
        assert.deepEqual(p, {FileName: s.file, UserId: s.mode === 'mixed' ? '' : 'alice',
          TrackType: 'audio', BeginTimeStamp: p.BeginTimeStamp});
        assert.equal(Number(p.BeginTimeStamp), s.start_ms);
      }
      const files = payload(one(endpoint, 310));
      assert.equal(files.Status, 0);
      assert.deepEqual([...files.FileList].sort(), segments.map((s) => s.file).sort());
      for (const s of segments) {
        const f = files.FileMessage.find((x) => x.FileName === s.file);
        assert.deepEqual(f, {FileName: s.file, UserId: s.mode === 'mixed' ? '' : 'alice',
          TrackType: 'audio', MediaId: s.mode === 'mixed' ? 'mix' : 'main',
          StartTimeStamp: s.start_ms, EndTimeStamp: s.start_ms + s.duration_ms});
      }
    }
    await server.stop();
  });

  test('uploaded_says_where_the_file_is', async (t) => {
    const server = await stage(t);
    const user = 'älice b%c';
    const alice = await speak(t, server, 'room #1', user);
    const task = await server.record('room #1');
    await got(server.live, 307);
    const [segment] = await server.finish(task);
    await server.drained();
    alice.sender.stop();
    const uploaded = server.all.requests.filter((r) => r.body.type === 'segment.uploaded');
    assert.equal(uploaded.length, 1);
    const {location} = uploaded[0].body.data;
    assert.equal(fileURLToPath(location), server.file(segment));
    assert.equal(fs.statSync(new URL(location)).size, segment.size);
    assert.equal(new URL(location).href, pathToFileURL(server.file(segment)).href);
    await server.stop();
  });

  test('a_user_who_comes_and_goes_is_who_caused_it', async (t) => {
    const server = await stage(t, {recording: {...STEADY, auto: 'single'}});
    const alice = await speak(t, server, 'room', 'alice');
    await got(server.live, 307);
    await leave(server, alice);
    await got(server.live, 310);
    alice.sender.stop();
    checkNumbers(server.live, [301, 307, 303, 302, 305, 310]);
    assert.deepEqual(payload(one(server.live, 302)), {LeaveCode: 99});
    assert.deepEqual([...new Set(server.live.requests.map(who))], ['127.0.0.1 Unknown']);
    await server.stop();
  });

  test('a_caller_over_ipv6_is_told_so', {skip: !HAS_IPV6 && 'no ::1'}, async (t) => {
    const server = await stage(t, {listen: '[::1]:0'});
    const alice = await speak(t, server, 'room', 'alice');
    const task = await server.record('room');
    await got(server.live, 307);
    await mic(server, alice, false);
    await got(server.live, 303);
    await server.finish(task);
    await server.drained();
    alice.sender.stop();
    for (const type of [301, 302, 303, 305, 310])
      assert.equal(who(one(server.live, type)), '::1 RESTAPI', `${type}`);
    await server.stop();
  });

  test('what_storage_does_not_take_is_told_as_failing_left_and_recovered', async (t) => {
    const server = await stage(t, {start: false});
    const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
    config.storage.left_after = '1s';
    fs.writeFileSync(server.config, JSON.stringify(config));
    await server.start();
    const alice = await speak(t, server, 'room', 'alice');
    const task = await server.record('room');
    await got(server.live, 307, 1);
    await mic(server, alice, false);
    await until('one is stored', async () => (await server.segments(task))[0].uploaded);
    broken.make(server);
    await mic(server, alice, true);
    await got(server.live, 307, 2);
    await server.ask(200, 'DELETE', `/v1/tasks/${task}`);
    await got(server.live, 310, 1);
    alice.sender.stop();
    const segments = await server.segments(task);
    assert.deepEqual(segments.map((s) => s.uploaded), [true, false]);
    assert.equal((await server.task(task)).finished_ms, null);

    // Killed, and not mended yet: nothing is told twice.
    await server.kill();
    broken.mend(server);
    await server.start({TAPEOP_FAULT: 'upload.link=EACCES'});
    await until('it was tried again', async () =>
      (await server.metrics()).uploads_failed >= 2);
    await server.drained();
    assert.equal(of(server.live, 308).length, 1);
    assert.equal(of(server.live, 305).length, 1);
    await server.kill();
    await server.start();
    await until('it is finished', async () => (await server.task(task)).finished_ms);
    await server.drained();

    for (const endpoint of [server.live, server.trtc]) {
      // An attempt that a kill cut off is made again.
      const ids = new Set();
      endpoint.requests = endpoint.requests.filter((r) =>
        !ids.has(r.headers['tapeop-event-id']) && ids.add(r.headers['tapeop-event-id']));
      const types = endpoint.requests.map((r) => r.body.EventType);
      assert.deepEqual(types.filter((x) => x !== 308),
        [301, 307, 303, 307, 302, 305, 310, 305, 310]);
      const {Code, Message} = payload(one(endpoint, 308));
      assert.equal(Code, 'storage_error');
      assert.match(Message, /Not a directory/);
      assert.deepEqual(of(endpoint, 305).map((r) => payload(r).Status), [1, 2]);
      const files = of(endpoint, 310).map(payload);
      assert.deepEqual(files.map((f) => f.Status), [1, 0]);
      assert.deepEqual(files.map((f) => f.FileList), segments.map((s) => [s.file]));
    }
    const all = server.all.requests.map((r) => r.body.data.sequence);
    assert.deepEqual([...new Set(all)].sort((a, b) => a - b), [...new Set(all)].map((_, i) => i));
    await server.stop();
  });

  test('a_kill_at_each_step_of_it_tells_each_event_once', async (t) => {
    for (const point of ['segment.failing', 'task.left', 'segment.uploaded', 'task.finished']) {
      const server = await stage(t, {start: false});
      const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
      config.storage.left_after = '1s';
      fs.writeFileSync(server.config, JSON.stringify(config));
      // the first attempts fail, until what is left was told
      await server.start({TAPEOP_FAULT: 'upload.link=ENOSPC'});
      const alice = await speak(t, server, 'room', 'alice');
      const task = await server.record('room');
      await got(server.live, 307);
      await server.kill();
      await server.start({TAPEOP_FAULT: 'upload.link=ENOSPC:1-4', TAPEOP_CRASH_AT: point});
      await server.api('DELETE', `/v1/tasks/${task}`).catch(() => null);
      assert.equal((await server.proc.exit).signal, 'SIGKILL', point);
      await server.start({TAPEOP_FAULT: 'upload.link=ENOSPC:1-3'});
      await server.api('DELETE', `/v1/tasks/${task}`);
      await until('it is finished', async () => (await server.task(task)).finished_ms);
      await server.drained();
      alice.sender.stop();
      const seen = new Map();
      for (const r of server.all.requests)
        seen.set(r.body.data.sequence, [...(seen.get(r.body.data.sequence) ?? []),
          r.body.data.event_id]);
      assert.deepEqual([...seen.keys()].sort((a, b) => a - b), [...seen.keys()].map((_, i) => i));
      for (const ids of seen.values())
        assert.equal(new Set(ids).size, 1, `${point}: one event a number`);
      const n = (type) => new Set(of(server.live, type)
        .map((r) => r.headers['tapeop-event-id'])).size;
      assert.equal(n(308), (await server.segments(task)).length, `${point}: 308 a file`);
      assert.deepEqual([n(301), n(303), n(302)], [1, 1, 1], point);
      const ends = [...new Set(of(server.live, 305).map((r) => payload(r).Status))].sort();
      assert.ok(`${ends}` === '0' || `${ends}` === '1,2', `${point}: ${ends}`);
      assert.equal(n(305), ends.length, point);
      assert.equal(n(310), ends.length, point);
      await server.stop();
    }
  });
});
