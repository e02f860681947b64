// kill -9 of two rooms at once, and right behind an answer that was given.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {startStage} from '../aid/crash.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {until} from '../aid/tapeop.mjs';
import {sql} from '../aid/truth.mjs';

const speech = oggPackets('assets/demo/alice.opus');

const recording = (segments) =>
  segments.filter((s) => s.state === 'recording').map((s) => s.user).sort();

async function inputs(server, room = 'room') {
  const {rooms} = await server.ask(200, 'GET', '/v1/rooms');
  return rooms.find((r) => r.room === room)?.inputs ?? [];
}

test('two_tasks_of_two_rooms_are_both_resumed', {concurrency: 4}, (t) =>
  Promise.all(['segment.closed:3', 'file.rename.before:3', 'store.commit.after:14',
    'segment.uploaded:3'].map((where) => t.test(where, async (t) => {
    const stage = await startStage(t);
    const {server} = stage;
    // alice is in both rooms
    for (const user of ['alice', 'carol'])
      sendPackets(t, speech, (await server.join('other', user)).port);
    const tasks = [await stage.record(), await server.record('other')];
    await until('both rooms are recorded', async () =>
      (await Promise.all(tasks.map(server.segments)))
        .every((s) => recording(s).length === 2));
    await server.kill();
    const proc = server.startToDie({TAPEOP_CRASH_AT: where});
    await until('it is dead', () => proc.ended);
    assert.equal(proc.ended.signal, 'SIGKILL', proc.text);
    await server.start();
    assert.deepEqual((await stage.running()).sort(), [...tasks].sort());
    const before = await Promise.all(tasks.map(server.segments));
    for (const [i, task] of tasks.entries()) {
      await until('all are recorded further', async () => new Set(
        (await server.segments(task)).slice(before[i].length).map((s) => s.user)).size === 2);
    }
    for (const task of tasks)
      await server.finish(task);
    for (const task of tasks) {
      const {segments} = await stage.truth(task);
      assert.equal(new Set(segments.map((s) => s.user)).size, 2);
    }
    await server.stop();
  }))));

// singles and mixes of one room go through the steps of a segment side by side
test('two_tasks_of_one_room_with_their_mixes_are_both_resumed', {concurrency: 3}, (t) =>
  Promise.all(['segment.opening:4', 'segment.opened:4', 'segment.recording:4',
    'segment.renamed:4', 'segment.closed:4', 'segment.uploaded:4'].map((where) =>
    t.test(where, async (t) => {
      const stage = await startStage(t);
      const {server} = stage;
      const tasks = [await server.record('room', {mode: 'both'}),
        await server.record('room', {mode: 'mixed'})];
      const users = [['0', 'alice', 'bob'], ['0']];
      const all = async () => Promise.all(tasks.map(server.segments));
      const bothRecorded = async () => (await all())
        .every((s, i) => recording(s).join() === users[i].join());
      await until('all are recorded', bothRecorded);
      await server.kill();
      const proc = server.startToDie({TAPEOP_CRASH_AT: where});
      await until('it is dead', () => proc.ended);
      assert.equal(proc.ended.signal, 'SIGKILL', proc.text);
      await server.start();
      assert.deepEqual((await stage.running()).sort(), [...tasks].sort());
      const before = await all();
      await until('all are recorded further', async () => (await all()).every((s, i) =>
        new Set(s.slice(before[i].length).map((x) => x.user)).size === users[i].length));
      for (const task of tasks)
        await server.finish(task);
      for (const [i, task] of tasks.entries()) {
        const {segments} = await stage.truth(task);
        assert.deepEqual([...new Set(segments.map((x) => x.user))].sort(), users[i]);
        for (const x of segments)
          assert.equal(x.mode, x.user === '0' ? 'mixed' : 'single');
      }
      await server.stop();
    }))));

test('who_left_while_the_server_was_dead_is_told_of_and_recorded_no_more', async (t) => {
  const stage = await startStage(t, {recording: {segment: '1h'}});
  const {server} = stage;
  await stage.record();
  await until('both are recorded', async () => recording(await stage.segments()).length === 2);
  const [alice] = (await inputs(server)).filter((i) => i.user === 'alice');
  await server.kill();
  stage.senders[0].stop();
  await server.start();
  await server.ask(200, 'DELETE', `/v1/inputs/${alice.input_id}`);
  await until('bob is recorded alone', async () =>
    recording(await stage.segments()).join() === 'bob');
  // it is durable: she does not come back with the next start
  await server.kill();
  await server.start();
  assert.deepEqual((await inputs(server)).map((i) => i.user), ['bob']);
  await until('bob is recorded again', async () =>
    recording(await stage.segments()).join() === 'bob');
  await server.finish(stage.task);
  const {seqs} = await stage.truth();
  assert.ok(seqs.bob.length >= 3); // more, where the machine stood still
  assert.equal(seqs.alice[0], 0);
  await server.stop();
});

test('what_was_answered_before_the_crash_holds_after_it', {concurrency: 4}, (t) => {
  // each: acts, is answered, and the server dies at once
  const acts = {
    async a_start(stage) {
      stage.task = await stage.server.record('room');
      await stage.server.kill();
      await stage.goOn({rolls: false});
    },
    async a_stop(stage) {
      await stage.record();
      await until('both are recorded', async () =>
        recording(await stage.segments()).length === 2);
      await stage.server.ask(200, 'DELETE', `/v1/tasks/${stage.task}`);
      await stage.server.kill();
      await stage.server.start();
      assert.deepEqual(await stage.running(), []);
    },
    async a_leave(stage) {
      await stage.record();
      await until('both are recorded', async () =>
        recording(await stage.segments()).length === 2);
      const [alice] = (await inputs(stage.server)).filter((i) => i.user === 'alice');
      await stage.server.ask(200, 'DELETE', `/v1/inputs/${alice.input_id}`);
      await stage.server.kill();
      await stage.server.start();
      assert.deepEqual((await inputs(stage.server)).map((i) => i.user), ['bob']);
      await stage.server.finish(stage.task);
    },
    async a_join(stage) {
      await stage.record();
      const {port} = await stage.server.join('room', 'carol');
      await stage.server.kill();
      await stage.server.start();
      const [carol] = (await inputs(stage.server)).filter((i) => i.user === 'carol');
      assert.equal(carol.port, port);
      stage.senders.push(sendPackets(t, speech, port));
      await until('she is recorded', async () =>
        recording(await stage.segments()).includes('carol'));
      await stage.server.finish(stage.task);
    },
  };
  return Promise.all(Object.entries(acts).map(([name, act]) => t.test(name, async (t) => {
    const stage = await startStage(t, {recording: {segment: '1h'}});
    await act(stage);
    await stage.truth();
    const open = await sql(stage.server, 'SELECT id FROM segment WHERE state<2');
    assert.deepEqual(open, []);
    await stage.server.stop();
  })));
});
