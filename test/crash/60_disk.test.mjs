// A disk that is full, refuses, or fails: the task says so, what was recorded
// stays, and the rest of the server goes on.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {startStage} from '../aid/crash.mjs';
import {decode, level} from '../aid/sound.mjs';
import {APP, until} from '../aid/tapeop.mjs';
import {checkTruth, firstCallbacks, sql} from '../aid/truth.mjs';

// What fails (from the N-th call on), and what comes of it.
const faults = [
  ['file.open=EACCES:3', 'disk_denied', 0],
  ['file.open=EROFS', 'disk_denied', 0],
  ['file.write=ENOSPC:5', 'disk_full', 0],
  ['file.write=EIO:7', 'disk_error', 0],
  ['file.sync=EIO:4', 'disk_error', 1],
  ['file.rename=EACCES:3', 'disk_denied', 1],
  ['file.dirsync=EIO:7', 'disk_error', 1],
];

test('a_disk_that_fails_ends_the_task_with_a_reason_and_keeps_what_there_is',
  {concurrency: 4}, (t) => Promise.all(faults.map(([fault, reason, lost]) =>
    t.test(fault, async (t) => {
      const stage = await startStage(t);
      const {server, endpoint} = stage;
      await server.stop();
      await server.start({TAPEOP_FAULT: fault});
      const task = await stage.record();
      const failed = await until('the task has failed', async () => {
        const now = await server.task(task);
        return now.state === 'failed' && now.finished_ms && now;
      });
      assert.equal(failed.reason, reason);
      assert.ok(failed.reason_text.length > 5, failed.reason_text);
      const metrics = await server.drained();
      assert.equal(metrics.tasks_failed, 1);
      const segments = await server.segments(task);
      // every started has its completed, lost or not
      const callbacks = firstCallbacks(endpoint.requests, task);
      for (const s of segments) {
        const told = callbacks.filter((r) => r.body.UserID === s.user &&
          r.body.Detail.SeqNo === s.seq).map((r) => r.body.EventType);
        assert.deepEqual(told, s.state === 'lost' ? [1, 2] : [1, 2, 3],
          `${s.user} ${s.seq} ${s.state}`);
        if (s.state === 'closed')
          await decode(server.file(s));
      }
      assert.ok(segments.filter((s) => s.state === 'lost').length >= lost);
      // the server lives, says so, and records again once the disk is well
      assert.equal((await server.api('GET', '/healthz')).status, 200);
      await server.stop();
      await server.start();
      const next = await server.record('room');
      assert.notEqual(next, task);
      await until('it records again', async () =>
        (await server.segments(next)).some((s) => s.state === 'closed'));
      await server.finish(next);
      await server.drained();
      assert.equal((await server.task(next)).state, 'stopped');
      await server.stop();
    }))));

test('commits_that_fail_are_tried_again_and_nothing_is_lost_or_doubled',
  {concurrency: 4}, (t) => Promise.all(['store.commit=ENOSPC:4', 'store.commit=EIO:9',
    'store.commit=ENOSPC:14'].map((fault) => t.test(fault, async (t) => {
    const stage = await startStage(t);
    const {server} = stage;
    await server.stop();
    await server.start({TAPEOP_FAULT: fault});
    const start = await server.api('POST', `/v1/apps/${APP}/rooms/room/tasks`, {});
    stage.task = start.json.task_id ?? null;
    await until('commits fail', async () => (await server.metrics()).store_errors > 2);
    assert.equal((await server.api('GET', '/healthz')).status, 200);
    // what cannot be stored is refused
    const refused = await server.api('POST', `/v1/apps/${APP}/rooms/other/inputs`,
      {user: 'carol', kind: 'rtp'});
    assert.equal(refused.status >= 500, true, refused.text);
    assert.equal(refused.json.field, 'store');
    await server.kill();
    await stage.goOn();
    await stage.truth();
    await server.stop();
  }))));

