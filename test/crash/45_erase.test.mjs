// kill -9 at every step of erasing: no file that no row knows, no row without its.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {test} from 'node:test';

import {crashPoints} from '../aid/crash.mjs';
import {startEndpoint} from '../aid/endpoint.mjs';
import {oggPackets, sendPackets} from '../aid/sound.mjs';
import {APP, PATIENCE_MS, startServer, until} from '../aid/tapeop.mjs';
import {checkManifest, checkTruth, filesBelow} from '../aid/truth.mjs';

const packets = oggPackets('assets/demo/alice.opus');

const cases = ['store.commit.before:1', 'store.commit.after:1', 'store.commit.before:2',
  'store.commit.after:2', 'upload.text:1',
  ...crashPoints().filter((name) => name.startsWith('erase.'))
    .flatMap((name) => name === 'erase.file' ? [`${name}:1`, `${name}:2`] : [`${name}:1`])];

/** Every row that is listed as closed has its file, and every file a row. */
async function checkWhole(server, tasks) {
  const rows = (await Promise.all(tasks.map((task) => server.segments(task)))).flat();
  const files = filesBelow(server.storage).filter((f) => !f.includes('_manifest.json'));
  assert.deepEqual(files, rows.map((s) => s.file).sort());
  for (const s of rows) {
    assert.equal(s.state, 'closed');
    assert.equal(fs.statSync(server.file(s)).size, s.size);
  }
  for (const task of tasks)
    checkManifest(server, task, await server.segments(task));
  assert.deepEqual(filesBelow(`${server.data}/quarantine`), []);
}

test('kill_9_at_each_step_of_erasing_leaves_all_or_nothing', {concurrency: 5},
  (t) => Promise.all(cases.map((where) => t.test(where, async (t) => {
    const endpoint = await startEndpoint(t);
    const server = await startServer(t, {recording: {segment: '1s'},
      callbacks: [{name: 'backend', url: endpoint.url, dialect: 'gme'}]});
    const senders = [];
    const inputs = [];
    for (const user of ['alice', 'bob']) {
      const input = await server.join('room', user);
      inputs.push(input.input_id);
      senders.push(sendPackets(t, packets, input.port));
    }
    const tasks = [];
    for (let i = 0; i < 2; i++) {
      const task = await server.record('room');
      await until('both have two files', async () => {
        const all = await server.segments(task);
        return ['alice', 'bob'].every((u) =>
          all.filter((s) => s.user === u && s.state === 'closed').length >= 2);
      });
      await server.finish(task);
      tasks.push(task);
    }
    senders.forEach((sender) => sender.stop());
    for (const id of inputs)
      await server.ask(200, 'DELETE', `/v1/inputs/${id}`);
    await checkTruth(server, endpoint, tasks[0]);
    const other = await server.segments(tasks[1]);
    await server.stop();

    // a manifest is written again only where somebody is left
    const query = `task=${tasks[0]}` + (where.startsWith('upload.') ? '&user=alice' : '');
    const proc = server.startToDie({TAPEOP_CRASH_AT: where});
    const end = Date.now() + PATIENCE_MS;
    while (!proc.ended) {
      assert.ok(Date.now() < end, `${where} was not reached`);
      const at = /on http:\/\/(\S+)/.exec(proc.text)?.[1];
      if (at) {
        server.url = `http://${at}`;
        await server.api('DELETE', `/v1/recordings?${query}`).catch(() => {});
      }
      await new Promise((done) => setTimeout(done, 50));
    }
    assert.deepEqual(proc.ended, {code: null, signal: 'SIGKILL'}, proc.text);

    await server.start();
    await until('what was begun is finished', async () =>
      (await Promise.all(tasks.map((task) => server.segments(task)))).flat()
        .every((s) => s.state === 'closed'));
    await checkWhole(server, tasks);
    await server.ask(200, 'DELETE', `/v1/recordings?task=${tasks[0]}`);
    assert.deepEqual(await server.segments(tasks[0]), []);
    await checkWhole(server, tasks);
    assert.deepEqual(await server.segments(tasks[1]), other);
    await server.ask(200, 'DELETE', `/v1/recordings?app=${APP}&room=room`);
    assert.deepEqual(filesBelow(server.storage), []);
    await server.stop();
  }))));
