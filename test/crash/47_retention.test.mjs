// kill -9 at every step of retention: no file that no row knows, no row without its, and it ends.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {test} from 'node:test';

import {crashPoints} from '../aid/crash.mjs';
import {startEndpoint} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, startServer, until} from '../aid/tapeop.mjs';
import {checkManifest, checkTruth, filesBelow, sql} from '../aid/truth.mjs';

const packets = oggPackets('assets/demo/alice.opus');
const KEPT = APP + 1;

const points = crashPoints().filter((name) => /^(erase|retention)\./.test(name));
const cases = [
  ...[1, 2, 3, 4].flatMap((n) => [`store.commit.before:${n}`, `store.commit.after:${n}`]),
  ...points.map((name) => `${name}:1`), 'erase.file:2', 'retention.rows:2'];

const sounds = (server) =>
  filesBelow(server.storage).filter((f) => !f.includes('_manifest.json'));

/** Of what the server has left when it died: each file has a row, and each row that is
 *  closed has its file; the totals are those of the rows. */
async function checkDead(server) {
  const rows = await sql(server, 'SELECT file_name, state, size FROM segment');
  const files = sounds(server);
  for (const file of files)
    assert.ok(rows.some((r) => r.file_name === file), `${file} has no row`);
  for (const r of rows) {
    if (r.state === 2)
      assert.equal(fs.statSync(`${server.storage}/${r.file_name}`).size, r.size);
  }
  const [totals] = await sql(server, 'SELECT * FROM totals');
  assert.equal(totals.accepted,
    totals.delivered + totals.pending + totals.dead + totals.expired);
  const [{n}] = await sql(server, 'SELECT count(*) n FROM delivery WHERE state<>1');
  assert.equal(n, totals.pending + totals.dead + totals.expired);
}

test('kill_9_at_each_step_of_retention_leaves_all_or_nothing', {concurrency: 5},
  (t) => Promise.all(cases.map((where) => t.test(where, async (t) => {
    const endpoint = await startEndpoint(t);
    const server = await startServer(t, {recording: {segment: '1s'},
      callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme'}],
      more_apps: [{id: KEPT, secret_key: 'other', recording: {segment: '1s'}}]});
    const tasks = [];
    for (const app of [APP, APP, KEPT]) {
      const inputs = [];
      for (const user of ['alice', 'bob']) {
        const input = await server.ask(201, 'POST', `/v1/apps/${app}/rooms/room/inputs`,
          {user, kind: 'rtp'});
        inputs.push([input.input_id, sendPackets(t, packets, input.port)]);
      }
      const {task_id: task} = await server.ask(201, 'POST', `/v1/apps/${app}/rooms/room/tasks`,
        {mode: 'single'});
      await until('both have two files', async () => {
        const all = await server.segments(task);
        return ['alice', 'bob'].every((u) =>
          all.filter((s) => s.user === u && s.state === 'closed').length >= 2);
      });
      await server.finish(task);
      tasks.push(task);
      for (const [id, sender] of inputs) {
        sender.stop();
        await server.ask(200, 'DELETE', `/v1/inputs/${id}`);
      }
    }
    await server.drained();
    await checkTruth(server, endpoint, tasks[0]);
    const kept = await server.segments(tasks[2]);
    await server.stop();

    const config = JSON.parse(fs.readFileSync(server.config, 'utf8'));
    Object.assign(config.apps[0].recording, {keep: '1s', keep_history: '1s'});
    fs.writeFileSync(server.config, JSON.stringify(config));
    const proc = server.startToDie({TAPEOP_CRASH_AT: where});
    await until(`${where} is reached`, () => proc.ended);
    assert.deepEqual(proc.ended, {code: null, signal: 'SIGKILL'}, proc.text);
    await checkDead(server);

    await server.start();
    for (const task of tasks.slice(0, 2))
      await until(`task ${task} is gone`, async () =>
        (await server.api('GET', `/v1/tasks/${task}`)).status === 404);
    assert.deepEqual(await server.segments(tasks[2]), kept);
    checkManifest(server, tasks[2], kept);
    assert.deepEqual(sounds(server), kept.map((s) => s.file).sort());
    assert.deepEqual(filesBelow(server.storage).filter((f) => !f.includes(tasks[2])), []);
    assert.deepEqual(filesBelow(`${server.data}/quarantine`), []);
    for (const [table, column] of [['segment', 'task'], ['track', 'task'], ['event', 'task'],
      ['delivery', 'lane']])
      assert.deepEqual(await sql(server,
        `SELECT * FROM ${table} WHERE ${column} IN (${tasks.slice(0, 2)})`), [], table);
    await server.stop();
    await checkDead(server);
  }))));
