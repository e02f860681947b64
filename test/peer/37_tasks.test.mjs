// Tasks side by side, paused, that begin and end by themselves.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {testInRealTime} from '../aid/calm.mjs';
import {RATE, decode, ffmpegSend, level, oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, STEADY, startServer, until} from '../aid/tapeop.mjs';

const packets = oggPackets('assets/demo/alice.opus');
const sine = (t, seconds, port) => ffmpegSend(t,
  ['-f', 'lavfi', '-i', `sine=440:duration=${seconds}`, '-af', 'volume=4'], port);
const running = async (server) =>
  (await server.ask(200, 'GET', '/v1/tasks?state=running')).tasks;

describe('tasks', {concurrency: true}, () => {
  test('several_tasks_record_a_room_each_in_its_way', async (t) => {
    const server = await startServer(t, {recording: STEADY});
    const inputs = [await server.join('room', 'a'), await server.join('room', 'b')];
    const ways = [{mode: 'single'}, {mode: 'mixed'}, {mode: 'both', subscribe: ['a']},
      {mode: 'single', unsubscribe: ['a']}];
    const tasks = [];
    for (const way of ways)
      tasks.push(await server.record('room', way));
    for (const [i, way] of ways.entries()) {
      const again = await server.api('POST', `/v1/apps/${APP}/rooms/room/tasks`, way);
      assert.equal(again.status, 409);
      assert.match(again.json.detail, new RegExp(`task ${tasks[i]} records this room already`));
    }
    const [room] = (await server.ask(200, 'GET', '/v1/rooms')).rooms;
    assert.deepEqual(room.task_ids, tasks);
    await Promise.all(inputs.map(({port}) => sine(t, 2, port).done));
    const files = new Set();
    for (const [i, users] of [['a', 'b'], ['0'], ['0', 'a'], ['b']].entries()) {
      const segments = await server.finish(tasks[i]);
      assert.deepEqual(segments.map((s) => s.user).sort(), users);
      for (const s of segments) {
        assert.ok(level(await decode(server.file(s))) > 0.05);
        files.add(s.file);
      }
    }
    assert.equal(files.size, 6, 'no two tasks share a file');
    await server.stop();
  });

  test('a_room_has_at_most_eight_tasks', async (t) => {
    const server = await startServer(t);
    await server.join('room', 'a');
    for (let i = 0; i < 8; i++)
      await server.record('room', {subscribe: [`u${i}`]});
    const more = await server.api('POST', `/v1/apps/${APP}/rooms/room/tasks`, {});
    assert.equal(more.status, 409);
    assert.match(more.json.detail, /8 tasks record this room already: stop one first/);
    await server.stop();
  });

  testInRealTime('a_pause_is_silence_in_all_files_and_outlives_a_restart', async (t) => {
    const server = await startServer(t, {recording: STEADY});
    const {port} = await server.join('room', 'a');
    const task = await server.record('room', {mode: 'both'});
    const s = sine(t, 12, port);
    await until('both are recorded', async () => (await server.segments(task))
      .filter((x) => x.state === 'recording').length === 2);
    await sleep(1500);
    const paused_ms = Date.now();
    const {paused} = await server.ask(200, 'PATCH', `/v1/tasks/${task}`, {paused: true});
    assert.equal(paused, true);
    await sleep(1500);
    const resumed_ms = Date.now();
    await server.ask(200, 'PATCH', `/v1/tasks/${task}`, {paused: false});
    await sleep(4000); // a kill may cost the last seconds
    await server.ask(200, 'PATCH', `/v1/tasks/${task}`, {paused: true});
    await server.kill();
    await server.start();
    assert.equal((await server.task(task)).paused, true);
    await s.done;
    const segments = await server.finish(task);
    for (const user of ['a', '0']) {
      const [before, after] = segments.filter((x) => x.user === user);
      const pcm = await decode(server.file(before));
      const at = (ms) => Math.round((ms - before.start_ms) * RATE / 1000);
      const loud = (from, to) => level(pcm, at(from), at(to));
      assert.ok(loud(paused_ms - 600, paused_ms - 100) > 0.1, `${user} is heard before`);
      assert.ok(loud(paused_ms + 200, resumed_ms - 100) < 0.001, `${user} is silent meanwhile`);
      assert.ok(loud(resumed_ms + 200, resumed_ms + 700) > 0.1, `${user} is heard behind`);
      if (after) // sound that came after the restart
        assert.ok(level(await decode(server.file(after))) < 0.001, `${user} stays silent`);
    }
    await server.stop();
  });

  test('auto_records_a_room_from_the_first_who_comes_to_the_last_who_goes', async (t) => {
    const server = await startServer(t, {recording: {...STEADY, auto: 'both'},
      callbacks: []});
    const a = await server.join('room', 'a');
    const [task] = await until('a task', async () => {
      const list = await running(server);
      return list.length && list;
    });
    assert.equal(task.auto, true);
    assert.equal(task.mode, 'both');
    const b = await server.join('room', 'b');
    await Promise.all([a, b].map(({port}) => sine(t, 1.5, port).done));
    await server.ask(200, 'DELETE', `/v1/inputs/${a.input_id}`);
    await sleep(1500); // it goes on: b is there
    assert.equal((await server.task(task.task_id)).state, 'running');
    await server.ask(200, 'DELETE', `/v1/inputs/${b.input_id}`);
    await until('it ends', async () => (await server.task(task.task_id)).finished_ms);
    const segments = await server.segments(task.task_id);
    assert.deepEqual(segments.map((s) => s.user).sort(), ['0', 'a', 'b']);
    assert.ok(segments.every((s) => s.state === 'closed' && s.uploaded));
    // the next who comes begins the next task; stopped by hand it stays so
    await server.join('room', 'c');
    const [next] = await until('the next task', async () => {
      const list = await running(server);
      return list.length && list;
    });
    assert.notEqual(next.task_id, task.task_id);
    await server.finish(next.task_id);
    await sleep(2500);
    assert.equal((await running(server)).length, 0);
    await server.stop();
  });

  test('a_task_ends_when_its_room_is_empty_or_silent_for_too_long', async (t) => {
    const server = await startServer(t);
    const empty = await server.join('empty', 'a');
    const held = await server.join('held', 'a');
    const idle = await server.join('idle', 'a');
    const spoken = await server.join('spoken', 'a');
    const tasks = {
      empty: await server.record('empty', {hold_empty_ms: 1000}),
      held: await server.record('held', {hold_empty_ms: 600_000}),
      idle: await server.record('idle', {max_idle_ms: 3000}),
      spoken: await server.record('spoken', {max_idle_ms: 3000}),
    };
    const s = sendPackets(t, packets, spoken.port);
    await sine(t, 1, idle.port).done;
    for (const {input_id} of [empty, held])
      await server.ask(200, 'DELETE', `/v1/inputs/${input_id}`);
    for (const which of ['empty', 'idle'])
      await until(`${which} ends`, async () => (await server.task(tasks[which])).finished_ms);
    assert.equal((await server.segments(tasks.idle)).length, 1);
    for (const which of ['held', 'spoken'])
      assert.equal((await server.task(tasks[which])).state, 'running', which);
    // who comes back to a room that is held is recorded by the same task
    const back = await server.join('held', 'a');
    await sine(t, 1, back.port).done;
    assert.equal((await server.finish(tasks.held)).length, 1);
    s.stop();
    await until('spoken ends', async () => (await server.task(tasks.spoken)).finished_ms);
    await server.stop();
  });
});
