// kill -9 in the midst of recovery, again and again, and at odd moments.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {crashPoints, startStage} from '../aid/crash.mjs';
import {until} from '../aid/tapeop.mjs';
import {sql} from '../aid/truth.mjs';

const recovery = crashPoints().filter((name) => name.startsWith('recovery.'));

/** Both speak, at least one file is closed and two are open. */
async function recordSome(stage) {
  await stage.record();
  await until('files are closed and open', async () => {
    const states = (await stage.segments()).map((s) => s.state);
    return states.includes('closed') && states.includes('recording');
  });
}

/** Start to die at `where`; false when recovery did not get there. */
async function dieWhileStarting(stage, where) {
  const proc = stage.server.startToDie({TAPEOP_CRASH_AT: where});
  await until('it died or listens', () => proc.ended || /on http:/.test(proc.text));
  if (proc.ended)
    assert.equal(proc.ended.signal, 'SIGKILL', proc.text);
  else
    await stage.server.kill();
  return proc.ended?.signal === 'SIGKILL';
}

test('a_crash_during_recovery_is_recovered_too', {concurrency: 5}, (t) => {
  assert.ok(recovery.length >= 3);
  // the same steps of files and commits happen in recovery
  const places = [...recovery, 'recovery.segment:2', 'recovery.settled:2',
    'file.sync', 'file.rename.before', 'file.rename.after', 'file.dirsync',
    'store.commit.before', 'store.commit.after', 'store.commit.before:2'];
  return Promise.all(places.map((where) => t.test(where, async (t) => {
    const stage = await startStage(t);
    await recordSome(stage);
    await stage.server.kill();
    let died = 0;
    for (let i = 0; i < 4; i++)
      died += await dieWhileStarting(stage, where);
    assert.ok(died > 0, `${where} was not reached`);
    await stage.goOn();
    await stage.truth();
    await stage.server.stop();
  })));
});

test('crashes_in_a_row_at_other_places_are_recovered_too', {concurrency: 4}, (t) => {
  // each row: where it dies, one start after another
  const rows = [
    ['recovery.segment', 'recovery.settled', 'recovery.quarantined'],
    ['recovery.settled', 'file.rename.before', 'recovery.segment'],
    ['file.rename.after', 'store.commit.after', 'recovery.quarantined'],
    ['file.sync', 'recovery.settled', 'store.commit.before'],
  ];
  return Promise.all(rows.map((places) => t.test(places.join(' '), async (t) => {
    const stage = await startStage(t);
    await recordSome(stage);
    await stage.server.kill();
    for (const where of places)
      assert.ok(await dieWhileStarting(stage, where), `${where} was not reached`);
    await stage.goOn();
    await stage.truth();
    await stage.server.stop();
  })));
});

test('a_seqno_whose_row_is_gone_is_not_used_again', async (t) => {
  const stage = await startStage(t);
  await stage.server.stop();
  const known = await stage.dieAt('file.open.before:4'); // rows without a file
  const rows = (state) => sql(stage.server,
    `SELECT id, user, seq FROM segment WHERE task=${known.task} AND ${state}`);
  const opening = await rows('state=0');
  assert.ok(opening.length > 0);
  // the rows go, and so does what this process knows of them
  assert.ok(await dieWhileStarting(stage, 'recovery.quarantined'));
  const left = (await rows('1')).map((s) => s.id);
  const gone = opening.filter((s) => !left.includes(s.id)); // those without a file
  assert.ok(gone.length > 0);
  assert.deepEqual(await rows('state=0'), []);
  await stage.goOn({known});
  const {segments} = await stage.truth();
  for (const {user, seq} of gone)
    assert.ok(!segments.some((s) => s.user === user && s.seq === seq), `${user} ${seq}`);
  await stage.server.stop();
});

