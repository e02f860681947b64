// Things that happen at the same time, or in an order nobody wishes for.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {startStage} from '../aid/crash.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, TAPEOP, startServer, until} from '../aid/tapeop.mjs';
import {checkTruth, firstCallbacks} from '../aid/truth.mjs';
import {startEndpoint} from '../aid/endpoint.mjs';

const speech = oggPackets('assets/demo/alice.opus');
const gme = (endpoint) => ({name: 'backend', url: endpoint.url, dialect: 'gme'});

test('a_stop_while_segments_roll_over_ends_every_file_once', async (t) => {
  const endpoint = await startEndpoint(t);
  const server = await startServer(t, {callbacks: [gme(endpoint)],
    recording: {segment: '1s'}});
  const rooms = Array.from({length: 12}, (_, i) => `room${i}`);
  for (const room of rooms)
    sendPackets(t, speech, (await server.join(room, 'alice')).port);
  const tasks = await Promise.all(rooms.map((room) => server.record(room)));
  await until('the first files are closed', async () =>
    (await Promise.all(tasks.map((id) => server.segments(id))))
      .every((s) => s.some((x) => x.state === 'closed')));
  // 12 stops over a bit more than the second between two cuts
  await Promise.all(tasks.map(async (id, i) => {
    await new Promise((done) => setTimeout(done, i * 95));
    await server.finish(id);
  }));
  for (const id of tasks)
    await checkTruth(server, endpoint, id);
  await server.stop();
});

test('who_leaves_and_comes_back_within_a_second_gets_a_file_of_their_own', async (t) => {
  const endpoint = await startEndpoint(t);
  // a file a time they are in, also where the sender stands still for a while
  const server = await startServer(t, {callbacks: [gme(endpoint)],
    recording: {mic_off_after: '1h'}});
  let input = await server.join('room', 'alice');
  let sending = sendPackets(t, speech, input.port);
  const task = await server.record('room');
  for (let i = 0; i < 6; i++) {
    await until('they are recorded', async () =>
      (await server.segments(task)).filter((s) => s.state === 'recording').length === 1 &&
      (await server.segments(task)).length === i + 1);
    sending.stop();
    await server.ask(200, 'DELETE', `/v1/inputs/${input.input_id}`);
    input = await server.join('room', 'alice'); // at once: the same second
    sending = sendPackets(t, speech, input.port);
  }
  await until('they are recorded again', async () =>
    (await server.segments(task)).length === 7);
  await server.finish(task);
  const {segments, seqs} = await checkTruth(server, endpoint, task);
  assert.deepEqual(seqs.alice, [0, 1, 2, 3, 4, 5, 6]);
  assert.equal(new Set(segments.map((s) => s.file)).size, 7);
  await server.stop();
});

test('of_two_starts_at_once_one_wins_and_the_other_is_told', async (t) => {
  const server = await startServer(t);
  for (let i = 0; i < 5; i++) {
    const room = `room${i}`;
    await server.join(room, 'alice');
    const answers = await Promise.all(Array.from({length: 4}, () =>
      server.api('POST', `/v1/apps/${APP}/rooms/${room}/tasks`, {})));
    assert.deepEqual(answers.map((a) => a.status).sort(), [201, 409, 409, 409]);
    const won = answers.find((a) => a.status === 201).json.task_id;
    for (const lost of answers.filter((a) => a.status === 409))
      assert.match(lost.json.detail, new RegExp(`task ${won} records this room`));
  }
  const {tasks} = await server.ask(200, 'GET', '/v1/tasks');
  assert.equal(tasks.length, 5);
  // a start after the stop was asked for waits for nobody
  await server.ask(200, 'DELETE', `/v1/tasks/${tasks[0].task_id}`);
  await until('the room is free', async () => (await server.api('POST',
    `/v1/apps/${APP}/rooms/${tasks[0].room}/tasks`, {})).status === 201);
  await server.stop();
});

