// SIGTERM: everything is closed and told, and running tasks go on afterwards.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {test} from 'node:test';

import {startStage} from '../aid/crash.mjs';
import {endpointAnswers} from '../aid/endpoint.mjs';
import {until} from '../aid/tapeop.mjs';
import {sql} from '../aid/truth.mjs';

const open = async (server) =>
  sql(server, 'SELECT user, seq FROM segment WHERE state<2');

test('sigterm_closes_what_is_recorded_and_the_task_goes_on_later', async (t) => {
  // a file a run, also where the senders stand still for a while
  const stage = await startStage(t, {recording: {segment: '1h', mic_off_after: '1h'}});
  const task = await stage.record();
  await until('both are recorded', async () =>
    (await stage.segments()).filter((s) => s.state === 'recording').length === 2);
  await stage.server.stop();
  assert.deepEqual(await open(stage.server), []);
  await stage.goOn({rolls: false});
  assert.equal(stage.task, task);
  const {segments} = await stage.truth(task);
  assert.equal(segments.length, 4);
  await stage.server.stop();
});

test('sigterm_ends_cleanly_at_any_moment', {concurrency: 4}, (t) => {
  const moments = {
    async while_a_task_is_stopping(stage) {
      await stage.server.ask(200, 'DELETE', `/v1/tasks/${stage.task}`);
    },
    async while_a_user_leaves(stage) {
      const {rooms} = await stage.server.ask(200, 'GET', '/v1/rooms');
      await stage.server.ask(200, 'DELETE', `/v1/inputs/${rooms[0].inputs[0].input_id}`);
    },
    async twice(stage) {
      stage.server.proc.child.kill('SIGTERM');
      stage.server.proc.child.kill('SIGTERM');
    },
    async while_callbacks_hang(stage) {
      stage.endpoint.answer = () => {};
      await until('one hangs', () => stage.endpoint.sockets.size > 0);
    },
    async while_callbacks_fail(stage) {
      stage.endpoint.answer = endpointAnswers(503);
    },
    async right_after_the_start(stage) {
      await stage.server.kill();
      await stage.server.start();
    },
  };
  return Promise.all(Object.entries(moments).map(([name, act]) => t.test(name, async (t) => {
    const stage = await startStage(t);
    await stage.record();
    await until('a file is closed', async () =>
      (await stage.segments()).some((s) => s.state === 'closed'));
    const task = stage.task;
    await act(stage);
    await stage.server.stop();
    assert.deepEqual(await open(stage.server), []);
    stage.endpoint.answer = endpointAnswers(200);
    await stage.server.start();
    if (name !== 'while_a_task_is_stopping') {
      assert.equal((await stage.server.task(task)).state, 'running', 'it is resumed');
      await stage.server.finish(task);
    }
    await stage.truth(task);
    await stage.server.stop();
  })));
});