test('what_is_recovered_is_counted_once', async (t) => {
  const stage = await startStage(t, {recording: {segment: '1h'}});
  await stage.record();
  await until('both are recorded', async () =>
    (await stage.segments()).filter((s) => s.state === 'recording').length === 2);
  await stage.server.kill();
  await stage.server.start();
  const m = await stage.server.metrics();
  assert.equal(m.segments_recovered, 2);
  assert.equal(m.segments_lost, 0);
  await stage.server.finish(stage.task);
  await stage.truth();
  await stage.server.stop();
});

test('files_of_an_app_that_is_not_configured_wait_for_it', async (t) => {
  const stage = await startStage(t, {recording: {segment: '1h'}});
  const {server} = stage;
  await stage.record();
  await until('both are recorded', async () =>
    (await stage.segments()).filter((s) => s.state === 'recording').length === 2);
  await server.kill();
  const config = fs.readFileSync(server.config, 'utf8');
  const without = JSON.parse(config);
  without.apps[0].id++;
  fs.writeFileSync(server.config, JSON.stringify(without));
  await server.start();
  await server.stop();
  fs.writeFileSync(server.config, config);
  await stage.goOn({rolls: false});
  await stage.truth(); // nothing is lost, the quarantine is empty
  await server.stop();
});

test('a_crash_at_any_moment_costs_two_seconds_of_sound_at_most', {concurrency: 4}, (t) => {
  const moments_ms = [1300, 2050, 2700, 3400, 4150, 4900];
  return Promise.all(moments_ms.map((ms) => t.test(`${ms} ms`, async (t) => {
    // one file till the crash, also where the senders stand still for a while
    const stage = await startStage(t, {recording: {segment: '1h', mic_off_after: '1h'}});
    await stage.record();
    await until('both are recorded', async () =>
      (await stage.segments()).filter((s) => s.state === 'recording').length === 2);
    const heardOf = async () => Object.fromEntries(
      (await stage.server.ask(200, 'GET', '/v1/rooms'))
        .rooms[0].inputs.map((i) => [i.user, i.packets * 20]));
    const before = await heardOf();
    await new Promise((done) => setTimeout(done, ms));
    const after = await heardOf();
    await stage.server.kill();
    await stage.goOn({rolls: false});
    const {segments} = await stage.truth();
    for (const user of ['alice', 'bob']) {
      // the count of packets is as old as the last half second, so a busy
      // machine does not count; what `before` did not see yet may be as much
      const heard = after[user] - before[user];
      const kept = segments.find((s) => s.user === user && s.seq === 0);
      assert.ok(kept.duration_ms > 0);
      assert.ok(heard - kept.duration_ms <= 2000 + 500,
        `${user}: ${heard} ms came in, ${kept.duration_ms} ms were kept`);
    }
    await stage.server.stop();
  })));
});

test('a_file_that_is_gone_is_lost_and_told_and_a_strange_one_is_kept', async (t) => {
  const stage = await startStage(t, {recording: {segment: '1h'}});
  await stage.record();
  await until('both are recorded', async () =>
    (await stage.segments()).filter((s) => s.state === 'recording').length === 2);
  await stage.server.kill();
  const spool = path.join(stage.server.data, 'spool');
  const [gone] = fs.readdirSync(spool, {recursive: true})
    .filter((f) => f.endsWith('.part') && f.includes('alice'));
  fs.rmSync(path.join(spool, gone));
  fs.writeFileSync(path.join(spool, 'stranger.mp3'), 'nobody knows me');
  await stage.goOn({rolls: false});
  const {segments} = await stage.truth(stage.task,
    {lost: 1, quarantined: 1});
  const lost = segments.find((s) => s.state === 'lost');
  assert.equal(lost.user, 'alice');
  assert.equal(lost.reason, 'file_missing');
  assert.equal(stage.endpoint.requests.filter((r) => r.body.EventType === 3 &&
    r.body.UserID === 'alice' && r.body.Detail.SeqNo === lost.seq).length, 0);
  await stage.server.stop();
});