/** libfaketime, which sets a process's clock without ours knowing. */
function fakeClock(t, server) {
  const lib = execFileSync('find', ['/usr/lib', '-name', 'libfaketime.so.1'])
    .toString().trim().split('\n')[0];
  const file = path.join(server.dir, 'clock');
  assert.ok(lib, 'libfaketime is installed (packages.txt)');
  fs.writeFileSync(file, '+0');
  /** At once: it is read all the time, and what is half written stops the process. */
  const set = (offset) => {
    fs.writeFileSync(`${file}.new`, offset);
    fs.renameSync(`${file}.new`, file);
  };
  return {
    env: {LD_PRELOAD: lib, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_FORCE_MONOTONIC_FIX: '0',
      // a sanitizer wants to be the first library
      ASAN_OPTIONS: 'verify_asan_link_order=0'},
    set,
  };
}

test('a_clock_that_is_set_back_an_hour_doubles_no_name_and_no_id', async (t) => {
  if (TAPEOP.includes('/tsan/')) {
    t.skip('libfaketime itself has data races');
    return;
  }
  const stage = await startStage(t);
  const {server} = stage;
  const clock = fakeClock(t, server);
  await server.stop();
  await server.start(clock.env);
  const first = await stage.record();
  const closed = async () => (await stage.segments()).filter((s) => s.state === 'closed');
  await until('files are closed', async () => (await closed()).length >= 2);
  clock.set('-1h');
  const n = (await stage.segments()).length;
  await until('files are closed an hour earlier', async () =>
    (await stage.segments()).slice(n).filter((s) => s.state === 'closed').length >= 4);
  await server.finish(first);
  const {segments} = await stage.truth(first);
  assert.equal(new Set(segments.map((s) => s.file)).size, segments.length);
  assert.ok(segments.every((s) => s.duration_ms > 0 && s.duration_ms < 1500));
  assert.ok(segments.at(-1).start_ms < segments[0].start_ms, 'the clock was set back');
  const task = await server.task(first);
  assert.ok(task.stopped_ms < task.created_ms);

  // ids go up all the same, also over a restart
  const second = await stage.record();
  assert.ok(BigInt(second) > BigInt(first));
  await server.kill();
  clock.set('-2h');
  await server.start(clock.env);
  await until('it is recorded', async () => (await server.segments(second)).length > 0);
  await server.finish(second);
  const third = await stage.record();
  assert.ok(BigInt(third) > BigInt(second));
  await server.finish(third);
  await server.drained();
  assert.ok(firstCallbacks(stage.endpoint.requests, second).length > 0);
  await stage.truth(second);
  await server.stop();
});

test('lists_that_change_while_it_runs_end_and_begin_files', async (t) => {
  const stage = await startStage(t, {recording: {segment: '1h'}});
  const {server} = stage;
  const task = await stage.record();
  const recording = async () => (await stage.segments())
    .filter((s) => s.state === 'recording').map((s) => s.user).sort();
  const change = async (lists, users) => {
    await server.ask(200, 'PATCH', `/v1/tasks/${task}`, lists);
    await until(`${users} are recorded`, async () =>
      JSON.stringify(await recording()) === JSON.stringify(users));
  };
  await until('both are recorded', async () => (await recording()).length === 2);
  await change({subscribe: ['alice']}, ['alice']);
  await change({unsubscribe: ['alice']}, ['bob']);
  await change({subscribe: ['nobody']}, []);
  await change({unsubscribe: []}, ['alice', 'bob']);
  await server.kill(); // the lists are durable
  await server.start();
  await until('both are recorded again', async () => (await recording()).length === 2);
  await change({unsubscribe: ['bob']}, ['alice']);
  await server.kill();
  await server.start();
  await until('alice is recorded again', async () =>
    JSON.stringify(await recording()) === '["alice"]');
  await server.finish(task);
  await stage.truth(task);
  await server.stop();
});
