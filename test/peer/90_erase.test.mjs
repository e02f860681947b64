// Recordings that are erased: files, rows, manifests and what was told go.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

import {startEndpoint} from '../aid/endpoint.mjs';
import {commandsAt} from '../aid/lines.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, startServer, until} from '../aid/tapeop.mjs';
import {checkManifest, checkTruth, filesBelow, sql} from '../aid/truth.mjs';

const packets = oggPackets('assets/demo/alice.opus');

/** Segments of a second by two people; once each has three, it is finished. */
async function record(server, room, way = {}) {
  const task = await server.record(room, way);
  await until('each has three files', async () => {
    const all = (await server.segments(task)).filter((s) => s.state === 'closed');
    return ['alice', 'bob'].every((u) => all.filter((s) => s.user === u).length >= 3);
  });
  await server.finish(task);
  return task;
}

/** Does anything in the database or the folders of it name this? */
async function traces(server, needle) {
  const tables = (await sql(server,
    "SELECT name FROM sqlite_schema WHERE type='table'")).map((r) => r.name);
  const found = [];
  for (const table of tables) {
    for (const row of await sql(server, `SELECT * FROM ${table}`)) {
      if (JSON.stringify(row).includes(needle))
        found.push(`${table}: ${JSON.stringify(row)}`);
    }
  }
  for (const file of filesBelow(server.storage)) {
    if (file.includes(needle))
      found.push(file);
    else if (file.endsWith('.json') &&
        fs.readFileSync(path.join(server.storage, file), 'utf8').includes(needle))
      found.push(`in ${file}`);
  }
  return found;
}

test('what_is_erased_is_gone_and_the_rest_is_whole', async (t) => {
  const endpoint = await startEndpoint(t);
  const live = await startEndpoint(t);
  const server = await startServer(t, {recording: {segment: '1s'}, callbacks: [
    {name: 'backend', url: endpoint.url, dialect: 'gme'},
    {name: 'live', url: live.url, dialect: 'live'}]});
  const erase = (status, query) => server.ask(status, 'DELETE', `/v1/recordings?${query}`);
  const inputs = [];
  for (const room of ['one', 'two']) {
    for (const user of ['alice', 'bob']) {
      const input = await server.join(room, user);
      inputs.push(input.input_id);
      sendPackets(t, packets, input.port);
    }
  }
  const tasks = [await record(server, 'one', {mode: 'both'}), await record(server, 'two')];
  await server.drained();
  const kept = await checkTruth(server, endpoint, tasks[1], {live});

  // while it runs: refused, and told what to do
  const running = await server.record('one');
  for (const query of [`task=${running}`, `app=${APP}&room=one`, `app=${APP}&user=alice`]) {
    await until('alice is recorded', async () =>
      (await server.segments(running)).some((s) => s.user === 'alice'));
    const refused = await erase(409, query);
    assert.equal(refused.field, 'task');
    assert.match(refused.detail, new RegExp(`task ${running} is running: stop it first`));
  }
  await server.finish(running);
  await server.drained();

  // what is not enough, or not there
  for (const [query, field] of [['', 'task'], [`app=${APP}`, 'task'], ['user=alice', 'app'],
    ['room=one', 'app']])
    assert.equal((await erase(400, query)).field, field);
  assert.equal((await erase(404, 'task=77')).field, 'task');
  assert.equal((await erase(404, 'app=7&user=alice')).field, 'app');
  assert.deepEqual(await erase(200, `app=${APP}&user=nobody`),
    {erased: 0, bytes: 0, more: false});

  // bob goes from room one: the mix and alice's files stay
  const before = await server.segments(tasks[0]);
  const ofBob = before.filter((s) => s.user === 'bob');
  assert.deepEqual(await erase(200, `task=${tasks[0]}&app=${APP}&user=bob`), {
    erased: ofBob.length, bytes: ofBob.reduce((sum, s) => sum + s.size, 0), more: false});
  const after = await server.segments(tasks[0]);
  assert.deepEqual(after, before.filter((s) => s.user !== 'bob'));
  checkManifest(server, tasks[0], after);
  for (const s of after)
    assert.equal(fs.statSync(server.file(s)).size, s.size);

  // the command, which asks for all parts
  const cli = commandsAt(t, server.url);
  await cli.fails(2, /--yes is required where nobody can be asked/, 'erase',
    '--app', String(APP), '--room', 'one');
  const told = await cli.json('erase', '--app', String(APP), '--room', 'one', '--yes');
  assert.ok(told.erased >= after.length && told.bytes > 0);
  assert.equal(told.more, false);
  assert.match(await cli('erase', '--task', tasks[0], '--yes'), /^0 files erased/);
  assert.deepEqual(filesBelow(server.storage).filter((f) => f.includes('_one_')), []);
  assert.deepEqual(fs.readdirSync(server.storage).filter((f) => f.includes('_one_')), []);
  const again = await checkTruth(server, endpoint, tasks[1], {live});
  assert.deepEqual(again.segments, kept.segments);

  // nothing names who has left and was erased everywhere
  for (const id of inputs)
    await server.ask(200, 'DELETE', `/v1/inputs/${id}`);
  await erase(200, `app=${APP}&user=bob`);
  assert.deepEqual(await traces(server, 'bob'), []);
  assert.ok((await traces(server, 'alice')).length > 0, 'the search finds what is there');
  await erase(200, `task=${tasks[1]}`);
  assert.deepEqual(filesBelow(server.storage), []);
  assert.deepEqual(await traces(server, 'alice'), []);
  const metrics = await server.metrics();
  assert.equal(metrics.deliveries_in, metrics.deliveries_delivered +
    metrics.deliveries_pending + metrics.deliveries_dead + metrics.deliveries_expired);
  await server.stop();
  assert.match(server.proc.text, /erase client=127\.0\.0\.1 .*room=one.* segments=\d+ bytes=\d+ more=0/);
});