test('a_task_is_refused_when_the_disk_is_low_and_taken_when_it_is_not', async (t) => {
  const stage = await startStage(t);
  const {server, endpoint} = stage;
  const mount = path.join(server.dir, 'small');
  fs.mkdirSync(mount);
  const {execFileSync} = await import('node:child_process');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=320m', 'tmpfs', mount], {stdio: 'pipe'});
  } catch (e) {
    t.skip(`no mount here: ${e.stderr}`);
    return;
  }
  try {
    await server.stop();
    const config = JSON.parse(fs.readFileSync(server.config));
    config.data_dir = server.data = path.join(mount, 'data');
    config.storage.local.dir = server.storage = path.join(mount, 'recordings');
    config.apps[0].recording.segment = '6s';
    fs.writeFileSync(server.config, JSON.stringify(config));
    await server.start();
    const {port} = await server.join('room', 'carol');
    const {sendPackets, oggPackets} = await import('../aid/sound.mjs');
    const sending = sendPackets(t, oggPackets('assets/demo/bob.opus'), port);

    const filler = path.join(mount, 'filler');
    fs.writeFileSync(filler, Buffer.alloc(100 << 20));
    const ready = (status) => until(`readyz is ${status}`, async () =>
      (await server.api('GET', '/readyz')).status === status); // measured every 10 s
    await ready(503);
    const low = await server.api('POST', `/v1/apps/${APP}/rooms/room/tasks`, {});
    assert.equal(low.status, 507);
    assert.match(low.json.detail, /disk low: \d+ MiB free below .*free some space/);
    assert.deepEqual((await server.ask(200, 'GET', '/v1/tasks')).tasks, []);
    fs.rmSync(filler);
    await ready(200);

    const task = await server.record('room');
    const closed = async (n) => until(`${n} files are closed`, async () => {
      const segments = await server.segments(task);
      return segments.filter((s) => s.state === 'closed').length >= n &&
        segments.at(-1).state === 'recording' && segments;
    });
    await closed(1);
    fs.writeFileSync(filler, Buffer.alloc(100 << 20));
    await until('the task is told that the disk is low', async () =>
      (await sql(server, `SELECT 1 FROM event WHERE task=${task} AND kind='disk_low'`)).length);
    const fill = () => { // for real; the database gives its ballast up meanwhile
      const fd = fs.openSync(filler, 'a');
      try {
        for (;;)
          fs.writeSync(fd, Buffer.alloc(64 << 10));
      } catch (e) {
        assert.equal(e.code, 'ENOSPC');
      }
      fs.closeSync(fd);
    };
    await closed((await closed(1)).length); // a file that has just begun meets the full disk
    const failed = await until('the task has failed', async () => {
      fill();
      const now = await server.task(task);
      return now.state === 'failed' && now;
    });
    assert.equal(failed.reason, 'disk_full');
    assert.equal((await server.api('GET', '/healthz')).status, 200);
    fs.rmSync(filler);
    await ready(200);
    await until('the task is finished', async () => (await server.task(task)).finished_ms);
    await server.drained();
    const segments = await server.segments(task);
    const pcm = await decode(server.file(segments.find((s) => s.state === 'closed')));
    assert.ok(level(pcm) > 0.01, 'what was recorded is there');
    const told = firstCallbacks(endpoint.requests, task).map((r) => r.body.EventType);
    assert.equal(told.filter((n) => n === 1).length, told.filter((n) => n === 2).length);
    assert.equal((await server.task(await server.record('room'))).state, 'running');
    sending.stop();
    await server.stop();
  } finally {
    await server.kill();
    execFileSync('umount', [mount]);
  }
});

test('a_server_whose_disk_takes_nothing_can_be_ended_all_the_same', async (t) => {
  const stage = await startStage(t);
  const {server} = stage;
  await server.stop();
  await server.start({TAPEOP_FAULT: 'store.commit=ENOSPC:6'});
  const start = await server.api('POST', `/v1/apps/${APP}/rooms/room/tasks`, {});
  stage.task = start.json.task_id ?? null;
  await until('commits fail', async () => (await server.metrics()).store_errors > 2);
  server.proc.child.kill('SIGTERM');
  await until('it was told', () => /stopping: Terminated/.test(server.proc.text));
  // the next one counts 5 s later; a supervisor's patience is longer
  await until('it has ended', () => {
    server.proc.child.kill('SIGTERM');
    return server.proc.ended;
  });
  assert.deepEqual(server.proc.ended, {code: 1, signal: null});
  assert.match(server.proc.text, /not everything could be stored/);
  await stage.goOn();
  await checkTruth(server, stage.endpoint, stage.task);
  await server.stop();
});
